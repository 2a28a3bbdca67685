//! The gateway: a local HTTP server through which any player shares its streams with other viewers.
//!
//! The path carries the origin, `/https/host[:port]/path?query`, so that relative URLs work as they are. Manifests, HLS and DASH, known by their
//! content, pass through byte for byte but for URLs that would lead past the gateway, and tell the engine of their segments; segments come from
//! the engine, from peers or the origin, and stream to the player while they arrive; everything else passes through untouched. Where playback
//! stands is inferred from what players ask for (see `viewers`).
//!
//! - A stream is shared from when its media playlist is read (HLS), or one of its segments is asked for (DASH): swarms are joined for what is
//!   played.
//! - A live DASH stream goes on by the clock of its origin, which the `Date` of the MPD tells, and by what players ask for: who asks for a segment
//!   knows that it is there. MPD patches that players fetch are applied here, too.
//! - A segment index (`sidx`) is fetched when a player begins to play from its file; until it is there, or if it is none, requests pass through.
//!   Initialization segments and indexes always do.
//! - A player that reads a file of segments from end to end is given the segments by the engine, one after the other, and the rest by the
//!   origin: it shares as others do.
//! - Parts of a segment (low-latency HLS) and segments that are not finished (low-latency DASH) are sent on while they come, without a length.
//!   Ranges of them whose end is open are the origin's to answer.
//!
//! It is no open proxy: it fetches from the origins that it was given, and from those that their manifests name. It listens on loopback
//! unless told otherwise, and answers only to names of its own.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use p2p_media_native::gateway::{GatewayConfig, GatewayServer};
//!
//! let stream = "https://example.com/live/master.m3u8";
//! let gateway = GatewayServer::bind(GatewayConfig { urls: vec![stream.to_owned()], ..GatewayConfig::default() }).await?;
//! println!("open {}", gateway.url_of(stream)?);
//! gateway.shutdown().await;
//! # Ok(()) }
//! ```

mod access;
mod dash_streams;
mod figures;
mod headers;
mod hls_streams;
mod indexes;
mod manifest_kind;
mod manifests;
mod origin_path;
mod presentation;
mod presentations;
mod ranged_resources;
mod requested_range;
mod router;
mod row;
mod segment_table;
mod segments;
mod server_clock;
mod upstream;
mod viewers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use p2p_media_core::config::{Config, ConfigError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

use crate::backend::{BackendError, NativeBackend};
use crate::http_fetcher::ReqwestFetcher;
use crate::segment_storage::{DiskStorage, StorageChoice};
use access::{AllowedOrigins, OwnNames};
use figures::{Counters, Figures};
use presentations::Presentations;
use ranged_resources::RangedResources;

/// Port that the program listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 8091;
/// A session that no player has used for this long leaves its swarms.
pub const DEFAULT_IDLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Requests answered at one time. A player has few.
const MAX_REQUESTS_UNDER_WAY: usize = 1024;
/// How often unused sessions are looked for, at most.
const IDLE_CHECK: Duration = Duration::from_secs(10);
/// Time that responses under way have to end when the gateway is shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// What the gateway serves, and to whom.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one. Default: port [`DEFAULT_PORT`] of the loopback interface.
    pub listen: SocketAddr,
    /// Streams to serve: their origins, and those that their manifests name, may be fetched from.
    pub urls: Vec<String>,
    /// Fetch from any origin. Whoever can reach the gateway can then reach whatever this machine can.
    pub allow_any_origin: bool,
    /// Names besides addresses and `localhost` by which players may ask for the gateway.
    pub public_names: Vec<String>,
    /// Options of the engine. The storage limit is that of all sessions together.
    pub engine: Config,
    /// Keeps segments in files below this folder, in place of memory.
    pub cache_dir: Option<PathBuf>,
    /// A session that no player has used for this long leaves its swarms. Default: [`DEFAULT_IDLE_LIMIT`].
    pub idle_limit: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            urls: Vec::new(),
            allow_any_origin: false,
            public_names: Vec::new(),
            engine: Config::default(),
            cache_dir: None,
            idle_limit: DEFAULT_IDLE_LIMIT,
        }
    }
}

/// Why a gateway cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The caller's fault: not a URL of a stream.
    #[error("{0}: not an http or https URL")]
    InvalidUrl(String),
    /// The caller's fault: an option out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder for the cache cannot be used.
    #[error("{0}")]
    CacheFolder(String),
    /// The platform: TLS, or an ICE server that is none.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Something else listens there.
    #[error("cannot listen on {0}: the port is in use")]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A running gateway. Stops when dropped, without a farewell to its swarms: see [`GatewayServer::shutdown`].
#[derive(Debug)]
pub struct GatewayServer {
    local_addr: SocketAddr,
    gateway: Arc<Gateway>,
    /// Becomes true, or is dropped, to stop the server and the responses under way.
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    ending_unused: JoinHandle<()>,
}

/// What every request needs.
#[derive(Debug)]
struct Gateway {
    origins: AllowedOrigins,
    own_names: OwnNames,
    http: ReqwestFetcher,
    presentations: Presentations,
    resources: RangedResources,
    counters: Counters,
    places: Arc<Semaphore>,
    begun: Instant,
    closed: watch::Receiver<bool>,
}

impl GatewayServer {
    /// Checks the configuration and begins to serve. Streams are opened when players ask for them.
    ///
    /// # Errors
    /// [`GatewayError`] names the option at fault, or the port in use.
    pub async fn bind(config: GatewayConfig) -> Result<Self, GatewayError> {
        config.engine.validate()?;
        let urls = config.urls.iter().map(|url| stream_url(url)).collect::<Result<Vec<_>, _>>()?;
        if let Some(dir) = config.cache_dir.clone() {
            let opened = tokio::task::spawn_blocking(move || DiskStorage::open(&dir).map(drop)).await;
            let unusable = |error: &dyn std::fmt::Display| GatewayError::CacheFolder(error.to_string());
            opened.map_err(|error| unusable(&error))?.map_err(|error| unusable(&error))?;
        }
        // What would fail with every session fails here.
        drop(NativeBackend::new(&config.engine.ice_servers, StorageChoice::default())?);
        let http = ReqwestFetcher::new().map_err(BackendError::from)?;

        let cannot_listen = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => GatewayError::PortInUse(config.listen),
            _ => GatewayError::Listen { listen: config.listen, source },
        };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let local_addr = listener.local_addr().map_err(cannot_listen)?;

        let (closing, closed) = watch::channel(false);
        let gateway = Arc::new(Gateway {
            origins: if config.allow_any_origin { AllowedOrigins::any() } else { AllowedOrigins::of(urls.iter()) },
            own_names: OwnNames::new(local_addr.ip(), &config.public_names),
            presentations: Presentations::new(config.engine, config.cache_dir, http.clone()),
            resources: RangedResources::default(),
            http,
            counters: Counters::default(),
            places: Arc::new(Semaphore::new(MAX_REQUESTS_UNDER_WAY)),
            begun: Instant::now(),
            closed: closed.clone(),
        });
        // Segments are long, requests short: there is nothing to be gained by waiting for more to send. Failing to set it harms nobody.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = axum::serve(listener, router::router(Arc::clone(&gateway))).with_graceful_shutdown(until_closed(closed));
        let accepting = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the gateway has stopped");
            }
        });
        let ending_unused = tokio::spawn(end_unused(Arc::clone(&gateway), config.idle_limit));
        Ok(Self { local_addr, gateway, closing, accepting, ending_unused })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What a player opens in place of the URL of a stream, on this machine.
    ///
    /// # Errors
    /// When it is no http or https URL.
    pub fn url_of(&self, url: &str) -> Result<String, GatewayError> {
        let path = origin_path::gateway_path(&stream_url(url)?).ok_or_else(|| GatewayError::InvalidUrl(url.to_owned()))?;
        Ok(format!("http://{}{path}", reachable(self.local_addr)))
    }

    /// What `/stats` says.
    pub async fn stats(&self) -> Value {
        self.gateway.figures().await.json()
    }

    /// Stops accepting, breaks off the responses under way, and leaves all swarms; the trackers hear of it. Takes a second or two.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        self.ending_unused.abort();
        let served = tokio::time::timeout(SHUTDOWN_GRACE, &mut self.accepting);
        let (served, ()) = tokio::join!(served, self.gateway.presentations.end_all());
        if served.is_err() {
            self.accepting.abort();
        }
    }
}

impl Drop for GatewayServer {
    fn drop(&mut self) {
        self.ending_unused.abort();
    }
}

impl Gateway {
    async fn figures(&self) -> Figures {
        let under_way = MAX_REQUESTS_UNDER_WAY - self.places.available_permits().min(MAX_REQUESTS_UNDER_WAY);
        Figures::take(&self.counters, &self.presentations, self.begun, under_way).await
    }
}

/// Completes when the server is shut down or gone.
async fn until_closed(mut closed: watch::Receiver<bool>) {
    // An error says that the sender is gone.
    let _ = closed.wait_for(|closed| *closed).await;
}

async fn end_unused(gateway: Arc<Gateway>, limit: Duration) {
    let mut check = tokio::time::interval(IDLE_CHECK.min(limit.max(Duration::from_millis(20)) / 2));
    loop {
        check.tick().await;
        gateway.presentations.end_unused(limit).await;
    }
}

fn stream_url(url: &str) -> Result<Url, GatewayError> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| GatewayError::InvalidUrl(url.to_owned()))
}

/// An address that a player on this machine can connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    address
}
