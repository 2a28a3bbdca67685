//! What a platform gives the engine: a clock, HTTP, trackers, peer connections and storage.
//!
//! Backends decide nothing: no retries, no timeouts, no limits of their own. Every handle is a cheap clone; dropping a future or a handle
//! abandons the work behind it. Nothing here asks for `Send`: whether [`crate::driver::drive`] is `Send` follows from the backend.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;
use crate::timestamp::Timestamp;

/// The parts of one platform.
pub trait Backend: 'static {
    /// Tells the time and waits.
    type Clock: Clock;
    /// Fetches from the origin.
    type Http: HttpFetcher;
    /// Reaches trackers.
    type Tracker: Tracker;
    /// Makes peer connections.
    type Peers: PeerTransport;
    /// Keeps segments.
    type Storage: SegmentStorage;

    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// The HTTP client.
    fn http(&self) -> &Self::Http;
    /// The tracker client.
    fn tracker(&self) -> &Self::Tracker;
    /// The WebRTC stack.
    fn peers(&self) -> &Self::Peers;
    /// The segment store.
    fn storage(&self) -> &Self::Storage;
}

/// A monotonic clock.
pub trait Clock: Clone + 'static {
    /// Time since the session began.
    fn now(&self) -> Timestamp;
    /// Resolves at `deadline` or soon after it.
    fn sleep_until(&self, deadline: Timestamp) -> impl Future<Output = ()>;
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Absolute URL.
    pub url: Arc<str>,
    /// Offset of the first byte wanted; a `Range` header is sent unless this is 0 and `last` is absent.
    pub first: u64,
    /// Offset of the last byte wanted, inclusive; to the end when absent.
    pub last: Option<u64>,
}

/// What the response's status line and headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpHead {
    /// Status code (RFC 9110, section 15).
    pub status: u16,
    /// First byte position of `Content-Range`.
    pub range_first: Option<u64>,
    /// Complete length of `Content-Range`.
    pub range_total: Option<u64>,
    /// `Content-Length` of this response, when the body is not transformed by a content coding.
    pub content_length: Option<u64>,
}

/// A request that came to nothing before or while its body was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(pub String);

/// Fetches from the origin. Redirects are followed.
pub trait HttpFetcher: Clone + 'static {
    /// The body of a response.
    type Body: HttpBody;
    /// Sends the request and waits for the response's head, whatever its status.
    fn fetch(&self, request: HttpRequest) -> impl Future<Output = Result<(HttpHead, Self::Body), HttpError>>;
}

/// A response body. Dropping it aborts the transfer.
pub trait HttpBody: 'static {
    /// The next bytes; `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, HttpError>>;
}

/// A tracker that cannot be reached, or a connection to one that broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TrackerError(pub String);

/// Opens websocket connections to trackers.
pub trait Tracker: Clone + 'static {
    /// An open connection.
    type Connection: TrackerConnection;
    /// Connects to a `ws:` or `wss:` URL.
    fn connect(&self, url: Arc<str>) -> impl Future<Output = Result<Self::Connection, TrackerError>>;
}

/// An open websocket. Clones share it; it closes when the last one is dropped.
pub trait TrackerConnection: Clone + 'static {
    /// Sends one text frame.
    fn send(&self, text: String) -> impl Future<Output = Result<(), TrackerError>>;
    /// The next text frame; `None` when the tracker closed the connection. Called by one task at a time.
    fn receive(&self) -> impl Future<Output = Result<Option<String>, TrackerError>>;
}

/// A handshake or connection that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerTransportError(pub String);

/// Makes WebRTC connections with one ordered, reliable data channel each. Offers and answers are complete SDP (no trickle ICE).
pub trait PeerTransport: Clone + 'static {
    /// A connection in the making.
    type Connection: PeerConnection;
    /// Makes an offer with a data channel of this label, ICE gathering finished.
    fn offer(&self, label: String) -> impl Future<Output = Result<(Self::Connection, String), PeerTransportError>>;
    /// Answers an offer, ICE gathering finished.
    fn answer(&self, offer_sdp: String) -> impl Future<Output = Result<(Self::Connection, String), PeerTransportError>>;
}

/// A connection in the making. Dropping the last clone, and the channel it gave, closes it.
pub trait PeerConnection: Clone + 'static {
    /// Its data channel.
    type Channel: DataChannel;
    /// Gives the answer to our offer.
    fn accept_answer(&self, answer_sdp: String) -> impl Future<Output = Result<(), PeerTransportError>>;
    /// Waits until the data channel is open. Called once.
    fn channel(&self) -> impl Future<Output = Result<Self::Channel, PeerTransportError>>;
}

/// An open data channel. Clones share it; it (and its connection) closes when the last one is dropped.
pub trait DataChannel: Clone + 'static {
    /// Sends one binary message, waiting while too much is buffered for sending.
    fn send(&self, message: Bytes) -> impl Future<Output = Result<(), PeerTransportError>>;
    /// The next message; `None` when the channel closed. Called by one task at a time, which never stops calling it.
    fn receive(&self) -> impl Future<Output = Result<Option<Bytes>, PeerTransportError>>;
}

/// A store that failed: a full disk, a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(pub String);

/// Keeps the bytes of segments. The engine holds the index and decides what is evicted.
pub trait SegmentStorage: Clone + 'static {
    /// Keeps a segment, replacing an older copy.
    fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> impl Future<Output = Result<(), StorageError>>;
    /// Gives a segment back; `None` when it is not there.
    fn load(&self, key: SegmentKey) -> impl Future<Output = Result<Option<SegmentBytes>, StorageError>>;
    /// Drops a segment; unknown ones are ignored.
    fn forget(&self, key: SegmentKey) -> impl Future<Output = ()>;
}
