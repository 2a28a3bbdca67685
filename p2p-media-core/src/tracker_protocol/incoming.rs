//! What a tracker tells this client.

use std::time::Duration;

use super::json::{Value, parse_object};
use super::{MAX_REASON_CHARS, MAX_SDP_BYTES, MAX_TRACKER_MESSAGE_BYTES, OfferId, TrackerMisbehaved, bytes_from_latin1};
use crate::identity::{InfoHash, PeerId};

/// A message of a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerMessage {
    /// The answer to an announce.
    Announced {
        /// The swarm.
        info_hash: InfoHash,
        /// When to announce again; unchecked, the caller has its own bounds.
        interval: Option<Duration>,
        /// Peers that have everything; meaningless for streams.
        complete: Option<u64>,
        /// The other peers.
        incomplete: Option<u64>,
        /// Something that the operator wants a person to read.
        warning: Option<String>,
    },
    /// Another peer's offer.
    Offer {
        /// The swarm.
        info_hash: InfoHash,
        /// The peer that makes it.
        peer_id: PeerId,
        /// What the answer must bear.
        offer_id: OfferId,
        /// Session description.
        sdp: String,
    },
    /// The answer to an offer of ours.
    Answer {
        /// The swarm.
        info_hash: InfoHash,
        /// The peer that answers.
        peer_id: PeerId,
        /// The offer that it answers.
        offer_id: OfferId,
        /// Session description.
        sdp: String,
    },
    /// The tracker refuses.
    Failure {
        /// The swarm, when it says which.
        info_hash: Option<InfoHash>,
        /// Why, for a person to read.
        reason: String,
    },
    /// A warning on its own.
    Warning {
        /// The swarm, when it says which.
        info_hash: Option<InfoHash>,
        /// For a person to read.
        message: String,
    },
    /// Nothing for us: the answer to a scrape, or an action of a later version.
    Unknown,
}

impl TrackerMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is too long, no JSON object, or lacks what its kind needs.
    pub fn parse(text: &str) -> Result<Self, TrackerMisbehaved> {
        if text.len() > MAX_TRACKER_MESSAGE_BYTES {
            return Err(TrackerMisbehaved::MessageTooLong { bytes: text.len() });
        }
        Fields(parse_object(text).ok_or(TrackerMisbehaved::NotAnObject)?).into_message()
    }
}

struct Fields(Value);

impl Fields {
    fn into_message(self) -> Result<TrackerMessage, TrackerMisbehaved> {
        let info_hash = self.bytes("info_hash").map(InfoHash);
        if let Some(reason) = self.text("failure reason") {
            return Ok(TrackerMessage::Failure { info_hash: info_hash.ok(), reason });
        }
        let warning = self.text("warning message");
        let (interval, complete, incomplete) = (self.seconds("interval"), self.count("complete"), self.count("incomplete"));
        let announced = interval.is_some() || complete.is_some() || incomplete.is_some();
        if let Some(message) = warning.clone().filter(|_| !announced) {
            return Ok(TrackerMessage::Warning { info_hash: info_hash.ok(), message });
        }
        if self.0.get("action").and_then(Value::as_str) != Some("announce") {
            return Ok(TrackerMessage::Unknown);
        }
        if self.0.get("offer").is_some() {
            let (peer_id, offer_id, sdp) = self.relayed("offer")?;
            Ok(TrackerMessage::Offer { info_hash: info_hash?, peer_id, offer_id, sdp })
        } else if self.0.get("answer").is_some() {
            let (peer_id, offer_id, sdp) = self.relayed("answer")?;
            Ok(TrackerMessage::Answer { info_hash: info_hash?, peer_id, offer_id, sdp })
        } else {
            Ok(TrackerMessage::Announced { info_hash: info_hash?, interval, complete, incomplete, warning })
        }
    }

    /// What offers and answers have alike.
    fn relayed(&self, kind: &'static str) -> Result<(PeerId, OfferId, String), TrackerMisbehaved> {
        let description = self.0.get(kind).filter(|description| description.get("type").and_then(Value::as_str) == Some(kind));
        let sdp = description.and_then(|description| description.get("sdp")).and_then(Value::as_str);
        let sdp = sdp.ok_or(TrackerMisbehaved::BadField { field: kind })?.to_owned();
        if sdp.len() > MAX_SDP_BYTES {
            return Err(TrackerMisbehaved::SdpTooLong { bytes: sdp.len() });
        }
        Ok((PeerId(self.bytes("peer_id")?), OfferId(self.bytes("offer_id")?), sdp))
    }

    fn bytes(&self, field: &'static str) -> Result<[u8; 20], TrackerMisbehaved> {
        self.0.get(field).and_then(Value::as_str).and_then(bytes_from_latin1).ok_or(TrackerMisbehaved::BadField { field })
    }

    fn text(&self, field: &str) -> Option<String> {
        Some(self.0.get(field)?.as_str()?.chars().take(MAX_REASON_CHARS).collect())
    }

    fn count(&self, field: &str) -> Option<u64> {
        let count = self.0.get(field)?.as_f64()?;
        (count >= 0.0 && count.fract() == 0.0).then_some(count as u64)
    }

    fn seconds(&self, field: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(self.0.get(field)?.as_f64()?).ok()
    }
}
