//! A slower link than the machine has, for tests and trials: any backend behind it.
//!
//! Media from the origin and messages of peers share one rate towards the viewer; messages to peers share another one. Nothing is dropped:
//! who is too fast waits, a flow at a time and in turn, as flows behind a fair queue do. Commands, which are short, wait for nobody, but what
//! they take is missing for the others. Manifests, initialization segments and trackers are left alone. What has come for a viewer and waits for
//! its link is in the memory of this machine: the origin may have sent as much as sockets hold, peers as much as they were asked for.

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::backend::{
    Backend, DataChannel, HttpBody, HttpError, HttpFetcher, HttpHead, HttpRequest, PeerConnection, PeerTransport, PeerTransportError,
};

use crate::pacer::Pacer;

/// Bytes of a response that come at once: as many as a message of a peer has.
const CHUNK_BYTES: usize = 16 << 10;
/// A message that fits into one packet waits for nobody.
const SMALL_BYTES: usize = 1200;

/// What a link can do. Without limits by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkLimits {
    /// Bytes per second towards the viewer.
    pub down: Option<NonZeroU64>,
    /// Bytes per second from the viewer.
    pub up: Option<NonZeroU64>,
    /// Wait before each request for a segment.
    pub http_delay: Duration,
}

impl LinkLimits {
    /// True when nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// A backend behind such a link.
#[derive(Debug)]
pub struct LimitedBackend<B: Backend> {
    backend: B,
    http: LimitedHttp<B::Http>,
    peers: LimitedPeers<B::Peers>,
}

impl<B: Backend> LimitedBackend<B> {
    /// Puts a backend behind a link of its own.
    pub fn new(backend: B, limits: LinkLimits) -> Self {
        let link = Arc::new(Link { down: limits.down.map(Pacer::new), up: limits.up.map(Pacer::new), http_delay: limits.http_delay });
        let http = LimitedHttp { fetcher: backend.http().clone(), link: Arc::clone(&link) };
        let peers = LimitedPeers { transport: backend.peers().clone(), link };
        Self { backend, http, peers }
    }
}

impl<B: Backend> Backend for LimitedBackend<B> {
    type Clock = B::Clock;
    type Http = LimitedHttp<B::Http>;
    type Tracker = B::Tracker;
    type Peers = LimitedPeers<B::Peers>;
    type Storage = B::Storage;

    fn clock(&self) -> &B::Clock {
        self.backend.clock()
    }

    fn http(&self) -> &Self::Http {
        &self.http
    }

    fn tracker(&self) -> &B::Tracker {
        self.backend.tracker()
    }

    fn peers(&self) -> &Self::Peers {
        &self.peers
    }

    fn storage(&self) -> &B::Storage {
        self.backend.storage()
    }
}

#[derive(Debug)]
struct Link {
    down: Option<Pacer>,
    up: Option<Pacer>,
    http_delay: Duration,
}

/// Waits until a message is through.
async fn pass(pacer: Option<&Pacer>, bytes: usize) {
    match pacer {
        Some(pacer) if bytes <= SMALL_BYTES => _ = pacer.take(bytes),
        Some(pacer) => pacer.pass(bytes).await,
        None => {}
    }
}

/// Fetches over the link.
#[derive(Clone, Debug)]
pub struct LimitedHttp<H> {
    fetcher: H,
    link: Arc<Link>,
}

/// A response that comes over the link.
#[derive(Debug)]
pub struct LimitedBody<B> {
    body: B,
    link: Arc<Link>,
    /// Has come, and waits.
    rest: Bytes,
}

impl<H: HttpFetcher> HttpFetcher for LimitedHttp<H> {
    type Body = LimitedBody<H::Body>;

    async fn fetch(&self, request: HttpRequest) -> Result<(HttpHead, Self::Body), HttpError> {
        if !self.link.http_delay.is_zero() {
            tokio::time::sleep(self.link.http_delay).await;
        }
        let (head, body) = self.fetcher.fetch(request).await?;
        Ok((head, LimitedBody { body, link: Arc::clone(&self.link), rest: Bytes::new() }))
    }
}

impl<B: HttpBody> HttpBody for LimitedBody<B> {
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        if self.rest.is_empty() {
            match self.body.chunk().await? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(None),
            }
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK_BYTES));
        if let Some(down) = &self.link.down {
            down.pass(chunk.len()).await;
        }
        Ok(Some(chunk))
    }
}

/// Connects to peers over the link.
#[derive(Clone, Debug)]
pub struct LimitedPeers<P> {
    transport: P,
    link: Arc<Link>,
}

/// A connection over the link.
#[derive(Clone, Debug)]
pub struct LimitedConnection<C> {
    connection: C,
    link: Arc<Link>,
}

/// A data channel over the link.
#[derive(Clone, Debug)]
pub struct LimitedChannel<C> {
    channel: C,
    link: Arc<Link>,
}

impl<P: PeerTransport> LimitedPeers<P> {
    async fn limited(
        &self,
        made: impl Future<Output = Result<(P::Connection, String), PeerTransportError>>,
    ) -> Result<(LimitedConnection<P::Connection>, String), PeerTransportError> {
        let (connection, description) = made.await?;
        Ok((LimitedConnection { connection, link: Arc::clone(&self.link) }, description))
    }
}

impl<P: PeerTransport> PeerTransport for LimitedPeers<P> {
    type Connection = LimitedConnection<P::Connection>;

    async fn offer(&self, label: String) -> Result<(Self::Connection, String), PeerTransportError> {
        self.limited(self.transport.offer(label)).await
    }

    async fn answer(&self, offer_sdp: String) -> Result<(Self::Connection, String), PeerTransportError> {
        self.limited(self.transport.answer(offer_sdp)).await
    }
}

impl<C: PeerConnection> PeerConnection for LimitedConnection<C> {
    type Channel = LimitedChannel<C::Channel>;

    async fn accept_answer(&self, answer_sdp: String) -> Result<(), PeerTransportError> {
        self.connection.accept_answer(answer_sdp).await
    }

    async fn channel(&self) -> Result<Self::Channel, PeerTransportError> {
        Ok(LimitedChannel { channel: self.connection.channel().await?, link: Arc::clone(&self.link) })
    }
}

impl<C: DataChannel> DataChannel for LimitedChannel<C> {
    async fn send(&self, message: Bytes) -> Result<(), PeerTransportError> {
        pass(self.link.up.as_ref(), message.len()).await;
        self.channel.send(message).await
    }

    async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
        let message = self.channel.receive().await?;
        if let Some(message) = &message {
            pass(self.link.down.as_ref(), message.len()).await;
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Has everything at once: a response of so many bytes, and messages of 16 KiB without end.
    #[derive(Clone, Debug)]
    struct Endless(usize);

    impl HttpFetcher for Endless {
        type Body = Self;

        async fn fetch(&self, _: HttpRequest) -> Result<(HttpHead, Self), HttpError> {
            Ok((HttpHead::default(), self.clone()))
        }
    }

    impl HttpBody for Endless {
        async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
            let bytes = std::mem::take(&mut self.0);
            Ok((bytes > 0).then(|| Bytes::from(vec![1; bytes])))
        }
    }

    impl DataChannel for Endless {
        async fn send(&self, _: Bytes) -> Result<(), PeerTransportError> {
            Ok(())
        }

        async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
            Ok(Some(Bytes::from(vec![1; CHUNK_BYTES])))
        }
    }

    fn link(down: u64, up: u64, http_delay_ms: u64) -> Arc<Link> {
        let pacer = |rate| NonZeroU64::new(rate).map(Pacer::new);
        Arc::new(Link { down: pacer(down), up: pacer(up), http_delay: Duration::from_millis(http_delay_ms) })
    }

    async fn body_seconds(link: &Arc<Link>, bytes: usize) -> f64 {
        let began = Instant::now();
        let fetcher = LimitedHttp { fetcher: Endless(bytes), link: Arc::clone(link) };
        let (_, mut body) = fetcher.fetch(HttpRequest { url: "http://a.test/".into(), first: 0, last: None }).await.unwrap();
        let mut received = 0;
        while let Some(chunk) = body.chunk().await.unwrap() {
            assert!(chunk.len() <= CHUNK_BYTES);
            received += chunk.len();
        }
        assert_eq!(received, bytes);
        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn responses_and_messages_share_the_way_to_the_viewer() {
        let link = link(1 << 20, 0, 100);
        let alone = body_seconds(&link, 1 << 20).await;
        assert!((1.09..1.15).contains(&alone), "{alone}");
        let channel = LimitedChannel { channel: Endless(0), link: Arc::clone(&link) };
        let messages = async {
            for _ in 0..64 {
                channel.receive().await.unwrap();
            }
        };
        let began = Instant::now();
        let (response_s, ()) = tokio::join!(body_seconds(&link, 1 << 20), messages);
        let both_s = began.elapsed().as_secs_f64();
        assert!((1.95..2.15).contains(&both_s) && response_s > 1.8, "{both_s} {response_s}");
    }

    #[tokio::test(start_paused = true)]
    async fn channels_take_turns_on_the_way_from_the_viewer_and_commands_wait_for_nobody() {
        let link = link(0, 1 << 20, 0);
        let channel = LimitedChannel { channel: Endless(0), link };
        let send_media = async || {
            for _ in 0..32 {
                channel.send(Bytes::from(vec![1; CHUNK_BYTES])).await.unwrap();
            }
            Instant::now()
        };
        let began = Instant::now();
        let command = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let asked = Instant::now();
            channel.send(Bytes::from_static(b"cstr....cend")).await.unwrap();
            asked.elapsed()
        };
        let (first, second, waited) = tokio::join!(send_media(), send_media(), command);
        assert!((0.95..1.05).contains(&(second - began).as_secs_f64()) && (second - first).as_secs_f64() < 0.05);
        assert!(waited < Duration::from_millis(2), "{waited:?}");
    }
}
