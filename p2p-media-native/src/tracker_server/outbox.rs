//! What waits to be written to one connection: a queue bounded in bytes that any task may fill and one task empties.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures::task::AtomicWaker;

/// What a queued message costs beside its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// A queue that has grown beyond this many slots gives its memory back when it is empty.
const IDLE_SLOTS: usize = 8;

/// Messages for one connection.
pub(super) struct Outbox {
    limit_bytes: usize,
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<str>>,
    bytes: usize,
    ping: bool,
    close: Option<CloseReason>,
}

/// What the connection's task does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Write a text message.
    Message(Box<str>),
    /// Ask for a sign of life.
    Ping,
    /// Close the connection.
    Close(CloseReason),
}

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The server stops.
    ShuttingDown,
    /// Nothing came from it, not even answers to pings.
    Unresponsive,
    /// It does not read what it asked for.
    NotReading,
    /// Message after message makes no sense.
    Nonsense,
    /// It breaks the rules of websockets.
    ProtocolError,
    /// A message is larger than the limit.
    MessageTooLarge,
}

impl Outbox {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default(), waker: AtomicWaker::new() }
    }

    /// Queues a message; false if that would exceed the limit, or if the connection is closing.
    pub(super) fn push(&self, message: Box<str>) -> bool {
        let cost = message.len() + MESSAGE_OVERHEAD_BYTES;
        let mut state = self.lock();
        if state.close.is_some() || state.bytes + cost > self.limit_bytes {
            return false;
        }
        state.bytes += cost;
        state.queue.push_back(message);
        drop(state);
        self.waker.wake();
        true
    }

    /// Asks for a ping ahead of everything queued.
    pub(super) fn ping(&self) {
        self.lock().ping = true;
        self.waker.wake();
    }

    /// Ends the connection; what is queued is not written any more. The first reason stays.
    pub(super) fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.waker.wake();
    }

    /// Takes the next thing to do, if any.
    pub(super) fn pop(&self) -> Option<Outgoing> {
        let mut state = self.lock();
        if let Some(reason) = state.close {
            return Some(Outgoing::Close(reason));
        }
        if std::mem::take(&mut state.ping) {
            return Some(Outgoing::Ping);
        }
        let Some(message) = state.queue.pop_front() else {
            if state.queue.capacity() > IDLE_SLOTS {
                state.queue = VecDeque::new();
            }
            return None;
        };
        state.bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
        Some(Outgoing::Message(message))
    }

    /// Why the connection is to be closed, if it is.
    pub(super) fn closing(&self) -> Option<CloseReason> {
        self.lock().close
    }

    /// Names the task to wake when there is something to do. Register before [`pop`](Self::pop), or a wake-up may be missed.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock, and the state is whole at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let outbox = Outbox::new(3 * (10 + MESSAGE_OVERHEAD_BYTES));
        for _ in 0..3 {
            assert!(outbox.push("0123456789".into()));
        }
        assert!(!outbox.push("x".into()));
        assert_eq!(outbox.pop(), Some(Outgoing::Message("0123456789".into())));
        assert!(outbox.push("x".into()), "room came back");
    }

    #[test]
    fn closing_comes_before_pings_before_messages() {
        let outbox = Outbox::new(1000);
        assert!(outbox.push("a".into()));
        outbox.ping();
        outbox.ping();
        assert_eq!(outbox.pop(), Some(Outgoing::Ping));
        assert_eq!(outbox.pop(), Some(Outgoing::Message("a".into())));
        assert_eq!(outbox.pop(), None);
        outbox.close(CloseReason::NotReading);
        outbox.close(CloseReason::ShuttingDown);
        assert_eq!(outbox.pop(), Some(Outgoing::Close(CloseReason::NotReading)));
        assert!(!outbox.push("b".into()));
    }
}
