//! Who fetches from the origin what nobody has: one of those that see each other, or a few of a swarm that is too large for that.

use super::Engine;
use super::input::ConnectionId;
use super::peers::{Announced, Peer};
use super::random::spread;
use crate::config::StreamConfig;
use crate::media::SegmentKey;
use crate::timestamp::Timestamp;

/// How long each rank waits for the one before it, at most and at least: longer than an announcement takes.
const LONGEST_RANK_WAIT_S: f64 = 0.4;
const SHORTEST_RANK_WAIT_S: f64 = 0.15;
/// Beyond so many times the peers that we see, a swarm draws lots for who fetches a segment.
const MOST_SEEN_MEMBERS: f64 = 2.0;
/// Viewers of a swarm that fetch a segment at once, on average, when lots are drawn: so many times the root of its size. Fewer make the way to the
/// last one long, and then the origin is asked because peers are late; more are copies that were not needed. Found by simulation: 3 to 6 are best
/// of 100, about 15 of 1,000.
const WINNERS_BY_ROOT: f64 = 0.5;
/// How long those wait who come after them, for each doubling of their number: about as long as a hop takes.
const SHORTEST_STEP_S: f64 = 0.1;

impl Engine {
    /// When it is our turn to fetch what nobody has.
    ///
    /// Where we see most of the swarm, the peers that come to this segment are ranked: rank 0 goes at once, each further one waits. Of a larger swarm
    /// nobody sees enough for that: there the same hash is a lottery. A few win in the whole swarm and go at once, twice as many a step later,
    /// and so on, until an announcement tells that somebody is loading the segment.
    pub(super) fn turn_to_fetch(&self, key: SegmentKey, slack_s: f64, stream_options: &StreamConfig) -> Timestamp {
        let (Some(place), Some(download)) = (self.place_in_election(key), self.downloads.by_segment.get(&key)) else { return self.now };
        let ours = place(&self.peer_id.0);
        let (mut rank, mut ranks) = (0_u32, 1_u32);
        for (_, peer) in self.rivals(key, stream_options) {
            rank += u32::from(place(&peer.id.0) < ours);
            ranks += 1;
        }
        let time_s = slack_s + self.now.since(download.wanted_since).as_secs_f64();
        let members = self.swarm_members(key.stream) as f64;
        let mut wait_s = (time_s / f64::from(ranks)).clamp(SHORTEST_RANK_WAIT_S, LONGEST_RANK_WAIT_S) * f64::from(rank);
        if members > MOST_SEEN_MEMBERS * f64::from(ranks) {
            wait_s = lottery_wait_s(ours as f64 / u64::MAX as f64, members, time_s);
        }
        if self.uplink_is_weak(key.stream) {
            wait_s += LONGEST_RANK_WAIT_S;
        }
        download.wanted_since.offset_secs(wait_s)
    }

    /// What orders the peers that come to a segment, alike for all of them.
    pub(super) fn place_in_election(&self, key: SegmentKey) -> Option<impl Fn(&[u8; 20]) -> u64 + use<>> {
        let of_segment = spread(&self.streams.get(&key.stream)?.info_hash.0, key.id.0 as u64);
        Some(move |peer: &[u8; 20]| spread(peer, of_segment))
    }

    /// Connected peers of ours that are coming to a segment: they have said that they have, or are loading, something in the window before
    /// it, or nothing at all so far.
    pub(super) fn rivals<'a>(
        &'a self,
        key: SegmentKey,
        stream_options: &StreamConfig,
    ) -> impl Iterator<Item = (&'a ConnectionId, &'a Peer)> + use<'a> {
        let start = self.downloads.by_segment.get(&key).map_or(f64::MIN, |download| download.segment.start);
        let near_s = stream_options.high_demand_time_window.as_secs_f64();
        let state = self.streams.get(&key.stream);
        let before = state.map_or_else(Vec::new, |state| state.segments.id_ranges(start - near_s, start, key.id.is_part()));
        self.sharing_peers(key.stream, stream_options).filter(move |(_, peer)| {
            let comes_here = |announced: &Announced| announced.is_empty() || before.iter().any(|ids| announced.touches(ids));
            peer.id.is_ours() && peer.announced.as_ref().is_some_and(comes_here)
        })
    }
}

/// Seconds that the holder of a lot, from 0 to 1, waits before it fetches, in a swarm of so many members and with so much time.
fn lottery_wait_s(lot: f64, members: f64, time_s: f64) -> f64 {
    let winners = (WINNERS_BY_ROOT * members.sqrt()).max(1.0);
    let step_of = |members: f64| (members / winners).log2().max(0.0);
    let step_s = (time_s / (step_of(members) + 1.0)).clamp(SHORTEST_STEP_S, LONGEST_RANK_WAIT_S);
    step_s * step_of(lot * members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_win_at_once_in_any_swarm_and_all_have_had_their_turn_in_time() {
        for (members, winners) in [(100.0, 5), (1_000.0, 16), (10_000.0, 50)] {
            let waits_s: Vec<_> =
                (0..members as u32).map(|index| lottery_wait_s((f64::from(index) + 0.5) / members, members, 3.0)).collect();
            let at_once = waits_s.iter().filter(|wait_s| **wait_s == 0.0).count();
            let soon = waits_s.iter().filter(|wait_s| **wait_s <= SHORTEST_STEP_S * 2.0).count();
            assert_eq!((at_once, soon <= winners * 4), (winners, true), "{members}: {soon}");
            assert!(waits_s.iter().all(|wait_s| *wait_s <= 3.0) && waits_s.last() > Some(&1.0), "{members}: {waits_s:?}");
        }
    }
}
