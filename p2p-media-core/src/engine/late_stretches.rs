//! Stretches of a segment that would be late: the origin brings what is missing, and no more than that.

use bytes::Bytes;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::{HttpTransfer, Source};
use super::input::{ConnectionId, HttpId};
use super::output::Output;
use super::streams::options;
use super::stretches::Place;
use crate::backend::HttpHead;
use crate::config::StreamConfig;
use crate::error::RequestError;
use crate::event::{Event, SegmentSource};
use crate::media::SegmentKey;
use crate::timestamp::Timestamp;

/// A peer that would be late is left what it brings in this share of the time that there is; the origin brings the rest.
const SHARE_OF_TIME: f64 = 0.4;
/// What a peer would bring less of is all left to the origin.
const LEAST_LEFT_BYTES: f64 = 32_768.0;
/// A stretch that will be in time is looked at again after this.
const CHECK_S: f64 = 0.1;

impl Engine {
    /// Sees to it that every stretch after the first has a source that will be in time; gives when to look again.
    pub(super) fn watch_later_stretches(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Timestamp {
        let mut look_again_at = Timestamp::FAR_FUTURE;
        let mut place = 1;
        while self.downloads.by_segment.get(&key).is_some_and(|download| place <= download.later.len()) {
            look_again_at = look_again_at.min(self.watch_later_stretch(key, place, stream_options));
            place += 1;
        }
        look_again_at
    }

    fn watch_later_stretch(&mut self, key: SegmentKey, place: Place, stream_options: &StreamConfig) -> Timestamp {
        let Some(download) = self.downloads.by_segment.get(&key) else { return Timestamp::FAR_FUTURE };
        let Some(size) = self.size_or_guess(key, download) else { return Timestamp::FAR_FUTURE };
        let missing = download.end_at(place).unwrap_or(size).saturating_sub(download.reached_at(place));
        if missing == 0 && download.end_at(place).is_some() {
            return Timestamp::FAR_FUTURE;
        }
        let slack_s = self.slack_of_s(key, Some(missing as f64));
        let at_slack_end = self.now.offset_secs(slack_s.max(CHECK_S));
        match download.source_at(place) {
            Some(Source::None) => {
                if slack_s <= 0.0 && download.total.is_none() {
                    // Nobody has said that the segment is so long.
                    self.drop_stretches_from(key, download.begin_at(place));
                    return self.now.offset_secs(CHECK_S);
                }
                if slack_s > 0.0
                    && let Some(peer) = self.best_peer(key).filter(|peer| self.peers.get(peer).is_some_and(|peer| peer.passes_on()))
                {
                    self.ask_peer(key, place, peer);
                } else if slack_s <= 0.0 && self.origin_may_be_asked(key, stream_options, true) {
                    self.fetch_stretch(key, place);
                    return Timestamp::FAR_FUTURE;
                }
                at_slack_end
            }
            Some(Source::Peer(connection)) if slack_s <= 0.0 => {
                let connection = *connection;
                let arrival_s = self.peers.get(&connection).and_then(|peer| peer.arrival_s(Some(missing), self.now));
                let in_time = arrival_s.is_some_and(|arrival_s| arrival_s < self.need_s(key) * 0.5);
                if in_time || !self.origin_may_be_asked(key, stream_options, true) {
                    return at_slack_end;
                }
                if !self.leave_the_end_to_the_origin(key, place, connection) {
                    self.stop_stretch(key, place);
                    self.fetch_stretch(key, place);
                }
                at_slack_end
            }
            Some(Source::Peer(_)) => at_slack_end,
            _ => Timestamp::FAR_FUTURE,
        }
    }

    /// A peer goes on with what it can bring in time, the origin brings what follows. False when the peer would bring next to nothing.
    pub(super) fn leave_the_end_to_the_origin(&mut self, key: SegmentKey, place: Place, connection: ConnectionId) -> bool {
        let need_s = self.need_s(key);
        let Some(download) = self.downloads.by_segment.get(&key) else { return false };
        let Some(peer) = self.peers.get(&connection).filter(|peer| peer.passes_on()) else { return false };
        let rate = peer.download.as_ref().and_then(|transfer| transfer.rate(self.now));
        let Some(size) = download.total else { return false };
        let Some(rate) = rate.filter(|_| self.may_be_divided(key)) else { return false };
        let reached = download.reached_at(place);
        let end = download.end_at(place).unwrap_or(size);
        let in_time = rate * need_s * SHARE_OF_TIME;
        let at = reached.saturating_add(in_time as u64);
        if in_time < LEAST_LEFT_BYTES || at >= end {
            return false;
        }
        self.shorten(key, place, at);
        self.fetch_stretch(key, place + 1);
        true
    }

    /// Begins to fetch what is missing of a stretch.
    fn fetch_stretch(&mut self, key: SegmentKey, place: Place) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let id = HttpId(self.ids.next());
        let end = download.later.get(place).map(|next| next.from);
        let request = download.over_http(download.reached_at(place), end);
        let timeout = options(&self.config, download.kind).http_not_receiving_bytes_timeout;
        download.set_source(place, Source::Http(HttpTransfer::new(id, request.clone(), self.now, false)));
        self.downloads.by_http.insert(id, key);
        self.deadlines.set_no_later(Deadline::TransferStalled(key), self.now + timeout);
        self.stats.http_requests += 1;
        self.outputs.push_back(Output::StartHttp(id, request));
    }

    /// The answer to the fetch of a stretch after the first; false when it is none of these.
    pub(super) fn stretch_head(&mut self, id: HttpId, head: &HttpHead) -> bool {
        let now = self.now;
        let Some((key, place, transfer)) = self.later_fetch(id) else { return false };
        let first = transfer.request.first;
        (transfer.accepted, transfer.last_byte_at) = (true, now);
        let is_too_small = |engine: &Self, size| engine.downloads.by_segment.get(&key).is_some_and(|download| size < download.bytes.len());
        let is_less = head.status == 416 || head.range_total.is_some_and(|size| is_too_small(self, size));
        if is_less && self.drop_hearsay(key) {
            // There is not so much of it as a peer has said or given.
        } else if head.status != 206 {
            self.stretch_fetch_failed(key, place, RequestError::HttpStatus(head.status));
        } else if head.range_first.unwrap_or(first) != first {
            let got = head.range_first.unwrap_or(first);
            self.stretch_fetch_failed(key, place, RequestError::HttpBytesMismatch { expected: first, got });
        } else if let Some(download) = self.downloads.by_segment.get(&key)
            && let Some(size) = head.range_total.filter(|_| download.segment.byte_range.is_none())
        {
            match download.total {
                Some(total) if total != size && (!download.total_is_hearsay || size < download.bytes.len()) => {
                    self.stretch_fetch_failed(key, place, RequestError::HttpBytesMismatch { expected: total, got: size });
                }
                // The origin is right. What was divided by what a peer had said is divided anew.
                _ => self.set_total(key, size),
            }
            self.dirty_streams.insert(key.stream);
        }
        true
    }

    /// Bytes of a stretch after the first; false when they are none of that.
    pub(super) fn stretch_chunk(&mut self, id: HttpId, chunk: &Bytes) -> bool {
        let now = self.now;
        let Some((key, place, transfer)) = self.later_fetch(id) else { return false };
        if !transfer.accepted || chunk.is_empty() {
            return true;
        }
        transfer.last_byte_at = now;
        transfer.first_byte_at.get_or_insert(now);
        transfer.received += chunk.len() as u64;
        self.stats.http_bytes += chunk.len() as u64;
        self.outputs.push_back(Output::Event(Event::ChunkDownloaded { bytes: chunk.len(), source: SegmentSource::Http, peer: None }));
        if self.downloads.by_segment.get_mut(&key).is_some_and(|download| download.take_later(place, chunk.clone())) {
            self.outputs.push_back(Output::StopHttp(id));
            self.stretch_fetched(key, place);
        }
        true
    }

    /// The response of a fetch of a stretch after the first has ended; false when it is none of these.
    pub(super) fn stretch_end(&mut self, id: HttpId) -> bool {
        let Some((key, place, transfer)) = self.later_fetch(id) else { return false };
        let request = transfer.request.clone();
        let Some(download) = self.downloads.by_segment.get(&key) else { return true };
        let got = download.reached_at(place);
        match download.end_of_fetch(&request).or(download.total) {
            Some(expected) if got < expected => {
                self.stretch_fetch_failed(key, place, RequestError::HttpBytesMismatch { expected, got });
            }
            Some(_) => self.stretch_fetched(key, place),
            None => {
                self.set_total(key, got);
                self.stretch_fetched(key, place);
            }
        }
        true
    }

    /// The fetch of a stretch after the first has failed; false when it is none of these.
    pub(super) fn stretch_failed(&mut self, id: HttpId, error: &RequestError) -> bool {
        let Some((key, place, _)) = self.later_fetch(id) else { return false };
        self.stretch_fetch_failed(key, place, error.clone());
        true
    }

    fn stretch_fetched(&mut self, key: SegmentKey, place: Place) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let kind = download.kind;
        if let Some(Source::Http(transfer)) = download.source_at(place) {
            let transfer = transfer.clone();
            self.downloads.by_http.remove(&transfer.id);
            let first_byte_at = transfer.first_byte_at.unwrap_or(self.now);
            let speed = self.origin_speed.of(kind);
            speed.response_s.add(first_byte_at.since(transfer.asked_at).as_secs_f64());
            speed.add_stretch(transfer.received, self.now.since(first_byte_at));
        }
        if let Some(download) = self.downloads.by_segment.get_mut(&key) {
            download.set_source(place, Source::None);
        }
        self.dirty_streams.insert(key.stream);
    }

    fn stretch_fetch_failed(&mut self, key: SegmentKey, place: Place, error: RequestError) {
        self.stop_stretch(key, place);
        self.origin_failed(key, error);
    }

    fn later_fetch(&mut self, id: HttpId) -> Option<(SegmentKey, Place, &mut HttpTransfer)> {
        let key = *self.downloads.by_http.get(&id)?;
        let (place, transfer) = self.downloads.by_segment.get_mut(&key)?.later_fetch(id)?;
        Some((key, place, transfer))
    }
}
