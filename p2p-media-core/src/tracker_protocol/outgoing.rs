//! What this client tells a tracker.

use super::json::put_text;
use super::{OfferId, latin1_from_bytes};
use crate::identity::{InfoHash, PeerId};

/// What is special about an announce; the regular ones have no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceEvent {
    /// The first one: this peer enters the swarm.
    Started,
    /// The last one: this peer leaves the swarm.
    Stopped,
}

/// An offer for whichever peer the tracker hands it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What its answer will bear.
    pub offer_id: OfferId,
    /// Session description, with its candidates.
    pub sdp: String,
}

/// Enters a swarm, stays in it, or leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// This peer.
    pub peer_id: PeerId,
    /// What is special about it.
    pub event: Option<AnnounceEvent>,
    /// Bytes uploaded to peers since the start.
    pub uploaded: u64,
    /// Bytes downloaded from peers since the start.
    pub downloaded: u64,
    /// Fresh offers, at most [`super::MAX_OFFERS_PER_ANNOUNCE`]; their number is what the tracker is asked for (`numwant`).
    pub offers: Vec<Offer>,
}

/// Answers an offer that the tracker relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The swarm.
    pub info_hash: InfoHash,
    /// This peer.
    pub peer_id: PeerId,
    /// The peer that made the offer.
    pub to_peer_id: PeerId,
    /// The offer.
    pub offer_id: OfferId,
    /// Session description, with its candidates.
    pub sdp: String,
}

impl Announce {
    /// The text frame to send.
    pub fn to_json(&self) -> String {
        let mut object = Object::new();
        object.number("numwant", self.offers.len() as u64);
        object.number("uploaded", self.uploaded);
        object.number("downloaded", self.downloaded);
        if let Some(event) = self.event {
            object.text("event", if event == AnnounceEvent::Started { "started" } else { "stopped" });
        }
        object.text("action", "announce");
        object.bytes("info_hash", &self.info_hash.0);
        object.bytes("peer_id", &self.peer_id.0);
        if self.event != Some(AnnounceEvent::Stopped) {
            let mut offers = String::from("[");
            for offer in &self.offers {
                let mut item = Object::new();
                item.value("offer", &description("offer", &offer.sdp));
                item.bytes("offer_id", &offer.offer_id.0);
                if offers.len() > 1 {
                    offers.push(',');
                }
                offers.push_str(&item.end());
            }
            offers.push(']');
            object.value("offers", &offers);
        }
        object.end()
    }
}

impl Answer {
    /// The text frame to send.
    pub fn to_json(&self) -> String {
        let mut object = Object::new();
        object.text("action", "announce");
        object.bytes("info_hash", &self.info_hash.0);
        object.bytes("peer_id", &self.peer_id.0);
        object.bytes("to_peer_id", &self.to_peer_id.0);
        object.value("answer", &description("answer", &self.sdp));
        object.bytes("offer_id", &self.offer_id.0);
        object.end()
    }
}

/// An object, its fields in the order in which the official client writes them.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::from("{"))
    }

    /// A field whose value is JSON already.
    fn value(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        put_text(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        let mut json = String::new();
        put_text(&mut json, text);
        self.value(name, &json);
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.text(name, &latin1_from_bytes(bytes));
    }

    fn number(&mut self, name: &str, number: u64) {
        self.value(name, &number.to_string());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A session description.
fn description(kind: &str, sdp: &str) -> String {
    let mut description = Object::new();
    description.text("type", kind);
    description.text("sdp", sdp);
    description.end()
}
