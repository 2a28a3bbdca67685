//! Recordings of an engine that is told one thing of each kind come back as they were; damaged ones are refused at the place of the damage.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

use std::io::{BufReader, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::backend::HttpHead;
use p2p_media_core::config::{Config, DynamicConfig};
use p2p_media_core::driver::Observer as _;
use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input, LoadId, PlayerRequestId, TrackerId, ValidationId};
use p2p_media_core::media::{
    ByteRange, FetchTimes, Playhead, Segment, SegmentForm, SegmentId, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate,
};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::timestamp::Timestamp;
use p2p_media_recording::{Digest, Reason, Recorder, Recording, RecordingError};

/// What is written can be read while the writer is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const KEY: SegmentKey = SegmentKey { stream: StreamKey(1), id: SegmentId(-7) };

/// One of each kind.
fn inputs() -> Vec<Input> {
    let segment = |id, byte_range, form| Segment {
        id: SegmentId(id),
        url: "http://origin.test/ä\n\"".into(),
        byte_range,
        start: 0.1 + 0.2,
        duration: f64::INFINITY,
        form,
    };
    let added = vec![
        segment(1, None, SegmentForm::Whole),
        segment(2, Some(ByteRange { first: 5, last: u64::MAX }), SegmentForm::Unfinished),
        segment(3, None, SegmentForm::Part),
    ];
    let change = DynamicConfig { upload_rate_limit: Some(None), upload_slots: Some(2), ..DynamicConfig::default() };
    let head = HttpHead { status: 206, range_first: Some(5), range_total: None, content_length: Some(u64::MAX) };
    let (http, connection, tracker) = (HttpId(3), ConnectionId(u64::MAX), TrackerId(1));
    let pieces: SegmentBytes = [Bytes::from_static(&[0; 5]), Bytes::from_static(&[0; 70_000])].into_iter().collect();
    vec![
        Input::StreamAdded(Stream { key: StreamKey(1), kind: StreamKind::Secondary, swarm_id: "v2-a".into() }),
        Input::StreamUpdated(StreamKey(1), StreamUpdate { added, removed: vec![SegmentId(i64::MIN)], live: true }),
        Input::PlayheadMoved(Playhead { position: -0.0, rate: 1.1 }),
        Input::PlayheadMoved(Playhead { position: f64::NEG_INFINITY, rate: 0.0 }),
        Input::SegmentRequested { request: PlayerRequestId(9), segment: KEY },
        Input::RequestCancelled(PlayerRequestId(9)),
        Input::ConfigChanged(Box::new(change)),
        Input::HttpHead(http, head),
        Input::HttpChunk(http, Bytes::from_static(&[0; 16_384])),
        Input::HttpEnd(http),
        Input::HttpFailed(http, "reset".to_owned()),
        Input::TrackerOpened(tracker),
        Input::TrackerMessage(tracker, "{\"interval\":120}\u{1}".to_owned()),
        Input::TrackerClosed(tracker, String::new()),
        Input::OfferMade(connection, "v=0\r\n".to_owned()),
        Input::AnswerMade(connection, "v=0\r\n".to_owned()),
        Input::ChannelOpened(connection),
        Input::PeerMessage(connection, Bytes::from_static(b"cstr\xff\x00cend")),
        Input::PeerMessage(connection, Bytes::from_static(&[0; 100])),
        Input::PeerSent(connection, 65_535),
        Input::ConnectionClosed(connection, "gone".to_owned()),
        Input::Stored(KEY),
        Input::StoreFailed(KEY, "full".to_owned()),
        Input::Loaded(LoadId(4), None),
        Input::Loaded(LoadId(5), Some(pieces)),
        Input::Validated(ValidationId(6), true),
        Input::SegmentFetched(
            KEY,
            Bytes::from_static(&[0; 50]),
            FetchTimes { response: Duration::from_micros(7), body: Duration::from_secs(1) },
        ),
        Input::DeadlineReached,
        Input::StreamRemoved(StreamKey(1)),
        Input::Shutdown,
    ]
}

/// An engine's session, as recorded, and the digests of what it asked for.
fn recorded() -> (Vec<u8>, Vec<(u64, String)>) {
    let written = Shared::default();
    let mut recorder = Recorder::to_writer(written.clone());
    let (config, seed, mut now) = (Config::default(), u64::MAX, Timestamp::from_micros(5));
    recorder.begins(&config, seed, now);
    let mut engine = Engine::new(config, seed, now);
    let mut digests = Vec::new();
    for input in inputs() {
        now = Timestamp::from_micros(now.as_micros() + 1_000);
        recorder.input(now, &input);
        engine.handle_input(now, input);
        let (mut outputs, mut digest) = (0, Digest::new());
        while let Some(output) = engine.poll_output() {
            recorder.output(&output);
            outputs += 1;
            digest.note(&output);
        }
        digests.push((outputs, digest.to_string()));
    }
    assert_eq!(recorder.outcome().error(), None);
    drop(recorder);
    let bytes = written.0.lock().unwrap().clone();
    (bytes, digests)
}

/// Reads to the end, or to the damage.
fn read(bytes: &[u8]) -> (Vec<p2p_media_recording::Step>, Option<RecordingError>) {
    let mut steps = Vec::new();
    let mut recording = match Recording::open(BufReader::new(bytes)) {
        Ok(recording) => recording,
        Err(error) => return (steps, Some(error)),
    };
    loop {
        match recording.next_step() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => return (steps, None),
            Err(error) => return (steps, Some(error)),
        }
    }
}

#[test]
fn every_input_comes_back_as_it_was() {
    let (bytes, digests) = recorded();
    let recording = Recording::open(BufReader::new(&*bytes)).unwrap();
    let made = recording.made();
    assert_eq!((made.seed, made.now), (u64::MAX, Timestamp::from_micros(5)));
    assert_eq!(made.config, Config { ice_servers: Vec::new(), ..Config::default() });
    let (steps, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(steps.len(), inputs().len());
    for ((step, input), digest) in steps.iter().zip(inputs()).zip(digests) {
        assert_eq!(format!("{:?}", step.input), format!("{input:?}"));
        assert_eq!((step.outputs, step.digest.clone()), digest);
    }
    assert!(steps.iter().any(|step| step.outputs > 0), "the engine asked for nothing");
}

#[test]
fn damage_is_told_with_its_line() {
    let (bytes, _) = recorded();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let after = |change: &dyn Fn(usize, &str) -> Option<String>| {
        let changed = lines.iter().enumerate().filter_map(|(index, line)| change(index + 1, line));
        let text: String = changed.map(|line| line + "\n").collect();
        let (steps, error) = read(text.as_bytes());
        let error = error.unwrap_or_else(|| panic!("read without an error:\n{text}"));
        assert_eq!(steps.len() as u64, error.line.saturating_sub(2).min(lines.len() as u64 - 2), "{error}");
        (error.line, error.to_string())
    };
    let (line, error) = after(&|number, line| Some(if number == 12 { line.replace("http_failed", "http_broke") } else { line.to_owned() }));
    assert!(line == 12 && error.contains("unknown variant `http_broke`") && error.contains("column"), "{error}");
    let (line, error) = after(&|number, line| Some(if number == 10 { line.replace("16384", "999999999999") } else { line.to_owned() }));
    assert!(line == 10 && error.contains("more than a segment may have"), "{error}");
    let (line, error) = after(&|number, line| (number != 20).then(|| line.to_owned()));
    assert!(line == lines.len() as u64 - 1 && error.contains("steps should be here"), "{error}");
    let (line, error) = after(&|number, line| (number < 9).then(|| line.to_owned()));
    assert!(line == 9 && error.contains("breaks off here"), "{error}");
    let (line, error) = after(&|number, line| Some(if number == 6 { lines[3].to_owned() } else { line.to_owned() }));
    assert!(line == 6 && error.contains("time runs backwards"), "{error}");
    let (line, error) =
        after(&|number, line| Some(if number == 1 { line.replace("\"version\":1", "\"version\":9") } else { line.to_owned() }));
    assert!(line == 1 && error.contains("of version 9"), "{error}");
    let (line, error) =
        after(&|number, line| Some(if number == 1 { line.replace("upload_slots", "upload_slot") } else { line.to_owned() }));
    assert!(line == 1 && error.contains("no option `upload_slot`"), "{error}");
}

#[test]
fn no_bytes_make_it_panic() {
    let (bytes, _) = recorded();
    for cut in (0..bytes.len()).step_by(3) {
        assert!(read(&bytes[..cut]).1.is_some(), "cut after {cut} bytes");
    }
    for at in (0..bytes.len()).step_by(5) {
        for byte in [0, b'"', b'9', b'}', 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            let Ok(recording) = Recording::open(BufReader::new(&*damaged)) else { continue };
            let made = recording.made().clone();
            let mut engine = Engine::new(made.config, made.seed, made.now);
            for step in read(&damaged).0 {
                engine.handle_input(step.now, step.input);
                while engine.poll_output().is_some() {}
            }
        }
    }
    assert!(matches!(read(b"").1.map(|error| error.reason), Some(Reason::NotARecording)));
    assert!(matches!(read(&[b'x'; 100]).1.map(|error| error.reason), Some(Reason::BreaksOff)));
}

#[test]
fn a_line_without_an_end_is_not_taken_into_memory() {
    let endless = BufReader::new(std::io::repeat(b'['));
    let error = Recording::open(endless).map(|_| ()).unwrap_err();
    assert!(matches!(error.reason, Reason::TooLong), "{error}");
}

#[test]
fn what_cannot_be_written_ends_the_recording_and_not_the_session() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut recorder = Recorder::to_writer(Full);
    let outcome = recorder.outcome();
    recorder.begins(&Config::default(), 1, Timestamp::ZERO);
    recorder.input(Timestamp::ZERO, &Input::Shutdown);
    drop(recorder);
    assert_eq!(outcome.error().as_deref(), Some("the disk is full"));
}
