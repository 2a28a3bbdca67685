//! Tells commands from payload in what a data channel delivers.

use std::collections::VecDeque;

use bytes::Bytes;

use super::frames::Frame;
use super::{Command, FrameReader, PeerMisbehaved};

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// A whole command.
    Command(Command),
    /// Bytes of a segment.
    Payload(Bytes),
}

/// Reads the messages of one data channel.
///
/// A message with the marks of a command frame is ambiguous while payload is expected: a segment's bytes may contain the marks by accident
/// or by design of whoever made the segment. The rule is that *a running download's byte count goes before the marks*:
///
/// - No payload expected: marks make a command, and one that does not decode is the peer's fault.
/// - Payload expected: it is a command only if it decodes as one, whole. Otherwise it is payload. Frames that begin a longer command wait
///   for the rest, which the sender must send without anything in between; when something else comes, they were payload, and are given out
///   as that in their order.
///
/// A correct peer is thus never misread: its commands decode (also the announcements that the official encoder garbles, see
/// [`Command::Unknown`]), and payload that decodes as a command by accident would need some fifty bits right. Payload that the sender cuts as
/// [`super::payload_chunk`] does is never ambiguous.
#[derive(Debug, Default)]
pub struct MessageReader {
    frames: FrameReader,
    /// The unfinished command began while payload was expected.
    may_be_payload: bool,
    ready: VecDeque<PeerMessage>,
}

impl MessageReader {
    /// A reader for a channel that has just opened.
    pub const fn new() -> Self {
        Self { frames: FrameReader::new(), may_be_payload: false, ready: VecDeque::new() }
    }

    /// Takes a message. `payload_expected` is the number of bytes that the running download still waits for
    /// ([`super::IncomingSegment::remaining`]), 0 when none runs. Call [`next_message`](Self::next_message) until it gives nothing before
    /// the next `push`.
    ///
    /// # Errors
    /// When no payload is expected and the message is a broken command. The reader must not be used any more.
    pub fn push(&mut self, message: Bytes, payload_expected: u64) -> Result<(), PeerMisbehaved> {
        let frame = Frame::of(&message).map(|frame| frame.first);
        if frame != Some(false) {
            self.give_up_unfinished();
        }
        let Some(first) = frame else {
            self.ready.push_back(PeerMessage::Payload(message));
            return Ok(());
        };
        if !self.frames.is_unfinished() {
            self.may_be_payload = payload_expected > 0;
            if !first && self.may_be_payload {
                self.ready.push_back(PeerMessage::Payload(message));
                return Ok(());
            }
        }
        match self.frames.push(message) {
            Ok(command) => self.ready.extend(command.map(PeerMessage::Command)),
            Err(_) if self.may_be_payload => self.give_up_unfinished(),
            Err(misbehaved) => return Err(misbehaved),
        }
        Ok(())
    }

    /// The next command or piece of payload, in the order of arrival.
    pub fn next_message(&mut self) -> Option<PeerMessage> {
        self.ready.pop_front()
    }

    /// No command came of the frames held: they were payload where that was expected, else they are dropped.
    fn give_up_unfinished(&mut self) {
        let frames = self.frames.take_unfinished();
        if self.may_be_payload {
            self.ready.extend(frames.into_iter().map(PeerMessage::Payload));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_protocol::RequestId;

    const CANCEL: Command = Command::Cancel { segment: crate::media::SegmentId(5), request: RequestId(7) };

    /// What comes of messages, `!` being a cancel command.
    fn read(expected: u64, messages: &[&'static [u8]]) -> Result<Vec<String>, PeerMisbehaved> {
        let mut reader = MessageReader::new();
        let mut read = Vec::new();
        for message in messages {
            reader.push(Bytes::from_static(message), expected)?;
            while let Some(message) = reader.next_message() {
                read.push(match message {
                    PeerMessage::Command(command) => {
                        assert_eq!(command, CANCEL);
                        "!".to_owned()
                    }
                    PeerMessage::Payload(payload) => String::from_utf8_lossy(&payload).into_owned(),
                });
            }
        }
        Ok(read)
    }

    #[test]
    fn the_byte_count_goes_before_the_marks() {
        let whole: &[u8] = b"cstr\x05i\x01\x05r\x01\x07cend";
        let (first, rest): (&[u8], &[u8]) = (b"cstr\x05i\x01\x05dend", b"dstrr\x01\x07cend");
        let malformed = Err(PeerMisbehaved::MalformedCommand);
        for (messages, without_payload_expected, with_payload_expected) in [
            (&[whole][..], Ok(vec!["!"]), vec!["!"]),
            (&[first, rest], Ok(vec!["!"]), vec!["!"]),
            (&[b"abc"], Ok(vec!["abc"]), vec!["abc"]),
            (&[b"cstr\x01cend"], malformed.clone(), vec!["cstr\x01cend"]),
            (&[b"dstrabccend", whole], Ok(vec!["!"]), vec!["dstrabccend", "!"]),
            (&[b"cstrabcdend", b"xyz"], Ok(vec!["xyz"]), vec!["cstrabcdend", "xyz"]),
            (&[b"cstrabcdend", whole], Ok(vec!["!"]), vec!["cstrabcdend", "!"]),
            (&[b"cstr\x01dend", b"dstr..dend", b"dstrcend"], malformed, vec!["cstr\x01dend", "dstr..dend", "dstrcend"]),
        ] {
            let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(read(0, messages), without_payload_expected.map(owned));
            assert_eq!(read(1_000, messages), Ok(owned(with_payload_expected)));
        }
    }
}
