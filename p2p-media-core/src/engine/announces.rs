//! Trackers: when to connect, when to announce each swarm, and with which offers. All configured trackers are used at once, so that one
//! that fails is made up for by the others; peers stay connected whatever happens to a tracker.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::deadlines::Deadline;
use super::input::{ConnectionId, TrackerId};
use super::output::Output;
use crate::error::CloseReason;
use crate::event::Event;
use crate::media::StreamKey;
use crate::sorted_map::SortedMap;
use crate::timestamp::Timestamp;
use crate::tracker_protocol::{Announce, AnnounceEvent, Offer, TrackerMessage};

/// Time between announces until the tracker says another.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);
/// What trackers may ask for stays within these.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Time between announces while fewer peers are connected than the swarm offers and we would like.
const INTERVAL_WHILE_LONELY: Duration = Duration::from_secs(15);
/// Peers below which we are lonely.
const LONELY_PEERS: usize = 3;
/// The first announce goes out after this even if not all of its offers are made; the others follow.
const FIRST_ANNOUNCE_WAIT: Duration = Duration::from_millis(700);
/// ICE gathering is waited for no longer than this, as in the official library.
const OFFERS_WAIT: Duration = Duration::from_secs(6);

/// One configured tracker.
#[derive(Debug)]
pub(super) struct TrackerState {
    url: Arc<str>,
    link: Link,
    /// Failed attempts in a row; back to 0 when the tracker says something sensible.
    failures: u32,
    swarms: SortedMap<StreamKey, TrackedSwarm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Closed,
    Opening,
    Open,
}

/// What one tracker knows of one swarm.
#[derive(Debug, Default)]
struct TrackedSwarm {
    /// The first announce went out over this connection.
    started: bool,
    interval: Option<Duration>,
    /// Members, ourselves included, as the tracker last said.
    size: Option<u64>,
    /// Offers that are made and wait for the announce.
    made: Vec<(ConnectionId, Offer)>,
    /// Offers that are still being made for the announce, and since when.
    being_made: usize,
    batch_since: Option<Timestamp>,
}

/// What trackers say about the number of peers to hope for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwarmSize {
    /// Every tracker that can be reached says that we are alone, or none can be reached.
    Alone,
    /// Not all have answered.
    Unknown,
    /// There are others.
    Others,
}

impl TrackerState {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.into(), link: Link::Closed, failures: 0, swarms: SortedMap::new() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.link == Link::Open
    }
}

impl Engine {
    /// A swarm was joined: tell every tracker.
    pub(super) fn track_swarm(&mut self, stream: StreamKey) {
        for tracker in self.tracker_ids() {
            let state = &mut self.trackers[tracker.0 as usize];
            state.swarms.insert(stream, TrackedSwarm::default());
            match state.link {
                Link::Open => self.begin_announce(tracker, stream),
                Link::Opening => {}
                Link::Closed if state.failures == 0 => self.open_tracker(tracker),
                Link::Closed => {} // its reconnect timer runs
            }
        }
    }

    /// A swarm was left: say goodbye, and close trackers that have no swarm left.
    pub(super) fn untrack_swarm(&mut self, stream: StreamKey) {
        for tracker in self.tracker_ids() {
            self.deadlines.cancel(Deadline::Announce(tracker, stream));
            let state = &mut self.trackers[tracker.0 as usize];
            let Some(swarm) = state.swarms.remove(&stream) else { continue };
            if swarm.started && state.is_open() {
                self.send_announce(tracker, stream, Some(AnnounceEvent::Stopped), Vec::new());
            }
            let state = &mut self.trackers[tracker.0 as usize];
            if state.swarms.is_empty() {
                if state.link != Link::Closed {
                    self.outputs.push_back(Output::CloseTracker(tracker));
                }
                state.link = Link::Closed;
                state.failures = 0;
                self.deadlines.cancel(Deadline::TrackerReconnect(tracker));
            }
        }
    }

    pub(super) fn open_tracker(&mut self, tracker: TrackerId) {
        let Some(state) = self.trackers.get_mut(tracker.0 as usize) else { return };
        if state.link == Link::Closed && !state.swarms.is_empty() {
            state.link = Link::Opening;
            self.outputs.push_back(Output::OpenTracker(tracker, state.url.clone()));
        }
    }

    pub(super) fn tracker_opened(&mut self, tracker: TrackerId) {
        let Some(state) = self.trackers.get_mut(tracker.0 as usize) else { return };
        if state.link != Link::Opening {
            return;
        }
        state.link = Link::Open;
        let streams: Vec<_> = state.swarms.keys().copied().collect();
        for stream in streams {
            self.begin_announce(tracker, stream);
        }
    }

    /// The connection broke: offers given to this tracker cannot be answered any more; connected peers stay.
    pub(super) fn tracker_closed(&mut self, tracker: TrackerId, error: String) {
        let Some(state) = self.trackers.get_mut(tracker.0 as usize) else { return };
        if state.link == Link::Closed {
            return;
        }
        state.link = Link::Closed;
        state.failures = state.failures.saturating_add(1);
        let url = state.url.clone();
        let doublings = (state.failures - 1).min(16);
        let streams: Vec<_> = state.swarms.keys().copied().collect();
        state.swarms.values_mut().for_each(|swarm| *swarm = TrackedSwarm::default());
        for stream in streams {
            self.deadlines.cancel(Deadline::Announce(tracker, stream));
            self.dirty_streams.insert(stream);
        }
        self.close_unanswered_offers(tracker);
        let wait = self.config.tracker_reconnect_min.saturating_mul(1 << doublings).min(self.config.tracker_reconnect_max);
        let jittered = wait.mul_f64(0.5 + self.random.fraction());
        self.deadlines.set(Deadline::TrackerReconnect(tracker), self.now + jittered);
        self.event(Event::TrackerError { tracker: url, error });
    }

    pub(super) fn tracker_message(&mut self, tracker: TrackerId, text: &str) {
        let Some(state) = self.trackers.get_mut(tracker.0 as usize) else { return };
        let url = state.url.clone();
        match TrackerMessage::parse(text) {
            Err(misbehaved) => {
                self.event(Event::TrackerWarning { tracker: url, warning: misbehaved.to_string() });
                return;
            }
            Ok(TrackerMessage::Announced { info_hash, interval, complete, incomplete, warning }) => {
                if let Some(stream) = self.stream_of(info_hash) {
                    self.announced(tracker, stream, interval, complete.unwrap_or(0).saturating_add(incomplete.unwrap_or(0)));
                }
                if let Some(warning) = warning {
                    self.event(Event::TrackerWarning { tracker: url, warning });
                }
            }
            Ok(TrackerMessage::Offer { info_hash, peer_id, offer_id, sdp }) => {
                if let Some(stream) = self.stream_of(info_hash) {
                    self.offer_received(tracker, stream, peer_id, offer_id, sdp);
                }
            }
            Ok(TrackerMessage::Answer { info_hash, peer_id, offer_id, sdp }) => {
                if self.stream_of(info_hash).is_some() {
                    self.answer_received(peer_id, offer_id, sdp);
                }
            }
            Ok(TrackerMessage::Failure { reason, .. }) => self.event(Event::TrackerError { tracker: url, error: reason }),
            Ok(TrackerMessage::Warning { message, .. }) => self.event(Event::TrackerWarning { tracker: url, warning: message }),
            Ok(_) => {}
        }
        if let Some(state) = self.trackers.get_mut(tracker.0 as usize) {
            state.failures = 0;
        }
    }

    fn announced(&mut self, tracker: TrackerId, stream: StreamKey, interval: Option<Duration>, size: u64) {
        let Some(swarm) = self.trackers[tracker.0 as usize].swarms.get_mut(&stream) else { return };
        swarm.size = Some(size);
        if interval.is_some() {
            swarm.interval = interval;
        }
        self.dirty_streams.insert(stream);
        self.plan_announce(tracker, stream);
    }

    /// The timer of an announce: send what waits, or begin the next one.
    pub(super) fn announce_due(&mut self, tracker: TrackerId, stream: StreamKey) {
        let Some(state) = self.trackers.get_mut(tracker.0 as usize) else { return };
        let is_open = state.is_open();
        let Some(swarm) = state.swarms.get_mut(&stream) else { return };
        if !is_open {
            return;
        }
        let Some(since) = swarm.batch_since else {
            self.begin_announce(tracker, stream);
            return;
        };
        if self.now.since(since) >= OFFERS_WAIT {
            swarm.being_made = 0;
            swarm.batch_since = None;
        } else {
            self.deadlines.set(Deadline::Announce(tracker, stream), since + OFFERS_WAIT);
        }
        self.announce_made_offers(tracker, stream);
    }

    /// Makes the offers of the next announce; it goes out when they are made.
    fn begin_announce(&mut self, tracker: TrackerId, stream: StreamKey) {
        let wanted = self.offers_wanted(stream);
        let Some(swarm) = self.trackers[tracker.0 as usize].swarms.get_mut(&stream) else { return };
        swarm.being_made = wanted;
        if wanted == 0 {
            self.announce_made_offers(tracker, stream);
            return;
        }
        swarm.batch_since = Some(self.now);
        self.deadlines.set(Deadline::Announce(tracker, stream), self.now + FIRST_ANNOUNCE_WAIT);
        for _ in 0..wanted {
            self.make_offer(tracker, stream);
        }
    }

    /// An offer was made (`Some`) or failed.
    pub(super) fn offer_finished(&mut self, tracker: TrackerId, stream: StreamKey, offer: Option<(ConnectionId, Offer)>) {
        let Some(swarm) = self.trackers.get_mut(tracker.0 as usize).and_then(|state| state.swarms.get_mut(&stream)) else { return };
        swarm.being_made = swarm.being_made.saturating_sub(1);
        swarm.made.extend(offer);
        if swarm.being_made == 0 {
            swarm.batch_since = None;
            self.announce_made_offers(tracker, stream);
        }
    }

    fn announce_made_offers(&mut self, tracker: TrackerId, stream: StreamKey) {
        let state = &mut self.trackers[tracker.0 as usize];
        if !state.is_open() {
            return;
        }
        let Some(swarm) = state.swarms.get_mut(&stream) else { return };
        let made = std::mem::take(&mut swarm.made);
        let event = (!swarm.started).then_some(AnnounceEvent::Started);
        swarm.started = true;
        let is_complete = swarm.batch_since.is_none();
        let offers = made
            .into_iter()
            .map(|(connection, offer)| {
                self.offer_sent(connection);
                offer
            })
            .collect();
        self.send_announce(tracker, stream, event, offers);
        if is_complete {
            self.plan_announce(tracker, stream);
        }
    }

    fn plan_announce(&mut self, tracker: TrackerId, stream: StreamKey) {
        let Some(swarm) = self.trackers[tracker.0 as usize].swarms.get(&stream) else { return };
        if swarm.batch_since.is_some() {
            return;
        }
        let connected = self.connected_peers(stream);
        let others = swarm.size.unwrap_or(0).saturating_sub(1);
        let is_lonely = connected < LONELY_PEERS && (connected as u64) < others;
        let interval = swarm.interval.unwrap_or(DEFAULT_INTERVAL).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let wait = if is_lonely { interval.min(INTERVAL_WHILE_LONELY) } else { interval };
        self.deadlines.set(Deadline::Announce(tracker, stream), self.now + wait);
    }

    fn send_announce(&mut self, tracker: TrackerId, stream: StreamKey, event: Option<AnnounceEvent>, offers: Vec<Offer>) {
        let Some(state) = self.streams.get(&stream) else { return };
        let announce = Announce {
            info_hash: state.info_hash,
            peer_id: self.peer_id,
            event,
            uploaded: self.stats.uploaded_bytes,
            downloaded: self.stats.p2p_bytes,
            offers,
        };
        self.outputs.push_back(Output::SendToTracker(tracker, announce.to_json()));
    }

    /// What the trackers say about a swarm.
    pub(super) fn swarm_size(&self, stream: StreamKey) -> SwarmSize {
        let mut size = SwarmSize::Alone;
        for state in &self.trackers {
            let Some(swarm) = state.swarms.get(&stream) else { continue };
            match swarm.size {
                Some(members) if members > 1 => return SwarmSize::Others,
                None if state.link == Link::Opening || state.link == Link::Open => size = SwarmSize::Unknown,
                Some(_) | None => {}
            }
        }
        size
    }

    /// Members of a swarm, ourselves included, as far as trackers have said.
    pub(super) fn swarm_members(&self, stream: StreamKey) -> u64 {
        self.trackers.iter().filter_map(|state| state.swarms.get(&stream)?.size).max().unwrap_or(0)
    }

    /// Offers that a tracker's connection took with it.
    fn close_unanswered_offers(&mut self, tracker: TrackerId) {
        for connection in self.offers_through(tracker) {
            self.drop_handshake(connection, CloseReason::HandshakeExpired);
        }
    }

    fn tracker_ids(&self) -> impl Iterator<Item = TrackerId> + use<> {
        (0..self.trackers.len() as u32).map(TrackerId)
    }
}
