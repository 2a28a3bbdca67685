//! Stream ids, swarm ids, info hashes and peer ids.

use p2p_media_core::identity::{InfoHash, PeerId, StreamProperties, stream_id, stream_swarm_id};
use p2p_media_core::media::StreamKind;
use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::{rows, text};

const FIXTURE: &str = include_str!("../fixtures/identity.json");

/// A property that JavaScript may have as a number and a manifest has as text. JavaScript takes the number 0 for absent there, unlike the
/// text "0", which has a vector of its own.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| number.to_string()),
        _ => None,
    }
}

#[test]
fn stream_ids() {
    let rows = rows(FIXTURE, "stream_ids");
    assert_eq!(rows.len(), 112);
    for row in rows {
        let input = &row["input"];
        let pixels = |field: &str| input[field].as_u64().map(|pixels| pixels as u32);
        let properties = StreamProperties {
            bitrate: input["bitrate"].as_f64(),
            codecs: as_text(&input["codecs"]),
            width: pixels("width"),
            height: pixels("height"),
            language: as_text(&input["language"]),
            channels: as_text(&input["channels"]),
            name: as_text(&input["name"]),
            frame_rate: as_text(&input["frameRate"]),
            video_range: as_text(&input["videoRange"]),
        };
        assert_eq!(stream_id(&properties), text(&row, "output"), "{row}");
    }
}

#[test]
fn sha1_of_text() {
    for row in rows(FIXTURE, "sha1") {
        let input = match text(&row, "s").split_once('*') {
            Some((repeated, times)) => repeated.repeat(times.parse().expect("a count")),
            None => text(&row, "s").to_owned(),
        };
        let hex: String = Sha1::digest(input).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text(&row, "sha1hex"));
    }
}

#[test]
fn swarm_ids_and_info_hashes() {
    for row in rows(FIXTURE, "swarms") {
        let kind = if text(&row, "kind") == "main" { StreamKind::Main } else { StreamKind::Secondary };
        let swarm_id = stream_swarm_id("v2", text(&row, "base"), kind, text(&row, "stream_id"));
        assert_eq!(swarm_id, text(&row, "swarm_id"));
        let info_hash = InfoHash::of_swarm(&swarm_id);
        assert_eq!(info_hash.to_string(), text(&row, "info_hash"));
        assert_eq!(format!("{info_hash:x}"), text(&row, "info_hash_hex"));
    }
}

#[test]
fn peer_ids() {
    for row in rows(FIXTURE, "peer_ids") {
        let (prefix, example) = (text(&row, "prefix"), text(&row, "example"));
        let ours = PeerId::generate(prefix, || 0).to_string();
        // The official client makes too long an id of too long a prefix; a tracker would refuse it.
        let kept = &prefix[..prefix.len().min(20)];
        assert!(ours.len() == 20 && ours.starts_with(kept) && example.starts_with(kept));
        assert!(ours.len() == example.len() || prefix.len() > 20);
        assert!(ours[kept.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
