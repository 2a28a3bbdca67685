//! What a tracker counts, as JSON and as Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        // Counters are read for display only: no other memory depends on their order.
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) websockets: Counter,
    pub(super) refused_connections: Counter,
    pub(super) unresponsive_connections: Counter,
    pub(super) announces: Counter,
    pub(super) scrapes: Counter,
    pub(super) relayed_offers: Counter,
    pub(super) relayed_answers: Counter,
    pub(super) dropped_messages: Counter,
    pub(super) invalid_messages: Counter,
    pub(super) stale_peers: Counter,
}

/// A tracker at one moment: the content of `/stats.json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TrackerStats {
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Open connections, those of `/stats.json` and `/metrics` included.
    pub connections: usize,
    /// Swarms with at least one peer.
    pub swarms: usize,
    /// Peers, counted once in every swarm they are in.
    pub peers: usize,
    /// Those of them that have everything.
    pub complete_peers: usize,
    /// Websockets ever opened.
    pub websockets_total: u64,
    /// Connections refused because of a limit.
    pub refused_connections_total: u64,
    /// Connections closed because nothing came from them, not even answers to pings.
    pub unresponsive_connections_total: u64,
    /// Announces handled, answers not counted.
    pub announces_total: u64,
    /// Scrapes handled.
    pub scrapes_total: u64,
    /// Offers passed on.
    pub relayed_offers_total: u64,
    /// Answers passed on.
    pub relayed_answers_total: u64,
    /// Offers and answers not passed on because their receiver does not read fast enough.
    pub dropped_messages_total: u64,
    /// Messages refused.
    pub invalid_messages_total: u64,
    /// Peers dropped from a swarm because they did not announce any more.
    pub stale_peers_total: u64,
}

impl TrackerStats {
    pub(super) fn new(counters: &Counters) -> Self {
        Self {
            uptime_seconds: 0,
            connections: 0,
            swarms: 0,
            peers: 0,
            complete_peers: 0,
            websockets_total: counters.websockets.get(),
            refused_connections_total: counters.refused_connections.get(),
            unresponsive_connections_total: counters.unresponsive_connections.get(),
            announces_total: counters.announces.get(),
            scrapes_total: counters.scrapes.get(),
            relayed_offers_total: counters.relayed_offers.get(),
            relayed_answers_total: counters.relayed_answers.get(),
            dropped_messages_total: counters.dropped_messages.get(),
            invalid_messages_total: counters.invalid_messages.get(),
            stale_peers_total: counters.stale_peers.get(),
        }
    }

    /// The content of `/metrics`, in the Prometheus text exposition format 0.0.4.
    pub(super) fn prometheus(&self) -> String {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let metrics = [
            ("uptime_seconds", "gauge", "Seconds since the start", self.uptime_seconds),
            ("connections", "gauge", "Open connections", count(self.connections)),
            ("swarms", "gauge", "Swarms with at least one peer", count(self.swarms)),
            ("peers", "gauge", "Peers of all swarms", count(self.peers)),
            ("complete_peers", "gauge", "Peers that have everything", count(self.complete_peers)),
            ("websockets_total", "counter", "Websockets opened", self.websockets_total),
            ("refused_connections_total", "counter", "Connections refused because of a limit", self.refused_connections_total),
            ("unresponsive_connections_total", "counter", "Connections closed for silence", self.unresponsive_connections_total),
            ("announces_total", "counter", "Announces handled", self.announces_total),
            ("scrapes_total", "counter", "Scrapes handled", self.scrapes_total),
            ("relayed_offers_total", "counter", "Offers passed on", self.relayed_offers_total),
            ("relayed_answers_total", "counter", "Answers passed on", self.relayed_answers_total),
            ("dropped_messages_total", "counter", "Offers and answers lost to slow readers", self.dropped_messages_total),
            ("invalid_messages_total", "counter", "Messages refused", self.invalid_messages_total),
            ("stale_peers_total", "counter", "Peers dropped because they did not announce any more", self.stale_peers_total),
        ];
        metrics.into_iter().fold(String::new(), |mut out, (name, kind, meaning, value)| {
            // Writing to a String does not fail.
            let _ = write!(
                out,
                "# HELP p2p_media_tracker_{name} {meaning}.\n# TYPE p2p_media_tracker_{name} {kind}\np2p_media_tracker_{name} {value}\n"
            );
            out
        })
    }
}
