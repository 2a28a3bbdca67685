//! What came of a simulation: figures for each viewer, for the origin, and for all of it.

use std::collections::BTreeMap;
use std::fmt;

use p2p_media_core::event::{SegmentSource, Stats};
use p2p_media_core::media::SegmentKey;

use crate::player::Playback;

/// One viewer's figures.
#[derive(Clone, Debug)]
pub struct ViewerReport {
    /// What the player saw.
    pub playback: Playback,
    /// What the engine counted.
    pub engine: Stats,
    /// Most bytes that storage held at one time.
    pub stored_bytes_max: u64,
    /// Why connections were ended, as the engine told.
    pub peer_errors: Vec<String>,
    /// How long after it was made each segment or part was here, in milliseconds. Not from the first seconds, and only live.
    pub delays_ms: Vec<(SegmentSource, f64)>,
    /// Seconds at which it joined, and left if it has.
    pub joined_at_s: f64,
    /// See there.
    pub left_at_s: Option<f64>,
    /// Bytes per second of its uplink at first.
    pub up_bytes_per_s: f64,
    /// Equal for equal runs.
    pub event_hash: u64,
    /// Nanoseconds that the engine took, if that was measured.
    pub engine_nanos: u64,
}

/// Figures of the whole simulation.
#[derive(Clone, Debug)]
pub struct Report {
    /// By viewer, in the order in which they were added.
    pub viewers: Vec<ViewerReport>,
    /// Segment bytes that left the origin.
    pub origin_bytes: u64,
    /// Requests that the origin received.
    pub origin_requests: u64,
    /// How often each segment left the origin: served bytes over its size.
    pub origin_copies: BTreeMap<SegmentKey, f64>,
    /// Bytes that peers sent to each other, as messages of data channels.
    pub peer_bytes: u64,
    /// Those of them that were no media.
    pub command_bytes: u64,
}

impl Report {
    /// Equal for equal runs.
    pub fn event_hash(&self) -> u64 {
        self.viewers.iter().fold(0, |hash, viewer| (hash ^ viewer.event_hash).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The share of the delivered bytes that did not come from the origin.
    pub fn offload(&self) -> f64 {
        1.0 - self.origin_bytes as f64 / (self.delivered_bytes() as f64).max(1.0)
    }

    /// Bytes that players got.
    pub fn delivered_bytes(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.playback.delivered_bytes).sum()
    }

    /// Interruptions of playback over all viewers.
    pub fn stalls(&self) -> u64 {
        self.viewers.iter().map(|viewer| u64::from(viewer.playback.stalls)).sum()
    }

    /// Milliseconds of interrupted playback over all viewers.
    pub fn stall_ms(&self) -> f64 {
        self.viewers.iter().map(|viewer| viewer.playback.stall_ms).sum()
    }

    /// Pieces that players got which were not what the origin has.
    pub fn wrong_deliveries(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.playback.wrong_deliveries).sum()
    }

    /// Requests of players that failed.
    pub fn failed_requests(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.playback.failed_requests).sum()
    }

    /// Longest start-up in milliseconds; infinite when a viewer has not started.
    pub fn longest_startup_ms(&self) -> f64 {
        self.viewers.iter().map(|viewer| viewer.playback.startup_ms.unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    }

    /// The delay that half of what came from a source did not exceed, in milliseconds; `None` when nothing came from it.
    pub fn median_delay_ms(&self, source: SegmentSource) -> Option<f64> {
        let delays = self.viewers.iter().flat_map(|viewer| &viewer.delays_ms);
        let mut delays: Vec<_> = delays.filter(|(other, _)| *other == source).map(|(_, delay)| *delay).collect();
        delays.sort_by(f64::total_cmp);
        delays.get(delays.len() / 2).copied()
    }

    /// The origin copies that half of the segments do not exceed.
    pub fn median_origin_copies(&self) -> f64 {
        let mut copies: Vec<_> = self.origin_copies.values().copied().collect();
        copies.sort_by(f64::total_cmp);
        copies.get(copies.len() / 2).copied().unwrap_or(0.0)
    }

    /// The most that any segment was fetched.
    pub fn most_origin_copies(&self) -> f64 {
        self.origin_copies.values().copied().fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "offload {:.3}, {} stalls ({:.0} ms), start-up <= {:.0} ms, {} wrong, {} failed, copies median {:.2} most {:.2}, {} requests",
            self.offload(),
            self.stalls(),
            self.stall_ms(),
            self.longest_startup_ms(),
            self.wrong_deliveries(),
            self.failed_requests(),
            self.median_origin_copies(),
            self.most_origin_copies(),
            self.origin_requests,
        )?;
        if let (Some(http), Some(p2p)) = (self.median_delay_ms(SegmentSource::Http), self.median_delay_ms(SegmentSource::P2p)) {
            writeln!(f, "median delay over http {http:.0} ms, over p2p {p2p:.0} ms")?;
        }
        let told = |(index, viewer): &(usize, &ViewerReport)| *index < 10 || viewer.playback.stalls > 0;
        for (index, viewer) in self.viewers.iter().enumerate().filter(told) {
            let (playback, engine) = (&viewer.playback, &viewer.engine);
            writeln!(
                f,
                "viewer {index}: start-up {:.0} ms, {} stalls ({:.0} ms) {:?}, {} segments, http {} KB in {}, p2p {} KB in {}, up {} KB, peers {} \
                 (most {}), misbehaved {}, at {:.1} s{}",
                playback.startup_ms.unwrap_or(f64::INFINITY),
                playback.stalls,
                playback.stall_ms,
                playback.stalled_at_s,
                playback.segments,
                engine.http_bytes / 1000,
                engine.http_requests,
                engine.p2p_bytes / 1000,
                engine.p2p_requests,
                engine.uploaded_bytes / 1000,
                engine.peers,
                engine.peers_max,
                engine.peers_misbehaved,
                playback.position_s,
                if playback.has_ended { ", ended" } else { "" },
            )?;
        }
        Ok(())
    }
}
