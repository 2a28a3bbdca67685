//! Parts of segments: what is offered of a segment while the rest of it is still being recorded.

use std::ops::Range;

use super::{fmp4_parts, fmp4_samples::InitTracks};

const TS_PACKET_BYTES: usize = 188;
const TS_SYNC_BYTE: u8 = 0x47;
/// Parts of one MPEG-TS segment.
const MAX_TS_PARTS: u64 = 10_000;

/// A segment as it is offered in parts: they follow each other and fill it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PartedSegment {
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) bytes: Range<usize>,
    /// When its last frame ends, in microseconds since the start of the segment.
    pub(super) end_us: u64,
    /// It begins with a frame that needs no other.
    pub(super) is_independent: bool,
}

impl PartedSegment {
    /// Divides a segment of that length. Gives it back when it can only be offered whole: no fragmented MP4 or MPEG-TS, damaged, or encrypted.
    pub(super) fn of(segment: Vec<u8>, init: &InitTracks, segment_us: u64, part_us: u64) -> Result<Self, Vec<u8>> {
        match segment.first() {
            Some(&TS_SYNC_BYTE) => match split_ts(&segment, segment_us, part_us) {
                Some(parts) => Ok(Self { bytes: segment, parts }),
                None => Err(segment),
            },
            _ => fmp4_parts::split(&segment, init, part_us).and_then(|parted| parted.lasting(segment_us)).ok_or(segment),
        }
    }

    /// Makes the parts end with the segment: what a manifest says of its length is a little off, where frames precede it in time.
    fn lasting(mut self, segment_us: u64) -> Option<Self> {
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            match parts.last_mut().filter(|last| last.end_us >= segment_us) {
                Some(last) => last.bytes.end = part.bytes.end,
                None => parts.push(part),
            }
        }
        parts.last_mut()?.end_us = segment_us;
        self.parts = parts;
        Some(self)
    }
}

/// Cuts between packets, as if every packet lasted equally long.
fn split_ts(segment: &[u8], segment_us: u64, part_us: u64) -> Option<Vec<Part>> {
    let (packets, rest) = segment.as_chunks::<TS_PACKET_BYTES>();
    let count = segment_us.div_ceil(part_us.max(1));
    if !rest.is_empty() || packets.iter().any(|packet| packet[0] != TS_SYNC_BYTE) || !(1..=MAX_TS_PARTS).contains(&count) {
        return None;
    }
    let mut parts: Vec<Part> = Vec::new();
    for index in 1..=count {
        let start = parts.last().map_or(0, |part| part.bytes.end);
        let end_us = (index * part_us).min(segment_us);
        let packet = u128::from(end_us) * packets.len() as u128 / u128::from(segment_us);
        let end = usize::try_from(packet).ok()? * TS_PACKET_BYTES;
        if end > start {
            parts.push(Part { bytes: start..end, end_us, is_independent: start == 0 });
        }
    }
    parts.last_mut()?.end_us = segment_us;
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: usize) -> Vec<u8> {
        let mut packet = [0; TS_PACKET_BYTES];
        packet[0] = TS_SYNC_BYTE;
        packet.repeat(count)
    }

    #[test]
    fn transport_streams_are_cut_between_packets() {
        let part = |bytes: Range<usize>, end_us, is_independent| Part { bytes, end_us, is_independent };
        let parted = PartedSegment::of(packets(10), &InitTracks::default(), 1_000_000, 400_000).unwrap();
        assert_eq!(parted.parts, [part(0..752, 400_000, true), part(752..1504, 800_000, false), part(1504..1880, 1_000_000, false)]);
        let few = PartedSegment::of(packets(1), &InitTracks::default(), 1_000_000, 400_000).unwrap();
        assert_eq!(few.parts, [part(0..188, 1_000_000, true)]);
    }

    #[test]
    fn damaged_transport_streams_stay_whole() {
        let whole = |bytes| PartedSegment::of(bytes, &InitTracks::default(), 1_000_000, 400_000).is_err();
        assert!(whole([packets(2), vec![0]].concat()));
        assert!(whole([packets(1), vec![0; 188], packets(1)].concat()));
        assert!(whole(Vec::new()));
        assert!(PartedSegment::of(packets(9), &InitTracks::default(), u64::MAX, 1).is_err());
        assert!(PartedSegment::of(packets(9), &InitTracks::default(), 0, 0).is_err());
    }
}
