//! Segment indexes of the representations that have one: which are to be fetched, and what is in those that are there.

use std::collections::HashMap;
use std::sync::Arc;

use p2p_media_core::media::{Resource, SegmentId};

use super::ids::Sieve;
use super::{IndexId, IndexRequest};
use crate::addressing::SegmentPlace;
use crate::mpd::{Period, SegmentIndex};
use crate::sidx::{IndexError, IndexReader, IndexedSegment};

/// The indexes known of a version. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexTable(Arc<HashMap<IndexKey, LoadedIndex>>);

impl IndexTable {
    pub(super) fn get(&self, index: &SegmentIndex) -> Option<&LoadedIndex> {
        // Most MPDs have none, so no key is made.
        if self.0.is_empty() { None } else { self.0.get(&IndexKey::of(index)) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct IndexKey {
    media: Arc<str>,
    index: Resource,
    timescale: u64,
    presentation_time_offset: i64,
}

impl IndexKey {
    fn of(index: &SegmentIndex) -> Self {
        let SegmentIndex { media, index, timescale, presentation_time_offset } = index.clone();
        Self { media, index, timescale, presentation_time_offset }
    }
}

/// Segments out of an index.
#[derive(Clone, Debug)]
pub(super) struct LoadedIndex {
    media: Arc<str>,
    segments: Arc<[IndexedSegment]>,
}

impl LoadedIndex {
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// True for the same segments of the same resource.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.media == other.media && (Arc::ptr_eq(&self.segments, &other.segments) || self.segments == other.segments)
    }

    /// The segments in the period that end later than `after`, in seconds on the timeline.
    pub(super) fn places(&self, period: &Period, after: f64) -> impl Iterator<Item = SegmentPlace> {
        let zero = period.start;
        let end = period.duration.map_or(f64::INFINITY, |duration| zero + duration);
        let after = after.max(zero);
        // Segments are in the order of time.
        let skipped = self.segments.partition_point(|segment| zero + segment.start + segment.duration <= after);
        let rest = self.segments.iter().enumerate().skip(skipped);
        rest.map(move |(index, segment)| place(index, segment, zero)).take_while(move |place| place.start < end)
    }

    pub(super) fn resource(&self, place: &SegmentPlace) -> Option<Resource> {
        let segment = self.segments.get(usize::try_from(place.index).ok()?)?;
        Some(Resource { url: Arc::clone(&self.media), byte_range: Some(segment.byte_range) })
    }

    pub(super) fn is_orderly(&self, period: &Period) -> bool {
        let mut sieve = Sieve::default();
        let mut places = self.places(period, f64::NEG_INFINITY);
        places.all(|place| sieve.passes(SegmentId::of_dash(place.start, place.nominal_duration)))
    }
}

fn place(index: usize, segment: &IndexedSegment, period_start: f64) -> SegmentPlace {
    SegmentPlace {
        index: index as u64,
        number: None,
        time: None,
        start: period_start + segment.start,
        duration: segment.duration,
        nominal_duration: segment.duration,
        available_at: f64::NEG_INFINITY,
        finished_at: f64::NEG_INFINITY,
    }
}

/// What is yet to be fetched.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexFetches {
    pending: HashMap<IndexKey, Pending>,
    next_id: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    id: IndexId,
    reader: IndexReader,
}

impl IndexFetches {
    /// Forgets what a new version does not name any more, and notes what it names for the first time. What failed before is tried again.
    pub(super) fn refresh<'m>(&mut self, named: impl Iterator<Item = &'m SegmentIndex>, table: &mut IndexTable) {
        let mut known = std::mem::take(&mut self.pending);
        let mut loaded = HashMap::new();
        for index in named {
            let key = IndexKey::of(index);
            if let Some(index) = table.0.get(&key) {
                loaded.insert(key.clone(), index.clone());
            }
            if let Some(pending) = known.remove(&key) {
                self.pending.insert(key, pending);
            } else if !loaded.contains_key(&key) && !self.pending.contains_key(&key) {
                let id = self.new_id();
                self.pending.insert(key, Pending { id, reader: IndexReader::new(index) });
            }
        }
        if loaded.len() != table.0.len() {
            table.0 = Arc::new(loaded);
        }
    }

    pub(super) fn request(&self, index: &SegmentIndex) -> Option<IndexRequest> {
        let pending = self.pending.get(&IndexKey::of(index))?;
        Some(IndexRequest { id: pending.id, resource: pending.reader.needed()? })
    }

    pub(super) fn add(&mut self, id: IndexId, first_byte: u64, bytes: &[u8], table: &mut IndexTable) -> Result<(), IndexError> {
        let Some((key, mut pending)) = self.take(id) else { return Ok(()) };
        let known = pending.reader.segments().len();
        let outcome = pending.reader.add(first_byte, bytes);
        if pending.reader.segments().len() != known {
            let loaded = LoadedIndex { media: Arc::clone(&key.media), segments: Arc::from(pending.reader.segments()) };
            Arc::make_mut(&mut table.0).insert(key.clone(), loaded);
        }
        if outcome.is_ok() && pending.reader.needed().is_some() {
            pending.id = self.new_id();
            self.pending.insert(key, pending);
        }
        outcome
    }

    pub(super) fn fail(&mut self, id: IndexId) {
        drop(self.take(id));
    }

    fn take(&mut self, id: IndexId) -> Option<(IndexKey, Pending)> {
        let key = self.pending.iter().find(|(_, pending)| pending.id == id)?.0.clone();
        self.pending.remove_entry(&key)
    }

    const fn new_id(&mut self) -> IndexId {
        self.next_id += 1;
        IndexId(self.next_id)
    }
}
