//! Messages between two official peers and bittorrent-tracker.

use std::time::Duration;

use p2p_media_core::identity::{InfoHash, PeerId};
use p2p_media_core::tracker_protocol::{
    Announce, AnnounceEvent, Answer, MAX_SDP_BYTES, MAX_TRACKER_MESSAGE_BYTES, Offer, OfferId, TrackerMessage, TrackerMisbehaved,
    bytes_from_latin1,
};
use serde_json::{Value, json};

use crate::{rows, text};

fn bytes(message: &Value, field: &str) -> [u8; 20] {
    bytes_from_latin1(text(message, field)).unwrap_or_else(|| panic!("{field} of {message}"))
}

fn sdp(message: &Value, kind: &str) -> String {
    text(&message[kind], "sdp").to_owned()
}

#[test]
fn recorded_messages() {
    let (mut sent, mut received) = (0, 0);
    for row in rows(include_str!("../fixtures/tracker.json"), "messages") {
        let wire = text(&row, "text");
        let message: Value = serde_json::from_str(wire).expect("JSON");
        let (info_hash, peer_id) = (InfoHash(bytes(&message, "info_hash")), || PeerId(bytes(&message, "peer_id")));
        if row["direction"] == "recv" {
            received += 1;
            assert_eq!(TrackerMessage::parse(wire), Ok(expected(&message)));
            continue;
        }
        sent += 1;
        let ours = if message["offers"].is_null() {
            let to_peer_id = PeerId(bytes(&message, "to_peer_id"));
            let offer_id = OfferId(bytes(&message, "offer_id"));
            Answer { info_hash, peer_id: peer_id(), to_peer_id, offer_id, sdp: sdp(&message, "answer") }.to_json()
        } else {
            let offers = message["offers"].as_array().expect("offers").iter();
            Announce {
                info_hash,
                peer_id: peer_id(),
                event: (message["event"] == "started").then_some(AnnounceEvent::Started),
                uploaded: 0,
                downloaded: 0,
                offers: offers.map(|offer| Offer { offer_id: OfferId(bytes(offer, "offer_id")), sdp: sdp(offer, "offer") }).collect(),
            }
            .to_json()
        };
        assert_eq!(ours, wire);
    }
    assert_eq!((sent, received), (5, 9));
}

fn expected(message: &Value) -> TrackerMessage {
    let info_hash = InfoHash(bytes(message, "info_hash"));
    let relayed = || (PeerId(bytes(message, "peer_id")), OfferId(bytes(message, "offer_id")));
    if !message["offer"].is_null() {
        let (peer_id, offer_id) = relayed();
        TrackerMessage::Offer { info_hash, peer_id, offer_id, sdp: sdp(message, "offer") }
    } else if !message["answer"].is_null() {
        let (peer_id, offer_id) = relayed();
        TrackerMessage::Answer { info_hash, peer_id, offer_id, sdp: sdp(message, "answer") }
    } else {
        TrackerMessage::Announced {
            info_hash,
            interval: message["interval"].as_u64().map(Duration::from_secs),
            complete: message["complete"].as_u64(),
            incomplete: message["incomplete"].as_u64(),
            warning: None,
        }
    }
}

#[test]
fn leaving_says_stopped_and_offers_nothing() {
    let announce = Announce {
        info_hash: InfoHash(*b"aaaaaaaaaaaaaaaaaaaa"),
        peer_id: PeerId(*b"-PR0001-abcdefghijkl"),
        event: Some(AnnounceEvent::Stopped),
        uploaded: 7,
        downloaded: 8,
        offers: Vec::new(),
    };
    let expect = r#"{"numwant":0,"uploaded":7,"downloaded":8,"event":"stopped","action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"-PR0001-abcdefghijkl"}"#;
    assert_eq!(announce.to_json(), expect);
}

#[test]
fn failures_and_warnings() {
    let hash = "a".repeat(20);
    let info_hash = InfoHash([b'a'; 20]);
    let parse = |message: Value| TrackerMessage::parse(&message.to_string());
    let failure = |info_hash, reason: &str| Ok(TrackerMessage::Failure { info_hash, reason: reason.to_owned() });
    assert_eq!(parse(json!({"failure reason": "full", "action": "announce", "info_hash": hash})), failure(Some(info_hash), "full"));
    assert_eq!(parse(json!({"failure reason": "full"})), failure(None, "full"));
    assert_eq!(parse(json!({"failure reason": "é".repeat(501)})), failure(None, &"é".repeat(500)));
    let message = "soon down".to_owned();
    let warning = TrackerMessage::Warning { info_hash: Some(info_hash), message: message.clone() };
    assert_eq!(parse(json!({"action": "announce", "warning message": message, "info_hash": hash})), Ok(warning));
    let announced = parse(json!({"action": "announce", "warning message": message, "info_hash": hash, "interval": 2.5, "complete": -1}));
    let interval = Some(Duration::from_millis(2500));
    let expect = TrackerMessage::Announced { info_hash, interval, complete: None, incomplete: None, warning: Some(message) };
    assert_eq!(announced, Ok(expect));
    assert_eq!(parse(json!({"action": "scrape", "files": {}})), Ok(TrackerMessage::Unknown));
}

#[test]
fn hostile_messages() {
    let bad = |field| Err(TrackerMisbehaved::BadField { field });
    let hash = "a".repeat(20);
    for (message, expect) in [
        ("", Err(TrackerMisbehaved::NotAnObject)),
        ("[]", Err(TrackerMisbehaved::NotAnObject)),
        ("{\"a\":", Err(TrackerMisbehaved::NotAnObject)),
        ("{}", Ok(TrackerMessage::Unknown)),
        (r#"{"action":"announce"}"#, bad("info_hash")),
        (r#"{"action":"announce","info_hash":"abc"}"#, bad("info_hash")),
        (r#"{"action":"announce","info_hash":5}"#, bad("info_hash")),
        (&json!({"action":"announce","info_hash":"€".repeat(20)}).to_string(), bad("info_hash")),
        (&json!({"action":"announce","info_hash":hash,"offer":{"type":"answer","sdp":""}}).to_string(), bad("offer")),
        (&json!({"action":"announce","info_hash":hash,"offer":{"type":"offer"}}).to_string(), bad("offer")),
        (&json!({"action":"announce","info_hash":hash,"answer":null}).to_string(), bad("answer")),
        (&json!({"action":"announce","info_hash":hash,"answer":{"type":"answer","sdp":"x"},"peer_id":"y"}).to_string(), bad("peer_id")),
        (&json!({"action":"announce","info_hash":hash,"answer":{"type":"answer","sdp":"x"},"peer_id":hash}).to_string(), bad("offer_id")),
        (
            &json!({"action":"announce","info_hash":hash,"offer":{"type":"offer","sdp":"x".repeat(MAX_SDP_BYTES + 1)}}).to_string(),
            Err(TrackerMisbehaved::SdpTooLong { bytes: MAX_SDP_BYTES + 1 }),
        ),
        (&" ".repeat(MAX_TRACKER_MESSAGE_BYTES + 1), Err(TrackerMisbehaved::MessageTooLong { bytes: MAX_TRACKER_MESSAGE_BYTES + 1 })),
        (&"[".repeat(100_000), Err(TrackerMisbehaved::NotAnObject)),
    ] {
        assert_eq!(TrackerMessage::parse(message), expect, "{:.80}", message);
    }
}
