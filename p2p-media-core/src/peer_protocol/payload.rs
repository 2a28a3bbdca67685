//! Payload to send: a segment's bytes in messages that cannot be mistaken for commands.

use bytes::Bytes;

use super::frames::is_command_frame;
use crate::segment_bytes::SegmentBytes;

/// The message that carries a segment's bytes from `offset` on: at most `max_message_bytes` of one piece, not copied. `None` at or past the
/// end. The next one begins where this one ends. A chunk that would look like a command frame is sent without its last byte, which cannot
/// look like one.
pub fn payload_chunk(bytes: &SegmentBytes, offset: u64, max_message_bytes: usize) -> Option<Bytes> {
    let mut chunk = bytes.slice_at(offset, max_message_bytes.max(1))?;
    if is_command_frame(&chunk) {
        chunk.truncate(chunk.len() - 1);
    }
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chunk_looks_like_a_command_and_nothing_is_lost() {
        let traps: [&'static [u8]; 4] = [b"cstr--cend", b"dstr....dstr....dend", b"cstrcenddstrdend", b"xcstr0000000cendcend"];
        let whole: SegmentBytes = traps.iter().map(|trap| Bytes::from_static(trap)).collect();
        for max in 1..80 {
            let mut sent = SegmentBytes::new();
            while let Some(chunk) = payload_chunk(&whole, sent.len(), max) {
                assert!(!chunk.is_empty() && chunk.len() <= max);
                assert!(!is_command_frame(&chunk), "{chunk:?}");
                sent.push(chunk);
            }
            assert_eq!(sent.join(), whole.join());
        }
    }

    #[test]
    fn chunks_are_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let chunk = payload_chunk(&SegmentBytes::from(piece.clone()), 40, 50);
        assert_eq!(chunk.map(|chunk| (chunk.as_ptr(), chunk.len())), Some((piece[40..].as_ptr(), 50)));
    }
}
