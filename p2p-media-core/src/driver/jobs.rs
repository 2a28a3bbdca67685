//! The single steps of backend work: each job is one future, and what comes of it is one [`Done`].
//!
//! One `async fn` does them all, so that the set of futures holds one type: a boxed trait object would have to say whether it is `Send`.

use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{AbortHandle, AbortRegistration};

use crate::backend::{
    Backend, DataChannel as _, HttpBody as _, HttpError, HttpFetcher, HttpHead, HttpRequest, PeerConnection, PeerTransport,
    PeerTransportError, SegmentStorage as _, StorageError, Tracker, TrackerConnection as _, TrackerError,
};
use crate::engine::input::{ConnectionId, HttpId, LoadId, PlayerRequestId, ValidationId};
use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;
use crate::segment_validator::{SegmentToValidate, SegmentValidator};

pub(super) type Body<B> = <<B as Backend>::Http as HttpFetcher>::Body;
pub(super) type Websocket<B> = <<B as Backend>::Tracker as Tracker>::Connection;
pub(super) type Connection<B> = <<B as Backend>::Peers as PeerTransport>::Connection;
pub(super) type Channel<B> = <Connection<B> as PeerConnection>::Channel;

/// One websocket from connecting to its end. A tracker gets a new one with each reconnection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SocketId(pub(super) u64);

/// One step to be done.
pub(super) enum Job<B: Backend> {
    Fetch(HttpId, HttpRequest),
    ReadBody(HttpId, Body<B>),

    ConnectTracker(SocketId, Arc<str>),
    ReceiveFromTracker(SocketId, Websocket<B>),
    SendToTracker(SocketId, Websocket<B>, String),

    Offer(ConnectionId, String),
    Answer(ConnectionId, String),
    /// Opens the channel, after giving the answer to our offer where there is one.
    OpenChannel(ConnectionId, Connection<B>, Option<String>),
    ReceiveFromPeer(ConnectionId, Channel<B>),
    SendToPeer(ConnectionId, Channel<B>, Bytes),

    Store(SegmentKey, SegmentBytes),
    Load(SegmentKey, LoadId),
    Forget(SegmentKey),

    Validate(ValidationId, SegmentToValidate),
    /// Waits until the player drops the reader of this request.
    WatchReader(PlayerRequestId, oneshot::Receiver<()>),
}

/// What came of a job. Handles come back, for the next step.
pub(super) enum Done<B: Backend> {
    Fetched(HttpId, Result<(HttpHead, Body<B>), HttpError>),
    ReadBody(HttpId, Body<B>, Result<Option<Bytes>, HttpError>),

    TrackerConnected(SocketId, Result<Websocket<B>, TrackerError>),
    TrackerReceived(SocketId, Websocket<B>, Result<Option<String>, TrackerError>),
    TrackerSent(SocketId, Result<(), TrackerError>),

    Offered(ConnectionId, Result<(Connection<B>, String), PeerTransportError>),
    Answered(ConnectionId, Result<(Connection<B>, String), PeerTransportError>),
    ChannelOpened(ConnectionId, Result<Channel<B>, PeerTransportError>),
    PeerReceived(ConnectionId, Channel<B>, Result<Option<Bytes>, PeerTransportError>),
    PeerSent(ConnectionId, usize, Result<(), PeerTransportError>),

    Stored(SegmentKey, Result<(), StorageError>),
    Loaded(SegmentKey, LoadId, Result<Option<SegmentBytes>, StorageError>),
    Forgotten(SegmentKey),

    Validated(ValidationId, bool),
    ReaderDropped(PlayerRequestId),
}

/// Does one job. Rare jobs are boxed: connecting to a tracker alone would make every message's future ten kilobytes long.
pub(super) async fn perform<B: Backend, V: SegmentValidator>(backend: &B, validator: &V, job: Job<B>) -> Done<B> {
    match job {
        Job::Fetch(id, request) => Done::Fetched(id, Box::pin(backend.http().fetch(request)).await),
        Job::ReadBody(id, mut body) => {
            let chunk = body.chunk().await;
            Done::ReadBody(id, body, chunk)
        }

        Job::ConnectTracker(id, url) => Done::TrackerConnected(id, Box::pin(backend.tracker().connect(url)).await),
        Job::ReceiveFromTracker(id, websocket) => {
            let received = websocket.receive().await;
            Done::TrackerReceived(id, websocket, received)
        }
        Job::SendToTracker(id, websocket, text) => Done::TrackerSent(id, websocket.send(text).await),

        Job::Offer(id, label) => Done::Offered(id, Box::pin(backend.peers().offer(label)).await),
        Job::Answer(id, offer) => Done::Answered(id, Box::pin(backend.peers().answer(offer)).await),
        Job::OpenChannel(id, connection, answer) => Done::ChannelOpened(id, Box::pin(open_channel::<B>(connection, answer)).await),
        Job::ReceiveFromPeer(id, channel) => {
            let received = channel.receive().await;
            Done::PeerReceived(id, channel, received)
        }
        Job::SendToPeer(id, channel, message) => {
            let len = message.len();
            Done::PeerSent(id, len, channel.send(message).await)
        }

        Job::Store(key, bytes) => Done::Stored(key, Box::pin(backend.storage().store(key, bytes)).await),
        Job::Load(key, id) => Done::Loaded(key, id, Box::pin(backend.storage().load(key)).await),
        Job::Forget(key) => {
            Box::pin(backend.storage().forget(key)).await;
            Done::Forgotten(key)
        }

        Job::Validate(id, segment) => Done::Validated(id, Box::pin(validator.validate(segment)).await),
        Job::WatchReader(id, reader_dropped) => {
            // It carries no value: the drop of its other end is the message.
            let _ = reader_dropped.await;
            Done::ReaderDropped(id)
        }
    }
}

async fn open_channel<B: Backend>(connection: Connection<B>, answer: Option<String>) -> Result<Channel<B>, PeerTransportError> {
    if let Some(answer) = answer {
        connection.accept_answer(answer).await?;
    }
    connection.channel().await
}

/// Jobs to be started, with the means to abandon each.
pub(super) struct JobQueue<B: Backend>(Vec<(Job<B>, AbortRegistration)>);

/// A job that was started. Dropping this abandons it, with all that it holds.
#[must_use]
pub(super) struct Running(AbortHandle);

impl<B: Backend> JobQueue<B> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn start(&mut self, job: Job<B>) -> Running {
        let (handle, registration) = AbortHandle::new_pair();
        self.0.push((job, registration));
        Running(handle)
    }

    /// Starts a job that runs to its end whatever happens.
    pub(super) fn start_unattended(&mut self, job: Job<B>) {
        self.0.push((job, AbortHandle::new_pair().1));
    }

    pub(super) fn take(&mut self) -> Vec<(Job<B>, AbortRegistration)> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
