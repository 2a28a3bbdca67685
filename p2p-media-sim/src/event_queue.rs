//! What will happen and when: the virtual clock and the queue that drives it. Of things due at one time the one queued first comes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use p2p_media_core::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    now: Timestamp,
    queued: u64,
    heap: BinaryHeap<Entry<E>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Timestamp,
    order: u64,
    event: E,
}

impl<E> EventQueue<E> {
    pub(crate) const fn new() -> Self {
        Self { now: Timestamp::ZERO, queued: 0, heap: BinaryHeap::new() }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Queues an event; one for the past is due now.
    pub(crate) fn push(&mut self, at: Timestamp, event: E) {
        self.queued += 1;
        self.heap.push(Entry { at: at.max(self.now), order: self.queued, event });
    }

    /// Queues an event `seconds` from now.
    pub(crate) fn push_in(&mut self, seconds: f64, event: E) {
        self.push(self.now.offset_secs(seconds), event);
    }

    /// Moves the clock to the next event that is due by `until` and takes it out.
    pub(crate) fn pop_until(&mut self, until: Timestamp) -> Option<E> {
        if self.heap.peek()?.at > until {
            return None;
        }
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
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
}
