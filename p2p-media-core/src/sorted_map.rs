//! Maps and sets in sorted vectors. The engine has dozens of small tables with keys and values of their own; the machine code of as many B-trees
//! was a quarter of the browser build. Most tables here hold a few entries and grow at their end; the
//! largest, with a hundred thousand, is changed at a few places or gone through once.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use crate::sort::sort_by;

/// A map in the order of its keys.
#[derive(Clone, PartialEq)]
pub(crate) struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

/// A set in order.
#[derive(Clone, PartialEq)]
pub(crate) struct SortedSet<T> {
    items: SortedMap<T, ()>,
}

impl<K: Ord + Copy, V> SortedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.entries[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.entries[place].1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Gives the value that was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.entries[place].1, value)),
            Err(place) => {
                self.entries.insert(place, (key, value));
                None
            }
        }
    }

    /// The value of a key, made first when there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.entries.insert(place, (key, value()));
                place
            }
        };
        &mut self.entries[place].1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|place| self.entries.remove(place).1)
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Keeps what has a key of which this is true.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&K) -> bool) {
        self.entries.retain(|(key, _)| is_kept(key));
    }

    /// Adds many at once, in any order, with keys that are not here yet and differ from each other.
    pub(crate) fn add_new(&mut self, new: impl IntoIterator<Item = (K, V)>) {
        self.entries.extend(new);
        if !self.entries.is_sorted_by(|a, b| a.0 < b.0) {
            sort_by(&mut self.entries, |a, b| a.0.cmp(&b.0));
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &K> + DoubleEndedIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn range(&self, range: impl RangeBounds<K>) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator {
        let (from, to) = self.places(&range);
        self.entries[from..to].iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn range_mut(&mut self, range: impl RangeBounds<K>) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        let (from, to) = self.places(&range);
        self.entries[from..to].iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Where a key is, or where it would go. What comes last as a rule is looked for there first.
    fn place(&self, key: &K) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(other, _)| other.cmp(key)),
        }
    }

    fn places(&self, range: &impl RangeBounds<K>) -> (usize, usize) {
        let from = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.place(key).unwrap_or_else(|place| place),
            Bound::Excluded(key) => self.place(key).map_or_else(|place| place, |place| place + 1),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => self.entries.len(),
            Bound::Included(key) => self.place(key).map_or_else(|place| place, |place| place + 1),
            Bound::Excluded(key) => self.place(key).unwrap_or_else(|place| place),
        };
        (from, to.max(from))
    }
}

impl<T: Ord + Copy> SortedSet<T> {
    pub(crate) const fn new() -> Self {
        Self { items: SortedMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn contains(&self, item: &T) -> bool {
        self.items.contains_key(item)
    }

    /// False when it was there already.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        self.items.insert(item, ()).is_none()
    }

    /// False when it was not there.
    pub(crate) fn remove(&mut self, item: &T) -> bool {
        self.items.remove(item).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.items.keys().next()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator {
        self.items.keys()
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self { items: SortedMap::default() }
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.entries.into_iter().map(|(item, ())| item)
    }
}

impl<T: Ord + Copy> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| _ = self.insert(item));
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.entries.iter().map(|(key, value)| (key, value))).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.items.entries.iter().map(|(item, ())| item)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_btree_map(changes in prop::collection::vec((any::<bool>(), 0_u8..40, any::<u16>()), 0..200), low in 0_u8..45, high in 0_u8..45) {
            let (mut ours, mut oracle) = (SortedMap::new(), BTreeMap::new());
            for (insert, key, value) in changes {
                if insert {
                    prop_assert_eq!(ours.insert(key, value), oracle.insert(key, value));
                } else {
                    prop_assert_eq!(ours.remove(&key), oracle.remove(&key));
                }
                prop_assert_eq!(ours.get(&key), oracle.get(&key));
                prop_assert_eq!((ours.len(), ours.is_empty(), ours.contains_key(&key)), (oracle.len(), oracle.is_empty(), oracle.contains_key(&key)));
            }
            prop_assert!(ours.iter().eq(oracle.iter()));
            prop_assert!(ours.range(low..).eq(oracle.range(low..)) && ours.range(..=high).eq(oracle.range(..=high)));
            if low <= high {
                prop_assert!(ours.range(low..high).eq(oracle.range(low..high)) && ours.range(low..=high).eq(oracle.range(low..=high)));
            } else {
                prop_assert_eq!(ours.range(low..high).len(), 0);
            }
            prop_assert!(ours.keys().eq(oracle.keys()) && ours.values().eq(oracle.values()));
        }
    }

    #[test]
    fn a_set_gives_its_items_in_order() {
        let mut set = SortedSet::new();
        set.extend([3, 1, 2, 3]);
        assert!(!set.insert(2) && set.remove(&2) && !set.remove(&2) && set.contains(&1));
        assert_eq!((set.len(), set.first(), set.iter().copied().collect::<Vec<_>>()), (2, Some(&1), vec![1, 3]));
        set.clear();
        assert!(set.is_empty());
    }
}
