//! Commands on the wire.

use bytes::Bytes;
use p2p_media_core::media::SegmentId;
use p2p_media_core::peer_protocol::{Command, FrameReader, MIN_MESSAGE_BYTES, PeerMisbehaved, RequestId, is_command_frame};
use serde_json::Value;

use crate::{bytes_of_hex, command, decoded, frames, ids, rows, text};

const FIXTURE: &str = include_str!("../fixtures/wire.json");

/// The last command of the frames.
fn read(frames: impl IntoIterator<Item = impl Into<Bytes>>) -> Result<Option<Command>, PeerMisbehaved> {
    let mut reader = FrameReader::new();
    frames.into_iter().try_fold(None, |_, frame| reader.push(frame.into()))
}

fn body(frames: &[impl AsRef<[u8]>]) -> Vec<u8> {
    frames.iter().map(AsRef::as_ref).flat_map(|frame| frame[4..frame.len() - 4].to_vec()).collect()
}

/// The lists of an announcement as the official decoder reads them, blocks of 256 ids and all, given that it holds nothing else.
fn official_lists(body: &[u8]) -> Vec<(char, Vec<SegmentId>)> {
    let mut rest = body[1..].iter().copied();
    let mut lists = Vec::new();
    while let Some(name) = rest.next() {
        assert_eq!(rest.next(), Some(0x10));
        let mut ids = Vec::new();
        for _ in 0..rest.next().expect("a block count") {
            let length = rest.next().expect("an integer");
            assert!(length < 0x10);
            let head: Vec<u8> = rest.by_ref().take(length.into()).collect();
            let magnitude = head.iter().enumerate().fold(0, |sum, (at, &b)| sum << 8 | i64::from(if at == 0 { b & 0x7f } else { b }));
            let head = if head[0] < 0x80 { magnitude } else { -magnitude };
            ids.extend(rest.by_ref().take((head & 0xff) as usize).map(|low| SegmentId(head & !0xff | i64::from(low))));
        }
        ids.sort();
        lists.push((char::from(name), ids));
    }
    lists
}

#[test]
fn encodings() {
    let rows = rows(FIXTURE, "vectors");
    assert_eq!(rows.len(), 219, "220 less one id of 1.5, which is no number that an id can be");
    for row in rows {
        let command = command(&row["command"]).expect("a whole command");
        let max = row["max"].as_u64().expect("a limit") as usize;
        let (official, ours) = (frames(&row), command.encode(max));
        let name = text(&row, "name");
        assert!(ours.iter().all(|frame| frame.len() > 8 && frame.len() <= max.max(MIN_MESSAGE_BYTES)), "{name}");
        if row.get("official_decodes").is_some() {
            official_encoder_is_wrong(name, &command, &official, &ours);
            continue;
        }
        assert_eq!(read(ours.clone()), Ok(Some(decoded(command.clone()))), "{name}");
        assert_eq!(read(official.clone()), Ok(Some(decoded(command))), "{name}");
        if row["bad_frames"] == Value::Bool(true) || max < MIN_MESSAGE_BYTES {
            assert_eq!(body(&ours), body(&official), "{name}");
        } else {
            assert_eq!(ours, official, "{name}");
        }
    }
}

fn official_encoder_is_wrong(name: &str, command: &Command, official: &[Vec<u8>], ours: &[Bytes]) {
    let Command::Announcement { loaded, loading, relaying: None } = decoded(command.clone()) else { panic!("{name} is no announcement") };
    let too_many_blocks = ["announce/256-blocks", "announce/257-blocks", "announce/300-blocks-with-p"].contains(&name);
    let kept = if too_many_blocks { loaded[..255].to_vec() } else { loaded };
    let expect = Command::Announcement { loaded: kept.clone(), loading: loading.clone(), relaying: None };
    assert_eq!(read(ours.to_vec()), Ok(Some(expect.clone())), "{name}");
    let mut lists = official_lists(&body(ours));
    lists.iter_mut().for_each(|(_, ids)| ids.dedup());
    let expect_lists = [('l', kept), ('p', loading)].into_iter().filter(|(_, ids)| !ids.is_empty());
    assert_eq!(lists, expect_lists.collect::<Vec<_>>(), "{name}");
    // Of the official bytes we understand more than the official decoder, and never get anything wrong.
    let garbled = too_many_blocks || name == "announce/257-in-one-block-dups";
    let understood = if garbled { Command::Unknown { code: 0 } } else { expect };
    assert_eq!(read(official.to_vec()), Ok(Some(understood)), "{name}");
}

#[test]
fn alternative_encodings_that_the_official_decoder_accepts() {
    for row in rows(FIXTURE, "alternative_encodings") {
        let expect = decoded(command(&row["decoded"]).expect("a whole command"));
        assert_eq!(read(frames(&row)), Ok(Some(expect.clone())));
        if ["256 ids as blocks 255+1 of one common part", "255 blocks of 1"].contains(&text(&row, "name")) {
            assert_eq!(expect.encode(65_535), frames(&row), "which is how ours does it");
        }
    }
}

#[test]
fn integers_and_strings() {
    for row in rows(FIXTURE, "ints") {
        let segment = SegmentId(row["n"].as_i64().expect("an integer"));
        let command = Command::Cancel { segment, request: RequestId(7) };
        let body = [b"\x05i", &bytes_of_hex(text(&row, "hex"))[..], b"r\x01\x07"].concat();
        assert_eq!(Command::decode(&body), Ok(command.clone()));
        assert_eq!(command.encode(100), [[b"cstr", &body[..], b"cend"].concat()]);
    }
    // No command of ours has strings; those of later versions are stepped over. The official encoder states the length in UTF-16 units, so
    // only ASCII survives it.
    for row in rows(FIXTURE, "strings") {
        let body = [b"\x05z", &bytes_of_hex(text(&row, "hex"))[..], b"i\x01\x05r\x01\x07"].concat();
        let expect = Command::Cancel { segment: SegmentId(5), request: RequestId(7) };
        let ascii = text(&row, "s").is_ascii();
        assert_eq!(Command::decode(&body), if ascii { Ok(expect) } else { Err(PeerMisbehaved::MalformedCommand) });
    }
}

/// Where the official decoder makes something of what is missing or cannot be, and ours calls it malformed.
const STRICTER: [&str; 12] = [
    "'cstr'+'cend' (empty body)",
    "request without fields",
    "request only i",
    "int with length 0 (metadata 0x00)",
    "int length 15 truncated",
    "field name with no type byte",
    "array declares 2 blocks, has 1",
    "string truncated",
    "field i as array",
    "l as int",
    "int 9 bytes (> 2^53)",
    "int 15 bytes",
];

#[test]
fn malformed_messages() {
    let rows = rows(FIXTURE, "malformed");
    assert_eq!(rows.len(), 38);
    for row in rows {
        let (name, message) = (text(&row, "name"), bytes_of_hex(text(&row, "hex")));
        assert_eq!(Value::Bool(is_command_frame(&message)), row["frame"], "{name}");
        let expect = if row["frame"] == Value::Bool(false) || row["error"] == "no-first-chunk" {
            Ok(None)
        } else if STRICTER.contains(&name) || !row["error"].is_null() {
            Err(PeerMisbehaved::MalformedCommand)
        } else {
            Ok(Some(command(&row["decoded"]).expect(name)))
        };
        assert_eq!(read([message]), expect, "{name}");
    }
}

#[test]
fn frame_sequences() {
    let request = Command::Request { segment: SegmentId(5), request: RequestId(7), first_byte: 0, last_byte: None };
    for row in rows(FIXTURE, "joiner_sequences") {
        let name = text(&row, "name");
        let official: Vec<Command> = row["commands"].as_array().expect("commands").iter().map(|c| command(c).expect(name)).collect();
        assert!(official.iter().all(|command| *command == request));
        // An unfinished command costs the official peer the next one too; ours only the unfinished one. An empty first frame is one.
        let ours = match name {
            "first frame twice (second first-frame discarded too)"
            | "first frame, then a complete single-frame command: BOTH are lost"
            | "unfinished then next command after reset"
            | "empty first frame: joiner length stays 0, next div frame -> no-first-chunk" => official.len() + 1,
            _ => official.len(),
        };
        let mut reader = FrameReader::new();
        let results: Vec<_> = frames(&row).into_iter().map(|frame| reader.push(frame.into())).collect();
        assert_eq!(results.iter().filter(|result| **result == Ok(Some(request.clone()))).count(), ours.min(results.len()), "{name}");
        let errors = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(errors, usize::from(name.starts_with("undecodable command")), "{name}");
        assert!(!reader.is_unfinished() || errors > 0, "{name}");
    }
}

#[test]
fn runs_of_the_fixtures_expand() {
    let runs = serde_json::json!([0, [2, 4], -1]);
    assert_eq!(ids(&runs), Some([0, 2, 3, 4, -1].map(SegmentId).to_vec()));
}
