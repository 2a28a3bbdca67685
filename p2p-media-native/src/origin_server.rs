//! A static HTTP origin for a folder of HLS and DASH files, for trying things out: CORS, byte ranges, traffic by kind of file, and a
//! replay of VOD playlists as live ones.

mod catalogue;
mod dash_replay;
mod dash_text;
mod fmp4_parts;
pub(crate) mod fmp4_samples;
mod fmp4_time;
mod live;
mod live_response;
mod live_text;
pub(crate) mod mp4_box;
mod mpeg_ts;
mod parts;
mod passes;
mod playlist;
mod production;
mod replay;
mod respond;
mod stats;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU64,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::serve::ListenerExt as _;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use catalogue::Catalogue;
use live_response::LiveReplay;
use replay::Replay;
use respond::Origin;
pub use stats::{FileKind, FileTraffic, OriginStats, Traffic};

use crate::pacer::Pacer;

/// Time that responses under way have to end when the server is shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// What to serve, and how.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// The folder. Files whose path has a part that begins with a dot are not served.
    pub dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Replay the manifests of the folder as live ones.
    pub live: Option<LiveConfig>,
    /// Bytes per second that all responses share.
    pub rate: Option<NonZeroU64>,
    /// Added before every answer.
    pub latency: Duration,
}

impl OriginConfig {
    /// Serves `dir` as it is, on a free port of the loopback interface.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { dir: dir.into(), listen, live: None, rate: None, latency: Duration::ZERO }
    }
}

/// How HLS playlists and static DASH manifests are replayed as live ones.
///
/// The media begin one window before the server does and are repeated without end, with a discontinuity at each seam of HLS. A segment can
/// be had, and is listed, from the moment at which it would have been recorded whole; with low latency from when its first part would have
/// been. Fragmented MP4 segments are moved in time, so that the passes follow each other; the times in MPEG-TS segments begin anew. DASH
/// manifests of one period with SegmentTemplate become dynamic ones of one continuous timeline; see [`OriginServer::not_replayed`] for the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// How much a manifest shows; three target durations at least.
    pub window: Duration,
    /// Offer segments in parts while they are being recorded.
    pub low_latency: Option<LowLatency>,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self { window: Duration::from_secs(30), low_latency: None }
    }
}

/// How segments are offered before they have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowLatency {
    /// The part target duration.
    pub part: Duration,
    /// HLS: parts are byte ranges of their segment and have no URLs of their own.
    pub byte_ranges: bool,
}

impl Default for LowLatency {
    fn default() -> Self {
        Self { part: Duration::from_millis(333), byte_ranges: false }
    }
}

/// A DASH manifest that is served as it is, although a live replay was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReplayed {
    /// Its path below the folder.
    pub path: String,
    /// Why it cannot be replayed.
    pub reason: String,
}

/// Why an origin cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// The folder, or a folder below it, cannot be read.
    #[error("cannot read the folder {}: {source}", dir.display())]
    UnreadableFolder {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A live replay was asked for, but the folder has no HLS media playlist and no DASH manifest that can be replayed.
    #[error("no HLS media playlist (.m3u8) or DASH manifest (.mpd) to replay in {}{reasons}", dir.display())]
    NothingToReplay {
        /// The folder.
        dir: PathBuf,
        /// The DASH manifests that there are, and why each cannot be replayed.
        reasons: String,
    },
    /// A playlist that should be replayed is not valid.
    #[error("{}: {reason}", path.display())]
    MalformedPlaylist {
        /// The playlist.
        path: PathBuf,
        /// The line, and what is wrong with it.
        reason: String,
    },
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

/// A running origin. Stops when dropped.
#[derive(Debug)]
pub struct OriginServer {
    local_addr: SocketAddr,
    origin: Arc<Origin>,
    /// Becomes true, or is dropped, to stop the server and the responses under way.
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl OriginServer {
    /// Reads the folder's manifests and begins to serve it.
    ///
    /// # Errors
    /// When the folder cannot be read, holds nothing to replay although [`OriginConfig::live`] is given, or the address is not free.
    pub async fn bind(config: OriginConfig) -> Result<Self, OriginError> {
        let dir = config.dir.clone();
        let scan = tokio::task::spawn_blocking(move || {
            let catalogue = Catalogue::scan(&dir)?;
            let replay = config.live.map(|live| Replay::of(&catalogue, &dir, &live)).transpose()?;
            Ok((catalogue, replay))
        });
        let stopped = |error| OriginError::UnreadableFolder { dir: config.dir.clone(), source: io::Error::other(error) };
        let (catalogue, replay) = scan.await.map_err(stopped)??;

        let listener = TcpListener::bind(config.listen).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => OriginError::PortInUse(config.listen),
            _ => OriginError::Listen { listen: config.listen, source },
        })?;
        let local_addr = listener.local_addr().map_err(|source| OriginError::Listen { listen: config.listen, source })?;

        let (closing, closed) = watch::channel(false);
        let replay = replay.map(LiveReplay::begin);
        let origin = Arc::new(Origin::new(&config.dir, catalogue, replay, config.rate.map(Pacer::new), config.latency, closed.clone()));
        // Parts and playlists are small: none waits for more to send. Failing to set it harms nobody.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = axum::serve(listener, respond::router(origin.clone())).with_graceful_shutdown(respond::until_closed(closed));
        let accepting = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the origin server has stopped");
            }
        });
        Ok(Self { local_addr, origin, closing, accepting })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The URL of a path below the folder, percent-encoded; the server's own page for the empty path.
    pub fn url(&self, path: &str) -> String {
        let mut address = self.local_addr;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
        }
        format!("http://{address}/{}", respond::encode_path(path))
    }

    /// Paths of the manifests below the folder: multivariant playlists and DASH manifests first, then media playlists.
    pub fn manifests(&self) -> &[String] {
        self.origin.manifests()
    }

    /// DASH manifests that cannot be replayed and are served as they are.
    pub fn not_replayed(&self) -> &[NotReplayed] {
        self.origin.not_replayed()
    }

    /// What was sent so far.
    pub fn stats(&self) -> OriginStats {
        self.origin.stats()
    }

    /// Stops accepting, breaks off the responses under way, and waits until that is done.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut self.accepting).await.is_err() {
            self.accepting.abort();
        }
    }
}
