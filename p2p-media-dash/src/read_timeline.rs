//! SegmentTimeline to entries (ISO/IEC 23009-1, section 5.3.9.6), patterns written out.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::MAX_SEGMENTS;
use crate::error::MpdError;
use crate::mpd::TimelineEntry;
use crate::read_values::{signed, unsigned};
use crate::xml::Element;

/// Entries of all timelines of one MPD.
const MAX_ENTRIES_IN_ALL: usize = 500_000;

/// Entries of all timelines, counted again for every representation that has them. A day of 2-second segments in 20 representations has 900,000.
const MAX_ENTRIES_OF_REPRESENTATIONS: usize = 20_000_000;

/// `P` elements of a pattern; what follows is left out. Audio patterns repeat within 100.
const MAX_PATTERN_RUNS: usize = 512;

/// What may still be read of timeline entries: patterns make many of a few bytes.
#[derive(Debug)]
pub(crate) struct EntryBudget {
    left: usize,
    left_for_representations: usize,
}

impl EntryBudget {
    pub(crate) const fn new() -> Self {
        Self { left: MAX_ENTRIES_IN_ALL, left_for_representations: MAX_ENTRIES_OF_REPRESENTATIONS }
    }

    /// Counts the entries of a timeline that one more representation has.
    pub(crate) fn give(&mut self, entries: &[TimelineEntry], timeline: Element<'_>) -> Result<(), MpdError> {
        let (what, limit) = ("SegmentTimeline entries over all Representations", MAX_ENTRIES_OF_REPRESENTATIONS);
        let left = self.left_for_representations.checked_sub(entries.len());
        self.left_for_representations = left.ok_or_else(|| MpdError::TooMany { line: timeline.line(), what, limit })?;
        Ok(())
    }
}

/// The entries of a SegmentTimeline. An `S` without a duration is left out.
pub(crate) fn read_timeline(timeline: Element<'_>, budget: &mut EntryBudget) -> Result<Vec<TimelineEntry>, MpdError> {
    let limit = budget.left.min(MAX_SEGMENTS);
    let patterns = patterns(timeline);
    let mut entries: Vec<TimelineEntry> = Vec::new();
    for element in timeline.children_named("S") {
        let entry = ReadEntry::new(element);
        let pattern = entry.pattern.as_ref().and_then(|id| patterns.get(id));
        match pattern {
            Some(pattern) => pattern.write_out(&entry, limit, &mut entries),
            None if entry.duration > 0 => {
                entries.push(TimelineEntry { time: entry.time, number: entry.number, duration: entry.duration, repeat: entry.repeat });
            }
            None => {}
        }
        if entries.len() > limit {
            let (what, limit) = match limit {
                MAX_SEGMENTS => ("entries of a SegmentTimeline", MAX_SEGMENTS),
                _ => ("entries of all SegmentTimelines", MAX_ENTRIES_IN_ALL),
            };
            return Err(MpdError::TooMany { line: element.line(), what, limit });
        }
    }
    budget.left -= entries.len();
    Ok(entries)
}

/// An `S` as it stands.
#[derive(Default)]
struct ReadEntry<'d> {
    time: Option<u64>,
    number: Option<u64>,
    duration: u64,
    repeat: i64,
    pattern: Option<Cow<'d, str>>,
    pattern_entry: u64,
}

impl<'d> ReadEntry<'d> {
    fn new(element: Element<'d>) -> Self {
        let mut entry = Self::default();
        for attribute in element.attributes() {
            match attribute.name {
                "t" => entry.time = unsigned(attribute.raw),
                "d" => entry.duration = unsigned(attribute.raw).unwrap_or(0),
                "r" => entry.repeat = signed(attribute.raw).unwrap_or(0),
                "n" => entry.number = unsigned(attribute.raw),
                "p" => entry.pattern = Some(attribute.value()),
                "pE" => entry.pattern_entry = unsigned(attribute.raw).unwrap_or(0),
                _ => {}
            }
        }
        entry
    }
}

/// Pattern: durations that come again and again, as runs of equal ones.
struct Pattern {
    runs: Vec<Run>,
    /// Segments of one round.
    segments: u64,
}

#[derive(Clone, Copy)]
struct Run {
    duration: u64,
    segments: u64,
}

fn patterns<'d>(timeline: Element<'d>) -> HashMap<Cow<'d, str>, Pattern> {
    let mut patterns = HashMap::new();
    for element in timeline.children_named("Pattern") {
        let Some(id) = element.attribute("id") else { continue };
        let mut pattern = Pattern { runs: Vec::new(), segments: 0 };
        for run in element.children_named("P").map(ReadEntry::new).filter(|run| run.duration > 0).take(MAX_PATTERN_RUNS) {
            let segments = (run.repeat.max(0) as u64).min(MAX_SEGMENTS as u64) + 1;
            pattern.segments += segments;
            match pattern.runs.last_mut().filter(|last| last.duration == run.duration) {
                Some(last) => last.segments += segments,
                None => pattern.runs.push(Run { duration: run.duration, segments }),
            }
        }
        patterns.entry(id).or_insert(pattern);
    }
    patterns
}

impl Pattern {
    /// Appends what an `S` that refers to this pattern stands for: @r + 1 segments, the first of which is number @pE of the pattern. With a negative
    /// @r, one round.
    fn write_out(&self, entry: &ReadEntry<'_>, limit: usize, entries: &mut Vec<TimelineEntry>) {
        if self.runs.is_empty() {
            return;
        }
        let mut left = u64::try_from(entry.repeat).map_or(self.segments, |repeat| repeat + 1).min(MAX_SEGMENTS as u64);
        let (mut time, mut number) = (entry.time, entry.number);
        if let [run] = self.runs.as_slice() {
            entries.push(TimelineEntry { time, number, duration: run.duration, repeat: left as i64 - 1 });
            return;
        }
        let mut skip = entry.pattern_entry % self.segments;
        let first = entries.len();
        for run in self.runs.iter().cycle() {
            let segments = run.segments.saturating_sub(skip).min(left);
            skip = skip.saturating_sub(run.segments);
            if segments > 0 {
                let last = entries[first..].last_mut().filter(|last| last.duration == run.duration);
                match last {
                    Some(last) => last.repeat += segments as i64,
                    None => {
                        let (time, number) = (time.take(), number.take());
                        entries.push(TimelineEntry { time, number, duration: run.duration, repeat: segments as i64 - 1 });
                    }
                }
                left -= segments;
            }
            if left == 0 || entries.len() > limit {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn read(xml: &str) -> Vec<(Option<u64>, Option<u64>, u64, i64)> {
        let document = Document::parse(xml).unwrap();
        let entries = read_timeline(document.root(), &mut EntryBudget::new()).unwrap();
        entries.iter().map(|entry| (entry.time, entry.number, entry.duration, entry.repeat)).collect()
    }

    #[test]
    fn entries_as_written() {
        assert_eq!(
            read(r#"<T><S t="5" d="10" r="3"/><S d="7"/><S n="9" t="60" d="1.0" r="-1" k="2"/></T>"#),
            [(Some(5), None, 10, 3), (None, None, 7, 0), (Some(60), Some(9), 1, -1)]
        );
    }

    #[test]
    fn bad_entries_and_attributes_are_left_out() {
        assert_eq!(read(r#"<T><S t="0"/><S d="0"/><S d="x"/><X d="3"/><S t="-4" d="2" r="many" n=""/></T>"#), [(None, None, 2, 0)]);
        assert_eq!(read("<T/>"), []);
    }

    #[test]
    fn patterns_are_written_out() {
        let patterns = r#"<Pattern id="a"><P d="2" r="1"/><P d="3"/></Pattern><Pattern><P d="1"/></Pattern><Pattern id="b"/>"#;
        assert_eq!(
            read(&format!(r#"<T>{patterns}<S t="10" n="4" p="a" r="6"/><S d="5"/></T>"#)),
            [(Some(10), Some(4), 2, 1), (None, None, 3, 0), (None, None, 2, 1), (None, None, 3, 0), (None, None, 2, 0), (None, None, 5, 0)]
        );
        assert_eq!(
            read(&format!(r#"<T>{patterns}<S t="0" p="a" pE="4" r="2"/></T>"#)),
            [(Some(0), None, 2, 0), (None, None, 3, 0), (None, None, 2, 0)]
        );
        assert_eq!(read(&format!(r#"<T>{patterns}<S t="0" p="b" d="4"/><S t="9" p="unknown" d="8"/></T>"#)), [(Some(9), None, 8, 0)]);
    }

    #[test]
    fn a_pattern_of_equal_durations_costs_one_step() {
        let pattern = format!(r#"<Pattern id="a">{}</Pattern>"#, r#"<P d="2"/>"#.repeat(5));
        let entries = read(&format!("<T>{pattern}{}</T>", r#"<S p="a" r="99999"/>"#.repeat(50_000)));
        assert_eq!((entries.len(), entries[0]), (50_000, (None, None, 2, 99_999)));
    }

    #[test]
    fn one_long_timeline_for_many_representations_is_bounded() {
        let document = Document::parse("<T/>").unwrap();
        let entries = vec![TimelineEntry { time: None, number: None, duration: 1, repeat: 0 }; MAX_SEGMENTS];
        let mut budget = EntryBudget::new();
        let given = (0..crate::MAX_REPRESENTATIONS).take_while(|_| budget.give(&entries, document.root()).is_ok()).count();
        assert_eq!(given, MAX_ENTRIES_OF_REPRESENTATIONS / MAX_SEGMENTS);
    }

    #[test]
    fn a_pattern_is_bounded() {
        let even = read(r#"<T><Pattern id="a"><P d="2" r="99999999999"/></Pattern><S p="a" pE="7" r="9000000000000000000"/></T>"#);
        assert_eq!(even, [(None, None, 2, MAX_SEGMENTS as i64 - 1)]);
        let odd = read(r#"<T><Pattern id="a"><P d="2"/><P d="3"/></Pattern><S p="a" r="9223372036854775807"/></T>"#);
        assert_eq!(odd.len(), MAX_SEGMENTS);
        let document = Document::parse(r#"<T><Pattern id="a"><P d="2"/><P d="3"/></Pattern><S p="a" r="99999"/><S d="1"/></T>"#).unwrap();
        assert!(matches!(read_timeline(document.root(), &mut EntryBudget::new()), Err(MpdError::TooMany { .. })));
    }
}
