//! The segments of one stream in playing order, found by number or by time.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::media::{Segment, SegmentId, StreamUpdate};
use crate::sort::sort_by;
use crate::sorted_map::SortedMap;

/// Most segments of one stream: 55 hours of 2 s segments. The oldest make room.
const MAX_SEGMENTS: usize = 100_000;
/// Up to so many changes are carried out one by one; more by going through all segments once.
const FEW_CHANGES: usize = 32;
/// Ids of one way of counting share the bits from here on, see [`SegmentId`].
const WAY_OF_COUNTING_SHIFT: u32 = 48;
/// Segments looked at to find the ranges of numbers in a time that holds several ways of counting.
const MOST_COUNTED: usize = 4096;

/// Whole segments and parts of segments, each sorted by time. Numbers need not rise with time: parts and short DASH segments have ranges of
/// their own.
#[derive(Debug, Default)]
pub(super) struct SegmentList {
    whole: ByTime,
    parts: ByTime,
    /// When each segment begins, which leads to its place.
    starts: SortedMap<SegmentId, f64>,
}

/// Segments sorted by their start, then by number.
#[derive(Debug, Default)]
struct ByTime {
    segments: VecDeque<Segment>,
    /// Somewhere a number is not above the one before.
    is_mixed: bool,
}

impl SegmentList {
    pub(super) fn get(&self, id: SegmentId) -> Option<&Segment> {
        let list = self.list_of(id);
        let place = if list.is_mixed {
            list.place_of(id, *self.starts.get(&id)?)
        } else {
            // Shorter than the way over `starts`.
            list.segments.binary_search_by_key(&id, |segment| segment.id)
        };
        list.segments.get(place.ok()?)
    }

    /// What is read from `position` to `until` (seconds): whole segments; or parts, and whole segments where there are no parts.
    pub(super) fn between(&self, position: f64, until: f64, in_parts: bool) -> impl Iterator<Item = &Segment> {
        let parts = if in_parts { self.parts.between(position, until) } else { self.parts.segments.range(0..0) };
        parts.chain(self.whole.between(position, until).filter(move |segment| self.is_read(segment, in_parts)))
    }

    /// True for what a player reads that plays in parts, or in whole segments: not two things of one time.
    pub(super) fn is_read(&self, segment: &Segment, in_parts: bool) -> bool {
        if segment.id.is_part() {
            return in_parts;
        }
        let middle = segment.start + segment.duration / 2.0;
        !in_parts || self.parts.between(middle, middle).next().is_none()
    }

    /// Ranges that hold the numbers of the whole segments, or of the parts, from `position` to `until`; one for each way of counting.
    pub(super) fn id_ranges(&self, position: f64, until: f64, of_parts: bool) -> Vec<RangeInclusive<SegmentId>> {
        let list = if of_parts { &self.parts } else { &self.whole };
        let mut segments = list.between(position, until);
        let Some(first) = segments.next().map(|segment| segment.id) else { return Vec::new() };
        let last = segments.next_back().map_or(first, |segment| segment.id);
        let way = |id: SegmentId| id.0 >> WAY_OF_COUNTING_SHIFT;
        if way(first) == way(last) {
            return vec![first.min(last)..=first.max(last)];
        }
        let mut ranges = SortedMap::<i64, RangeInclusive<SegmentId>>::new();
        for id in [first, last].into_iter().chain(segments.take(MOST_COUNTED).map(|segment| segment.id)) {
            let range = ranges.get_or_insert_with(way(id), || id..=id);
            *range = id.min(*range.start())..=id.max(*range.end());
        }
        ranges.values().cloned().collect()
    }

    /// Carries out a difference; gives the numbers that were really removed.
    pub(super) fn update(&mut self, update: StreamUpdate) -> Vec<SegmentId> {
        let mut removed = self.remove(update.removed);
        self.add(update.added);
        let too_many = self.starts.len().saturating_sub(MAX_SEGMENTS);
        let from_whole = too_many.min(self.whole.segments.len());
        let from_parts = (too_many - from_whole).min(self.parts.segments.len());
        let oldest = self.whole.segments.drain(..from_whole).chain(self.parts.segments.drain(..from_parts));
        let oldest = in_order(oldest.map(|segment| segment.id).collect());
        if !oldest.is_empty() {
            self.starts.retain(|id| oldest.binary_search(id).is_err());
        }
        removed.extend(oldest);
        removed
    }

    fn remove(&mut self, gone: Vec<SegmentId>) -> Vec<SegmentId> {
        let mut gone = in_order(gone);
        gone.retain(|id| self.starts.contains_key(id));
        if gone.len() <= FEW_CHANGES {
            for id in &gone {
                if let Some(start) = self.starts.remove(id) {
                    self.list_of_mut(*id).remove(*id, start);
                }
            }
        } else {
            self.starts.retain(|id| gone.binary_search(id).is_err());
            for list in [&mut self.whole, &mut self.parts] {
                list.segments.retain(|segment| gone.binary_search(&segment.id).is_err());
            }
        }
        gone
    }

    fn add(&mut self, mut added: Vec<Segment>) {
        added.retain(|segment| segment.start.is_finite() && segment.duration.is_finite());
        if added.len() > FEW_CHANGES {
            self.add_many(added);
            return;
        }
        for segment in added {
            if let Some(start) = self.starts.insert(segment.id, segment.start) {
                self.list_of_mut(segment.id).remove(segment.id, start);
            }
            self.list_of_mut(segment.id).insert(segment);
        }
    }

    fn add_many(&mut self, added: Vec<Segment>) {
        // Of those with one number the last counts.
        let mut order: Vec<(SegmentId, usize)> = added.iter().map(|segment| segment.id).zip(0..).collect();
        sort_by(&mut order, Ord::cmp);
        let mut newest = SortedMap::new();
        order.into_iter().for_each(|(id, index)| _ = newest.insert(id, index));
        if newest.keys().any(|id| self.starts.contains_key(id)) {
            self.starts.retain(|id| !newest.contains_key(id));
            for list in [&mut self.whole, &mut self.parts] {
                list.segments.retain(|segment| !newest.contains_key(&segment.id));
            }
        }
        self.starts.add_new(newest.iter().map(|(id, index)| (*id, added[*index].start)));
        for (index, segment) in added.into_iter().enumerate() {
            if newest.get(&segment.id) == Some(&index) {
                self.list_of_mut(segment.id).segments.push_back(segment);
            }
        }
        for list in [&mut self.whole, &mut self.parts] {
            let segments = list.segments.make_contiguous();
            sort_by(segments, |a, b| a.start.total_cmp(&b.start).then(a.id.cmp(&b.id)));
            list.is_mixed = !segments.is_sorted_by(|a, b| a.id < b.id);
        }
    }

    const fn list_of(&self, id: SegmentId) -> &ByTime {
        if id.is_part() { &self.parts } else { &self.whole }
    }

    const fn list_of_mut(&mut self, id: SegmentId) -> &mut ByTime {
        if id.is_part() { &mut self.parts } else { &mut self.whole }
    }
}

/// Each of some numbers once, rising.
fn in_order(mut ids: Vec<SegmentId>) -> Vec<SegmentId> {
    sort_by(&mut ids, Ord::cmp);
    ids.dedup();
    ids
}

impl ByTime {
    fn between(&self, position: f64, until: f64) -> std::collections::vec_deque::Iter<'_, Segment> {
        let first = self.segments.partition_point(|segment| segment.end() <= position);
        let end = if until == position {
            // A moment.
            self.segments.partition_point(|segment| segment.start <= until)
        } else {
            self.segments.partition_point(|segment| segment.start < until)
        };
        self.segments.range(first..end.max(first))
    }

    fn place_of(&self, id: SegmentId, start: f64) -> Result<usize, usize> {
        self.segments.binary_search_by(|segment| segment.start.total_cmp(&start).then(segment.id.cmp(&id)))
    }

    fn insert(&mut self, segment: Segment) {
        if let Err(place) = self.place_of(segment.id, segment.start) {
            let is_above =
                |place: Option<usize>| place.and_then(|place| self.segments.get(place)).is_none_or(|before| before.id < segment.id);
            let is_below = self.segments.get(place).is_none_or(|after| segment.id < after.id);
            self.is_mixed |= !is_above(place.checked_sub(1)) || !is_below;
            self.segments.insert(place, segment);
        }
    }

    fn remove(&mut self, id: SegmentId, start: f64) {
        if let Ok(place) = self.place_of(id, start) {
            self.segments.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::SegmentForm;

    fn segment(id: i64) -> Segment {
        Segment { id: SegmentId(id), url: "u".into(), byte_range: None, start: id as f64 * 2.0, duration: 2.0, form: Default::default() }
    }

    fn part(sequence: u64, index: u32) -> Segment {
        let start = sequence as f64 * 2.0 + f64::from(index) * 0.5;
        let id = SegmentId::of_part(sequence, index).unwrap();
        Segment { id, start, duration: 0.5, form: SegmentForm::Part, ..segment(0) }
    }

    fn added(ids: impl IntoIterator<Item = i64>) -> StreamUpdate {
        StreamUpdate { added: ids.into_iter().map(segment).collect(), ..Default::default() }
    }

    fn ids(list: &SegmentList) -> Vec<i64> {
        list.between(f64::MIN, f64::INFINITY, false).map(|segment| segment.id.0).collect()
    }

    #[test]
    fn finds_by_number_and_by_time() {
        let mut list = SegmentList::default();
        list.update(added([5, 6, 7, 8]));
        assert!(list.get(SegmentId(7)).is_some() && list.get(SegmentId(9)).is_none());
        let ids = |from, to| list.between(from, to, false).map(|s| s.id.0).collect::<Vec<_>>();
        assert_eq!(ids(12.0, 16.0), [6, 7]);
        assert_eq!(ids(13.0, 14.0), [6]);
        assert_eq!(ids(18.0, 99.0), [0; 0]);
        assert_eq!(ids(14.0, 3.0), [0; 0]);
    }

    #[test]
    fn updates_in_any_order_keep_one_of_each_number_sorted() {
        for more in [0, 100] {
            // With and without enough changes to go through all.
            let many = || 1000..1000 + more;
            let mut list = SegmentList::default();
            list.update(added([5, 7, 7].into_iter().chain(many())));
            assert_eq!(list.starts.len(), 2 + more as usize);
            list.update(added([7, 6, 6, 3].into_iter().chain(many())));
            assert_eq!(ids(&list)[..4], [3, 5, 6, 7]);
            let moved = Segment { start: 11.0, ..segment(3) };
            list.update(StreamUpdate { added: [moved].into_iter().chain(many().map(segment)).collect(), ..Default::default() });
            assert_eq!((&ids(&list)[..4], list.get(SegmentId(3)).map(|segment| segment.start)), (&[5, 3, 6, 7][..], Some(11.0)));
            let removed = [9, 5, 3].into_iter().chain(many()).map(SegmentId).collect();
            let gone = list.update(StreamUpdate { removed, ..added([8]) });
            assert_eq!(gone[..2], [SegmentId(3), SegmentId(5)]);
            assert_eq!(ids(&list), [6, 7, 8]);
        }
    }

    #[test]
    fn the_oldest_make_room_and_many_come_and_go_at_once() {
        let most = MAX_SEGMENTS as i64;
        let mut list = SegmentList::default();
        // Falling, then some before and after: no order is the slow one.
        list.update(added((10..most + 10).rev()));
        let removed = list.update(added((0..10).chain(most + 10..most + 60)));
        assert_eq!(removed, (0..60).map(SegmentId).collect::<Vec<_>>());
        assert_eq!((list.starts.len(), list.get(SegmentId(60)).is_some()), (MAX_SEGMENTS, true));
        let gone = list.update(StreamUpdate { removed: (0..most).rev().map(SegmentId).collect(), ..Default::default() });
        assert_eq!((gone.len(), ids(&list)), (MAX_SEGMENTS - 60, (most..most + 60).collect()));
    }

    #[test]
    fn what_is_read_in_parts_has_whole_segments_where_there_are_no_parts() {
        let mut list = SegmentList::default();
        let parts = (7..9).flat_map(|sequence| (0..4).map(move |index| part(sequence, index)));
        list.update(StreamUpdate { added: parts.collect(), ..added([5, 6, 7]) });
        list.update(added([5, 6, 7]));
        let read = |in_parts| list.between(12.5, 16.6, in_parts).map(|segment| segment.start).collect::<Vec<_>>();
        assert_eq!(read(false), [12.0, 14.0]);
        assert_eq!(read(true), [14.0, 14.5, 15.0, 15.5, 16.0, 16.5, 12.0]);
        let numbers = SegmentId::of_part(7, 1).unwrap()..=SegmentId::of_part(8, 0).unwrap();
        assert_eq!(
            (list.id_ranges(14.5, 16.1, true), list.id_ranges(0.0, 13.0, false)),
            (vec![numbers], vec![SegmentId(5)..=SegmentId(6)])
        );
    }

    #[test]
    fn numbers_of_two_ways_of_counting_are_found_in_their_ranges() {
        let mut list = SegmentList::default();
        let short = |start: f64| Segment { id: SegmentId::of_dash(start, 0.2), start, duration: 0.2, ..segment(0) };
        list.update(StreamUpdate { added: vec![segment(0), short(2.0), short(2.2), segment(2)], ..Default::default() });
        let numbers = [SegmentId(0)..=SegmentId(0), SegmentId::of_dash(2.0, 0.2)..=SegmentId::of_dash(2.2, 0.2)];
        assert_eq!(list.id_ranges(0.0, 2.3, false), numbers);
        assert_eq!(list.get(SegmentId::of_dash(2.2, 0.2)).map(|segment| segment.start), Some(2.2));
    }
}
