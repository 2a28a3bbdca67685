//! The history of one MPD: each version of it, and the passing of time, become differences per stream.

use std::sync::Arc;

use p2p_media_core::media::{Resource, Segment, SegmentId, StreamUpdate};

use crate::mpd::Mpd;
use crate::sidx::IndexError;
use crate::streams::{DashStream, Placement, StreamTable};

/// What is known of one presentation from all versions of its MPD so far.
///
/// Times are seconds on the presentation timeline, which all streams share: zero is the zero of the period clock, the availability start
/// time of a dynamic MPD. `now` is always in seconds since 1970, corrected by the clock of the server where [`Mpd::utc_timings`] tell it.
#[derive(Clone, Debug)]
pub struct PresentationTimeline {
    mpd: Mpd,
    streams: Vec<DashStream>,
    table: StreamTable,
    placements: Vec<Placement>,
}

/// A segment with what a player wants to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentDetails {
    /// What the engine knows of it.
    pub segment: Segment,
    /// `$Number$`, counted from @startNumber.
    pub number: Option<u64>,
    /// `$Time$`: when it begins in ticks of its representation's timescale.
    pub time: Option<u64>,
    /// Initialization segment; `None` where the media needs none.
    pub init: Option<Arc<Resource>>,
    /// Index in [`Mpd::periods`] of the MPD of now.
    pub period: usize,
    /// ContentProtection is declared.
    pub is_protected: bool,
}

/// Names a request for a segment index; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IndexId(u64);

/// A resource, or a part of one, with a segment index (`sidx`) that has yet to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRequest {
    /// What [`PresentationTimeline::add_index`] wants.
    pub id: IndexId,
    /// What to fetch.
    pub resource: Resource,
}

impl PresentationTimeline {
    /// A timeline that begins with this version.
    pub fn new(mpd: Mpd) -> Self {
        let mut streams = Vec::new();
        let mut table = StreamTable::default();
        let placements = table.place(&mpd, &mut streams);
        Self { mpd, streams, table, placements }
    }

    /// Takes in a version of the MPD. One that was published earlier than the last one (from a cache) changes nothing.
    ///
    /// A dynamic MPD with another availabilityStartTime is that of a restarted server: all segments are replaced, where they differ.
    pub fn refresh(&mut self, mpd: Mpd) {
        self.placements = self.table.place(&mpd, &mut self.streams);
        self.mpd = mpd;
    }

    /// The version of now.
    pub fn mpd(&self) -> &Mpd {
        &self.mpd
    }

    /// The streams to share. The index of a stream stays; new ones come at the end. Those of kind main are first in the beginning.
    pub fn streams(&self) -> &[DashStream] {
        &self.streams
    }

    /// Which representation each stream has in each period of the MPD.
    pub(crate) fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// The stream to go on with in another period: the same one if it is there, else the one most like it. `period` is an index in
    /// [`Mpd::periods`]. `None` when the period has nothing of its kind.
    pub fn stream_in_period(&self, stream: usize, period: usize) -> Option<usize> {
        let _ = (stream, period);
        None
    }

    /// Index in [`Mpd::periods`] of the period at a position: the last one that has begun, or the first.
    pub fn period_at(&self, position: f64) -> Option<usize> {
        let _ = position;
        None
    }

    /// What changed in a stream since the last call of this, in playing order: segments that are available at `now` and were not, that left the
    /// window or the MPD, whose URL is another one, or that were unfinished and are finished now.
    pub fn update(&mut self, stream: usize, now: f64) -> StreamUpdate {
        let _ = (stream, now);
        StreamUpdate::default()
    }

    /// When [`PresentationTimeline::update`] will have something to tell though the MPD stays as it is: a segment becomes available, is
    /// finished, or leaves the window. Seconds since 1970.
    pub fn next_change(&self, stream: usize, now: f64) -> Option<f64> {
        let _ = (stream, now);
        None
    }

    /// The segments of a stream as of the last [`PresentationTimeline::update`] of it, in playing order.
    pub fn segments(&self, stream: usize) -> impl Iterator<Item = SegmentDetails> {
        let _ = stream;
        std::iter::empty()
    }

    /// One of [`PresentationTimeline::segments`].
    pub fn segment(&self, stream: usize, id: SegmentId) -> Option<SegmentDetails> {
        let _ = (stream, id);
        None
    }

    /// The segment that plays at a position, or the first one after it. Costs little: nothing before it is looked at.
    pub fn segment_at(&self, stream: usize, position: f64) -> Option<SegmentDetails> {
        let _ = (stream, position);
        None
    }

    /// Where the newest media ends that is finished at `now`, in seconds on the timeline, by the MPD alone; the end of a static presentation.
    pub fn live_edge(&self, now: f64) -> Option<f64> {
        let _ = now;
        None
    }

    /// Where playing should begin: live so far behind the clock as the MPD suggests (or three segments), else at the beginning.
    pub fn start_position(&self, now: f64) -> f64 {
        let _ = now;
        0.0
    }

    /// The segment index that has to be fetched before segments of this stream are known, or more of them: the first one not yet there.
    pub fn index_needed(&self, stream: usize) -> Option<IndexRequest> {
        let _ = stream;
        None
    }

    /// Takes in bytes of an index, which begin at offset `first_byte` of the resource: what was asked for, or more. There may be another one
    /// to fetch then.
    ///
    /// # Errors
    /// When they are no index. It is not asked for again.
    pub fn add_index(&mut self, id: IndexId, first_byte: u64, bytes: &[u8]) -> Result<(), IndexError> {
        let _ = (id, first_byte, bytes);
        Ok(())
    }

    /// An index could not be fetched: it is not asked for again until the MPD changes.
    pub fn index_failed(&mut self, id: IndexId) {
        let _ = id;
    }

    /// Seconds from the fetch of one version to that of the next; absent when the MPD will not change.
    pub fn refresh_after(&self) -> Option<f64> {
        None
    }

    /// Where the next version is: [`Mpd::locations`], or else `url`, from where this version came.
    pub fn next_mpd_url(&self, url: &str) -> Arc<str> {
        self.mpd.locations.first().cloned().unwrap_or_else(|| Arc::from(url))
    }

    /// Where the difference from this version to the next one is ([`crate::apply_patch`]), while the server keeps it.
    pub fn patch_url(&self, now: f64) -> Option<Arc<str>> {
        let _ = now;
        None
    }
}
