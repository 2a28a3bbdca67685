//! Which segment a URL, or a range of its bytes, stands for.
//!
//! A day of live video is 20,000 segments of every stream, so URLs are kept as hashes alone. Their keys are random: nobody outside can make two
//! URLs meet in one hash, and by chance they do so once in 2^64.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use p2p_media_core::media::{ByteRange, Segment, SegmentForm, SegmentId, SegmentKey, StreamKey, StreamKind, StreamUpdate};

use super::requested_range::RequestedRange;

/// URLs under which one segment is known: those with earlier tokens stay good for players that have them.
const MAX_URLS_PER_SEGMENT: usize = 4;
/// Segments that are looked at for one range of bytes. More overlap there only by a mistake.
const MAX_LOOKED_AT: usize = 256;

/// The segments that manifests list, by where they are.
#[derive(Debug, Default)]
pub(super) struct SegmentTable {
    hasher: RandomState,
    listed: BTreeMap<Place, Listed>,
    /// Where each segment is, the oldest place first.
    places: BTreeMap<(SegmentKey, u32), (UrlHash, u64)>,
}

/// A segment by which a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ListedSegment {
    pub(super) key: SegmentKey,
    pub(super) kind: StreamKind,
    /// The part of the resource at its URL that it is; the whole when absent.
    pub(super) byte_range: Option<ByteRange>,
    pub(super) start: f64,
    pub(super) duration: f64,
    pub(super) form: SegmentForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct UrlHash(u64);

/// Sorted by where in its resource a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    url: UrlHash,
    first: u64,
    key: SegmentKey,
}

/// The rest of a [`ListedSegment`], as small as it can be.
#[derive(Clone, Copy, Debug)]
struct Listed {
    start: f64,
    duration: f32,
    kind: StreamKind,
    form: SegmentForm,
    is_range: bool,
    last: u64,
}

impl SegmentTable {
    /// Takes in what changed in a stream.
    pub(super) fn list(&mut self, stream: StreamKey, kind: StreamKind, update: &StreamUpdate) {
        // Ids that were removed and added are other segments now, but those only added may have got another URL.
        for id in &update.removed {
            self.remove(SegmentKey { stream, id: *id });
        }
        for segment in &update.added {
            self.add(stream, kind, segment);
        }
    }

    /// The segment that answers a request for a range (or all) of a URL. `expected` says where in the timeline a request for a kind of stream
    /// would go on: one resource may be listed many times, as an advertisement is. The bytes are the same then, but not the time.
    pub(super) fn segment(&self, url: &str, range: Option<RequestedRange>, expected: impl Fn(StreamKind) -> f64) -> Option<ListedSegment> {
        let url = self.hash(url);
        let asked = match range {
            Some(RequestedRange::Between(asked)) => Some(asked),
            _ => None,
        };
        let holds = move |segment: &ListedSegment| segment.byte_range.zip(asked).is_some_and(|(part, asked)| contains(part, asked));
        let ranges = asked.into_iter().flat_map(|asked| self.up_to(url, asked.first)).filter(holds);
        // Of what overlaps, a part is meant by those alone who ask for just that.
        let rank = |segment: &ListedSegment| match segment.form {
            SegmentForm::Part if segment.byte_range == asked => 0,
            SegmentForm::Part => 2,
            _ => 1,
        };
        let far = |segment: &ListedSegment| (segment.start - expected(segment.kind)).abs();
        ranges.chain(self.wholes(url)).min_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| far(a).total_cmp(&far(b))))
    }

    /// True for a resource that is a row of segments, finished ones: its bytes can be put together from them.
    pub(super) fn is_row(&self, url: &str) -> bool {
        let url = self.hash(url);
        let mut entries = self.listed.range(Place::first_at(url)..=Place::last_at(url, u64::MAX)).map(|(_, listed)| listed);
        let ends = [entries.next(), entries.next_back()];
        // Parts are at the end of a resource that grows.
        ends[0].is_some() && ends.into_iter().flatten().all(|listed| listed.is_range && listed.form == SegmentForm::Whole)
    }

    /// The segment of a row that holds the byte at `position`.
    pub(super) fn at(&self, url: &str, position: u64) -> Option<ListedSegment> {
        let asked = ByteRange { first: position, last: position };
        self.up_to(self.hash(url), position).find(|segment| segment.byte_range.is_some_and(|part| contains(part, asked)))
    }

    /// Where the next segment of a row begins, at or after `position`.
    pub(super) fn next_at(&self, url: &str, position: u64) -> Option<u64> {
        let url = self.hash(url);
        let after = Place { first: position, ..Place::first_at(url) }..=Place::last_at(url, u64::MAX);
        self.listed.range(after).next().map(|(place, _)| place.first)
    }

    /// How many segments of a stream are listed.
    pub(super) fn count(&self, stream: StreamKey) -> usize {
        let of_stream = SegmentKey::all_of(stream);
        let mut keys: Vec<SegmentKey> =
            self.places.range((*of_stream.start(), 0)..=(*of_stream.end(), u32::MAX)).map(|((key, _), _)| *key).collect();
        keys.dedup();
        keys.len()
    }

    fn add(&mut self, stream: StreamKey, kind: StreamKind, segment: &Segment) {
        let key = SegmentKey { stream, id: segment.id };
        let place = Place { url: self.hash(&segment.url), first: segment.byte_range.map_or(0, |range| range.first), key };
        let known: Vec<_> = self.places.range((key, 0)..=(key, u32::MAX)).map(|(named, place)| (*named, *place)).collect();
        if !known.iter().any(|(_, known)| *known == (place.url, place.first)) {
            if known.len() >= MAX_URLS_PER_SEGMENT {
                let (oldest, (url, first)) = known[0];
                self.places.remove(&oldest);
                self.listed.remove(&Place { url, first, key });
            }
            // One that comes back after four billion others is the oldest again; it does no harm.
            let number = known.last().map_or(0, |((_, last), _)| last.wrapping_add(1));
            self.places.insert((key, number), (place.url, place.first));
        }
        let listed = Listed {
            start: segment.start,
            duration: segment.duration as f32,
            kind,
            form: segment.form,
            is_range: segment.byte_range.is_some(),
            last: segment.byte_range.map_or(u64::MAX, |range| range.last),
        };
        self.listed.insert(place, listed);
    }

    fn remove(&mut self, key: SegmentKey) {
        let known: Vec<_> = self.places.range((key, 0)..=(key, u32::MAX)).map(|(named, place)| (*named, *place)).collect();
        for (named, (url, first)) in known {
            self.places.remove(&named);
            self.listed.remove(&Place { url, first, key });
        }
    }

    /// Segments that are all of a resource.
    fn wholes(&self, url: UrlHash) -> impl Iterator<Item = ListedSegment> {
        let there = self.listed.range(Place::first_at(url)..=Place::last_at(url, 0));
        there.map(ListedSegment::of).filter(|segment| segment.byte_range.is_none())
    }

    /// Segments that begin at `first` or before, the last one first.
    fn up_to(&self, url: UrlHash, first: u64) -> impl Iterator<Item = ListedSegment> {
        self.listed.range(Place::first_at(url)..=Place::last_at(url, first)).rev().take(MAX_LOOKED_AT).map(ListedSegment::of)
    }

    fn hash(&self, url: &str) -> UrlHash {
        UrlHash(self.hasher.hash_one(url))
    }
}

impl Place {
    const fn first_at(url: UrlHash) -> Self {
        Self { url, first: 0, key: SegmentKey { stream: StreamKey(0), id: SegmentId(i64::MIN) } }
    }

    /// The last place of those that begin at `first`.
    const fn last_at(url: UrlHash, first: u64) -> Self {
        Self { url, first, key: SegmentKey { stream: StreamKey(u32::MAX), id: SegmentId(i64::MAX) } }
    }
}

impl ListedSegment {
    fn of((place, listed): (&Place, &Listed)) -> Self {
        Self {
            key: place.key,
            kind: listed.kind,
            byte_range: listed.is_range.then_some(ByteRange { first: place.first, last: listed.last }),
            start: listed.start,
            duration: f64::from(listed.duration),
            form: listed.form,
        }
    }
}

const fn contains(part: ByteRange, asked: ByteRange) -> bool {
    part.first <= asked.first && asked.last <= part.last
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const STREAM: StreamKey = StreamKey(7);
    const FILE: &str = "https://a.example/all.mp4";

    fn range(first: u64, last: u64) -> Option<ByteRange> {
        Some(ByteRange { first, last })
    }

    fn segment(id: i64, url: &str, byte_range: Option<ByteRange>, form: SegmentForm) -> Segment {
        Segment { id: SegmentId(id), url: Arc::from(url), byte_range, start: id as f64 * 2.0, duration: 2.0, form }
    }

    fn added(segments: Vec<Segment>) -> StreamUpdate {
        StreamUpdate { added: segments, ..StreamUpdate::default() }
    }

    fn table(segments: Vec<Segment>) -> SegmentTable {
        let mut table = SegmentTable::default();
        table.list(STREAM, StreamKind::Main, &added(segments));
        table
    }

    fn find(table: &SegmentTable, url: &str, range: Option<RequestedRange>) -> Option<i64> {
        table.segment(url, range, |_| 0.0).map(|segment| segment.key.id.0)
    }

    fn between(first: u64, last: u64) -> Option<RequestedRange> {
        Some(RequestedRange::Between(ByteRange { first, last }))
    }

    #[test]
    fn a_url_that_is_a_segment_stands_for_it_with_any_range() {
        let table = table(vec![segment(1, "https://a.example/1", None, SegmentForm::Whole)]);
        for range in [None, between(5, 9), Some(RequestedRange::From(0)), Some(RequestedRange::Last(3))] {
            assert_eq!(find(&table, "https://a.example/1", range), Some(1), "{range:?}");
        }
        assert_eq!(find(&table, "https://a.example/2", None), None);
        assert!(!table.is_row("https://a.example/1"));
    }

    #[test]
    fn ranges_of_one_url_stand_for_the_segment_that_holds_them() {
        let whole = SegmentForm::Whole;
        let table = table(vec![segment(1, FILE, range(10, 49), whole), segment(2, FILE, range(50, 99), whole)]);
        let found = [(10, 49), (20, 29), (50, 99), (0, 9), (40, 59), (0, 99)].map(|(first, last)| find(&table, FILE, between(first, last)));
        assert_eq!(found, [Some(1), Some(1), Some(2), None, None, None]);
        assert_eq!(find(&table, FILE, Some(RequestedRange::From(10))), None);
        assert!(table.is_row(FILE));
        assert_eq!([9, 10, 49, 50, 100].map(|at| table.at(FILE, at).map(|found| found.key.id.0)), [None, Some(1), Some(1), Some(2), None]);
        assert_eq!([0, 10, 11, 51].map(|at| table.next_at(FILE, at)), [Some(10), Some(10), Some(50), None]);
    }

    #[test]
    fn parts_are_for_those_who_ask_for_just_that() {
        let part = |id, first, last| segment(id, FILE, range(first, last), SegmentForm::Part);
        let mut table = table(vec![part(100, 0, 9), part(101, 10, 19)]);
        assert_eq!(find(&table, FILE, between(10, 19)), Some(101));
        assert_eq!(find(&table, FILE, between(12, 14)), Some(101));
        assert_eq!(find(&table, FILE, between(0, 19)), None);
        assert!(!table.is_row(FILE));
        table.list(STREAM, StreamKind::Main, &added(vec![segment(1, FILE, None, SegmentForm::Whole)]));
        assert_eq!(find(&table, FILE, between(10, 19)), Some(101));
        assert_eq!(find(&table, FILE, between(12, 14)), Some(1));
        assert_eq!(find(&table, FILE, between(0, 19)), Some(1));
        assert_eq!(find(&table, FILE, None), Some(1));
    }

    #[test]
    fn a_resource_that_is_listed_twice_is_the_one_expected() {
        let table = table([3, 30, 300].map(|id| segment(id, FILE, None, SegmentForm::Whole)).to_vec());
        assert_eq!(table.segment(FILE, None, |_| 62.0).map(|found| found.start), Some(60.0));
    }

    #[test]
    fn old_urls_stay_good_for_a_while_and_go_with_their_segment() {
        let url = |token: i32| format!("https://a.example/1?token={token}");
        let mut table = SegmentTable::default();
        for token in 0..6 {
            table.list(STREAM, StreamKind::Main, &added(vec![segment(1, &url(token), None, SegmentForm::Whole)]));
        }
        assert_eq!((0..6).filter(|token| find(&table, &url(*token), None).is_some()).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(table.count(STREAM), 1);
        table.list(STREAM, StreamKind::Main, &StreamUpdate { removed: vec![SegmentId(1)], ..StreamUpdate::default() });
        assert!(table.listed.is_empty() && table.places.is_empty());
    }

    #[test]
    fn a_segment_that_is_finished_takes_the_place_of_the_unfinished_one() {
        let mut table = table(vec![segment(1, FILE, None, SegmentForm::Unfinished)]);
        table.list(STREAM, StreamKind::Main, &added(vec![segment(1, FILE, None, SegmentForm::Whole)]));
        assert_eq!(table.segment(FILE, None, |_| 0.0).map(|found| found.form), Some(SegmentForm::Whole));
        assert_eq!(table.count(STREAM), 1);
    }
}
