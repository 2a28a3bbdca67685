//! Who is in which swarm. One lock guards it: what happens under it is a few table look-ups, messages are built outside.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::connection::Connection;
use super::message::Id;

/// All swarms of the tracker.
pub(super) struct Swarms {
    swarms: HashMap<Id, Swarm>,
    /// Peers of all swarms.
    peers: usize,
    complete: usize,
    max_swarms: usize,
}

#[derive(Default)]
struct Swarm {
    peers: Vec<Peer>,
    /// Where each peer is in `peers`.
    positions: HashMap<Id, usize>,
    complete: usize,
}

struct Peer {
    id: Id,
    complete: bool,
    connection: Arc<Connection>,
    last_announce: Instant,
}

/// An announce as the swarms see it.
pub(super) struct Presence<'a> {
    pub(super) info_hash: Id,
    pub(super) peer_id: Id,
    pub(super) complete: bool,
    pub(super) connection: &'a Arc<Connection>,
    /// How many other peers to choose.
    pub(super) wanted: usize,
}

/// What an announce leads to.
pub(super) struct Announced {
    pub(super) counts: Counts,
    /// Other peers of the swarm, chosen at random, none twice.
    pub(super) chosen: Vec<Arc<Connection>>,
}

/// Peers of a swarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) complete: usize,
    pub(super) incomplete: usize,
}

/// Why a peer cannot be in a swarm.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    #[error("this tracker has no room for another swarm")]
    TooManySwarms,
    /// Its connection may be dead without our knowing; pings find out within a minute or so.
    #[error("peer_id is in use from another address")]
    PeerIdTaken,
}

impl Swarms {
    pub(super) fn new(max_swarms: usize) -> Self {
        Self { swarms: HashMap::new(), peers: 0, complete: 0, max_swarms }
    }

    /// Puts a peer into a swarm, or notes that it is still there, and chooses others for it.
    ///
    /// A peer id that is already there with another connection moves to the new one if both come from one address: a peer that reconnects
    /// before its old connection is known to be dead. From elsewhere it could be anybody who has seen the id.
    pub(super) fn announce(&mut self, presence: &Presence<'_>, now: Instant) -> Result<Announced, Refusal> {
        let room = self.swarms.len() < self.max_swarms;
        let swarm = match self.swarms.entry(presence.info_hash) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if !room => return Err(Refusal::TooManySwarms),
            Entry::Vacant(entry) => entry.insert(Swarm::default()),
        };
        let position = match swarm.positions.get(&presence.peer_id) {
            Some(position) => *position,
            None => {
                swarm.positions.insert(presence.peer_id, swarm.peers.len());
                let connection = presence.connection.clone();
                swarm.peers.push(Peer { id: presence.peer_id, complete: false, connection, last_announce: now });
                self.peers += 1;
                swarm.peers.len() - 1
            }
        };
        let peer = &mut swarm.peers[position];
        if !Arc::ptr_eq(&peer.connection, presence.connection) {
            if peer.connection.address() != presence.connection.address() {
                return Err(Refusal::PeerIdTaken);
            }
            peer.connection = presence.connection.clone();
        }
        peer.last_announce = now;
        if presence.complete && !peer.complete {
            peer.complete = true;
            swarm.complete += 1;
            self.complete += 1;
        }
        Ok(Announced { counts: swarm.counts(), chosen: swarm.choose(position, presence.wanted) })
    }

    /// The connection of a peer.
    pub(super) fn connection_of(&self, info_hash: &Id, peer_id: &Id) -> Option<&Arc<Connection>> {
        let swarm = self.swarms.get(info_hash)?;
        Some(&swarm.peers[*swarm.positions.get(peer_id)?].connection)
    }

    /// Takes a peer out of a swarm, if it is there with this connection.
    pub(super) fn leave(&mut self, info_hash: &Id, peer_id: &Id, connection: &Arc<Connection>) {
        if self.connection_of(info_hash, peer_id).is_some_and(|of| Arc::ptr_eq(of, connection))
            && let Some(swarm) = self.swarms.get_mut(info_hash)
            && let Some(position) = swarm.positions.get(peer_id)
        {
            let removed = swarm.remove(*position);
            self.peers -= 1;
            self.complete -= usize::from(removed.complete);
            if swarm.peers.is_empty() {
                self.swarms.remove(info_hash);
            }
        }
    }

    /// Drops every peer that has not announced for `max_age`; says how many.
    pub(super) fn drop_stale(&mut self, now: Instant, max_age: Duration) -> usize {
        let before = self.peers;
        let (peers, complete) = (&mut self.peers, &mut self.complete);
        self.swarms.retain(|_, swarm| {
            // Backwards, since removing moves the last peer into the gap.
            for position in (0..swarm.peers.len()).rev() {
                if now.saturating_duration_since(swarm.peers[position].last_announce) > max_age {
                    let removed = swarm.remove(position);
                    *peers -= 1;
                    *complete -= usize::from(removed.complete);
                }
            }
            !swarm.peers.is_empty()
        });
        before - self.peers
    }

    /// Peers of one swarm; zero if there is none.
    pub(super) fn counts(&self, info_hash: &Id) -> Counts {
        self.swarms.get(info_hash).map(Swarm::counts).unwrap_or_default()
    }

    /// Number of swarms, and peers of all of them.
    pub(super) fn totals(&self) -> (usize, Counts) {
        (self.swarms.len(), Counts { complete: self.complete, incomplete: self.peers - self.complete })
    }
}

impl Swarm {
    fn counts(&self) -> Counts {
        Counts { complete: self.complete, incomplete: self.peers.len() - self.complete }
    }

    /// Up to `wanted` peers other than the one at `own`, every set equally likely (Floyd's sampling: cost grows with `wanted` only).
    fn choose(&self, own: usize, wanted: usize) -> Vec<Arc<Connection>> {
        let others = self.peers.len() - 1;
        let wanted = wanted.min(others);
        let mut chosen: Vec<usize> = Vec::with_capacity(wanted);
        for limit in others - wanted..others {
            let drawn = fastrand::usize(..=limit);
            chosen.push(if chosen.contains(&drawn) { limit } else { drawn });
        }
        chosen.into_iter().map(|other| self.peers[other + usize::from(other >= own)].connection.clone()).collect()
    }

    fn remove(&mut self, position: usize) -> Peer {
        let removed = self.peers.swap_remove(position);
        self.positions.remove(&removed.id);
        if let Some(moved) = self.peers.get(position) {
            self.positions.insert(moved.id, position);
        }
        self.complete -= usize::from(removed.complete);
        // A swarm of a popular live stream shrinks when the stream is over: give the memory back.
        if self.peers.len() * 4 < self.peers.capacity() {
            self.peers.shrink_to(self.peers.len() * 2);
            self.positions.shrink_to(self.peers.len() * 2);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn connection(address: [u8; 4]) -> Arc<Connection> {
        Arc::new(Connection::new(IpAddr::from(address), 1000))
    }

    fn announce(swarms: &mut Swarms, peer: u8, connection: &Arc<Connection>, wanted: usize) -> Result<Announced, Refusal> {
        let presence = Presence { info_hash: [1; 20], peer_id: [peer; 20], complete: false, connection, wanted };
        swarms.announce(&presence, Instant::now())
    }

    #[test]
    fn others_are_chosen_fairly_and_never_oneself() {
        let mut swarms = Swarms::new(10);
        let connections: Vec<_> = (0..10).map(|_| connection([1, 1, 1, 1])).collect();
        for (peer, connection) in (0..).zip(&connections) {
            assert_eq!(announce(&mut swarms, peer, connection, 20).unwrap().chosen.len(), usize::from(peer));
        }
        let mut times = [0; 10];
        for _ in 0..900 {
            let chosen = announce(&mut swarms, 3, &connections[3], 5).unwrap().chosen;
            assert_eq!(chosen.len(), 5);
            for (index, connection) in connections.iter().enumerate() {
                let count = chosen.iter().filter(|other| Arc::ptr_eq(other, connection)).count();
                assert!(count <= 1);
                times[index] += count;
            }
        }
        // 500 each are expected; five standard deviations are 75.
        assert!(
            times.iter().enumerate().all(|(index, times)| if index == 3 { *times == 0 } else { (420..580).contains(times) }),
            "{times:?}"
        );
    }

    #[test]
    fn counts_follow_peers() {
        let mut swarms = Swarms::new(1);
        let (a, b) = (connection([1, 1, 1, 1]), connection([2, 2, 2, 2]));
        announce(&mut swarms, 1, &a, 0).unwrap();
        let complete = Presence { info_hash: [1; 20], peer_id: [2; 20], complete: true, connection: &b, wanted: 0 };
        assert_eq!(swarms.announce(&complete, Instant::now()).unwrap().counts, Counts { complete: 1, incomplete: 1 });
        assert_eq!(swarms.announce(&complete, Instant::now()).unwrap().counts, Counts { complete: 1, incomplete: 1 });
        let other_swarm = Presence { info_hash: [2; 20], ..complete };
        assert_eq!(swarms.announce(&other_swarm, Instant::now()).map(|a| a.counts), Err(Refusal::TooManySwarms));
        swarms.leave(&[1; 20], &[2; 20], &a);
        assert_eq!(swarms.counts(&[1; 20]), Counts { complete: 1, incomplete: 1 }, "someone else cannot take a peer out");
        swarms.leave(&[1; 20], &[2; 20], &b);
        assert_eq!(swarms.totals(), (1, Counts { complete: 0, incomplete: 1 }));
        swarms.leave(&[1; 20], &[1; 20], &a);
        assert_eq!(swarms.totals(), (0, Counts::default()));
    }

    #[test]
    fn a_peer_id_moves_within_its_address_only() {
        let mut swarms = Swarms::new(1);
        let (old, new, stranger) = (connection([1, 1, 1, 1]), connection([1, 1, 1, 1]), connection([2, 2, 2, 2]));
        announce(&mut swarms, 1, &old, 0).unwrap();
        assert_eq!(announce(&mut swarms, 1, &stranger, 0).map(|a| a.counts), Err(Refusal::PeerIdTaken));
        announce(&mut swarms, 1, &new, 0).unwrap();
        swarms.leave(&[1; 20], &[1; 20], &old);
        assert!(Arc::ptr_eq(swarms.connection_of(&[1; 20], &[1; 20]).unwrap(), &new), "the old connection's end does not matter any more");
    }

    #[test]
    fn stale_peers_go() {
        let mut swarms = Swarms::new(10);
        let start = Instant::now();
        let a = connection([1, 1, 1, 1]);
        for peer in 0..10 {
            let at = start + Duration::from_secs(u64::from(peer));
            let presence = Presence { info_hash: [peer % 2; 20], peer_id: [peer; 20], complete: peer < 3, connection: &a, wanted: 0 };
            swarms.announce(&presence, at).unwrap();
        }
        assert_eq!(swarms.drop_stale(start + Duration::from_secs(10), Duration::from_secs(5)), 5);
        assert_eq!(swarms.totals(), (2, Counts { complete: 0, incomplete: 5 }));
        for peer in 5..10 {
            assert!(swarms.connection_of(&[peer % 2; 20], &[peer; 20]).is_some(), "{peer}");
        }
        assert_eq!(swarms.drop_stale(start + Duration::from_secs(60), Duration::from_secs(5)), 5);
        assert_eq!(swarms.totals(), (0, Counts::default()));
    }
}
