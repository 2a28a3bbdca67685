//! Runs of segments of equal duration: what a SegmentTimeline or @duration is, without a step for every segment.

use crate::{Period, SegmentTimes, TimelineEntry};

/// Differences of time below this are rounding, in seconds: presentation times are written in milliseconds or finer.
const ROUNDING_SECONDS: f64 = 1e-6;

/// From ticks of media time to seconds on the presentation timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaClock {
    /// Ticks per second.
    timescale: f64,
    /// Media time at which the period begins, in ticks.
    zero: i64,
    /// When the period begins, in seconds on the presentation timeline.
    period_start: f64,
}

impl MediaClock {
    /// When the first segment of the run begins, in seconds on the presentation timeline.
    pub(super) fn start(&self, run: &Run) -> f64 {
        let ticks = run.base_time as i128 - i128::from(self.zero) + i128::from(run.from) * i128::from(run.duration.whole);
        self.period_start + (ticks as f64 + run.from as f64 * run.duration.fraction) / self.timescale
    }

    /// How long each segment of the run is, in seconds.
    pub(super) fn duration(&self, run: &Run) -> f64 {
        run.duration.as_f64() / self.timescale
    }

    /// How many durations the time lies behind the base of the run.
    fn durations_until(&self, seconds: f64, run: &Run) -> f64 {
        let base = run.base_time as i128 - i128::from(self.zero);
        ((seconds - self.period_start) * self.timescale - base as f64) / run.duration.as_f64()
    }

    /// The first of the run, counted from its base, that begins at the time or after it.
    fn first_starting_at(&self, seconds: f64, run: &Run) -> u64 {
        // A float becomes the nearest integer in range, NaN becomes 0.
        self.durations_until(seconds - ROUNDING_SECONDS, run).ceil() as u64
    }

    /// The first of the run, counted from its base, that ends after the time.
    fn first_ending_after(&self, seconds: f64, run: &Run) -> u64 {
        self.durations_until(seconds + ROUNDING_SECONDS, run).floor() as u64
    }
}

/// What a wanted part of time is in ticks, so that most entries of a long timeline need no calculating with floats.
#[derive(Clone, Copy, Debug)]
struct TickBounds {
    /// What ends here or earlier is not wanted.
    outside_until: u64,
    /// What begins here or later, and ends not later than `inside_until`, is wanted.
    inside_from: u64,
    inside_until: u64,
}

impl TickBounds {
    /// From seconds on the presentation timeline. Near the bounds, by more than the rounding of floats, nothing is said.
    fn new(clock: &MediaClock, from: f64, until: Option<f64>) -> Self {
        let ticks = |seconds: f64| (seconds - clock.period_start) * clock.timescale + clock.zero as f64;
        let doubt =
            |ticks: f64| 2.0 + 2.0 * ROUNDING_SECONDS * clock.timescale + 8.0 * f64::EPSILON * ticks.abs().max((clock.zero as f64).abs());
        let from = ticks(from);
        // A float becomes the nearest integer in range.
        Self {
            outside_until: (from - doubt(from)) as u64,
            inside_from: (from + doubt(from)) as u64,
            inside_until: until.map_or(u64::MAX, |until| (ticks(until) - doubt(ticks(until))) as u64),
        }
    }
}

/// A duration in ticks; @duration may have a fraction.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    whole: u64,
    fraction: f64,
}

impl Ticks {
    /// `None` for a duration that is not longer than nothing.
    fn of(duration: f64) -> Option<Self> {
        (duration > 0.0 && duration.is_finite()).then(|| Self { whole: duration.trunc() as u64, fraction: duration.fract() })
    }

    fn as_f64(self) -> f64 {
        self.whole as f64 + self.fraction
    }
}

/// Segments of equal duration that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    base_index: u64,
    base_number: u64,
    base_time: u64,
    duration: Ticks,
    /// First of those that are left, counted from the base.
    from: u64,
    /// One after the last.
    to: u64,
}

impl Run {
    pub(super) const fn len(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    pub(super) const fn skip(&mut self, count: u64) {
        self.from = self.from.saturating_add(count);
    }

    pub(super) const fn index(&self) -> u64 {
        self.base_index.saturating_add(self.from)
    }

    pub(super) const fn number(&self) -> u64 {
        self.base_number.saturating_add(self.from)
    }

    pub(super) fn time(&self) -> u64 {
        let whole = self.base_time.saturating_add(self.from.saturating_mul(self.duration.whole));
        if self.duration.fraction == 0.0 {
            return whole;
        }
        whole.saturating_add((self.from as f64 * self.duration.fraction).round() as u64)
    }

    /// When the last one ends, in ticks; of those whose durations have no fraction.
    const fn end_time(&self) -> u64 {
        self.base_time.saturating_add(self.to.saturating_mul(self.duration.whole))
    }

    const fn limit(&mut self, to: u64) {
        if to < self.to {
            self.to = to;
        }
    }

    const fn begin(&mut self, from: u64) {
        if from > self.from {
            self.from = from;
        }
    }
}

/// The runs of a representation in one period, clipped to what is wanted.
#[derive(Clone, Debug)]
pub(super) struct Runs<'m> {
    clock: MediaClock,
    /// Of what is wanted, for the entries of a timeline.
    bounds: TickBounds,
    entries: Entries<'m>,
    /// End of the period, in seconds on the presentation timeline.
    period_end: Option<f64>,
    /// Segments that end later are not known yet: with @duration, and of entries that are repeated without end.
    known_until: f64,
    /// `known_until` is for all segments, not only for entries that are repeated without end.
    is_window: bool,
    wanted_from: f64,
    wanted_end_after: f64,
    wanted_number: u64,
    /// Numbers go no further.
    pub(super) end_number: Option<u64>,
    /// There are no more than these.
    pub(super) max_count: u64,
    /// Of the next entry, unless it says otherwise.
    index: u64,
    number: u64,
    time: u64,
}

#[derive(Clone, Debug)]
enum Entries<'m> {
    /// Segments of equal length from the beginning of the period on.
    Equal(Ticks),
    Timeline(&'m [TimelineEntry]),
    /// One segment as long as the period.
    One,
    None,
}

impl<'m> Runs<'m> {
    pub(super) fn none() -> Self {
        let period = Period { id: None, start: 0.0, duration: None, representations: Vec::new() };
        Self::new(&SegmentTimes::Unknown, 1, 0, 1, &period)
    }

    pub(super) fn new(times: &'m SegmentTimes, timescale: u64, time_offset: i64, start_number: u64, period: &Period) -> Self {
        let (entries, zero, timescale) = match times {
            // With @duration the period begins with the first segment, whatever the offset is.
            SegmentTimes::Duration(duration) => (Ticks::of(*duration).map_or(Entries::None, Entries::Equal), 0, timescale),
            SegmentTimes::Timeline(entries) => (Entries::Timeline(entries), time_offset, timescale),
            SegmentTimes::Unknown => (Entries::One, 0, 1),
        };
        let entries = if period.start.is_finite() { entries } else { Entries::None };
        let clock = MediaClock { timescale: timescale.max(1) as f64, zero, period_start: period.start };
        let period_end = period.duration.map(|duration| period.start + duration);
        Self {
            clock,
            bounds: TickBounds::new(&clock, period.start, period_end),
            entries,
            period_end,
            known_until: f64::NAN,
            is_window: false,
            wanted_from: f64::NEG_INFINITY,
            wanted_end_after: f64::NEG_INFINITY,
            wanted_number: 0,
            end_number: None,
            max_count: u64::MAX,
            index: 0,
            number: start_number,
            time: 0,
        }
    }

    pub(super) const fn clock(&self) -> &MediaClock {
        &self.clock
    }

    /// The first segment begins as much later as its number is greater than 1.
    pub(super) fn begin_at_number(&mut self) {
        if let Entries::Equal(duration) = self.entries {
            self.time = (duration.as_f64() * self.number.saturating_sub(1) as f64).round() as u64;
        }
    }

    /// Some packagers leave the first @t out where they mean the beginning of the period, whatever the presentation time offset is (ISO/IEC 23009-1
    /// has 0 for it). Taken so where otherwise no segment would be in the period.
    pub(super) fn settle_first_time(&mut self) {
        let Entries::Timeline([TimelineEntry { time: None, .. }, ..]) = self.entries else { return };
        // Whatever the time is now: what was said once must stay.
        let mut ever = Self { known_until: f64::INFINITY, ..self.clone() };
        if let Ok(zero @ 1..) = u64::try_from(self.clock.zero)
            && ever.all(|run| run.len() == 0)
        {
            self.time = zero;
        }
    }

    /// In a dynamic MPD: segments that end later than this presentation time are not known yet. `for_all`, or only for those of entries that are repeated
    /// without end.
    pub(super) const fn known_until(&mut self, seconds: f64, for_all: bool) {
        self.known_until = seconds;
        self.is_window = for_all;
    }

    /// As [`Runs::known_until`], if that is not earlier yet.
    pub(super) const fn finished_until(&mut self, seconds: f64) {
        self.known_until = self.known_until.min(seconds);
    }

    pub(super) fn starting_at(&mut self, seconds: f64) {
        self.wanted_from = self.wanted_from.max(seconds);
        self.set_bounds();
    }

    pub(super) fn ending_after(&mut self, seconds: f64) {
        self.wanted_end_after = self.wanted_end_after.max(seconds);
        self.set_bounds();
    }

    fn set_bounds(&mut self) {
        let from = self.clock.period_start.max(self.wanted_from).max(self.wanted_end_after);
        self.bounds = TickBounds::new(&self.clock, from, self.period_end);
    }

    /// There are no more segments than these. Costs next to nothing.
    pub(super) fn len_limit(&self) -> u64 {
        match self.entries {
            Entries::Timeline(entries) => {
                let count = |entry: &TimelineEntry| u64::try_from(entry.repeat).map_or(u64::MAX, |repeat| repeat.saturating_add(1));
                entries.iter().map(count).fold(0, u64::saturating_add)
            }
            Entries::Equal(_) => u64::MAX,
            Entries::One => 1,
            Entries::None => 0,
        }
    }

    pub(super) fn after_number(&mut self, number: u64) {
        self.wanted_number = self.wanted_number.max(number.saturating_add(1));
        if number == u64::MAX {
            self.entries = Entries::None;
        }
    }

    /// The run without what is outside of the period or not wanted.
    pub(super) fn clip(&self, run: Run) -> Run {
        let run = if self.is_inside(&run) { run } else { self.clip_in_time(run) };
        self.clip_in_number(run)
    }

    /// Surely inside of the period, and wanted as far as time matters.
    fn is_inside(&self, run: &Run) -> bool {
        matches!(self.entries, Entries::Timeline(_))
            && run.base_time >= self.bounds.inside_from
            && run.end_time() <= self.bounds.inside_until
    }

    fn clip_in_time(&self, mut run: Run) -> Run {
        run.begin(self.clock.first_ending_after(self.clock.period_start, &run));
        if let Some(end) = self.period_end {
            run.limit(self.clock.first_starting_at(end, &run));
        }
        if self.is_window && !self.period_end.is_some_and(|end| end <= self.known_until) {
            run.limit(self.clock.first_ending_after(self.known_until, &run));
        }
        if self.wanted_from > f64::NEG_INFINITY {
            run.begin(self.clock.first_starting_at(self.wanted_from, &run));
        }
        if self.wanted_end_after > f64::NEG_INFINITY {
            run.begin(self.clock.first_ending_after(self.wanted_end_after, &run));
        }
        run
    }

    fn clip_in_number(&self, mut run: Run) -> Run {
        run.begin(self.wanted_number.saturating_sub(run.base_number));
        if let Some(last) = self.end_number {
            run.limit(last.checked_sub(run.base_number).map_or(0, |count| count.saturating_add(1)));
        }
        run.limit(self.max_count.saturating_sub(run.base_index));
        run
    }

    /// The run of `count` segments that comes next, and the counters behind it. Never beyond the greatest number and time.
    fn run(&mut self, duration: Ticks, count: u64) -> Run {
        let (base_index, base_number, base_time) = (self.index, self.number, self.time);
        let fits = count.checked_mul(duration.whole).and_then(|ticks| base_time.checked_add(ticks)).is_some();
        let times_left = if fits { count } else { (u64::MAX - base_time).checked_div(duration.whole).unwrap_or(u64::MAX) };
        let count = count.min(times_left).min(u64::MAX - base_number).min(u64::MAX - base_index);
        let run = Run { base_index, base_number, base_time, duration, from: 0, to: count };
        self.index += count;
        self.number += count;
        self.time = Run { from: count, ..run }.time();
        run
    }

    fn entry(&mut self, entry: TimelineEntry, following: Option<&TimelineEntry>) -> Run {
        self.time = entry.time.unwrap_or(self.time);
        self.number = entry.number.unwrap_or(self.number);
        let duration = Ticks { whole: entry.duration, fraction: 0.0 };
        let given = u64::try_from(entry.repeat).map(|repeat| repeat.saturating_add(1));
        if entry.duration == 0 {
            // These have numbers, but nothing to play.
            let count = given.unwrap_or(1);
            self.index = self.index.saturating_add(count);
            self.number = self.number.saturating_add(count);
            return Run { base_index: 0, base_number: 0, base_time: 0, duration, from: 0, to: 0 };
        }
        let count = given.unwrap_or_else(|_| match following {
            Some(following) => following.time.map_or(1, |time| time.saturating_sub(self.time).div_ceil(entry.duration)),
            None => self.count_until_end(duration),
        });
        self.run(duration, count)
    }

    /// Goes past the next entry if its count is known and `goes` says so, given when it begins and ends, in ticks, and how many segments it is.
    fn pass_entry(&mut self, goes: impl FnOnce(u64, u64, u64) -> bool) -> bool {
        let Entries::Timeline(entries) = &mut self.entries else { return false };
        let Some((entry, rest)) = entries.split_first() else { return false };
        let Some(count) = u64::try_from(entry.repeat).ok().filter(|_| entry.duration > 0).map(|repeat| repeat + 1) else { return false };
        let start = entry.time.unwrap_or(self.time);
        let end = count.checked_mul(entry.duration).and_then(|ticks| start.checked_add(ticks));
        let number = entry.number.unwrap_or(self.number).checked_add(count);
        let (Some(end), Some(number), Some(index)) = (end, number, self.index.checked_add(count)) else { return false };
        if goes(start, end, count) {
            *entries = rest;
            (self.time, self.number, self.index) = (end, number, index);
            return true;
        }
        false
    }

    /// Nothing but time decides which segments are wanted.
    const fn is_clipped_by_time_alone(&self) -> bool {
        self.wanted_number == 0 && self.end_number.is_none() && self.max_count == u64::MAX && !self.is_window
    }

    /// How many segments are to come.
    pub(super) fn segment_count(mut self) -> u64 {
        let (bounds, is_quick) = (self.bounds, self.is_clipped_by_time_alone());
        let mut sum = 0_u64;
        loop {
            let mut is_inside = |start: u64, end: u64, count: u64| {
                let is_inside = start >= bounds.inside_from && end <= bounds.inside_until;
                sum = sum.saturating_add(if is_inside { count } else { 0 });
                is_inside
            };
            while is_quick && self.pass_entry(&mut is_inside) {}
            match self.next() {
                Some(run) => sum = sum.saturating_add(run.len()),
                None => return sum,
            }
        }
    }

    /// Goes past entries of as many segments at most, where that is quick; gives how many are still to be passed over.
    pub(super) fn pass_over(&mut self, count: u64) -> u64 {
        let (bounds, is_quick) = (self.bounds, self.is_clipped_by_time_alone());
        let mut left = count;
        let mut goes = |start: u64, end: u64, count: u64| {
            let goes = start >= bounds.inside_from && end <= bounds.inside_until && count <= left;
            left -= if goes { count } else { 0 };
            goes
        };
        while is_quick && self.pass_entry(&mut goes) {}
        left
    }

    /// How often a segment is repeated up to the end of the period, or as far as is known.
    fn count_until_end(&self, duration: Ticks) -> u64 {
        let run = Run { base_index: 0, base_number: 0, base_time: self.time, duration, from: 0, to: u64::MAX };
        match self.period_end {
            Some(end) => self.clock.first_starting_at(end, &run),
            None if self.known_until.is_nan() => 1,
            None => self.clock.first_ending_after(self.known_until, &run),
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let outside_until = self.bounds.outside_until;
        while self.pass_entry(|_, end, _| end <= outside_until) {}
        let run = match &mut self.entries {
            Entries::None => return None,
            Entries::Timeline(entries) => {
                let (&entry, rest) = entries.split_first()?;
                *entries = rest;
                let following = rest.first();
                self.entry(entry, following)
            }
            Entries::Equal(duration) => {
                let duration = *duration;
                self.entries = Entries::None;
                let is_open = self.period_end.is_none() && self.end_number.is_none() && !self.is_window && self.max_count == u64::MAX;
                self.run(duration, if is_open { 1 } else { u64::MAX })
            }
            Entries::One => {
                self.entries = Entries::None;
                let duration = Ticks::of(self.period_end? - self.clock.period_start)?;
                self.run(duration, 1)
            }
        };
        Some(self.clip(run))
    }
}
