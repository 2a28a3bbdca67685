//! What a manifest says of one track at some moment: the segments that can be had, and where the edge is.

use std::sync::Arc;

use tokio::time::Instant;

use super::PlayerError;
use super::segments::{SegmentInfo, Window};

/// A track as last learned.
#[derive(Clone, Debug)]
pub(super) struct TrackVersion {
    /// In playing order; no two for the same time.
    pub(super) segments: Vec<Arc<SegmentInfo>>,
    /// More are to come.
    pub(super) live: bool,
    /// Segments can be had before they are finished.
    pub(super) has_parts: bool,
    /// Where playing should begin.
    pub(super) start_playing_at: f64,
    /// Where what has been produced ends.
    pub(super) edge: f64,
    /// When this was learned.
    pub(super) loaded_at: Instant,
    /// Why it will not be refreshed any more although it is live.
    pub(super) failure: Option<PlayerError>,
}

impl TrackVersion {
    pub(super) fn window(&self) -> Window {
        let start = self.segments.first().map_or(0.0, |first| first.start);
        let start_playing_at = self.start_playing_at.max(start);
        let Self { edge, live, has_parts, loaded_at, .. } = *self;
        Window { start, end: edge.max(start), start_playing_at, live, has_parts, loaded_at }
    }

    /// Whether readers would find nothing new. Segments that are as they were are the same allocation.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.live == other.live
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
