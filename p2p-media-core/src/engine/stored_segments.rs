//! The index of the segments that storage holds, and which of them make room for others.

use lru::LruCache;

use crate::media::{SegmentId, SegmentKey, StreamKey};
use crate::sorted_map::SortedMap;

/// What storage holds, in order of use and in order of playing.
#[derive(Debug)]
pub(super) struct StoredSegments {
    sizes: LruCache<SegmentKey, u64>,
    /// The same segments in playing order, with the time (seconds) at which each ends.
    ends: SortedMap<SegmentKey, f64>,
    bytes: u64,
    limit: u64,
}

impl StoredSegments {
    pub(super) fn new(limit: u64) -> Self {
        Self { sizes: LruCache::unbounded(), ends: SortedMap::new(), bytes: 0, limit }
    }

    pub(super) const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn contains(&self, key: SegmentKey) -> bool {
        self.ends.contains_key(&key)
    }

    /// Notes a use; false when the segment is not there.
    pub(super) fn touch(&mut self, key: SegmentKey) -> bool {
        self.sizes.get(&key).is_some()
    }

    pub(super) fn insert(&mut self, key: SegmentKey, bytes: u64, end: f64) {
        self.remove(key);
        self.sizes.put(key, bytes);
        self.ends.insert(key, end);
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, key: SegmentKey) -> bool {
        let Some(bytes) = self.sizes.pop(&key) else { return false };
        self.ends.remove(&key);
        self.bytes -= bytes;
        true
    }

    /// The numbers held of one stream, rising.
    pub(super) fn ids_of(&self, stream: StreamKey) -> impl Iterator<Item = SegmentId> + '_ {
        self.ends.range(SegmentKey::all_of(stream)).map(|(key, _)| key.id)
    }

    /// True when `bytes` more fit, if need be after dropping what playback has passed.
    pub(super) fn has_room(&self, bytes: u64, position: f64) -> bool {
        if self.bytes.saturating_add(bytes) <= self.limit {
            return true;
        }
        let passed: u64 = self.ends.iter().filter(|(_, end)| **end <= position).filter_map(|(key, _)| self.sizes.peek(key)).sum();
        (self.bytes - passed).saturating_add(bytes) <= self.limit
    }

    /// The segment to drop while more is held than allowed: one that playback has passed, the longest passed first; else the one used
    /// longest ago.
    pub(super) fn next_victim(&self, position: f64) -> Option<SegmentKey> {
        if self.bytes <= self.limit {
            return None;
        }
        let passed = self.ends.iter().filter(|(_, end)| **end <= position).min_by(|a, b| a.1.total_cmp(b.1));
        passed.map(|(key, _)| *key).or_else(|| self.sizes.peek_lru().map(|(key, _)| *key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(id: i64) -> SegmentKey {
        SegmentKey { stream: StreamKey(1), id: SegmentId(id) }
    }

    #[test]
    fn what_playback_has_passed_goes_first_then_the_least_recently_used() {
        let mut stored = StoredSegments::new(25);
        for id in 0..4 {
            stored.insert(key(id), 10, (id + 1) as f64);
        }
        assert!(stored.touch(key(2)) && !stored.touch(key(9)));
        assert_eq!(stored.next_victim(1.5), Some(key(0)));
        stored.remove(key(0));
        assert_eq!(stored.next_victim(0.0), Some(key(1)));
        stored.remove(key(1));
        assert_eq!((stored.next_victim(0.0), stored.bytes()), (None, 20));
        assert_eq!(stored.ids_of(StreamKey(1)).map(|id| id.0).collect::<Vec<_>>(), [2, 3]);
        assert!(stored.has_room(5, 0.0) && !stored.has_room(6, 0.0) && stored.has_room(15, 3.0));
    }
}
