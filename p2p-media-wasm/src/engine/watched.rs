//! State that event handlers change and futures wait on, all on the page's one thread.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

/// A value with those who wait for it to change.
pub(super) struct Watched<T> {
    value: RefCell<T>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Watched<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { value: RefCell::new(value), waiting: RefCell::new(Vec::new()) }
    }

    /// Changes the value and wakes everybody who waits. `change` must not come back here.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.value.borrow_mut());
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    /// Looks at the value.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.borrow())
    }

    /// Waits until `ready` finds in the value what it wants; it is called after every change.
    pub(super) fn wait_for<R>(&self, mut ready: impl FnMut(&mut T) -> Option<R>) -> impl Future<Output = R> {
        poll_fn(move |context| match ready(&mut self.value.borrow_mut()) {
            Some(found) => Poll::Ready(found),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Watched").field(&self.value).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn everybody_who_waits_sees_every_change() {
        let number = Watched::new(0);
        let at_least = |limit: i32| number.wait_for(move |value| (*value >= limit).then_some(*value));
        let mut two = Box::pin(at_least(2));
        let mut three = Box::pin(at_least(3));
        assert_eq!((two.as_mut().now_or_never(), three.as_mut().now_or_never()), (None, None));
        number.change(|value| *value = 2);
        assert_eq!((two.now_or_never(), three.as_mut().now_or_never()), (Some(2), None));
        number.change(|value| *value = 4);
        assert_eq!((block_on(three), number.look(|value| *value)), (4, 4));
    }
}
