//! Several sources for one segment at a time: each brings a stretch of it.
//!
//! The first stretch is what comes next; its source is that of the download. Where it would take long, another source is asked for the part of
//! it that it would bring as soon as the first one brings the rest, and so on. A stretch that has come joins the bytes before it once these are all
//! here. One whose source fails keeps its bytes, and gets another source.

use bytes::Bytes;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::{Download, HttpTransfer, Source};
use super::input::{ConnectionId, HttpId};
use super::output::Output;
use super::peers::{Peer, PeerDownload};
use super::streams::options;
use crate::event::SegmentSource;
use crate::identity::PeerId;
use crate::media::{SegmentForm, SegmentKey};
use crate::peer_protocol::{Command, IncomingSegment, RequestId};
use crate::segment_bytes::SegmentBytes;

/// Request numbers go round in the range that the official peer uses.
pub(super) const REQUEST_NUMBERS: u64 = 1000;
/// Sources that bring one segment at one time, at most.
const MOST_SOURCES: usize = 4;
/// A stretch is divided when it would take longer than this.
const LONG_STRETCH_S: f64 = 0.3;
/// Only a line that has been seen to carry so many times the media's rate from one source can carry more from several. On a narrow line they
/// would be in each other's way, and what is sent in vain would be missed.
const WIDE_LINE: f64 = 2.5;
/// Shorter stretches are not worth a request.
const SHORTEST_STRETCH_BYTES: f64 = 65_536.0;

/// A stretch further on in a segment.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Its first byte. It ends where the next one begins, or with the segment.
    pub(super) from: u64,
    /// What is here of it.
    pub(super) bytes: SegmentBytes,
    pub(super) source: Source,
}

impl Stretch {
    fn is_given_by(&self, connection: ConnectionId) -> bool {
        matches!(self.source, Source::Peer(giver) if giver == connection)
    }

    fn reached(&self) -> u64 {
        self.from + self.bytes.len()
    }
}

/// Which stretch is meant: the first is 0, the others follow.
pub(super) type Place = usize;

impl Download {
    pub(super) fn source_at(&self, place: Place) -> Option<&Source> {
        place.checked_sub(1).map_or(Some(&self.source), |index| Some(&self.later.get(index)?.source))
    }

    pub(super) fn reached_at(&self, place: Place) -> u64 {
        place.checked_sub(1).and_then(|index| self.later.get(index)).map_or(self.bytes.len(), Stretch::reached)
    }

    /// Where a stretch begins.
    pub(super) fn begin_at(&self, place: Place) -> u64 {
        place.checked_sub(1).and_then(|index| self.later.get(index)).map_or(0, |stretch| stretch.from)
    }

    /// Where a stretch ends; `None` for the last one while the size is unknown.
    pub(super) fn end_at(&self, place: Place) -> Option<u64> {
        self.later.get(place).map(|next| next.from).or(self.total)
    }

    /// The stretch that a peer brings.
    fn place_of_peer(&self, connection: ConnectionId) -> Option<Place> {
        if matches!(self.source, Source::Peer(giver) if giver == connection) {
            return Some(0);
        }
        self.later.iter().position(|stretch| stretch.is_given_by(connection)).map(|index| index + 1)
    }

    /// The stretch after the first that a fetch brings.
    pub(super) fn later_fetch(&mut self, id: HttpId) -> Option<(Place, &mut HttpTransfer)> {
        self.later.iter_mut().enumerate().find_map(|(index, stretch)| match &mut stretch.source {
            Source::Http(transfer) if transfer.id == id => Some((index + 1, transfer)),
            _ => None,
        })
    }

    /// Takes bytes for a stretch after the first; true when it is all here.
    pub(super) fn take_later(&mut self, place: Place, mut bytes: Bytes) -> bool {
        let end = self.end_at(place);
        let left = end.map_or(u64::MAX, |end| end.saturating_sub(self.reached_at(place)));
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
        if let Some(stretch) = place.checked_sub(1).and_then(|index| self.later.get_mut(index)) {
            stretch.bytes.push(bytes);
        }
        end.is_some_and(|end| self.reached_at(place) >= end)
    }

    pub(super) fn set_source(&mut self, place: Place, source: Source) {
        match place.checked_sub(1) {
            None => self.source = source,
            Some(index) => {
                if let Some(stretch) = self.later.get_mut(index) {
                    stretch.source = source;
                }
            }
        }
    }
}

impl Engine {
    /// Divides what would take long among further peers that have the segment whole.
    pub(super) fn divide(&mut self, key: SegmentKey) {
        while let Some((place, at, peer)) = self.next_division(key) {
            self.shorten(key, place, at);
            self.ask_peer(key, place + 1, peer);
        }
    }

    /// The stretch that would be here last, if another peer is free to bring a part of it, and where that part would begin.
    fn next_division(&self, key: SegmentKey) -> Option<(Place, u64, ConnectionId)> {
        let download = self.downloads.by_segment.get(&key)?;
        let size = self.size_or_guess(key, download)?;
        let running = (0..=download.later.len()).filter_map(|place| {
            let end = download.end_at(place).unwrap_or(size);
            let missing = end.checked_sub(download.reached_at(place)).filter(|missing| *missing > 0)? as f64;
            let Source::Peer(connection) = download.source_at(place)? else { return None };
            let peer = self.peers.get(connection)?;
            let rate = missing / self.arrival_or_guess_s(peer, missing).max(0.001);
            Some((missing / rate, place, end, missing, rate))
        });
        let (seconds, place, end, missing, rate) = running.max_by(|a, b| a.0.total_cmp(&b.0))?;
        if seconds < LONG_STRETCH_S || !self.may_be_divided(key) {
            return None;
        }
        let peer = self.best_peer(key).filter(|peer| self.peers.get(peer).is_some_and(|peer| peer.passes_on()))?;
        let (response_s, peer_rate) = self.peers.get(&peer)?.speed_or_guess();
        // Both are through at the same time.
        let bytes = ((seconds - response_s) / (1.0 / rate + 1.0 / peer_rate)).min(missing);
        let is_worth_it = bytes >= SHORTEST_STRETCH_BYTES && missing - bytes >= SHORTEST_STRETCH_BYTES / 2.0;
        is_worth_it.then_some((place, end - bytes as u64, peer))
    }

    /// True while it is worthwhile to have a stretch of a segment from another source at the same time.
    pub(super) fn may_be_divided(&self, key: SegmentKey) -> bool {
        let (Some(download), Some(state)) = (self.downloads.by_segment.get(&key), self.streams.get(&key.stream)) else { return false };
        if download.segment.form != SegmentForm::Whole
            || (download.held_back && !self.checks_peers(download))
            || download.later.len() + 1 >= MOST_SOURCES
        {
            return false;
        }
        let origin_rate = self.origin_speed.bytes_per_s(download.kind);
        let fastest = self.peers_of(key.stream).filter_map(|(_, peer)| peer.speed.bytes_per_s.get()).chain(origin_rate).fold(0.0, f64::max);
        state.bytes_per_media_s.get().is_some_and(|rate| fastest >= rate * WIDE_LINE)
    }

    /// Seconds until a peer has sent so many bytes of the download that it is busy with.
    fn arrival_or_guess_s(&self, peer: &Peer, missing: f64) -> f64 {
        peer.arrival_s(Some(missing as u64), self.now).unwrap_or_else(|| peer.estimate_s(missing))
    }

    pub(super) fn size_or_guess(&self, key: SegmentKey, download: &Download) -> Option<u64> {
        download.total.or_else(|| Some(self.streams.get(&key.stream)?.expected_size(&download.segment)? as u64))
    }

    /// Ends a stretch earlier. What follows is an empty stretch, which needs a source.
    pub(super) fn shorten(&mut self, key: SegmentKey, place: Place, at: u64) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        download.later.insert(place, Stretch { from: at, bytes: SegmentBytes::new(), source: Source::None });
        let Some(Source::Peer(connection)) = download.source_at(place) else { return };
        let connection = *connection;
        let Some(peer) = self.peers.get_mut(&connection).filter(|peer| peer.passes_on()) else { return };
        // It may have been asked for less before, when what follows was to come from elsewhere.
        let is_shorter = |transfer: &&mut PeerDownload| transfer.incoming.end().is_none_or(|end| at < end);
        let Some(transfer) = peer.download.as_mut().filter(is_shorter) else { return };
        transfer.incoming.end_at(at);
        let (segment, request, first_byte) = (transfer.incoming.segment(), transfer.incoming.request(), transfer.first_byte);
        self.send_command(connection, &Command::Request { segment, request, first_byte, last_byte: Some(at.saturating_sub(1)) });
    }

    /// Asks a peer for what is missing of a stretch.
    pub(super) fn ask_peer(&mut self, key: SegmentKey, place: Place, connection: ConnectionId) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let request = RequestId(peer.next_request);
        peer.next_request = (peer.next_request + 1) % REQUEST_NUMBERS;
        let first_byte = download.reached_at(place);
        let mut incoming = IncomingSegment::new(key.id, request, first_byte, download.total);
        let mut last_byte = None;
        if peer.passes_on() {
            incoming = incoming.of_any_size();
            if let Some(next) = download.later.get(place) {
                incoming.end_at(next.from);
                last_byte = Some(next.from.saturating_sub(1));
            }
        }
        peer.download = Some(PeerDownload {
            segment: key,
            incoming,
            first_byte,
            is_relay: !peer.has(key.id),
            is_bound_by_hearsay: download.total.is_some() && download.total_is_hearsay,
            asked_at: self.now,
            first_byte_at: None,
            last_byte_at: self.now,
            bytes: 0,
        });
        download.started.get_or_insert(self.now);
        download.set_source(place, Source::Peer(connection));
        self.spare_followers(key);
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        let timeout = options(&self.config, download.kind).p2p_not_receiving_bytes_timeout;
        self.deadlines.set_no_later(Deadline::TransferStalled(key), self.now + timeout);
        self.stats.p2p_requests += 1;
        self.send_command(connection, &Command::Request { segment: key.id, request, first_byte, last_byte });
    }

    /// Bytes of a segment from a peer; true when its stretch is all here.
    pub(super) fn take_from_peer(&mut self, key: SegmentKey, connection: ConnectionId, mut bytes: Bytes) -> bool {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return false };
        match download.place_of_peer(connection) {
            Some(0) if download.later.is_empty() => {
                self.take_bytes(key, bytes);
                false
            }
            Some(0) => {
                let left = download.remaining().unwrap_or(u64::MAX);
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
                let is_all = bytes.len() as u64 == left;
                self.take_bytes(key, bytes);
                is_all
            }
            Some(place) => download.take_later(place, bytes),
            None => false,
        }
    }

    /// A peer has brought its stretch, or all that there is of the segment.
    pub(super) fn stretch_completed(&mut self, key: SegmentKey, connection: ConnectionId, id: PeerId) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        match download.place_of_peer(connection) {
            Some(0) => self.first_stretch_completed(key, SegmentSource::P2p, Some(id)),
            Some(place) => {
                download.set_source(place, Source::None);
                self.dirty_streams.insert(key.stream);
            }
            None => {}
        }
    }

    /// What comes next has come, as far as another source has not brought more already: that joins it.
    pub(super) fn first_stretch_completed(&mut self, key: SegmentKey, source: SegmentSource, peer: Option<PeerId>) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        download.source = Source::None;
        while let Some(next) = self.next_to_join(key) {
            for piece in next.bytes.pieces() {
                self.take_bytes(key, piece.clone());
            }
            let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
            let is_running = !matches!(next.source, Source::None);
            download.source = next.source;
            if is_running {
                break;
            }
        }
        self.dirty_streams.insert(key.stream);
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        // Who was asked for all that is missing has told the size by now; of one who was not, the rest may have come to nothing meanwhile.
        let is_all = download.total.is_some_and(|total| download.bytes.len() >= total);
        if is_all && matches!(download.source, Source::None) {
            self.all_bytes_here(key, source, peer);
        }
    }

    /// Takes out the stretch that begins at the byte reached.
    fn next_to_join(&mut self, key: SegmentKey) -> Option<Stretch> {
        let download = self.downloads.by_segment.get_mut(&key)?;
        let from = download.later.first()?.from;
        if from < download.bytes.len() || download.total.is_some_and(|total| total < from) {
            // Somebody had less, or more, than it should: what was brought of the rest does not belong here.
            self.drop_later_stretches(key);
            return None;
        }
        (from == download.bytes.len()).then(|| download.later.remove(0))
    }

    /// A peer has failed to bring a stretch after the first; true if it was one.
    pub(super) fn later_stretch_failed(&mut self, key: SegmentKey, connection: ConnectionId) -> bool {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return false };
        let Some(place) = download.place_of_peer(connection).filter(|place| *place > 0) else { return false };
        download.set_source(place, Source::None);
        true
    }

    /// Ends the transfers of all stretches after the first, and forgets what they brought.
    pub(super) fn drop_later_stretches(&mut self, key: SegmentKey) {
        self.drop_stretches_from(key, 0);
    }

    /// The same of those that begin at or after the end of the segment, whose size was a guess when they were asked for.
    pub(super) fn drop_stretches_from(&mut self, key: SegmentKey, end: u64) {
        let last = |engine: &Self| engine.downloads.by_segment.get(&key)?.later.last().map(|stretch| stretch.from);
        while last(self).is_some_and(|from| from >= end) {
            let Some(place) = self.downloads.by_segment.get(&key).map(|download| download.later.len()) else { return };
            self.stop_stretch(key, place);
            if let Some(download) = self.downloads.by_segment.get_mut(&key) {
                download.later.pop();
            }
        }
    }

    /// Ends the transfer of a stretch after the first.
    pub(super) fn stop_stretch(&mut self, key: SegmentKey, place: Place) {
        let Some(index) = place.checked_sub(1) else { return };
        let Some(stretch) = self.downloads.by_segment.get_mut(&key).and_then(|download| download.later.get_mut(index)) else { return };
        match std::mem::replace(&mut stretch.source, Source::None) {
            Source::Http(transfer) => {
                self.downloads.by_http.remove(&transfer.id);
                self.outputs.push_back(Output::StopHttp(transfer.id));
            }
            Source::Peer(connection) => {
                self.cancel_at_peer(connection);
                if let Some(peer) = self.peers.get_mut(&connection) {
                    peer.download = None;
                }
            }
            Source::None | Source::Validation(..) => {}
        }
    }
}
