//! The network: access links, latency, flow control, and the connections between nodes.
//!
//! A packet waits for its sender's uplink (or the origin's), travels for the latency, and waits for its receiver's downlink. What a flow has
//! under way is limited, as TCP and SCTP limit it, so that a slow receiver slows its sender down. Small messages of a flow that has nothing else
//! to send do not wait for other flows, as sparse flows do not behind fair queues; what they take of a link is taken from what comes next.

use bytes::Bytes;
use p2p_media_core::engine::input::{ConnectionId, HttpId};
use p2p_media_core::timestamp::Timestamp;

use crate::connections::{EndState, Ends, description, parse_description};
use crate::event_queue::EventQueue;
use crate::flow_control::FlowControl;
use crate::link::{Content, End, Flow, Link, Packet, SMALL_BYTES};
use crate::reachability::{Nat, Region, can_connect, seconds_between};
use crate::simulation::{Happening, NodeId};

/// Bytes of one flow between its sender and its receiver: what the receiver's link carries in this time, within limits.
const WINDOW_S: f64 = 0.25;
const SMALLEST_WINDOW_BYTES: usize = 128 * 1024;
const LARGEST_WINDOW_BYTES: usize = 512 * 1024;
/// The engine is told of small messages that left once they are so many bytes together, or with the next packet.
const UNREPORTED_BYTES: usize = 2048;

/// How a viewer is connected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessLink {
    /// Bytes per second towards the viewer.
    pub down_bytes_per_s: f64,
    /// Bytes per second from the viewer.
    pub up_bytes_per_s: f64,
    /// Seconds from the viewer to the middle of the network. Two viewers are as far apart as the sum of theirs, and what lies between their
    /// regions.
    pub latency_s: f64,
    /// Share of the packets that the link loses.
    pub loss: f64,
    /// What stands between the viewer and the network.
    pub nat: Nat,
    /// Where the viewer is.
    pub region: Region,
}

/// A link of the network that serves packets one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkId {
    Up(NodeId),
    Origin,
}

#[derive(Debug)]
pub(crate) struct Network {
    nodes: Vec<NodeLinks>,
    origin: Link,
    pub(crate) origin_latency_s: f64,
    /// From the answer of a handshake until the channel is open.
    pub(crate) connection_setup_s: f64,
    /// Connections begin slowly and lose packets; else they are as fast as the links.
    pub(crate) has_congestion: bool,
    /// Bytes of commands that peers sent, and of all that they sent.
    pub(crate) command_bytes: u64,
    pub(crate) peer_bytes: u64,
    random: fastrand::Rng,
}

/// One node's side of the network.
#[derive(Debug)]
struct NodeLinks {
    access: AccessLink,
    up: Link,
    /// What has arrived is handed over by then.
    down_free_at: Timestamp,
    ends: Ends,
    http: Vec<(HttpId, FlowControl)>,
}

impl Default for AccessLink {
    /// 50 Mbit/s down, 20 Mbit/s up, 15 ms.
    fn default() -> Self {
        Self::mbits(50.0, 20.0, 0.015)
    }
}

impl AccessLink {
    /// A link with these rates in Mbit/s and this latency in seconds, without loss and NAT.
    pub const fn mbits(down: f64, up: f64, latency_s: f64) -> Self {
        Self { down_bytes_per_s: down * 125_000.0, up_bytes_per_s: up * 125_000.0, latency_s, loss: 0.0, nat: Nat::Open, region: Region(0) }
    }
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            origin: Link::new(1.25e9),
            origin_latency_s: 0.01,
            connection_setup_s: 0.4,
            has_congestion: false,
            command_bytes: 0,
            peer_bytes: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Connects the next node.
    pub(crate) fn add_node(&mut self, access: AccessLink) {
        let up = Link::new(access.up_bytes_per_s);
        self.nodes.push(NodeLinks { access, up, down_free_at: Timestamp::ZERO, ends: Ends::default(), http: Vec::new() });
    }

    pub(crate) fn set_access(&mut self, node: NodeId, access: AccessLink) {
        let links = self.node_mut(node);
        links.up.set_rate(access.up_bytes_per_s);
        links.access = access;
    }

    pub(crate) const fn set_origin_rate(&mut self, bytes_per_s: f64) {
        self.origin.set_rate(bytes_per_s);
    }

    fn node(&self, node: NodeId) -> &NodeLinks {
        &self.nodes[node.0 as usize]
    }

    fn node_mut(&mut self, node: NodeId) -> &mut NodeLinks {
        &mut self.nodes[node.0 as usize]
    }

    /// Seconds between a node and the origin or a tracker.
    pub(crate) fn latency_to_servers(&self, node: NodeId) -> f64 {
        self.node(node).access.latency_s + self.origin_latency_s
    }

    /// Seconds between two nodes.
    pub(crate) fn latency_between(&self, one: NodeId, other: NodeId) -> f64 {
        let (one, other) = (&self.node(one).access, &self.node(other).access);
        one.latency_s + other.latency_s + seconds_between(one.region, other.region)
    }

    /// Hands a packet to its sender's side.
    pub(crate) fn send(&mut self, queue: &mut EventQueue<Happening>, packet: Packet) {
        let flow = packet.flow;
        let Some(control) = self.flow(flow) else { return };
        control.waiting.push_back(packet);
        self.pump(queue, flow);
    }

    /// Sends a message over an open connection.
    pub(crate) fn send_message(&mut self, queue: &mut EventQueue<Happening>, from: End, message: Bytes) {
        let Some((to, connection)) = self.open_remote(from) else { return };
        let bytes = message.len();
        self.peer_bytes += bytes as u64;
        if bytes <= SMALL_BYTES {
            self.command_bytes += bytes as u64;
        }
        let packet = Packet { flow: Flow::Peer(from), to, content: Content::Message { to: connection, message } };
        let latency_s = self.latency_between(from.0, to);
        let links = self.node_mut(from.0);
        let Some(end) = links.ends.get_mut(from.1) else { return };
        if bytes > SMALL_BYTES || !end.flow.is_idle_at_link() {
            self.send(queue, packet);
            return;
        }
        end.unreported += bytes;
        let service_s = bytes as f64 / links.access.up_bytes_per_s;
        links.up.borrow_time(service_s);
        end.flow.left_at = end.flow.left_at.max(queue.now()).offset_secs(service_s);
        let arrives_at = end.flow.travels(end.flow.left_at, latency_s);
        if end.unreported >= UNREPORTED_BYTES {
            let input = p2p_media_core::engine::input::Input::PeerSent(from.1, std::mem::take(&mut end.unreported));
            queue.push_in(service_s, Happening::Tell(from.0, input));
        }
        queue.push(arrives_at, Happening::AtDownlink(packet));
    }

    /// A link has sent a packet: where it goes from there is the caller's to say.
    pub(crate) fn finish(&mut self, queue: &mut EventQueue<Happening>, link: LinkId) -> Option<Packet> {
        let (packet, next_s) = self.link(link).finish();
        if let Some(seconds) = next_s {
            queue.push_in(seconds, Happening::LinkFree(link));
        }
        if let Some(packet) = &packet
            && let Some(control) = self.flow(packet.flow)
        {
            control.at_link -= 1;
        }
        packet
    }

    /// Bytes of small messages of an end that left before, which the engine has not been told of.
    pub(crate) fn take_unreported(&mut self, end: End) -> usize {
        self.node_mut(end.0).ends.get_mut(end.1).map_or(0, |end| std::mem::take(&mut end.unreported))
    }

    /// Begins the way from the sender's link to the receiver's.
    pub(crate) fn travel(&mut self, queue: &mut EventQueue<Happening>, packet: Packet) {
        let seconds = match packet.flow {
            Flow::Http(..) => self.latency_to_servers(packet.to),
            Flow::Peer((node, _)) => self.latency_between(node, packet.to),
        };
        let now = queue.now();
        let arrives_at = match self.flow(packet.flow) {
            // What left before it arrives before it.
            Some(control) => control.travels(control.left_at.max(now), seconds),
            None => now.offset_secs(seconds),
        };
        queue.push(arrives_at, Happening::AtDownlink(packet));
    }

    /// A packet is at its receiver's downlink; gives it back when it is through at once.
    pub(crate) fn at_downlink(&mut self, queue: &mut EventQueue<Happening>, packet: Packet) -> Option<Packet> {
        let now = queue.now();
        let bytes = packet.bytes();
        let links = self.node_mut(packet.to);
        let service_s = bytes as f64 / links.access.down_bytes_per_s;
        let free_at = links.down_free_at.max(now).offset_secs(service_s);
        links.down_free_at = free_at;
        let own_bytes_at = self.receiving(&packet).map_or(now, |control| control.through_at);
        let through_at = if bytes <= SMALL_BYTES { own_bytes_at.max(now) } else { free_at.max(own_bytes_at) };
        // Events of one millisecond may be taken out of order: what came before must be through first.
        let mut is_first = true;
        if let Some(control) = self.receiving(&packet) {
            control.through_at = through_at;
            is_first = control.at_downlink == 0;
            control.at_downlink += u32::from(!is_first || through_at > now);
        }
        if is_first && through_at <= now {
            return Some(packet);
        }
        queue.push(through_at, Happening::Through(packet));
        None
    }

    /// A packet that waited for its receiver's downlink is through.
    pub(crate) fn through(&mut self, packet: &Packet) {
        if let Some(control) = self.receiving(packet) {
            control.at_downlink = control.at_downlink.saturating_sub(1);
        }
    }

    /// The receiver has the packet: its flow may go on.
    pub(crate) fn delivered(&mut self, queue: &mut EventQueue<Happening>, packet: &Packet) {
        if let Some(control) = self.flow(packet.flow)
            && control.under_way > 0
        {
            control.under_way = control.under_way.saturating_sub(packet.bytes());
            self.pump(queue, packet.flow);
        }
    }

    /// A response begins.
    pub(crate) fn begin_http(&mut self, node: NodeId, id: HttpId) {
        self.node_mut(node).http.push((id, FlowControl::default()));
    }

    /// Drops what a response has left to send.
    pub(crate) fn stop_http(&mut self, node: NodeId, id: HttpId) {
        self.node_mut(node).http.retain(|(other, _)| *other != id);
        self.origin.drop_flow(Flow::Http(node, id));
    }

    /// A flow that was held back may go on.
    pub(crate) fn paced(&mut self, queue: &mut EventQueue<Happening>, flow: Flow) {
        if let Some(control) = self.flow(flow) {
            control.is_held_back = false;
            self.pump(queue, flow);
        }
    }

    fn pump(&mut self, queue: &mut EventQueue<Happening>, flow: Flow) {
        let now = queue.now();
        let (link, round_trip_s, loss) = match flow {
            Flow::Http(..) => (LinkId::Origin, 0.0, 0.0),
            Flow::Peer((node, _)) => {
                let to = self.flow(flow).and_then(|control| control.waiting.front()).map(|packet| packet.to);
                let Some(to) = to.filter(|_| self.has_congestion) else { return self.pump_unpaced(queue, flow, LinkId::Up(node)) };
                let loss = self.node(node).access.loss + self.node(to).access.loss;
                (LinkId::Up(node), 2.0 * self.latency_between(node, to), loss)
            }
        };
        if round_trip_s == 0.0 {
            return self.pump_unpaced(queue, flow, link);
        }
        let Some(control) = self.flow(flow) else { return };
        if control.is_held_back {
            return;
        }
        if control.next_at > now {
            control.is_held_back = true;
            queue.push(control.next_at, Happening::Paced(flow));
            return;
        }
        if let Some(packet) = self.next_within_window(flow) {
            let bytes = packet.bytes();
            if let Some(control) = self.flow(flow) {
                control.sends(now, bytes, round_trip_s, loss);
            }
            self.hand_to_link(queue, link, packet);
            self.pump(queue, flow);
        }
    }

    fn pump_unpaced(&mut self, queue: &mut EventQueue<Happening>, flow: Flow, link: LinkId) {
        while let Some(packet) = self.next_within_window(flow) {
            self.hand_to_link(queue, link, packet);
        }
    }

    fn next_within_window(&mut self, flow: Flow) -> Option<Packet> {
        let to = self.flow(flow)?.waiting.front()?.to;
        let link_bytes = (self.node(to).access.down_bytes_per_s * WINDOW_S) as usize;
        let window_bytes = link_bytes.clamp(SMALLEST_WINDOW_BYTES, LARGEST_WINDOW_BYTES);
        let control = self.flow(flow)?;
        let bytes = control.waiting.front()?.bytes();
        if control.under_way > 0 && control.under_way + bytes > window_bytes {
            return None;
        }
        control.under_way += bytes;
        control.at_link += 1;
        control.waiting.pop_front()
    }

    fn hand_to_link(&mut self, queue: &mut EventQueue<Happening>, link: LinkId, packet: Packet) {
        if let Some(seconds) = self.link(link).push(packet) {
            queue.push_in(seconds, Happening::LinkFree(link));
        }
    }

    fn link(&mut self, link: LinkId) -> &mut Link {
        match link {
            LinkId::Up(node) => &mut self.node_mut(node).up,
            LinkId::Origin => &mut self.origin,
        }
    }

    fn flow(&mut self, flow: Flow) -> Option<&mut FlowControl> {
        match flow {
            Flow::Http(node, id) => self.node_mut(node).http.iter_mut().find(|(other, _)| *other == id).map(|(_, control)| control),
            Flow::Peer((node, connection)) => self.node_mut(node).ends.get_mut(connection).map(|end| &mut end.flow),
        }
    }

    /// The receiver's side of what a packet belongs to, which is there though the sender may have left meanwhile.
    fn receiving(&mut self, packet: &Packet) -> Option<&mut FlowControl> {
        match packet.content {
            Content::Message { to, .. } => self.node_mut(packet.to).ends.get_mut(to).map(|end| &mut end.flow),
            _ => self.flow(packet.flow),
        }
    }

    /// A node makes an offer: its text.
    pub(crate) fn offer(&mut self, end: End) -> String {
        self.node_mut(end.0).ends.insert(end.1, EndState::default());
        description(end)
    }

    /// A node answers an offer: the text of the answer, unless the offer makes no sense.
    pub(crate) fn answer(&mut self, end: End, offer: &str) -> Option<String> {
        let remote = parse_description(offer)?;
        self.node_mut(end.0).ends.insert(end.1, EndState { remote: Some(remote), ..EndState::default() });
        Some(description(end))
    }

    /// The offerer has the answer: the channel will open if both sides are still there and can reach each other.
    pub(crate) fn accept(&mut self, queue: &mut EventQueue<Happening>, end: End, answer: &str) -> Option<()> {
        let remote = parse_description(answer)?;
        self.node_mut(end.0).ends.get_mut(end.1)?.remote = Some(remote);
        let (one, other) = (self.node(end.0).access.nat, self.node(remote.0).access.nat);
        if can_connect(one, other, &mut self.random) {
            // ICE, DTLS and SCTP take some round trips each.
            let seconds = self.connection_setup_s.max(6.0 * self.latency_between(end.0, remote.0));
            queue.push_in(seconds, Happening::Connect(end, remote));
        }
        Some(())
    }

    /// Opens a channel if both ends still want it; else gives the ends that are left without one.
    pub(crate) fn connect(&mut self, one: End, other: End) -> Result<(), Vec<End>> {
        let wants = |end: End, remote: End| self.node(end.0).ends.get(end.1).is_some_and(|state| state.remote == Some(remote));
        let ends = [(one, wants(one, other)), (other, wants(other, one))];
        let are_there: Vec<_> = ends.into_iter().filter(|(_, is_there)| *is_there).map(|(end, _)| end).collect();
        if are_there.len() < 2 {
            are_there.iter().for_each(|end| _ = self.node_mut(end.0).ends.remove(end.1));
            return Err(are_there);
        }
        for end in are_there {
            if let Some(state) = self.node_mut(end.0).ends.get_mut(end.1) {
                state.is_open = true;
            }
        }
        Ok(())
    }

    /// An end is gone; gives the other one if there was an open channel.
    pub(crate) fn disconnect(&mut self, end: End) -> Option<End> {
        let links = self.node_mut(end.0);
        links.up.drop_flow(Flow::Peer(end));
        let state = links.ends.remove(end.1)?;
        state.remote.filter(|_| state.is_open)
    }

    pub(crate) fn is_open(&self, end: End) -> bool {
        self.open_remote(end).is_some()
    }

    fn open_remote(&self, end: End) -> Option<End> {
        self.node(end.0).ends.get(end.1).filter(|state| state.is_open).and_then(|state| state.remote)
    }

    /// All ends of a node.
    pub(crate) fn ends_of(&self, node: NodeId) -> Vec<End> {
        self.node(node).ends.connections().map(|connection: ConnectionId| (node, connection)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes, connected by a channel.
    fn connected() -> (Network, End, End) {
        let mut network = Network::new(1);
        let [one, other] = [(NodeId(0), ConnectionId(1)), (NodeId(1), ConnectionId(2))];
        for end in [one, other] {
            network.add_node(AccessLink::mbits(50.0, 8.0, 0.02));
            network
                .node_mut(end.0)
                .ends
                .insert(end.1, EndState { remote: Some(if end == one { other } else { one }), ..EndState::default() });
        }
        network.connect(one, other).unwrap();
        (network, one, other)
    }

    /// The sizes of messages in the order in which they arrive.
    fn arrivals(network: &mut Network, queue: &mut EventQueue<Happening>) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(happening) = queue.pop_until(Timestamp::from_micros(60_000_000)) {
            match happening {
                Happening::LinkFree(link) => {
                    if let Some(packet) = network.finish(queue, link) {
                        network.travel(queue, packet);
                    }
                }
                Happening::AtDownlink(packet) => sizes.push(packet.bytes()),
                _ => {}
            }
        }
        sizes
    }

    #[test]
    fn what_is_sent_later_arrives_later_though_events_of_a_millisecond_change_places() {
        let (mut network, one, _) = connected();
        let mut queue = EventQueue::new();
        network.send_message(&mut queue, one, Bytes::from(vec![0; 16_384]));
        let Some(Happening::LinkFree(link)) = queue.pop_until(Timestamp::from_micros(1_000_000)) else { panic!("the link is at work") };
        let packet = network.finish(&mut queue, link).unwrap();
        network.travel(&mut queue, packet);
        // A turn of the same millisecond, which was earlier and is carried out now.
        queue.set_now(queue.now() - std::time::Duration::from_micros(900));
        network.send_message(&mut queue, one, Bytes::from(vec![0; 40]));
        assert_eq!(arrivals(&mut network, &mut queue), [16_384, 40]);
    }

    #[test]
    fn what_arrives_later_is_through_later_though_the_sender_has_left() {
        let (mut network, one, other) = connected();
        let mut queue = EventQueue::new();
        let message = |bytes| Packet {
            flow: Flow::Peer(one),
            to: other.0,
            content: Content::Message { to: other.1, message: Bytes::from(vec![0; bytes]) },
        };
        assert!(network.at_downlink(&mut queue, message(16_384)).is_none());
        network.disconnect(one);
        assert!(network.at_downlink(&mut queue, message(40)).is_none(), "it waits for what came before");
        let through = std::iter::from_fn(|| queue.pop_until(Timestamp::from_micros(60_000_000)));
        let sizes: Vec<_> = through.map(|happening| if let Happening::Through(packet) = happening { packet.bytes() } else { 0 }).collect();
        assert_eq!(sizes, [16_384, 40]);
    }

    #[test]
    fn what_is_sent_later_arrives_later_though_the_way_became_shorter() {
        let (mut network, one, other) = connected();
        let mut queue = EventQueue::new();
        network.send_message(&mut queue, one, Bytes::from(vec![0; 41]));
        for end in [one, other] {
            network.set_access(end.0, AccessLink::mbits(50.0, 8.0, 0.001));
        }
        network.send_message(&mut queue, one, Bytes::from(vec![0; 42]));
        network.send_message(&mut queue, one, Bytes::from(vec![0; 2_000]));
        assert_eq!(arrivals(&mut network, &mut queue), [41, 42, 2_000]);
    }
}
