//! Whether segments of one stream are in order and could have the same id, and what is done then: the later one is not shared.

use std::collections::HashMap;

use p2p_media_core::media::SegmentId;

use super::version::View;
use crate::mpd::{Addressing, SegmentTimes, TimelineEntry};

/// Shorter segments are not shared: [`SegmentId::of_dash`] counts milliseconds.
pub(super) const SHORTEST_SECONDS: f64 = 0.001;

/// What begins later, or as much earlier, is not shared: the MPD is wrong, and times are no longer precise. In seconds; the year 2096 where zero is
/// the year 1970.
pub(super) const LATEST_START_SECONDS: f64 = 4e9;

/// From this duration on an id counts half seconds.
const HALF_SECOND: f64 = 0.5;

/// Between the two ranges of [`SegmentId::of_dash`]: far above the ids of half seconds, and below those of milliseconds.
const FIRST_OF_SHORT: i64 = 1 << 47;

/// More than the rounding of start times, in seconds.
const ROUNDING_SECONDS: f64 = 1e-6;

/// Lets segments pass whose ids go up; within the two ranges of [`SegmentId::of_dash`] each.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    is_needed: bool,
    greatest: [Option<SegmentId>; 2],
}

impl Default for Sieve {
    fn default() -> Self {
        Self { is_needed: true, greatest: [None, None] }
    }
}

impl Sieve {
    pub(super) fn for_view(view: &View<'_>) -> Self {
        Self { is_needed: !view.is_orderly(), ..Self::default() }
    }

    pub(super) fn passes(&mut self, id: SegmentId) -> bool {
        if !self.is_needed {
            return true;
        }
        let greatest = &mut self.greatest[usize::from(id.0 >= FIRST_OF_SHORT)];
        let passes = greatest.is_none_or(|greatest| id > greatest);
        if passes {
            *greatest = Some(id);
        }
        passes
    }
}

/// Between which times, in seconds on the timeline, a segment with this id begins.
pub(super) fn possible_starts(id: SegmentId) -> (f64, f64) {
    let is_short = id.0 >= FIRST_OF_SHORT;
    let (middle, tolerance) = if is_short {
        ((id.0 - SegmentId::of_dash(0.0, 0.0).0) as f64 / 1_000.0, SHORTEST_SECONDS)
    } else {
        (id.0 as f64 * HALF_SECOND, HALF_SECOND)
    };
    (middle - tolerance - ROUNDING_SECONDS, middle + tolerance + ROUNDING_SECONDS)
}

/// What was found out of each SegmentTimeline (by address), with its timescale and the start of its period (as bits): representations of an
/// AdaptationSet have the same one.
#[derive(Debug, Default)]
pub(super) struct ExaminedTimelines(HashMap<(*const TimelineEntry, u64, u64), Examined>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Examined {
    /// In order, and ids are distinct. When the last segment begins, in ticks, where the timeline says so.
    Orderly(Option<u64>),
    Disorderly,
}

/// True when the segments of the stream begin and end in their order, and no two can have the same id.
pub(super) fn are_orderly(view: &View<'_>, examined: &mut ExaminedTimelines) -> bool {
    let mut last_start = None;
    let mut spans = view.spans().peekable();
    while let Some(span) = spans.next() {
        let period_start = span.period.start;
        let times = match &span.representation.addressing {
            Addressing::Template(template) => Some((&template.times, template.timescale, template.presentation_time_offset)),
            Addressing::List(list) => Some((&list.times, list.timescale, list.presentation_time_offset)),
            Addressing::Indexed(_) | Addressing::Whole(_) | Addressing::None => None,
        };
        let mut listed_last_start = None;
        let is_orderly = match times {
            Some((SegmentTimes::Duration(ticks), timescale, _)) => {
                is_apart(ticks / timescale as f64, ticks / timescale as f64, period_start)
            }
            Some((SegmentTimes::Timeline(entries), timescale, offset)) => match examined.examine(entries, timescale, period_start) {
                Examined::Orderly(last) => {
                    listed_last_start = last.map(|last| period_start + (last as f64 - offset as f64) / timescale as f64);
                    true
                }
                Examined::Disorderly => false,
            },
            Some((SegmentTimes::Unknown, ..)) | None => span.index.is_none_or(|index| index.is_orderly(span.period)),
        };
        let Some(first_start) = span.first_start() else { continue };
        // Ids are rounded towards zero, from either side of it.
        if !is_orderly || first_start < 0.0 {
            return false;
        }
        // What stands in an earlier period begins well before what stands in a later one.
        let is_behind = |last_start: f64| first_start - last_start > HALF_SECOND + ROUNDING_SECONDS;
        if last_start.is_some_and(|last_start| !is_behind(last_start)) {
            return false;
        }
        if let Some(next) = spans.peek() {
            // What is listed may go on beyond the end of the period, where it does not count.
            let is_within = |start: &f64| start + 2.0 * HALF_SECOND < next.period.start;
            last_start = listed_last_start.filter(is_within).or_else(|| span.last_start()).or(last_start);
        }
    }
    true
}

/// Segments of a period that are `duration` long and begin at least `step` after each other, both in seconds, have different ids.
fn is_apart(step: f64, duration: f64, period_start: f64) -> bool {
    if duration < HALF_SECOND {
        return step > SHORTEST_SECONDS + ROUNDING_SECONDS;
    }
    // Sums that are multiples of a half are exact.
    step > HALF_SECOND + ROUNDING_SECONDS || (step >= HALF_SECOND && (period_start / HALF_SECOND).fract() == 0.0)
}

impl ExaminedTimelines {
    fn examine(&mut self, entries: &[TimelineEntry], timescale: u64, period_start: f64) -> Examined {
        *self.0.entry((entries.as_ptr(), timescale, period_start.to_bits())).or_insert_with(|| examine(entries, timescale, period_start))
    }
}

/// Looks at the steps between entries and within each. In ticks, as an MPD has them; a repetition up to the next entry counts as one.
fn examine(entries: &[TimelineEntry], timescale: u64, period_start: f64) -> Examined {
    let seconds = |ticks: u64| ticks as f64 / timescale as f64;
    // Of long and of short ones: when the last one began, and when the one before the next entry ends.
    let mut last_starts: [Option<u64>; 2] = [None, None];
    let (mut end, mut last_end) = (0_u64, 0_u64);
    // Where the first one begins is not sure then.
    let has_floating_start = entries.first().is_some_and(|first| first.time.is_none());
    let mut is_open = has_floating_start;
    for (index, entry) in entries.iter().enumerate() {
        let start = entry.time.unwrap_or(end);
        if has_floating_start && entry.time.is_some() {
            return Examined::Disorderly;
        }
        if entry.duration == 0 {
            end = start;
            continue;
        }
        // Neither may begin or end before the one before it.
        if last_starts.iter().flatten().any(|&last| start < last) || start.saturating_add(entry.duration) < last_end {
            return Examined::Disorderly;
        }
        let duration = seconds(entry.duration);
        let class = usize::from(duration < HALF_SECOND);
        if !is_apart(duration, duration, period_start) {
            return Examined::Disorderly;
        }
        if let Some(last) = last_starts[class]
            && !start.checked_sub(last).is_some_and(|step| is_apart(seconds(step), duration, period_start))
        {
            return Examined::Disorderly;
        }
        let count = match (u64::try_from(entry.repeat), entries.get(index + 1).and_then(|next| next.time)) {
            (Ok(repeat), _) => repeat.saturating_add(1),
            (Err(_), Some(next)) => next.saturating_sub(start).div_ceil(entry.duration).max(1),
            (Err(_), None) => {
                is_open = true;
                1
            }
        };
        end = start.saturating_add(count.saturating_mul(entry.duration));
        last_starts[class] = Some(end - entry.duration.min(end));
        last_end = end;
    }
    Examined::Orderly(if is_open { None } else { last_starts.into_iter().flatten().max() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(Option<u64>, u64, i64)], timescale: u64, period_start: f64) -> bool {
        let entry = |&(time, duration, repeat): &(Option<u64>, u64, i64)| TimelineEntry { time, number: None, duration, repeat };
        matches!(examine(&entries.iter().map(entry).collect::<Vec<_>>(), timescale, period_start), Examined::Orderly(_))
    }

    #[test]
    fn usual_timelines_have_distinct_ids() {
        assert!(check(&[(Some(0), 2_000, 9), (None, 1_999, 0), (None, 2_001, -1), (Some(90_000), 300, 0)], 1_000, 7.3));
        // Half a second exactly, where sums are exact; short ones; an overlap of a few ticks; a short one between two long ones.
        assert!(check(&[(Some(0), 500, 9), (None, 500, 0)], 1_000, 12.5));
        assert!(check(&[(Some(0), 40, 1_000)], 1_000, 0.1));
        assert!(check(&[(Some(0), 2_000, 0), (Some(1_990), 2_000, 0)], 1_000, 0.0));
        assert!(check(&[(Some(0), 1_000, 0), (None, 20, 0), (None, 1_000, 0)], 1_000, 0.0));
    }

    #[test]
    fn doubtful_timelines_are_found() {
        assert!(!check(&[(Some(0), 500, 9)], 1_000, 12.3));
        assert!(!check(&[(Some(0), 1, 9)], 1_000, 0.0));
        assert!(!check(&[(Some(0), 2_000, 0), (Some(0), 2_000, 0)], 1_000, 0.0));
        assert!(!check(&[(Some(4_000), 2_000, 0), (Some(0), 2_000, 0)], 1_000, 0.0));
        assert!(!check(&[(Some(0), 2_000, -1), (Some(4_100), 2_000, 0)], 1_000, 0.0));
    }

    #[test]
    fn the_sieve_keeps_ids_going_up_in_each_range() {
        let mut sieve = Sieve::default();
        let short = SegmentId::of_dash(1.0, 0.1);
        let passed = [SegmentId(4), short, SegmentId(4), SegmentId(6), short, SegmentId(5)].map(|id| sieve.passes(id));
        assert_eq!(passed, [true, true, false, true, false, false]);
    }
}
