//! The segments of one stream in playing order, found by number or by time.

use std::ops::Range;

use crate::media::{Segment, SegmentId, StreamUpdate};

/// Most segments of one stream: 55 hours of 2 s segments. The oldest make room.
const MAX_SEGMENTS: usize = 100_000;

/// Segments sorted by number; their start times rise with it.
#[derive(Debug, Default)]
pub(super) struct SegmentList {
    segments: Vec<Segment>,
}

impl SegmentList {
    pub(super) fn get(&self, id: SegmentId) -> Option<&Segment> {
        self.index_of(id).ok().map(|index| &self.segments[index])
    }

    /// The segments that are played, wholly or in part, from `position` to `until` (seconds).
    pub(super) fn between(&self, position: f64, until: f64) -> &[Segment] {
        &self.segments[self.range(position, until)]
    }

    fn range(&self, position: f64, until: f64) -> Range<usize> {
        let first = self.segments.partition_point(|segment| segment.end() <= position);
        let end = self.segments.partition_point(|segment| segment.start < until);
        first..end.max(first)
    }

    /// Carries out a difference; gives the numbers that were really removed.
    pub(super) fn update(&mut self, update: StreamUpdate) -> Vec<SegmentId> {
        let mut removed = Vec::new();
        if !update.removed.is_empty() {
            let mut gone = update.removed;
            gone.sort_unstable();
            self.segments.retain(|segment| {
                let keep = gone.binary_search(&segment.id).is_err();
                if !keep {
                    removed.push(segment.id);
                }
                keep
            });
        }
        let sorted_tail = self.segments.len();
        for segment in update.added {
            if !segment.start.is_finite() || !segment.duration.is_finite() {
                continue;
            }
            match self.segments.last() {
                Some(last) if segment.id <= last.id => match self.segments[..sorted_tail].binary_search_by_key(&segment.id, |s| s.id) {
                    Ok(index) => self.segments[index] = segment,
                    Err(_) => self.segments.push(segment),
                },
                _ => self.segments.push(segment),
            }
        }
        if !self.segments[sorted_tail.saturating_sub(1)..].is_sorted_by(|a, b| a.id < b.id) {
            self.segments.sort_by_key(|segment| segment.id);
            self.segments.dedup_by_key(|segment| segment.id);
        }
        if self.segments.len() > MAX_SEGMENTS {
            let excess = self.segments.len() - MAX_SEGMENTS;
            removed.extend(self.segments.drain(..excess).map(|segment| segment.id));
        }
        removed
    }

    fn index_of(&self, id: SegmentId) -> Result<usize, usize> {
        self.segments.binary_search_by_key(&id, |segment| segment.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: i64) -> Segment {
        Segment { id: SegmentId(id), url: "u".into(), byte_range: None, start: id as f64 * 2.0, duration: 2.0, form: Default::default() }
    }

    fn added(ids: &[i64]) -> StreamUpdate {
        StreamUpdate { added: ids.iter().map(|id| segment(*id)).collect(), ..Default::default() }
    }

    #[test]
    fn finds_by_number_and_by_time() {
        let mut list = SegmentList::default();
        list.update(added(&[5, 6, 7, 8]));
        assert!(list.get(SegmentId(7)).is_some() && list.get(SegmentId(9)).is_none());
        let ids = |from, to| list.between(from, to).iter().map(|s| s.id.0).collect::<Vec<_>>();
        assert_eq!(ids(12.0, 16.0), [6, 7]);
        assert_eq!(ids(13.0, 14.0), [6]);
        assert_eq!(ids(18.0, 99.0), [0; 0]);
        assert_eq!(ids(14.0, 3.0), [0; 0]);
    }

    #[test]
    fn updates_in_any_order_keep_one_of_each_number_sorted() {
        let mut list = SegmentList::default();
        list.update(added(&[5, 7, 7]));
        assert_eq!(list.segments.len(), 2);
        list.update(added(&[7, 6, 6, 3]));
        assert_eq!(list.segments.iter().map(|s| s.id.0).collect::<Vec<_>>(), [3, 5, 6, 7]);
        let update = StreamUpdate { removed: vec![SegmentId(9), SegmentId(5), SegmentId(3)], ..added(&[8]) };
        assert_eq!(list.update(update), [SegmentId(3), SegmentId(5)]);
        assert_eq!(list.segments.iter().map(|s| s.id.0).collect::<Vec<_>>(), [6, 7, 8]);
    }
}
