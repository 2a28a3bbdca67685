//! `p2p-media watch`: a viewer without a screen.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch as watched;

use super::ProgramError;
use super::json_file::JsonFile;
use super::link_options::LinkOptions;
use super::shared_options::{SharedOptions, is_local};
use super::viewer_text::{error_lines, line, summary};
use crate::player::{PlayerConfig, PlayerError};
use crate::viewer::{Quality, ViewerConfig, ViewerStatus, watch};

/// Options of `p2p-media watch`.
#[derive(Clone, Debug, clap::Args)]
pub struct WatchArgs {
    /// HLS playlist (multivariant or media) or DASH manifest to play
    pub url: String,

    /// Leave after this many seconds [default: at the end of the stream]
    #[arg(long, value_name = "N", value_parser = parse_seconds)]
    pub seconds: Option<Duration>,

    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Fetch every segment once more from the origin at the end, and compare
    #[arg(long)]
    pub check: bool,

    /// Rendition: auto, highest, lowest, or a picture height such as 720
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub quality: Quality,

    /// Seconds behind the live edge to play at [default: as the manifest says, mostly three segments]
    #[arg(long, value_name = "SECONDS", value_parser = parse_latency)]
    pub latency: Option<f64>,

    /// Whether to play parts of segments, where HLS offers them [default: if the latency is less than whole segments allow]
    #[arg(long, value_name = "YES|NO", value_parser = clap::builder::BoolishValueParser::new())]
    pub low_latency: Option<bool>,

    /// Record what happened to the engine, for `p2p-media-sim replay`: no media, but what trackers and peers said, addresses included
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Peers and cache.
    #[command(flatten)]
    pub shared: SharedOptions,

    /// A slower link.
    #[command(flatten)]
    pub link: LinkOptions,
}

/// Plays until the stream ends, the time is up, or `stop` completes; then prints the report.
///
/// # Errors
/// When nothing could be played, a checked segment differs from the origin's, or the report cannot be written.
pub async fn run(args: WatchArgs, stop: impl Future<Output = ()>) -> Result<(), ProgramError> {
    let json = args.json.as_deref().map(JsonFile::prepare).transpose()?;
    let player = PlayerConfig {
        engine: args.shared.config(is_local(&args.url))?,
        storage: args.shared.storage()?,
        latency: args.latency,
        low_latency: args.low_latency,
        link: args.link.limits(),
        record: args.record,
        ..PlayerConfig::default()
    };
    let config = ViewerConfig { player, quality: args.quality, duration: args.seconds, check: args.check };

    let (status, watched) = watched::channel(ViewerStatus::default());
    let progress = std::io::stderr().is_terminal().then(progress_line);
    let report = tokio::select! {
        report = watch(&args.url, config, &status, stop) => report,
        () = show_progress(progress.as_ref(), watched) => std::future::pending().await,
    };
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    let report = report?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    println!("{}", summary(&report));
    for error in error_lines(&report) {
        eprintln!("p2p-media: {error}");
    }
    let has_failed = report.mismatched.is_some_and(|count| count > 0) || (report.startup_ms.is_none() && !report.errors.is_empty());
    if has_failed { Err(ProgramError::AlreadyReported) } else { Ok(()) }
}

impl From<PlayerError> for ProgramError {
    fn from(error: PlayerError) -> Self {
        match error {
            PlayerError::InvalidUrl { .. } | PlayerError::Config(_) => Self::Usage(error.to_string()),
            error => Self::Stream(error),
        }
    }
}

/// A number of seconds on the command line.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "expected a number of seconds greater than zero".to_owned())
}

/// Seconds behind the live edge on the command line.
pub(super) fn parse_latency(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| "expected a number of seconds".to_owned())
}

fn progress_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner:.cyan} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

async fn show_progress(progress: Option<&ProgressBar>, mut status: watched::Receiver<ViewerStatus>) {
    while let Some(progress) = progress
        && status.changed().await.is_ok()
    {
        progress.set_message(line(&status.borrow_and_update()));
        progress.tick();
    }
    std::future::pending().await
}
