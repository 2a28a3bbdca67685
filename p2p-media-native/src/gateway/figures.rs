//! What the gateway has done: `/stats` as JSON, `/metrics` as Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use p2p_media_core::event::Stats;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::presentation::PresentationFigures;
use super::presentations::{Presentations, add_counters};

/// Counts that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Manifests given.
    pub(super) manifests: Counter,
    /// Segments given by the engine.
    pub(super) segments: Counter,
    /// Other resources passed on from the origin.
    pub(super) passed_on: Counter,
    /// Requests refused: an origin that is not allowed, a wrong name of ours, a malformed path.
    pub(super) refused: Counter,
    /// Requests that the origin failed.
    pub(super) origin_failures: Counter,
    /// Bytes of all bodies.
    pub(super) sent_bytes: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Everything at one moment.
pub(super) struct Figures {
    uptime_s: u64,
    presentations: Vec<(String, PresentationFigures)>,
    /// Over the sessions that run and those that have ended.
    total: Stats,
    requests: [(&'static str, u64); 5],
    sent_bytes: u64,
    requests_under_way: usize,
    resident_bytes: Option<u64>,
}

impl Figures {
    pub(super) async fn take(counters: &Counters, presentations: &Presentations, begun: Instant, requests_under_way: usize) -> Self {
        let mut total = presentations.ended();
        let mut taken = Vec::new();
        for presentation in presentations.by_use() {
            let figures = presentation.figures().await;
            add_counters(&mut total, &figures.engine);
            total.peers += figures.engine.peers;
            total.stored_segments += figures.engine.stored_segments;
            total.stored_bytes += figures.engine.stored_bytes;
            total.trackers_connected += figures.engine.trackers_connected;
            taken.push((presentation.name.clone(), figures));
        }
        Self {
            uptime_s: begun.elapsed().as_secs(),
            presentations: taken,
            total,
            requests: [
                ("manifest", counters.manifests.get()),
                ("segment", counters.segments.get()),
                ("passed_on", counters.passed_on.get()),
                ("refused", counters.refused.get()),
                ("origin_failed", counters.origin_failures.get()),
            ],
            sent_bytes: counters.sent_bytes.get(),
            requests_under_way,
            resident_bytes: resident_bytes(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let sessions = self.presentations.iter().map(|(manifest, figures)| {
            let mut session = engine_json(&figures.engine);
            session["manifest"] = json!(manifest);
            session["streams"] = json!(figures.streams);
            session["viewers"] = json!(figures.viewers);
            session["idle_seconds"] = json!(figures.idle_s.round());
            session["peers_max"] = json!(figures.engine.peers_max);
            session
        });
        json!({
            "uptime_seconds": self.uptime_s,
            "resident_bytes": self.resident_bytes,
            "requests": self.requests.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "requests_under_way": self.requests_under_way,
            "sent_bytes": self.sent_bytes,
            "total": engine_json(&self.total),
            "sessions": sessions.collect::<Vec<_>>(),
        })
    }

    /// The Prometheus text exposition format 0.0.4.
    pub(super) fn prometheus(&self) -> String {
        let count = |count: usize| count as u64;
        let total = &self.total;
        let metrics = [
            ("uptime_seconds", "gauge", "Seconds since the start", self.uptime_s),
            ("requests_under_way", "gauge", "Requests being answered", count(self.requests_under_way)),
            ("sent_bytes_total", "counter", "Bytes sent to players", self.sent_bytes),
            ("sessions", "gauge", "Manifests in use", count(self.presentations.len())),
            ("viewers", "gauge", "Players that ask for segments", self.presentations.iter().map(|(_, f)| count(f.viewers)).sum()),
            ("peers", "gauge", "Peers connected", count(total.peers)),
            ("trackers_connected", "gauge", "Trackers connected", count(total.trackers_connected)),
            ("http_bytes_total", "counter", "Media bytes from origins", total.http_bytes),
            ("p2p_bytes_total", "counter", "Media bytes from peers", total.p2p_bytes),
            ("uploaded_bytes_total", "counter", "Media bytes sent to peers", total.uploaded_bytes),
            ("delivered_bytes_total", "counter", "Media bytes given to players", total.delivered_bytes),
            ("segments_loaded_total", "counter", "Segments wholly received", total.segments_loaded),
            ("http_requests_total", "counter", "Requests to origins for segments", total.http_requests),
            ("p2p_requests_total", "counter", "Requests to peers for segments", total.p2p_requests),
            ("peers_misbehaved_total", "counter", "Peers dropped because they misbehaved", total.peers_misbehaved),
            ("stored_segments", "gauge", "Segments in the cache", count(total.stored_segments)),
            ("stored_bytes", "gauge", "Bytes in the cache", total.stored_bytes),
        ];
        let resident = self.resident_bytes.map(|bytes| ("resident_bytes", "gauge", "Memory of the process", bytes));
        let mut text = String::new();
        // Writing to a String does not fail.
        for (name, kind, meaning, value) in metrics.into_iter().chain(resident) {
            let _ = write!(text, "# HELP p2p_media_gateway_{name} {meaning}.\n# TYPE p2p_media_gateway_{name} {kind}\n");
            let _ = writeln!(text, "p2p_media_gateway_{name} {value}");
        }
        text += "# HELP p2p_media_gateway_requests_total Requests by their outcome.\n# TYPE p2p_media_gateway_requests_total counter\n";
        for (outcome, value) in self.requests {
            let _ = writeln!(text, "p2p_media_gateway_requests_total{{outcome=\"{outcome}\"}} {value}");
        }
        text
    }
}

fn engine_json(stats: &Stats) -> Value {
    let received = stats.http_bytes + stats.p2p_bytes;
    // What was delivered more often than it was received came out of the cache.
    let cached = stats.delivered_bytes.saturating_sub(received);
    let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e4).round() / 1e4 };
    json!({
        "http_bytes": stats.http_bytes,
        "p2p_bytes": stats.p2p_bytes,
        "uploaded_bytes": stats.uploaded_bytes,
        "delivered_bytes": stats.delivered_bytes,
        "p2p_ratio": ratio(stats.p2p_bytes, received),
        "cache_hit_ratio": ratio(cached, stats.delivered_bytes),
        "segments_loaded": stats.segments_loaded,
        "http_requests": stats.http_requests,
        "p2p_requests": stats.p2p_requests,
        "peers": stats.peers,
        "peers_misbehaved": stats.peers_misbehaved,
        "trackers_connected": stats.trackers_connected,
        "stored_segments": stats.stored_segments,
        "stored_bytes": stats.stored_bytes,
    })
}

/// Memory that the process occupies now; `None` where the system does not tell it this way.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
