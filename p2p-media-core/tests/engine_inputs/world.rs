//! An engine, and the world that does to it what actions say.

use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::backend::HttpHead;
use p2p_media_core::config::Config;
use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input, LoadId, PlayerRequestId, TrackerId, ValidationId};
use p2p_media_core::engine::output::Output;
use p2p_media_core::identity::InfoHash;
use p2p_media_core::media::{
    ByteRange, FetchTimes, Playhead, Segment, SegmentForm, SegmentId, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate,
};
use p2p_media_core::peer_protocol::{Command, RequestId};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::timestamp::Timestamp;
use p2p_media_core::tracker_protocol::latin1_from_bytes;
use serde_json::{Value, json};

use crate::actions::{Action, ConnectionAction, HttpAction, Pick, PlayerAction, StorageAction, TrackerAction};
use crate::ledger::{Delivery, Ledger, Stage};

/// Outputs that one input may cause. A flood of segments removed at once is the largest.
const MOST_OUTPUTS_PER_INPUT: usize = 10_000;
/// Timers in a row that may be due at one and the same time.
const MOST_TIMERS_AT_ONE_TIME: u32 = 8;
/// Bytes of a segment that is served rightly.
const SEGMENT_BYTES: usize = 1500;

static MEDIA: [u8; 100_000] = [7; 100_000];

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    next_request: u64,
}

impl World {
    /// Two streams with a few segments, nothing asked for.
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        let ledger = Ledger::new(config.announce_trackers.len());
        let mut world = Self { engine: Engine::new(config, seed, Timestamp::ZERO), ledger, now: Timestamp::ZERO, next_request: 0 };
        for stream in 0..2 {
            world.act(&Action::Player(PlayerAction::AddStream(stream)));
            world.act(&Action::Player(PlayerAction::AddSegments {
                stream,
                first: 0,
                count: 16,
                duration: 2.0,
                range: None,
                is_unfinished: false,
            }));
        }
        world
    }

    /// One that plays, with its trackers open.
    pub(crate) fn playing(config: Config, seed: u64) -> Self {
        let mut world = Self::new(config, seed);
        world.act(&Action::Player(PlayerAction::Playhead { position: 0.0, rate: 1.0 }));
        world.request(0, 0);
        world.act(&Action::Obey(40));
        world
    }

    /// A peer offers.
    pub(crate) fn offer(&mut self, number: u32) {
        let (mut peer, mut offer) = (peer_id(number as u8), [0; 20]);
        peer[16..].copy_from_slice(&number.to_be_bytes());
        offer[16..].copy_from_slice(&number.to_be_bytes());
        self.give(Input::TrackerMessage(TrackerId(0), offer_text(0, peer, offer)));
    }

    /// A peer offers, and its channel opens.
    pub(crate) fn meet(&mut self, number: u32) -> ConnectionId {
        self.offer(number);
        let id = *self.ledger.connections.keys().next_back().unwrap_or(&ConnectionId(u64::MAX));
        self.on_connection(id, &ConnectionAction::AnswerMade);
        self.on_connection(id, &ConnectionAction::Opened);
        id
    }

    pub(crate) fn act(&mut self, action: &Action) {
        match action {
            Action::Obey(steps) => (0..*steps).for_each(|_| self.obey()),
            Action::Wait(time) => {
                self.now = self.now + *time;
                self.give(Input::DeadlineReached);
            }
            Action::Meet(number) => {
                let peer = self.meet(u32::from(*number));
                self.on_connection(
                    peer,
                    &ConnectionAction::Announce { first: 0, loaded: 16, loading: 2, relaying: Some(2), in_parts: false },
                );
            }
            Action::Timers(count) => self.serve_timers(u32::from(*count)),
            Action::Player(action) => self.player(action),
            Action::Http(pick, action) => self.http(*pick, action),
            Action::Tracker(tracker, action) => self.tracker(TrackerId(u32::from(*tracker)), action),
            Action::Connection(pick, action) => self.connection(*pick, action),
            Action::Storage(pick, action) => self.storage(*pick, action),
            Action::Configure(change) => self.give(Input::ConfigChanged(change.clone())),
            Action::Shutdown => self.give(Input::Shutdown),
        }
    }

    pub(crate) fn give(&mut self, input: Input) {
        if let Input::TrackerMessage(_, text) = &input {
            self.ledger.introduced_is_ours = text.contains("-PR");
        }
        self.engine.handle_input(self.now, input);
        let mut outputs = 0;
        while let Some(output) = self.engine.poll_output() {
            self.ledger.note(&output);
            outputs += 1;
            assert!(outputs <= MOST_OUTPUTS_PER_INPUT, "one input gives output without end");
        }
    }

    /// Serves the next timers, each when it is due. Time must go on.
    pub(crate) fn serve_timers(&mut self, count: u32) {
        let mut at_this_time = 0;
        for _ in 0..count {
            let Some(at) = self.engine.next_deadline() else { return };
            at_this_time = if at > self.now { 0 } else { at_this_time + 1 };
            assert!(at_this_time <= MOST_TIMERS_AT_ONE_TIME, "a timer spins at {at:?}");
            self.now = self.now.max(at);
            self.give(Input::DeadlineReached);
        }
    }

    pub(crate) fn request(&mut self, stream: u8, segment: i64) {
        let request = PlayerRequestId(self.next_request);
        self.next_request += 1;
        self.ledger.requests.insert(request, Delivery::default());
        self.give(Input::SegmentRequested { request, segment: segment_key(stream, segment) });
    }

    /// Waits until nothing is to be done any more, and everybody who waits has been told.
    pub(crate) fn shut_down(&mut self) {
        self.give(Input::Shutdown);
        for (load, _) in std::mem::take(&mut self.ledger.loads) {
            self.give(Input::Loaded(load, None));
        }
        let waiting: Vec<_> = self.ledger.requests.iter().filter(|(_, delivery)| !delivery.ended && !delivery.cancelled).collect();
        assert!(waiting.is_empty(), "forgotten at the end: {waiting:?}");
        assert!(self.ledger.fetches.len() < 1_000_000 && self.ledger.trackers.iter().all(|open| !open), "trackers stay open");
        let open: Vec<_> = self.ledger.connections.iter().filter(|(_, connection)| connection.stage != Stage::Closed).collect();
        assert!(open.is_empty(), "connections stay open: {open:?}");
    }

    /// Does the oldest thing that the engine asked for and that is not done.
    fn obey(&mut self) {
        if self.ledger.open.is_empty() {
            return self.serve_timers(1);
        }
        match self.ledger.open.remove(0) {
            Output::StartHttp(id, request) if self.ledger.fetches[&id] => {
                let total = request.last.map_or(SEGMENT_BYTES, |last| (last - request.first).min(90_000) as usize + 1);
                let (status, total) = if request.first > 0 || request.last.is_some() { (206, None) } else { (200, Some(total as u64)) };
                let head = HttpHead { status, range_first: Some(request.first), range_total: total, content_length: total };
                self.give(Input::HttpHead(id, head));
                self.http(id.0 as Pick, &HttpAction::Chunk(0));
                self.chunk(id, SEGMENT_BYTES - (request.first as usize).min(SEGMENT_BYTES));
                self.end_http(id, Input::HttpEnd(id));
            }
            Output::OpenTracker(tracker, _) if self.ledger.trackers[tracker.0 as usize] => self.give(Input::TrackerOpened(tracker)),
            Output::MakeOffer(id, _) => self.on_connection(id, &ConnectionAction::OfferMade),
            Output::MakeAnswer(id, _) => {
                self.on_connection(id, &ConnectionAction::AnswerMade);
                self.on_connection(id, &ConnectionAction::Opened);
            }
            Output::AcceptAnswer(id, _) => self.on_connection(id, &ConnectionAction::Opened),
            Output::SendToPeer(id, message) => {
                if let Some(Command::Request { first_byte, .. }) = self.ledger.connections[&id].asked.clone() {
                    let remaining = (SEGMENT_BYTES as u64).saturating_sub(first_byte);
                    self.on_connection(id, &ConnectionAction::Data { remaining: Some(remaining).filter(|_| id.0 % 2 == 0), off: 0 });
                    self.on_connection(id, &ConnectionAction::Payload(remaining as usize));
                    self.on_connection(id, &ConnectionAction::Completed { off: 0 });
                    if let Some(connection) = self.ledger.connections.get_mut(&id) {
                        connection.asked = None;
                    }
                }
                self.on_connection(id, &ConnectionAction::Sent(message.len()));
            }
            Output::Store(key, _) => self.give(Input::Stored(key)),
            Output::Load(id, _) if self.ledger.loads.remove(&id).is_some() => {
                self.give(Input::Loaded(id, Some(Bytes::from_static(&MEDIA[..SEGMENT_BYTES]).into())));
            }
            Output::Validate { id, .. } => {
                self.ledger.validations.remove(&id);
                self.give(Input::Validated(id, true));
            }
            _ => {}
        }
    }

    fn player(&mut self, action: &PlayerAction) {
        let key = |stream: u8| StreamKey(u32::from(stream));
        match action {
            PlayerAction::Request { stream, segment } => self.request(*stream, *segment),
            PlayerAction::Fetched { stream, segment, length } => {
                let bytes = Bytes::from_static(&MEDIA[..*length]);
                let times = FetchTimes { response: Duration::from_millis(20), body: Duration::from_millis(80) };
                self.give(Input::SegmentFetched(segment_key(*stream, *segment), bytes, times));
            }
            PlayerAction::Cancel(pick) => {
                let Some(request) = picked(&self.ledger.requests, *pick) else {
                    return self.give(Input::RequestCancelled(PlayerRequestId(u64::MAX)));
                };
                if let Some(delivery) = self.ledger.requests.get_mut(&request) {
                    delivery.cancelled |= !delivery.ended;
                }
                self.give(Input::RequestCancelled(request));
            }
            PlayerAction::Playhead { position, rate } => self.give(Input::PlayheadMoved(Playhead { position: *position, rate: *rate })),
            PlayerAction::AddStream(stream) => {
                let kind = if stream % 2 == 0 { StreamKind::Main } else { StreamKind::Secondary };
                self.give(Input::StreamAdded(Stream { key: key(*stream), kind, swarm_id: swarm_id(*stream).into() }));
            }
            PlayerAction::RequestPart { stream, sequence, index } => self.request(*stream, part_id(4 * sequence + u64::from(*index)).0),
            PlayerAction::AddParts { stream, first, count } => {
                let added = (4 * first..4 * first + u64::from(*count)).map(|part| Segment {
                    id: part_id(part),
                    url: format!("http://origin.test/{}", part_id(part).0).into(),
                    byte_range: None,
                    start: part as f64 / 2.0,
                    duration: 0.5,
                    form: SegmentForm::Part,
                });
                self.give(Input::StreamUpdated(key(*stream), StreamUpdate { added: added.collect(), ..StreamUpdate::default() }));
            }
            PlayerAction::RemoveParts { stream, first, count } => {
                let removed = (4 * first..4 * first + u64::from(*count)).map(part_id).collect();
                self.give(Input::StreamUpdated(key(*stream), StreamUpdate { removed, ..StreamUpdate::default() }));
            }
            PlayerAction::AddSegments { stream, first, count, duration, range, is_unfinished } => {
                let added = (0..i64::from(*count)).map(|n| {
                    let id = first.wrapping_add(n);
                    let byte_range = range.map(|(a, b)| ByteRange { first: a.min(b), last: a.max(b) });
                    Segment {
                        id: SegmentId(id),
                        url: format!("http://origin.test/{id}").into(),
                        byte_range,
                        start: id as f64 * duration,
                        duration: *duration,
                        form: if *is_unfinished { SegmentForm::Unfinished } else { SegmentForm::Whole },
                    }
                });
                self.give(Input::StreamUpdated(key(*stream), StreamUpdate { added: added.collect(), ..StreamUpdate::default() }));
            }
            PlayerAction::RemoveSegments { stream, first, count } => {
                let removed = (0..i64::from(*count)).map(|n| SegmentId(first.wrapping_add(n))).collect();
                self.give(Input::StreamUpdated(key(*stream), StreamUpdate { removed, ..StreamUpdate::default() }));
            }
            PlayerAction::RemoveStream(stream) => self.give(Input::StreamRemoved(key(*stream))),
        }
    }

    fn http(&mut self, pick: Pick, action: &HttpAction) {
        let id = picked(&self.ledger.fetches, pick).unwrap_or(HttpId(u64::MAX));
        match action {
            HttpAction::Head { status, range_first, range_total, content_length } => {
                let (range_first, range_total, content_length) = (*range_first, *range_total, *content_length);
                self.give(Input::HttpHead(id, HttpHead { status: *status, range_first, range_total, content_length }));
            }
            HttpAction::Chunk(len) => self.chunk(id, *len),
            HttpAction::End => self.end_http(id, Input::HttpEnd(id)),
            HttpAction::Fail => self.end_http(id, Input::HttpFailed(id, "broken".to_owned())),
        }
    }

    fn chunk(&mut self, id: HttpId, len: usize) {
        self.give(Input::HttpChunk(id, Bytes::from_static(&MEDIA[..len.min(MEDIA.len())])));
    }

    /// The engine may stop a fetch that has ended: it is no use asking it to know.
    fn end_http(&mut self, id: HttpId, end: Input) {
        self.give(end);
        self.ledger.fetches.entry(id).and_modify(|runs| *runs = false);
    }

    fn tracker(&mut self, tracker: TrackerId, action: &TrackerAction) {
        let text = match action {
            TrackerAction::Opened => return self.give(Input::TrackerOpened(tracker)),
            TrackerAction::Closed => {
                if let Some(open) = self.ledger.trackers.get_mut(tracker.0 as usize) {
                    *open = false;
                }
                return self.give(Input::TrackerClosed(tracker, "closed".to_owned()));
            }
            TrackerAction::Announced { stream, interval, members } => {
                let mut message = relayed(*stream, 0);
                message["interval"] = json!(interval);
                message["incomplete"] = json!(members);
                message["complete"] = json!(members);
                message.to_string()
            }
            TrackerAction::Offer { stream, peer, offer } => offer_text(*stream, peer_id(*peer), [*offer; 20]),
            TrackerAction::Answer { stream, peer, offer } => {
                let offers = &self.ledger.offers;
                let mut message = relayed(*stream, *peer);
                message["offer_id"] = json!(offers.get(usize::from(*offer) % offers.len().max(1)));
                message["answer"] = json!({ "type": "answer", "sdp": "v=0" });
                message.to_string()
            }
            TrackerAction::Text(text) => text.clone(),
            TrackerAction::Garbled { stream, at, with } => {
                let text: Vec<char> = offer_text(*stream, peer_id(1), [3; 20]).chars().collect();
                let garbled = text.iter().enumerate().map(|(index, char)| if index == at % text.len() { *with } else { *char });
                garbled.collect()
            }
        };
        self.give(Input::TrackerMessage(tracker, text));
    }

    fn connection(&mut self, pick: Pick, action: &ConnectionAction) {
        let open = self.ledger.connections.iter().filter(|(_, connection)| connection.stage == Stage::Open).map(|(id, _)| *id);
        let open: Vec<_> = open.collect();
        let id = match open.get(usize::from(pick) % open.len().max(1)) {
            Some(id) if !pick.is_multiple_of(4) => *id,
            // Also those that are over: late news of them must do nothing.
            _ => picked(&self.ledger.connections, pick / 4).unwrap_or(ConnectionId(u64::MAX)),
        };
        self.on_connection(id, action);
    }

    pub(crate) fn on_connection(&mut self, id: ConnectionId, action: &ConnectionAction) {
        let connection = self.ledger.connections.get_mut(&id);
        let asked = connection.as_ref().and_then(|connection| connection.asked.clone());
        let (segment, request) = match asked {
            Some(Command::Request { segment, request, .. }) => (segment, request.0),
            _ => (SegmentId(0), 0),
        };
        let answered = |off: u64| RequestId(request.wrapping_add(off) & i64::MAX as u64);
        // A backend keeps to the order of its own steps.
        let next_stage = |from: &[Stage], to: Stage| connection.filter(|c| from.contains(&c.stage)).map(|c| c.stage = to).is_some();
        let command = match action {
            ConnectionAction::OfferMade => {
                if next_stage(&[Stage::Offering], Stage::Offered) {
                    self.give(Input::OfferMade(id, "v=0".to_owned()));
                }
                return;
            }
            ConnectionAction::AnswerMade => {
                if next_stage(&[Stage::Answering], Stage::Answered) {
                    self.give(Input::AnswerMade(id, "v=0".to_owned()));
                }
                return;
            }
            ConnectionAction::Opened => {
                if next_stage(&[Stage::Answered, Stage::Accepted], Stage::Open) {
                    self.give(Input::ChannelOpened(id));
                }
                return;
            }
            ConnectionAction::Closed => {
                next_stage(
                    &[Stage::Offering, Stage::Offered, Stage::Answering, Stage::Answered, Stage::Accepted, Stage::Open],
                    Stage::Closed,
                );
                return self.give(Input::ConnectionClosed(id, "closed".to_owned()));
            }
            ConnectionAction::Sent(bytes) => return self.give(Input::PeerSent(id, *bytes)),
            ConnectionAction::Payload(len) => {
                return self.give(Input::PeerMessage(id, Bytes::from_static(&MEDIA[..(*len).min(MEDIA.len())])));
            }
            ConnectionAction::Bytes(bytes) => return self.give(Input::PeerMessage(id, bytes.clone().into())),
            ConnectionAction::Announce { first, loaded, loading, relaying, in_parts } => {
                let id = |n: i64| {
                    let id = first.saturating_add(n);
                    if *in_parts { part_id(id.unsigned_abs()) } else { SegmentId(id) }
                };
                let ids = |count: i64| (0..count).map(id).collect::<Vec<_>>();
                let relaying = relaying.map(|count| ids(i64::from(count)));
                Command::Announcement { loaded: ids(i64::from(*loaded)), loading: ids(i64::from(*loading)), relaying }
            }
            ConnectionAction::RequestLoading => {
                let running = self.ledger.fetched.iter().rev().find(|(id, _)| self.ledger.fetches.get(id) == Some(&true));
                let segment = running.map_or(SegmentId(1), |(_, segment)| SegmentId(*segment));
                Command::Request { segment, request: RequestId(1), first_byte: 0, last_byte: None }
            }
            ConnectionAction::Request { segment, request, first_byte, last_byte, of_part } => {
                let number = |value: u64| value & i64::MAX as u64;
                Command::Request {
                    segment: if *of_part { part_id(segment.unsigned_abs()) } else { SegmentId(*segment) },
                    request: RequestId(number(*request)),
                    first_byte: number(*first_byte),
                    last_byte: last_byte.map(number),
                }
            }
            ConnectionAction::Cancel { segment, request } => {
                Command::Cancel { segment: SegmentId(*segment), request: RequestId(*request & i64::MAX as u64) }
            }
            ConnectionAction::Data { remaining, off } => {
                Command::Data { segment, request: answered(*off), remaining: remaining.map(|remaining| remaining & i64::MAX as u64) }
            }
            ConnectionAction::Completed { off } => Command::Completed { segment, request: answered(*off) },
            ConnectionAction::Absent { off } => Command::Absent { segment, request: answered(*off) },
        };
        for frame in command.encode(65_535) {
            self.give(Input::PeerMessage(id, frame));
        }
    }

    fn storage(&mut self, pick: Pick, action: &StorageAction) {
        let key = segment_key((pick % 4) as u8, i64::from(pick % 24));
        match action {
            StorageAction::Loaded(len) => {
                let id = picked(&self.ledger.loads, pick).unwrap_or(LoadId(u64::MAX));
                self.ledger.loads.remove(&id);
                self.give(Input::Loaded(id, Some(SegmentBytes::from(Bytes::from_static(&MEDIA[..*len])))));
            }
            StorageAction::Lost => {
                let id = picked(&self.ledger.loads, pick).unwrap_or(LoadId(u64::MAX));
                self.ledger.loads.remove(&id);
                self.give(Input::Loaded(id, None));
            }
            StorageAction::Stored => self.give(Input::Stored(key)),
            StorageAction::StoreFailed => self.give(Input::StoreFailed(key, "full".to_owned())),
            StorageAction::Validated(is_right) => {
                let id = picked(&self.ledger.validations, pick).unwrap_or(ValidationId(u64::MAX));
                self.ledger.validations.remove(&id);
                self.give(Input::Validated(id, *is_right));
            }
        }
    }

    /// Lets the time pass while the timers are served, and gives how many there were.
    pub(crate) fn pass(&mut self, time: Duration) -> u32 {
        let until = self.now + time;
        let mut served = 0;
        while self.engine.next_deadline().is_some_and(|at| at <= until) {
            self.serve_timers(1);
            served += 1;
            assert!(served < 1_000_000, "timers without end");
        }
        self.now = until;
        served
    }
}

/// One of the ids; the newest are the likeliest. `None` stands for an id that was never issued.
fn picked<K: Copy + Ord, V>(issued: &std::collections::BTreeMap<K, V>, pick: Pick) -> Option<K> {
    if pick.is_multiple_of(16) || issued.is_empty() {
        return None;
    }
    let near = if pick % 4 == 1 { issued.len() } else { issued.len().min(4) };
    issued.keys().rev().nth(usize::from(pick / 16) % near).copied()
}

fn segment_key(stream: u8, segment: i64) -> SegmentKey {
    SegmentKey { stream: StreamKey(u32::from(stream)), id: SegmentId(segment) }
}

/// Four parts a segment.
fn part_id(part: u64) -> SegmentId {
    SegmentId::of_part(part / 4, (part % 4) as u32).unwrap_or(SegmentId(i64::MAX))
}

fn swarm_id(stream: u8) -> String {
    format!("swarm-{stream}")
}

/// Half of them are of our kind.
fn peer_id(peer: u8) -> [u8; 20] {
    let mut id = if peer.is_multiple_of(2) { *b"-PR0001-aaaaaaaaaaaa" } else { *b"-PM0203-aaaaaaaaaaaa" };
    id[12] = peer;
    id
}

fn relayed(stream: u8, peer: u8) -> Value {
    json!({
        "action": "announce",
        "info_hash": latin1_from_bytes(&InfoHash::of_swarm(&swarm_id(stream)).0),
        "peer_id": latin1_from_bytes(&peer_id(peer)),
    })
}

/// A tracker's message that relays an offer.
fn offer_text(stream: u8, peer: [u8; 20], offer: [u8; 20]) -> String {
    let mut message = relayed(stream, 0);
    message["peer_id"] = json!(latin1_from_bytes(&peer));
    message["offer_id"] = json!(latin1_from_bytes(&offer));
    message["offer"] = json!({ "type": "offer", "sdp": "v=0" });
    message.to_string()
}
