//! Frames: a command stands between marks, which tell it from payload and allow it to be cut into several messages.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Command, MIN_MESSAGE_BYTES, PeerMisbehaved};

/// Most bytes of a command in all its frames, marks included. The longest announcement the format allows takes about 135,000.
pub const MAX_COMMAND_BYTES: usize = 262_144;

const MARK_BYTES: usize = 4;
const BOTH_MARKS_BYTES: usize = 2 * MARK_BYTES;
/// Begins the first frame of a command.
const FIRST: &[u8; MARK_BYTES] = b"cstr";
/// Begins the other frames.
const CONTINUED: &[u8; MARK_BYTES] = b"dstr";
/// Ends the last frame.
const LAST: &[u8; MARK_BYTES] = b"cend";
/// Ends a frame that another one follows.
const MORE: &[u8; MARK_BYTES] = b"dend";

/// True when a message has the marks of a command frame. Payload may have them by accident, see [`super::MessageReader`].
pub fn is_command_frame(message: &[u8]) -> bool {
    Frame::of(message).is_some()
}

/// A message that has the marks.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// It begins a command.
    pub(super) first: bool,
    /// It ends a command.
    pub(super) last: bool,
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn of(message: &'a [u8]) -> Option<Self> {
        let (start, rest) = message.split_first_chunk()?;
        let (content, end) = rest.split_last_chunk()?;
        let first = start == FIRST;
        let last = end == LAST;
        ((first || start == CONTINUED) && (last || end == MORE)).then_some(Self { first, last, content })
    }
}

/// Joins the frames of commands and decodes them.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Frames of a command that is not whole yet. They are joined when it is.
    unfinished: Vec<Bytes>,
    unfinished_bytes: usize,
}

impl FrameReader {
    /// A reader that waits for a first frame.
    pub const fn new() -> Self {
        Self { unfinished: Vec::new(), unfinished_bytes: 0 }
    }

    /// Takes a message and gives the command that it completes. A message that continues nothing is dropped, and so is an unfinished
    /// command when another one begins; so is anything without the marks.
    ///
    /// # Errors
    /// When the command is too long or does not decode.
    pub fn push(&mut self, frame: Bytes) -> Result<Option<Command>, PeerMisbehaved> {
        let Some(Frame { first, last, content }) = Frame::of(&frame) else { return Ok(None) };
        if first {
            self.take_unfinished();
            if last && frame.len() <= MAX_COMMAND_BYTES {
                return Command::decode(content).map(Some).inspect_err(|_| self.keep(frame.clone()));
            }
        } else if self.unfinished.is_empty() {
            return Ok(None);
        }
        self.keep(frame);
        if self.unfinished_bytes > MAX_COMMAND_BYTES {
            return Err(PeerMisbehaved::CommandTooLong);
        }
        if !last {
            return Ok(None);
        }
        let command = Command::decode(&self.joined())?;
        self.take_unfinished();
        Ok(Some(command))
    }

    /// True between the first frame of a command and its last.
    pub const fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// The frames of the command that is not whole, or that has just failed; the reader forgets them.
    pub(super) fn take_unfinished(&mut self) -> Vec<Bytes> {
        self.unfinished_bytes = 0;
        std::mem::take(&mut self.unfinished)
    }

    fn keep(&mut self, frame: Bytes) {
        self.unfinished_bytes += frame.len();
        self.unfinished.push(frame);
    }

    fn joined(&self) -> Vec<u8> {
        let contents: Vec<&[u8]> = self.unfinished.iter().filter_map(|frame| Frame::of(frame)).map(|frame| frame.content).collect();
        contents.concat()
    }
}

/// Puts a command's body into frames of at most `max_message_bytes`, cut where the official encoder cuts, except that none is empty or too
/// long.
pub(super) fn cut(body: &[u8], max_message_bytes: usize) -> Vec<Bytes> {
    let parts = parts(body.len(), max_message_bytes.max(MIN_MESSAGE_BYTES));
    let part_bytes = body.len().div_ceil(parts).max(1);
    let last = body.len().div_ceil(part_bytes).saturating_sub(1);
    let frame = |(index, part): (usize, &[u8])| {
        let mut frame = BytesMut::with_capacity(part.len() + BOTH_MARKS_BYTES);
        frame.put_slice(if index == 0 { FIRST } else { CONTINUED });
        frame.put_slice(part);
        frame.put_slice(if index == last { LAST } else { MORE });
        frame.freeze()
    };
    body.chunks(part_bytes).enumerate().map(frame).collect()
}

/// How many frames the official encoder would use; more when those would be too long, which happens at limits below 48.
fn parts(body_bytes: usize, max_message_bytes: usize) -> usize {
    if body_bytes + BOTH_MARKS_BYTES <= max_message_bytes {
        return 1;
    }
    let messages = body_bytes.div_ceil(max_message_bytes);
    let room_in_last = messages * max_message_bytes - body_bytes;
    let official = if room_in_last < messages * BOTH_MARKS_BYTES { messages + 1 } else { messages };
    official.max(body_bytes.div_ceil(max_message_bytes - BOTH_MARKS_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_do_not_overlap() {
        assert!(is_command_frame(b"cstrcend"));
        assert!(is_command_frame(b"dstr..dend"));
        for payload in [&b""[..], b"cstr", b"cend", b"cstrcen", b"cstr..", b"..cend", b"cstr.cEnd"] {
            assert!(!is_command_frame(payload));
        }
    }

    #[test]
    fn an_endless_command_is_refused_and_held_frames_are_bounded() {
        let mut reader = FrameReader::new();
        assert_eq!(reader.push(Bytes::from_static(b"cstr\0dend")), Ok(None));
        // Frames without content count too, or they could be kept without end.
        let refused = (0..MAX_COMMAND_BYTES).find_map(|_| reader.push(Bytes::from_static(b"dstrdend")).err());
        assert_eq!(refused, Some(PeerMisbehaved::CommandTooLong));
        assert!(reader.unfinished_bytes <= MAX_COMMAND_BYTES + 8);
        let huge = [FIRST, &vec![0; MAX_COMMAND_BYTES][..], LAST].concat();
        assert_eq!(reader.push(huge.into()), Err(PeerMisbehaved::CommandTooLong));
    }
}
