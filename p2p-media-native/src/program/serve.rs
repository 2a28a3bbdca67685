//! `p2p-media serve`: a static origin for a folder of HLS and DASH files.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

use crate::origin_server::{LiveConfig, OriginConfig, OriginError, OriginServer};

/// Manifests printed at the start.
const MAX_PRINTED_MANIFESTS: usize = 10;

/// Options of `p2p-media serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Folder with HLS playlists, DASH manifests and their segments
    pub dir: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,

    /// Replay the HLS playlists as an endless live stream
    #[arg(long)]
    pub live: bool,

    /// How much of the live stream a playlist shows
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "live", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub window: u64,

    /// Limit on what all responses send together
    #[arg(long, value_name = "BYTES/S")]
    pub rate: Option<NonZeroU64>,

    /// Wait before every answer
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub latency: u64,
}

/// Serves until `shutdown` completes.
///
/// # Errors
/// When the folder cannot be served or the address cannot be listened on.
pub async fn run(args: ServeArgs, shutdown: impl Future<Output = ()>) -> Result<(), OriginError> {
    let config = OriginConfig {
        listen: args.listen,
        live: args.live.then(|| LiveConfig { window: Duration::from_secs(args.window), low_latency: None }),
        rate: args.rate,
        latency: Duration::from_millis(args.latency),
        ..OriginConfig::new(&args.dir)
    };
    let server = OriginServer::bind(config).await?;
    println!("Serving {} at {}{}", args.dir.display(), server.url(""), if args.live { " as a live stream" } else { "" });
    for path in server.manifests().iter().take(MAX_PRINTED_MANIFESTS) {
        println!("  {}", server.url(path));
    }
    if server.manifests().len() > MAX_PRINTED_MANIFESTS {
        println!("  and {} more", server.manifests().len() - MAX_PRINTED_MANIFESTS);
    }

    shutdown.await;
    let stats = server.stats();
    server.shutdown().await;
    println!("\nSent {} bytes of media in {} requests.", stats.segments.bytes, stats.segments.requests);
    Ok(())
}
