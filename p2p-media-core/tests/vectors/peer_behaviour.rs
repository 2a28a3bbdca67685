//! Scripted meetings, once held with the official peer: the same scripts, with our side in its place.

use bytes::Bytes;
use p2p_media_core::media::SegmentId;
use p2p_media_core::peer_protocol::{
    Command, IncomingSegment, IncomingStep, MAX_MESSAGE_BYTES, MessageReader, PeerMessage, PeerMisbehaved, RequestId, payload_chunk,
};
use p2p_media_core::segment_bytes::SegmentBytes;
use serde_json::{Value, json};

use crate::{bytes_of_hex, command, rows, text};

const FIXTURE: &str = include_str!("../fixtures/peer_behaviour.json");
const SEGMENT: SegmentId = SegmentId(5);
const REQUEST: RequestId = RequestId(7);
const OTHER_REQUEST: RequestId = RequestId(8);

/// One side of a connection, as the engine holds it, and what has come over it.
#[derive(Default)]
struct Receiver {
    reader: MessageReader,
    download: Option<IncomingSegment>,
    loaded: u64,
    ended: Option<&'static str>,
    violation: Option<PeerMisbehaved>,
    commands: Vec<Command>,
}

impl Receiver {
    fn downloading(first_byte: u64, total: Option<u64>) -> Self {
        Self { download: Some(IncomingSegment::new(SEGMENT, REQUEST, first_byte, total)), loaded: first_byte, ..Self::default() }
    }

    fn message(&mut self, message: impl Into<Bytes>) {
        let expected = self.download.as_ref().map_or(0, IncomingSegment::remaining);
        if let Err(misbehaved) = self.reader.push(message.into(), expected) {
            self.violation = Some(misbehaved);
        }
        while let Some(message) = self.reader.next_message() {
            let step = match (&mut self.download, message) {
                (Some(download), PeerMessage::Command(command)) => {
                    self.commands.push(command.clone());
                    download.on_command(&command)
                }
                (Some(download), PeerMessage::Payload(payload)) => download.on_payload(payload),
                (None, PeerMessage::Command(command)) => {
                    self.commands.push(command);
                    IncomingStep::Ignored
                }
                (None, PeerMessage::Payload(_)) => IncomingStep::Ignored,
            };
            match step {
                IncomingStep::Ignored | IncomingStep::Started { .. } | IncomingStep::SizeTold => {}
                IncomingStep::Bytes(bytes) => self.loaded += bytes.len() as u64,
                IncomingStep::Completed => self.ended = Some("succeed"),
                IncomingStep::Absent => self.ended = Some("failed"),
                IncomingStep::Violation(misbehaved) => self.violation = Some(misbehaved),
            }
        }
    }

    fn command(&mut self, command: &Command) {
        command.encode(MAX_MESSAGE_BYTES).into_iter().for_each(|frame| self.message(frame));
    }

    fn data(&mut self, request: RequestId, remaining: u64) {
        self.command(&Command::Data { segment: SEGMENT, request, remaining: Some(remaining) });
    }

    fn payload(&mut self, bytes: usize) {
        self.message(vec![0; bytes]);
    }

    fn completed(&mut self, request: RequestId) {
        self.command(&Command::Completed { segment: SEGMENT, request });
    }

    /// How it ended, in the words of the fixture: the official peer forgets the bytes of a failed download.
    fn outcome(&self) -> Value {
        let status = match (self.violation, self.ended, &self.download) {
            (Some(_), ..) => "failed",
            (None, Some(ended), _) => ended,
            (None, None, Some(_)) => "loading",
            (None, None, None) => "not-started",
        };
        let loaded = if status == "failed" { 0 } else { self.loaded };
        json!({"status": status, "loaded_bytes": loaded, "closed": self.violation.is_some()})
    }
}

fn play(name: &str) -> Receiver {
    let mut r = Receiver::downloading(0, None);
    match name {
        "normal" => {
            r.data(REQUEST, 100);
            r.payload(60);
            r.payload(40);
            r.completed(REQUEST);
        }
        "payload before SegmentData is ignored" => {
            r.payload(50);
            r.data(REQUEST, 100);
            r.payload(100);
            r.completed(REQUEST);
        }
        "SegmentData with wrong r is ignored" => {
            r.data(OTHER_REQUEST, 100);
            r.payload(100);
        }
        "more payload than s" => {
            r.data(REQUEST, 100);
            r.payload(101);
        }
        "Completed before all bytes" => {
            r.data(REQUEST, 100);
            r.payload(99);
            r.completed(REQUEST);
        }
        "Completed with wrong r after SegmentData" => {
            r.data(REQUEST, 100);
            r.payload(100);
            r.completed(OTHER_REQUEST);
        }
        "Completed without SegmentData is ignored" => r.completed(REQUEST),
        "all bytes but no Completed -> timeout" => {
            r.data(REQUEST, 100);
            r.payload(100);
        }
        "no answer -> timeout -> Cancel" => {}
        "Absent" => {
            r.command(&Command::Announcement { loaded: vec![SEGMENT, SegmentId(6)], loading: Vec::new(), relaying: None });
            r.command(&Command::Absent { segment: SEGMENT, request: REQUEST });
        }
        "byteRange segment, wrong s" => {
            r = Receiver::downloading(0, Some(100));
            r.data(REQUEST, 120);
        }
        "resume: 40 of 100 known, b=40, s=60" => {
            r = Receiver::downloading(40, Some(100));
            r.data(REQUEST, 60);
            r.payload(60);
            r.completed(REQUEST);
        }
        "resume: remote ignores b and sends s=100" => {
            r = Receiver::downloading(40, Some(100));
            r.data(REQUEST, 100);
        }
        "resume: 40 bytes loaded, total UNKNOWN (no Content-Length), b=40, s=60 (correct answer)" => {
            r = Receiver::downloading(40, None);
            r.data(REQUEST, 60);
            r.payload(60);
            r.completed(REQUEST);
        }
        "s=0, no payload, Completed" => {
            r.data(REQUEST, 0);
            r.completed(REQUEST);
        }
        "second SegmentData ignored" => {
            r.data(REQUEST, 100);
            r.data(REQUEST, 50);
            r.payload(100);
            r.completed(REQUEST);
        }
        "announcement with l as int (unhandled rejection)" => {
            r = Receiver::default();
            r.message(bytes_of_hex("63737472006c010563656e64"));
        }
        "256-id announcement then status" => {
            r = Receiver::default();
            r.command(&Command::Announcement { loaded: vec![SEGMENT], loading: Vec::new(), relaying: None });
            let all_low_bytes: Vec<u8> = (0..=255).collect();
            r.message([b"cstr\0l\x10\x01\x01\0", &all_low_bytes[..], b"cend"].concat());
        }
        "payload that looks like a command frame (cstr..cend, undecodable) inside a segment" => {
            r.data(REQUEST, 20);
            r.message(Bytes::from_static(b"cstr\x00\x30\x30\x30cend"));
            r.payload(8);
            r.completed(REQUEST);
        }
        "upload: request, then same-peer second request while uploading" => {
            r = Receiver::default();
            r.command(&Command::Request { segment: SEGMENT, request: REQUEST, first_byte: 0, last_byte: None });
            r.command(&Command::Request { segment: SegmentId(6), request: OTHER_REQUEST, first_byte: 10, last_byte: None });
        }
        "upload cancel with matching r only; i is not checked" => {
            r = Receiver::default();
            r.command(&Command::Cancel { segment: SegmentId(999), request: REQUEST });
        }
        other => panic!("no script for {other}"),
    }
    r
}

/// Where our outcome is another one, and why.
fn expected(row: &Value) -> Value {
    match text(row, "name") {
        // The engine keeps the time; without its timeout the download is still running.
        "all bytes but no Completed -> timeout" => json!({"status": "loading", "loaded_bytes": 100, "closed": false}),
        "no answer -> timeout -> Cancel" => json!({"status": "loading", "loaded_bytes": 0, "closed": false}),
        // Better: a correct peer is not dropped.
        "resume: 40 bytes loaded, total UNKNOWN (no Content-Length), b=40, s=60 (correct answer)" => {
            json!({"status": "succeed", "loaded_bytes": 100, "closed": false})
        }
        // Better: the byte count goes before the frame marks.
        "payload that looks like a command frame (cstr..cend, undecodable) inside a segment" => {
            json!({"status": "succeed", "loaded_bytes": 20, "closed": false})
        }
        // Stricter: no segment is empty.
        "s=0, no payload, Completed" => json!({"status": "failed", "loaded_bytes": 0, "closed": false}),
        // Stricter: no encoder makes this.
        "announcement with l as int (unhandled rejection)" => json!({"status": "failed", "loaded_bytes": 0, "closed": true}),
        _ => json!({"status": row["status"], "loaded_bytes": row["loaded_bytes"], "closed": row["closed"]}),
    }
}

#[test]
fn every_scenario_ends_as_with_the_official_peer_or_better() {
    let rows = rows(FIXTURE, "scenarios");
    assert_eq!(rows.len(), 21);
    for row in rows {
        assert_eq!(play(text(&row, "name")).outcome(), expected(&row), "{}", text(&row, "name"));
    }
}

#[test]
fn violations_say_what_was_wrong() {
    for (name, violation) in [
        ("more payload than s", PeerMisbehaved::TooMuchPayload { excess: 1 }),
        ("Completed before all bytes", PeerMisbehaved::CompletedEarly { missing: 1 }),
        ("Completed with wrong r after SegmentData", PeerMisbehaved::CompletedOther),
        ("byteRange segment, wrong s", PeerMisbehaved::WrongLength { expected: 100, announced: 120 }),
        ("resume: remote ignores b and sends s=100", PeerMisbehaved::WrongLength { expected: 60, announced: 100 }),
        ("announcement with l as int (unhandled rejection)", PeerMisbehaved::MalformedCommand),
    ] {
        assert_eq!(play(name).violation, Some(violation), "{name}");
    }
}

#[test]
fn commands_that_are_not_about_the_download_reach_the_engine() {
    let requests: Vec<Command> = play("upload: request, then same-peer second request while uploading").commands;
    let row = &rows(FIXTURE, "scenarios")[19];
    let incoming = row["incoming_requests"].as_array().expect("requests").iter();
    let expect = incoming.map(|r| Command::Request {
        segment: SegmentId(r["i"].as_i64().expect("i")),
        request: RequestId(r["r"].as_u64().expect("r")),
        first_byte: r["b"].as_u64().unwrap_or(0),
        last_byte: None,
    });
    assert_eq!(requests, expect.collect::<Vec<_>>());

    let cancels = play("upload cancel with matching r only; i is not checked").commands;
    assert!(matches!(cancels[..], [Command::Cancel { request: REQUEST, .. }]));

    // Better than the official peer, which keeps the old list.
    let announcements = play("256-id announcement then status").commands;
    assert_eq!(announcements[1], Command::Announcement { loaded: (0..256).map(SegmentId).collect(), loading: Vec::new(), relaying: None });
}

#[test]
fn what_we_send_is_what_the_official_peer_sends() {
    for row in rows(FIXTURE, "scenarios") {
        for sent in row["sent"].as_array().expect("sent") {
            if let Some(command) = command(sent) {
                assert!(matches!(
                    command,
                    Command::Request { .. } | Command::Cancel { .. } | Command::Data { .. } | Command::Completed { .. }
                ));
            }
        }
    }
    let upload = &rows(FIXTURE, "scenarios")[19]["sent"];
    let segment: SegmentBytes = Bytes::from(vec![0; 150_000]).into();
    let mut offset = 0;
    let chunks = std::iter::from_fn(|| payload_chunk(&segment, offset, MAX_MESSAGE_BYTES).inspect(|chunk| offset += chunk.len() as u64));
    let ours: Vec<Value> = chunks.map(|chunk| json!({"payload": chunk.len()})).collect();
    assert_eq!(upload.as_array().expect("sent")[1..4], ours);
}
