//! What this client tells a tracker.

use serde::Serialize;

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
        let offers = self.offers.iter().map(|offer| JsonOffer {
            offer: Description { kind: "offer", sdp: &offer.sdp },
            offer_id: latin1_from_bytes(&offer.offer_id.0),
        });
        json(&JsonAnnounce {
            numwant: self.offers.len(),
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            event: self.event.map(|event| match event {
                AnnounceEvent::Started => "started",
                AnnounceEvent::Stopped => "stopped",
            }),
            action: "announce",
            info_hash: latin1_from_bytes(&self.info_hash.0),
            peer_id: latin1_from_bytes(&self.peer_id.0),
            offers: (self.event != Some(AnnounceEvent::Stopped)).then(|| offers.collect()),
        })
    }
}

impl Answer {
    /// The text frame to send.
    pub fn to_json(&self) -> String {
        json(&JsonAnswer {
            action: "announce",
            info_hash: latin1_from_bytes(&self.info_hash.0),
            peer_id: latin1_from_bytes(&self.peer_id.0),
            to_peer_id: latin1_from_bytes(&self.to_peer_id.0),
            answer: Description { kind: "answer", sdp: &self.sdp },
            offer_id: latin1_from_bytes(&self.offer_id.0),
        })
    }
}

fn json(message: &impl Serialize) -> String {
    // Structs of strings and numbers cannot fail to serialise.
    serde_json::to_string(message).unwrap_or_default()
}

// Fields in the order in which the official client writes them.

#[derive(Serialize)]
struct JsonAnnounce<'a> {
    numwant: usize,
    uploaded: u64,
    downloaded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    action: &'static str,
    info_hash: String,
    peer_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<Vec<JsonOffer<'a>>>,
}

#[derive(Serialize)]
struct JsonOffer<'a> {
    offer: Description<'a>,
    offer_id: String,
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    action: &'static str,
    info_hash: String,
    peer_id: String,
    to_peer_id: String,
    answer: Description<'a>,
    offer_id: String,
}

#[derive(Serialize)]
struct Description<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sdp: &'a str,
}
