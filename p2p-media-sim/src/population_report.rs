//! The figures of a population.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::report::{Report, ViewerReport};
use crate::scenario::Scenario;

/// Segments of the first and last seconds say nothing about copies: not all viewers were there.
const EDGE_S: f64 = 30.0;
/// Viewers that stayed for less say nothing about shares.
const SHORT_STAY_S: f64 = 20.0;

/// The totals at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Simulated seconds.
    pub at_s: f64,
    /// Bytes that left the origin until then.
    pub origin_bytes: u64,
    /// Bytes that players got until then.
    pub delivered_bytes: u64,
    /// Viewers present.
    pub viewers: usize,
}

/// What most, and the worst, came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Half of all are at or below.
    pub median: f64,
    /// 95 of 100 are at or below.
    pub p95: f64,
    /// 99 of 100 are at or below.
    pub p99: f64,
    /// The most.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
}

/// Everything that came of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PopulationReport {
    /// What was run.
    pub scenario: Scenario,
    /// Viewers that came.
    pub viewers: usize,
    /// Seconds that they stayed, together.
    pub viewer_seconds: f64,
    /// The share of what players got that did not come from the origin.
    pub offload: f64,
    /// The same of the second half of the time.
    pub offload_settled: f64,
    /// The same for each viewer that stayed for a while, the lowest first: that of the 5 and 50 of 100 lowest.
    pub offload_per_viewer_p5: f64,
    /// See above.
    pub offload_per_viewer_median: f64,
    /// How often each segment left the origin.
    pub origin_copies: Distribution,
    /// Most bits per second that left the origin in any five seconds, in Mbit/s.
    pub origin_peak_mbits: f64,
    /// Waiting in the midst of playback over the time that viewers stayed.
    pub rebuffering_ratio: f64,
    /// Interruptions of playback.
    pub rebuffering_events: u64,
    /// Each viewer's waiting over its stay.
    pub rebuffering_per_viewer: Distribution,
    /// The share of viewers whose playback was never interrupted.
    pub uninterrupted: f64,
    /// Milliseconds from coming to the first picture.
    pub startup_ms: Distribution,
    /// Viewers that stayed for a while and never saw a picture.
    pub never_started: usize,
    /// Peers of viewers at the end of their stay.
    pub peers: Distribution,
    /// What each viewer uploaded over what it downloaded.
    pub upload_ratio: Distribution,
    /// The share of all uploads that came from the tenth of the viewers who gave most.
    pub upload_of_top_tenth: f64,
    /// Mean bits per second of the uplinks over the bitrate of the highest rendition.
    pub uplink_over_bitrate: f64,
    /// What peers sent beside media over what players got.
    pub control_share: f64,
    /// Milliseconds of the engine for a second of one viewer; 0 when it was not measured.
    pub engine_ms_per_viewer_second: f64,
    /// Deliveries that were not what the origin has.
    pub wrong_deliveries: u64,
    /// Requests of players that failed.
    pub failed_requests: u64,
    /// Changes of the rendition.
    pub switches: u64,
    /// Equal for equal scenarios and seeds.
    pub event_hash: String,
    /// Seconds that the run took.
    pub wall_s: f64,
    /// Most memory that the program had, in MiB; 0 where the system does not say.
    pub memory_mib: u64,
    /// Totals over time.
    pub samples: Vec<Sample>,
}

impl PopulationReport {
    pub(crate) fn new(scenario: &Scenario, report: &Report, samples: Vec<Sample>, wall: Duration) -> Self {
        let end_s = samples.last().map_or(0.0, |sample| sample.at_s);
        let stay_s = |viewer: &ViewerReport| (viewer.left_at_s.unwrap_or(end_s) - viewer.joined_at_s).max(0.0);
        let viewer_seconds: f64 = report.viewers.iter().map(stay_s).sum();
        let stayed = || report.viewers.iter().filter(|viewer| stay_s(viewer) > SHORT_STAY_S);
        let half = samples.iter().find(|sample| sample.at_s >= end_s / 2.0).copied().unwrap_or_default();
        let last = samples.last().copied().unwrap_or_default();
        let offload = |from: Sample, to: Sample| {
            1.0 - (to.origin_bytes - from.origin_bytes) as f64 / ((to.delivered_bytes - from.delivered_bytes) as f64).max(1.0)
        };
        let own =
            stayed().map(|viewer| viewer.engine.p2p_bytes as f64 / ((viewer.engine.p2p_bytes + viewer.engine.http_bytes) as f64).max(1.0));
        let own = sorted(own);
        let peak = samples
            .windows(2)
            .map(|pair| (pair[1].origin_bytes - pair[0].origin_bytes) as f64 * 8e-6 / (pair[1].at_s - pair[0].at_s).max(0.001));
        let live_from_s = scenario.arrivals.within_s + EDGE_S;
        let history_s = crate::content::LIVE_HISTORY_S;
        let is_counted = |id: i64| {
            let made_at_s = (id + 1) as f64 * scenario.stream.segment_s - history_s;
            !scenario.stream.live || scenario.stream.parts > 0 || (live_from_s..end_s - EDGE_S).contains(&made_at_s)
        };
        let copies = report.origin_copies.iter().filter(|(key, _)| is_counted(key.id.0)).map(|(_, copies)| *copies);
        let waits: Vec<f64> = stayed().map(|viewer| viewer.playback.stall_ms / 1000.0 / stay_s(viewer).max(1.0)).collect();
        let uploads = sorted(report.viewers.iter().map(|viewer| viewer.engine.uploaded_bytes as f64));
        let top: f64 = uploads.iter().rev().take(uploads.len().div_ceil(10)).sum();
        let ratio = stayed().map(|viewer| viewer.engine.uploaded_bytes as f64 / (viewer.playback.delivered_bytes as f64).max(1.0));
        let uplink = report.viewers.iter().map(|viewer| viewer.up_bytes_per_s).sum::<f64>() / report.viewers.len().max(1) as f64;
        let bitrate = scenario.stream.mbits.last().copied().unwrap_or(1.0) * 125_000.0;
        Self {
            scenario: scenario.clone(),
            viewers: report.viewers.len(),
            viewer_seconds,
            offload: report.offload(),
            offload_settled: offload(half, last),
            offload_per_viewer_p5: share_of(&own, 0.05),
            offload_per_viewer_median: share_of(&own, 0.5),
            origin_copies: Distribution::of(copies),
            origin_peak_mbits: peak.fold(0.0, f64::max),
            rebuffering_ratio: report.stall_ms() / 1000.0 / viewer_seconds.max(1.0),
            rebuffering_events: report.stalls(),
            uninterrupted: waits.iter().filter(|wait| **wait == 0.0).count() as f64 / waits.len().max(1) as f64,
            rebuffering_per_viewer: Distribution::of(waits.into_iter()),
            startup_ms: Distribution::of(report.viewers.iter().filter_map(|viewer| viewer.playback.startup_ms)),
            never_started: stayed().filter(|viewer| viewer.playback.startup_ms.is_none()).count(),
            peers: Distribution::of(stayed().map(|viewer| viewer.engine.peers as f64)),
            upload_ratio: Distribution::of(ratio),
            upload_of_top_tenth: top / uploads.iter().sum::<f64>().max(1.0),
            uplink_over_bitrate: uplink / bitrate,
            control_share: report.command_bytes as f64 / (report.delivered_bytes() as f64).max(1.0),
            engine_ms_per_viewer_second: report.viewers.iter().map(|viewer| viewer.engine_nanos as f64).sum::<f64>()
                / 1e6
                / viewer_seconds.max(1.0),
            wrong_deliveries: report.wrong_deliveries(),
            failed_requests: report.failed_requests(),
            switches: report.viewers.iter().map(|viewer| u64::from(viewer.playback.switches)).sum(),
            event_hash: format!("{:016x}", report.event_hash()),
            wall_s: wall.as_secs_f64(),
            memory_mib: peak_memory_mib().unwrap_or(0),
            samples,
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that a share of them does not exceed.
fn share_of(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

impl Distribution {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = sorted(values);
        Self {
            median: share_of(&values, 0.5),
            p95: share_of(&values, 0.95),
            p99: share_of(&values, 0.99),
            max: values.last().copied().unwrap_or(0.0),
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
        }
    }
}

fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
}

impl fmt::Display for PopulationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |values: &Distribution, places: usize, unit: &str| {
            let Distribution { median, p95, p99, max, .. } = values;
            format!("median {median:.places$}{unit}, p95 {p95:.places$}{unit}, p99 {p99:.places$}{unit}, most {max:.places$}{unit}")
        };
        let rows = [
            ("viewers", format!("{} over {} min, {:.0} viewer-hours", self.viewers, self.scenario.minutes, self.viewer_seconds / 3600.0)),
            ("offload", format!("{:.3}, in the second half {:.3}", self.offload, self.offload_settled)),
            (
                "offload of a viewer",
                format!("median {:.3}, of the lowest 5 % {:.3}", self.offload_per_viewer_median, self.offload_per_viewer_p5),
            ),
            ("origin copies", of(&self.origin_copies, 1, "")),
            ("origin peak", format!("{:.0} Mbit/s", self.origin_peak_mbits)),
            (
                "rebuffering",
                format!(
                    "{:.4} %, {} events, p99 {:.3} %",
                    self.rebuffering_ratio * 100.0,
                    self.rebuffering_events,
                    self.rebuffering_per_viewer.p99 * 100.0
                ),
            ),
            ("never interrupted", format!("{:.2} %", self.uninterrupted * 100.0)),
            ("start-up", format!("{}, never {}", of(&self.startup_ms, 0, " ms"), self.never_started)),
            ("peers", of(&self.peers, 0, "")),
            (
                "uploaded / received",
                format!("{}; the top tenth gave {:.0} %", of(&self.upload_ratio, 2, ""), self.upload_of_top_tenth * 100.0),
            ),
            ("uplink / bitrate", format!("{:.2}", self.uplink_over_bitrate)),
            ("control traffic", format!("{:.2} % of media", self.control_share * 100.0)),
            ("engine", format!("{:.3} ms per viewer-second", self.engine_ms_per_viewer_second)),
            ("wrong, failed", format!("{}, {}", self.wrong_deliveries, self.failed_requests)),
            ("run", format!("{:.0} s, {} MiB, events {}", self.wall_s, self.memory_mib, self.event_hash)),
        ];
        rows.iter().try_for_each(|(name, text)| writeln!(f, "{name:<20} {text}"))
    }
}
