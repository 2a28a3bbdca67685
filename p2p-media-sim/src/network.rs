//! The network: access links, latency, flow control, and the connections between nodes.
//!
//! A packet waits for its sender's uplink (or the origin's), travels for the latency, and waits for its receiver's downlink. What a flow has
//! under way is limited, as TCP and SCTP limit it, so that a slow receiver slows its sender down.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use p2p_media_core::engine::input::{ConnectionId, HttpId};

use crate::event_queue::EventQueue;
use crate::link::{Content, End, Flow, Link, Packet};
use crate::simulation::{Happening, NodeId};

/// Bytes of one flow between its sender and its receiver: what the receiver's link carries in this time, within limits.
const WINDOW_S: f64 = 0.25;
const SMALLEST_WINDOW_BYTES: usize = 128 * 1024;
const LARGEST_WINDOW_BYTES: usize = 512 * 1024;

/// How a viewer is connected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessLink {
    /// Bytes per second towards the viewer.
    pub down_bytes_per_s: f64,
    /// Bytes per second from the viewer.
    pub up_bytes_per_s: f64,
    /// Seconds from the viewer to the middle of the network. Two viewers are as far apart as the sum of theirs.
    pub latency_s: f64,
}

/// A link of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkId {
    Up(NodeId),
    Down(NodeId),
    Origin,
}

#[derive(Debug)]
pub(crate) struct Network {
    up: Vec<Link>,
    down: Vec<Link>,
    latency_s: Vec<f64>,
    origin: Link,
    pub(crate) origin_latency_s: f64,
    /// From the answer of a handshake until the channel is open.
    pub(crate) connection_setup_s: f64,
    flows: BTreeMap<Flow, FlowControl>,
    /// Ends of connections; the other end once it is known, and whether the channel is open.
    ends: BTreeMap<End, EndState>,
}

#[derive(Debug, Default)]
struct FlowControl {
    under_way: usize,
    waiting: VecDeque<Packet>,
}

#[derive(Clone, Copy, Debug, Default)]
struct EndState {
    remote: Option<End>,
    is_open: bool,
}

impl Default for AccessLink {
    /// 50 Mbit/s down, 20 Mbit/s up, 15 ms.
    fn default() -> Self {
        Self::mbits(50.0, 20.0, 0.015)
    }
}

impl AccessLink {
    /// A link with these rates in Mbit/s and this latency in seconds.
    pub const fn mbits(down: f64, up: f64, latency_s: f64) -> Self {
        Self { down_bytes_per_s: down * 125_000.0, up_bytes_per_s: up * 125_000.0, latency_s }
    }
}

impl Network {
    pub(crate) const fn new() -> Self {
        Self {
            up: Vec::new(),
            down: Vec::new(),
            latency_s: Vec::new(),
            origin: Link::new(1.25e9),
            origin_latency_s: 0.01,
            connection_setup_s: 0.4,
            flows: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Connects the next node.
    pub(crate) fn add_node(&mut self, access: AccessLink) {
        self.up.push(Link::new(access.up_bytes_per_s));
        self.down.push(Link::new(access.down_bytes_per_s));
        self.latency_s.push(access.latency_s);
    }

    pub(crate) fn set_access(&mut self, node: NodeId, access: AccessLink) {
        self.up[node.0 as usize].set_rate(access.up_bytes_per_s);
        self.down[node.0 as usize].set_rate(access.down_bytes_per_s);
        self.latency_s[node.0 as usize] = access.latency_s;
    }

    pub(crate) const fn set_origin_rate(&mut self, bytes_per_s: f64) {
        self.origin.set_rate(bytes_per_s);
    }

    /// Seconds between a node and the origin or a tracker.
    pub(crate) fn latency_to_servers(&self, node: NodeId) -> f64 {
        self.latency_s[node.0 as usize] + self.origin_latency_s
    }

    /// Seconds between two nodes.
    pub(crate) fn latency_between(&self, one: NodeId, other: NodeId) -> f64 {
        self.latency_s[one.0 as usize] + self.latency_s[other.0 as usize]
    }

    /// Hands a packet to its sender's side.
    pub(crate) fn send(&mut self, queue: &mut EventQueue<Happening>, packet: Packet) {
        let flow = packet.flow;
        self.flows.entry(flow).or_default().waiting.push_back(packet);
        self.pump(queue, flow);
    }

    /// Sends a message over an open connection.
    pub(crate) fn send_message(&mut self, queue: &mut EventQueue<Happening>, from: End, message: Bytes) {
        let Some(EndState { remote: Some((to, connection)), is_open: true }) = self.ends.get(&from).copied() else { return };
        self.send(queue, Packet { flow: Flow::Peer(from), to, content: Content::Message { to: connection, message } });
    }

    /// A link has sent a packet: where it goes from there is the caller's to say.
    pub(crate) fn finish(&mut self, queue: &mut EventQueue<Happening>, link: LinkId) -> Option<Packet> {
        let (packet, next_s) = self.link(link).finish();
        if let Some(seconds) = next_s {
            queue.push_in(seconds, Happening::LinkFree(link));
        }
        packet
    }

    /// Begins the way from the sender's link to the receiver's.
    pub(crate) fn travel(&self, queue: &mut EventQueue<Happening>, packet: Packet) {
        let from_s = match packet.flow {
            Flow::Http(..) => self.origin_latency_s,
            Flow::Peer((node, _)) => self.latency_s[node.0 as usize],
        };
        queue.push_in(from_s + self.latency_s[packet.to.0 as usize], Happening::AtDownlink(packet));
    }

    pub(crate) fn at_downlink(&mut self, queue: &mut EventQueue<Happening>, packet: Packet) {
        let link = LinkId::Down(packet.to);
        if let Some(seconds) = self.link(link).push(packet) {
            queue.push_in(seconds, Happening::LinkFree(link));
        }
    }

    /// The receiver has the packet: its flow may go on.
    pub(crate) fn delivered(&mut self, queue: &mut EventQueue<Happening>, packet: &Packet) {
        if let Some(control) = self.flows.get_mut(&packet.flow) {
            control.under_way = control.under_way.saturating_sub(packet.bytes());
            self.pump(queue, packet.flow);
        }
    }

    /// Drops what a response has left to send.
    pub(crate) fn stop_http(&mut self, node: NodeId, id: HttpId) {
        let flow = Flow::Http(node, id);
        self.flows.remove(&flow);
        self.origin.drop_flow(flow);
        self.down[node.0 as usize].drop_flow(flow);
    }

    fn pump(&mut self, queue: &mut EventQueue<Happening>, flow: Flow) {
        let link = match flow {
            Flow::Http(..) => LinkId::Origin,
            Flow::Peer((node, _)) => LinkId::Up(node),
        };
        loop {
            let Some(control) = self.flows.get_mut(&flow) else { return };
            let Some(first) = control.waiting.front() else {
                if control.under_way == 0 {
                    self.flows.remove(&flow);
                }
                return;
            };
            let link_bytes = self.down[first.to.0 as usize].bytes_in(WINDOW_S) as usize;
            let window_bytes = link_bytes.clamp(SMALLEST_WINDOW_BYTES, LARGEST_WINDOW_BYTES);
            if control.under_way > 0 && control.under_way + first.bytes() > window_bytes {
                return;
            }
            control.under_way += first.bytes();
            let Some(packet) = control.waiting.pop_front() else { return };
            if let Some(seconds) = self.link(link).push(packet) {
                queue.push_in(seconds, Happening::LinkFree(link));
            }
        }
    }

    fn link(&mut self, link: LinkId) -> &mut Link {
        match link {
            LinkId::Up(node) => &mut self.up[node.0 as usize],
            LinkId::Down(node) => &mut self.down[node.0 as usize],
            LinkId::Origin => &mut self.origin,
        }
    }

    /// A node makes an offer: its text.
    pub(crate) fn offer(&mut self, end: End) -> String {
        self.ends.insert(end, EndState::default());
        description(end)
    }

    /// A node answers an offer: the text of the answer, unless the offer makes no sense.
    pub(crate) fn answer(&mut self, end: End, offer: &str) -> Option<String> {
        let remote = parse_description(offer)?;
        self.ends.insert(end, EndState { remote: Some(remote), is_open: false });
        Some(description(end))
    }

    /// The offerer has the answer: the channel will open if both sides are still there.
    pub(crate) fn accept(&mut self, queue: &mut EventQueue<Happening>, end: End, answer: &str) -> Option<()> {
        let remote = parse_description(answer)?;
        self.ends.get_mut(&end)?.remote = Some(remote);
        queue.push_in(self.connection_setup_s, Happening::Connect(end, remote));
        Some(())
    }

    /// Opens a channel if both ends still want it; else gives the ends that are left without one.
    pub(crate) fn connect(&mut self, one: End, other: End) -> Result<(), Vec<End>> {
        let are_there: Vec<_> = [(one, other), (other, one)]
            .into_iter()
            .filter(|(end, remote)| self.ends.get(end).is_some_and(|state| state.remote == Some(*remote)))
            .map(|(end, _)| end)
            .collect();
        if are_there.len() < 2 {
            are_there.iter().for_each(|end| _ = self.ends.remove(end));
            return Err(are_there);
        }
        for end in are_there {
            if let Some(state) = self.ends.get_mut(&end) {
                state.is_open = true;
            }
        }
        Ok(())
    }

    /// An end is gone; gives the other one if there was an open channel.
    pub(crate) fn disconnect(&mut self, end: End) -> Option<End> {
        let flow = Flow::Peer(end);
        self.flows.remove(&flow);
        self.up[end.0.0 as usize].drop_flow(flow);
        let state = self.ends.remove(&end)?;
        state.remote.filter(|_| state.is_open)
    }

    pub(crate) fn is_open(&self, end: End) -> bool {
        self.ends.get(&end).is_some_and(|state| state.is_open)
    }

    /// All ends of a node.
    pub(crate) fn ends_of(&self, node: NodeId) -> Vec<End> {
        self.ends.range((node, ConnectionId(0))..=(node, ConnectionId(u64::MAX))).map(|(end, _)| *end).collect()
    }
}

/// What stands for a session description: where the connection leads.
fn description((node, connection): End) -> String {
    format!("sim {} {}", node.0, connection.0)
}

fn parse_description(text: &str) -> Option<End> {
    let (node, connection) = text.strip_prefix("sim ")?.split_once(' ')?;
    Some((NodeId(node.parse().ok()?), ConnectionId(connection.parse().ok()?)))
}
