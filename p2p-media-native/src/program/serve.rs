//! `p2p-media serve`: a static origin for a folder of HLS and DASH files.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

use crate::origin_server::{LiveConfig, LowLatency, OriginConfig, OriginError, OriginServer};

/// Manifests printed at the start.
const MAX_PRINTED_MANIFESTS: usize = 10;

/// Sensible lengths of a part.
const PART_SECONDS: std::ops::RangeInclusive<f64> = 0.05..=10.0;

/// Options of `p2p-media serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Folder with HLS playlists, DASH manifests and their segments
    pub dir: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,

    /// Replay the manifests as endless live streams
    #[arg(long)]
    pub live: bool,

    /// How much of the live stream a manifest shows
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "live", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub window: u64,

    /// Offer segments while they are being recorded: LL-HLS with parts, LL-DASH with chunks
    #[arg(long, requires = "live")]
    pub low_latency: bool,

    /// How long a part lasts at most
    #[arg(long, value_name = "SECONDS", default_value = "0.333", requires = "low_latency", value_parser = parse_part)]
    pub part: Duration,

    /// LL-HLS: parts are byte ranges of their segment and have no URLs of their own
    #[arg(long, requires = "low_latency")]
    pub byte_ranges: bool,

    /// Limit on what all responses send together
    #[arg(long, value_name = "BYTES/S")]
    pub rate: Option<NonZeroU64>,

    /// Wait before every answer
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub latency: u64,
}

impl ServeArgs {
    fn live(&self) -> Option<LiveConfig> {
        let low_latency = self.low_latency.then_some(LowLatency { part: self.part, byte_ranges: self.byte_ranges });
        self.live.then(|| LiveConfig { window: Duration::from_secs(self.window), low_latency })
    }
}

/// Serves until `shutdown` completes.
///
/// # Errors
/// When the folder cannot be served or the address cannot be listened on.
pub async fn run(args: ServeArgs, shutdown: impl Future<Output = ()>) -> Result<(), OriginError> {
    let config = OriginConfig {
        listen: args.listen,
        live: args.live(),
        rate: args.rate,
        latency: Duration::from_millis(args.latency),
        ..OriginConfig::new(&args.dir)
    };
    let server = OriginServer::bind(config).await?;
    println!("Serving {} at {}{}", args.dir.display(), server.url(""), how(&args));
    for path in server.manifests().iter().take(MAX_PRINTED_MANIFESTS) {
        let left = if server.not_replayed().iter().any(|left| left.path == *path) { " (not live)" } else { "" };
        println!("  {}{left}", server.url(path));
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

/// What a live replay is like, in words.
fn how(args: &ServeArgs) -> String {
    match (args.live, args.low_latency) {
        (false, _) => String::new(),
        (true, false) => format!(" as a live stream (window {} s)", args.window),
        (true, true) => format!(
            " as a low-latency live stream (window {} s, parts of {} s{})",
            args.window,
            args.part.as_secs_f64(),
            if args.byte_ranges { " as byte ranges" } else { "" }
        ),
    }
}

/// The length of a part in seconds.
fn parse_part(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    if !PART_SECONDS.contains(&seconds) {
        return Err(format!("between {} and {}", PART_SECONDS.start(), PART_SECONDS.end()));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
