//! The event queue at work: what happens next, and to whom.

use bytes::Bytes;
use p2p_media_core::backend::HttpRequest;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input};
use p2p_media_core::timestamp::Timestamp;

use crate::batches::DueTurn;
use crate::content::Presentation;
use crate::event_queue::EventQueue;
use crate::link::{Content, End, Flow, Packet};
use crate::network::{AccessLink, LinkId, Network};
use crate::origin::{Answer, BodyEnd, Origin, Piece};
use crate::report::Report;
use crate::report::ViewerReport;
use crate::scripted_peer::ScriptedPeer;
use crate::tracker::{Socket, Tracker};
use crate::viewer::{Effect, Turn, Viewer, ViewerOptions};

/// The tracker that every simulation has.
pub const TRACKER_URL: &str = "wss://tracker.test";
/// Bytes of a response that arrive at once.
const HTTP_CHUNK_BYTES: usize = 64 * 1024;

/// A viewer or a scripted peer, by the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A scenario in the making, then at work.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) queue: EventQueue<Happening>,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) trackers: Vec<Tracker>,
    pub(crate) presentation: Presentation,
    pub(crate) random: fastrand::Rng,
    /// Turns that wait for the end of their millisecond, while one is being collected.
    pub(crate) due_turns: Option<Vec<DueTurn>>,
    pub(crate) in_batches: bool,
    /// Viewers that are added have their engine's time taken.
    pub(crate) measures_engine: bool,
    /// Kept for its room.
    pub(crate) effects: Vec<Effect>,
    origin: Origin,
    actions: Vec<Option<Action>>,
}

/// What the scenario does at a time of its choice.
struct Action(Box<dyn FnOnce(&mut Simulation)>);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) is_alive: bool,
    /// Nothing reaches its program before this time.
    pub(crate) frozen_until: Timestamp,
    pub(crate) role: Role,
}

#[derive(Debug)]
pub(crate) enum Role {
    Viewer(Box<Viewer>),
    Scripted(Box<ScriptedPeer>),
    /// A viewer that has left.
    Gone(Box<ViewerReport>),
    /// A viewer that is taking its turn on another thread.
    Away,
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A node begins.
    Join(NodeId),
    /// The scenario acts.
    Action(usize),

    /// A link has sent a packet.
    LinkFree(LinkId),
    /// A packet has travelled to its receiver's downlink.
    AtDownlink(Packet),
    /// A packet is through its receiver's downlink.
    Through(Packet),
    /// A flow that was held back may go on.
    Paced(Flow),
    /// A handshake ends.
    Connect(End, End),
    /// A request reaches the origin.
    OriginGets(NodeId, HttpId, HttpRequest),
    /// The origin has something more to send.
    OriginSends(Packet),
    /// A node's attempt to connect reaches a tracker.
    TrackerConnect(usize, Socket),
    /// A message reaches a tracker.
    TrackerGets(usize, Socket, String),
    /// Something reaches a node from a tracker; dropped when the node has closed the socket.
    FromTracker(Socket, Input),

    /// Something happens to a node's program.
    Tell(NodeId, Input),
    /// A viewer's turn.
    Turn(NodeId, Turn),
    /// A scripted peer sends.
    ScriptedSend(NodeId, ConnectionId, Bytes, u64),
    /// A scripted peer closes a connection.
    ScriptedClose(NodeId, ConnectionId),
}

impl Happening {
    /// The node whose program this is for, which may stand still.
    const fn program_of(&self) -> Option<NodeId> {
        match self {
            Self::Join(node) | Self::Tell(node, _) | Self::Turn(node, _) | Self::ScriptedSend(node, ..) | Self::ScriptedClose(node, _) => {
                Some(*node)
            }
            Self::FromTracker(socket, _) => Some(socket.node),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Action").finish_non_exhaustive()
    }
}

impl Simulation {
    /// A simulation in which nothing happens yet. Equal seeds and scenarios give equal runs.
    pub fn new(seed: u64, presentation: Presentation) -> Self {
        Self {
            queue: EventQueue::new(),
            network: Network::new(seed),
            nodes: Vec::new(),
            trackers: vec![Tracker::new(TRACKER_URL.to_owned())],
            presentation,
            random: fastrand::Rng::with_seed(seed),
            due_turns: None,
            in_batches: false,
            measures_engine: false,
            effects: Vec::new(),
            origin: Origin::default(),
            actions: Vec::new(),
        }
    }

    /// The origin, to make it fail.
    pub const fn origin(&mut self) -> &mut Origin {
        &mut self.origin
    }

    /// What is broadcast.
    pub const fn presentation(&self) -> &Presentation {
        &self.presentation
    }

    /// Seconds since the simulation began.
    pub fn now_s(&self) -> f64 {
        self.queue.now().as_secs_f64()
    }

    /// A viewer that joins at a time, in seconds.
    pub fn add_viewer(&mut self, at_s: f64, options: ViewerOptions) -> NodeId {
        let access = options.access;
        let seed = self.random.u64(..);
        let mut viewer = Viewer::new(options, seed, Timestamp::ZERO.offset_secs(at_s));
        if self.measures_engine {
            viewer.measure_engine();
        }
        self.add_node(at_s, access, Role::Viewer(Box::new(viewer)))
    }

    /// A peer that is no engine, joining at a time, in seconds.
    pub fn add_scripted_peer(&mut self, at_s: f64, peer: ScriptedPeer) -> NodeId {
        let access = peer.access;
        self.add_node(at_s, access, Role::Scripted(Box::new(peer)))
    }

    fn add_node(&mut self, at_s: f64, access: AccessLink, role: Role) -> NodeId {
        let node = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { is_alive: true, frozen_until: Timestamp::ZERO, role });
        self.network.add_node(access);
        self.place_viewer(node);
        self.queue.push(Timestamp::ZERO.offset_secs(at_s), Happening::Join(node));
        node
    }

    /// Tells a viewer how far the servers are.
    pub(crate) fn place_viewer(&mut self, node: NodeId) {
        let latency_s = self.network.latency_to_servers(node);
        if let Role::Viewer(viewer) = &mut self.nodes[node.0 as usize].role {
            viewer.server_latency_s = latency_s;
        }
    }

    /// Does something at a time, in seconds.
    pub fn at(&mut self, at_s: f64, action: impl FnOnce(&mut Self) + 'static) {
        self.actions.push(Some(Action(Box::new(action))));
        self.queue.push(Timestamp::ZERO.offset_secs(at_s), Happening::Action(self.actions.len() - 1));
    }

    /// Lets time pass until so many seconds after the beginning.
    pub fn run_until(&mut self, until_s: f64) {
        let until = Timestamp::ZERO.offset_secs(until_s);
        if self.in_batches {
            self.run_batches_until(until);
        }
        while let Some(happening) = self.queue.pop_until(until) {
            self.happen(happening);
        }
        self.queue.advance_to(until);
    }

    /// Bytes that left the origin, and that players got, so far; and how many viewers are there.
    pub(crate) fn totals(&self) -> (u64, u64, usize) {
        let (mut delivered, mut viewers) = (0, 0);
        for node in &self.nodes {
            match &node.role {
                Role::Viewer(viewer) => {
                    delivered += viewer.player.playback.delivered_bytes;
                    viewers += usize::from(node.is_alive);
                }
                Role::Gone(report) => delivered += report.playback.delivered_bytes,
                Role::Scripted(_) | Role::Away => {}
            }
        }
        (self.origin.served.values().sum(), delivered, viewers)
    }

    /// The figures so far.
    pub fn report(&self) -> Report {
        let viewers = self.nodes.iter().filter_map(|node| match &node.role {
            Role::Viewer(viewer) => Some(viewer.report(self.queue.now())),
            Role::Gone(report) => Some((**report).clone()),
            Role::Scripted(_) | Role::Away => None,
        });
        let copies = |(key, bytes): (&_, &u64)| (*key, *bytes as f64 / self.presentation.bytes_of(*key).len() as f64);
        Report {
            viewers: viewers.collect(),
            origin_bytes: self.origin.served.values().sum(),
            origin_requests: self.origin.requests,
            origin_copies: self.origin.served.iter().map(copies).collect(),
            peer_bytes: self.network.peer_bytes,
            command_bytes: self.network.command_bytes,
        }
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        if let Some(node) = happening.program_of() {
            let state = &self.nodes[node.0 as usize];
            if !state.is_alive {
                return;
            }
            if state.frozen_until > self.queue.now() {
                self.queue.push(state.frozen_until, happening);
                return;
            }
        }
        match happening {
            Happening::Join(node) => self.join(node),
            Happening::Action(index) => {
                if let Some(Action(action)) = self.actions[index].take() {
                    action(self);
                }
            }
            Happening::LinkFree(link) => self.link_free(link),
            Happening::AtDownlink(packet) => {
                if self.nodes[packet.to.0 as usize].is_alive
                    && let Some(packet) = self.network.at_downlink(&mut self.queue, packet)
                {
                    self.through(packet);
                }
            }
            Happening::Through(packet) => {
                self.network.through(&packet);
                if self.nodes[packet.to.0 as usize].is_alive {
                    self.through(packet);
                }
            }
            Happening::Paced(flow) => self.network.paced(&mut self.queue, flow),
            Happening::Connect(one, other) => self.connect(one, other),
            Happening::OriginGets(node, id, request) => self.origin_gets(node, id, &request),
            Happening::OriginSends(packet) => self.origin_sends(packet),
            Happening::TrackerConnect(tracker, socket) => self.tracker_connect(tracker, socket),
            Happening::TrackerGets(tracker, socket, text) => self.tracker_gets(tracker, socket, &text),
            Happening::FromTracker(socket, input) => {
                if self.socket_is_current(socket) {
                    self.tell(socket.node, input);
                }
            }
            Happening::Tell(node, input) => self.tell(node, input),
            Happening::Turn(node, turn) => self.turn(node, turn),
            Happening::ScriptedSend(node, connection, message, stops) => self.scripted_sends(node, connection, message, stops),
            Happening::ScriptedClose(node, connection) => self.close_connection((node, connection)),
        }
    }

    fn join(&mut self, node: NodeId) {
        match self.nodes[node.0 as usize].role {
            Role::Viewer(_) => self.turn(node, Turn::Join),
            Role::Scripted(_) => self.scripted_joins(node),
            Role::Gone(_) | Role::Away => {}
        }
    }

    /// Something happens to a node's program.
    pub(crate) fn tell(&mut self, node: NodeId, input: Input) {
        match self.nodes[node.0 as usize].role {
            Role::Viewer(_) => self.tell_viewer(node, input),
            Role::Scripted(_) => self.tell_scripted(node, input),
            Role::Gone(_) | Role::Away => {}
        }
    }

    /// Something happens to a node's program, unless it stands still and takes it later.
    fn tell_now(&mut self, node: NodeId, input: Input) {
        if self.nodes[node.0 as usize].frozen_until > self.queue.now() {
            self.tell_in(0.0, node, input);
        } else {
            self.tell(node, input);
        }
    }

    /// Something will happen to a node's program.
    pub(crate) fn tell_in(&mut self, seconds: f64, node: NodeId, input: Input) {
        self.queue.push_in(seconds, Happening::Tell(node, input));
    }

    fn link_free(&mut self, link: LinkId) {
        let Some(packet) = self.network.finish(&mut self.queue, link) else { return };
        match link {
            LinkId::Origin => {
                self.note_served(&packet);
                self.network.travel(&mut self.queue, packet);
            }
            LinkId::Up(node) => {
                let sent = match packet.flow {
                    Flow::Peer(end) => Some((end.1, packet.bytes() + self.network.take_unreported(end))),
                    Flow::Http(..) => None,
                };
                self.network.travel(&mut self.queue, packet);
                if let Some((connection, bytes)) = sent.filter(|_| self.nodes[node.0 as usize].is_alive) {
                    self.tell_now(node, Input::PeerSent(connection, bytes));
                }
            }
        }
    }

    /// A packet has come through its receiver's link.
    fn through(&mut self, packet: Packet) {
        self.network.delivered(&mut self.queue, &packet);
        self.receive(packet.to, packet);
    }

    fn note_served(&mut self, packet: &Packet) {
        if let (Content::Chunk { segment, bytes }, Flow::Http(..)) = (&packet.content, packet.flow) {
            self.origin.note_served(*segment, bytes.len());
        }
    }

    fn receive(&mut self, node: NodeId, packet: Packet) {
        let input = match (packet.content, packet.flow) {
            (Content::Message { to, message }, _) => {
                if !self.network.is_open((node, to)) {
                    return;
                }
                Input::PeerMessage(to, message)
            }
            (Content::Head(head), Flow::Http(_, id)) => Input::HttpHead(id, head),
            (Content::Chunk { bytes, .. }, Flow::Http(_, id)) => Input::HttpChunk(id, bytes),
            (Content::End, Flow::Http(_, id)) => Input::HttpEnd(id),
            (Content::Failed(error), Flow::Http(_, id)) => Input::HttpFailed(id, error),
            _ => return,
        };
        if let Flow::Http(_, id) = packet.flow {
            if !self.is_fetching(node, packet.flow) {
                return;
            }
            if matches!(input, Input::HttpEnd(_) | Input::HttpFailed(..)) {
                self.network.stop_http(node, id);
            }
        }
        self.tell_now(node, input);
    }

    fn is_fetching(&self, node: NodeId, flow: Flow) -> bool {
        match (flow, &self.nodes[node.0 as usize].role) {
            (Flow::Http(_, id), Role::Viewer(viewer)) => viewer.is_fetching(id),
            _ => false,
        }
    }

    fn connect(&mut self, one: End, other: End) {
        match self.network.connect(one, other) {
            Ok(()) => {
                for (node, connection) in [one, other] {
                    self.tell_in(0.0, node, Input::ChannelOpened(connection));
                }
            }
            Err(left) => {
                for (node, connection) in left {
                    self.tell_in(0.0, node, Input::ConnectionClosed(connection, "the other side is gone".to_owned()));
                }
            }
        }
    }

    /// A node ends a connection, and the other side learns of it.
    pub(crate) fn close_connection(&mut self, end: End) {
        if let Some((node, connection)) = self.network.disconnect(end) {
            let seconds = self.network.latency_between(end.0, node);
            self.network.disconnect((node, connection));
            self.tell_in(seconds, node, Input::ConnectionClosed(connection, "closed by the peer".to_owned()));
        }
    }

    fn origin_gets(&mut self, node: NodeId, id: HttpId, request: &HttpRequest) {
        if !self.nodes[node.0 as usize].is_alive || !self.is_fetching(node, Flow::Http(node, id)) {
            return;
        }
        let now = self.queue.now();
        let contents = match self.origin.answer(now, request, &self.presentation) {
            Answer::Refused(error) => vec![(now, Content::Failed(error))],
            Answer::Later(at) => {
                self.queue.push(at, Happening::OriginGets(node, id, request.clone()));
                return;
            }
            Answer::Response { head, body, end } => {
                let mut contents = vec![(now, Content::Head(head))];
                let ends_at = body.last().map_or(now, |piece| piece.at);
                for Piece { segment, bytes: mut rest, at } in body {
                    while !rest.is_empty() {
                        let bytes = rest.split_to(rest.len().min(HTTP_CHUNK_BYTES));
                        contents.push((at, Content::Chunk { segment, bytes }));
                    }
                }
                match end {
                    BodyEnd::Complete => contents.push((ends_at, Content::End)),
                    BodyEnd::Reset => contents.push((ends_at, Content::Failed("connection reset".to_owned()))),
                    BodyEnd::Silence => {}
                }
                contents
            }
        };
        for (at, content) in contents {
            let packet = Packet { flow: Flow::Http(node, id), to: node, content };
            if at <= now {
                self.network.send(&mut self.queue, packet);
            } else {
                self.queue.push(at, Happening::OriginSends(packet));
            }
        }
    }

    /// The origin has made more of what it is sending.
    fn origin_sends(&mut self, packet: Packet) {
        if self.nodes[packet.to.0 as usize].is_alive && self.is_fetching(packet.to, packet.flow) {
            self.network.send(&mut self.queue, packet);
        }
    }

    /// Begins to connect to a tracker by its URL.
    pub(crate) fn open_socket(&mut self, socket: Socket, url: &str) {
        let there_and_back_s = 2.0 * self.network.latency_to_servers(socket.node);
        match self.trackers.iter().position(|tracker| tracker.url == url) {
            // TCP, TLS and the websocket take three round trips.
            Some(tracker) => self.queue.push_in(3.0 * there_and_back_s, Happening::TrackerConnect(tracker, socket)),
            None => {
                let input = Input::TrackerClosed(socket.tracker, "unknown host".to_owned());
                self.queue.push_in(there_and_back_s, Happening::FromTracker(socket, input));
            }
        }
    }

    fn tracker_connect(&mut self, tracker: usize, socket: Socket) {
        let state = &mut self.trackers[tracker];
        let input = if state.is_down {
            Input::TrackerClosed(socket.tracker, "connection refused".to_owned())
        } else {
            state.opened(socket);
            Input::TrackerOpened(socket.tracker)
        };
        self.queue.push_in(0.0, Happening::FromTracker(socket, input));
    }

    pub(crate) fn send_to_tracker(&mut self, socket: Socket, text: String) {
        if let Some(tracker) = self.trackers.iter().position(|tracker| tracker.is_open(socket)) {
            let seconds = self.network.latency_to_servers(socket.node);
            self.queue.push_in(seconds, Happening::TrackerGets(tracker, socket, text));
        }
    }

    fn tracker_gets(&mut self, tracker: usize, socket: Socket, text: &str) {
        if !self.trackers[tracker].is_open(socket) {
            return;
        }
        for (to, message) in self.trackers[tracker].receive(socket, text, &mut self.random) {
            let seconds = self.network.latency_to_servers(to.node);
            self.queue.push_in(seconds, Happening::FromTracker(to, Input::TrackerMessage(to.tracker, message)));
        }
    }

    fn socket_is_current(&self, socket: Socket) -> bool {
        match &self.nodes[socket.node.0 as usize].role {
            Role::Viewer(viewer) => viewer.has_socket(socket.tracker, socket.attempt),
            Role::Scripted(_) => true,
            Role::Gone(_) | Role::Away => false,
        }
    }
}
