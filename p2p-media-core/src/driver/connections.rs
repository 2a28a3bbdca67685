//! Peer connections: the handshake, then one loop that receives and one that sends.

use std::collections::VecDeque;

use bytes::Bytes;

use super::jobs::{Channel, Connection, Job, JobQueue, Running};
use crate::backend::{Backend, PeerTransportError};
use crate::engine::input::{ConnectionId, Input};
use crate::sorted_map::SortedMap;

pub(super) struct Connections<B: Backend> {
    links: SortedMap<ConnectionId, Link<B>>,
}

/// One connection. Dropping it closes it: all its jobs and handles go.
struct Link<B: Backend> {
    stage: Stage<B>,
    /// Offering, answering, opening or receiving.
    running: Option<Running>,
}

enum Stage<B: Backend> {
    /// Our offer or answer is being made. The inbox takes an answer that comes before its time.
    Describing { inbox: Option<String> },
    /// Our offer waits for its answer.
    Offered(Connection<B>),
    /// The channel is being opened. The connection is kept: it closes when its last handle goes.
    Opening(Connection<B>),
    /// The channel is open.
    Open {
        _connection: Connection<B>,
        channel: Channel<B>,
        /// Messages that wait their turn. The engine bounds them: it gives no more than the credit that `PeerSent` returns.
        queue: VecDeque<Bytes>,
        /// The message on its way.
        sending: Option<Running>,
    },
}

type Made<B> = Result<(Connection<B>, String), PeerTransportError>;

impl<B: Backend> Connections<B> {
    pub(super) const fn new() -> Self {
        Self { links: SortedMap::new() }
    }

    pub(super) fn offer(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, label: String) {
        self.begin(id, jobs.start(Job::Offer(id, label)));
    }

    pub(super) fn answer(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, offer: String) {
        self.begin(id, jobs.start(Job::Answer(id, offer)));
    }

    pub(super) fn accept_answer(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, answer: String) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match &mut link.stage {
            Stage::Describing { inbox } => *inbox = Some(answer),
            Stage::Offered(connection) => {
                let connection = connection.clone();
                link.open(jobs, id, connection, Some(answer));
            }
            Stage::Opening(_) | Stage::Open { .. } => {}
        }
    }

    pub(super) fn send(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, message: Bytes) {
        if let Some(Link { stage: Stage::Open { channel, queue, sending, .. }, .. }) = self.links.get_mut(&id) {
            if sending.is_none() {
                *sending = Some(jobs.start(Job::SendToPeer(id, channel.clone(), message)));
            } else {
                queue.push_back(message);
            }
        }
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        self.links.remove(&id);
    }

    pub(super) fn offered(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, made: Made<B>) -> Option<Input> {
        let link = self.links.get_mut(&id)?;
        match (made, &mut link.stage) {
            (Ok((connection, offer)), Stage::Describing { inbox }) => {
                match inbox.take() {
                    Some(answer) => link.open(jobs, id, connection, Some(answer)),
                    None => link.stage = Stage::Offered(connection),
                }
                Some(Input::OfferMade(id, offer))
            }
            (Ok(_), _) => None,
            (Err(error), _) => self.ended(id, error.0),
        }
    }

    pub(super) fn answered(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, made: Made<B>) -> Option<Input> {
        let link = self.links.get_mut(&id)?;
        match made {
            Ok((connection, answer)) => {
                link.open(jobs, id, connection, None);
                Some(Input::AnswerMade(id, answer))
            }
            Err(error) => self.ended(id, error.0),
        }
    }

    pub(super) fn opened(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: ConnectionId,
        opened: Result<Channel<B>, PeerTransportError>,
    ) -> Option<Input> {
        let link = self.links.get_mut(&id)?;
        match (opened, &link.stage) {
            (Ok(channel), Stage::Opening(connection)) => {
                link.running = Some(jobs.start(Job::ReceiveFromPeer(id, channel.clone())));
                link.stage = Stage::Open { _connection: connection.clone(), channel, queue: VecDeque::new(), sending: None };
                Some(Input::ChannelOpened(id))
            }
            (Ok(_), _) => None,
            (Err(error), _) => self.ended(id, error.0),
        }
    }

    pub(super) fn received(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: ConnectionId,
        channel: Channel<B>,
        received: Result<Option<Bytes>, PeerTransportError>,
    ) -> Option<Input> {
        let link = self.links.get_mut(&id)?;
        match received {
            Ok(Some(message)) => {
                link.running = Some(jobs.start(Job::ReceiveFromPeer(id, channel)));
                Some(Input::PeerMessage(id, message))
            }
            Ok(None) => self.ended(id, "the peer closed the channel".to_owned()),
            Err(error) => self.ended(id, error.0),
        }
    }

    pub(super) fn sent(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: ConnectionId,
        len: usize,
        result: Result<(), PeerTransportError>,
    ) -> Option<Input> {
        let link = self.links.get_mut(&id)?;
        if let Err(error) = result {
            return self.ended(id, error.0);
        }
        if let Stage::Open { channel, queue, sending, .. } = &mut link.stage {
            *sending = queue.pop_front().map(|message| jobs.start(Job::SendToPeer(id, channel.clone(), message)));
        }
        Some(Input::PeerSent(id, len))
    }

    fn begin(&mut self, id: ConnectionId, running: Running) {
        self.links.insert(id, Link { stage: Stage::Describing { inbox: None }, running: Some(running) });
    }

    fn ended(&mut self, id: ConnectionId, reason: String) -> Option<Input> {
        self.links.remove(&id);
        Some(Input::ConnectionClosed(id, reason))
    }
}

impl<B: Backend> Link<B> {
    fn open(&mut self, jobs: &mut JobQueue<B>, id: ConnectionId, connection: Connection<B>, answer: Option<String>) {
        self.running = Some(jobs.start(Job::OpenChannel(id, connection.clone(), answer)));
        self.stage = Stage::Opening(connection);
    }
}
