//! Segments that a player fetched from the origin itself, before the engine ran: they are stored and shared like any other.

use bytes::Bytes;

use super::Engine;
use super::output::Output;
use crate::event::{Event, SegmentSource};
use crate::media::{FetchTimes, SegmentKey};
use crate::peer_protocol::MAX_SEGMENT_BYTES;

impl Engine {
    /// Takes over what a player fetched; it counts as a fetch of ours. What is stored or on its way already is not taken twice, and bytes that
    /// cannot be the segment's are not taken at all.
    pub(super) fn segment_fetched(&mut self, key: SegmentKey, bytes: Bytes, times: FetchTimes) {
        let Some(segment) = self.streams.get(&key.stream).and_then(|state| state.segments.get(key.id)).cloned() else { return };
        let size = bytes.len() as u64;
        let is_possible = (1..=MAX_SEGMENT_BYTES).contains(&size) && segment.byte_range.is_none_or(|range| range.len() == size);
        if self.is_shutting_down || !is_possible {
            return;
        }
        self.activate(key.stream);
        if let Some(state) = self.streams.get_mut(&key.stream) {
            state.in_parts = key.id.is_part();
        }
        self.dirty_streams.insert(key.stream);
        self.stats.http_requests += 1;
        self.stats.http_bytes += size;
        self.stats.delivered_bytes += size;
        if self.stored.contains(key) || self.downloads.by_segment.contains_key(&key) {
            return;
        }
        let now = self.now;
        let download = self.want(key, segment);
        download.started = Some(now);
        let (kind, is_paced) = (download.kind, download.is_paced());
        let speed = self.origin_speed.of(kind);
        if !is_paced {
            speed.response_s.add(times.response.as_secs_f64());
            speed.add_transfer(size, times.body);
        }
        self.event_of(key, |segment| Event::SegmentStarted { segment, source: SegmentSource::Http, peer: None });
        self.outputs.push_back(Output::Event(Event::ChunkDownloaded { bytes: bytes.len(), source: SegmentSource::Http, peer: None }));
        self.set_total(key, size);
        self.take_bytes(key, bytes);
        self.all_bytes_here(key, SegmentSource::Http, None);
    }
}
