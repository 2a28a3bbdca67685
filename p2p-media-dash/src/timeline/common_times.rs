//! What two versions of a SegmentTimeline have in common: run by run, without a step for every segment.

use crate::mpd::{SegmentTemplate, SegmentTimes, TimelineEntry};

/// Between which times (seconds on the presentation timeline) two templates of a period that begins at `period_start` have the same segments
/// under the same URLs, wherever both have some.
pub(super) fn of_templates<'m>(old: &'m SegmentTemplate, new: &'m SegmentTemplate, period_start: f64) -> Option<(f64, f64)> {
    let is_alike = old.media == new.media
        && old.timescale == new.timescale
        && old.presentation_time_offset == new.presentation_time_offset
        && old.end_number == new.end_number;
    if !is_alike {
        return None;
    }
    match (&old.times, &new.times) {
        (SegmentTimes::Duration(old_ticks), SegmentTimes::Duration(new_ticks)) => {
            let is_same = old_ticks == new_ticks && old.start_number == new.start_number;
            is_same.then_some((f64::NEG_INFINITY, f64::INFINITY))
        }
        (SegmentTimes::Timeline(old_entries), SegmentTimes::Timeline(new_entries)) => {
            // Where a timeline begins that does not say so depends on what else is in it.
            if [old_entries, new_entries].iter().any(|entries| entries.first().is_none_or(|first| first.time.is_none())) {
                return None;
            }
            let counts_numbers = old.media.as_deref().is_none_or(|media| media.contains("$Number"));
            let old_runs = Runs::new(old_entries, old.start_number, counts_numbers);
            let new_runs = Runs::new(new_entries, new.start_number, counts_numbers);
            let (from, to) = common_ticks(old_runs, new_runs)?;
            let seconds = |ticks: u64| {
                let ticks = i128::from(ticks) - i128::from(new.presentation_time_offset);
                period_start + ticks as f64 / new.timescale as f64
            };
            Some((seconds(from), seconds(to)))
        }
        _ => None,
    }
}

/// From the first segment of both on, as long as they go on alike. In ticks.
fn common_ticks<'m>(mut old_runs: Runs<'m>, mut new_runs: Runs<'m>) -> Option<(u64, u64)> {
    let mut old = old_runs.next()?;
    let mut new = new_runs.next()?;
    // To the first segment that is in both.
    while old.time != new.time {
        let (earlier, runs, time) =
            if old.time < new.time { (&mut old, &mut old_runs, new.time) } else { (&mut new, &mut new_runs, old.time) };
        if earlier.end() > time {
            if !(time - earlier.time).is_multiple_of(earlier.duration) {
                return None;
            }
            earlier.skip((time - earlier.time) / earlier.duration);
        } else {
            *earlier = runs.next().filter(|next| next.time > earlier.time)?;
        }
    }
    let from = old.time;
    let mut to = from;
    while old.time == new.time && old.time >= to && old.duration == new.duration && old.number == new.number {
        let count = old.count.min(new.count);
        old.skip(count);
        new.skip(count);
        to = old.time;
        if old.count == 0 {
            let Some(next) = old_runs.next() else { break };
            old = next;
        }
        if new.count == 0 {
            let Some(next) = new_runs.next() else { break };
            new = next;
        }
    }
    (to > from).then_some((from, to))
}

/// Segments of equal duration; `number` is 0 where numbers do not matter.
#[derive(Clone, Copy)]
struct Run {
    time: u64,
    duration: u64,
    count: u64,
    number: u64,
    counts_numbers: bool,
}

impl Run {
    const fn end(&self) -> u64 {
        self.time.saturating_add(self.count.saturating_mul(self.duration))
    }

    const fn skip(&mut self, count: u64) {
        self.time = self.time.saturating_add(count.saturating_mul(self.duration));
        self.count = self.count.saturating_sub(count);
        if self.counts_numbers {
            self.number = self.number.saturating_add(count);
        }
    }
}

/// The runs of a timeline up to the first one that is repeated an unknown number of times, or lasts no time.
struct Runs<'m> {
    entries: &'m [TimelineEntry],
    time: u64,
    number: u64,
    counts_numbers: bool,
}

impl<'m> Runs<'m> {
    fn new(entries: &'m [TimelineEntry], start_number: u64, counts_numbers: bool) -> Self {
        Self { entries, time: 0, number: if counts_numbers { start_number } else { 0 }, counts_numbers }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (entry, rest) = self.entries.split_first()?;
        let repeat = u64::try_from(entry.repeat).ok().filter(|_| entry.duration > 0)?;
        self.entries = rest;
        let number = entry.number.filter(|_| self.counts_numbers).unwrap_or(self.number);
        let run = Run {
            time: entry.time.unwrap_or(self.time),
            duration: entry.duration,
            count: repeat.saturating_add(1),
            number,
            counts_numbers: self.counts_numbers,
        };
        let mut end = run;
        end.skip(run.count);
        (self.time, self.number) = (end.time, end.number);
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(old: &[(Option<u64>, u64, i64)], old_number: u64, new: &[(Option<u64>, u64, i64)], new_number: u64) -> Option<(u64, u64)> {
        let entry = |&(time, duration, repeat): &(Option<u64>, u64, i64)| TimelineEntry { time, number: None, duration, repeat };
        let (old, new): (Vec<_>, Vec<_>) = (old.iter().map(entry).collect(), new.iter().map(entry).collect());
        common_ticks(Runs::new(&old, old_number, true), Runs::new(&new, new_number, true))
    }

    #[test]
    fn a_window_that_moved_is_alike_where_both_are() {
        let old = [(Some(0), 4, 9)];
        assert_eq!(common(&old, 1, &[(Some(8), 4, 9)], 3), Some((8, 40)));
        assert_eq!(common(&old, 1, &[(Some(8), 4, 1), (None, 4, 8), (Some(48), 5, 0)], 3), Some((8, 40)));
        assert_eq!(common(&[(Some(8), 4, 9)], 3, &old, 1), Some((8, 40)));
        assert_eq!(common(&old, 1, &[(Some(8), 4, 1), (None, 5, 8)], 3), Some((8, 16)));
    }

    #[test]
    fn other_numbers_or_times_have_nothing_in_common() {
        let old = [(Some(0), 4, 9)];
        assert_eq!(common(&old, 1, &[(Some(8), 4, 9)], 1), None);
        assert_eq!(common(&old, 1, &[(Some(9), 4, 9)], 3), None);
        assert_eq!(common(&old, 1, &[(Some(80), 4, 9)], 21), None);
        assert_eq!(common(&old, 1, &[(Some(8), 5, 9)], 3), None);
        assert_eq!(common(&old, 1, &[], 3), None);
        assert_eq!(common(&[(Some(0), 4, -1)], 1, &old, 1), None);
    }

    #[test]
    fn times_that_go_back_end_the_comparison() {
        let back = [(Some(8), 4, 1), (Some(0), 4, 1), (Some(8), 4, 1)];
        assert_eq!(common(&back, 1, &back, 1), Some((8, 16)));
        assert_eq!(common(&back, 1, &[(Some(12), 4, 0), (Some(0), 4, 0)], 2), Some((12, 16)));
        assert_eq!(common(&[(Some(4), u64::MAX, i64::MAX), (Some(1), 1, 0)], 1, &back, 1), None);
    }
}
