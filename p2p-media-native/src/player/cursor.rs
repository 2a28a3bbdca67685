//! Where reading a track stands, and which segment comes next.

use std::sync::Arc;

use super::segments::SegmentInfo;

/// A segment of which no more than this is left is not worth beginning with: tracks are rarely cut at the very same places.
const LEAST_WORTH_PLAYING_S: f64 = 0.25;
/// Start times are sums of rounded numbers.
const SAME_TIME_S: f64 = 1e-3;

/// What orders the segments of a track, parts among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Goes up from segment to segment.
    pub(super) segment: i64,
    /// The part's index; greater than all of them for a whole segment.
    pub(super) part: u32,
}

impl Place {
    /// Of a whole segment.
    pub(super) const fn of_whole(segment: i64) -> Self {
        Self { segment, part: u32::MAX }
    }
}

/// Where reading stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cursor {
    /// The segment that is played at this time comes next.
    At(f64),
    /// The segment that begins nearest to this time comes next.
    From(f64),
    /// The segment after this one comes next; it ended at this time.
    After(Place, f64),
}

impl Cursor {
    /// The segment that comes next, if it is there. Reading begins only where decoding can.
    pub(super) fn next_in(self, segments: &[Arc<SegmentInfo>]) -> Option<&Arc<SegmentInfo>> {
        let nearest = |position: f64| segments.iter().position(|segment| segment.start + segment.duration / 2.0 > position);
        match self {
            Self::At(position) => {
                let is_over =
                    |segment: &SegmentInfo| segment.end() - LEAST_WORTH_PLAYING_S.min(segment.duration / 2.0) <= position + SAME_TIME_S;
                independent(segments, segments.partition_point(|segment| is_over(segment)))
            }
            Self::From(position) => independent(segments, nearest(position)?),
            Self::After(place, end) => match segments.last() {
                // Numbers went back: the server was restarted, its timeline goes on.
                Some(last) if last.place.segment < place.segment => {
                    nearest(end).map(|index| &segments[index]).filter(|segment| segment.start >= end - SAME_TIME_S)
                }
                _ => {
                    let after = &segments[segments.partition_point(|segment| segment.place <= place)..];
                    // A segment whose parts were read is listed as a whole now.
                    after.iter().find(|segment| segment.place.segment != place.segment || segment.end() > end + SAME_TIME_S)
                }
            },
        }
    }
}

/// The segment at this index, or the one that decoding has to begin with to get there.
fn independent(segments: &[Arc<SegmentInfo>], index: usize) -> Option<&Arc<SegmentInfo>> {
    let (before, after) = segments.split_at_checked(index + 1).unwrap_or((segments, &[]));
    if index >= segments.len() {
        return None;
    }
    before.iter().rev().chain(after).find(|segment| segment.is_independent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(first: i64, starts: &[f64]) -> Vec<Arc<SegmentInfo>> {
        let info = |(index, start): (usize, &f64)| SegmentInfo {
            place: Place::of_whole(first + index as i64),
            start: *start,
            duration: 2.0,
            ..SegmentInfo::for_tests()
        };
        starts.iter().enumerate().map(info).map(Arc::new).collect()
    }

    /// Parts of a third of a second; decoding can begin with the first of each segment of two seconds.
    fn parts(segment: i64, start: f64, count: u32) -> impl Iterator<Item = Arc<SegmentInfo>> {
        (0..count).map(move |part| {
            Arc::new(SegmentInfo {
                place: Place { segment, part },
                start: start + f64::from(part) / 3.0,
                duration: 1.0 / 3.0,
                is_independent: part == 0,
                ..SegmentInfo::for_tests()
            })
        })
    }

    #[test]
    fn the_cursor_finds_what_comes_next() {
        let segments = listed(7, &[10.0, 12.0, 14.0]);
        let next = |cursor: Cursor| cursor.next_in(&segments).map(|info| info.place.segment);
        assert_eq!(
            [0.0, 10.0, 11.7, 11.8, 12.0, 15.7, 16.0].map(|at| next(Cursor::At(at))),
            [Some(7), Some(7), Some(7), Some(8), Some(8), Some(9), None]
        );
        assert_eq!([10.9, 11.1, 12.1, 15.1].map(|at| next(Cursor::From(at))), [Some(7), Some(8), Some(8), None]);
        let after = |segment| next(Cursor::After(Place::of_whole(segment), 0.0));
        assert_eq!([3, 7, 8, 9].map(after), [Some(7), Some(8), Some(9), None]);
    }

    #[test]
    fn a_restarted_server_goes_on_by_time() {
        let cursor = Cursor::After(Place::of_whole(90), 12.0);
        assert_eq!(cursor.next_in(&listed(3, &[10.0, 12.0])).map(|info| info.place.segment), Some(4));
        assert_eq!(cursor.next_in(&listed(3, &[8.0, 10.0])), None);
        assert_eq!(cursor.next_in(&[]), None);
    }

    #[test]
    fn reading_begins_where_decoding_can() {
        let segments: Vec<_> = listed(7, &[10.0]).into_iter().chain(parts(8, 12.0, 6)).chain(parts(9, 14.0, 2)).collect();
        let next = |cursor: Cursor| cursor.next_in(&segments).map(|info| (info.place.segment, info.place.part));
        assert_eq!(next(Cursor::At(13.4)), Some((8, 0)));
        assert_eq!(next(Cursor::At(14.1)), Some((9, 0)));
        assert_eq!(next(Cursor::From(14.4)), Some((9, 0)));
        assert_eq!(next(Cursor::At(15.0)), None);
    }

    #[test]
    fn parts_follow_segments_and_segments_parts() {
        let near: Vec<_> = listed(7, &[10.0]).into_iter().chain(parts(8, 12.0, 6)).chain(parts(9, 14.0, 2)).collect();
        let next = |cursor: Cursor, segments: &[Arc<SegmentInfo>]| cursor.next_in(segments).map(|info| info.place);
        assert_eq!(next(Cursor::After(Place::of_whole(7), 12.0), &near), Some(Place { segment: 8, part: 0 }));
        assert_eq!(next(Cursor::After(Place { segment: 8, part: 5 }, 14.0), &near), Some(Place { segment: 9, part: 0 }));
        assert_eq!(next(Cursor::After(Place { segment: 9, part: 1 }, 14.0 + 2.0 / 3.0), &near), None);
        let far = listed(7, &[10.0, 12.0, 14.0]);
        assert_eq!(next(Cursor::After(Place { segment: 8, part: 5 }, 14.0), &far), Some(Place::of_whole(9)), "read already");
        assert_eq!(next(Cursor::After(Place { segment: 8, part: 2 }, 13.0), &far), Some(Place::of_whole(8)), "the rest of it");
    }
}
