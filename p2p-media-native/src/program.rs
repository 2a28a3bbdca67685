//! The `p2p-media` program: subcommands, logs, signals and exit codes.
//!
//! Exit codes: 0 when it did what was asked, 1 when something outside failed (an origin, a file, a port), 2 when the command line is wrong.

pub mod bench;
pub mod bench_memory;
pub mod bench_tracker;
pub mod bench_transport;
pub mod demo;
pub mod gateway;
pub mod inspect;
mod json_file;
pub mod link_options;
pub mod serve;
pub mod shared_options;
pub mod tracker;
mod viewer_text;
pub mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Viewers of one HLS stream share its segments over WebRTC.
#[derive(Debug, Parser)]
#[command(name = "p2p-media", version, about, max_term_width = 110)]
struct CommandLine {
    /// Say more: -v what happens, -vv why, -vvv every message. RUST_LOG goes before it
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A local HTTP server through which any player shares its streams
    Gateway(gateway::GatewayArgs),
    /// Play a stream without a screen, and report how that went
    Watch(Box<watch::WatchArgs>),
    /// An origin, a tracker and several viewers on this machine, to see it work
    Demo(Box<demo::DemoArgs>),
    /// A WebTorrent tracker: introduces the viewers of a stream to each other
    Tracker(tracker::TrackerArgs),
    /// A static origin for a folder of HLS and DASH files, or a live replay of it
    Serve(serve::ServeArgs),
    /// What a manifest means: streams, swarm ids, info hashes, segments
    Inspect(inspect::InspectArgs),
    /// Measurements of this project, for its developers
    #[command(subcommand, hide = true)]
    Bench(bench::BenchCommand),
}

/// Why the program ends with a failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The command line or the configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// A manifest cannot be had or read.
    #[error("{manifest}: {problem}")]
    Manifest {
        /// Its URL or path.
        manifest: String,
        /// What is wrong.
        problem: String,
    },
    /// A stream cannot be played.
    #[error(transparent)]
    Stream(crate::player::PlayerError),
    /// A configuration file cannot be used.
    #[error(transparent)]
    ConfigFile(#[from] crate::config_file::ConfigFileError),
    /// The origin server did not start.
    #[error(transparent)]
    Origin(#[from] crate::origin_server::OriginError),
    /// The gateway did not start.
    #[error(transparent)]
    Gateway(#[from] crate::gateway::GatewayError),
    /// The tracker did not start.
    #[error(transparent)]
    Tracker(#[from] crate::tracker_server::TrackerServerError),
    /// A report could not be written.
    #[error("{0}")]
    Output(String),
    /// The failure was told on standard output.
    #[error("failed")]
    AlreadyReported,
}

/// Runs the program; the exit code is the process's.
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    start_logs(command_line.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("p2p-media: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(command_line.command));
    // Tasks of a server that is going down do not hold the program up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(ProgramError::AlreadyReported) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("p2p-media: {error}");
            ExitCode::from(if matches!(error, ProgramError::Usage(_) | ProgramError::ConfigFile(_)) { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<(), ProgramError> {
    match command {
        Command::Watch(args) => watch::run(*args, stop_signal()).await,
        Command::Demo(args) => demo::run(*args, stop_signal()).await,
        Command::Gateway(args) => gateway::run(args, stop_signal()).await,
        Command::Tracker(args) => Ok(tracker::run(args, stop_signal()).await?),
        Command::Serve(args) => Ok(serve::run(args, stop_signal()).await?),
        Command::Inspect(args) => inspect::run(args).await,
        Command::Bench(command) => bench::run(command).await,
    }
}

/// Resolves at Ctrl-C, or when the system asks the program to end.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn start_logs(verbose: u8) {
    let default = match verbose {
        0 => "warn,rtc=off,webrtc=off",
        1 => "info,rtc=off,webrtc=off",
        2 => "info,p2p_media_core=debug,p2p_media_native=debug,p2p_media_hls=debug,rtc=warn,webrtc=warn",
        _ => "debug,p2p_media_core=trace,p2p_media_native=trace,p2p_media_hls=trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
}
