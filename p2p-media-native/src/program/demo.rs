//! `p2p-media demo`: an origin, a tracker and several viewers in one process, over real WebRTC on the loopback interface.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::sync::watch as watched;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ProgramError;
use super::json_file::JsonFile;
use super::link_options::LinkOptions;
use super::shared_options::SharedOptions;
use super::viewer_text::{HEADER, bytes, delay_text, error_lines, row};
use super::watch::{parse_latency, parse_seconds};
use crate::origin_server::{LiveConfig, LowLatency, OriginConfig, OriginServer};
use crate::player::{PlayerConfig, PlayerError};
use crate::tracker_server::{RunningTracker, TrackerConfig, TrackerServer};
use crate::viewer::{PlaybackState, Quality, SegmentDelays, ViewerConfig, ViewerReport, ViewerStatus, watch};

/// Most viewers of one demo: each has a WebRTC stack of its own.
const MAX_VIEWERS: u64 = 64;
/// How often the table is drawn, and a line printed where there is no terminal.
const TABLE_INTERVAL: Duration = Duration::from_millis(500);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Where the sample stream is in a clone of the project.
const SAMPLE: &str = "examples/media";

/// Options of `p2p-media demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// How many viewers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=MAX_VIEWERS))]
    pub viewers: u64,

    /// How long each viewer watches, in seconds
    #[arg(long, value_name = "N", default_value = "60", value_parser = parse_seconds)]
    pub seconds: Duration,

    /// Seconds between one viewer's coming and the next one's
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_latency)]
    pub stagger: f64,

    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Replay the stream as a live one
    #[arg(long)]
    pub live: bool,

    /// Offer and play segments before they are finished
    #[arg(long, requires = "live")]
    pub low_latency: bool,

    /// Seconds behind the live edge at which viewers play [default: as the manifest says, mostly three segments]
    #[arg(long, value_name = "SECONDS", requires = "live", value_parser = parse_latency)]
    pub latency: Option<f64>,

    /// Rendition: auto, highest, lowest, or a picture height such as 360
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub quality: Quality,

    /// Which manifest of the folder to play
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Hls)]
    pub format: Format,

    /// Folder with the stream to play [default: the project's sample]
    #[arg(long, value_name = "DIR")]
    pub media: Option<PathBuf>,

    /// A page with a player that takes ?src= and ?tracker=: its address for these viewers' stream is printed, to watch along in a browser
    #[arg(long, value_name = "URL")]
    pub page: Option<String>,

    /// Peers and cache.
    #[command(flatten)]
    pub shared: SharedOptions,

    /// A slower link for each viewer.
    #[command(flatten)]
    pub link: LinkOptions,
}

/// A manifest format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// HLS playlists.
    Hls,
    /// MPEG-DASH manifests.
    Dash,
}

/// What a demo reports.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DemoReport {
    /// Each viewer, in the order of their coming.
    pub viewers: Vec<ViewerReport>,
    /// Bytes of media segments that the origin sent.
    pub origin_segment_bytes: u64,
    /// Bytes of media segments that viewers got.
    pub delivered_bytes: u64,
    /// The share of those that the origin did not have to send.
    pub offload: f64,
    /// Live: from when a segment or part was complete at the origin to its last byte at a viewer, over all viewers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_delay_ms: Option<SegmentDelays>,
}

/// Runs the demo to its end, or until `stop` completes; then prints a summary.
///
/// # Errors
/// When the sample stream is not found, a viewer cannot play it, or the report cannot be written.
pub async fn run(args: DemoArgs, stop: impl Future<Output = ()>) -> Result<(), ProgramError> {
    let json = args.json.as_deref().map(JsonFile::prepare).transpose()?;
    let servers = Servers::start(&args).await?;
    println!("{} viewers of {} ({} s apart)", args.viewers, servers.url, args.stagger);
    if let Some(page) = &args.page {
        println!("Watch along in a browser: {}", servers.watch_along(page, &args.shared.tracker));
    }
    let report = servers.play(&args, stop).await;
    servers.stop().await;
    let report = report?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    print_summary(&report);
    let has_failed = report.viewers.iter().any(|viewer| viewer.startup_ms.is_none() && !viewer.errors.is_empty());
    if has_failed { Err(ProgramError::AlreadyReported) } else { Ok(()) }
}

/// What the viewers meet through.
struct Servers {
    origin: OriginServer,
    tracker: RunningTracker,
    /// The manifest.
    url: String,
}

impl Servers {
    async fn start(args: &DemoArgs) -> Result<Self, ProgramError> {
        let media = match &args.media {
            Some(media) => media.clone(),
            None => find_sample().ok_or_else(|| ProgramError::Usage(format!("no {SAMPLE} here: say with --media DIR what to play")))?,
        };
        let low_latency = args.low_latency.then(LowLatency::default);
        let live = args.live.then(|| LiveConfig { low_latency, ..LiveConfig::default() });
        let origin = OriginServer::bind(OriginConfig { live, ..OriginConfig::new(&media) }).await?;
        let manifest = origin.manifests().iter().find(|path| path.ends_with(args.format.extension()));
        let no_manifest = || ProgramError::Usage(format!("--media {}: no *{} there", media.display(), args.format.extension()));
        let url = origin.url(manifest.ok_or_else(no_manifest)?);
        let config = TrackerConfig { listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(), ..TrackerConfig::default() };
        let tracker = TrackerServer::bind(config).await?.spawn();
        Ok(Self { origin, tracker, url })
    }

    /// The address of a page that joins the viewers, who meet at the demo's own tracker when none is named.
    fn watch_along(&self, page: &str, trackers: &[String]) -> String {
        let tracker = trackers.first().map_or_else(|| self.tracker.url(), String::as_str);
        let [src, tracker] = [&self.url, tracker].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        format!("{page}?src={src}&tracker={tracker}")
    }

    async fn play(&self, args: &DemoArgs, stop: impl Future<Output = ()>) -> Result<DemoReport, ProgramError> {
        let mut engine = args.shared.config(true)?;
        if args.shared.tracker.is_empty() {
            engine.announce_trackers = vec![self.tracker.url().to_owned()];
        }
        let (stopping, stopped) = watched::channel(false);
        let mut viewers = JoinSet::new();
        let mut statuses = Vec::new();
        for index in 0..args.viewers as u32 {
            let player = PlayerConfig {
                engine: engine.clone(),
                storage: args.shared.storage()?,
                latency: args.latency,
                low_latency: args.low_latency.then_some(true),
                link: args.link.limits(),
                ..PlayerConfig::default()
            };
            let config = ViewerConfig { player, quality: args.quality, duration: Some(args.seconds), check: false };
            let (status, watched) = watched::channel(ViewerStatus::default());
            statuses.push(watched);
            let comes_after = Duration::try_from_secs_f64(args.stagger * f64::from(index)).unwrap_or_default();
            viewers.spawn(view(index as usize, self.url.clone(), config, comes_after, status, stopped.clone()));
        }
        let mut reports: Vec<Option<ViewerReport>> = vec![None; statuses.len()];
        let mut failure = None;
        let finished = async {
            while let Some(done) = viewers.join_next().await {
                match done {
                    Ok((index, Ok(report))) => reports[index] = report,
                    Ok((_, Err(error))) => {
                        // One that cannot play ends the demo: the others would show nothing.
                        failure.get_or_insert(ProgramError::from(error));
                        stopping.send_replace(true);
                    }
                    Err(error) => {
                        failure.get_or_insert(ProgramError::Output(format!("a viewer ended with a panic: {error}")));
                        stopping.send_replace(true);
                    }
                }
            }
        };
        let stop_viewers = async {
            stop.await;
            stopping.send_replace(true);
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = finished => {}
            () = stop_viewers => {}
            () = show(&statuses) => {}
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(DemoReport::new(reports.into_iter().flatten().collect(), self.origin.stats().segments.bytes)),
        }
    }

    async fn stop(self) {
        self.tracker.shutdown().await;
        self.origin.shutdown().await;
    }
}

impl DemoReport {
    fn new(viewers: Vec<ViewerReport>, origin_segment_bytes: u64) -> Self {
        let delivered_bytes: u64 = viewers.iter().map(|viewer| viewer.delivered_bytes).sum();
        let offload = if delivered_bytes == 0 { 0.0 } else { 1.0 - origin_segment_bytes as f64 / delivered_bytes as f64 };
        let segment_delay_ms = viewers.iter().filter_map(|viewer| viewer.segment_delay_ms.clone()).reduce(|mut all, delays| {
            all.merge(&delays);
            all
        });
        Self { viewers, origin_segment_bytes, delivered_bytes, offload, segment_delay_ms }
    }
}

impl Format {
    /// What the names of its manifests end in.
    const fn extension(self) -> &'static str {
        match self {
            Self::Hls => ".m3u8",
            Self::Dash => ".mpd",
        }
    }
}

/// One viewer, from its coming on. No report when it was stopped before it came.
async fn view(
    index: usize,
    url: String,
    config: ViewerConfig,
    comes_after: Duration,
    status: watched::Sender<ViewerStatus>,
    mut stopped: watched::Receiver<bool>,
) -> (usize, Result<Option<ViewerReport>, PlayerError>) {
    // An error means that the demo is over: that stops viewers too.
    let stop = async { drop(stopped.wait_for(|stop| *stop).await) };
    let mut stop = std::pin::pin!(stop);
    tokio::select! {
        biased;
        () = stop.as_mut() => return (index, Ok(None)),
        () = tokio::time::sleep(comes_after) => {}
    }
    let span = tracing::info_span!("viewer", number = index + 1);
    let report = tracing::Instrument::instrument(watch(&url, config, &status, stop), span).await;
    (index, report.map(Some))
}

fn find_sample() -> Option<PathBuf> {
    let beside_program = std::env::current_exe().ok().into_iter().flat_map(|exe| {
        // target/release/p2p-media in a clone, or a folder that was unpacked.
        exe.ancestors().skip(1).take(4).map(|folder| folder.join(SAMPLE)).collect::<Vec<_>>()
    });
    std::iter::once(Path::new(SAMPLE).to_owned()).chain(beside_program).find(|folder| folder.is_dir())
}

/// Shows how the viewers stand, for as long as it is polled.
async fn show(statuses: &[watched::Receiver<ViewerStatus>]) {
    let began = Instant::now();
    if !std::io::stderr().is_terminal() {
        let mut lines = every(LINE_INTERVAL);
        loop {
            lines.tick().await;
            println!("{}", totals(began.elapsed(), statuses));
        }
    }
    let table = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix:>9.cyan} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let add = |prefix: String| table.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(prefix));
    let header = add("viewer".to_owned());
    let rows: Vec<_> = (1..=statuses.len()).map(|number| add(number.to_string())).collect();
    let footer = add("all".to_owned());
    let _clear = ClearTable(rows.iter().chain([&header, &footer]).cloned().collect());
    let mut frames = every(TABLE_INTERVAL);
    loop {
        frames.tick().await;
        header.set_message(HEADER);
        for (bar, status) in rows.iter().zip(statuses) {
            let status = status.borrow();
            bar.set_message(if status.elapsed.is_zero() { String::new() } else { row(&status) });
        }
        footer.set_message(totals(began.elapsed(), statuses));
    }
}

/// Takes the table off the terminal when the show is over.
struct ClearTable(Vec<ProgressBar>);

impl Drop for ClearTable {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

fn totals(elapsed: Duration, statuses: &[watched::Receiver<ViewerStatus>]) -> String {
    let (mut playing, mut http, mut p2p, mut stalls) = (0, 0, 0, 0);
    for status in statuses {
        let status = status.borrow();
        playing += usize::from(status.state == PlaybackState::Playing);
        http += status.stats.http_bytes;
        p2p += status.stats.p2p_bytes;
        stalls += status.stalls;
    }
    let saved = if http + p2p == 0 { 0.0 } else { p2p as f64 * 100.0 / (http + p2p) as f64 };
    format!("{:>3} s: {playing} playing, origin {}, peers {} ({saved:.0}%), {stalls} stalls", elapsed.as_secs(), bytes(http), bytes(p2p))
}

fn print_summary(report: &DemoReport) {
    println!("{:>6} {:>9} {:>7} {:>10} {:>10} {:>10} {:>6}", "viewer", "start-up", "stalls", "http", "p2p", "uploaded", "peers");
    for (index, viewer) in report.viewers.iter().enumerate() {
        let startup = viewer.startup_ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms:.0} ms"));
        let (http, p2p, up) = (bytes(viewer.http_bytes), bytes(viewer.p2p_bytes), bytes(viewer.uploaded_bytes));
        let latency = viewer.latency_s.map_or_else(String::new, |latency| format!("  {latency:.1} s behind live"));
        println!("{:>6} {startup:>9} {:>7} {http:>10} {p2p:>10} {up:>10} {:>6}{latency}", index + 1, viewer.stalls, viewer.peers_max);
        for error in error_lines(viewer) {
            println!("       {error}");
        }
    }
    println!(
        "Viewers got {}, the origin sent {}: {:.1} % came from other viewers.",
        bytes(report.delivered_bytes),
        bytes(report.origin_segment_bytes),
        report.offload * 100.0
    );
    if let Some(delays) = &report.segment_delay_ms {
        println!("Behind their completion at the origin, segments came {}.", delay_text(delays));
    }
}
