//! Offers and answers in flight, and what becomes of them: a connected peer, or nothing.

use super::Engine;
use super::announces::TrackerState;
use super::deadlines::Deadline;
use super::input::{ConnectionId, TrackerId};
use super::output::Output;
use super::streams::options;
use crate::error::CloseReason;
use crate::identity::{InfoHash, PeerId};
use crate::media::StreamKey;
use crate::tracker_protocol::{Answer, Offer, OfferId};

/// Handshakes in flight in one swarm, offers not counted. Every one costs a socket.
const MOST_ANSWERS_IN_FLIGHT: usize = 16;
/// Offers in flight in one swarm over all trackers.
const MOST_OFFERS_IN_FLIGHT: usize = 20;
/// From the answer on, a channel must open within this.
const CHANNEL_OPEN_TIME_S: f64 = 20.0;

/// A connection in the making.
#[derive(Debug)]
pub(super) struct Handshake {
    stream: StreamKey,
    tracker: TrackerId,
    offer_id: OfferId,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Our offer is being made.
    Offering,
    /// Our offer waits for the announce.
    Offered,
    /// Our offer is with the tracker.
    Sent,
    /// Their answer came; the channel opens.
    Accepting(PeerId),
    /// Our answer is being made, or the channel opens.
    Answering(PeerId),
    /// A second open channel to an official peer: it says on which of them it speaks. The other id is the one that offered.
    Spare(PeerId, PeerId),
}

impl Engine {
    pub(super) fn stream_of(&self, info_hash: InfoHash) -> Option<StreamKey> {
        self.streams.iter().find(|(_, state)| state.info_hash == info_hash && state.swarm.is_some()).map(|(key, _)| *key)
    }

    /// Offers for the next announce: none when the swarm is full.
    pub(super) fn offers_wanted(&self, stream: StreamKey) -> usize {
        let room = self.config.max_peers_per_swarm.saturating_sub(self.connected_peers(stream));
        let in_flight =
            self.handshakes.values().filter(|h| h.stream == stream && matches!(h.step, Step::Offering | Step::Offered | Step::Sent));
        self.config.offers_per_announce.min(room).min(MOST_OFFERS_IN_FLIGHT.saturating_sub(in_flight.count()))
    }

    pub(super) fn make_offer(&mut self, tracker: TrackerId, stream: StreamKey) {
        let connection = ConnectionId(self.ids.next());
        let offer_id = OfferId(self.random.bytes20());
        let label = OfferId(self.random.bytes20()).to_string();
        self.handshakes.insert(connection, Handshake { stream, tracker, offer_id, step: Step::Offering });
        // Making it may never end, and what is being made counts against the limit.
        self.deadlines.set(Deadline::HandshakeExpired(connection), self.now + self.config.offer_timeout);
        self.outputs.push_back(Output::MakeOffer(connection, label));
    }

    pub(super) fn offer_made(&mut self, connection: ConnectionId, sdp: String) {
        let Some(handshake) = self.handshakes.get_mut(&connection) else { return };
        if handshake.step == Step::Offering {
            handshake.step = Step::Offered;
            let (tracker, stream, offer_id) = (handshake.tracker, handshake.stream, handshake.offer_id);
            self.offer_finished(tracker, stream, Some((connection, Offer { offer_id, sdp })));
        }
    }

    /// The announce that bears our offer went out: its time begins to run.
    pub(super) fn offer_sent(&mut self, connection: ConnectionId) {
        if let Some(handshake) = self.handshakes.get_mut(&connection) {
            handshake.step = Step::Sent;
            self.deadlines.set(Deadline::HandshakeExpired(connection), self.now + self.config.offer_timeout);
        }
    }

    pub(super) fn offer_received(&mut self, tracker: TrackerId, stream: StreamKey, peer: PeerId, offer_id: OfferId, sdp: String) {
        let is_answered = |h: &&Handshake| h.stream == stream && matches!(h.step, Step::Answering(_) | Step::Spare(..));
        let answering = self.handshakes.values().filter(is_answered).count();
        let is_full = self.connected_peers(stream) >= self.config.max_peers_per_swarm && self.least_useful_peer(stream).is_none();
        if !self.may_meet(stream, peer) || answering >= MOST_ANSWERS_IN_FLIGHT || is_full {
            return;
        }
        let connection = ConnectionId(self.ids.next());
        self.handshakes.insert(connection, Handshake { stream, tracker, offer_id, step: Step::Answering(peer) });
        self.deadlines.set(Deadline::HandshakeExpired(connection), self.now.offset_secs(CHANNEL_OPEN_TIME_S));
        self.outputs.push_back(Output::MakeAnswer(connection, sdp));
    }

    pub(super) fn answer_made(&mut self, connection: ConnectionId, sdp: String) {
        let Some(Handshake { stream, tracker, offer_id, step: Step::Answering(to_peer_id) }) = self.handshakes.get(&connection) else {
            return;
        };
        if !self.trackers.get(tracker.0 as usize).is_some_and(TrackerState::is_open) {
            // Nobody can carry it.
            self.drop_handshake(connection, CloseReason::HandshakeExpired);
            return;
        }
        let Some(info_hash) = self.streams.get(stream).map(|state| state.info_hash) else { return };
        let answer = Answer { info_hash, peer_id: self.peer_id, to_peer_id: *to_peer_id, offer_id: *offer_id, sdp };
        self.outputs.push_back(Output::SendToTracker(*tracker, answer.to_json()));
    }

    pub(super) fn answer_received(&mut self, peer: PeerId, offer_id: OfferId, sdp: String) {
        let Some((connection, handshake)) = self.handshakes.iter_mut().find(|(_, h)| h.offer_id == offer_id && h.step == Step::Sent) else {
            return;
        };
        let (connection, stream) = (*connection, handshake.stream);
        handshake.step = Step::Accepting(peer);
        if !self.may_meet(stream, peer) {
            self.drop_handshake(connection, CloseReason::Duplicate);
            return;
        }
        self.deadlines.set(Deadline::HandshakeExpired(connection), self.now.offset_secs(CHANNEL_OPEN_TIME_S));
        self.outputs.push_back(Output::AcceptAnswer(connection, sdp));
    }

    fn may_meet(&self, stream: StreamKey, peer: PeerId) -> bool {
        let Some(state) = self.streams.get(&stream) else { return false };
        peer != self.peer_id
            && !options(&self.config, state.stream.kind).p2p_disabled
            && self.banned.peek(&peer).is_none_or(|until| *until <= self.now)
            && !self.peers.values().any(|connected| connected.stream == stream && connected.id == peer)
    }

    /// The channel is open. Of two connections to one peer both sides keep the same one: ours agree on the one with the smaller offerer and
    /// offer, the official peer keeps the one that opened first for it and speaks on no other.
    pub(super) fn channel_opened(&mut self, connection: ConnectionId) {
        self.deadlines.cancel(Deadline::HandshakeExpired(connection));
        let Some(handshake) = self.handshakes.remove(&connection) else { return };
        let (peer, offerer) = match handshake.step {
            Step::Accepting(peer) => (peer, self.peer_id),
            Step::Answering(peer) => (peer, peer),
            Step::Offering | Step::Offered | Step::Sent | Step::Spare(..) => {
                self.outputs.push_back(Output::CloseConnection(connection, CloseReason::HandshakeExpired));
                return;
            }
        };
        let rank = (offerer, handshake.offer_id);
        let other = self.peers.iter().find(|(_, other)| other.stream == handshake.stream && other.id == peer);
        if let Some((other, state)) = other.map(|(id, state)| (*id, state)) {
            if !peer.is_ours() && !state.has_spoken {
                self.handshakes.insert(connection, Handshake { step: Step::Spare(peer, offerer), ..handshake });
                self.deadlines.set(Deadline::HandshakeExpired(connection), self.now.offset_secs(CHANNEL_OPEN_TIME_S));
                return;
            }
            if !peer.is_ours() || state.rank_of_connection <= rank {
                self.outputs.push_back(Output::CloseConnection(connection, CloseReason::Duplicate));
                return;
            }
            self.close_peer(other, CloseReason::Duplicate);
        }
        if self.connected_peers(handshake.stream) >= self.config.max_peers_per_swarm {
            let Some(useless) = self.least_useful_peer(handshake.stream) else {
                self.outputs.push_back(Output::CloseConnection(connection, CloseReason::Replaced));
                return;
            };
            self.close_peer(useless, CloseReason::Replaced);
        }
        self.peer_connected(connection, handshake.stream, peer, rank);
    }

    /// A message came over a connection that is none of a known peer: a spare one, which is thereby the one to keep.
    pub(super) fn spare_speaks(&mut self, connection: ConnectionId) {
        let Some(Handshake { stream, step: Step::Spare(peer, _), .. }) = self.handshakes.get(&connection) else { return };
        let (stream, peer) = (*stream, *peer);
        let silent = self.peers.iter().find(|(_, other)| other.stream == stream && other.id == peer).map(|(silent, _)| *silent);
        match silent {
            // Its end puts the spare one in its place.
            Some(silent) => {
                self.drop_spares(stream, peer, Some(connection));
                self.close_peer(silent, CloseReason::Duplicate);
            }
            None => self.use_spare(stream, peer),
        }
    }

    /// A peer's connection has ended: another one to it, if there is one, takes its place.
    pub(super) fn use_spare(&mut self, stream: StreamKey, peer: PeerId) {
        let Some((connection, offerer)) = self.spares_of(stream, peer).next() else { return };
        if !self.may_meet(stream, peer) {
            self.drop_spares(stream, peer, None);
            return;
        }
        self.deadlines.cancel(Deadline::HandshakeExpired(connection));
        let Some(handshake) = self.handshakes.remove(&connection) else { return };
        self.peer_connected(connection, stream, peer, (offerer, handshake.offer_id));
    }

    /// Closes the spare connections to a peer, all but one.
    pub(super) fn drop_spares(&mut self, stream: StreamKey, peer: PeerId, except: Option<ConnectionId>) {
        let spares: Vec<_> = self.spares_of(stream, peer).map(|(connection, _)| connection).collect();
        for connection in spares.into_iter().filter(|connection| Some(*connection) != except) {
            self.drop_handshake(connection, CloseReason::Duplicate);
        }
    }

    fn spares_of(&self, stream: StreamKey, peer: PeerId) -> impl Iterator<Item = (ConnectionId, PeerId)> {
        self.handshakes.iter().filter_map(move |(connection, handshake)| match handshake.step {
            Step::Spare(id, offerer) if id == peer && handshake.stream == stream => Some((*connection, offerer)),
            _ => None,
        })
    }

    /// The handshake failed by itself.
    pub(super) fn handshake_failed(&mut self, connection: ConnectionId) -> bool {
        self.deadlines.cancel(Deadline::HandshakeExpired(connection));
        let Some(handshake) = self.handshakes.remove(&connection) else { return false };
        if handshake.step == Step::Offering {
            self.offer_finished(handshake.tracker, handshake.stream, None);
        }
        true
    }

    /// We give a handshake up.
    pub(super) fn drop_handshake(&mut self, connection: ConnectionId, reason: CloseReason) {
        if self.handshake_failed(connection) {
            self.outputs.push_back(Output::CloseConnection(connection, reason));
        }
    }

    /// Our offers that wait for an answer through this tracker, or for its announce.
    pub(super) fn offers_through(&self, tracker: TrackerId) -> Vec<ConnectionId> {
        let unanswered = |h: &Handshake| h.tracker == tracker && matches!(h.step, Step::Offering | Step::Offered | Step::Sent);
        self.handshakes.iter().filter(|(_, h)| unanswered(h)).map(|(connection, _)| *connection).collect()
    }

    pub(super) fn drop_handshakes_of(&mut self, stream: StreamKey) {
        let of_stream: Vec<_> = self.handshakes.iter().filter(|(_, h)| h.stream == stream).map(|(connection, _)| *connection).collect();
        for connection in of_stream {
            self.drop_handshake(connection, CloseReason::Left);
        }
    }

    /// After a jump of time every handshake gets its full time again.
    pub(super) fn extend_handshakes(&mut self) {
        let waiting: Vec<_> =
            self.handshakes.iter().filter(|(_, h)| h.step != Step::Offering && h.step != Step::Offered).map(|(c, _)| *c).collect();
        for connection in waiting {
            self.deadlines.set(Deadline::HandshakeExpired(connection), self.now + self.config.offer_timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::engine::input::{Input, PlayerRequestId};
    use crate::media::{Segment, SegmentId, SegmentKey, Stream, StreamKind, StreamUpdate};
    use crate::timestamp::Timestamp;
    use crate::tracker_protocol::latin1_from_bytes;

    const STREAM: StreamKey = StreamKey(0);
    const OFFICIAL: [u8; 20] = *b"-PM0203-aaaaaaaaaaaa";
    const ANNOUNCEMENT: &[u8] = b"cstr\0cend";

    fn give(engine: &mut Engine, input: Input) -> Vec<Output> {
        engine.handle_input(Timestamp::ZERO, input);
        std::iter::from_fn(|| engine.poll_output()).collect()
    }

    /// An engine that has two open channels to one peer.
    fn met_twice(peer: [u8; 20]) -> (Engine, [ConnectionId; 2]) {
        let mut engine = Engine::new(Config::default(), 1, Timestamp::ZERO);
        give(&mut engine, Input::StreamAdded(Stream { key: STREAM, kind: StreamKind::Main, swarm_id: "swarm".into() }));
        let segment = Segment { id: SegmentId(0), url: "u".into(), byte_range: None, start: 0.0, duration: 2.0, form: Default::default() };
        give(&mut engine, Input::StreamUpdated(STREAM, StreamUpdate { added: vec![segment], ..StreamUpdate::default() }));
        let segment = SegmentKey { stream: STREAM, id: SegmentId(0) };
        give(&mut engine, Input::SegmentRequested { request: PlayerRequestId(1), segment });
        let connections = [0, 1].map(|tracker| {
            give(&mut engine, Input::TrackerOpened(TrackerId(tracker)));
            let offer = json!({
                "action": "announce", "info_hash": latin1_from_bytes(&InfoHash::of_swarm("swarm").0),
                "peer_id": latin1_from_bytes(&peer), "offer_id": latin1_from_bytes(&[tracker as u8; 20]),
                "offer": { "type": "offer", "sdp": "v=0" },
            });
            let outputs = give(&mut engine, Input::TrackerMessage(TrackerId(tracker), offer.to_string()));
            let answered = outputs.iter().find_map(|output| match output {
                Output::MakeAnswer(connection, _) => Some(*connection),
                _ => None,
            });
            answered.expect("the offer is answered")
        });
        for connection in connections {
            give(&mut engine, Input::AnswerMade(connection, "v=0".to_owned()));
        }
        assert_eq!(closed(&give(&mut engine, Input::ChannelOpened(connections[0]))), []);
        (engine, connections)
    }

    fn closed(outputs: &[Output]) -> Vec<ConnectionId> {
        let closed = |output: &Output| match output {
            Output::CloseConnection(connection, reason) => {
                assert_eq!(*reason, CloseReason::Duplicate);
                Some(*connection)
            }
            _ => None,
        };
        outputs.iter().filter_map(closed).collect()
    }

    fn connected(engine: &Engine) -> Vec<ConnectionId> {
        engine.peers.keys().copied().collect()
    }

    #[test]
    fn of_two_channels_to_an_official_peer_the_one_on_which_it_speaks_is_kept() {
        for speaks in [0, 1] {
            let (mut engine, connections) = met_twice(OFFICIAL);
            assert_eq!(closed(&give(&mut engine, Input::ChannelOpened(connections[1]))), []);
            let outputs = give(&mut engine, Input::PeerMessage(connections[speaks], Bytes::from_static(ANNOUNCEMENT)));
            assert_eq!(closed(&outputs), [connections[1 - speaks]]);
            assert_eq!(connected(&engine), [connections[speaks]]);
            assert!(engine.peers.get(&connections[speaks]).unwrap().announced.is_some());
            // It has been told what we have.
            let told = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::SendToPeer(to, _) if *to == connections[speaks]));
            assert_eq!(told(&outputs), speaks == 1);
        }
    }

    #[test]
    fn the_channel_that_an_official_peer_leaves_open_is_used() {
        for ends in [0, 1] {
            let (mut engine, connections) = met_twice(OFFICIAL);
            give(&mut engine, Input::ChannelOpened(connections[1]));
            assert_eq!(closed(&give(&mut engine, Input::ConnectionClosed(connections[ends], "closed".to_owned()))), []);
            assert_eq!(connected(&engine), [connections[1 - ends]]);
        }
    }

    #[test]
    fn once_an_official_peer_has_spoken_no_other_channel_to_it_is_kept() {
        let (mut engine, connections) = met_twice(OFFICIAL);
        give(&mut engine, Input::PeerMessage(connections[0], Bytes::from_static(ANNOUNCEMENT)));
        assert_eq!(closed(&give(&mut engine, Input::ChannelOpened(connections[1]))), [connections[1]]);
    }

    #[test]
    fn of_two_channels_to_one_of_ours_the_smaller_offer_is_kept_at_once() {
        let (mut engine, connections) = met_twice(*b"-PR0001-aaaaaaaaaaaa");
        assert_eq!(closed(&give(&mut engine, Input::ChannelOpened(connections[1]))), [connections[1]]);
        assert_eq!(connected(&engine), [connections[0]]);
    }
}
