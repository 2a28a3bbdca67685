//! The engine: a state machine without IO that decides where every segment comes from.
//!
//! Give it what happens with [`Engine::handle_input`], carry out what [`Engine::poll_output`] asks for until it is `None`, and call
//! again no later than [`Engine::next_deadline`] with [`Input::DeadlineReached`]. It has no clock, no sockets, and no randomness but its seed:
//! equal inputs give equal outputs.

mod announces;
mod deadlines;
mod delivery;
mod downloads;
mod election;
mod fetched_segments;
mod followers;
pub mod input;
mod late_stretches;
mod origin_transfers;
pub mod output;
mod peer_announcements;
mod peer_handshakes;
mod peer_transfers;
mod peers;
mod prefetch;
mod random;
mod relays;
mod schedule;
mod segment_list;
mod stored_segments;
mod streams;
mod stretches;
#[cfg(test)]
mod tests;
mod throughput;
mod trust;
mod uplink;
mod uploads;

use std::collections::VecDeque;
use std::time::Duration;

use lru::LruCache;

use self::announces::TrackerState;
use self::deadlines::{Deadline, Deadlines};
use self::downloads::{Downloads, Source};
use self::input::{ConnectionId, HttpId, Input, LoadId, PlayerRequestId};
use self::output::Output;
use self::peer_handshakes::Handshake;
use self::peers::Peers;
use self::random::{Random, spread};
use self::stored_segments::StoredSegments;
use self::streams::{OriginSpeed, PlayheadTrack, StreamState, Swarm, options};
use self::uploads::UploadQueue;
use crate::config::{Config, DynamicConfig};
use crate::error::{CloseReason, RequestError, SegmentError};
use crate::event::Stats;
use crate::identity::PeerId;
use crate::media::{Playhead, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate};
use crate::sorted_map::{SortedMap, SortedSet};
use crate::timestamp::Timestamp;

/// A timer served this much too late means that the whole program stood still (a laptop slept, a tab was in the background): time then
/// counts from now, nobody is blamed for the silence.
const STANDSTILL: Duration = Duration::from_secs(3);

/// What a playhead that goes on steadily leads to is decided after this.
const STEADY_PLAYHEAD_WAIT_S: f64 = 0.1;

/// Most streams of one session; a manifest has dozens.
const MAX_STREAMS: usize = 4096;

/// Decides everything; see the module's documentation.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    peer_id: PeerId,
    /// Makes this viewer's choices among equals differ from other viewers'.
    own_number: u64,
    random: Random,
    ids: Ids,
    now: Timestamp,
    outputs: VecDeque<Output>,
    deadlines: Deadlines,
    playhead: PlayheadTrack,
    streams: SortedMap<StreamKey, StreamState>,
    downloads: Downloads,
    requests: SortedMap<PlayerRequestId, SegmentKey>,
    loads_for_players: SortedMap<LoadId, PlayerRequestId>,
    loads_for_uploads: SortedMap<LoadId, ConnectionId>,
    stored: StoredSegments,
    handshakes: SortedMap<ConnectionId, Handshake>,
    peers: Peers,
    /// Peers that are not met again before a time.
    banned: LruCache<PeerId, Timestamp>,
    trackers: Vec<TrackerState>,
    uploads: UploadQueue,
    origin_speed: OriginSpeed,
    stats: Stats,
    /// Streams about which must be decided again before this input is done with.
    dirty_streams: SortedSet<StreamKey>,
    /// Streams of which peers must be told anew what we have.
    announcements_due: SortedSet<StreamKey>,
    /// Storage has failed once.
    storage_has_failed: bool,
    is_shutting_down: bool,
}

/// A source from which nothing comes.
enum Silent {
    Origin(HttpId),
    Peer(ConnectionId),
}

/// Numbers for everything that the engine names; never reused.
#[derive(Debug, Default)]
struct Ids(u64);

impl Ids {
    const fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Engine {
    /// An engine that has joined nothing yet.
    pub fn new(config: Config, seed: u64, now: Timestamp) -> Self {
        let mut random = Random::new(seed);
        let peer_id = PeerId::generate(&config.tracker_client_version_prefix, || random.next());
        Self {
            peer_id,
            own_number: spread(&peer_id.0, 0),
            random,
            ids: Ids::default(),
            now,
            outputs: VecDeque::new(),
            deadlines: Deadlines::default(),
            playhead: PlayheadTrack::default(),
            streams: SortedMap::new(),
            downloads: Downloads::default(),
            requests: SortedMap::new(),
            loads_for_players: SortedMap::new(),
            loads_for_uploads: SortedMap::new(),
            stored: StoredSegments::new(config.segment_storage_limit_bytes),
            handshakes: SortedMap::new(),
            peers: Peers::new(),
            banned: LruCache::unbounded(),
            trackers: config.announce_trackers.iter().map(|url| TrackerState::new(url)).collect(),
            uploads: UploadQueue::new(config.upload_rate_limit, now),
            origin_speed: OriginSpeed::default(),
            stats: Stats::default(),
            dirty_streams: SortedSet::new(),
            announcements_due: SortedSet::new(),
            storage_has_failed: false,
            is_shutting_down: false,
            config,
        }
    }

    /// Takes in what happened at `now`. Infallible: a misbehaving peer yields an output that closes it.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.pass_time(now);
        match input {
            Input::SegmentRequested { request, segment } => self.segment_requested(request, segment),
            Input::RequestCancelled(request) => self.request_cancelled(request),
            Input::SegmentFetched(segment, bytes, times) => self.segment_fetched(segment, bytes, times),
            Input::PlayheadMoved(playhead) => self.playhead_moved(playhead),
            Input::StreamAdded(stream) => self.stream_added(stream),
            Input::StreamUpdated(key, update) => self.stream_updated(key, update),
            Input::StreamRemoved(key) => self.stream_removed(key),
            Input::ConfigChanged(change) => self.config_changed(*change),
            Input::Shutdown => self.shut_down(),

            Input::HttpHead(id, head) => self.http_head(id, head),
            Input::HttpChunk(id, chunk) => self.http_chunk(id, chunk),
            Input::HttpEnd(id) => self.http_end(id),
            Input::HttpFailed(id, error) => self.http_failed(id, RequestError::Http(error)),

            Input::TrackerOpened(tracker) => self.tracker_opened(tracker),
            Input::TrackerMessage(tracker, text) => self.tracker_message(tracker, &text),
            Input::TrackerClosed(tracker, error) => self.tracker_closed(tracker, error),

            Input::OfferMade(connection, sdp) => self.offer_made(connection, sdp),
            Input::AnswerMade(connection, sdp) => self.answer_made(connection, sdp),
            Input::ChannelOpened(connection) => self.channel_opened(connection),
            Input::PeerMessage(connection, message) => self.peer_message(connection, message),
            Input::PeerSent(connection, bytes) => self.peer_sent(connection, bytes),
            Input::ConnectionClosed(connection, reason) => {
                if !self.handshake_failed(connection) {
                    tracing::debug!(?connection, reason, "peer connection ended");
                    self.peer_gone(connection, RequestError::PeerClosed);
                }
            }

            Input::Stored(_) => {}
            Input::StoreFailed(key, error) => {
                // A full disk fails every segment alike: one line is enough.
                if std::mem::replace(&mut self.storage_has_failed, true) {
                    tracing::debug!(?key, error, "a segment could not be stored");
                } else {
                    tracing::warn!(error, "segments cannot be stored; playback goes on from the origin and from peers");
                }
                self.forget(key);
                self.announcements_due.insert(key.stream);
            }
            Input::Loaded(load, bytes) => self.loaded(load, bytes),
            Input::Validated(id, is_right) => self.validated(id, is_right),
            Input::DeadlineReached => {}
        }
        self.serve_due_deadlines();
        self.settle();
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to give [`Input::DeadlineReached`] even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// Figures since the session began.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.peers.len(),
            stored_segments: self.stored.len(),
            stored_bytes: self.stored.bytes(),
            trackers_connected: self.trackers.iter().filter(|tracker| tracker.is_open()).count(),
            ..self.stats.clone()
        }
    }

    /// Our peer id, the same in every swarm of the session.
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// True once [`Input::Shutdown`] was handled: what [`Self::poll_output`] still gives is the farewell.
    pub const fn is_finished(&self) -> bool {
        self.is_shutting_down
    }

    fn pass_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let overdue = self.deadlines.next().map_or(Duration::ZERO, |at| self.now.since(at));
        if overdue > STANDSTILL {
            for download in self.downloads.by_segment.values_mut() {
                let later = download.later.iter_mut().map(|stretch| &mut stretch.source);
                for source in std::iter::once(&mut download.source).chain(later) {
                    if let Source::Http(transfer) = source {
                        transfer.last_byte_at = self.now;
                    }
                }
            }
            for peer in self.peers.values_mut() {
                if let Some(download) = peer.download.as_mut() {
                    download.last_byte_at = self.now;
                }
            }
            self.extend_handshakes();
        }
    }

    fn serve_due_deadlines(&mut self) {
        // Each timer is served once; those that are set again meanwhile lie ahead.
        for _ in 0..self.deadlines.len() {
            let Some(deadline) = self.deadlines.pop_due(self.now) else { return };
            match deadline {
                Deadline::Schedule(stream) => {
                    self.dirty_streams.insert(stream);
                }
                Deadline::TransferStalled(key) => self.check_transfer(key),
                Deadline::TrackerReconnect(tracker) => self.open_tracker(tracker),
                Deadline::Announce(tracker, stream) => self.announce_due(tracker, stream),
                Deadline::HandshakeExpired(connection) => self.drop_handshake(connection, CloseReason::HandshakeExpired),
                Deadline::UploadPacing => self.continue_uploads(),
                Deadline::LeaveSwarm(stream) => self.leave_swarm(stream),
            }
        }
    }

    /// Decides what the input has made undecided, and tells peers once of all that changed.
    fn settle(&mut self) {
        self.schedule_dirty_streams();
        for stream in std::mem::take(&mut self.announcements_due) {
            self.announce_to_peers(stream);
        }
        // A peer that reads nothing was perhaps closed just now: what it was to give needs another source.
        self.schedule_dirty_streams();
    }

    fn schedule_dirty_streams(&mut self) {
        // Deciding about one stream can only touch the others' peers, so this ends; the bound guards against a mistake in that reasoning.
        for _ in 0..4 {
            let Some(streams) = Some(std::mem::take(&mut self.dirty_streams)).filter(|streams| !streams.is_empty()) else { break };
            for stream in streams {
                self.schedule(stream);
            }
        }
    }

    /// No byte for the configured time is a failure; else look again when it would be one.
    fn check_transfer(&mut self, key: SegmentKey) {
        let Some(download) = self.downloads.by_segment.get(&key) else { return };
        let stream_options = options(&self.config, download.kind);
        let sources = std::iter::once(&download.source).chain(download.later.iter().map(|stretch| &stretch.source));
        let limits = sources.filter_map(|source| match source {
            Source::Http(transfer) => {
                Some((transfer.last_byte_at + stream_options.http_not_receiving_bytes_timeout, Silent::Origin(transfer.id)))
            }
            Source::Peer(connection) => {
                let transfer = self.peers.get(connection)?.download.as_ref()?;
                Some((transfer.last_byte_at + stream_options.p2p_not_receiving_bytes_timeout, Silent::Peer(*connection)))
            }
            Source::None | Source::Validation(..) => None,
        });
        let limits: Vec<_> = limits.collect();
        if let Some((next, _)) = limits.iter().filter(|(at, _)| *at > self.now).min_by_key(|(at, _)| *at) {
            self.deadlines.set(Deadline::TransferStalled(key), *next);
        }
        let now = self.now;
        for (_, silent) in limits.into_iter().filter(|(at, _)| *at <= now) {
            match silent {
                Silent::Origin(id) => self.http_failed(id, RequestError::BytesReceivingTimeout),
                Silent::Peer(connection) => self.peer_timed_out(connection),
            }
        }
    }

    fn stream_added(&mut self, stream: Stream) {
        if self.streams.len() >= MAX_STREAMS {
            tracing::warn!(key = stream.key.0, "a stream too many is not shared: {MAX_STREAMS} are registered");
            return;
        }
        self.streams.get_or_insert_with(stream.key, || StreamState::new(stream));
    }

    fn stream_updated(&mut self, key: StreamKey, update: StreamUpdate) {
        let Some(state) = self.streams.get_mut(&key) else { return };
        for segment in &update.added {
            if let Some(download) = self.downloads.by_segment.get_mut(&SegmentKey { stream: key, id: segment.id }) {
                download.refresh(segment);
            }
        }
        let removed = state.segments.update(update);
        state.prefetch_is_idle = false;
        for id in removed {
            let segment = SegmentKey { stream: key, id };
            self.forget(segment);
            if self.downloads.by_segment.get(&segment).is_some_and(|download| download.players.is_empty()) {
                self.drop_download(segment);
            }
        }
        self.dirty_streams.insert(key);
    }

    fn stream_removed(&mut self, key: StreamKey) {
        self.drop_stream_downloads(key);
        self.leave_swarm(key);
        let stored: Vec<_> = self.stored.ids_of(key).collect();
        for id in stored {
            self.forget(SegmentKey { stream: key, id });
        }
        self.streams.remove(&key);
        self.deadlines.cancel(Deadline::Schedule(key));
    }

    /// A stream is played from now on; the one of its kind that was played before keeps its swarm for a while.
    fn activate(&mut self, key: StreamKey) {
        let Some(state) = self.streams.get_mut(&key) else { return };
        if !state.active {
            state.active = true;
            state.active_since = self.now;
            let kind = state.stream.kind;
            let others = self.streams.iter_mut().filter(|(other, state)| **other != key && state.stream.kind == kind && state.active);
            for (other, state) in others {
                state.active = false;
                let leave_at = self.now + options(&self.config, kind).p2p_inactive_loader_destroy_timeout;
                self.deadlines.set(Deadline::LeaveSwarm(*other), leave_at);
                self.dirty_streams.insert(*other);
            }
        }
        self.deadlines.cancel(Deadline::LeaveSwarm(key));
        self.join_swarm(key);
    }

    fn join_swarm(&mut self, key: StreamKey) {
        let Some(state) = self.streams.get_mut(&key) else { return };
        if state.swarm.is_none() && !options(&self.config, state.stream.kind).p2p_disabled && !self.is_shutting_down {
            state.swarm = Some(Swarm { joined_at: self.now, official_announcement: Vec::new() });
            self.track_swarm(key);
        }
    }

    fn leave_swarm(&mut self, key: StreamKey) {
        self.deadlines.cancel(Deadline::LeaveSwarm(key));
        if self.streams.get(&key).is_none_or(|state| state.swarm.is_none()) {
            return;
        }
        let connected: Vec<_> = self.peers_of(key).map(|(connection, _)| *connection).collect();
        self.untrack_swarm(key);
        self.drop_handshakes_of(key);
        for connection in connected {
            self.close_peer(connection, CloseReason::Left);
        }
        if let Some(state) = self.streams.get_mut(&key) {
            state.swarm = None;
        }
    }

    fn config_changed(&mut self, change: DynamicConfig) {
        self.config.apply(change);
        self.stored.set_limit(self.config.segment_storage_limit_bytes);
        self.uploads.set_limit(self.config.upload_rate_limit);
        self.make_room();
        let streams: Vec<(StreamKey, StreamKind, bool)> = self.streams.iter().map(|(key, s)| (*key, s.stream.kind, s.active)).collect();
        for (key, kind, active) in streams {
            let stream_options = options(&self.config, kind);
            if stream_options.p2p_disabled {
                self.leave_swarm(key);
            } else if active {
                self.join_swarm(key);
            }
            self.announcements_due.insert(key);
            self.dirty_streams.insert(key);
        }
        self.stop_refused_transfers();
        self.continue_uploads();
        self.start_waiting_uploads();
    }

    /// What was switched off stops at once.
    fn stop_refused_transfers(&mut self) {
        for (connection, kind) in self.peers.iter().map(|(connection, peer)| (*connection, peer.kind)).collect::<Vec<_>>() {
            let stream_options = options(&self.config, kind);
            let (no_upload, no_download) = (stream_options.p2p_upload_disabled, stream_options.p2p_download_disabled);
            if no_upload {
                self.end_upload(connection);
            }
            let segment = self.peers.get(&connection).and_then(|peer| peer.download.as_ref()).map(|download| download.segment);
            if let (Some(segment), true) = (segment, no_download) {
                self.drop_later_stretches(segment);
                if self.downloads.by_segment.get(&segment).is_some_and(|download| matches!(download.source, Source::Peer(_))) {
                    self.abort_source(segment);
                }
            }
        }
    }

    /// A jump is decided about at once. Where the playhead only went on, as it was taken to, there is time.
    fn playhead_moved(&mut self, playhead: Playhead) {
        let went_on = self.playhead.goes_on_as(playhead, self.now);
        self.playhead.set(playhead, self.now);
        for stream in self.streams.iter().filter(|(_, state)| state.active).map(|(key, _)| *key) {
            if went_on {
                self.deadlines.set_no_later(Deadline::Schedule(stream), self.now.offset_secs(STEADY_PLAYHEAD_WAIT_S));
            } else {
                self.dirty_streams.insert(stream);
            }
        }
    }

    fn shut_down(&mut self) {
        self.is_shutting_down = true;
        for key in self.streams.keys().copied().collect::<Vec<_>>() {
            for segment in self.downloads.of_stream(key).map(|(segment, _)| *segment).collect::<Vec<_>>() {
                self.fail_players(segment, &SegmentError::SessionEnded);
                self.drop_download(segment);
            }
            self.leave_swarm(key);
        }
        self.dirty_streams.clear();
        self.announcements_due.clear();
    }
}
