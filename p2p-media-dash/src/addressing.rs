//! Which segments a representation has and when they are available: templates, lists and timelines expanded lazily, from any point.
//!
//! The rules are those of ISO/IEC 23009-1, sections 5.3.9.2 to 5.3.9.6, and of its annex A.3 for what is available at a given time.

mod runs;

use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Resource};

use self::runs::{Run, Runs};
use crate::template::UrlTemplate;
use crate::{Addressing, MAX_SEGMENTS, Mpd, Period, Representation, SegmentTimes};

/// When and which a segment is: everything but its URL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentPlace {
    /// Its position in the SegmentList, or in the period.
    pub index: u64,
    /// `$Number$`; absent for a representation that is one resource.
    pub number: Option<u64>,
    /// `$Time$`: its media time in ticks; absent for a representation that is one resource.
    pub time: Option<u64>,
    /// When it begins, in seconds on the presentation timeline.
    pub start: f64,
    /// How long it plays, in seconds; with @duration the last one is cut to the period.
    pub duration: f64,
    /// The same, not cut.
    pub nominal_duration: f64,
    /// From when the origin answers for it, in seconds since 1970; minus infinity in a static MPD.
    pub available_at: f64,
    /// From when it is complete, in seconds since 1970: later than `available_at` where chunks are available before (availabilityTimeComplete).
    pub finished_at: f64,
}

impl SegmentPlace {
    /// When it ends, in seconds on the presentation timeline.
    pub fn end(&self) -> f64 {
        self.start + self.duration
    }
}

/// A segment, and where the origin has it.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSegment {
    /// When and which it is.
    pub place: SegmentPlace,
    /// Absolute.
    pub url: Arc<str>,
    /// The part of the resource that is the segment; the whole when absent.
    pub byte_range: Option<ByteRange>,
}

impl Representation {
    /// The segments that are known at `now` (seconds since 1970), in the order of the MPD: of a SegmentTimeline or SegmentList all that it has; with
    /// @duration in a dynamic MPD those that are available, back to the timeShiftBufferDepth. Never more than [`MAX_SEGMENTS`]: the first of a static
    /// MPD, the newest of a dynamic one. None for [`Addressing::Indexed`].
    pub fn segments<'m>(&'m self, mpd: &Mpd, period: &Period, now: f64) -> Segments<'m> {
        let segments = Segments::new(self, mpd, period, now);
        if mpd.live { segments.newest(MAX_SEGMENTS) } else { segments }
    }

    /// When the next segment becomes available, in seconds since 1970 and later than `now`, as far as this MPD knows.
    pub fn next_available(&self, mpd: &Mpd, period: &Period, now: f64) -> Option<f64> {
        if !mpd.live || !self.availability_time_offset.is_finite() {
            return None;
        }
        let last_known_end = now - mpd.availability_start + self.availability_time_offset;
        let next = Segments::new(self, mpd, period, f64::INFINITY).ending_after(last_known_end).places().next()?;
        Some(next.available_at).filter(|&at| at > now)
    }

    /// Where the segment of that place is.
    pub fn resource(&self, place: &SegmentPlace) -> Option<Resource> {
        Source::new(&self.addressing)?.resource(place)
    }
}

/// The segments of a representation, made one by one. Skipping costs one step for every `S` of a SegmentTimeline, whatever its repeat count.
#[derive(Clone, Debug)]
pub struct Segments<'m> {
    source: Option<Source<'m>>,
    places: Places<'m>,
}

impl<'m> Segments<'m> {
    fn new(representation: &'m Representation, mpd: &Mpd, period: &Period, now: f64) -> Self {
        let source = Source::new(&representation.addressing);
        Self { places: Places::new(representation, source.as_ref(), mpd, period, now), source }
    }

    /// Leaves out those that begin before `seconds` on the presentation timeline (a microsecond is tolerated).
    #[must_use]
    pub fn starting_at(mut self, seconds: f64) -> Self {
        self.places.starting_at(seconds);
        self
    }

    /// Leaves out those that end at `seconds` on the presentation timeline or before (a microsecond is tolerated).
    #[must_use]
    pub fn ending_after(mut self, seconds: f64) -> Self {
        self.places.ending_after(seconds);
        self
    }

    /// Leaves out those with this `$Number$` or a smaller one.
    #[must_use]
    pub fn after_number(mut self, number: u64) -> Self {
        self.places.after_number(number);
        self
    }

    /// Leaves out those that can be had in chunks but are not finished at `now`, in seconds since 1970, of those whose number only the clock tells.
    #[must_use]
    pub fn finished(mut self, now: f64) -> Self {
        self.places.finished(now);
        self
    }

    /// Leaves out all but the last `limit`.
    #[must_use]
    pub fn newest(mut self, limit: usize) -> Self {
        if self.places.len_limit() <= limit as u64 {
            return self;
        }
        let surplus = self.places.remaining().saturating_sub(limit as u64);
        self.places.pass_over(surplus);
        self
    }

    /// How many are to come, by arithmetic. May be more than will be given out, see [`MAX_SEGMENTS`].
    pub fn remaining(&self) -> u64 {
        self.places.remaining()
    }

    /// The same without URLs; [`Representation::resource`] makes them later.
    pub fn places(self) -> Places<'m> {
        self.places
    }
}

impl Iterator for Segments<'_> {
    type Item = MediaSegment;

    fn next(&mut self) -> Option<MediaSegment> {
        let source = self.source.as_ref()?;
        let place = self.places.next()?;
        let Resource { url, byte_range } = source.resource(&place)?;
        Some(MediaSegment { place, url, byte_range })
    }

    fn nth(&mut self, n: usize) -> Option<MediaSegment> {
        self.places.pass_over(n as u64);
        self.next()
    }
}

/// The places of a representation's segments, see [`Segments::places`].
#[derive(Clone, Debug)]
pub struct Places<'m> {
    runs: Runs<'m>,
    /// What is left of the run that is being given out.
    run: Option<Run>,
    has_numbers: bool,
    /// Where @duration cuts the last segment, in seconds on the presentation timeline.
    cut_at: f64,
    availability: Option<Availability>,
    left: usize,
}

/// When segments of a dynamic MPD become available (ISO/IEC 23009-1, section A.3.2, and availabilityTimeOffset in 5.3.9.2.2).
#[derive(Clone, Copy, Debug)]
struct Availability {
    /// What is to be added to a presentation time to have seconds since 1970.
    start: f64,
    offset: f64,
    is_chunked: bool,
}

impl<'m> Places<'m> {
    fn new(representation: &'m Representation, source: Option<&Source<'m>>, mpd: &Mpd, period: &Period, now: f64) -> Self {
        let runs = match source {
            Some(source) => source.runs(representation, mpd, period, now),
            None => Runs::none(),
        };
        let availability = mpd.live.then_some(Availability {
            start: mpd.availability_start,
            offset: if representation.availability_time_offset.is_nan() { 0.0 } else { representation.availability_time_offset },
            is_chunked: representation.is_chunked,
        });
        let is_cut = source.is_some_and(|source| source.times().is_none_or(|times| !matches!(times, SegmentTimes::Timeline(_))));
        let cut_at = period.duration.filter(|_| is_cut).map_or(f64::INFINITY, |duration| period.start + duration);
        let has_numbers = !matches!(source, Some(Source::Whole(_)));
        Self { runs, run: None, has_numbers, cut_at, availability, left: MAX_SEGMENTS }
    }

    fn starting_at(&mut self, seconds: f64) {
        self.runs.starting_at(seconds);
        self.run = self.run.take().map(|run| self.runs.clip(run));
    }

    fn ending_after(&mut self, seconds: f64) {
        self.runs.ending_after(seconds);
        self.run = self.run.take().map(|run| self.runs.clip(run));
    }

    fn after_number(&mut self, number: u64) {
        self.runs.after_number(number);
        self.run = self.run.take().map(|run| self.runs.clip(run));
    }

    fn finished(&mut self, now: f64) {
        if let Some(Availability { start, is_chunked: true, .. }) = self.availability {
            self.runs.finished_until(now - start);
            self.run = self.run.take().map(|run| self.runs.clip(run));
        }
    }

    /// At least as many as [`Places::remaining`], and quicker.
    fn len_limit(&self) -> u64 {
        let begun = self.run.map_or(0, |run| run.len());
        begun.saturating_add(self.runs.len_limit())
    }

    fn remaining(&self) -> u64 {
        let begun = self.run.map_or(0, |run| run.len());
        begun.saturating_add(self.runs.clone().segment_count())
    }

    fn pass_over(&mut self, count: u64) {
        let mut count = count;
        while count > 0 {
            if self.run.is_none() {
                count = self.runs.pass_over(count);
            }
            let Some(mut run) = self.run.take().or_else(|| self.runs.next()) else { return };
            let skipped = count.min(run.len());
            run.skip(skipped);
            count -= skipped;
            self.run = Some(run).filter(|run| run.len() > 0);
        }
    }

    fn place(&self, run: &Run) -> SegmentPlace {
        let (start, nominal_duration) = (self.runs.clock().start(run), self.runs.clock().duration(run));
        let duration = nominal_duration.min(self.cut_at - start).max(0.0);
        let (available_at, finished_at) = match self.availability {
            Some(Availability { start: zero, offset, is_chunked }) => {
                let end = zero + start + duration;
                (end - offset, if is_chunked { end.max(end - offset) } else { end - offset })
            }
            None => (f64::NEG_INFINITY, f64::NEG_INFINITY),
        };
        let number = self.has_numbers.then_some(run.number());
        let time = self.has_numbers.then_some(run.time());
        SegmentPlace { index: run.index(), number, time, start, duration, nominal_duration, available_at, finished_at }
    }
}

impl Iterator for Places<'_> {
    type Item = SegmentPlace;

    fn next(&mut self) -> Option<SegmentPlace> {
        self.left = self.left.checked_sub(1)?;
        // Runs are as many as the entries of the MPD, so this ends; empty ones are passed over.
        let mut run = match self.run.take().filter(|run| run.len() > 0) {
            Some(run) => run,
            None => self.runs.find(|run| run.len() > 0)?,
        };
        let place = self.place(&run);
        run.skip(1);
        self.run = Some(run);
        Some(place)
    }

    fn nth(&mut self, n: usize) -> Option<SegmentPlace> {
        self.pass_over(n as u64);
        self.next()
    }
}

/// What makes URLs of places.
#[derive(Clone, Debug)]
enum Source<'m> {
    Template(&'m crate::SegmentTemplate, UrlTemplate<'m>),
    List(&'m crate::SegmentList),
    Whole(&'m Arc<str>),
}

impl<'m> Source<'m> {
    fn new(addressing: &'m Addressing) -> Option<Self> {
        match addressing {
            Addressing::Template(template) => Some(Self::Template(template, UrlTemplate::new(template.media.as_deref()?))),
            Addressing::List(list) => Some(Self::List(list)),
            Addressing::Whole(url) => Some(Self::Whole(url)),
            Addressing::Indexed(_) | Addressing::None => None,
        }
    }

    const fn times(&self) -> Option<&'m SegmentTimes> {
        match self {
            Self::Template(template, _) => Some(&template.times),
            Self::List(list) => Some(&list.times),
            Self::Whole(_) => None,
        }
    }

    fn runs(&self, representation: &Representation, mpd: &Mpd, period: &Period, now: f64) -> Runs<'m> {
        let mut runs = match self {
            Self::Template(template, _) => {
                let offset = template.presentation_time_offset;
                let mut runs = Runs::new(&template.times, template.timescale, offset, template.start_number, period);
                runs.end_number = template.end_number;
                runs
            }
            Self::List(list) => {
                let mut runs = Runs::new(&list.times, list.timescale, list.presentation_time_offset, list.start_number, period);
                runs.max_count = list.segments.len() as u64;
                // A list that moves on with a live stream says by its numbers how far it is.
                if mpd.live {
                    runs.begin_at_number();
                }
                // Of several segments without a duration none can be placed.
                if matches!(list.times, SegmentTimes::Unknown) && list.segments.len() != 1 { Runs::none() } else { runs }
            }
            Self::Whole(_) => Runs::new(&SegmentTimes::Unknown, 1, 0, 1, period),
        };
        if mpd.live {
            let has_window = matches!((self, self.times()), (Self::Template(..), Some(SegmentTimes::Duration(_))));
            // What is available without end in a period without end is as if nothing were said.
            let offset = Some(representation.availability_time_offset).filter(|offset| offset.is_finite() || period.duration.is_some());
            let edge = now - mpd.availability_start + offset.filter(|offset| !offset.is_nan()).unwrap_or(0.0);
            runs.known_until(edge, has_window);
            if let Some(depth) = mpd.time_shift_buffer_depth.filter(|depth| has_window && now.is_finite() && *depth >= 0.0) {
                runs.ending_after(now - mpd.availability_start - depth);
            }
        }
        runs.settle_first_time();
        runs
    }

    fn resource(&self, place: &SegmentPlace) -> Option<Resource> {
        match self {
            Self::Template(_, template) => {
                Some(Resource { url: template.url(place.number.unwrap_or_default(), place.time.unwrap_or_default()), byte_range: None })
            }
            Self::List(list) => list.segments.get(usize::try_from(place.index).ok()?).cloned(),
            Self::Whole(url) => Some(Resource { url: Arc::clone(url), byte_range: None }),
        }
    }
}

#[cfg(test)]
#[path = "addressing/tests.rs"]
mod tests;
