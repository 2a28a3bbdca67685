//! A viewer: an engine, its player and its storage. Outputs of the engine become happenings, as in any driver nothing is decided here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use p2p_media_core::config::Config;
use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::{HttpId, Input, TrackerId};
use p2p_media_core::engine::output::Output;
use p2p_media_core::event::{Event, SegmentSource};
use p2p_media_core::media::{Segment, SegmentForm, SegmentId, SegmentKey, StreamKey, StreamUpdate};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::timestamp::Timestamp;

use crate::content::Latency;
use crate::network::AccessLink;
use crate::player::{Player, PlayerOptions};
use crate::report::ViewerReport;
use crate::simulation::{Happening, NodeId, Role, Simulation, TRACKER_URL};
use crate::tracker::Socket;

/// Seconds until storage or the validator answers.
const STORAGE_S: f64 = 0.0005;
/// Seconds that it takes to gather candidates for an offer or an answer.
const GATHERING_S: f64 = 0.05;
/// Seconds between two reports of the playhead.
const PLAYHEAD_S: f64 = 0.25;
/// A live playlist is read again after this many segment durations, more or less.
const REFRESH_SEGMENTS: (f64, f64) = (0.8, 1.2);
/// A viewer catches up for so many seconds after joining: what it loads then says nothing about delays.
const SETTLED_S: f64 = 5.0;
/// Errors of peers kept for a scenario to look at; further ones are dropped.
const MOST_PEER_ERRORS: usize = 1000;

/// What a viewer is like.
#[derive(Clone, Debug)]
pub struct ViewerOptions {
    /// The engine's options.
    pub config: Config,
    /// How it is connected.
    pub access: AccessLink,
    /// The streams that it plays at first, one per track.
    pub plays: Vec<StreamKey>,
    /// How its player behaves.
    pub player: PlayerOptions,
}

#[derive(Debug)]
pub(crate) struct Viewer {
    options: ViewerOptions,
    pub(crate) engine: Engine,
    pub(crate) player: Player,
    storage: BTreeMap<SegmentKey, SegmentBytes>,
    stored_bytes: u64,
    stored_bytes_max: u64,
    pub(crate) fetches: BTreeSet<HttpId>,
    pub(crate) sockets: BTreeMap<TrackerId, Socket>,
    attempts: u64,
    deadline_at: Timestamp,
    wake_at: Timestamp,
    /// Segments, and in streams with parts also parts, of the playlists as last read.
    playlists: BTreeMap<StreamKey, Known>,
    joined_at: Timestamp,
    /// How long after it was made each segment or part was here, in milliseconds.
    delays_ms: Vec<(SegmentSource, f64)>,
    /// Set when something was delivered, so that the player takes a step.
    player_is_due: bool,
    peer_errors: Vec<String>,
}

/// What a viewer knows of a stream.
#[derive(Clone, Copy, Debug)]
struct Known {
    segments: (i64, i64),
    parts: Option<(i64, i64)>,
    /// The last segment was not finished.
    is_unfinished: bool,
}

impl ViewerOptions {
    /// Plays the first stream of a film from its beginning, keeping 30 s.
    pub fn vod() -> Self {
        let config = Config { announce_trackers: vec![TRACKER_URL.to_owned()], ..Config::default() };
        let player = PlayerOptions { buffer_goal_s: 30.0, start_s: 0.0 };
        Self { config, access: AccessLink::default(), plays: vec![StreamKey(0)], player }
    }

    /// Plays the first stream, so many seconds behind the end of the newest segment.
    pub fn live(behind_s: f64) -> Self {
        Self { player: PlayerOptions { buffer_goal_s: 30.0, start_s: behind_s }, ..Self::vod() }
    }

    /// Plays these streams.
    #[must_use]
    pub fn playing(self, streams: &[u32]) -> Self {
        Self { plays: streams.iter().map(|key| StreamKey(*key)).collect(), ..self }
    }

    /// Connected in this way.
    #[must_use]
    pub fn on(self, access: AccessLink) -> Self {
        Self { access, ..self }
    }

    /// With these changes to the engine's options.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }
}

impl Viewer {
    pub(crate) fn new(options: ViewerOptions, seed: u64, joins_at: Timestamp) -> Self {
        Self {
            engine: Engine::new(options.config.clone(), seed, joins_at),
            player: Player::new(options.player, &options.plays, joins_at),
            options,
            storage: BTreeMap::new(),
            stored_bytes: 0,
            stored_bytes_max: 0,
            fetches: BTreeSet::new(),
            sockets: BTreeMap::new(),
            attempts: 0,
            deadline_at: Timestamp::FAR_FUTURE,
            wake_at: Timestamp::FAR_FUTURE,
            playlists: BTreeMap::new(),
            joined_at: joins_at,
            delays_ms: Vec::new(),
            player_is_due: false,
            peer_errors: Vec::new(),
        }
    }

    pub(crate) fn is_fetching(&self, id: HttpId) -> bool {
        self.fetches.contains(&id)
    }

    pub(crate) fn has_socket(&self, socket: Socket) -> bool {
        self.sockets.get(&socket.tracker) == Some(&socket)
    }

    /// The engine's options as they were at first.
    pub(crate) const fn config(&self) -> &Config {
        &self.options.config
    }

    pub(crate) fn report(&self) -> ViewerReport {
        ViewerReport {
            playback: self.player.playback.clone(),
            engine: self.engine.stats(),
            stored_bytes_max: self.stored_bytes_max,
            peer_errors: self.peer_errors.clone(),
            delays_ms: self.delays_ms.clone(),
        }
    }

    fn store(&mut self, key: SegmentKey, bytes: SegmentBytes) {
        self.forget(key);
        self.stored_bytes += bytes.len();
        self.stored_bytes_max = self.stored_bytes_max.max(self.stored_bytes);
        self.storage.insert(key, bytes);
    }

    fn forget(&mut self, key: SegmentKey) {
        self.stored_bytes -= self.storage.remove(&key).map_or(0, |bytes| bytes.len());
    }
}

impl Simulation {
    /// The viewer in a node.
    ///
    /// # Panics
    /// When the node is no viewer: the scenario is wrong.
    pub(crate) fn viewer(&mut self, node: NodeId) -> &mut Viewer {
        match &mut self.nodes[node.0 as usize].role {
            Role::Viewer(viewer) => viewer,
            Role::Scripted(_) => panic!("{node:?} is not a viewer"),
        }
    }

    /// The manifest is asked for; what follows begins when it is here.
    pub(crate) fn viewer_joins(&mut self, node: NodeId) {
        let manifest_s = 2.0 * self.network.latency_to_servers(node);
        for index in 0..self.presentation.streams().len() {
            let stream = self.presentation.registration(StreamKey(index as u32));
            self.tell_in(manifest_s, node, Input::StreamAdded(stream));
        }
        self.queue.push_in(manifest_s, Happening::RefreshPlaylists(node));
        self.queue.push_in(manifest_s, Happening::PlayheadTick(node));
    }

    /// Reads all playlists and tells engine and player what changed.
    pub(crate) fn refresh_playlists(&mut self, node: NodeId) {
        let now = self.queue.now();
        let mut next_s = f64::INFINITY;
        let mut next_at = Timestamp::FAR_FUTURE;
        let mut updates = Vec::new();
        let latency_s = self.network.latency_to_servers(node);
        for (index, model) in self.presentation.streams().iter().enumerate() {
            let stream = StreamKey(index as u32);
            let has_low_latency = model.latency != Latency::Ordinary;
            // The origin answers when there is something new.
            let seen_at = if has_low_latency { now.offset_secs(-latency_s) } else { now };
            let (Some((first, last)), Some(window)) = (model.playlist_at(seen_at), model.window_at(seen_at)) else { continue };
            let Role::Viewer(viewer) = &mut self.nodes[node.0 as usize].role else { return };
            let is_unfinished = model.chunk_times(SegmentId(last), seen_at).is_some();
            let parts = matches!(model.latency, Latency::Parts(_)).then_some((window.first, window.last));
            let known = viewer.playlists.insert(stream, Known { segments: (first, last), parts, is_unfinished });
            let (old_first, old_last) = known.map_or((first, first - 1), |known| known.segments);
            let finished = known.filter(|known| known.is_unfinished && (last > old_last || !is_unfinished)).map(|_| old_last);
            let key = |id| SegmentKey { stream, id };
            let segments = (first.max(old_last + 1)..=last).chain(finished).map(|id| {
                let form = if is_unfinished && id == last { SegmentForm::Unfinished } else { SegmentForm::Whole };
                Segment { form, ..self.presentation.segment(key(SegmentId(id))) }
            });
            let mut added: Vec<_> = segments.collect();
            let mut removed: Vec<_> = (old_first..first.min(old_last + 1)).map(SegmentId).collect();
            if let Some((first, last)) = parts {
                let (old_first, old_last) = known.and_then(|known| known.parts).unwrap_or((first, first - 1));
                added.extend((first.max(old_last + 1)..=last).map(|part| self.presentation.segment(key(model.id_of(part)))));
                removed.extend((old_first..first.min(old_last + 1)).map(|part| model.id_of(part)));
            }
            viewer.player.read_playlist(&self.presentation, stream, window);
            updates.push(Input::StreamUpdated(stream, StreamUpdate { added, removed, live: !model.is_vod() }));
            if has_low_latency {
                next_at = next_at.min(model.next_step_at(seen_at).offset_secs(latency_s + 0.001));
            } else if !model.is_vod() {
                next_s = next_s.min(model.segment_s);
            }
        }
        let playhead = Input::PlayheadMoved(self.viewer(node).player.playhead());
        self.tell_viewer(node, playhead);
        for update in updates {
            self.tell_viewer(node, update);
        }
        self.step_player(node);
        if next_s.is_finite() {
            let (least, most) = REFRESH_SEGMENTS;
            let seconds = next_s * (least + (most - least) * self.random.f64());
            next_at = next_at.min(now.offset_secs(seconds));
        }
        if next_at < Timestamp::FAR_FUTURE {
            self.queue.push(next_at, Happening::RefreshPlaylists(node));
        }
    }

    pub(crate) fn playhead_tick(&mut self, node: NodeId) {
        self.step_player(node);
        let playhead = self.viewer(node).player.playhead();
        self.tell_viewer(node, Input::PlayheadMoved(playhead));
        self.queue.push_in(PLAYHEAD_S, Happening::PlayheadTick(node));
    }

    pub(crate) fn player_wakes(&mut self, node: NodeId) {
        let now = self.queue.now();
        let viewer = self.viewer(node);
        if viewer.wake_at <= now {
            viewer.wake_at = Timestamp::FAR_FUTURE;
            self.step_player(node);
        }
    }

    pub(crate) fn deadline(&mut self, node: NodeId) {
        let now = self.queue.now();
        let viewer = self.viewer(node);
        if viewer.deadline_at > now {
            return;
        }
        viewer.deadline_at = Timestamp::FAR_FUTURE;
        if viewer.engine.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.tell_viewer(node, Input::DeadlineReached);
        } else {
            self.arm_deadline(node);
        }
    }

    /// The player goes on to now; what it asks for reaches the engine.
    pub(crate) fn step_player(&mut self, node: NodeId) {
        let now = self.queue.now();
        let Role::Viewer(viewer) = &mut self.nodes[node.0 as usize].role else { return };
        viewer.player_is_due = false;
        let (inputs, wake_at) = viewer.player.step(now, &self.presentation);
        if wake_at < viewer.wake_at || viewer.wake_at <= now {
            viewer.wake_at = wake_at;
            if wake_at != Timestamp::FAR_FUTURE {
                self.queue.push(wake_at, Happening::PlayerWakes(node));
            }
        }
        if !inputs.is_empty() {
            self.tell_viewer_all(node, inputs);
        }
    }

    pub(crate) fn tell_viewer(&mut self, node: NodeId, input: Input) {
        self.tell_viewer_all(node, vec![input]);
    }

    pub(crate) fn tell_viewer_all(&mut self, node: NodeId, inputs: Vec<Input>) {
        let now = self.queue.now();
        let mut inputs = VecDeque::from(inputs);
        while let Some(input) = inputs.pop_front() {
            self.hash.note(now, node.0, &input);
            match &input {
                Input::HttpEnd(id) | Input::HttpFailed(id, _) => _ = self.viewer(node).fetches.remove(id),
                Input::ConnectionClosed(connection, _) => _ = self.network.disconnect((node, *connection)),
                _ => {}
            }
            self.viewer(node).engine.handle_input(now, input);
            while let Some(output) = self.viewer(node).engine.poll_output() {
                self.carry_out(node, output);
            }
        }
        self.arm_deadline(node);
        if self.viewer(node).player_is_due {
            self.step_player(node);
        }
    }

    fn arm_deadline(&mut self, node: NodeId) {
        let viewer = self.viewer(node);
        if let Some(deadline) = viewer.engine.next_deadline()
            && deadline < viewer.deadline_at
        {
            viewer.deadline_at = deadline;
            self.queue.push(deadline, Happening::Deadline(node));
        }
    }

    fn carry_out(&mut self, node: NodeId, output: Output) {
        let now = self.queue.now();
        let Role::Viewer(viewer) = &mut self.nodes[node.0 as usize].role else { return };
        match output {
            Output::DeliverSize(request, size) => viewer.player.size_told(request, size),
            Output::Deliver(request, bytes) => viewer.player_is_due |= viewer.player.deliver(request, &bytes, &self.presentation),
            Output::DeliverEnd(request) => {
                viewer.player.delivered(request, &self.presentation);
                viewer.player_is_due = true;
            }
            Output::DeliverFailed(request, _) => {
                viewer.player.failed(request, now, &self.presentation);
                viewer.player_is_due = true;
            }

            Output::StartHttp(id, request) => {
                viewer.fetches.insert(id);
                let seconds = self.network.latency_to_servers(node);
                self.queue.push_in(seconds, Happening::OriginGets(node, id, request));
            }
            Output::StopHttp(id) => {
                viewer.fetches.remove(&id);
                self.network.stop_http(node, id);
            }

            Output::OpenTracker(tracker, url) => {
                viewer.attempts += 1;
                let socket = Socket { node, tracker, attempt: viewer.attempts };
                viewer.sockets.insert(tracker, socket);
                self.open_socket(socket, &url);
            }
            Output::SendToTracker(tracker, text) => {
                if let Some(socket) = viewer.sockets.get(&tracker).copied() {
                    self.send_to_tracker(socket, text);
                }
            }
            Output::CloseTracker(tracker) => {
                viewer.sockets.remove(&tracker);
            }

            Output::MakeOffer(connection, _) => {
                let offer = self.network.offer((node, connection));
                self.tell_in(GATHERING_S, node, Input::OfferMade(connection, offer));
            }
            Output::MakeAnswer(connection, offer) => match self.network.answer((node, connection), &offer) {
                Some(answer) => self.tell_in(GATHERING_S, node, Input::AnswerMade(connection, answer)),
                None => self.tell_in(0.0, node, Input::ConnectionClosed(connection, "not an offer".to_owned())),
            },
            Output::AcceptAnswer(connection, answer) => {
                if self.network.accept(&mut self.queue, (node, connection), &answer).is_none() {
                    self.tell_in(0.0, node, Input::ConnectionClosed(connection, "not an answer".to_owned()));
                }
            }
            Output::SendToPeer(connection, message) => self.network.send_message(&mut self.queue, (node, connection), message),
            Output::CloseConnection(connection, _) => self.close_connection((node, connection)),

            Output::Store(key, bytes) => {
                viewer.store(key, bytes);
                self.tell_in(STORAGE_S, node, Input::Stored(key));
            }
            Output::Load(load, key) => {
                let bytes = viewer.storage.get(&key).cloned();
                self.tell_in(STORAGE_S, node, Input::Loaded(load, bytes));
            }
            Output::Forget(key) => viewer.forget(key),
            Output::Validate { id, segment, bytes, .. } => {
                let is_right = bytes.join() == self.presentation.bytes_of(segment);
                self.tell_in(STORAGE_S, node, Input::Validated(id, is_right));
            }
            Output::Event(Event::PeerError { error, .. }) => {
                if viewer.peer_errors.len() < MOST_PEER_ERRORS {
                    viewer.peer_errors.push(error);
                }
            }
            Output::Event(Event::SegmentLoaded { segment, source, .. }) => {
                let model = self.presentation.stream(segment.stream);
                let made_at = model.made_at(segment.id);
                if !model.is_vod() && now.since(viewer.joined_at).as_secs_f64() > SETTLED_S {
                    viewer.delays_ms.push((source, now.since(made_at).as_secs_f64() * 1000.0));
                }
            }
            Output::Event(_) => {}
        }
    }

    /// Ends all that a node has under way, without farewell.
    pub(crate) fn cut_off(&mut self, node: NodeId) -> Vec<HttpId> {
        for socket in std::mem::take(&mut self.viewer(node).sockets).into_values() {
            self.trackers.iter_mut().for_each(|tracker| tracker.closed(socket));
        }
        let fetches: Vec<_> = std::mem::take(&mut self.viewer(node).fetches).into_iter().collect();
        for id in &fetches {
            self.network.stop_http(node, *id);
        }
        fetches
    }
}
