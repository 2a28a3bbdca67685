//! `cargo xtask bench memory`: what gateways occupy while an hour of video goes through them as fast as it can.
//!
//! Each gateway is a process of its own, with a cache much smaller than the stream; they share what they have over WebRTC. Every byte that
//! comes out is compared with the origin's.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use crate::http_fetcher::ReqwestFetcher;
use crate::tracker_server::{TrackerConfig, TrackerServer};

/// Playing time of a segment.
const SEGMENT_S: u64 = 2;
/// Length of the random bytes of which every segment is made, beginning at another place in each.
const NOISE_BYTES: usize = 1 << 20;
/// Most memory that a gateway with the default options of this bench may occupy.
const TARGET_MIB: f64 = 400.0;
/// How long a gateway may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// Longest time without a byte.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Measure the memory of gateways through which an hour of video goes.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchMemoryArgs {
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Length of the stream.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub minutes: u64,

    /// Bit rate of the stream.
    #[arg(long, value_name = "MBIT/S", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub megabits: u64,

    /// Cache of each gateway.
    #[arg(long, value_name = "BYTES", default_value = "256MiB")]
    pub cache_size: String,

    /// Gateways with a player each; more than one share the stream over WebRTC.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=16))]
    pub gateways: u64,
}

/// Why the bench has no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchMemoryError {
    /// The origin or the tracker could not be started.
    #[error("cannot serve the stream: {0}")]
    Serve(String),
    /// A gateway did not start, or ended early.
    #[error("gateway: {0}")]
    Gateway(String),
    /// A player did not get what the origin has.
    #[error("player: {0}")]
    Player(String),
    /// The report cannot be written.
    #[error("--json {path}: {source}")]
    Report {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryReport {
    /// Bytes of the whole stream.
    pub stream_bytes: u64,
    /// Cache of each gateway, as given.
    pub cache_size: String,
    /// How long it took.
    pub seconds: f64,
    /// Segment bytes that the origin sent.
    pub origin_bytes: u64,
    /// Each gateway.
    pub gateways: Vec<GatewayMemory>,
    /// Most memory that was to be occupied.
    pub target_mib: f64,
    /// True when no gateway occupied more.
    pub passed: bool,
}

/// One gateway.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayMemory {
    /// Most memory that it ever occupied (VmHWM).
    pub peak_mib: f64,
    /// Memory at the end (VmRSS).
    pub final_mib: f64,
    /// Bytes in its cache at the end.
    pub stored_bytes: u64,
    /// Media bytes from the origin.
    pub http_bytes: u64,
    /// Media bytes from other gateways.
    pub p2p_bytes: u64,
}

/// Runs the bench and prints the figures.
///
/// # Errors
/// When something did not start, or a player got other bytes than the origin has.
pub async fn bench(args: BenchMemoryArgs) -> Result<MemoryReport, BenchMemoryError> {
    let serve_failed = |error: &dyn std::fmt::Display| BenchMemoryError::Serve(error.to_string());
    let film = Arc::new(Film::new(args.minutes, args.megabits));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| serve_failed(&error))?;
    let manifest = format!("http://{}/film.m3u8", listener.local_addr().map_err(|error| serve_failed(&error))?);
    let origin = Router::new().route("/film.m3u8", get(playlist)).route("/{segment}", get(segment)).with_state(Arc::clone(&film));
    let serving = tokio::spawn(async move { axum::serve(listener, origin).await });
    let config = TrackerConfig { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..TrackerConfig::default() };
    let tracker = TrackerServer::bind(config).await.map_err(|error| serve_failed(&error))?.spawn();

    let started = Instant::now();
    let mut gateways = Vec::new();
    for _ in 0..args.gateways {
        gateways.push(GatewayProcess::start(&manifest, tracker.url(), &args.cache_size).await?);
    }
    let players = gateways.iter().map(|gateway| play(&film, &gateway.url));
    futures::future::try_join_all(players).await?;
    let seconds = started.elapsed().as_secs_f64();
    let measured = futures::future::try_join_all(gateways.iter().map(GatewayProcess::measure)).await?;
    tracker.shutdown().await;
    serving.abort();

    let passed = measured.iter().all(|gateway| gateway.peak_mib <= TARGET_MIB);
    let report = MemoryReport {
        stream_bytes: film.segments * film.segment_bytes,
        cache_size: args.cache_size,
        seconds,
        origin_bytes: film.sent_bytes.load(Relaxed),
        gateways: measured,
        target_mib: TARGET_MIB,
        passed,
    };
    print(&report, &args.minutes);
    if let Some(path) = args.json {
        let failed = |source| BenchMemoryError::Report { path: path.display().to_string(), source };
        let json = serde_json::to_string_pretty(&report).map_err(|error| failed(error.into()))?;
        std::fs::write(&path, json + "\n").map_err(failed)?;
    }
    Ok(report)
}

fn print(report: &MemoryReport, minutes: &u64) {
    println!(
        "{minutes} minutes, {:.1} GB through each of {} gateways with a cache of {}, in {:.0} s; the origin sent {:.1} GB",
        report.stream_bytes as f64 / 1e9,
        report.gateways.len(),
        report.cache_size,
        report.seconds,
        report.origin_bytes as f64 / 1e9
    );
    println!("{:>8} {:>10} {:>10} {:>10} {:>10} {:>10}", "gateway", "peak MiB", "end MiB", "cache MiB", "HTTP MB", "P2P MB");
    for (number, gateway) in report.gateways.iter().enumerate() {
        println!(
            "{:>8} {:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>10.0}",
            number + 1,
            gateway.peak_mib,
            gateway.final_mib,
            gateway.stored_bytes as f64 / f64::from(1 << 20),
            gateway.http_bytes as f64 / 1e6,
            gateway.p2p_bytes as f64 / 1e6
        );
    }
    println!("target (at most {} MiB each): {}", report.target_mib, if report.passed { "holds" } else { "is missed" });
}

/// A stream that costs nothing to make.
#[derive(Debug)]
struct Film {
    segments: u64,
    segment_bytes: u64,
    /// The noise twice, so that every piece of its length is contiguous.
    noise: Bytes,
    sent_bytes: AtomicU64,
}

impl Film {
    fn new(minutes: u64, megabits: u64) -> Self {
        let mut noise = vec![0; NOISE_BYTES];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        noise.extend_from_within(..);
        let (segments, segment_bytes) = (minutes * 60 / SEGMENT_S, megabits * 1_000_000 / 8 * SEGMENT_S);
        Self { segments, segment_bytes, noise: noise.into(), sent_bytes: AtomicU64::new(0) }
    }

    /// The bytes of a segment from `offset` on: as many as are contiguous.
    fn piece(&self, segment: u64, offset: u64) -> Bytes {
        // An odd step, so that segments differ.
        let from = ((segment * 40_503 + offset) % NOISE_BYTES as u64) as usize;
        let len = (self.segment_bytes - offset).min(NOISE_BYTES as u64) as usize;
        self.noise.slice(from..from + len)
    }
}

async fn playlist(State(film): State<Arc<Film>>) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n");
    for number in 0..film.segments {
        let _ = write!(text, "#EXTINF:{SEGMENT_S},\n{number}.ts\n"); // writing to a String cannot fail
    }
    text + "#EXT-X-ENDLIST\n"
}

async fn segment(State(film): State<Arc<Film>>, Path(name): Path<String>) -> Response {
    let number = name.strip_suffix(".ts").and_then(|number| number.parse::<u64>().ok());
    let Some(number) = number.filter(|number| *number < film.segments) else { return StatusCode::NOT_FOUND.into_response() };
    let size = film.segment_bytes;
    let pieces = stream::unfold((film, 0), move |(film, offset)| async move {
        let piece = (offset < film.segment_bytes).then(|| film.piece(number, offset))?;
        film.sent_bytes.fetch_add(piece.len() as u64, Relaxed);
        let next = offset + piece.len() as u64;
        Some((Ok::<_, std::convert::Infallible>(piece), (film, next)))
    });
    ([(CONTENT_LENGTH, size)], Body::from_stream(pieces)).into_response()
}

/// Reads the whole stream through a gateway and compares it.
async fn play(film: &Film, manifest: &str) -> Result<(), BenchMemoryError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| BenchMemoryError::Player(format!("{what}: {error}"));
    let http = ReqwestFetcher::new().map_err(|error| failed(manifest, &error))?;
    let client = http.client_for(manifest);
    let get = |url: String| async move { client.get(url).send().await?.error_for_status() };
    let listed = async { get(manifest.to_owned()).await?.text().await }.await.map_err(|error| failed(manifest, &error))?;
    let base = manifest.rsplit_once('/').map_or(manifest, |(base, _)| base);
    for (number, uri) in listed.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let mut response = get(format!("{base}/{uri}")).await.map_err(|error| failed(uri, &error))?;
        let mut offset = 0_u64;
        loop {
            let chunk = tokio::time::timeout(STALL_LIMIT, response.chunk()).await.map_err(|_| failed(uri, &"stalled"))?;
            let Some(mut chunk) = chunk.map_err(|error| failed(uri, &error))? else { break };
            while !chunk.is_empty() {
                let expected = if offset < film.segment_bytes { film.piece(number as u64, offset) } else { Bytes::new() };
                let len = expected.len().min(chunk.len());
                if len == 0 || chunk[..len] != expected[..len] {
                    return Err(failed(uri, &format!("other bytes than the origin's at {offset}")));
                }
                let _ = chunk.split_to(len);
                offset += len as u64;
            }
        }
        if offset != film.segment_bytes {
            return Err(failed(uri, &format!("{offset} bytes in place of {}", film.segment_bytes)));
        }
    }
    Ok(())
}

/// A gateway in a process of its own; it ends when this is dropped.
struct GatewayProcess {
    child: Child,
    /// What its player opens.
    url: String,
    // Kept open: a program that writes to a closed pipe would fail.
    _stdout: BufReader<ChildStdout>,
}

impl GatewayProcess {
    async fn start(manifest: &str, tracker: &str, cache_size: &str) -> Result<Self, BenchMemoryError> {
        let failed = |error: &dyn std::fmt::Display| BenchMemoryError::Gateway(error.to_string());
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["gateway", manifest, "--listen", "127.0.0.1:0", "--tracker", tracker, "--cache-size", cache_size])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(|| failed(&"no output"))?);
        let mut url = String::new();
        let read = tokio::time::timeout(START_PATIENCE, stdout.read_line(&mut url)).await;
        match read {
            Ok(Ok(length)) if length > 0 => Ok(Self { child, url: url.trim().to_owned(), _stdout: stdout }),
            _ => Err(failed(&"it did not say where it listens")),
        }
    }

    async fn measure(&self) -> Result<GatewayMemory, BenchMemoryError> {
        let failed = |error: &dyn std::fmt::Display| BenchMemoryError::Gateway(error.to_string());
        let process = self.child.id().ok_or_else(|| failed(&"it has ended"))?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(|error| failed(&error))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<f64>().map(|kib| kib / 1024.0).map_err(|error| failed(&error))
        };
        let stats = self.stats().await.map_err(|error| failed(&error))?;
        let figure = |name: &str| stats["total"][name].as_u64().unwrap_or_default();
        Ok(GatewayMemory {
            peak_mib: mib("VmHWM:")?,
            final_mib: mib("VmRSS:")?,
            stored_bytes: figure("stored_bytes"),
            http_bytes: figure("http_bytes"),
            p2p_bytes: figure("p2p_bytes"),
        })
    }

    async fn stats(&self) -> Result<Value, Box<dyn std::error::Error>> {
        let url = url::Url::parse(&self.url)?.join("/stats")?;
        let bytes = ReqwestFetcher::new()?.client_for(url.as_str()).get(url.clone()).send().await?.bytes().await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_their_size_and_differ() {
        let film = Film::new(1, 8);
        assert_eq!((film.segments, film.segment_bytes), (30, 2_000_000));
        let (first, rest) = (film.piece(3, 0), film.piece(3, NOISE_BYTES as u64));
        assert_eq!(first.len() + rest.len(), 2_000_000);
        assert_eq!(film.piece(3, 10)[..100], first[10..110]);
        assert_ne!(film.piece(4, 0)[..16], first[..16]);
    }
}
