//! Everything that can happen to the engine.

use bytes::Bytes;

use crate::backend::HttpHead;
use crate::config::DynamicConfig;
use crate::media::{FetchTimes, Playhead, SegmentKey, Stream, StreamKey, StreamUpdate};
use crate::segment_bytes::SegmentBytes;

/// A player's request for a segment; chosen by the session, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerRequestId(pub u64);

/// One HTTP transfer; chosen by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpId(pub u64);

/// One peer connection, from the handshake to its end; chosen by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One of the configured trackers: its index in the list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerId(pub u32);

/// One read from storage; chosen by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadId(pub u64);

/// One check of a segment's bytes; chosen by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValidationId(pub u64);

/// What happened. Inputs about ids that the engine no longer knows are ignored: cancelled work still arrives late.
#[derive(Clone, Debug)]
pub enum Input {
    /// The player wants a segment.
    SegmentRequested {
        /// Under this id the answer comes.
        request: PlayerRequestId,
        /// Which one.
        segment: SegmentKey,
    },
    /// The player no longer wants it.
    RequestCancelled(PlayerRequestId),
    /// The player has fetched a segment from the origin itself, and has it.
    SegmentFetched(SegmentKey, Bytes, FetchTimes),
    /// The player's position or rate changed; also by a seek.
    PlayheadMoved(Playhead),
    /// A stream to share.
    StreamAdded(Stream),
    /// A stream's segments changed.
    StreamUpdated(StreamKey, StreamUpdate),
    /// A stream is gone, with everything that belongs to it.
    StreamRemoved(StreamKey),
    /// Options changed while running.
    ConfigChanged(Box<DynamicConfig>),
    /// Leave all swarms and stop.
    Shutdown,

    /// The head of an HTTP response.
    HttpHead(HttpId, HttpHead),
    /// Bytes of an HTTP body.
    HttpChunk(HttpId, Bytes),
    /// The body ended.
    HttpEnd(HttpId),
    /// The request failed, before or amid the body.
    HttpFailed(HttpId, String),

    /// The websocket to a tracker is open.
    TrackerOpened(TrackerId),
    /// A text frame from a tracker.
    TrackerMessage(TrackerId, String),
    /// The websocket could not be opened, broke, or was closed.
    TrackerClosed(TrackerId, String),

    /// Our offer is made.
    OfferMade(ConnectionId, String),
    /// Our answer is made.
    AnswerMade(ConnectionId, String),
    /// The data channel is open.
    ChannelOpened(ConnectionId),
    /// A message came in.
    PeerMessage(ConnectionId, Bytes),
    /// A message of this many bytes left our hands: room for more.
    PeerSent(ConnectionId, usize),
    /// The handshake failed, or the connection ended.
    ConnectionClosed(ConnectionId, String),

    /// A segment was written.
    Stored(SegmentKey),
    /// A segment could not be written.
    StoreFailed(SegmentKey, String),
    /// A segment was read; `None` when it is not there or unreadable.
    Loaded(LoadId, Option<SegmentBytes>),
    /// A check ended: true when the bytes are right.
    Validated(ValidationId, bool),

    /// The time asked for with `next_deadline` has come.
    DeadlineReached,
}
