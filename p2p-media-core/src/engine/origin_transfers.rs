//! Fetches from the origin: what a response must be like, and what is done when it is not.

use bytes::Bytes;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::{HttpTransfer, Source};
use super::input::HttpId;
use super::output::Output;
use super::streams::options;
use crate::backend::HttpHead;
use crate::error::{RequestError, SegmentError};
use crate::event::{Event, SegmentSource};
use crate::media::SegmentKey;
use crate::peer_protocol::MAX_SEGMENT_BYTES;

/// First wait before the origin is asked again after a failure; four times as long after each further one.
const FIRST_RETRY_WAIT_S: f64 = 0.1;

impl Engine {
    /// Begins to fetch what is missing of a segment.
    pub(super) fn start_http(&mut self, key: SegmentKey) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let id = HttpId(self.ids.next());
        let request = download.missing_over_http();
        download.started.get_or_insert(self.now);
        download.source = Source::Http(HttpTransfer::new(id, request.clone(), self.now, download.is_paced()));
        let timeout = options(&self.config, download.kind).http_not_receiving_bytes_timeout;
        self.downloads.by_http.insert(id, key);
        self.deadlines.set_no_later(Deadline::TransferStalled(key), self.now + timeout);
        self.stats.http_requests += 1;
        self.outputs.push_back(Output::StartHttp(id, request));
        self.event_of(key, |segment| Event::SegmentStarted { segment, source: SegmentSource::Http, peer: None });
        self.announcements_due.insert(key.stream);
    }

    pub(super) fn http_head(&mut self, id: HttpId, head: HttpHead) {
        if self.stretch_head(id, &head) {
            return;
        }
        let Some((key, transfer)) = self.http_transfer(id) else { return };
        transfer.accepted = true;
        transfer.last_byte_at = transfer.last_byte_at.max(transfer.asked_at);
        let first = transfer.request.first;
        let asked_for_range = first > 0 || transfer.request.last.is_some();
        // The origin's own idea of where the body begins: a 200 to a range begins at 0.
        let begins_at = match head.status {
            206 if asked_for_range => head.range_first.unwrap_or(first),
            200 => 0,
            // There is not so much of it as a peer has given.
            416 if self.drop_hearsay(key) => return,
            status => {
                self.http_failed(id, RequestError::HttpStatus(status));
                return;
            }
        };
        if begins_at > first {
            self.http_failed(id, RequestError::HttpBytesMismatch { expected: first, got: begins_at });
            return;
        }
        let resource_size = if head.status == 206 { head.range_total } else { head.content_length };
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let wanted_from = download.over_http(download.bytes.len(), None).first;
        if let Source::Http(transfer) = &mut download.source {
            transfer.to_skip = wanted_from.saturating_sub(begins_at);
        }
        if download.segment.byte_range.is_some() {
            return;
        }
        let Some(size) = resource_size else { return };
        if size > MAX_SEGMENT_BYTES {
            self.http_failed(id, RequestError::HttpBytesMismatch { expected: MAX_SEGMENT_BYTES, got: size });
            return;
        }
        let is_too_small = size < download.bytes.len();
        let is_as_told = download.total.is_none_or(|total| total == size) && !is_too_small;
        // What a peer gave or said is dropped unless a player has it already: the origin is right.
        if is_as_told || (download.total_is_hearsay && !is_too_small && !download.players.is_empty() && !download.held_back) {
            self.set_total(key, size);
        } else if download.players.is_empty() || download.held_back {
            self.stop_source(key);
            self.drop_later_stretches(key);
            if let Some(download) = self.downloads.by_segment.get_mut(&key) {
                download.start_over();
            }
            self.end_followers(key);
            self.start_http(key);
        } else {
            let expected = download.total.unwrap_or(download.bytes.len());
            let mismatch = RequestError::HttpBytesMismatch { expected, got: size };
            self.fail_players(key, &SegmentError::Origin(mismatch.to_string()));
            self.drop_download(key);
        }
    }

    pub(super) fn http_chunk(&mut self, id: HttpId, mut chunk: Bytes) {
        if self.stretch_chunk(id, &chunk) {
            return;
        }
        let now = self.now;
        let Some((key, transfer)) = self.http_transfer(id) else { return };
        if !transfer.accepted || chunk.is_empty() {
            return;
        }
        transfer.last_byte_at = now;
        let skipped = transfer.to_skip.min(chunk.len() as u64);
        transfer.to_skip -= skipped;
        let _ = chunk.split_to(skipped as usize);
        transfer.first_byte_at.get_or_insert(now);
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        if let Some(remaining) = download.sure_remaining() {
            chunk.truncate(remaining.min(chunk.len() as u64) as usize);
        }
        if chunk.is_empty() {
            return;
        }
        let bytes = chunk.len();
        if let Some((_, transfer)) = self.http_transfer(id) {
            transfer.received += bytes as u64;
        }
        self.stats.http_bytes += bytes as u64;
        self.outputs.push_back(Output::Event(Event::ChunkDownloaded { bytes, source: SegmentSource::Http, peer: None }));
        self.take_bytes(key, chunk);
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        if download.sure_remaining() == Some(0) {
            // Whatever else the origin sends (a whole resource in place of a range) is not waited for.
            self.outputs.push_back(Output::StopHttp(id));
            self.http_completed(id);
        } else if download.bytes.len() > MAX_SEGMENT_BYTES {
            let got = download.bytes.len();
            self.http_failed(id, RequestError::HttpBytesMismatch { expected: MAX_SEGMENT_BYTES, got });
        }
    }

    pub(super) fn http_end(&mut self, id: HttpId) {
        if self.stretch_end(id) {
            return;
        }
        let Some((key, transfer)) = self.http_transfer(id) else { return };
        let request = transfer.request.clone();
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        let got = download.bytes.len();
        // What it was asked for counts: less may have been wanted then than is missing now.
        match download.end_of_fetch(&request).or_else(|| download.total.filter(|_| !download.total_is_hearsay)) {
            Some(expected) if got < expected => self.http_failed(id, RequestError::HttpBytesMismatch { expected, got }),
            Some(_) => self.http_completed(id),
            None => {
                self.set_total(key, got);
                self.http_completed(id);
            }
        }
    }

    fn http_completed(&mut self, id: HttpId) {
        let now = self.now;
        let Some((key, transfer)) = self.http_transfer(id) else { return };
        let (first_byte_at, received, is_paced) = (transfer.first_byte_at.unwrap_or(now), transfer.received, transfer.is_paced);
        let response = first_byte_at.since(transfer.asked_at);
        if let Some(kind) = self.downloads.by_segment.get(&key).map(|download| download.kind) {
            let speed = self.origin_speed.of(kind);
            if is_paced {
                speed.add_longest_response(response);
            } else {
                speed.response_s.add(response.as_secs_f64());
                speed.add_transfer(received, now.since(first_byte_at));
            }
        }
        self.downloads.by_http.remove(&id);
        self.first_stretch_completed(key, SegmentSource::Http, None);
    }

    /// The fetch failed, by the network, by the origin's answer, or by silence.
    pub(super) fn http_failed(&mut self, id: HttpId, error: RequestError) {
        if self.stretch_failed(id, &error) {
            return;
        }
        let Some((key, _)) = self.http_transfer(id) else { return };
        self.stop_source(key);
        self.origin_failed(key, error);
    }

    /// Notes that the origin did not give what it was asked for.
    pub(super) fn origin_failed(&mut self, key: SegmentKey, error: RequestError) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let wait = FIRST_RETRY_WAIT_S * 4_f64.powi(download.http_failures.min(6) as i32);
        download.http_failures = download.http_failures.saturating_add(1);
        // What the origin refuses it will refuse again; a plain player would be told so at once.
        if let RequestError::HttpStatus(status @ 400..=499) = error
            && status != 408
            && status != 429
        {
            download.http_failures = u32::MAX;
        }
        download.http_retry_at = self.now.offset_secs(wait);
        download.last_failure = Some(match &error {
            RequestError::HttpStatus(status) => SegmentError::OriginStatus(*status),
            other => SegmentError::Origin(other.to_string()),
        });
        self.event_of(key, |segment| Event::SegmentError { segment, source: SegmentSource::Http, peer: None, error });
        self.announcements_due.insert(key.stream);
        self.dirty_streams.insert(key.stream);
    }

    /// The fetch of this id, if it is still the source of its segment.
    fn http_transfer(&mut self, id: HttpId) -> Option<(SegmentKey, &mut HttpTransfer)> {
        let key = *self.downloads.by_http.get(&id)?;
        match &mut self.downloads.by_segment.get_mut(&key)?.source {
            Source::Http(transfer) if transfer.id == id => Some((key, transfer)),
            _ => None,
        }
    }
}
