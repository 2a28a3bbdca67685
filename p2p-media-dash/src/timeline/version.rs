//! One version of an MPD as the timeline keeps it, and what can be seen of a stream in it at a given time.

use std::sync::Arc;

use p2p_media_core::media::{Resource, Segment, SegmentForm, SegmentId};

use super::SegmentDetails;
use super::ids;
use super::indexes::{IndexTable, LoadedIndex};
use crate::addressing::{SegmentPlace, Segments};
use crate::mpd::{Addressing, Mpd, Period, Representation, SegmentTimes};
use crate::streams::Placement;
use crate::{MAX_SEGMENTS, SegmentTemplate};

/// A version of the MPD with the segment indexes known of it. Never changed: streams that have yet to be updated compare with it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) mpd: Arc<Mpd>,
    /// What is shared, period by period.
    pub(super) placements: Vec<Placement>,
    pub(super) streams: Vec<StreamLayout>,
    pub(super) indexes: IndexTable,
}

/// Where a stream is in a version.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamLayout {
    /// Its representations, one of a period, in order.
    pub(super) placements: Vec<Placement>,
    /// Its segments begin and end in their order, and have different ids for certain.
    is_orderly: bool,
}

impl Version {
    pub(super) fn new(mpd: Arc<Mpd>, placements: Vec<Placement>, stream_count: usize, indexes: IndexTable) -> Self {
        let mut streams = vec![StreamLayout::default(); stream_count];
        for &placement in &placements {
            if let Some(layout) = streams.get_mut(placement.stream) {
                layout.placements.push(placement);
            }
        }
        let mut version = Self { mpd, placements, streams, indexes };
        version.examine_ids();
        version
    }

    /// To be called when an index was added.
    pub(super) fn examine_ids(&mut self) {
        let mut examined = ids::ExaminedTimelines::default();
        let examine = |stream| ids::are_orderly(&View { version: self, stream, now: f64::INFINITY }, &mut examined);
        let results: Vec<bool> = (0..self.streams.len()).map(examine).collect();
        for (layout, is_orderly) in self.streams.iter_mut().zip(results) {
            layout.is_orderly = is_orderly;
        }
    }
}

/// The segments of a stream that are available at a time. The same view always gives the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'v> {
    pub(super) version: &'v Version,
    pub(super) stream: usize,
    /// Seconds since 1970.
    pub(super) now: f64,
}

/// A segment in a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) id: SegmentId,
    pub(super) place: SegmentPlace,
    pub(super) form: SegmentForm,
}

impl<'v> View<'v> {
    /// The periods with the stream, in order.
    pub(super) fn spans(self) -> impl DoubleEndedIterator<Item = Span<'v>> {
        let placements = self.version.streams.get(self.stream).map_or(&[][..], |layout| &layout.placements);
        placements.iter().filter_map(move |&placement| Span::new(self, placement))
    }

    /// False when a segment may begin or end before one that comes before it, or have its id: all have to be looked at from the first one on.
    pub(super) fn is_orderly(&self) -> bool {
        self.version.streams.get(self.stream).is_none_or(|layout| layout.is_orderly)
    }

    /// The segments that are shared, in playing order.
    pub(super) fn items(self) -> impl Iterator<Item = (Span<'v>, Item)> {
        let mut sieve = ids::Sieve::for_view(&self);
        let surplus = self.surplus();
        let all = self.spans().flat_map(|span| span.clone().items().map(move |item| (span.clone(), item)));
        all.skip(surplus).take(MAX_SEGMENTS).filter(move |(_, item)| sieve.passes(item.id))
    }

    /// Those that end after a position, in seconds on the timeline. Costs little where ids are surely distinct.
    pub(super) fn items_ending_after(self, position: f64) -> impl Iterator<Item = (Span<'v>, Item)> {
        let quick = self.is_orderly();
        let all = (!quick).then(|| self.items().filter(move |(_, item)| item.place.end() > position));
        let near = quick.then(|| {
            let spans = self.spans().filter(move |span| span.period.duration.is_none_or(|length| span.period.start + length > position));
            spans.flat_map(move |span| span.clone().items_ending_after(position).map(move |item| (span.clone(), item)))
        });
        all.into_iter().flatten().chain(near.into_iter().flatten())
    }

    /// How many of the oldest are not held, of a live stream over many periods.
    fn surplus(&self) -> usize {
        let has_many = self.version.streams.get(self.stream).is_some_and(|layout| layout.placements.len() > 1);
        if !has_many || !self.version.mpd.live {
            return 0;
        }
        let count: u64 = self.spans().map(|span| span.count()).fold(0, u64::saturating_add);
        usize::try_from(count.saturating_sub(MAX_SEGMENTS as u64)).unwrap_or(usize::MAX)
    }
}

/// The part of a stream that is in one period.
#[derive(Clone, Debug)]
pub(super) struct Span<'v> {
    pub(super) view: View<'v>,
    pub(super) placement: Placement,
    pub(super) period: &'v Period,
    pub(super) representation: &'v Representation,
    pub(super) index: Option<&'v LoadedIndex>,
}

impl<'v> Span<'v> {
    fn new(view: View<'v>, placement: Placement) -> Option<Self> {
        let period = view.version.mpd.periods.get(placement.period)?;
        let representation = period.representations.get(placement.representation)?;
        let index = match &representation.addressing {
            Addressing::Indexed(index) => view.version.indexes.get(index),
            _ => None,
        };
        Some(Self { view, placement, period, representation, index })
    }

    /// What is available, ids not compared.
    pub(super) fn items(self) -> impl Iterator<Item = Item> {
        let segments = self.segments();
        self.items_of(segments, f64::NEG_INFINITY)
    }

    pub(super) fn items_ending_after(self, seconds: f64) -> impl Iterator<Item = Item> {
        let segments = self.segments().ending_after(seconds);
        self.items_of(segments, seconds)
    }

    /// Segments of an index are those that end after `indexed_after`.
    fn items_of(self, segments: Segments<'v>, indexed_after: f64) -> impl Iterator<Item = Item> {
        let View { now, .. } = self.view;
        let is_orderly = self.view.is_orderly();
        let indexed = self.index.map(|index| index.places(self.period, indexed_after)).into_iter().flatten();
        let places = segments.places().chain(indexed).take_while(move |place| place.available_at <= now || !is_orderly);
        places.filter(move |place| place.available_at <= now).filter_map(move |place| Item::at(place, now))
    }

    pub(super) fn segments(&self) -> Segments<'v> {
        self.representation.segments(&self.view.version.mpd, self.period, self.view.now)
    }

    fn count(&self) -> u64 {
        self.segments().remaining().saturating_add(self.index.map_or(0, |index| index.len() as u64))
    }

    /// When the first segment of the period begins, or a time before it, whatever is available.
    pub(super) fn first_start(&self) -> Option<f64> {
        if let Some(index) = self.index {
            return index.places(self.period, f64::NEG_INFINITY).next().map(|place| place.start);
        }
        if self.template().is_some_and(|template| matches!(template.times, SegmentTimes::Duration(_))) {
            return Some(self.period.start);
        }
        // What repeats without end goes on for a while; any other timeline lists what it lists.
        let now = self.view.version.mpd.availability_start + self.period.start + 60.0;
        let segments = self.representation.segments(&self.view.version.mpd, self.period, now);
        segments.places().next().map(|place| place.start)
    }

    /// When the last segment begins that is known.
    pub(super) fn last_start(&self) -> Option<f64> {
        let last = match self.index {
            Some(index) => index.places(self.period, f64::NEG_INFINITY).last(),
            None => self.segments().newest(1).places().next(),
        };
        last.map(|place| place.start)
    }

    /// What ends up to this time, in seconds on the timeline, is held where the version has it, is finished and stays as it is.
    pub(super) fn settled_until(&self) -> f64 {
        let mpd = &self.view.version.mpd;
        let end = self.period.duration.map_or(f64::INFINITY, |duration| self.period.start + duration);
        if self.index.is_some() || !mpd.live {
            return end;
        }
        let early = self.representation.availability_time_offset;
        let early = if self.representation.is_chunked { early.min(0.0) } else { early };
        // What is available without end in a period without end is known up to the present.
        let early = if early.is_finite() || (early > 0.0 && end.is_finite()) { early } else { 0.0 };
        // Sooner by what the comparison of times tolerates, and more.
        end.min(self.view.now - mpd.availability_start + early - 0.001)
    }

    /// The resource of a segment of this span.
    pub(super) fn resource(&self, place: &SegmentPlace) -> Option<Resource> {
        match self.index {
            Some(index) => index.resource(place),
            None => self.representation.resource(place),
        }
    }

    pub(super) fn template(&self) -> Option<&'v SegmentTemplate> {
        match &self.representation.addressing {
            Addressing::Template(template) => Some(template),
            _ => None,
        }
    }

    pub(super) fn segment(&self, item: &Item) -> Option<Segment> {
        let Resource { url, byte_range } = self.resource(&item.place)?;
        let SegmentPlace { start, duration, .. } = item.place;
        Some(Segment { id: item.id, url, byte_range, start, duration, form: item.form })
    }

    pub(super) fn details(&self, item: &Item) -> Option<SegmentDetails> {
        Some(SegmentDetails {
            segment: self.segment(item)?,
            number: item.place.number,
            time: item.place.time,
            init: self.representation.init.clone(),
            period: self.placement.period,
            is_protected: self.representation.is_protected,
        })
    }
}

impl Item {
    /// `None` for what has no place in time that an id could be made of.
    fn at(place: SegmentPlace, now: f64) -> Option<Self> {
        let is_placed = place.start.abs() <= ids::LATEST_START_SECONDS && place.duration.is_finite();
        if !is_placed || place.nominal_duration.is_nan() || place.nominal_duration < ids::SHORTEST_SECONDS {
            return None;
        }
        let form = if place.finished_at > now { SegmentForm::Unfinished } else { SegmentForm::Whole };
        Some(Self { id: SegmentId::of_dash(place.start, place.nominal_duration), place, form })
    }
}
