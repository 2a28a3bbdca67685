//! A tracker that relays, and data channels that are queues.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::backend::{DataChannel, PeerConnection, PeerTransport, PeerTransportError, Tracker, TrackerConnection, TrackerError};

/// A queue with one reader. Closing it lets the reader see the rest first.
pub(super) struct Pipe<T> {
    queue: RefCell<VecDeque<T>>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Pipe<T> {
    fn default() -> Self {
        Self { queue: RefCell::default(), closed: Cell::default(), waker: RefCell::default() }
    }
}

impl<T> Pipe<T> {
    pub(super) fn push(&self, item: T) {
        self.queue.borrow_mut().push_back(item);
        self.wake();
    }

    pub(super) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    async fn pop(&self) -> Option<T> {
        poll_fn(|context| match self.queue.borrow_mut().pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.closed.get() => Poll::Ready(None),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Info hash and peer id.
type Member = (String, String);
/// What a tracker sends to one socket.
type Inbox = Rc<Pipe<String>>;

/// A WebTorrent tracker, as far as two viewers need one.
#[derive(Default)]
pub(super) struct Relay {
    swarms: RefCell<BTreeMap<Member, Inbox>>,
    pub(super) received: RefCell<Vec<Value>>,
    pub(super) sockets: RefCell<Vec<Inbox>>,
    pub(super) open_sockets: Cell<usize>,
    /// Frames are never taken.
    pub(super) is_stuck: Cell<bool>,
}

#[derive(Clone)]
pub(super) struct StubTracker(pub(super) Rc<Relay>);

#[derive(Clone)]
pub(super) struct StubSocket(Rc<SocketState>);

struct SocketState {
    relay: Rc<Relay>,
    inbox: Inbox,
}

impl Relay {
    fn take(&self, inbox: &Inbox, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        self.received.borrow_mut().push(message.clone());
        let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let (swarm, peer) = (field("info_hash"), field("peer_id"));
        let mut swarms = self.swarms.borrow_mut();
        if message["event"] == "stopped" {
            swarms.remove(&(swarm, peer));
            return;
        }
        if let Some(answer) = message.get("answer") {
            if let Some(other) = swarms.get(&(swarm.clone(), field("to_peer_id"))) {
                let relayed =
                    json!({ "action": "announce", "info_hash": swarm, "peer_id": peer, "offer_id": message["offer_id"], "answer": answer });
                other.push(relayed.to_string());
            }
            return;
        }
        swarms.insert((swarm.clone(), peer.clone()), Rc::clone(inbox));
        let others = swarms.iter().filter(|((in_swarm, other), _)| *in_swarm == swarm && *other != peer);
        for ((_, other), offer) in others.clone().zip(message["offers"].as_array().into_iter().flatten()) {
            let relayed = json!({ "action": "announce", "info_hash": swarm, "peer_id": peer, "offer_id": offer["offer_id"], "offer": offer["offer"] });
            other.push(relayed.to_string());
        }
        let reply = json!({ "action": "announce", "info_hash": swarm, "interval": 120, "complete": 0, "incomplete": others.count() + 1 });
        inbox.push(reply.to_string());
    }
}

impl Tracker for StubTracker {
    type Connection = StubSocket;

    async fn connect(&self, url: Arc<str>) -> Result<StubSocket, TrackerError> {
        if url.contains("unreachable") {
            return Err(TrackerError("connection refused".to_owned()));
        }
        let inbox = Inbox::default();
        self.0.sockets.borrow_mut().push(Rc::clone(&inbox));
        self.0.open_sockets.update(|open| open + 1);
        Ok(StubSocket(Rc::new(SocketState { relay: Rc::clone(&self.0), inbox })))
    }
}

impl TrackerConnection for StubSocket {
    async fn send(&self, text: String) -> Result<(), TrackerError> {
        if self.0.relay.is_stuck.get() {
            std::future::pending::<()>().await;
        }
        // Not at once: frames that wait behind this one must not be lost on closing.
        yield_once().await;
        self.0.relay.take(&self.0.inbox, &text);
        Ok(())
    }

    async fn receive(&self) -> Result<Option<String>, TrackerError> {
        Ok(self.0.inbox.pop().await)
    }
}

impl Drop for SocketState {
    fn drop(&mut self) {
        self.relay.open_sockets.update(|open| open - 1);
    }
}

/// Makes pairs of connections out of offers and answers.
#[derive(Clone, Default)]
pub(super) struct StubPeers(Rc<PeersState>);

#[derive(Default)]
struct PeersState {
    next: Cell<u64>,
    /// The other end of each offer that was made.
    offered: RefCell<BTreeMap<String, Rc<End>>>,
    answered: RefCell<BTreeMap<String, Rc<Pipe<()>>>>,
}

/// What one end reads from and writes to.
struct End {
    incoming: Rc<Pipe<Bytes>>,
    outgoing: Rc<Pipe<Bytes>>,
    /// Gets an item when the channel opens.
    opened: Rc<Pipe<()>>,
    other_opened: Rc<Pipe<()>>,
}

#[derive(Clone)]
pub(super) struct StubConnection {
    transport: StubPeers,
    shared: Rc<Closing>,
}

#[derive(Clone)]
pub(super) struct StubChannel(Rc<Closing>);

/// Closes both directions when the last handle goes.
struct Closing(Rc<End>);

impl StubPeers {
    fn sdp(&self, kind: &str) -> String {
        let number = self.0.next.get();
        self.0.next.set(number + 1);
        format!("v=0 {kind} {number}")
    }

    fn connection(&self, end: Rc<End>) -> StubConnection {
        StubConnection { transport: self.clone(), shared: Rc::new(Closing(end)) }
    }
}

impl PeerTransport for StubPeers {
    type Connection = StubConnection;

    async fn offer(&self, _label: String) -> Result<(StubConnection, String), PeerTransportError> {
        yield_once().await;
        let (one, two) = (Rc::<Pipe<Bytes>>::default(), Rc::<Pipe<Bytes>>::default());
        let (here, there) = (Rc::<Pipe<()>>::default(), Rc::<Pipe<()>>::default());
        let ours = End { incoming: Rc::clone(&one), outgoing: Rc::clone(&two), opened: Rc::clone(&here), other_opened: Rc::clone(&there) };
        let theirs = End { incoming: two, outgoing: one, opened: there, other_opened: here };
        let sdp = self.sdp("offer");
        self.0.offered.borrow_mut().insert(sdp.clone(), Rc::new(theirs));
        Ok((self.connection(Rc::new(ours)), sdp))
    }

    async fn answer(&self, offer_sdp: String) -> Result<(StubConnection, String), PeerTransportError> {
        yield_once().await;
        let end = self.0.offered.borrow_mut().remove(&offer_sdp).ok_or_else(|| PeerTransportError("not an offer".to_owned()))?;
        let sdp = self.sdp("answer");
        self.0.answered.borrow_mut().insert(sdp.clone(), Rc::clone(&end.opened));
        Ok((self.connection(end), sdp))
    }
}

impl PeerConnection for StubConnection {
    type Channel = StubChannel;

    async fn accept_answer(&self, answer_sdp: String) -> Result<(), PeerTransportError> {
        let opened = self.transport.0.answered.borrow_mut().remove(&answer_sdp);
        let opened = opened.ok_or_else(|| PeerTransportError("not an answer".to_owned()))?;
        let end = &self.shared.0;
        if !Rc::ptr_eq(&opened, &end.other_opened) {
            return Err(PeerTransportError("an answer to another offer".to_owned()));
        }
        end.opened.push(());
        end.other_opened.push(());
        Ok(())
    }

    async fn channel(&self) -> Result<StubChannel, PeerTransportError> {
        match self.shared.0.opened.pop().await {
            Some(()) => Ok(StubChannel(Rc::clone(&self.shared))),
            None => Err(PeerTransportError("the other side is gone".to_owned())),
        }
    }
}

impl DataChannel for StubChannel {
    async fn send(&self, message: Bytes) -> Result<(), PeerTransportError> {
        yield_once().await;
        self.0.0.outgoing.push(message);
        Ok(())
    }

    async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
        Ok(self.0.0.incoming.pop().await)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.outgoing.close();
        self.0.incoming.close();
        self.0.other_opened.close();
    }
}

async fn yield_once() {
    super::super::yield_to_other_tasks().await;
}
