//! `p2p-media bench`: measurements for the README, started by `cargo xtask bench`.

use clap::Subcommand;

use super::ProgramError;
use super::{bench_memory, bench_tracker, bench_transport};

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Two native peers on loopback: throughput and CPU time
    Transport(bench_transport::BenchTransportArgs),
    /// The tracker: memory of idle peers, announces per second
    Tracker(bench_tracker::BenchTrackerArgs),
    /// Gateways: what they occupy while an hour of video goes through
    Memory(bench_memory::BenchMemoryArgs),
}

/// Measures, prints a table, and writes the figures where `--json` says.
///
/// # Errors
/// When something could not be measured.
pub async fn run(command: BenchCommand) -> Result<(), ProgramError> {
    match command {
        BenchCommand::Memory(args) => bench_memory::bench(args).await.map(drop).map_err(|error| ProgramError::Output(error.to_string())),
        BenchCommand::Transport(args) => {
            bench_transport::run(args).await.map(drop).map_err(|error| ProgramError::Output(error.to_string()))
        }
        BenchCommand::Tracker(args) => bench_tracker::bench(args).await.map(drop).map_err(|error| ProgramError::Output(error.to_string())),
    }
}
