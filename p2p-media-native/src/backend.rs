//! The platform: everything that the engine needs, on tokio.

use p2p_media_core::backend::{Backend, HttpError, PeerTransportError, TrackerError};
use p2p_media_core::config::IceServer;

use crate::clock::TokioClock;
use crate::http_fetcher::ReqwestFetcher;
use crate::peer_transport::WebRtcTransport;
use crate::segment_storage::StorageChoice;
use crate::tracker_socket::WebSocketTracker;

/// The backend of one session. `drive()` over it is `Send`: give it to `tokio::spawn`.
#[derive(Debug)]
pub struct NativeBackend {
    clock: TokioClock,
    http: ReqwestFetcher,
    tracker: WebSocketTracker,
    peers: WebRtcTransport,
    storage: StorageChoice,
}

/// A backend that cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The HTTP client.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[from] HttpError),
    /// The tracker client.
    #[error("the tracker client cannot be set up: {0}")]
    Tracker(#[from] TrackerError),
    /// The peer transport: an ICE server that is none.
    #[error(transparent)]
    Peers(#[from] PeerTransportError),
}

impl NativeBackend {
    /// A backend whose clock begins now, with these STUN and TURN servers and this store.
    ///
    /// # Errors
    /// When an ICE server's URL is not one, or TLS cannot be set up.
    pub fn new(ice_servers: &[IceServer], storage: StorageChoice) -> Result<Self, BackendError> {
        Ok(Self {
            clock: TokioClock::new(),
            http: ReqwestFetcher::new()?,
            tracker: WebSocketTracker::new()?,
            peers: WebRtcTransport::new(ice_servers)?,
            storage,
        })
    }

    /// The same backend with an HTTP client that is shared with others, and its connections with it.
    #[must_use]
    pub fn with_http(mut self, http: ReqwestFetcher) -> Self {
        self.http = http;
        self
    }
}

impl Backend for NativeBackend {
    type Clock = TokioClock;
    type Http = ReqwestFetcher;
    type Tracker = WebSocketTracker;
    type Peers = WebRtcTransport;
    type Storage = StorageChoice;

    fn clock(&self) -> &TokioClock {
        &self.clock
    }

    fn http(&self) -> &ReqwestFetcher {
        &self.http
    }

    fn tracker(&self) -> &WebSocketTracker {
        &self.tracker
    }

    fn peers(&self) -> &WebRtcTransport {
        &self.peers
    }

    fn storage(&self) -> &StorageChoice {
        &self.storage
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use p2p_media_core::backend::{
        Clock, DataChannel, HttpBody, HttpFetcher, HttpRequest, PeerConnection, PeerTransport, SegmentStorage, Tracker, TrackerConnection,
    };
    use p2p_media_core::driver::drive;
    use p2p_media_core::media::SegmentKey;
    use p2p_media_core::segment_bytes::SegmentBytes;
    use p2p_media_core::session::DriverInput;
    use p2p_media_core::timestamp::Timestamp;

    use super::*;

    fn send<T: Send>(future: T) -> T {
        future
    }

    /// Every future of every trait, as `drive()` awaits them. That it compiles is the test.
    async fn every_future(backend: Arc<NativeBackend>, key: SegmentKey, request: HttpRequest) {
        send(backend.clock().sleep_until(Timestamp::ZERO)).await;
        if let Ok((_, mut body)) = send(backend.http().fetch(request)).await {
            let _ = send(body.chunk()).await;
        }
        if let Ok(tracker) = send(backend.tracker().connect(Arc::from(""))).await {
            let _ = (send(tracker.send(String::new())).await, send(tracker.receive()).await);
        }
        if let Ok((connection, sdp)) = send(backend.peers().offer(String::new())).await {
            let _ = send(connection.accept_answer(sdp)).await;
            if let Ok(channel) = send(connection.channel()).await {
                let _ = (send(channel.send(Bytes::new())).await, send(channel.receive()).await);
            }
        }
        let _ = send(backend.peers().answer(String::new())).await;
        let _ = send(backend.storage().store(key, SegmentBytes::new())).await;
        let _ = send(backend.storage().load(key)).await;
        send(backend.storage().forget(key)).await;
    }

    #[test]
    fn everything_may_move_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<NativeBackend>();
        shared::<crate::peer_transport::WebRtcConnection>();
        shared::<crate::peer_transport::WebRtcChannel>();
        shared::<crate::tracker_socket::WebSocketConnection>();
        let _ = |backend, key, request| send(every_future(backend, key, request));
        let _ = |backend: NativeBackend, input: DriverInput| send(drive(backend, input));
    }

    #[test]
    fn an_ice_server_that_is_none_is_named() {
        let error = NativeBackend::new(&[IceServer::stun("nonsense")], StorageChoice::default()).unwrap_err();
        assert!(error.to_string().contains("nonsense"), "{error}");
    }
}
