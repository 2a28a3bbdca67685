//! Who is connected: what each peer has, how fast it has been and how well it behaves.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::input::ConnectionId;
use super::throughput::SourceSpeed;
use super::uploads::Upload;
use crate::identity::PeerId;
use crate::media::{SegmentId, SegmentKey, StreamKey, StreamKind};
use crate::peer_protocol::{IncomingSegment, MessageReader};
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
    /// Bytes handed out for sending that have not left yet.
    pub(super) unsent_bytes: usize,
    pub(super) speed: SourceSpeed,
    /// Requests in a row that it let time out.
    pub(super) timeouts: u32,
    pub(super) next_request: u64,
    /// When media last went either way.
    pub(super) useful_at: Timestamp,
}

/// A peer's newest announcement; both lists rise.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) loaded: Vec<SegmentId>,
    pub(super) loading: Vec<SegmentId>,
}

/// The one download that a connection can carry at a time.
#[derive(Debug)]
pub(super) struct PeerDownload {
    pub(super) segment: SegmentKey,
    pub(super) incoming: IncomingSegment,
    pub(super) asked_at: Timestamp,
    pub(super) first_byte_at: Option<Timestamp>,
    pub(super) last_byte_at: Timestamp,
    pub(super) bytes: u64,
}

impl Announced {
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.loaded.binary_search(&id).is_ok()
    }

    pub(super) fn is_loading(&self, id: SegmentId) -> bool {
        self.loading.binary_search(&id).is_ok()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.loaded.is_empty() && self.loading.is_empty()
    }

    pub(super) fn touches(&self, ids: &RangeInclusive<SegmentId>) -> bool {
        [&self.loaded, &self.loading].into_iter().any(|list| {
            let index = list.partition_point(|id| id < ids.start());
            list.get(index).is_some_and(|id| id <= ids.end())
        })
    }
}

impl Peer {
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.has(id))
    }

    /// Seconds in which it would probably send `bytes`.
    pub(super) fn estimate_s(&self, bytes: f64) -> f64 {
        self.speed.response_s.get().unwrap_or(UNMEASURED_RESPONSE_S)
            + bytes / self.speed.bytes_per_s.get().unwrap_or(UNMEASURED_BYTES_PER_S).max(1.0)
    }
}

impl Peer {
    /// Seconds until what is missing of the running download will probably be here.
    pub(super) fn arrival_s(&self, missing: Option<u64>, now: Timestamp) -> Option<f64> {
        let download = self.download.as_ref()?;
        let missing = missing? as f64;
        match download.rate(now) {
            Some(rate) => Some(missing / rate.max(1.0)),
            // Not a byte yet, but it had no time to answer either.
            None => Some(self.estimate_s(missing)).filter(|_| now < download.asked_at + ANSWER_TIME),
        }
    }
}

impl PeerDownload {
    /// Bytes per second so far, once there is something to tell from.
    pub(super) fn rate(&self, now: Timestamp) -> Option<f64> {
        let first = self.first_byte_at?;
        let seconds = now.since(first).as_secs_f64();
        (seconds > 0.02).then(|| self.bytes as f64 / seconds)
    }
}

/// All connected peers.
pub(super) type Peers = BTreeMap<ConnectionId, Peer>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_searched_by_number_and_by_neighbourhood() {
        let ids = |ids: &[i64]| ids.iter().map(|id| SegmentId(*id)).collect::<Vec<_>>();
        let announced = Announced { loaded: ids(&[3, 4, 9]), loading: ids(&[12]) };
        assert!(announced.has(SegmentId(4)) && !announced.has(SegmentId(12)) && announced.is_loading(SegmentId(12)));
        assert!(announced.touches(&(SegmentId(5)..=SegmentId(9))) && !announced.touches(&(SegmentId(5)..=SegmentId(8))));
        assert!(announced.touches(&(SegmentId(10)..=SegmentId(20))) && !announced.touches(&(SegmentId(13)..=SegmentId(20))));
        assert!(Announced::default().is_empty() && !announced.is_empty());
    }
}
