//! Keeps book of what the engine asked for, and fails when an output breaks the rules of the interface.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use p2p_media_core::engine::input::{ConnectionId, HttpId, LoadId, PlayerRequestId, TrackerId, ValidationId};
use p2p_media_core::engine::output::Output;
use p2p_media_core::media::SegmentKey;
use p2p_media_core::peer_protocol::{Command, MessageReader, PeerMessage};
use p2p_media_core::segment_bytes::SegmentBytes;
use serde_json::Value;

#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) size: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) ended: bool,
    pub(crate) cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Offering,
    Offered,
    Answering,
    Answered,
    Accepted,
    Open,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stage: Stage,
    pub(crate) reader: MessageReader,
    /// The peer has the peer id of one of ours.
    pub(crate) is_ours: bool,
    /// The last command `Request` that the engine sent.
    pub(crate) asked: Option<Command>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) trackers: Vec<bool>,
    pub(crate) requests: BTreeMap<PlayerRequestId, Delivery>,
    /// Every fetch ever begun; true while it runs.
    pub(crate) fetches: BTreeMap<HttpId, bool>,
    /// What each of them is for.
    pub(crate) fetched: BTreeMap<HttpId, i64>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) loads: BTreeMap<LoadId, SegmentKey>,
    pub(crate) validations: BTreeMap<ValidationId, SegmentKey>,
    /// Ids of the offers that trackers were given.
    pub(crate) offers: Vec<String>,
    /// The outputs that ask for an answer and have none yet.
    pub(crate) open: Vec<Output>,
    /// The last peer that a tracker told of is one of ours.
    pub(crate) introduced_is_ours: bool,
    /// Requests for what the engine was loading itself that it took.
    pub(crate) passed_on: u64,
    digest: DefaultHasher,
    issued: u64,
}

impl Ledger {
    pub(crate) fn new(trackers: usize) -> Self {
        Self { trackers: vec![false; trackers], ..Self::default() }
    }

    /// A number that two runs share only if their outputs were the same.
    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(crate) fn note(&mut self, output: &Output) {
        self.hash(output);
        match output {
            Output::DeliverSize(request, size) => {
                let delivery = self.running(*request, output);
                assert_eq!(delivery.size.replace(*size), None, "{request:?} was told two sizes");
                assert!(delivery.bytes <= *size, "{delivery:?}");
            }
            Output::Deliver(request, bytes) => {
                let delivery = self.running(*request, output);
                delivery.bytes += bytes.len() as u64;
                assert!(!bytes.is_empty(), "an empty piece for {request:?}");
                assert!(delivery.size.is_none_or(|size| delivery.bytes <= size), "{request:?} got too much: {delivery:?}");
            }
            Output::DeliverEnd(request) => {
                let delivery = self.running(*request, output);
                assert_eq!(delivery.size, Some(delivery.bytes), "{request:?}");
                delivery.ended = true;
            }
            Output::DeliverFailed(request, _) => self.running(*request, output).ended = true,

            Output::StartHttp(id, request) => {
                self.is_new(id.0);
                assert!(request.last.is_none_or(|last| last >= request.first), "{request:?}");
                self.fetches.insert(*id, true);
                let segment = request.url.rsplit('/').next().and_then(|number| number.parse().ok());
                self.fetched.insert(*id, segment.expect("a URL of ours"));
            }
            Output::StopHttp(id) => {
                assert_eq!(self.fetches.insert(*id, false), Some(true), "{id:?} does not run");
            }

            Output::OpenTracker(tracker, _) => {
                assert!(!std::mem::replace(self.tracker(*tracker), true), "{tracker:?} is open");
            }
            Output::SendToTracker(tracker, text) => {
                assert!(*self.tracker(*tracker), "{tracker:?} is closed");
                let message: Value = serde_json::from_str(text).expect("JSON");
                let offers = message["offers"].as_array().into_iter().flatten();
                self.offers.extend(offers.filter_map(|offer| offer["offer_id"].as_str().map(str::to_owned)));
            }
            Output::CloseTracker(tracker) => {
                assert!(std::mem::replace(self.tracker(*tracker), false), "{tracker:?} is closed");
            }

            Output::MakeOffer(id, _) => self.begin(*id, Stage::Offering),
            Output::MakeAnswer(id, _) => self.begin(*id, Stage::Answering),
            Output::AcceptAnswer(id, _) => {
                let is_ours = self.introduced_is_ours;
                let connection = self.connection(*id);
                assert_eq!(connection.stage, Stage::Offered, "{id:?}");
                connection.stage = Stage::Accepted;
                connection.is_ours = is_ours;
            }
            Output::SendToPeer(id, message) => self.sent(*id, message),
            Output::CloseConnection(id, reason) => {
                let connection = self.connection(*id);
                assert_ne!(connection.stage, Stage::Closed, "{id:?}: {reason}");
                connection.stage = Stage::Closed;
            }

            Output::Store(..) | Output::Forget(_) | Output::Event(_) => {}
            Output::Load(id, key) => {
                self.is_new(id.0);
                self.loads.insert(*id, *key);
            }
            Output::Validate { id, segment, .. } => {
                self.is_new(id.0);
                self.validations.insert(*id, *segment);
            }
        }
        let asks = matches!(
            output,
            Output::StartHttp(..)
                | Output::OpenTracker(..)
                | Output::MakeOffer(..)
                | Output::MakeAnswer(..)
                | Output::AcceptAnswer(..)
                | Output::SendToPeer(..)
                | Output::Store(..)
                | Output::Load(..)
                | Output::Validate { .. }
        );
        if asks {
            self.open.push(output.clone());
        }
    }

    fn running(&mut self, request: PlayerRequestId, output: &Output) -> &mut Delivery {
        let delivery = self.requests.get_mut(&request).unwrap_or_else(|| panic!("{output:?}: nobody asked"));
        assert!(!delivery.ended, "{output:?}: that one has ended");
        assert!(!delivery.cancelled, "{output:?}: that one was cancelled");
        delivery
    }

    fn tracker(&mut self, tracker: TrackerId) -> &mut bool {
        self.trackers.get_mut(tracker.0 as usize).unwrap_or_else(|| panic!("{tracker:?} is not configured"))
    }

    fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        self.connections.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was never issued"))
    }

    fn begin(&mut self, id: ConnectionId, stage: Stage) {
        self.is_new(id.0);
        self.connections.insert(id, Connection { stage, reader: MessageReader::new(), is_ours: self.introduced_is_ours, asked: None });
    }

    fn sent(&mut self, id: ConnectionId, message: &Bytes) {
        let connection = self.connections.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was never issued"));
        assert_eq!(connection.stage, Stage::Open, "{id:?}");
        assert!(!message.is_empty());
        connection.reader.push(message.clone(), 0).expect("what the engine sends is well formed");
        while let Some(message) = connection.reader.next_message() {
            match message {
                PeerMessage::Command(command @ Command::Request { .. }) => connection.asked = Some(command),
                PeerMessage::Command(Command::Data { remaining: None, .. }) => {
                    assert!(connection.is_ours, "an official peer must be told the size");
                    self.passed_on += 1;
                }
                PeerMessage::Command(Command::Announcement { loaded, loading, relaying }) if !connection.is_ours => {
                    assert!(relaying.is_none() && !loaded.iter().chain(&loading).any(|id| id.is_part()), "not for official peers");
                }
                _ => {}
            }
        }
    }

    /// Ids rise: none is used twice.
    fn is_new(&mut self, id: u64) {
        assert!(id > self.issued, "{id} was used before");
        self.issued = id;
    }

    fn hash(&mut self, output: &Output) {
        let pieces = |bytes: &SegmentBytes, digest: &mut DefaultHasher| bytes.pieces().iter().for_each(|piece| piece.hash(digest));
        let digest = &mut self.digest;
        match output {
            Output::Deliver(request, bytes) => (request, bytes).hash(digest),
            Output::SendToPeer(id, bytes) => (id.0, bytes).hash(digest),
            Output::Store(key, bytes) => {
                key.hash(digest);
                pieces(bytes, digest);
            }
            Output::Validate { id, bytes, .. } => {
                id.hash(digest);
                pieces(bytes, digest);
            }
            other => format!("{other:?}").hash(digest),
        }
    }
}
