//! What peers say to each other over a data channel (the protocol of P2P Media Loader 2.3): commands in frames, and bare payload.
//!
//! Every byte that arrives is hostile: decoding any bytes gives messages or a [`PeerMisbehaved`], which is the end of that connection
//! alone. [`MessageReader`] turns the channel's messages into commands and payload, [`IncomingSegment`] holds the rules of one download,
//! [`Command::encode`] and [`payload_chunk`] make what is sent.

mod decode;
mod encode;
mod frames;
mod incoming_segment;
mod integers;
mod message_reader;
mod payload;

use std::fmt;

use bytes::Bytes;

pub use self::decode::MAX_ANNOUNCED_IDS;
pub use self::encode::{MAX_ANNOUNCED_BLOCKS, MIN_MESSAGE_BYTES, sort_nearest_first};
pub use self::frames::{FrameReader, MAX_COMMAND_BYTES, is_command_frame};
pub use self::incoming_segment::{IncomingSegment, IncomingStep, MAX_SEGMENT_BYTES};
pub use self::message_reader::{MessageReader, PeerMessage};
pub use self::payload::payload_chunk;
use crate::media::SegmentId;

/// Longest message that the official peer sends, in bytes; ours do the same unless the other side's limit is lower.
pub const MAX_MESSAGE_BYTES: usize = 65_535;

/// The number that a request bears, so that its answer can be told from that of an earlier one. The official peer draws 0..1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A command. Encoded by [`Command::encode`], decoded by [`Command::decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All that the peer has; replaces what it announced before.
    Announcement {
        /// Segments that it serves. Decoded ones are sorted and without duplicates; encoded ones are taken most important first.
        loaded: Vec<SegmentId>,
        /// Segments that it is loading over HTTP; in the same order.
        loading: Vec<SegmentId>,
        /// Extension: segments that it is loading from peers. Present, even if empty, in what a peer says that passes on the bytes of
        /// everything in `loading` and here as they arrive; never sent to official peers.
        relaying: Option<Vec<SegmentId>>,
    },
    /// Asks for a segment. Stops the upload in progress, if any.
    Request {
        /// The segment.
        segment: SegmentId,
        /// The number that the answer must bear.
        request: RequestId,
        /// Offset of the first byte wanted: 0, or where an interrupted download goes on.
        first_byte: u64,
        /// Extension: offset of the last byte wanted; to the end when absent.
        last_byte: Option<u64>,
    },
    /// The bytes asked for follow as payload.
    Data {
        /// The segment.
        segment: SegmentId,
        /// The request that this answers.
        request: RequestId,
        /// How many bytes will come: the segment's size minus the first byte asked for. Extension: absent while the sender does not know
        /// the size, being about to receive the segment itself; it may say so by a further command for the same request.
        remaining: Option<u64>,
    },
    /// All bytes have been sent.
    Completed {
        /// The segment.
        segment: SegmentId,
        /// The request that this answers.
        request: RequestId,
    },
    /// The peer does not have the segment.
    Absent {
        /// The segment.
        segment: SegmentId,
        /// The request that this answers.
        request: RequestId,
    },
    /// The bytes of a request are not wanted any more.
    Cancel {
        /// The segment; the receiver goes by the request alone.
        segment: SegmentId,
        /// The request to stop serving.
        request: RequestId,
    },
    /// Nothing to act on: a command of a later version, or an announcement that the official encoder garbled (more than 255 blocks).
    Unknown {
        /// The code that it begins with.
        code: u8,
    },
}

impl Command {
    /// The messages to send, in order: one, or more when the command exceeds `max_message_bytes`, cut as the official peer cuts it.
    /// Limits below [`MIN_MESSAGE_BYTES`] are taken as that. An announcement that does not fit into the format keeps the ids given first
    /// (see [`sort_nearest_first`]). [`Command::Unknown`] encodes as its bare code.
    pub fn encode(&self, max_message_bytes: usize) -> Vec<Bytes> {
        frames::cut(&encode::body(self), max_message_bytes)
    }

    /// Decodes the body of a command: what the frames hold between their marks.
    ///
    /// # Errors
    /// When it is not a command; the sender is to blame.
    pub fn decode(body: &[u8]) -> Result<Self, PeerMisbehaved> {
        decode::command(body)
    }
}

/// What a peer did wrong. The connection to it must be closed, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A command without a code, with items cut short, of unknown types, or with fields missing or of the wrong type.
    #[error("peer sent a malformed command")]
    MalformedCommand,
    /// A command of more than [`MAX_COMMAND_BYTES`].
    #[error("peer sent a command of more than {MAX_COMMAND_BYTES} bytes")]
    CommandTooLong,
    /// An announcement of more than [`MAX_ANNOUNCED_IDS`].
    #[error("peer announced more than {MAX_ANNOUNCED_IDS} segments")]
    TooManyIds,
    /// It will send another number of bytes than the segment has left.
    #[error("peer sends {announced} bytes where {expected} are missing")]
    WrongLength {
        /// Bytes that were missing.
        expected: u64,
        /// Bytes that it said it would send.
        announced: u64,
    },
    /// A segment of more than [`MAX_SEGMENT_BYTES`].
    #[error("peer sends a segment of {bytes} bytes, more than {MAX_SEGMENT_BYTES}")]
    SegmentTooLarge {
        /// The size that follows from what it said.
        bytes: u64,
    },
    /// It sent more payload than it had said.
    #[error("peer sent {excess} bytes more than it had said")]
    TooMuchPayload {
        /// Bytes beyond those it had said.
        excess: u64,
    },
    /// It called a segment completed before all bytes were there.
    #[error("peer called a segment completed with {missing} bytes missing")]
    CompletedEarly {
        /// Bytes not sent.
        missing: u64,
    },
    /// It called another segment or request completed than the one it was sending.
    #[error("peer called another download completed than the one it was sending")]
    CompletedOther,
    /// It did not say how many bytes will come, where it must.
    #[error("peer did not say how many bytes it will send")]
    LengthMissing,
}
