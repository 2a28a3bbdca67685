//! A WebTorrent tracker: tells swarms' members of each other by relaying offers and answers.

use std::collections::BTreeMap;

use p2p_media_core::engine::input::TrackerId;
use p2p_media_core::tracker_protocol::latin1_from_bytes;
use serde_json::{Value, json};

use crate::simulation::NodeId;

/// Seconds between announces that the tracker asks for.
const INTERVAL_S: u64 = 120;

/// A node's websocket: what the node calls the tracker, and the number of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Socket {
    pub(crate) node: NodeId,
    pub(crate) tracker: TrackerId,
    pub(crate) attempt: u64,
}

#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: String,
    pub(crate) is_down: bool,
    /// Open sockets.
    pub(crate) sockets: Vec<Socket>,
    /// Members of each swarm by their peer ids, both as the messages have them.
    swarms: BTreeMap<String, BTreeMap<String, Socket>>,
}

impl Tracker {
    pub(crate) const fn new(url: String) -> Self {
        Self { url, is_down: false, sockets: Vec::new(), swarms: BTreeMap::new() }
    }

    /// A socket has closed; its peers are forgotten.
    pub(crate) fn closed(&mut self, socket: Socket) {
        self.sockets.retain(|open| *open != socket);
        for swarm in self.swarms.values_mut() {
            swarm.retain(|_, member| *member != socket);
        }
    }

    /// Everybody is cut off; gives the sockets that were open.
    pub(crate) fn go_down(&mut self) -> Vec<Socket> {
        self.is_down = true;
        self.swarms.clear();
        std::mem::take(&mut self.sockets)
    }

    /// Handles a message; gives the messages that it leads to.
    pub(crate) fn receive(&mut self, from: Socket, text: &str, random: &mut fastrand::Rng) -> Vec<(Socket, String)> {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return Vec::new() };
        let field = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(info_hash), Some(peer_id)) = (field("info_hash"), field("peer_id")) else { return Vec::new() };
        let swarm = self.swarms.entry(info_hash.clone()).or_default();
        if let (Some(answer), Some(to), Some(offer_id)) = (message.get("answer"), field("to_peer_id"), field("offer_id")) {
            let relayed =
                json!({ "action": "announce", "info_hash": info_hash, "peer_id": peer_id, "offer_id": offer_id, "answer": answer });
            return swarm.get(&to).map(|to| (*to, relayed.to_string())).into_iter().collect();
        }
        if field("event").as_deref() == Some("stopped") {
            swarm.remove(&peer_id);
            return Vec::new();
        }
        swarm.insert(peer_id.clone(), from);
        let answer =
            json!({ "action": "announce", "info_hash": info_hash, "interval": INTERVAL_S, "complete": 0, "incomplete": swarm.len() });
        let mut out = vec![(from, answer.to_string())];
        let mut others: Vec<Socket> = swarm.iter().filter(|(id, _)| **id != peer_id).map(|(_, socket)| *socket).collect();
        random.shuffle(&mut others);
        let offers = message.get("offers").and_then(Value::as_array).into_iter().flatten();
        for (offer, to) in offers.zip(others) {
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
        self.swarms.get(&latin1_from_bytes(info_hash)).map_or(0, BTreeMap::len)
    }
}
