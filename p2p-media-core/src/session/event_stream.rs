//! Events on their way to listeners. Nobody waits for a slow listener: it loses the oldest events and is told how many.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::event::Event;

/// Events held for one listener.
const EVENT_QUEUE_LIMIT: usize = 1024;

/// The events of a session, from the moment of the call that made it to the end of the session.
#[derive(Debug)]
pub struct EventStream {
    queue: Arc<Mutex<Queue>>,
}

/// The listeners of one session. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventSubscribers {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Debug, Default)]
struct Registry {
    queues: Vec<Weak<Mutex<Queue>>>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    lost: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl EventStream {
    /// How many events were lost since the last call because they were not read in time: the oldest go first, and there is room for 1024.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut lock(&self.queue).lost)
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.queue);
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl EventSubscribers {
    pub(crate) fn subscribe(&self) -> EventStream {
        let mut registry = lock(&self.registry);
        let queue = Arc::new(Mutex::new(Queue { closed: registry.closed, ..Queue::default() }));
        registry.queues.retain(|queue| queue.strong_count() > 0);
        if !registry.closed {
            registry.queues.push(Arc::downgrade(&queue));
        }
        EventStream { queue }
    }

    pub(crate) fn publish(&self, event: &Event) {
        self.change_each(|queue| {
            if queue.events.len() == EVENT_QUEUE_LIMIT {
                queue.events.pop_front();
                queue.lost += 1;
            }
            queue.events.push_back(event.clone());
        });
    }

    /// Ends every stream, also those made later.
    pub(crate) fn close(&self) {
        lock(&self.registry).closed = true;
        self.change_each(|queue| queue.closed = true);
    }

    fn change_each(&self, mut change: impl FnMut(&mut Queue)) {
        let mut wakers = Vec::new();
        lock(&self.registry).queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            let mut queue = lock(&queue);
            change(&mut queue);
            wakers.extend(queue.waker.take());
            true
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    fn event(number: usize) -> Event {
        Event::TrackerWarning { tracker: "wss://tracker.test".into(), warning: number.to_string() }
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_learns_how_many() {
        let subscribers = EventSubscribers::default();
        subscribers.publish(&event(0));
        let (mut slow, mut quick) = (subscribers.subscribe(), subscribers.subscribe());
        for number in 0..EVENT_QUEUE_LIMIT + 3 {
            subscribers.publish(&event(number));
            assert_eq!(quick.next().now_or_never(), Some(Some(event(number))));
        }
        assert_eq!((slow.take_lost(), slow.take_lost(), quick.take_lost()), (3, 0, 0));
        assert_eq!(block_on(slow.next()), Some(event(3)));
    }

    #[test]
    fn streams_end_with_the_session() {
        let subscribers = EventSubscribers::default();
        let mut stream = subscribers.subscribe();
        drop(subscribers.subscribe());
        subscribers.publish(&event(1));
        subscribers.close();
        assert_eq!(block_on(stream.by_ref().collect::<Vec<_>>()), [event(1)]);
        assert_eq!(block_on(subscribers.subscribe().next()), None);
        assert_eq!(lock(&subscribers.registry).queues.len(), 1);
    }
}
