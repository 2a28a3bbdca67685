//! Websockets to trackers: one after another for each tracker. A socket that is being closed lives on, unseen by the engine, until what
//! was sent is out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::jobs::{Job, JobQueue, Running, SocketId, Websocket};
use crate::backend::{Backend, TrackerError};
use crate::engine::input::{Input, TrackerId};
use crate::sorted_map::SortedMap;

/// Frames that wait for a tracker; further ones are dropped, as a tracker that is this far behind does not read.
const MAX_WAITING_FRAMES: usize = 256;
/// Sockets that still say goodbye; the oldest makes room.
const MAX_CLOSING_SOCKETS: usize = 32;

pub(super) struct TrackerSockets<B: Backend> {
    sockets: SortedMap<SocketId, Socket<B>>,
    /// The socket of each tracker that the engine knows as open or being opened.
    current: SortedMap<TrackerId, SocketId>,
    next: u64,
}

struct Socket<B: Backend> {
    tracker: TrackerId,
    /// Absent while connecting.
    websocket: Option<Websocket<B>>,
    /// Frames that wait their turn.
    queue: VecDeque<String>,
    /// The frame on its way.
    sending: Option<Running>,
    /// Connecting, then receiving.
    running: Running,
}

impl<B: Backend> TrackerSockets<B> {
    pub(super) const fn new() -> Self {
        Self { sockets: SortedMap::new(), current: SortedMap::new(), next: 0 }
    }

    pub(super) fn open(&mut self, jobs: &mut JobQueue<B>, tracker: TrackerId, url: Arc<str>) {
        self.close(tracker);
        let id = SocketId(self.next);
        self.next += 1;
        let running = jobs.start(Job::ConnectTracker(id, url));
        self.current.insert(tracker, id);
        self.sockets.insert(id, Socket { tracker, websocket: None, queue: VecDeque::new(), sending: None, running });
    }

    pub(super) fn send(&mut self, jobs: &mut JobQueue<B>, tracker: TrackerId, text: String) {
        let Some(id) = self.current.get(&tracker) else { return };
        if let Some(socket) = self.sockets.get_mut(id) {
            if socket.queue.len() >= MAX_WAITING_FRAMES {
                tracing::debug!(tracker = tracker.0, "the tracker does not read: a frame is dropped");
                return;
            }
            socket.queue.push_back(text);
            socket.send_next(jobs, *id);
        }
    }

    /// The engine hears no more of the socket.
    pub(super) fn close(&mut self, tracker: TrackerId) {
        if let Some(id) = self.current.remove(&tracker)
            && self.sockets.get(&id).is_some_and(Socket::has_nothing_to_send)
        {
            self.sockets.remove(&id);
        }
        if self.sockets.len() > self.current.len() + MAX_CLOSING_SOCKETS {
            let oldest = self.sockets.iter().find(|(id, socket)| self.current.get(&socket.tracker) != Some(id)).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.sockets.remove(&oldest));
        }
    }

    /// True when every frame that can be sent is out.
    pub(super) fn is_flushed(&self) -> bool {
        self.sockets.values().all(Socket::has_nothing_to_send)
    }

    pub(super) fn connected(&mut self, jobs: &mut JobQueue<B>, id: SocketId, result: Result<Websocket<B>, TrackerError>) -> Option<Input> {
        let socket = self.sockets.get_mut(&id)?;
        match result {
            Ok(websocket) => {
                socket.running = jobs.start(Job::ReceiveFromTracker(id, websocket.clone()));
                socket.websocket = Some(websocket);
                socket.send_next(jobs, id);
                Some(Input::TrackerOpened(socket.tracker))
            }
            Err(error) => self.broke(id, error.0),
        }
    }

    pub(super) fn received(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: SocketId,
        websocket: Websocket<B>,
        received: Result<Option<String>, TrackerError>,
    ) -> Option<Input> {
        let socket = self.sockets.get_mut(&id)?;
        match received {
            Ok(Some(text)) => {
                socket.running = jobs.start(Job::ReceiveFromTracker(id, websocket));
                let tracker = socket.tracker;
                (self.current.get(&tracker) == Some(&id)).then(|| Input::TrackerMessage(tracker, text))
            }
            Ok(None) => self.broke(id, "the tracker closed the connection".to_owned()),
            Err(error) => self.broke(id, error.0),
        }
    }

    pub(super) fn sent(&mut self, jobs: &mut JobQueue<B>, id: SocketId, result: Result<(), TrackerError>) -> Option<Input> {
        let socket = self.sockets.get_mut(&id)?;
        socket.sending = None;
        if let Err(error) = result {
            return self.broke(id, error.0);
        }
        socket.send_next(jobs, id);
        if socket.has_nothing_to_send() && self.current.get(&socket.tracker) != Some(&id) {
            self.sockets.remove(&id);
        }
        None
    }

    fn broke(&mut self, id: SocketId, reason: String) -> Option<Input> {
        let tracker = self.sockets.remove(&id)?.tracker;
        if self.current.get(&tracker) != Some(&id) {
            return None;
        }
        self.current.remove(&tracker);
        Some(Input::TrackerClosed(tracker, reason))
    }
}

impl<B: Backend> Socket<B> {
    fn send_next(&mut self, jobs: &mut JobQueue<B>, id: SocketId) {
        if self.sending.is_none()
            && let Some(websocket) = &self.websocket
            && let Some(text) = self.queue.pop_front()
        {
            self.sending = Some(jobs.start(Job::SendToTracker(id, websocket.clone(), text)));
        }
    }

    /// Also true while connecting: what could not be sent yet is not worth waiting for.
    fn has_nothing_to_send(&self) -> bool {
        self.websocket.is_none() || (self.sending.is_none() && self.queue.is_empty())
    }
}
