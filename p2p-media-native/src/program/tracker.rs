//! `p2p-media tracker`: a WebTorrent tracker that introduces the viewers of a stream to each other.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::tracker_server::{TlsFiles, TrackerConfig, TrackerLimits, TrackerServer, TrackerServerError};

/// Run a WebTorrent tracker (ws, or wss with a certificate).
///
/// Players, official p2p-media-loader pages included, name it as ws://HOST:PORT. The same port answers /stats.json and /metrics.
#[derive(Debug, Clone, clap::Args)]
pub struct TrackerArgs {
    /// Address and port to listen on; `0.0.0.0:8000` or `[::]:8000` lets other machines in, port 0 takes any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// Certificate chain in PEM form: makes it a wss tracker.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM form.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// Seconds between announces that peers are asked for; silent ones are dropped after 2.5 to 3 times that.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub interval: u32,

    /// Seconds of silence after which a connection is pinged, and after as many again closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub ping_interval: u32,

    /// Take peers' addresses from X-Forwarded-For; only behind a proxy that always writes it.
    #[arg(long)]
    pub behind_proxy: bool,

    /// Connections in all.
    #[arg(long, value_name = "N", default_value_t = TrackerLimits::default().connections)]
    pub max_connections: usize,

    /// Connections from one IPv4 address or IPv6 /64 network.
    #[arg(long, value_name = "N", default_value_t = TrackerLimits::default().connections_per_address)]
    pub connections_per_address: usize,

    /// Swarms in all.
    #[arg(long, value_name = "N", default_value_t = TrackerLimits::default().swarms)]
    pub max_swarms: usize,

    /// Swarms that one connection may be in.
    #[arg(long, value_name = "N", default_value_t = TrackerLimits::default().swarms_per_connection)]
    pub swarms_per_connection: usize,

    /// Bytes of the largest message that is accepted.
    #[arg(long, value_name = "BYTES", default_value_t = TrackerLimits::default().message_bytes)]
    pub max_message_bytes: usize,

    /// Offers relayed per announce.
    #[arg(long, value_name = "N", default_value_t = TrackerLimits::default().offers_per_announce)]
    pub max_offers: usize,

    /// Bytes that may wait for a slow reader before messages to it are dropped.
    #[arg(long, value_name = "BYTES", default_value_t = TrackerLimits::default().outbox_bytes)]
    pub max_outbox_bytes: usize,
}

/// Runs the tracker until `shutdown` completes.
///
/// # Errors
/// The option at fault: a port in use, an unreadable certificate, a limit of zero.
pub async fn run(args: TrackerArgs, shutdown: impl Future<Output = ()>) -> Result<(), TrackerServerError> {
    raise_open_files();
    let server = TrackerServer::bind(args.into()).await?;
    // Whoever started it may not want to read it.
    let _ = writeln!(std::io::stdout(), "tracker: {}", server.url());
    server.run(shutdown).await;
    Ok(())
}

impl From<TrackerArgs> for TrackerConfig {
    fn from(args: TrackerArgs) -> Self {
        let tls = args.cert.zip(args.key).map(|(certificate, key)| TlsFiles { certificate, key });
        Self {
            listen: args.listen,
            tls,
            announce_interval: Duration::from_secs(args.interval.into()),
            ping_interval: Duration::from_secs(args.ping_interval.into()),
            behind_proxy: args.behind_proxy,
            limits: TrackerLimits {
                message_bytes: args.max_message_bytes,
                offers_per_announce: args.max_offers,
                connections: args.max_connections,
                connections_per_address: args.connections_per_address,
                swarms: args.max_swarms,
                swarms_per_connection: args.swarms_per_connection,
                outbox_bytes: args.max_outbox_bytes,
            },
        }
    }
}

/// Every connection is an open file, and many systems allow 1,024 of them unless asked for more.
pub(super) fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "open files allowed"),
        Err(error) => tracing::warn!(%error, "cannot raise the number of open files: connections may be refused early"),
    }
}
