//! The history of one MPD: each version of it, and the passing of time, become differences per stream.

mod common_times;
mod difference;
mod ids;
mod indexes;
mod live;
mod version;

use std::sync::Arc;

use p2p_media_core::media::{Resource, Segment, SegmentId, StreamUpdate};

use self::indexes::{IndexFetches, IndexTable};
use self::version::{Version, View};
use crate::mpd::{Addressing, Mpd};
use crate::sidx::IndexError;
use crate::streams::{DashStream, Placement, StreamTable};

/// So many versions in a row that are older than the one before them are not from a cache: the clock of the server was set back.
const MAX_OLDER_VERSIONS: u32 = 5;

/// What is known of one presentation from all versions of its MPD so far.
///
/// Times are seconds on the presentation timeline, which all streams share: zero is the zero of the period clock, the availability start
/// time of a dynamic MPD. `now` is always in seconds since 1970, corrected by the clock of the server where [`Mpd::utc_timings`] tell it.
///
/// Segments are not stored: what a stream held at its last update is worked out again from the version and the time of then. An id is never that
/// of two segments of a stream at once: where an MPD is so wrong that it would be, the later segment is left out.
#[derive(Clone, Debug)]
pub struct PresentationTimeline {
    version: Arc<Version>,
    streams: Vec<DashStream>,
    table: StreamTable,
    /// What each stream held at its last update; as many as streams.
    held: Vec<Option<Held>>,
    fetches: IndexFetches,
    older_versions: u32,
}

/// The view of a stream at its last update.
#[derive(Clone, Debug)]
struct Held {
    version: Arc<Version>,
    now: f64,
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
    /// Index in [`Mpd::periods`], of the MPD at the last update.
    pub period: usize,
    /// ContentProtection is declared.
    pub is_protected: bool,
}

/// Names a request for a segment index; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IndexId(u64);

/// A part of a resource with a segment index (`sidx`) that has yet to be fetched.
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
        let version = Version::new(Arc::new(Mpd::default()), Vec::new(), 0, IndexTable::default());
        let mut timeline = Self {
            version: Arc::new(version),
            streams: Vec::new(),
            table: StreamTable::default(),
            held: Vec::new(),
            fetches: IndexFetches::default(),
            older_versions: 0,
        };
        timeline.take_in(mpd);
        timeline
    }

    /// Takes in a version of the MPD. One that was published earlier than the last one (from a cache) changes nothing, unless only such come.
    ///
    /// A dynamic MPD whose availabilityStartTime has moved by more than a second is that of a restarted server: all segments are replaced.
    pub fn refresh(&mut self, mpd: Mpd) {
        let is_older = self.mpd().publish_time.zip(mpd.publish_time).is_some_and(|(known, given)| given < known);
        if is_older && self.older_versions < MAX_OLDER_VERSIONS {
            self.older_versions += 1;
            return;
        }
        self.take_in(mpd);
    }

    fn take_in(&mut self, mpd: Mpd) {
        self.older_versions = 0;
        let placements = self.table.place(&mpd, &mut self.streams);
        self.held.resize(self.streams.len(), None);
        let mut indexes = self.version.indexes.clone();
        let indexed = placements.iter().filter_map(|placement| {
            match &mpd.periods.get(placement.period)?.representations.get(placement.representation)?.addressing {
                Addressing::Indexed(index) => Some(index),
                _ => None,
            }
        });
        self.fetches.refresh(indexed, &mut indexes);
        self.version = Arc::new(Version::new(Arc::new(mpd), placements, self.streams.len(), indexes));
    }

    /// The version of now.
    pub fn mpd(&self) -> &Mpd {
        &self.version.mpd
    }

    /// The streams to share. The index of a stream stays; new ones come at the end. Those of kind main are first in the beginning.
    pub fn streams(&self) -> &[DashStream] {
        &self.streams
    }

    /// The stream to go on with in another period: the same one if it is there, else the one most like it. `period` is an index in
    /// [`Mpd::periods`]. `None` when the period has nothing of its kind.
    pub fn stream_in_period(&self, stream: usize, period: usize) -> Option<usize> {
        let is_there = |&other: &usize| self.version.streams[other].placements.iter().any(|placement| placement.period == period);
        if stream < self.streams.len() && is_there(&stream) {
            return Some(stream);
        }
        let wanted = self.streams.get(stream)?;
        let of_its_kind = (0..self.streams.len()).filter(|&other| self.streams[other].media == wanted.media);
        of_its_kind.filter(is_there).min_by_key(|&other| self.streams[other].unlikeness(wanted))
    }

    /// Index in [`Mpd::periods`] of the period at a position: the last one that has begun, or the first. `None` when there is none.
    pub fn period_at(&self, position: f64) -> Option<usize> {
        let periods = &self.mpd().periods;
        periods.iter().rposition(|period| period.start <= position).or(if periods.is_empty() { None } else { Some(0) })
    }

    /// What changed in a stream since the last call of this, in playing order: segments that are available at `now` and were not, that left the
    /// window or the MPD, whose URL or duration is another one, or that were unfinished and are finished now.
    ///
    /// A segment that is added with an id that is known already takes its place; where it is another segment, the id is in `removed`, too, which
    /// comes first.
    pub fn update(&mut self, stream: usize, now: f64) -> StreamUpdate {
        let mut update = StreamUpdate { live: self.is_live(now), ..StreamUpdate::default() };
        let new = View { version: &self.version, stream, now };
        let Some(held) = self.held.get_mut(stream) else { return update };
        match held {
            Some(held) => difference::note_changes(View { version: &held.version, stream, now: held.now }, new, &mut update),
            None => update.added.extend(new.items().filter_map(|(span, item)| span.segment(&item))),
        }
        *held = Some(Held { version: Arc::clone(&self.version), now });
        update
    }

    /// The segments of a stream as of the last [`PresentationTimeline::update`] of it, in playing order.
    pub fn segments(&self, stream: usize) -> impl Iterator<Item = SegmentDetails> {
        self.held_view(stream).into_iter().flat_map(View::items).filter_map(|(span, item)| span.details(&item))
    }

    /// One of [`PresentationTimeline::segments`].
    pub fn segment(&self, stream: usize, id: SegmentId) -> Option<SegmentDetails> {
        let view = self.held_view(stream)?;
        let (earliest, latest) = ids::possible_starts(id);
        let mut items = view.items_ending_after(earliest).take_while(|(_, item)| item.place.start <= latest || !view.is_orderly());
        items.find_map(|(span, item)| if item.id == id { span.details(&item) } else { None })
    }

    /// Details of segments that the last update has added, in the order given there. Costs less than to ask for each of them.
    pub fn details_of<'t>(&'t self, stream: usize, added: &'t [Segment]) -> impl Iterator<Item = SegmentDetails> + 't {
        let first = added.first().map_or(0.0, |segment| segment.start);
        let mut items = self.held_view(stream).into_iter().flat_map(move |view| view.items_ending_after(first)).peekable();
        added.iter().filter_map(move |segment| {
            while let Some((span, item)) = items.next_if(|(_, item)| item.place.start <= segment.start) {
                if item.id == segment.id {
                    return span.details(&item);
                }
            }
            self.segment(stream, segment.id)
        })
    }

    /// The one of [`PresentationTimeline::segments`] that plays at a position, or else the first one after it.
    pub fn segment_at(&self, stream: usize, position: f64) -> Option<SegmentDetails> {
        let mut items = self.held_view(stream)?.items_ending_after(position);
        items.find_map(|(span, item)| span.details(&item))
    }

    /// Where the streams are in the version of now.
    pub(crate) fn placements(&self) -> &[Placement] {
        &self.version.placements
    }

    fn held_view(&self, stream: usize) -> Option<View<'_>> {
        let held = self.held.get(stream)?.as_ref()?;
        Some(View { version: &held.version, stream, now: held.now })
    }

    /// The segment index that has to be fetched before segments of this stream are known, or more of them: the first one not yet there.
    pub fn index_needed(&self, stream: usize) -> Option<IndexRequest> {
        let view = View { version: &self.version, stream, now: f64::INFINITY };
        view.spans().find_map(|span| match &span.representation.addressing {
            Addressing::Indexed(index) => self.fetches.request(index),
            _ => None,
        })
    }

    /// Takes in bytes of an index, which begin at offset `first_byte` of the resource: what was asked for, or more. There may be another one
    /// to fetch then. An answer to a request that is not open any more changes nothing.
    ///
    /// # Errors
    /// When they are no index. It is not asked for again until the MPD is refreshed.
    pub fn add_index(&mut self, id: IndexId, first_byte: u64, bytes: &[u8]) -> Result<(), IndexError> {
        let mut indexes = self.version.indexes.clone();
        let outcome = self.fetches.add(id, first_byte, bytes, &mut indexes);
        let version = Arc::make_mut(&mut self.version);
        version.indexes = indexes;
        version.examine_ids();
        outcome
    }

    /// An index could not be fetched: it is not asked for again until the MPD is refreshed.
    pub fn index_failed(&mut self, id: IndexId) {
        self.fetches.fail(id);
    }
}

#[cfg(test)]
#[path = "timeline/tests.rs"]
mod tests;
