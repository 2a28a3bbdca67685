//! Peers that are no engines: they meet viewers as peers do, and then say what their script tells them to.

use std::collections::BTreeMap;

use bytes::Bytes;
use p2p_media_core::engine::input::{ConnectionId, Input, TrackerId};
use p2p_media_core::identity::{InfoHash, PEER_ID_PREFIX, PeerId};
use p2p_media_core::media::StreamKey;
use p2p_media_core::peer_protocol::{Command, MAX_MESSAGE_BYTES, MessageReader, PeerMessage};
use p2p_media_core::tracker_protocol::{Announce, AnnounceEvent, Answer, MAX_OFFERS_PER_ANNOUNCE, Offer, OfferId, TrackerMessage};

use crate::network::AccessLink;
use crate::simulation::{Happening, NodeId, Role, Simulation, TRACKER_URL};
use crate::tracker::Socket;

/// What a scripted peer sees on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The channel is open.
    Opened,
    /// The viewer sent a command.
    Command(Command),
    /// The viewer sent bytes of a segment.
    Payload(Bytes),
}

/// What it does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Sends a message as it is, after so many seconds.
    Send(f64, Bytes),
    /// Sends nothing more of what waits for its time, as after a cancel.
    StopSending,
    /// Ends the connection after so many seconds; the viewer learns of it.
    Close(f64),
}

/// Decides what is done about what is seen. Called for every connection; none is told from another.
pub type Script = Box<dyn FnMut(Seen) -> Vec<Act>>;

/// A peer that follows a script.
pub struct ScriptedPeer {
    pub(crate) access: AccessLink,
    stream: StreamKey,
    script: Script,
    peer_id: PeerId,
    /// Two peers with one id are one peer to a viewer.
    info_hash: Option<InfoHash>,
    offers: usize,
    next_connection: u64,
    offered: BTreeMap<OfferId, ConnectionId>,
    readers: BTreeMap<ConnectionId, MessageReader>,
    /// What is sent later belongs to the count of stops of its time.
    stops: BTreeMap<ConnectionId, u64>,
}

impl std::fmt::Debug for ScriptedPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedPeer").field("peer_id", &self.peer_id).finish_non_exhaustive()
    }
}

impl ScriptedPeer {
    /// A peer in the swarm of a stream. Its number makes its peer id.
    pub fn new(number: u64, stream: StreamKey, script: Script) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        Self {
            access: AccessLink::default(),
            stream,
            script,
            peer_id: PeerId::generate(PEER_ID_PREFIX, || random.u64(..)),
            info_hash: None,
            offers: MAX_OFFERS_PER_ANNOUNCE,
            next_connection: 1,
            offered: BTreeMap::new(),
            readers: BTreeMap::new(),
            stops: BTreeMap::new(),
        }
    }

    /// The same as a peer of the official library.
    pub fn official(number: u64, stream: StreamKey, script: Script) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        Self { peer_id: PeerId::generate("-PM0203-", || random.u64(..)), ..Self::new(number, stream, script) }
    }

    /// Connected in this way.
    #[must_use]
    pub fn on(self, access: AccessLink) -> Self {
        Self { access, ..self }
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId(self.next_connection)
    }
}

/// A command, as one message or more.
pub fn command(command: &Command) -> Vec<Act> {
    command.encode(MAX_MESSAGE_BYTES).into_iter().map(|message| Act::Send(0.0, message)).collect()
}

impl Simulation {
    pub(crate) fn scripted_joins(&mut self, node: NodeId) {
        self.open_socket(Socket { node, tracker: TrackerId(0), attempt: 0 }, TRACKER_URL);
    }

    pub(crate) fn tell_scripted(&mut self, node: NodeId, input: Input) {
        match input {
            Input::TrackerOpened(tracker) => self.scripted_announces(node, tracker),
            Input::TrackerMessage(tracker, text) => self.scripted_hears(node, tracker, &text),
            Input::ChannelOpened(connection) => {
                if let Some(peer) = self.scripted(node) {
                    peer.readers.insert(connection, MessageReader::new());
                }
                self.scripted_sees(node, connection, Seen::Opened);
            }
            Input::PeerMessage(connection, message) => {
                let mut seen = Vec::new();
                if let Some(reader) = self.scripted(node).and_then(|peer| peer.readers.get_mut(&connection))
                    && reader.push(message, 0).is_ok()
                {
                    seen.extend(std::iter::from_fn(|| reader.next_message()));
                }
                for message in seen {
                    let seen = match message {
                        PeerMessage::Command(command) => Seen::Command(command),
                        PeerMessage::Payload(payload) => Seen::Payload(payload),
                    };
                    self.scripted_sees(node, connection, seen);
                }
            }
            _ => {}
        }
    }

    fn scripted(&mut self, node: NodeId) -> Option<&mut ScriptedPeer> {
        match &mut self.nodes[node.0 as usize].role {
            Role::Scripted(peer) => Some(peer),
            Role::Viewer(_) | Role::Gone(_) | Role::Away => None,
        }
    }

    fn scripted_announces(&mut self, node: NodeId, tracker: TrackerId) {
        let Role::Scripted(peer) = &mut self.nodes[node.0 as usize].role else { return };
        let info_hash = InfoHash::of_swarm(&self.presentation.registration(peer.stream).swarm_id);
        peer.info_hash = Some(info_hash);
        let mut offers = Vec::new();
        for _ in 0..peer.offers {
            let (offer_id, connection) = (OfferId::generate(|| self.random.u64(..)), peer.next_connection());
            peer.offered.insert(offer_id, connection);
            offers.push(Offer { offer_id, sdp: self.network.offer((node, connection)) });
        }
        let (peer_id, event) = (peer.peer_id, Some(AnnounceEvent::Started));
        let announce = Announce { info_hash, peer_id, event, uploaded: 0, downloaded: 0, offers };
        self.send_to_tracker(Socket { node, tracker, attempt: 0 }, announce.to_json());
    }

    fn scripted_hears(&mut self, node: NodeId, tracker: TrackerId, text: &str) {
        let Role::Scripted(peer) = &mut self.nodes[node.0 as usize].role else { return };
        match TrackerMessage::parse(text) {
            Ok(TrackerMessage::Offer { info_hash, peer_id, offer_id, sdp }) => {
                let connection = peer.next_connection();
                let Some(sdp) = self.network.answer((node, connection), &sdp) else { return };
                let answer = Answer { info_hash, peer_id: peer.peer_id, to_peer_id: peer_id, offer_id, sdp };
                self.send_to_tracker(Socket { node, tracker, attempt: 0 }, answer.to_json());
            }
            Ok(TrackerMessage::Answer { offer_id, sdp, .. }) => {
                if let Some(connection) = peer.offered.remove(&offer_id) {
                    // An answer that makes no sense is the viewer's loss.
                    let _ = self.network.accept(&mut self.queue, (node, connection), &sdp);
                }
            }
            _ => {}
        }
    }

    fn scripted_sees(&mut self, node: NodeId, connection: ConnectionId, seen: Seen) {
        let Some(peer) = self.scripted(node) else { return };
        for act in (peer.script)(seen) {
            match act {
                Act::Send(seconds, message) => {
                    let stops = self.stops_of(node, connection);
                    self.queue.push_in(seconds, Happening::ScriptedSend(node, connection, message, stops));
                }
                Act::StopSending => {
                    if let Some(peer) = self.scripted(node) {
                        *peer.stops.entry(connection).or_default() += 1;
                    }
                }
                Act::Close(seconds) => self.queue.push_in(seconds, Happening::ScriptedClose(node, connection)),
            }
        }
    }

    fn stops_of(&mut self, node: NodeId, connection: ConnectionId) -> u64 {
        self.scripted(node).and_then(|peer| peer.stops.get(&connection).copied()).unwrap_or(0)
    }

    pub(crate) fn scripted_sends(&mut self, node: NodeId, connection: ConnectionId, message: Bytes, stops: u64) {
        if self.stops_of(node, connection) == stops {
            self.network.send_message(&mut self.queue, (node, connection), message);
        }
    }
}
