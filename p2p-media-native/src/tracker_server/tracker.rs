//! What all connections of a tracker share, and what becomes of each message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::admission::Admission;
use super::config::TrackerConfig;
use super::connection::{Connection, Memberships};
use super::message::{self, Announce, Event, Id, Request};
use super::outbox::CloseReason;
use super::stats::{Counters, TrackerStats};
use super::swarms::{Presence, Refusal, Swarms};

/// Stale peers are looked for twice per announce interval, so that one is dropped 2.5 to 3 intervals after its last announce.
const STALE_AFTER_HALF_INTERVALS: u32 = 5;

/// The state of a tracker.
pub(super) struct Tracker {
    config: TrackerConfig,
    started: Instant,
    counters: Counters,
    admission: Arc<Admission>,
    swarms: Mutex<Swarms>,
    connections: Mutex<Connections>,
}

/// The open websockets.
#[derive(Default)]
struct Connections {
    open: HashMap<u64, Arc<Connection>>,
    next_id: u64,
    /// The server stops: whoever still comes is sent away at once.
    stopping: bool,
}

/// Why an announce is refused. Told to the peer as `failure reason`.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Swarm(#[from] Refusal),
    #[error("one connection may be in {0} swarms")]
    TooManyMemberships(usize),
}

impl Tracker {
    pub(super) fn new(config: TrackerConfig) -> Self {
        Self {
            started: Instant::now(),
            counters: Counters::default(),
            admission: Arc::new(Admission::new(&config.limits, config.behind_proxy)),
            swarms: Mutex::new(Swarms::new(config.limits.swarms)),
            connections: Mutex::default(),
            config,
        }
    }

    pub(super) fn config(&self) -> &TrackerConfig {
        &self.config
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    pub(super) fn stats(&self) -> TrackerStats {
        let (swarms, peers) = self.swarms().totals();
        TrackerStats {
            uptime_seconds: self.started.elapsed().as_secs(),
            connections: self.admission.connections(),
            swarms,
            peers: peers.complete + peers.incomplete,
            complete_peers: peers.complete,
            ..TrackerStats::new(&self.counters)
        }
    }

    /// Makes a websocket known for pings and for the shutdown.
    pub(super) fn join(&self, connection: &Arc<Connection>) -> u64 {
        self.counters.websockets.add(1);
        let mut connections = self.connections();
        if connections.stopping {
            connection.outbox().close(CloseReason::ShuttingDown);
        }
        let id = connections.next_id;
        connections.next_id += 1;
        connections.open.insert(id, connection.clone());
        id
    }

    /// Forgets a websocket and takes its peers out of their swarms.
    pub(super) fn leave(&self, id: u64, connection: &Arc<Connection>, memberships: &Memberships) {
        self.connections().open.remove(&id);
        let mut swarms = self.swarms();
        for (info_hash, peer_id) in memberships {
            swarms.leave(info_hash, peer_id, connection);
        }
    }

    /// Handles one message. Whatever is to be sent ends up in outboxes. False if the message made no sense.
    pub(super) fn handle(&self, text: &[u8], connection: &Arc<Connection>, memberships: &mut Memberships) -> bool {
        let request = match message::parse(text) {
            Ok(request) => request,
            Err(error) => {
                self.refuse(connection, &error, None);
                return false;
            }
        };
        match request {
            Request::Announce(announce) if announce.event == Event::Stopped => self.stopped(&announce, connection, memberships),
            Request::Announce(announce) => self.present(&announce, connection, memberships),
            Request::Scrape(info_hashes) => self.scrape(&info_hashes, connection),
        }
        true
    }

    /// Looks after connections and swarms until it is dropped.
    pub(super) async fn sweep_forever(self: Arc<Self>) {
        let half_interval = self.config.announce_interval / 2;
        let (mut pings, mut stale) = (ticks(self.config.ping_interval), ticks(half_interval));
        loop {
            tokio::select! {
                _ = pings.tick() => self.check_signs_of_life(),
                _ = stale.tick() => {
                    let dropped = self.swarms().drop_stale(Instant::now(), half_interval * STALE_AFTER_HALF_INTERVALS);
                    self.counters.stale_peers.add(dropped as u64);
                }
            }
        }
    }

    /// Closes every websocket, because the server stops.
    pub(super) fn close_all(&self) {
        let mut connections = self.connections();
        connections.stopping = true;
        for connection in connections.open.values() {
            connection.outbox().close(CloseReason::ShuttingDown);
        }
    }

    fn present(&self, announce: &Announce<'_>, connection: &Arc<Connection>, memberships: &mut Memberships) {
        let limits = &self.config.limits;
        let offers = &announce.offers[..announce.offers.len().min(limits.offers_per_announce)];
        let presence = Presence {
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            complete: announce.complete,
            connection,
            wanted: announce.numwant.unwrap_or(usize::MAX).min(offers.len()),
        };
        let membership = (announce.info_hash, announce.peer_id);
        let known = memberships.contains(&membership);
        let mut swarms = self.swarms();
        if !known && memberships.len() >= limits.swarms_per_connection {
            // Official peers never leave a swarm, they fall silent: those that were dropped for that do not count.
            memberships
                .retain(|(info_hash, peer_id)| swarms.connection_of(info_hash, peer_id).is_some_and(|of| Arc::ptr_eq(of, connection)));
            if memberships.len() >= limits.swarms_per_connection {
                drop(swarms);
                let refused = Refused::TooManyMemberships(limits.swarms_per_connection);
                return self.refuse(connection, &refused, Some(&announce.info_hash));
            }
        }
        let announced = swarms.announce(&presence, Instant::now());
        let asker = announce.answer.as_ref().and_then(|answer| swarms.connection_of(&announce.info_hash, &answer.to_peer_id).cloned());
        drop(swarms);
        let announced = match announced {
            Ok(announced) => announced,
            Err(refusal) => return self.refuse(connection, &Refused::from(refusal), Some(&announce.info_hash)),
        };
        if !known {
            memberships.push(membership);
        }
        for (offer, chosen) in offers.iter().zip(&announced.chosen) {
            self.relay(chosen, message::relayed_offer(offer, &announce.peer_id, &announce.info_hash), &self.counters.relayed_offers);
        }
        match (&announce.answer, asker) {
            (Some(answer), Some(asker)) => {
                let answer = message::relayed_answer(answer, &announce.peer_id, &announce.info_hash);
                self.relay(&asker, answer, &self.counters.relayed_answers);
            }
            // Who made the offer is gone: nothing to do, and nobody expects a reply to an answer.
            (Some(_), None) => {}
            (None, _) => {
                self.counters.announces.add(1);
                self.reply_to_announce(connection, &announce.info_hash, announced.counts.complete, announced.counts.incomplete);
            }
        }
    }

    fn stopped(&self, announce: &Announce<'_>, connection: &Arc<Connection>, memberships: &mut Memberships) {
        memberships.retain(|membership| *membership != (announce.info_hash, announce.peer_id));
        let mut swarms = self.swarms();
        swarms.leave(&announce.info_hash, &announce.peer_id, connection);
        let counts = swarms.counts(&announce.info_hash);
        drop(swarms);
        self.counters.announces.add(1);
        self.reply_to_announce(connection, &announce.info_hash, counts.complete, counts.incomplete);
    }

    fn scrape(&self, info_hashes: &[Id], connection: &Arc<Connection>) {
        let swarms = self.swarms();
        let counts: Vec<_> = info_hashes.iter().map(|info_hash| (*info_hash, swarms.counts(info_hash))).collect();
        drop(swarms);
        self.counters.scrapes.add(1);
        let files = counts.into_iter().map(|(info_hash, counts)| (info_hash, counts.complete, counts.incomplete));
        reply(connection, message::scrape_reply(files, self.announce_seconds()));
    }

    fn reply_to_announce(&self, connection: &Connection, info_hash: &Id, complete: usize, incomplete: usize) {
        reply(connection, message::announce_reply(info_hash, complete, incomplete, self.announce_seconds()));
    }

    fn refuse(&self, connection: &Connection, reason: &dyn std::error::Error, info_hash: Option<&Id>) {
        self.counters.invalid_messages.add(1);
        reply(connection, message::failure(&reason.to_string(), info_hash));
    }

    fn relay(&self, to: &Connection, message: String, counter: &super::stats::Counter) {
        if to.outbox().push(message.into()) {
            counter.add(1);
        } else {
            self.counters.dropped_messages.add(1);
        }
    }

    fn check_signs_of_life(&self) {
        for connection in self.connections().open.values() {
            if connection.is_unresponsive() {
                self.counters.unresponsive_connections.add(1);
                connection.outbox().close(CloseReason::Unresponsive);
            }
        }
    }

    fn announce_seconds(&self) -> u64 {
        self.config.announce_interval.as_millis().div_ceil(1000) as u64
    }

    fn swarms(&self) -> MutexGuard<'_, Swarms> {
        // A panic under the lock would be a bug in `Swarms`; the tables stay usable all the same.
        self.swarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a peer's own message. One that leaves its answers unread is closed, or it could make the tracker work for nothing.
fn reply(connection: &Connection, text: String) {
    if !connection.outbox().push(text.into()) {
        connection.outbox().close(CloseReason::NotReading);
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
