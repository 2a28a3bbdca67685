//! From bytes to players and storage: who asked, what they get as it arrives, and what becomes of a finished segment.

use bytes::Bytes;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::{Download, Refusal, Source};
use super::input::{LoadId, PlayerRequestId, ValidationId};
use super::output::Output;
use super::streams::options;
use crate::error::{CloseReason, RequestError, SegmentError};
use crate::event::{Event, EventSegment, SegmentSource};
use crate::identity::PeerId;
use crate::media::{SegmentKey, StreamKey};
use crate::segment_bytes::SegmentBytes;

impl Engine {
    /// A player asks for a segment: out of storage, or by a download that may be running already.
    pub(super) fn segment_requested(&mut self, request: PlayerRequestId, key: SegmentKey) {
        if self.is_shutting_down {
            self.outputs.push_back(Output::DeliverFailed(request, SegmentError::SessionEnded));
            return;
        }
        let Some(segment) = self.streams.get(&key.stream).and_then(|state| state.segments.get(key.id)).cloned() else {
            self.outputs.push_back(Output::DeliverFailed(request, SegmentError::UnknownSegment));
            return;
        };
        self.requests.insert(request, key);
        self.activate(key.stream);
        if let Some(state) = self.streams.get_mut(&key.stream) {
            state.in_parts = key.id.is_part();
        }
        self.dirty_streams.insert(key.stream);
        let now = self.now;
        if self.stored.touch(key) {
            let load = LoadId(self.ids.next());
            self.loads_for_players.insert(load, request);
            self.outputs.push_back(Output::Load(load, key));
            return;
        }
        let download = self.want(key, segment);
        download.players.push(request);
        if download.last_failure.take().is_some() {
            // Only what nobody asks for rests after a failure; a player knows itself when to ask again.
            download.http_failures = 0;
            download.http_retry_at = now;
        }
        let told = download.sure_total();
        let so_far = if download.held_back { SegmentBytes::new() } else { download.bytes.clone() };
        self.outputs.extend(told.map(|total| Output::DeliverSize(request, total)));
        self.deliver(&[request], &so_far);
    }

    /// The entry of a segment that is not here, made when there is none.
    pub(super) fn want(&mut self, key: SegmentKey, segment: crate::media::Segment) -> &mut Download {
        let kind = self.streams.get(&key.stream).map_or(crate::media::StreamKind::Main, |state| state.stream.kind);
        let stream_options = options(&self.config, kind);
        let held_back = stream_options.validate_p2p_segment || stream_options.validate_http_segment;
        let now = self.now;
        self.downloads.by_segment.get_or_insert_with(key, || Download::new(segment, kind, now, held_back))
    }

    /// The player gave up. A fetch that nobody waits for is ended at once: the player may need its bandwidth for another.
    pub(super) fn request_cancelled(&mut self, request: PlayerRequestId) {
        let Some(key) = self.requests.remove(&request) else { return };
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        download.players.retain(|player| *player != request);
        if download.players.is_empty() && matches!(download.source, Source::Http(_)) {
            self.drop_download(key);
        }
        self.dirty_streams.insert(key.stream);
    }

    /// Storage answered.
    pub(super) fn loaded(&mut self, load: LoadId, bytes: Option<SegmentBytes>) {
        if let Some(connection) = self.loads_for_uploads.remove(&load) {
            self.loaded_for_upload(load, connection, bytes);
            return;
        }
        let Some(request) = self.loads_for_players.remove(&load) else { return };
        let Some(key) = self.requests.get(&request).copied() else { return };
        match bytes {
            Some(bytes) => {
                self.requests.remove(&request);
                self.outputs.push_back(Output::DeliverSize(request, bytes.len()));
                self.deliver(&[request], &bytes);
                self.outputs.push_back(Output::DeliverEnd(request));
            }
            None => {
                // The file was lost: the index is wrong, the origin still has it.
                self.forget(key);
                self.announcements_due.insert(key.stream);
                self.requests.remove(&request);
                self.segment_requested(request, key);
            }
        }
    }

    /// The origin said how large a segment is.
    pub(super) fn set_total(&mut self, key: SegmentKey, total: u64) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let was_told = download.sure_total().is_some();
        let is_other = download.total.replace(total).is_some_and(|before| before != total);
        download.total_is_hearsay = false;
        if !was_told && !download.held_back {
            let told = download.players.iter().map(|player| Output::DeliverSize(*player, total));
            self.outputs.extend(told);
        }
        if is_other {
            // They were told what a peer had said, and peers were asked by it.
            self.end_followers(key);
            self.drop_later_stretches(key);
        }
        self.drop_stretches_from(key, total);
        self.tell_followers_the_size(key);
    }

    /// The next bytes of a segment, from whichever source.
    pub(super) fn take_bytes(&mut self, key: SegmentKey, bytes: Bytes) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        if !download.held_back {
            self.stats.delivered_bytes += (bytes.len() * download.players.len()) as u64;
            self.outputs.extend(download.players.iter().map(|player| Output::Deliver(*player, bytes.clone())));
        }
        download.bytes.push(bytes);
        self.feed_followers(key);
    }

    fn deliver(&mut self, players: &[PlayerRequestId], bytes: &SegmentBytes) {
        for player in players {
            self.stats.delivered_bytes += bytes.len();
            self.outputs.extend(bytes.pieces().iter().map(|piece| Output::Deliver(*player, piece.clone())));
        }
    }

    /// The last byte came. It is checked first where there is a validator.
    pub(super) fn all_bytes_here(&mut self, key: SegmentKey, source: SegmentSource, peer: Option<PeerId>) {
        self.deadlines.cancel(Deadline::TransferStalled(key));
        self.announcements_due.insert(key.stream);
        self.dirty_streams.insert(key.stream);
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let stream_options = options(&self.config, download.kind);
        let from_peers = !download.given_by.is_empty();
        let is_checked =
            (from_peers && stream_options.validate_p2p_segment) || (source == SegmentSource::Http && stream_options.validate_http_segment);
        if !is_checked {
            self.segment_complete(key, source, peer);
            return;
        }
        let id = ValidationId(self.ids.next());
        download.source = Source::Validation(id, source);
        let (url, bytes) = (download.segment.url.clone(), download.bytes.clone());
        self.downloads.by_validation.insert(id, (key, peer));
        self.outputs.push_back(Output::Validate { id, segment: key, url, source, bytes });
    }

    pub(super) fn validated(&mut self, id: ValidationId, is_right: bool) {
        let Some((key, peer)) = self.downloads.by_validation.remove(&id) else { return };
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        let Source::Validation(expected, source) = download.source else { return };
        if expected != id {
            return;
        }
        let givers: Vec<_> = download.given_by.iter().copied().collect();
        self.note_check(&givers, is_right);
        if is_right {
            self.segment_complete(key, source, peer);
            return;
        }
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        if !download.held_back {
            // Checks were switched on meanwhile: players have these bytes already and cannot take others.
            self.fail_players(key, &SegmentError::Refused);
        }
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        // The origin is right where it is not checked.
        let all_by_givers = source == SegmentSource::P2p || !options(&self.config, download.kind).validate_http_segment;
        let was_relayed = download.has_relayed;
        // Nothing is under way: a check comes after the last byte.
        download.source = Source::None;
        givers.iter().for_each(|giver| download.refuse(*giver, Refusal::Altogether));
        download.start_over();
        if givers.is_empty() {
            download.http_failures = download.http_failures.saturating_add(1);
            download.last_failure = Some(SegmentError::Refused);
        }
        self.event_of(key, |segment| Event::SegmentError { segment, source, peer, error: RequestError::ValidationFailed });
        // Only a peer that gave alone, and had the segment whole, is surely to blame: what one passes on while it loads it cannot have checked.
        if let ([giver], true) = (givers.as_slice(), all_by_givers && !was_relayed) {
            self.close_peer(*giver, CloseReason::WrongBytes);
        }
        self.end_followers(key);
        self.dirty_streams.insert(key.stream);
    }

    fn segment_complete(&mut self, key: SegmentKey, source: SegmentSource, peer: Option<PeerId>) {
        let Some(download) = self.downloads.by_segment.remove(&key) else { return };
        let size = download.bytes.len();
        if download.sure_total().is_none() {
            self.outputs.extend(download.players.iter().map(|player| Output::DeliverSize(*player, size)));
        }
        if download.held_back {
            self.deliver(&download.players, &download.bytes);
        }
        for player in &download.players {
            self.requests.remove(player);
            self.outputs.push_back(Output::DeliverEnd(*player));
        }
        self.stats.segments_loaded += 1;
        let duration_ms = download.started.map_or(0.0, |started| self.now.since(started).as_secs_f64() * 1000.0);
        self.event_of(key, |segment| Event::SegmentLoaded { segment, source, peer, bytes: size, duration_ms });
        self.complete_followers(&download);
        let Some(state) = self.streams.get_mut(&key.stream) else { return };
        if download.segment.duration > 0.0 {
            state.bytes_per_media_s.add(size as f64 / download.segment.duration);
        }
        state.prefetch_is_idle = false;
        if state.segments.get(key.id).is_some() {
            self.stored.insert(key, size, download.segment.end());
            self.outputs.push_back(Output::Store(key, download.bytes));
            self.make_room();
        }
        self.announcements_due.insert(key.stream);
    }

    /// Drops segments until storage is within its limit.
    pub(super) fn make_room(&mut self) {
        let position = self.playhead.position(self.now);
        while let Some(victim) = self.stored.next_victim(position) {
            self.forget(victim);
        }
    }

    /// Peers hear of it with the next announcement: segments go at the pace they come, and few ask for old ones.
    pub(super) fn forget(&mut self, key: SegmentKey) {
        if self.stored.remove(key) {
            self.outputs.push_back(Output::Forget(key));
        }
    }

    pub(super) fn fail_players(&mut self, key: SegmentKey, error: &SegmentError) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        for player in std::mem::take(&mut download.players) {
            self.requests.remove(&player);
            self.outputs.push_back(Output::DeliverFailed(player, error.clone()));
        }
    }

    /// Ends whatever transfer brings a segment; its bytes stay.
    pub(super) fn stop_source(&mut self, key: SegmentKey) {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        if download.later.is_empty() {
            self.deadlines.cancel(Deadline::TransferStalled(key));
        }
        match std::mem::replace(&mut download.source, Source::None) {
            Source::None => {}
            Source::Http(transfer) => {
                self.downloads.by_http.remove(&transfer.id);
                self.outputs.push_back(Output::StopHttp(transfer.id));
                self.announcements_due.insert(key.stream);
            }
            Source::Peer(connection) => {
                self.cancel_at_peer(connection);
                if let Some(peer) = self.peers.get_mut(&connection) {
                    peer.download = None;
                }
            }
            Source::Validation(id, _) => {
                self.downloads.by_validation.remove(&id);
            }
        }
    }

    /// Ends a transfer by our own choice, and says so.
    pub(super) fn abort_source(&mut self, key: SegmentKey) {
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        let (source, peer) = match &download.source {
            Source::Http(_) => (SegmentSource::Http, None),
            Source::Peer(connection) => (SegmentSource::P2p, self.peers.get(connection).map(|peer| peer.id)),
            Source::None | Source::Validation(..) => return,
        };
        self.stop_source(key);
        self.event_of(key, |segment| Event::SegmentAborted { segment, source, peer });
    }

    pub(super) fn drop_download(&mut self, key: SegmentKey) {
        self.end_followers(key);
        self.drop_later_stretches(key);
        self.abort_source(key);
        self.stop_source(key);
        self.downloads.by_segment.remove(&key);
    }

    pub(super) fn drop_stream_downloads(&mut self, stream: StreamKey) {
        let keys: Vec<_> = self.downloads.of_stream(stream).map(|(key, _)| *key).collect();
        for key in keys {
            self.fail_players(key, &SegmentError::Removed);
            self.drop_download(key);
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells of something that happened to a segment of a stream.
    pub(super) fn event_of(&mut self, key: SegmentKey, event: impl FnOnce(EventSegment) -> Event) {
        let Some(state) = self.streams.get(&key.stream) else { return };
        let Some(segment) = state.segments.get(key.id) else { return };
        let segment = EventSegment { stream: key.stream, kind: state.stream.kind, id: key.id, url: segment.url.clone() };
        self.outputs.push_back(Output::Event(event(segment)));
    }
}
