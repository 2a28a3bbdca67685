//! How long one engine takes to decide: a film of 20,000 segments, 50 connected peers, each with 2,000 segments. Every figure covers
//! `handle_input` and the draining of what it leads to.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use p2p_media_core::backend::HttpHead;
use p2p_media_core::config::Config;
use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input, PlayerRequestId, TrackerId};
use p2p_media_core::engine::output::Output;
use p2p_media_core::identity::{InfoHash, PEER_ID_PREFIX, PeerId};
use p2p_media_core::media::{Playhead, Segment, SegmentId, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate};
use p2p_media_core::peer_protocol::{Command, MAX_MESSAGE_BYTES, MessageReader, PeerMessage, RequestId};
use p2p_media_core::timestamp::Timestamp;
use p2p_media_core::tracker_protocol::latin1_from_bytes;
use serde_json::json;

const SEGMENTS: i64 = 20_000;
/// Segments from here on only the origin has.
const FIRST_UNSHARED: i64 = 16_000;
const PEERS: u64 = 50;
const IDS_PER_PEER: usize = 2_000;
const CHUNKS_PER_SEGMENT: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
const ROUNDS: usize = 400;
const STREAM: StreamKey = StreamKey(0);

/// Median times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineFigures {
    /// A player's request for a segment that peers have.
    pub request_from_peer_us: f64,
    /// A player's request for a segment that must come from the origin at once.
    pub request_from_origin_us: f64,
    /// A seek: the playhead moves, and the whole near window is decided about.
    pub seek_us: f64,
    /// 64 KiB from the origin.
    pub http_chunk_us: f64,
    /// 64 KiB from a peer.
    pub peer_chunk_us: f64,
    /// A peer's announcement of 2,000 segments.
    pub announcement_us: f64,
}

impl EngineFigures {
    /// Each figure with its name and the limit it must keep.
    pub const fn rows(&self) -> [(&'static str, f64, f64); 6] {
        [
            ("request_from_peer_us", self.request_from_peer_us, 50.0),
            ("request_from_origin_us", self.request_from_origin_us, 50.0),
            ("seek_us", self.seek_us, 200.0),
            ("http_chunk_us", self.http_chunk_us, 2.0),
            ("peer_chunk_us", self.peer_chunk_us, 2.0),
            ("announcement_us", self.announcement_us, 200.0),
        ]
    }

    /// True when no figure exceeds its limit.
    pub fn are_within_limits(&self) -> bool {
        self.rows().iter().all(|(_, figure, limit)| figure <= limit)
    }

    /// The figures and their limits as JSON.
    pub fn to_json(&self) -> String {
        let figures: serde_json::Map<_, _> =
            self.rows().iter().map(|(name, figure, limit)| ((*name).to_owned(), json!({ "median": figure, "limit": limit }))).collect();
        json!({ "engine": figures, "within_limits": self.are_within_limits() }).to_string()
    }
}

impl fmt::Display for EngineFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<26}{:>10}{:>10}", "median", "figure", "limit")?;
        self.rows().iter().try_for_each(|(name, figure, limit)| writeln!(f, "{name:<26}{figure:>10.2}{limit:>10.0}"))
    }
}

/// Measures.
pub fn measure() -> EngineFigures {
    let mut bench = Bench::new();
    bench.connect_peers();
    let announcements = bench.announce();
    let seeks = bench.seeks();
    // Far ahead of the playhead there is time to ask a peer; behind it there is none, and only the origin has the segment.
    let from_peer = bench.requests(0.0, 100..FIRST_UNSHARED);
    let from_origin = bench.requests(SEGMENTS as f64 * 2.0, FIRST_UNSHARED..SEGMENTS);
    assert_eq!(bench.engine.stats().peers, PEERS as usize, "not all peers stayed: the figures would mean nothing");
    EngineFigures {
        request_from_peer_us: median(from_peer),
        request_from_origin_us: median(from_origin),
        seek_us: median(seeks),
        http_chunk_us: median(std::mem::take(&mut bench.http_chunks)),
        peer_chunk_us: median(std::mem::take(&mut bench.peer_chunks)),
        announcement_us: median(announcements),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Bench {
    engine: Engine,
    now: Timestamp,
    random: fastrand::Rng,
    connections: Vec<ConnectionId>,
    fetches: VecDeque<HttpId>,
    peer_requests: VecDeque<(ConnectionId, SegmentId, RequestId, u64)>,
    /// Handshakes that wait for our part.
    answers: Vec<ConnectionId>,
    next_request: u64,
    chunk: Bytes,
    http_chunks: Vec<f64>,
    peer_chunks: Vec<f64>,
}

impl Bench {
    fn new() -> Self {
        let config = Config { announce_trackers: vec!["wss://tracker.test".to_owned()], ..Config::default() };
        let mut bench = Self {
            engine: Engine::new(config, 1, Timestamp::ZERO),
            now: Timestamp::ZERO,
            random: fastrand::Rng::with_seed(1),
            connections: Vec::new(),
            fetches: VecDeque::new(),
            peer_requests: VecDeque::new(),
            answers: Vec::new(),
            next_request: 0,
            chunk: vec![7; CHUNK_BYTES].into(),
            http_chunks: Vec::new(),
            peer_chunks: Vec::new(),
        };
        let segment = |id: i64| Segment {
            id: SegmentId(id),
            url: format!("https://origin.test/{id}").into(),
            byte_range: None,
            start: id as f64 * 2.0,
            duration: 2.0,
            form: Default::default(),
        };
        bench.give(Input::StreamAdded(Stream { key: STREAM, kind: StreamKind::Main, swarm_id: "swarm".into() }));
        let update = StreamUpdate { added: (0..SEGMENTS).map(segment).collect(), ..StreamUpdate::default() };
        bench.give(Input::StreamUpdated(STREAM, update));
        bench.give(Input::PlayheadMoved(Playhead { position: 0.0, rate: 1.0 }));
        bench.request(0);
        bench.serve_all();
        bench.give(Input::TrackerOpened(TrackerId(0)));
        bench
    }

    /// One input, timed in microseconds.
    fn give(&mut self, input: Input) -> f64 {
        self.now = self.now.offset_secs(0.0001);
        let mut outputs = Vec::with_capacity(256);
        let begin = Instant::now();
        self.engine.handle_input(self.now, input);
        while let Some(output) = self.engine.poll_output() {
            outputs.push(output);
        }
        let time_us = begin.elapsed().as_secs_f64() * 1e6;
        outputs.into_iter().for_each(|output| self.note(output));
        time_us
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::StartHttp(id, _) => self.fetches.push_back(id),
            Output::StopHttp(id) => self.fetches.retain(|fetch| *fetch != id),
            Output::MakeAnswer(connection, _) => self.answers.push(connection),
            Output::SendToPeer(connection, message) => {
                let mut reader = MessageReader::new();
                if message.len() < 64 && reader.push(message, 0).is_ok() {
                    match reader.next_message() {
                        Some(PeerMessage::Command(Command::Request { segment, request, first_byte, .. })) => {
                            self.peer_requests.push_back((connection, segment, request, first_byte));
                        }
                        Some(PeerMessage::Command(Command::Cancel { request, .. })) => {
                            self.peer_requests.retain(|(other, _, asked, _)| (*other, *asked) != (connection, request));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn connect_peers(&mut self) {
        for _ in 0..PEERS {
            let mut random = fastrand::Rng::with_seed(self.random.u64(..));
            let offer = json!({
                "action": "announce",
                "info_hash": latin1_from_bytes(&InfoHash::of_swarm("swarm").0),
                "peer_id": latin1_from_bytes(&PeerId::generate(PEER_ID_PREFIX, || random.u64(..)).0),
                "offer_id": latin1_from_bytes(&std::array::from_fn::<u8, 20, _>(|_| random.u8(..))),
                "offer": { "type": "offer", "sdp": "v=0" },
            });
            self.give(Input::TrackerMessage(TrackerId(0), offer.to_string()));
            for connection in std::mem::take(&mut self.answers) {
                self.give(Input::AnswerMade(connection, "v=0".to_owned()));
                self.give(Input::ChannelOpened(connection));
                self.connections.push(connection);
            }
        }
    }

    /// Every peer says what it has, several times over; gives the times.
    fn announce(&mut self) -> Vec<f64> {
        let mut times = Vec::new();
        for _ in 0..5 {
            for connection in self.connections.clone() {
                let mut ids: Vec<_> = (0..IDS_PER_PEER).map(|_| SegmentId(self.random.i64(0..FIRST_UNSHARED))).collect();
                ids.sort_unstable();
                ids.dedup();
                let frames = Command::Announcement { loaded: ids, loading: Vec::new(), relaying: None }.encode(MAX_MESSAGE_BYTES);
                times.push(frames.into_iter().map(|frame| self.give(Input::PeerMessage(connection, frame))).sum());
                self.serve_all();
            }
        }
        times
    }

    /// The player jumps about in the film; gives the times.
    fn seeks(&mut self) -> Vec<f64> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let position = self.random.f64() * FIRST_UNSHARED as f64 * 2.0;
            times.push(self.give(Input::PlayheadMoved(Playhead { position, rate: 1.0 })));
            self.serve_all();
        }
        times
    }

    /// The player stands at a position and asks for segments of a range that are not here; gives the times.
    fn requests(&mut self, position: f64, segments: std::ops::Range<i64>) -> Vec<f64> {
        self.give(Input::PlayheadMoved(Playhead { position, rate: 1.0 }));
        self.serve_all();
        let mut times = Vec::new();
        while times.len() < ROUNDS {
            let id = self.random.i64(segments.clone());
            let time_us = self.request(id);
            if !(self.fetches.is_empty() && self.peer_requests.is_empty()) {
                times.push(time_us);
            }
            self.serve_all();
        }
        times
    }

    fn request(&mut self, id: i64) -> f64 {
        self.next_request += 1;
        let segment = SegmentKey { stream: STREAM, id: SegmentId(id) };
        self.give(Input::SegmentRequested { request: PlayerRequestId(self.next_request), segment })
    }

    /// Origin and peers give what they were asked for.
    fn serve_all(&mut self) {
        let size = (CHUNKS_PER_SEGMENT * CHUNK_BYTES) as u64;
        // More than this at once would be a mistake of the engine, not to be waited for.
        for _ in 0..1000 {
            if let Some(fetch) = self.fetches.pop_front() {
                let head = HttpHead { status: 200, content_length: Some(size), ..HttpHead::default() };
                self.give(Input::HttpHead(fetch, head));
                for _ in 0..CHUNKS_PER_SEGMENT {
                    let time_us = self.give(Input::HttpChunk(fetch, self.chunk.clone()));
                    self.http_chunks.push(time_us);
                }
                self.give(Input::HttpEnd(fetch));
            } else if let Some((connection, segment, request, first_byte)) = self.peer_requests.pop_front() {
                for frame in (Command::Data { segment, request, remaining: Some(size - first_byte) }).encode(MAX_MESSAGE_BYTES) {
                    self.give(Input::PeerMessage(connection, frame));
                }
                let mut left = (size - first_byte) as usize;
                while left > 0 {
                    let chunk = self.chunk.slice(..left.min(MAX_MESSAGE_BYTES));
                    left -= chunk.len();
                    let time_us = self.give(Input::PeerMessage(connection, chunk));
                    self.peer_chunks.push(time_us);
                }
                for frame in (Command::Completed { segment, request }).encode(MAX_MESSAGE_BYTES) {
                    self.give(Input::PeerMessage(connection, frame));
                }
            } else {
                return;
            }
        }
    }
}
