//! One direction of an access link: a rate, shared by turns between the flows that have something to send.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use p2p_media_core::backend::HttpHead;
use p2p_media_core::engine::input::{ConnectionId, HttpId};
use p2p_media_core::media::SegmentKey;

use crate::simulation::NodeId;

/// Packets up to this size do not wait for their turn after another one of their flow.
pub(crate) const SMALL_BYTES: usize = 1200;

/// One end of a peer connection.
pub(crate) type End = (NodeId, ConnectionId);

/// What shares a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flow {
    /// A response of the origin to this node.
    Http(NodeId, HttpId),
    /// What this end of a connection sends.
    Peer(End),
}

/// What travels at once: a message, or a chunk of a response.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) flow: Flow,
    pub(crate) to: NodeId,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Message { to: ConnectionId, message: Bytes },
    Head(HttpHead),
    Chunk { segment: SegmentKey, bytes: Bytes },
    End,
    Failed(String),
}

#[derive(Debug)]
pub(crate) struct Link {
    bytes_per_s: f64,
    waiting: BTreeMap<Flow, VecDeque<Packet>>,
    turns: VecDeque<Flow>,
    in_service: Option<Packet>,
    /// Seconds of the link that small packets took beside the others.
    borrowed_s: f64,
}

impl Packet {
    pub(crate) fn bytes(&self) -> usize {
        match &self.content {
            Content::Message { message, .. } => message.len(),
            Content::Chunk { bytes, .. } => bytes.len(),
            Content::Head(_) => 300,
            Content::End | Content::Failed(_) => 1,
        }
    }
}

impl Link {
    pub(crate) const fn new(bytes_per_s: f64) -> Self {
        Self { bytes_per_s, waiting: BTreeMap::new(), turns: VecDeque::new(), in_service: None, borrowed_s: 0.0 }
    }

    pub(crate) const fn set_rate(&mut self, bytes_per_s: f64) {
        self.bytes_per_s = bytes_per_s;
    }

    /// Something small has left beside the others, who get the link so much later. An idle link has time to spare.
    pub(crate) fn borrow_time(&mut self, seconds: f64) {
        if self.in_service.is_some() {
            self.borrowed_s += seconds;
        }
    }

    /// Takes a packet; gives the seconds after which [`Self::finish`] is due, when the link was idle.
    pub(crate) fn push(&mut self, packet: Packet) -> Option<f64> {
        if self.in_service.is_none() {
            let seconds = packet.bytes() as f64 / self.bytes_per_s;
            self.in_service = Some(packet);
            return Some(seconds);
        }
        let queue = self.waiting.entry(packet.flow).or_default();
        if queue.is_empty() {
            self.turns.push_back(packet.flow);
        }
        queue.push_back(packet);
        None
    }

    /// The packet that has left the link, and the seconds that the next one takes.
    pub(crate) fn finish(&mut self) -> (Option<Packet>, Option<f64>) {
        let finished = self.in_service.take();
        let bundled = finished.as_ref().and_then(|finished| self.next_small(finished.flow));
        let next = if bundled.is_some() { bundled } else { self.next_in_turn() };
        let seconds = next.as_ref().map(|packet| packet.bytes() as f64 / self.bytes_per_s + std::mem::take(&mut self.borrowed_s));
        self.in_service = next;
        (finished, seconds)
    }

    /// What is small goes with the packet before it, as in one datagram.
    fn next_small(&mut self, flow: Flow) -> Option<Packet> {
        let queue = self.waiting.get_mut(&flow)?;
        let packet = queue.pop_front_if(|packet| packet.bytes() <= SMALL_BYTES)?;
        if queue.is_empty() {
            self.drop_flow(flow);
        }
        Some(packet)
    }

    fn next_in_turn(&mut self) -> Option<Packet> {
        loop {
            let flow = self.turns.pop_front()?;
            let Some(queue) = self.waiting.get_mut(&flow) else { continue };
            let packet = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&flow);
            } else {
                self.turns.push_back(flow);
            }
            if packet.is_some() {
                return packet;
            }
        }
    }

    /// Drops what a flow has waiting.
    pub(crate) fn drop_flow(&mut self, flow: Flow) {
        if self.waiting.remove(&flow).is_some() {
            self.turns.retain(|other| *other != flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_media_core::media::{SegmentId, StreamKey};

    use super::*;

    #[test]
    fn flows_take_turns() {
        let packet = |flow: u64, bytes: usize| Packet {
            flow: Flow::Http(NodeId(0), HttpId(flow)),
            to: NodeId(0),
            content: Content::Chunk { segment: SegmentKey { stream: StreamKey(0), id: SegmentId(0) }, bytes: Bytes::from(vec![0; bytes]) },
        };
        let mut link = Link::new(100.0);
        assert_eq!(link.push(packet(1, 100)), Some(1.0));
        for bytes in [1_500, 30, 2_000] {
            assert_eq!(link.push(packet(1, bytes)), None);
        }
        link.push(packet(2, 4_000));
        link.push(packet(3, 50));
        link.drop_flow(Flow::Http(NodeId(0), HttpId(3)));
        let left: Vec<_> = std::iter::from_fn(|| link.finish().0.map(|packet| packet.bytes())).collect();
        assert_eq!(left, [100, 1_500, 30, 4_000, 2_000]);
    }
}
