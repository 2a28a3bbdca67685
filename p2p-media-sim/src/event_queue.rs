//! What will happen and when: the virtual clock and the queue that drives it. Of things due at one time the one queued first comes first.
//!
//! A calendar: buckets of a millisecond for the next seconds, each a plain vector until its time comes; only the bucket that is being worked
//! off is kept in order. With millions of events waiting that stays in the cache, where one heap of all of them does not.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use p2p_media_core::timestamp::Timestamp;

/// Microseconds of one bucket.
const BUCKET_MICROS: u64 = 1000;
/// Buckets of the calendar; what is later waits in a tree of buckets.
const BUCKETS: u64 = 4096;

#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    now: Timestamp,
    queued: u64,
    /// The number of the bucket that is being worked off: those before it are empty.
    bucket: u64,
    current: BinaryHeap<Entry<E>>,
    /// By number modulo their count.
    calendar: Vec<Vec<Entry<E>>>,
    in_calendar: usize,
    later: BTreeMap<u64, Vec<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Timestamp,
    order: u64,
    event: E,
}

impl<E> EventQueue<E> {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::ZERO,
            queued: 0,
            bucket: 0,
            current: BinaryHeap::new(),
            calendar: (0..BUCKETS).map(|_| Vec::new()).collect(),
            in_calendar: 0,
            later: BTreeMap::new(),
        }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Queues an event; one for the past is due now.
    pub(crate) fn push(&mut self, at: Timestamp, event: E) {
        self.queued += 1;
        let entry = Entry { at: at.max(self.now), order: self.queued, event };
        let bucket = entry.at.as_micros() / BUCKET_MICROS;
        if bucket <= self.bucket {
            self.current.push(entry);
        } else if bucket < self.bucket + BUCKETS {
            self.calendar[(bucket % BUCKETS) as usize].push(entry);
            self.in_calendar += 1;
        } else {
            self.later.entry(bucket).or_default().push(entry);
        }
    }

    /// Queues an event `seconds` from now.
    pub(crate) fn push_in(&mut self, seconds: f64, event: E) {
        self.push(self.now.offset_secs(seconds), event);
    }

    /// Moves the clock to the next event that is due by `until` and takes it out.
    pub(crate) fn pop_until(&mut self, until: Timestamp) -> Option<E> {
        self.open_bucket(until);
        if self.current.peek()?.at > until {
            return None;
        }
        let entry = self.current.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }

    /// Takes out all of the next millisecond in which something is due, with the times. What is queued meanwhile for that millisecond comes
    /// with the next batch.
    pub(crate) fn pop_batch(&mut self, until: Timestamp, batch: &mut Vec<(Timestamp, E)>) {
        self.open_bucket(until);
        let due = std::mem::take(&mut self.current).into_sorted_vec();
        // The greatest is the earliest.
        let mut due = due.into_iter().rev().peekable();
        if let Some(first) = due.peek().filter(|first| first.at <= until) {
            self.now = first.at;
            while let Some(entry) = due.next_if(|entry| entry.at <= until) {
                batch.push((entry.at, entry.event));
            }
        }
        self.current.extend(due);
    }

    /// The time of one event of a batch: what follows from it is counted from there.
    pub(crate) const fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Goes to the next bucket that holds something, if one begins by `until`.
    fn open_bucket(&mut self, until: Timestamp) {
        let last = until.as_micros() / BUCKET_MICROS;
        while self.current.is_empty() && self.bucket < last {
            if self.in_calendar == 0 {
                // A jump over what is empty.
                let next = self.later.first_key_value().map_or(last, |(bucket, _)| (*bucket).min(last));
                self.bucket = next.max(self.bucket + 1);
            } else {
                self.bucket += 1;
            }
            let due = &mut self.calendar[(self.bucket % BUCKETS) as usize];
            self.in_calendar -= due.len();
            let mut due = std::mem::take(due);
            while let Some(entry) = self.later.first_entry().filter(|entry| *entry.key() <= self.bucket) {
                due.extend(entry.remove());
            }
            self.current = due.into();
        }
    }

    /// Moves the clock on when nothing is left to happen before `until`.
    pub(crate) fn advance_to(&mut self, until: Timestamp) {
        self.now = self.now.max(until);
    }
}

impl<E> Ord for Entry<E> {
    /// The heap gives the greatest first: the earliest must be that.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_queued() {
        let mut queue = EventQueue::new();
        queue.push_in(2.0, 'c');
        queue.push_in(1.0, 'a');
        queue.push_in(1.0, 'b');
        let until = Timestamp::ZERO.offset_secs(1.5);
        let due: Vec<_> = std::iter::from_fn(|| queue.pop_until(until)).collect();
        assert_eq!((due, queue.now()), (vec!['a', 'b'], Timestamp::ZERO.offset_secs(1.0)));
        queue.push(Timestamp::ZERO, 'd');
        assert_eq!((queue.pop_until(until), queue.now()), (Some('d'), Timestamp::ZERO.offset_secs(1.0)));
    }

    #[test]
    fn near_and_far_times_come_in_order_however_they_are_mixed() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut queue = EventQueue::new();
        let mut waiting = 0;
        let mut last = Timestamp::ZERO;
        let end = Timestamp::ZERO.offset_secs(10_000.0);
        for _ in 0..2000 {
            let seconds = [0.0, 0.0003, 0.01, 3.0, 5.0, 40.0][random.usize(..6)] * random.f64();
            queue.push_in(seconds, ());
            waiting += 1;
            if random.bool() {
                let until = queue.now().offset_secs(random.f64());
                while queue.pop_until(until).is_some() {
                    assert!(queue.now() >= last && queue.now() <= until);
                    (waiting, last) = (waiting - 1, queue.now());
                }
                queue.advance_to(until);
            }
        }
        while queue.pop_until(end).is_some() {
            assert!(queue.now() >= last);
            (waiting, last) = (waiting - 1, queue.now());
        }
        assert_eq!(waiting, 0);
    }

    #[test]
    fn a_batch_is_a_millisecond() {
        let mut queue = EventQueue::new();
        for micros in [2_500, 2_100, 3_000, 900_000_000] {
            queue.push(Timestamp::from_micros(micros), micros);
        }
        let until = Timestamp::ZERO.offset_secs(1000.0);
        let mut next = || {
            let mut batch = Vec::new();
            queue.pop_batch(until, &mut batch);
            batch.into_iter().map(|(_, event)| event).collect::<Vec<_>>()
        };
        assert_eq!([next(), next(), next(), next()], [vec![2_100, 2_500], vec![3_000], vec![900_000_000], vec![]]);
    }
}
