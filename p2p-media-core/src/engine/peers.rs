//! Who is connected: what each peer has, how fast it has been and how well it behaves.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::input::ConnectionId;
use super::throughput::SourceSpeed;
use super::uploads::Upload;
use crate::identity::PeerId;
use crate::media::{SegmentId, SegmentKey, StreamKey, StreamKind};
use crate::peer_protocol::{IncomingSegment, MessageReader, RequestId};
use crate::sorted_map::SortedMap;
use crate::timestamp::Timestamp;
use crate::tracker_protocol::OfferId;

/// Bytes per second that a peer is taken to send until it has been measured.
const UNMEASURED_BYTES_PER_S: f64 = 250_000.0;
/// Seconds that a peer is taken to need for its first byte until it has been measured.
const UNMEASURED_RESPONSE_S: f64 = 0.1;

/// A peer that has not begun to send after this will not be in time.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// A peer with an open channel.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) stream: StreamKey,
    pub(super) kind: StreamKind,
    pub(super) connected_at: Timestamp,
    /// Who offered, and the offer's id: what decides between two connections to one peer.
    pub(super) rank_of_connection: (PeerId, OfferId),
    pub(super) reader: MessageReader,
    /// A message has come over this connection.
    pub(super) has_spoken: bool,
    /// What it serves and what it loads from the origin, rising; `None` until it first says so.
    pub(super) announced: Option<Announced>,
    pub(super) download: Option<PeerDownload>,
    pub(super) upload: Option<Upload>,
    /// The request that was served last.
    pub(super) last_upload: Option<(SegmentId, RequestId)>,
    /// Bytes handed out for sending that have not left yet.
    pub(super) unsent_bytes: usize,
    pub(super) speed: SourceSpeed,
    /// Requests in a row that it let time out.
    pub(super) timeouts: u32,
    /// Segments in a row that it was loading and gave nothing of.
    pub(super) idle_relays: u32,
    /// A segment to which it gave has passed its check, and none since has not.
    pub(super) is_proven: bool,
    pub(super) next_request: u64,
    /// When media last went either way.
    pub(super) useful_at: Timestamp,
}

/// A peer's newest announcement; its lists rise.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) loaded: Vec<SegmentId>,
    /// From the origin.
    pub(super) loading: Vec<SegmentId>,
    /// From peers. Present in what a peer of ours says that passes on what it is loading.
    pub(super) relaying: Option<Vec<SegmentId>>,
}

/// The one download that a connection can carry at a time.
#[derive(Debug)]
pub(super) struct PeerDownload {
    pub(super) segment: SegmentKey,
    pub(super) incoming: IncomingSegment,
    /// The first byte asked for.
    pub(super) first_byte: u64,
    pub(super) asked_at: Timestamp,
    pub(super) first_byte_at: Option<Timestamp>,
    pub(super) last_byte_at: Timestamp,
    pub(super) bytes: u64,
    /// The peer was loading the segment itself when it was asked.
    pub(super) is_relay: bool,
    /// It must keep to a size that only another peer has said.
    pub(super) is_bound_by_hearsay: bool,
}

impl Announced {
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.loaded.binary_search(&id).is_ok()
    }

    pub(super) fn is_loading(&self, id: SegmentId) -> bool {
        self.loading.binary_search(&id).is_ok()
    }

    pub(super) fn is_relaying(&self, id: SegmentId) -> bool {
        self.relaying.as_ref().is_some_and(|relaying| relaying.binary_search(&id).is_ok())
    }

    /// It has, or is loading, a segment.
    pub(super) fn speaks_of(&self, id: SegmentId) -> bool {
        self.has(id) || self.is_loading(id) || self.is_relaying(id)
    }

    fn lists(&self) -> impl Iterator<Item = &Vec<SegmentId>> {
        [Some(&self.loaded), Some(&self.loading), self.relaying.as_ref()].into_iter().flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists().all(Vec::is_empty)
    }

    /// The peer does not have it, whatever it said.
    pub(super) fn retract(&mut self, id: SegmentId) {
        for list in [Some(&mut self.loaded), Some(&mut self.loading), self.relaying.as_mut()].into_iter().flatten() {
            if let Ok(place) = list.binary_search(&id) {
                list.remove(place);
            }
        }
    }

    pub(super) fn touches(&self, ids: &RangeInclusive<SegmentId>) -> bool {
        self.lists().any(|list| {
            let index = list.partition_point(|id| id < ids.start());
            list.get(index).is_some_and(|id| id <= ids.end())
        })
    }
}

impl Peer {
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.has(id))
    }

    /// True for a peer of ours that passes on what it is loading, and goes on at any byte.
    pub(super) fn passes_on(&self) -> bool {
        self.id.is_ours() && self.announced.as_ref().is_some_and(|announced| announced.relaying.is_some())
    }

    /// Seconds in which it would probably send `bytes`.
    pub(super) fn estimate_s(&self, bytes: f64) -> f64 {
        let (response_s, bytes_per_s) = self.speed_or_guess();
        response_s + bytes / bytes_per_s
    }

    /// Seconds until its first byte, and bytes per second from then on.
    pub(super) fn speed_or_guess(&self) -> (f64, f64) {
        let response_s = self.speed.response_s.get().unwrap_or(UNMEASURED_RESPONSE_S);
        (response_s, self.speed.bytes_per_s.get().unwrap_or(UNMEASURED_BYTES_PER_S).max(1.0))
    }
}

impl Peer {
    /// Seconds until what is missing of the running download will probably be here.
    pub(super) fn arrival_s(&self, missing: Option<u64>, now: Timestamp) -> Option<f64> {
        let download = self.download.as_ref()?;
        let missing = missing? as f64;
        match download.rate(now) {
            // Nobody knows how long a silence lasts: about as long again.
            Some(rate) => Some((missing / rate.max(1.0)).max(now.since(download.last_byte_at).as_secs_f64())),
            // Not a byte yet, but it had no time to answer either.
            None => Some(self.estimate_s(missing)).filter(|_| now < download.asked_at + ANSWER_TIME),
        }
    }
}

impl PeerDownload {
    /// True when it is less than a whole segment.
    pub(super) const fn is_stretch(&self) -> bool {
        self.first_byte > 0 || self.incoming.end().is_some()
    }

    /// Bytes per second so far, once there is something to tell from.
    pub(super) fn rate(&self, now: Timestamp) -> Option<f64> {
        let first = self.first_byte_at?;
        let seconds = now.since(first).as_secs_f64();
        (seconds > 0.02).then(|| self.bytes as f64 / seconds)
    }
}

/// All connected peers. In boxes: a search among the numbers then touches little memory.
pub(super) type Peers = SortedMap<ConnectionId, Box<Peer>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_searched_by_number_and_by_neighbourhood() {
        let ids = |ids: &[i64]| ids.iter().map(|id| SegmentId(*id)).collect::<Vec<_>>();
        let announced = Announced { loaded: ids(&[3, 4, 9]), loading: ids(&[12]), relaying: Some(ids(&[30])) };
        assert!(announced.has(SegmentId(4)) && !announced.has(SegmentId(12)) && announced.is_loading(SegmentId(12)));
        assert!(announced.touches(&(SegmentId(5)..=SegmentId(9))) && !announced.touches(&(SegmentId(5)..=SegmentId(8))));
        assert!(announced.touches(&(SegmentId(10)..=SegmentId(20))) && !announced.touches(&(SegmentId(13)..=SegmentId(20))));
        assert!(announced.is_relaying(SegmentId(30)) && announced.touches(&(SegmentId(30)..=SegmentId(30))));
        let mut retracted = announced;
        [4, 12, 30].into_iter().for_each(|id| retracted.retract(SegmentId(id)));
        assert_eq!(retracted, Announced { loaded: ids(&[3, 9]), loading: ids(&[]), relaying: Some(ids(&[])) });
        assert!(Announced::default().is_empty());
    }
}
