//! The JSON messages of a WebTorrent tracker, from the server's side.
//!
//! Binary fields (`info_hash`, `peer_id`) are strings of 20 characters, one byte each. Session descriptions are checked to be JSON objects and
//! passed on as they came: what is inside is between the peers.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The bytes of an info hash or a peer id.
pub(super) type Id = [u8; 20];

/// Info hashes in one scrape; more are an error.
const MAX_SCRAPED_SWARMS: usize = 100;

/// Longest `offer_id` passed on, in bytes of JSON. Official ones are 20 characters, at most 122 bytes when every one is escaped.
const MAX_OFFER_ID_BYTES: usize = 256;

/// Longest explanation sent back, in bytes: it may quote what the peer sent.
const MAX_FAILURE_REASON_BYTES: usize = 200;

/// A message from a peer.
#[derive(Debug)]
pub(super) enum Request<'a> {
    /// `action: "announce"`, also when it carries an answer.
    Announce(Announce<'a>),
    /// `action: "scrape"`.
    Scrape(Vec<Id>),
}

/// A peer says that it is in a swarm, makes offers to others in it, or answers one.
#[derive(Debug)]
pub(super) struct Announce<'a> {
    pub(super) info_hash: Id,
    pub(super) peer_id: Id,
    pub(super) event: Event,
    /// Nothing is left to download.
    pub(super) complete: bool,
    /// How many offers the peer wants to be relayed, if it said so.
    pub(super) numwant: Option<usize>,
    pub(super) offers: Vec<Offer<'a>>,
    pub(super) answer: Option<Answer<'a>>,
}

/// What happened to the announcing peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It joined, is still there, or has everything: all the same to a swarm of viewers.
    Present,
    /// It leaves the swarm.
    Stopped,
}

/// An offer for some other peer of the swarm.
#[derive(Debug, Deserialize)]
pub(super) struct Offer<'a> {
    #[serde(borrow)]
    offer: &'a RawValue,
    offer_id: &'a RawValue,
}

/// The answer to an offer that was relayed before.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) to_peer_id: Id,
    answer: &'a RawValue,
    offer_id: &'a RawValue,
}

/// Why a message is refused. Told to the peer as `failure reason`.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidMessage {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("invalid {0}")]
    Field(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("a scrape needs info_hash")]
    ScrapeOfEverything,
    #[error("a scrape may name {MAX_SCRAPED_SWARMS} swarms")]
    ScrapeTooLarge,
}

/// Every field as it may arrive; unknown ones are ignored.
#[derive(Deserialize)]
struct Fields<'a> {
    action: Action,
    info_hash: Option<OneOrMany>,
    peer_id: Option<BinaryString>,
    to_peer_id: Option<BinaryString>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    left: Option<&'a RawValue>,
    #[serde(borrow)]
    numwant: Option<&'a RawValue>,
    #[serde(borrow)]
    offers: Option<Vec<Offer<'a>>>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    #[serde(borrow)]
    offer_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Announce,
    Scrape,
}

/// Reads one message.
pub(super) fn parse(text: &[u8]) -> Result<Request<'_>, InvalidMessage> {
    let fields: Fields<'_> = serde_json::from_slice(text)?;
    match fields.action {
        Action::Announce => Ok(Request::Announce(announce(fields)?)),
        Action::Scrape => match fields.info_hash {
            None => Err(InvalidMessage::ScrapeOfEverything),
            Some(OneOrMany::One(id)) => Ok(Request::Scrape(vec![id.valid("info_hash")?])),
            Some(OneOrMany::Many(ids)) => Ok(Request::Scrape(ids)),
            Some(OneOrMany::TooMany) => Err(InvalidMessage::ScrapeTooLarge),
            Some(OneOrMany::Invalid) => Err(InvalidMessage::Field("info_hash")),
        },
    }
}

fn announce(fields: Fields<'_>) -> Result<Announce<'_>, InvalidMessage> {
    let info_hash = match fields.info_hash {
        Some(OneOrMany::One(id)) => id.valid("info_hash")?,
        Some(_) => return Err(InvalidMessage::Field("info_hash")),
        None => return Err(InvalidMessage::Missing("info_hash")),
    };
    let peer_id = fields.peer_id.ok_or(InvalidMessage::Missing("peer_id"))?.valid("peer_id")?;
    let event = match fields.event.map(RawValue::get) {
        None | Some("\"\"" | "\"empty\"" | "\"started\"" | "\"update\"" | "\"completed\"" | "\"paused\"") => Event::Present,
        Some("\"stopped\"") => Event::Stopped,
        Some(_) => return Err(InvalidMessage::Field("event")),
    };
    let offers = fields.offers.unwrap_or_default();
    if let Some(offer) = offers.iter().find(|offer| !is_object(offer.offer) || offer.offer_id.get().len() > MAX_OFFER_ID_BYTES) {
        return Err(InvalidMessage::Field(if is_object(offer.offer) { "offer_id" } else { "offer" }));
    }
    let answer = match fields.answer {
        None => None,
        Some(answer) if !is_object(answer) => return Err(InvalidMessage::Field("answer")),
        Some(answer) => {
            let to_peer_id = fields.to_peer_id.ok_or(InvalidMessage::Missing("to_peer_id"))?.valid("to_peer_id")?;
            let offer_id = fields.offer_id.ok_or(InvalidMessage::Missing("offer_id"))?;
            if offer_id.get().len() > MAX_OFFER_ID_BYTES {
                return Err(InvalidMessage::Field("offer_id"));
            }
            Some(Answer { to_peer_id, answer, offer_id })
        }
    };
    let complete = matches!(fields.left.map(RawValue::get), Some("0" | "\"0\""));
    let numwant = fields.numwant.and_then(|value| value.get().trim_matches('"').parse().ok());
    Ok(Announce { info_hash, peer_id, event, complete, numwant, offers, answer })
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The reply to an announce.
pub(super) fn announce_reply(info_hash: &Id, complete: usize, incomplete: usize, interval_seconds: u64) -> String {
    let mut out =
        format!(r#"{{"complete":{complete},"incomplete":{incomplete},"action":"announce","interval":{interval_seconds},"info_hash":"#);
    push_binary(&mut out, info_hash);
    out.push('}');
    out
}

/// The reply to a scrape: the numbers of complete and incomplete peers of each swarm.
pub(super) fn scrape_reply(swarms: impl Iterator<Item = (Id, usize, usize)>, interval_seconds: u64) -> String {
    let mut out = String::from(r#"{"action":"scrape","files":{"#);
    for (index, (info_hash, complete, incomplete)) in swarms.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_binary(&mut out, &info_hash);
        out.push_str(&format!(r#":{{"complete":{complete},"incomplete":{incomplete},"downloaded":{complete}}}"#));
    }
    out.push_str(&format!(r#"}},"flags":{{"min_request_interval":{interval_seconds}}}}}"#));
    out
}

/// Tells a peer why its message was refused. Official clients only listen to failures that name their info hash.
pub(super) fn failure(reason: &str, info_hash: Option<&Id>) -> String {
    let end = (0..=reason.len().min(MAX_FAILURE_REASON_BYTES)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    let mut out = String::from(r#"{"action":"announce","failure reason":"#);
    push_json(&mut out, reason[..end].chars());
    if let Some(info_hash) = info_hash {
        out.push_str(r#","info_hash":"#);
        push_binary(&mut out, info_hash);
    }
    out.push('}');
    out
}

/// An offer as the peer chosen for it receives it.
pub(super) fn relayed_offer(offer: &Offer<'_>, from: &Id, info_hash: &Id) -> String {
    relayed("offer", offer.offer, offer.offer_id, from, info_hash)
}

/// An answer as the peer that made the offer receives it.
pub(super) fn relayed_answer(answer: &Answer<'_>, from: &Id, info_hash: &Id) -> String {
    relayed("answer", answer.answer, answer.offer_id, from, info_hash)
}

fn relayed(kind: &str, description: &RawValue, offer_id: &RawValue, from: &Id, info_hash: &Id) -> String {
    /// Names, punctuation and two ids of 20 characters: seldom more.
    const FRAME_BYTES: usize = 160;
    let mut out = String::with_capacity(description.get().len() + offer_id.get().len() + FRAME_BYTES);
    out.push_str(r#"{"action":"announce",""#);
    out.push_str(kind);
    out.push_str(r#"":"#);
    out.push_str(description.get());
    out.push_str(r#","offer_id":"#);
    out.push_str(offer_id.get());
    out.push_str(r#","peer_id":"#);
    push_binary(&mut out, from);
    out.push_str(r#","info_hash":"#);
    push_binary(&mut out, info_hash);
    out.push('}');
    out
}

fn push_binary(out: &mut String, id: &Id) {
    push_json(out, id.iter().map(|byte| char::from(*byte)));
}

fn push_json(out: &mut String, text: impl Iterator<Item = char>) {
    out.push('"');
    for c in text {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A string of 20 characters up to U+00FF; `None` for any other string.
struct BinaryString(Option<Id>);

impl BinaryString {
    fn valid(self, field: &'static str) -> Result<Id, InvalidMessage> {
        self.0.ok_or(InvalidMessage::Field(field))
    }

    fn decode(text: &str) -> Option<Id> {
        let mut id = Id::default();
        let mut chars = text.chars();
        for byte in &mut id {
            *byte = u8::try_from(chars.next()?).ok()?;
        }
        chars.next().is_none().then_some(id)
    }
}

impl<'de> Deserialize<'de> for BinaryString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decode;
        impl Visitor<'_> for Decode {
            type Value = BinaryString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary string of 20 characters")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BinaryString, E> {
                Ok(BinaryString(BinaryString::decode(text)))
            }
        }
        deserializer.deserialize_str(Decode)
    }
}

/// The `info_hash` of an announce is one, that of a scrape may be a list.
enum OneOrMany {
    One(BinaryString),
    Many(Vec<Id>),
    TooMany,
    Invalid,
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decode;
        impl<'de> Visitor<'de> for Decode {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary string of 20 characters, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(BinaryString(BinaryString::decode(text))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut ids = Some(Vec::new());
                let mut too_many = false;
                // The list is read to its end in any case, so that the message stays well-formed for serde.
                while let Some(BinaryString(id)) = list.next_element()? {
                    match (&mut ids, id) {
                        (Some(ids), _) if ids.len() >= MAX_SCRAPED_SWARMS => too_many = true,
                        (Some(ids), Some(id)) => ids.push(id),
                        _ => ids = None,
                    }
                }
                Ok(match ids {
                    _ if too_many => OneOrMany::TooMany,
                    Some(ids) => OneOrMany::Many(ids),
                    None => OneOrMany::Invalid,
                })
            }
        }
        deserializer.deserialize_any(Decode)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn announce_of(message: &Value) -> Value {
        // What a peer would see of the first offer or of the answer.
        let text = message.to_string();
        match parse(text.as_bytes()).unwrap() {
            Request::Announce(announce) => {
                let relayed = match &announce.answer {
                    Some(answer) => relayed_answer(answer, &announce.peer_id, &announce.info_hash),
                    None => relayed_offer(&announce.offers[0], &announce.peer_id, &announce.info_hash),
                };
                serde_json::from_str(&relayed).unwrap()
            }
            Request::Scrape(_) => panic!("a scrape"),
        }
    }

    #[test]
    fn offers_and_answers_pass_through_unchanged() {
        // Every byte value occurs in the ids.
        let binary = |start: u8| (0..20).map(|i| char::from(start.wrapping_add(i))).collect::<String>();
        for start in (0..=255).step_by(20) {
            let (hash, peer, offer_id) = (binary(start), binary(start.wrapping_add(7)), binary(start.wrapping_add(90)));
            let description = json!({"type": "offer", "sdp": "v=0\r\no=- \"x\" \u{1F600}", "more": [1.50, null, {}]});
            let message = json!({"action": "announce", "info_hash": hash, "peer_id": peer, "numwant": 5, "uploaded": 0,
                "offers": [{"offer": description, "offer_id": offer_id}], "unknown": [1, 2]});
            assert_eq!(
                announce_of(&message),
                json!({"action": "announce", "offer": description, "offer_id": offer_id, "peer_id": peer, "info_hash": hash})
            );
            let message = json!({"action": "announce", "info_hash": hash, "peer_id": peer, "to_peer_id": offer_id,
                "answer": description, "offer_id": offer_id});
            assert_eq!(
                announce_of(&message),
                json!({"action": "announce", "answer": description, "offer_id": offer_id, "peer_id": peer, "info_hash": hash})
            );
        }
    }

    #[test]
    fn replies_are_json_with_binary_strings() {
        let hash: Id = std::array::from_fn(|i| [0, 9, 31, 34, 92, 127, 128, 255][i % 8]);
        let text: String = hash.iter().map(|byte| char::from(*byte)).collect();
        let reply: Value = serde_json::from_str(&announce_reply(&hash, 1, 2, 120)).unwrap();
        assert_eq!(reply, json!({"complete": 1, "incomplete": 2, "action": "announce", "interval": 120, "info_hash": text}));
        let reply: Value = serde_json::from_str(&scrape_reply([(hash, 1, 2), ([65; 20], 0, 0)].into_iter(), 9)).unwrap();
        assert_eq!(reply["files"][&text], json!({"complete": 1, "incomplete": 2, "downloaded": 1}));
        assert_eq!(reply["flags"], json!({"min_request_interval": 9}));
        let reason = "ü".repeat(500) + "\"";
        let reply: Value = serde_json::from_str(&failure(&reason, Some(&hash))).unwrap();
        assert_eq!(reply["failure reason"], "ü".repeat(100));
        assert_eq!(reply["info_hash"], text);
    }

    #[test]
    fn what_a_peer_may_leave_out() {
        let id = "x".repeat(20);
        let announce = |fields: Value| {
            let mut message = json!({"action": "announce", "info_hash": id, "peer_id": id});
            message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let text = message.to_string();
            match parse(text.as_bytes()) {
                Ok(Request::Announce(a)) => Ok((a.event, a.complete, a.numwant, a.offers.len())),
                Ok(Request::Scrape(_)) => panic!("a scrape"),
                Err(error) => Err(error.to_string()),
            }
        };
        assert_eq!(announce(json!({})), Ok((Event::Present, false, None, 0)));
        assert_eq!(announce(json!({"event": null, "left": null, "offers": null})), Ok((Event::Present, false, None, 0)));
        assert_eq!(announce(json!({"event": "completed", "left": 0, "numwant": 3})), Ok((Event::Present, true, Some(3), 0)));
        assert_eq!(announce(json!({"event": "stopped", "numwant": -1})), Ok((Event::Stopped, false, None, 0)));
        assert_eq!(announce(json!({"event": "dance"})), Err("invalid event".to_owned()));
        assert_eq!(announce(json!({"info_hash": "short"})), Err("invalid info_hash".to_owned()));
        assert_eq!(announce(json!({"peer_id": "\u{100}".repeat(20)})), Err("invalid peer_id".to_owned()));
        assert_eq!(announce(json!({"answer": {}, "offer_id": "o"})), Err("to_peer_id is missing".to_owned()));
        assert_eq!(announce(json!({"answer": {}, "to_peer_id": id})), Err("offer_id is missing".to_owned()));
        assert_eq!(announce(json!({"answer": "text", "to_peer_id": id})), Err("invalid answer".to_owned()));
        assert_eq!(announce(json!({"offers": [{"offer": 1, "offer_id": 1}]})), Err("invalid offer".to_owned()));
        assert_eq!(announce(json!({"offers": [{"offer": {}, "offer_id": "x".repeat(300)}]})), Err("invalid offer_id".to_owned()));
    }

    #[test]
    fn scrapes_name_their_swarms() {
        let scrape = |info_hash: Value| {
            let text = json!({"action": "scrape", "info_hash": info_hash}).to_string();
            match parse(text.as_bytes()) {
                Ok(Request::Scrape(ids)) => Ok(ids.len()),
                Ok(Request::Announce(_)) => panic!("an announce"),
                Err(error) => Err(error.to_string()),
            }
        };
        let id = "x".repeat(20);
        assert_eq!(scrape(json!(id)), Ok(1));
        assert_eq!(scrape(json!([id, id])), Ok(2));
        assert_eq!(scrape(json!(vec![&id; 101])), Err("a scrape may name 100 swarms".to_owned()));
        assert_eq!(scrape(json!([id, "short", id])), Err("invalid info_hash".to_owned()));
        assert_eq!(scrape(Value::Null), Err("a scrape needs info_hash".to_owned()));
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in ["", "x", "[]", "{}", "null", "{\"action\":\"dance\"}", "{\"action\":\"announce\"}", "\u{1F600}", &"[".repeat(100_000)]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"action\":\"announce\",\"x\":\"\xff\"}").is_err(), "not UTF-8");
    }
}
