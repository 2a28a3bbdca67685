//! A WebTorrent tracker: tells swarms' members of each other by relaying offers and answers.

use std::collections::{BTreeMap, HashMap};

use p2p_media_core::engine::input::TrackerId;
use p2p_media_core::tracker_protocol::latin1_from_bytes;
use serde_json::{Value, json};

use crate::simulation::NodeId;

/// Seconds between announces that the tracker asks for.
const INTERVAL_S: u64 = 120;

/// A node's websocket: what the node calls the tracker, and the number of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Socket {
    pub(crate) node: NodeId,
    pub(crate) tracker: TrackerId,
    pub(crate) attempt: u64,
}

#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: String,
    pub(crate) is_down: bool,
    /// Open sockets, with the swarms and the peer id in each that came over them.
    sockets: BTreeMap<Socket, Vec<(String, String)>>,
    /// Swarms by their info hashes as the messages have them.
    swarms: BTreeMap<String, Swarm>,
}

/// The members of a swarm, to be found by peer id and to be drawn from at random.
#[derive(Debug, Default)]
struct Swarm {
    members: Vec<(String, Socket)>,
    /// Places in `members`; never iterated over.
    places: HashMap<String, usize>,
}

impl Swarm {
    fn insert(&mut self, peer_id: &str, socket: Socket) {
        match self.places.get(peer_id) {
            Some(place) => self.members[*place].1 = socket,
            None => {
                self.places.insert(peer_id.to_owned(), self.members.len());
                self.members.push((peer_id.to_owned(), socket));
            }
        }
    }

    fn remove(&mut self, peer_id: &str) {
        let Some(place) = self.places.remove(peer_id) else { return };
        self.members.swap_remove(place);
        if let Some((moved, _)) = self.members.get(place) {
            self.places.insert(moved.clone(), place);
        }
    }

    /// So many members other than one, drawn at random.
    fn draw(&self, others: usize, than: &str, random: &mut fastrand::Rng) -> Vec<Socket> {
        let wanted = others.min(self.members.len().saturating_sub(1));
        let mut drawn: Vec<usize> = Vec::new();
        if wanted * 3 > self.members.len() {
            drawn = (0..self.members.len()).filter(|place| self.members[*place].0 != than).collect();
            random.shuffle(&mut drawn);
            drawn.truncate(wanted);
        }
        while drawn.len() < wanted {
            let place = random.usize(..self.members.len());
            if self.members[place].0 != than && !drawn.contains(&place) {
                drawn.push(place);
            }
        }
        drawn.into_iter().map(|place| self.members[place].1).collect()
    }
}

impl Tracker {
    pub(crate) const fn new(url: String) -> Self {
        Self { url, is_down: false, sockets: BTreeMap::new(), swarms: BTreeMap::new() }
    }

    pub(crate) fn opened(&mut self, socket: Socket) {
        self.sockets.insert(socket, Vec::new());
    }

    pub(crate) fn is_open(&self, socket: Socket) -> bool {
        self.sockets.contains_key(&socket)
    }

    /// A socket has closed; its peers are forgotten.
    pub(crate) fn closed(&mut self, socket: Socket) {
        for (info_hash, peer_id) in self.sockets.remove(&socket).into_iter().flatten() {
            if let Some(swarm) = self.swarms.get_mut(&info_hash) {
                swarm.remove(&peer_id);
            }
        }
    }

    /// Everybody is cut off; gives the sockets that were open.
    pub(crate) fn go_down(&mut self) -> Vec<Socket> {
        self.is_down = true;
        self.swarms.clear();
        std::mem::take(&mut self.sockets).into_keys().collect()
    }

    /// Handles a message; gives the messages that it leads to.
    pub(crate) fn receive(&mut self, from: Socket, text: &str, random: &mut fastrand::Rng) -> Vec<(Socket, String)> {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return Vec::new() };
        let field = |name: &str| message.get(name).and_then(Value::as_str);
        let (Some(info_hash), Some(peer_id)) = (field("info_hash"), field("peer_id")) else { return Vec::new() };
        if !self.swarms.contains_key(info_hash) {
            self.swarms.insert(info_hash.to_owned(), Swarm::default());
        }
        let Some(swarm) = self.swarms.get_mut(info_hash) else { return Vec::new() };
        if let (Some(answer), Some(to), Some(offer_id)) = (message.get("answer"), field("to_peer_id"), field("offer_id")) {
            let relayed =
                json!({ "action": "announce", "info_hash": info_hash, "peer_id": peer_id, "offer_id": offer_id, "answer": answer });
            let to = swarm.places.get(to).map(|place| swarm.members[*place].1);
            return to.map(|to| (to, relayed.to_string())).into_iter().collect();
        }
        if field("event") == Some("stopped") {
            swarm.remove(peer_id);
            return Vec::new();
        }
        swarm.insert(peer_id, from);
        if let Some(swarms) = self.sockets.get_mut(&from)
            && !swarms.iter().any(|(known, _)| known == info_hash)
        {
            swarms.push((info_hash.to_owned(), peer_id.to_owned()));
        }
        let members = swarm.members.len();
        let answer = json!({ "action": "announce", "info_hash": info_hash, "interval": INTERVAL_S, "complete": 0, "incomplete": members });
        let mut out = vec![(from, answer.to_string())];
        let offers = message.get("offers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others = swarm.draw(offers.len(), peer_id, random);
        for (offer, to) in offers.iter().zip(others) {
            let relayed = json!({
                "action": "announce", "info_hash": info_hash, "peer_id": peer_id,
                "offer": offer.get("offer"), "offer_id": offer.get("offer_id"),
            });
            out.push((to, relayed.to_string()));
        }
        out
    }

    /// How many members a swarm has.
    pub(crate) fn members(&self, info_hash: &[u8; 20]) -> usize {
        self.swarms.get(&latin1_from_bytes(info_hash)).map_or(0, |swarm| swarm.members.len())
    }
}
