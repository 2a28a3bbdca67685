//! What is taken from peers beyond the near window: whatever they have, as far as storage has room.

use super::Engine;
use super::downloads::Source;
use super::input::ConnectionId;
use super::random::spread;
use super::schedule::may_go_on;
use crate::config::StreamConfig;
use crate::media::{SegmentKey, StreamKey};

/// Steps taken in one peer's list in search of something to prefetch.
const MOST_PREFETCH_STEPS: usize = 256;

impl Engine {
    /// Beyond the near window peers give what they have, one slot being left for what is needed sooner.
    pub(super) fn prefetch(&mut self, stream: StreamKey, stream_options: &StreamConfig) {
        let slots = stream_options.simultaneous_p2p_downloads.saturating_sub(1).max(1);
        while self.p2p_downloads(stream) < slots {
            let Some((key, connection)) = self.next_to_prefetch(stream, stream_options) else {
                if let Some(state) = self.streams.get_mut(&stream) {
                    state.prefetch_is_idle = true;
                }
                return;
            };
            let Some(segment) = self.streams.get(&stream).and_then(|state| state.segments.get(key.id)).cloned() else { return };
            self.want(key, segment);
            self.start_p2p(key, connection);
        }
    }

    fn next_to_prefetch(&self, stream: StreamKey, stream_options: &StreamConfig) -> Option<(SegmentKey, ConnectionId)> {
        let state = self.streams.get(&stream).filter(|state| state.active && !state.prefetch_is_idle)?;
        if !self.playhead.is_known() {
            return None;
        }
        let position = self.playhead.position(self.now);
        let until = position + stream_options.p2p_download_time_window.as_secs_f64();
        let of_parts = if state.in_parts { state.segments.id_ranges(position, until, true) } else { Vec::new() };
        let ahead = [state.segments.id_ranges(position, until, false), of_parts].concat();
        let peers = self.sharing_peers(stream, stream_options).filter(|(_, peer)| peer.download.is_none());
        let candidates = peers.flat_map(|(connection, peer)| {
            let loaded = peer.announced.as_ref().map_or(&[][..], |announced| &announced.loaded);
            ahead.iter().filter_map(|ids| {
                let from = loaded.partition_point(|id| id < ids.start());
                let ours = loaded[from..].iter().take(MOST_PREFETCH_STEPS).take_while(|id| *id <= ids.end());
                ours.map(|id| SegmentKey { stream, id: *id }).find(|key| self.may_be_prefetched(*key, *connection))
            })
        });
        let starting = candidates.filter_map(|key| Some((state.segments.get(key.id)?.start, key)));
        let (_, key) = starting.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        let segment = state.segments.get(key.id)?;
        let bytes = state.expected_size(segment).unwrap_or(0.0) as u64;
        if self.is_short_before(stream, segment.start) || !self.stored.has_room(bytes, position) {
            return None;
        }
        Some((key, self.best_free_peer_with(key)?))
    }

    fn may_be_prefetched(&self, key: SegmentKey, connection: ConnectionId) -> bool {
        let Some(peer) = self.peers.get(&connection) else { return false };
        let is_free = self.downloads.by_segment.get(&key).is_none_or(|download| {
            matches!(download.source, Source::None) && may_go_on(download, peer) && download.may_be_asked(connection, true)
        });
        let Some(state) = self.streams.get(&key.stream).filter(|_| is_free && !self.stored.contains(key)) else { return false };
        state.segments.get(key.id).is_some_and(|segment| state.segments.is_read(segment, state.in_parts))
    }

    fn best_free_peer_with(&self, key: SegmentKey) -> Option<ConnectionId> {
        let free = self
            .peers_of(key.stream)
            .filter(|(connection, peer)| peer.download.is_none() && peer.has(key.id) && self.may_be_prefetched(key, **connection));
        free.min_by_key(|(_, peer)| spread(&peer.id.0, key.id.0 as u64 ^ self.own_number)).map(|(connection, _)| *connection)
    }
}
