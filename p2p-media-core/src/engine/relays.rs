//! Cut-through, the asking side: which peer that is itself loading a segment is asked for its bytes as they arrive.
//!
//! Whoever loads the segment from the origin is a root. The others of ours that come to the segment stand below in a tree that all derive
//! alike from the hash that also elects the root: each has two or three below it, so that no uplink carries all and the way to the
//! last one is short. A peer asks the one above it; if that one is not loading yet, it waits for it a little, and then asks any root or any
//! other that comes before it in the order of the hash. Not all see the same peers, but the order is the same for all: no ring can close, in
//! which each would wait for the next.

use super::Engine;
use super::downloads::{Download, Refusal};
use super::input::ConnectionId;
use super::peers::Peer;
use crate::config::StreamConfig;
use crate::media::SegmentKey;
use crate::sort::sort_by;
use crate::timestamp::Timestamp;

/// Peers that take a segment from one that is loading it, as far as that one is asked by rule.
const CHILDREN: usize = 3;
/// The same of what comes at the pace at which it is made: it is small, and should be with all soon.
const CHILDREN_OF_PACED: usize = 2;
/// How long the peer above is waited for, for each step of the way down to it.
const STEP_WAIT_S: f64 = 0.1;

/// How long a peer that comes after us must have been loading before we ask it.
const LATER_WAIT_S: f64 = 0.3;

/// What is to be done about peers that are loading a segment.
pub(super) enum Relay {
    /// Nobody is, or nobody may be asked.
    None,
    /// This one is asked.
    Ask(ConnectionId),
    /// Until then the one that should be asked may begin.
    Wait(Timestamp),
}

impl Engine {
    /// Chooses among the peers of ours that are loading a segment.
    pub(super) fn choose_relay(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Relay {
        let relays = self.relays(key, stream_options, true);
        if relays.is_empty() {
            return self.choose_later_relay(key, stream_options);
        }
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return Relay::None };
        let seen_at = *download.relay_seen_at.get_or_insert(self.now);
        let (above, steps) = self.peer_above(key, stream_options);
        if let Some(above) = above.filter(|above| relays.contains(above)) {
            return Relay::Ask(above);
        }
        let wait_until = seen_at.offset_secs(STEP_WAIT_S * f64::from(steps));
        if above.is_some() && wait_until > self.now {
            return Relay::Wait(wait_until);
        }
        self.fastest(&relays, key).map_or(Relay::None, Relay::Ask)
    }

    /// Nobody that comes before us in the order is near. Someone who comes after us may be asked once it has been loading for a while: by then it
    /// has found a source, which cannot be us, for we have nothing.
    fn choose_later_relay(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Relay {
        let relays = self.relays(key, stream_options, false);
        let may_wait = |download: &&mut Download| !relays.is_empty() && !download.is_paced();
        let Some(download) = self.downloads.by_segment.get_mut(&key).filter(may_wait) else { return Relay::None };
        let may_ask_at = download.later_seen_at.get_or_insert(self.now).offset_secs(LATER_WAIT_S);
        if may_ask_at > self.now {
            return Relay::Wait(may_ask_at);
        }
        self.fastest(&relays, key).map_or(Relay::None, Relay::Ask)
    }

    /// The peer that would send what is missing soonest; viewers with equal measurements choose different ones.
    fn fastest(&self, peers: &[ConnectionId], key: SegmentKey) -> Option<ConnectionId> {
        let bytes = self.missing_bytes(key).unwrap_or(0.0);
        let time = |connection: &ConnectionId| self.peers.get(connection).map_or(f64::MAX, |peer| self.varied_estimate_s(peer, key, bytes));
        peers.iter().copied().min_by(|a, b| time(a).total_cmp(&time(b)))
    }

    /// The free peers that are loading a segment and may be asked for it.
    fn relays(&self, key: SegmentKey, stream_options: &StreamConfig, only_before_us: bool) -> Vec<ConnectionId> {
        let Some(download) = self.downloads.by_segment.get(&key) else { return Vec::new() };
        let peers = self.sharing_peers(key.stream, stream_options);
        let Some(place) = self.place_in_election(key) else { return Vec::new() };
        let ours = place(&self.peer_id.0);
        let relays = peers.filter(|(connection, peer)| {
            peer.download.is_none()
                && self.may_follow(download, **connection)
                && peer.idle_relays < stream_options.p2p_error_retries.max(1)
                && download.may_be_asked(**connection, false)
                && is_source(peer, download, key, || !only_before_us || place(&peer.id.0) < ours)
        });
        relays.map(|(connection, _)| *connection).collect()
    }

    /// True when a peer is loading a segment and will pass it on, as far as is known.
    pub(super) fn may_pass_on(&self, connection: ConnectionId, peer: &Peer, download: &Download, key: SegmentKey) -> bool {
        let is_before_us = || self.place_in_election(key).is_some_and(|place| place(&peer.id.0) < place(&self.peer_id.0));
        // There is no time to wait for those that come after us where all should have it at once.
        self.may_follow(download, connection) && is_source(peer, download, key, || !download.is_paced() || is_before_us())
    }

    /// The peer above us in the tree, whether or not it is loading yet, and how many steps it is away from a root.
    fn peer_above(&self, key: SegmentKey, stream_options: &StreamConfig) -> (Option<ConnectionId>, u32) {
        let Some(place) = self.place_in_election(key) else { return (None, 0) };
        let ours = place(&self.peer_id.0);
        let (mut roots, mut others, mut index) = (Vec::new(), Vec::new(), 0_usize);
        for (connection, peer) in self.rivals(key, stream_options) {
            // Who passes nothing on has nobody below.
            let Some(announced) = peer.announced.as_ref().filter(|announced| !announced.has(key.id) && peer.passes_on()) else { continue };
            let place = place(&peer.id.0);
            if announced.is_loading(key.id) {
                roots.push((place, *connection));
            } else {
                index += usize::from(place < ours);
                others.push((place, *connection));
            }
        }
        if roots.is_empty() {
            return (None, 0);
        }
        sort_by(&mut roots, Ord::cmp);
        sort_by(&mut others, Ord::cmp);
        let is_paced = self.downloads.by_segment.get(&key).is_some_and(Download::is_paced);
        let children = if is_paced { CHILDREN_OF_PACED } else { CHILDREN };
        let above = index / children;
        let mut steps = 1;
        let mut at = above;
        while at >= roots.len() {
            at = (at - roots.len()) / children;
            steps += 1;
        }
        let found = roots.get(above).or_else(|| others.get(above.checked_sub(roots.len())?));
        (found.map(|(_, connection)| *connection), steps)
    }
}

/// Who was a root, or has followers, or was disappointed once, asks only roots: all others may be waiting for the same peer, or for us.
fn is_source(peer: &Peer, download: &Download, key: SegmentKey, is_before_us: impl Fn() -> bool) -> bool {
    let Some(announced) = peer.announced.as_ref().filter(|_| peer.passes_on()) else { return false };
    if announced.is_loading(key.id) {
        return true;
    }
    let is_first_try = || download.http_failures == 0 && download.refused_by.values().all(|refusal| *refusal == Refusal::Busy);
    announced.is_relaying(key.id) && download.followers.is_empty() && is_first_try() && is_before_us()
}
