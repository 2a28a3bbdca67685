//! A single-threaded backend in virtual time: nothing waits for a real clock, and every run is the same.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;

use super::stub_network::{Relay, StubPeers, StubTracker};
use crate::backend::{Backend, Clock, HttpBody, HttpError, HttpFetcher, HttpHead, HttpRequest, SegmentStorage, StorageError};
use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;
use crate::timestamp::Timestamp;

/// What is shared by all viewers of a test: the time, the origin, the tracker, and who may connect to whom.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) clock: VirtualClock,
    pub(super) origin: Origin,
    pub(super) relay: Rc<Relay>,
    pub(super) peers: StubPeers,
}

/// One viewer's platform.
pub(super) struct StubBackend {
    pub(super) clock: VirtualClock,
    pub(super) origin: Origin,
    pub(super) tracker: StubTracker,
    pub(super) peers: StubPeers,
    pub(super) storage: StubStorage,
}

impl World {
    pub(super) fn backend(&self) -> StubBackend {
        StubBackend {
            clock: self.clock.clone(),
            origin: Origin { clock: self.clock.clone(), ..self.origin.clone() },
            tracker: StubTracker(Rc::clone(&self.relay)),
            peers: self.peers.clone(),
            storage: StubStorage { clock: self.clock.clone(), ..StubStorage::default() },
        }
    }

    /// Runs a future to its end, jumping over the time in which nothing happens; panics when it takes longer than `limit`.
    pub(super) fn run<T>(&self, pool: &mut LocalPool, limit: Duration, future: impl Future<Output = T> + 'static) -> T
    where
        T: 'static,
    {
        let end = self.clock.now() + limit;
        let result = Rc::new(Cell::new(None));
        let slot = Rc::clone(&result);
        pool.spawner().spawn_local(async move { slot.set(Some(future.await)) }).unwrap();
        loop {
            pool.run_until_stalled();
            if let Some(result) = result.take() {
                return result;
            }
            assert!(self.clock.jump(end), "not done after {limit:?} of virtual time");
        }
    }
}

impl Backend for StubBackend {
    type Clock = VirtualClock;
    type Http = Origin;
    type Tracker = StubTracker;
    type Peers = StubPeers;
    type Storage = StubStorage;

    fn clock(&self) -> &VirtualClock {
        &self.clock
    }
    fn http(&self) -> &Origin {
        &self.origin
    }
    fn tracker(&self) -> &StubTracker {
        &self.tracker
    }
    fn peers(&self) -> &StubPeers {
        &self.peers
    }
    fn storage(&self) -> &StubStorage {
        &self.storage
    }
}

#[derive(Clone, Default)]
pub(super) struct VirtualClock(Rc<ClockState>);

#[derive(Default)]
struct ClockState {
    now: Cell<Timestamp>,
    sleepers: RefCell<BTreeMap<(Timestamp, u64), Waker>>,
    next: Cell<u64>,
}

impl VirtualClock {
    pub(super) async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Jumps to the next moment that somebody waits for; false when there is none before `end`.
    fn jump(&self, end: Timestamp) -> bool {
        let first = self.0.sleepers.borrow_mut().pop_first();
        let Some(((time, _), waker)) = first else { return false };
        self.0.now.set(time.max(self.now()));
        waker.wake();
        time <= end
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    fn sleep_until(&self, deadline: Timestamp) -> impl Future<Output = ()> {
        let clock = Rc::clone(&self.0);
        let id = clock.next.replace(clock.next.get() + 1);
        poll_fn(move |context| {
            if clock.now.get() >= deadline {
                return Poll::Ready(());
            }
            clock.sleepers.borrow_mut().insert((deadline, id), context.waker().clone());
            Poll::Pending
        })
    }
}

/// An origin that serves byte ranges, a chunk at a time.
#[derive(Clone, Default)]
pub(super) struct Origin {
    clock: VirtualClock,
    pub(super) state: Rc<OriginState>,
}

#[derive(Default)]
pub(super) struct OriginState {
    pub(super) resources: RefCell<BTreeMap<String, Bytes>>,
    pub(super) requests: RefCell<Vec<HttpRequest>>,
    pub(super) bytes_sent: Cell<usize>,
    /// Time between chunks; none by default: every chunk is there at once.
    pub(super) chunk_interval: Cell<Duration>,
    /// Bodies that were neither read to the end nor dropped.
    pub(super) open_bodies: Cell<usize>,
}

const CHUNK_BYTES: usize = 16 << 10;

pub(super) struct Body {
    origin: Origin,
    rest: Bytes,
}

impl HttpFetcher for Origin {
    type Body = Body;

    async fn fetch(&self, request: HttpRequest) -> Result<(HttpHead, Body), HttpError> {
        self.state.requests.borrow_mut().push(request.clone());
        let resource = self.state.resources.borrow().get(&*request.url).cloned().ok_or_else(|| HttpError("no such host".to_owned()))?;
        let end = request.last.map_or(resource.len(), |last| last as usize + 1);
        let is_range = request.first > 0 || request.last.is_some();
        let rest = resource.slice(request.first as usize..end);
        let head = HttpHead {
            status: if is_range { 206 } else { 200 },
            range_first: is_range.then_some(request.first),
            range_total: is_range.then_some(resource.len() as u64),
            content_length: Some(rest.len() as u64),
        };
        self.state.open_bodies.update(|open| open + 1);
        Ok((head, Body { origin: self.clone(), rest }))
    }
}

impl HttpBody for Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let state = &self.origin.state;
        if !state.chunk_interval.get().is_zero() {
            self.origin.clock.sleep(state.chunk_interval.get()).await;
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK_BYTES));
        state.bytes_sent.update(|sent| sent + chunk.len());
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.origin.state.open_bodies.update(|open| open - 1);
    }
}

/// A storage whose operations take longer the earlier they come: without order they would overtake each other.
#[derive(Clone, Default)]
pub(super) struct StubStorage {
    clock: VirtualClock,
    segments: Rc<RefCell<BTreeMap<SegmentKey, SegmentBytes>>>,
    delay_ms: Rc<Cell<u64>>,
}

impl StubStorage {
    /// The next operation takes this long, and each one after it 10 ms less.
    pub(super) fn slow_down(&self, first: Duration) {
        self.delay_ms.set(first.as_millis() as u64);
    }

    async fn delay(&self) {
        let delay = self.delay_ms.get();
        self.delay_ms.set(delay.saturating_sub(10));
        self.clock.sleep(Duration::from_millis(delay)).await;
    }
}

impl SegmentStorage for StubStorage {
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
        self.delay().await;
        self.segments.borrow_mut().insert(key, bytes);
        Ok(())
    }

    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        self.delay().await;
        Ok(self.segments.borrow().get(&key).cloned())
    }

    async fn forget(&self, key: SegmentKey) {
        self.delay().await;
        self.segments.borrow_mut().remove(&key);
    }
}
