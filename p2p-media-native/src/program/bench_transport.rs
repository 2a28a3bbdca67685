//! `p2p-media bench transport`: what the peer transport carries, and what that costs.
//!
//! Two peers in this process, connected over loopback UDP, move messages as long as those of the protocol. CPU time is that of the whole
//! process, so it counts both ends.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use p2p_media_core::backend::{DataChannel, PeerConnection, PeerTransport, PeerTransportError};
use p2p_media_core::config::StreamConfig;
use serde::Serialize;

use crate::peer_transport::{WebRtcChannel, WebRtcTransport};

/// Longest time without a message after which a run has failed.
const STALL_LIMIT: Duration = Duration::from_secs(20);

/// Handshakes timed.
const HANDSHAKES: usize = 9;

/// Measures the peer transport on this machine.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchTransportArgs {
    /// Bytes that one run moves, in MB (10^6 bytes).
    #[arg(long, value_name = "MB", default_value_t = 1000)]
    pub megabytes: u64,
    /// Runs; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
    /// Writes the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A measurement that came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchTransportError {
    /// The peers could not be connected, or lost each other.
    #[error("the peers failed: {0}")]
    Peers(#[from] PeerTransportError),
    /// The peers stood still.
    #[error("no message came for {} s", STALL_LIMIT.as_secs())]
    Stalled,
    /// The system does not say how much CPU time was used.
    #[error("/proc/self/stat cannot be read: CPU time is measured on Linux only")]
    CpuTime,
    /// The report cannot be written.
    #[error("{path}: {source}")]
    Report {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The figures; medians over the runs.
#[derive(Clone, Debug, Serialize)]
pub struct TransportReport {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of one run.
    pub bytes_per_run: u64,
    /// From the start of an offer to the open channel on both sides, in ms.
    pub handshake_ms: f64,
    /// Throughput in MB (10^6 bytes) per second.
    pub megabytes_per_s: f64,
    /// CPU seconds of both ends together per GB (10^9 bytes).
    pub cpu_s_per_gb: f64,
    /// What each run gave.
    pub runs: Vec<TransportRun>,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TransportRun {
    /// MB (10^6 bytes) per second.
    pub megabytes_per_s: f64,
    /// CPU seconds of both ends together per GB (10^9 bytes).
    pub cpu_s_per_gb: f64,
}

/// Runs the measurement, prints it and writes the report.
///
/// # Errors
/// When the peers fail, the system gives no CPU times, or the report cannot be written.
pub async fn run(args: BenchTransportArgs) -> Result<TransportReport, BenchTransportError> {
    let message_bytes = StreamConfig::default().webrtc_max_message_size;
    let messages = (args.megabytes * 1_000_000).div_ceil(message_bytes as u64).max(1);
    let bytes_per_run = messages * message_bytes as u64;

    let mut handshakes = Vec::with_capacity(HANDSHAKES);
    for _ in 0..HANDSHAKES {
        let start = Instant::now();
        connect().await?;
        handshakes.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut runs = Vec::with_capacity(args.runs.into());
    for number in 1..=args.runs {
        let run = measure(messages, message_bytes).await?;
        println!("run {number}: {:.0} MB/s, {:.2} CPU s/GB", run.megabytes_per_s, run.cpu_s_per_gb);
        runs.push(run);
    }
    let report = TransportReport {
        message_bytes,
        bytes_per_run,
        handshake_ms: median(handshakes),
        megabytes_per_s: median(runs.iter().map(|run| run.megabytes_per_s).collect()),
        cpu_s_per_gb: median(runs.iter().map(|run| run.cpu_s_per_gb).collect()),
        runs,
    };
    println!(
        "median: {:.0} MB/s, {:.2} CPU s/GB for both ends, offer to open channel {:.0} ms",
        report.megabytes_per_s, report.cpu_s_per_gb, report.handshake_ms
    );
    if let Some(path) = args.json {
        let failed = |source| BenchTransportError::Report { path: path.display().to_string(), source };
        let json = serde_json::to_string_pretty(&report).map_err(|error| failed(error.into()))?;
        std::fs::write(&path, json + "\n").map_err(failed)?;
    }
    Ok(report)
}

/// The two ends of a fresh connection.
async fn connect() -> Result<(WebRtcChannel, WebRtcChannel), PeerTransportError> {
    let transport = WebRtcTransport::new(&[])?;
    let (offerer, offer) = transport.offer("bench".to_owned()).await?;
    let (answerer, answer) = transport.answer(offer).await?;
    offerer.accept_answer(answer).await?;
    tokio::try_join!(offerer.channel(), answerer.channel())
}

async fn measure(messages: u64, message_bytes: usize) -> Result<TransportRun, BenchTransportError> {
    let (sender, receiver) = connect().await?;
    // Sent from a slice of something larger, as segments are.
    let payload = Bytes::from(vec![0x5a; message_bytes + 1]);
    let (start, cpu_before) = (Instant::now(), cpu_seconds()?);
    let sending = tokio::spawn(async move {
        for _ in 0..messages {
            sender.send(payload.slice(1..)).await?;
        }
        // Kept open until everything has arrived.
        Ok::<_, PeerTransportError>(sender)
    });
    for _ in 0..messages {
        match tokio::time::timeout(STALL_LIMIT, receiver.receive()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Err(PeerTransportError("the channel closed".to_owned()).into()),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(BenchTransportError::Stalled),
        }
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    let _sender = sending.await.map_err(|error| PeerTransportError(error.to_string()))??;
    let bytes = messages as f64 * message_bytes as f64;
    Ok(TransportRun { megabytes_per_s: bytes / 1e6 / seconds, cpu_s_per_gb: cpu / (bytes / 1e9) })
}

/// CPU time of this process so far, user and system (proc_pid_stat(5), fields 14 and 15).
fn cpu_seconds() -> Result<f64, BenchTransportError> {
    /// The unit of the kernel's user-visible times, on every architecture that Rust runs on.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|_| BenchTransportError::CpuTime)?;
    // The name of the program, field 2, may hold spaces; it ends with the last parenthesis.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok((user + system) / TICKS_PER_S),
        _ => Err(BenchTransportError::CpuTime),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0]), median(vec![])), (2.0, 2.5, 0.0));
    }

    #[tokio::test]
    async fn a_small_run_is_measured_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("transport.json");
        let report = run(BenchTransportArgs { megabytes: 2, runs: 1, json: Some(json.clone()) }).await.unwrap();
        assert!(report.megabytes_per_s > 0.0 && report.handshake_ms > 0.0);
        let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        assert_eq!(written["message_bytes"], 65535);
    }
}
