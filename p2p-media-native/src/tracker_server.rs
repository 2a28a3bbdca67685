//! A WebTorrent tracker over websockets: it introduces the viewers of a stream to each other and sees none of its bytes.
//!
//! Official peers (`bittorrent-tracker`'s client inside p2p-media-loader) and ours use it like any other WebTorrent tracker. The same port
//! answers `/stats.json` and `/metrics` (Prometheus text).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use p2p_media_native::tracker_server::{TrackerConfig, TrackerServer};
//!
//! let tracker = TrackerServer::bind(TrackerConfig { listen: "127.0.0.1:0".parse()?, ..TrackerConfig::default() }).await?.spawn();
//! println!("peers can announce to {}", tracker.url());
//! tracker.shutdown().await;
//! # Ok(()) }
//! ```

mod admission;
mod config;
mod connection;
mod frames;
mod http;
mod message;
mod outbox;
mod stats;
mod swarms;
mod tls;
mod tracker;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use config::{TlsFiles, TrackerConfig, TrackerLimits, TrackerServerError};
pub use stats::TrackerStats;

use tracker::Tracker;

/// How long connections may take to say goodbye once the server was asked to stop.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait before accepting again when the system refuses a connection (out of file descriptors, mostly).
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A tracker that has its port and is ready to run.
pub struct TrackerServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    tracker: Arc<Tracker>,
}

impl TrackerServer {
    /// Checks the configuration, reads the certificate and takes the port.
    ///
    /// # Errors
    /// [`TrackerServerError`] names the option at fault: a limit out of range, an unreadable certificate or key, a port in use.
    pub async fn bind(config: TrackerConfig) -> Result<Self, TrackerServerError> {
        config.validate()?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let in_use = |source| TrackerServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(in_use)?;
        let address = listener.local_addr().map_err(in_use)?;
        Ok(Self { listener, address, tls, tracker: Arc::new(Tracker::new(config)) })
    }

    /// The address that was taken; it has the real port when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a peer connects to, `ws://…` or `wss://…`.
    pub fn url(&self) -> String {
        url(self.address, self.tls.is_some())
    }

    /// Serves until `shutdown` completes, then closes every websocket with code 1001 (going away) and waits a few seconds for them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, tls, tracker, .. } = self;
        // Each connection holds a receiver: `closed()` below completes when the last one is gone.
        let (stop, stopped) = watch::channel(());
        let sweeper = tokio::spawn(tracker.clone().sweep_forever());
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => accept(&tracker, tls.as_ref(), stream, address, stopped.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
            }
        }
        drop(listener);
        sweeper.abort();
        tracker.close_all();
        drop(stopped);
        if tokio::time::timeout(SHUTDOWN_PATIENCE, stop.closed()).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
    }

    /// Runs the server in a task of its own.
    pub fn spawn(self) -> RunningTracker {
        let (stop, stopped) = oneshot::channel();
        let (address, url, tracker) = (self.address, self.url(), self.tracker.clone());
        let task = tokio::spawn(self.run(async {
            // An error means that the handle was dropped: that stops the server too.
            let _ = stopped.await;
        }));
        RunningTracker { address, url, tracker, stop, task }
    }
}

/// A tracker that runs in the background; dropping the handle stops it.
pub struct RunningTracker {
    address: SocketAddr,
    url: String,
    tracker: Arc<Tracker>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningTracker {
    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a peer connects to, `ws://…` or `wss://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What `/stats.json` says.
    pub fn stats(&self) -> TrackerStats {
        self.tracker.stats()
    }

    /// Closes every connection and returns when the port is free again.
    pub async fn shutdown(self) {
        // The server may have ended on its own: then nobody listens, and there is nothing to do.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the tracker ended with a panic");
        }
    }
}

fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "wss" } else { "ws" })
}

/// Starts the task of one connection, unless limits forbid even to talk to it.
fn accept(tracker: &Arc<Tracker>, tls: Option<&TlsAcceptor>, stream: TcpStream, address: SocketAddr, alive: watch::Receiver<()>) {
    let Some(admitted) = tracker.admission().arrive(address.ip()) else {
        tracker.counters().refused_connections.add(1);
        return;
    };
    // Offers are small and latency matters more than the number of packets. Failing to set it harms nobody.
    let _ = stream.set_nodelay(true);
    let tracker = tracker.clone();
    match tls.cloned() {
        None => drop(tokio::spawn(async move {
            http::serve(tracker, stream, admitted).await;
            drop(alive);
        })),
        Some(acceptor) => drop(tokio::spawn(async move {
            match tokio::time::timeout(http::HANDSHAKE_TIMEOUT, Box::pin(acceptor.accept(stream))).await {
                Ok(Ok(stream)) => http::serve(tracker, stream, admitted).await,
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
            drop(alive);
        })),
    }
}
