//! What a viewer reports when it is done.

use std::sync::Mutex;

use serde::Serialize;

use super::lock;
use super::segment_delays::SegmentDelays;

/// Errors that are kept word for word.
const MAX_ERRORS: usize = 100;
/// Errors that are shown as warnings. When more goes wrong it is mostly the same over and over: a folder of segments that is not there.
const MAX_WARNINGS: usize = 5;

/// How playing went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ViewerReport {
    /// The manifest's URL after redirects.
    pub manifest: String,
    /// How long the viewer was there.
    pub seconds: f64,
    /// From opening the stream to the first segment of every track; absent when it never began.
    pub startup_ms: Option<f64>,
    /// How often playback ran dry after it had begun.
    pub stalls: u32,
    /// How long it stood still for that.
    pub stall_ms: f64,
    /// Seconds of media that were shown.
    pub played_s: f64,
    /// Segments that the viewer got.
    pub segments: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Media bytes that came from the origin.
    pub http_bytes: u64,
    /// Media bytes that came from peers.
    pub p2p_bytes: u64,
    /// Media bytes that were sent to peers.
    pub uploaded_bytes: u64,
    /// Most peers connected at one time.
    pub peers_max: usize,
    /// Live: seconds behind the edge at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_s: Option<f64>,
    /// Live: from when a segment or part was complete at the origin to its last byte here, by where that byte came from. Of those that were
    /// completed while the viewer was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_delay_ms: Option<SegmentDelays>,
    /// With a check: segments compared with the origin's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<u64>,
    /// With a check: segments that the origin did not give any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<u64>,
    /// With a check: segments that differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatched: Option<u64>,
    /// What went wrong and was seen or heard by the viewer: segments and playlists that could not be had.
    pub errors: Vec<String>,
}

/// What went wrong so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Mutex<Vec<String>>);

impl Errors {
    pub(super) fn add(&self, error: String) {
        let mut errors = lock(&self.0);
        if errors.len() < MAX_WARNINGS {
            tracing::warn!(error, "playback");
        } else {
            tracing::info!(error, "playback");
        }
        if errors.len() < MAX_ERRORS {
            errors.push(error);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}
