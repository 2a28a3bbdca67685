//! `cargo xtask bench tracker`: memory per idle peer and announces a second of our tracker, with bittorrent-tracker beside it.

mod load;
mod server_process;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use load::{Load, LoadError};
use server_process::{ServerError, ServerProcess};

/// The version of bittorrent-tracker to compare with.
const BITTORRENT_TRACKER: &str = "bittorrent-tracker@11.2.3";

/// How long an idle server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Saturated time before the measurement starts.
const WARM_UP: Duration = Duration::from_secs(2);

/// Most memory an idle peer of our tracker may take, in KiB.
const TARGET_KIB_PER_PEER: f64 = 16.0;

/// Measure the tracker: memory per idle peer, and announces a second at saturation.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchTrackerArgs {
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Idle peers.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub peers: usize,

    /// Peers of a swarm.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub swarm_size: usize,

    /// Peers that announce as fast as they are served.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub busy_peers: usize,

    /// Seconds of saturation that are measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u32,

    /// The script that starts bittorrent-tracker, for comparison.
    #[arg(long, value_name = "FILE", default_value = "xtask/bench/bittorrent-tracker.mjs")]
    pub bittorrent_tracker: PathBuf,

    /// Where bittorrent-tracker is installed, by npm, when it is not there yet.
    #[arg(long, value_name = "DIR", default_value = "target/bench/bittorrent-tracker")]
    pub install_dir: PathBuf,
}

/// Why the bench has no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchTrackerError {
    /// A tracker did not start, or ended early.
    #[error("{tracker}: {reason}")]
    Server {
        /// Which tracker.
        tracker: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// A tracker did not serve the load.
    #[error("{tracker}: the load could not be put on it: {reason}")]
    Load {
        /// Which tracker.
        tracker: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The figures cannot be written.
    #[error("--json {}: {source}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// All figures of one run.
#[derive(Debug, Serialize)]
struct Report {
    idle_peers: usize,
    swarm_size: usize,
    busy_peers: usize,
    offers_per_announce: usize,
    offer_bytes: usize,
    /// Server on one core, load on another.
    pinned: bool,
    trackers: Vec<Figures>,
    skipped: Vec<Skipped>,
    target_kib_per_peer: f64,
    passed: bool,
}

/// The figures of one tracker.
#[derive(Debug, Serialize)]
struct Figures {
    tracker: &'static str,
    rss_before_kib: u64,
    rss_idle_kib: u64,
    kib_per_idle_peer: f64,
    announces_per_second: f64,
    announces_per_cpu_second: f64,
    /// Announces of which the reply or an answer did not come in time.
    announces_lost: u64,
    server_cpu_percent: f64,
    load_cpu_percent: f64,
}

#[derive(Debug, Serialize)]
struct Skipped {
    tracker: &'static str,
    reason: String,
}

/// Runs the bench and prints the figures.
///
/// # Errors
/// When our own tracker cannot be measured. One to compare with that is not there is only skipped.
pub async fn bench(args: BenchTrackerArgs) -> Result<(), BenchTrackerError> {
    super::tracker::raise_open_files();
    let pinned = server_process::pin_self();
    let mut trackers = vec![measure("p2p-media", ServerProcess::ours(args.peers.max(args.busy_peers), pinned).await, &args).await?];
    let mut skipped = Vec::new();
    let theirs = match server_process::install(BITTORRENT_TRACKER, &args.install_dir).await {
        Ok(()) => ServerProcess::node(&args.bittorrent_tracker, &args.install_dir, pinned).await,
        Err(error) => Err(error),
    };
    match theirs {
        Ok(server) => trackers.push(measure("bittorrent-tracker", Ok(server), &args).await?),
        Err(error) => skipped.push(Skipped { tracker: "bittorrent-tracker", reason: error.to_string() }),
    }
    let ours = &trackers[0];
    let passed = ours.kib_per_idle_peer <= TARGET_KIB_PER_PEER
        && trackers.iter().all(|other| ours.announces_per_second >= other.announces_per_second);
    let report = Report {
        idle_peers: args.peers,
        swarm_size: args.swarm_size,
        busy_peers: args.busy_peers,
        offers_per_announce: load::OFFERS_PER_ANNOUNCE,
        offer_bytes: load::OFFER_BYTES,
        pinned,
        trackers,
        skipped,
        target_kib_per_peer: TARGET_KIB_PER_PEER,
        passed,
    };
    print(&report);
    if let Some(file) = args.json {
        let json = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from);
        json.and_then(|json| std::fs::write(&file, json)).map_err(|source| BenchTrackerError::Json { file, source })?;
    }
    Ok(())
}

async fn measure(
    tracker: &'static str,
    server: Result<ServerProcess, ServerError>,
    args: &BenchTrackerArgs,
) -> Result<Figures, BenchTrackerError> {
    let server_error = |error: ServerError| BenchTrackerError::Server { tracker, reason: error.to_string() };
    let load_error = |error: LoadError| BenchTrackerError::Load { tracker, reason: error.to_string() };
    let mut server = server.map_err(server_error)?;

    eprintln!("{tracker}: {} idle peers …", args.peers);
    let rss_before_kib = server.rss_kib().map_err(server_error)?;
    let idle = Load::connect(server.address(), args.peers, args.swarm_size, true).await.map_err(load_error)?;
    server.collect_garbage().await;
    tokio::time::sleep(SETTLE).await;
    let rss_idle_kib = server.rss_kib().map_err(server_error)?;
    idle.end();

    eprintln!("{tracker}: {} busy peers for {} s …", args.busy_peers, args.seconds);
    server.restart().await.map_err(server_error)?;
    let busy = Load::connect(server.address(), args.busy_peers, args.swarm_size, false).await.map_err(load_error)?;
    busy.announce_without_pause();
    tokio::time::sleep(WARM_UP).await;
    let (started, server_before, load_before) = (std::time::Instant::now(), server.cpu_seconds(), server_process::own_cpu_seconds());
    let before = busy.progress();
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let after = busy.progress();
    let (seconds, server_after, load_after) = (started.elapsed().as_secs_f64(), server.cpu_seconds(), server_process::own_cpu_seconds());
    busy.end();
    let server_cpu = server_after.map_err(server_error)? - server_before.map_err(server_error)?;
    let load_cpu = load_after.map_err(server_error)? - load_before.map_err(server_error)?;
    let announces = (after.completed - before.completed) as f64;
    Ok(Figures {
        tracker,
        rss_before_kib,
        rss_idle_kib,
        kib_per_idle_peer: rss_idle_kib.saturating_sub(rss_before_kib) as f64 / args.peers.max(1) as f64,
        announces_per_second: announces / seconds,
        announces_per_cpu_second: announces / server_cpu.max(0.01),
        announces_lost: after.lost - before.lost,
        server_cpu_percent: server_cpu / seconds * 100.0,
        load_cpu_percent: load_cpu / seconds * 100.0,
    })
}

fn print(report: &Report) {
    println!(
        "{} idle peers in swarms of {}; then {} peers, announces with {} offers of {} bytes, each answered{}",
        report.idle_peers,
        report.swarm_size,
        report.busy_peers,
        report.offers_per_announce,
        report.offer_bytes,
        if report.pinned { "; server on one core, load on another" } else { "; not pinned to cores" }
    );
    println!(
        "{:<20} {:>13} {:>12} {:>15} {:>6} {:>11} {:>9}",
        "tracker", "KiB/idle peer", "announces/s", "announces/CPU s", "lost", "server CPU", "load CPU"
    );
    for figures in &report.trackers {
        println!(
            "{:<20} {:>13.1} {:>12.0} {:>15.0} {:>6} {:>10.0}% {:>8.0}%",
            figures.tracker,
            figures.kib_per_idle_peer,
            figures.announces_per_second,
            figures.announces_per_cpu_second,
            figures.announces_lost,
            figures.server_cpu_percent,
            figures.load_cpu_percent
        );
    }
    for skipped in &report.skipped {
        println!("{:<20} skipped: {}", skipped.tracker, skipped.reason);
    }
    let verdict = if report.passed { "holds" } else { "is missed" };
    println!("target (at most {} KiB, no fewer announces/s than any other): {verdict}", report.target_kib_per_peer);
}
