//! Everything the engine can ask for.

use std::sync::Arc;

use bytes::Bytes;

use super::input::{ConnectionId, HttpId, LoadId, PlayerRequestId, TrackerId, ValidationId};
use crate::backend::HttpRequest;
use crate::error::{CloseReason, SegmentError};
use crate::event::{Event, SegmentSource};
use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;

/// What is to be done. Outputs come in the order in which they are to be carried out.
#[derive(Clone, Debug)]
pub enum Output {
    /// The total size of the segment that a player asked for is known, in bytes. Comes at most once, before the end.
    DeliverSize(PlayerRequestId, u64),
    /// The next bytes for a player.
    Deliver(PlayerRequestId, Bytes),
    /// The player has all bytes.
    DeliverEnd(PlayerRequestId),
    /// The player will get no (more) bytes.
    DeliverFailed(PlayerRequestId, SegmentError),

    /// Begin a fetch.
    StartHttp(HttpId, HttpRequest),
    /// Abandon a fetch.
    StopHttp(HttpId),

    /// Open a websocket.
    OpenTracker(TrackerId, Arc<str>),
    /// Send a text frame.
    SendToTracker(TrackerId, String),
    /// Close the websocket once what was sent is out.
    CloseTracker(TrackerId),

    /// Begin a connection with an offer; the channel gets this label.
    MakeOffer(ConnectionId, String),
    /// Begin a connection by answering this offer.
    MakeAnswer(ConnectionId, String),
    /// The other side's answer to our offer.
    AcceptAnswer(ConnectionId, String),
    /// Send a message.
    SendToPeer(ConnectionId, Bytes),
    /// End a connection or give up its handshake.
    CloseConnection(ConnectionId, CloseReason),

    /// Keep a segment.
    Store(SegmentKey, SegmentBytes),
    /// Read a segment.
    Load(LoadId, SegmentKey),
    /// Drop a segment.
    Forget(SegmentKey),
    /// Check a segment's bytes with the user's validator.
    Validate {
        /// Under this id the result comes.
        id: ValidationId,
        /// Which segment.
        segment: SegmentKey,
        /// Its URL.
        url: Arc<str>,
        /// Where the bytes came from.
        source: SegmentSource,
        /// The bytes.
        bytes: SegmentBytes,
    },

    /// Tell the user.
    Event(Event),
}
