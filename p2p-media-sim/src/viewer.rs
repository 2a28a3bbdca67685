//! A viewer: an engine, its player and its storage.
//!
//! A viewer touches nothing but itself: what its engine asks of the world leaves as effects, so that the turns of different viewers
//! in one moment can be taken in parallel. As in any driver nothing is decided here.

use std::collections::BTreeMap;
use std::time::Instant;

use p2p_media_core::config::Config;
use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input, TrackerId};
use p2p_media_core::engine::output::Output;
use p2p_media_core::event::{Event, SegmentSource};
use p2p_media_core::media::{Segment, SegmentForm, SegmentId, SegmentKey, StreamKey, StreamUpdate};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::timestamp::Timestamp;

use crate::content::{Latency, Presentation};
use crate::event_hash::EventHash;
use crate::network::AccessLink;
use crate::player::{Player, PlayerOptions};
use crate::report::ViewerReport;
use crate::simulation::TRACKER_URL;

/// Seconds until storage or the validator answers.
const STORAGE_S: f64 = 0.0005;
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
    pub(crate) fetches: Vec<HttpId>,
    /// The number of the attempt that each tracker's socket came from.
    pub(crate) sockets: Vec<(TrackerId, u64)>,
    pub(crate) attempts: u64,
    /// Seconds to the origin and the trackers.
    pub(crate) server_latency_s: f64,
    random: fastrand::Rng,
    hash: EventHash,
    /// Nanoseconds that the engine took, if that is measured: no part of the simulation, which does not depend on it.
    engine_nanos: Option<u64>,
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

/// What a viewer's program does next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It begins: the manifest is asked for.
    Join,
    /// Something happened to its engine.
    Input(Input),
    /// The time that the engine asked for.
    Deadline,
    /// The time that the player asked for.
    PlayerWakes,
    /// The player tells its position.
    PlayheadTick,
    /// The playlists are read again.
    RefreshPlaylists,
    /// It goes on after standing still.
    Thaw,
}

/// What a viewer wants of the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The engine asks for it; only what leaves the viewer.
    Output(Output),
    /// A further turn, so many seconds later.
    TurnIn(f64, Turn),
    /// A further turn at a time.
    TurnAt(Timestamp, Turn),
    /// The end of a connection is gone.
    Disconnected(ConnectionId),
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
        let player = PlayerOptions { buffer_goal_s: 30.0, start_s: 0.0, ladder: Vec::new() };
        Self { config, access: AccessLink::default(), plays: vec![StreamKey(0)], player }
    }

    /// Plays the first stream, so many seconds behind the end of the newest segment.
    pub fn live(behind_s: f64) -> Self {
        let mut options = Self::vod();
        options.player.start_s = behind_s;
        options
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
            player: Player::new(&options.player, &options.plays, joins_at),
            options,
            storage: BTreeMap::new(),
            stored_bytes: 0,
            stored_bytes_max: 0,
            fetches: Vec::new(),
            sockets: Vec::new(),
            attempts: 0,
            server_latency_s: 0.0,
            random: fastrand::Rng::with_seed(seed ^ 0x5eed),
            hash: EventHash::new(),
            engine_nanos: None,
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

    pub(crate) fn has_socket(&self, tracker: TrackerId, attempt: u64) -> bool {
        self.sockets.contains(&(tracker, attempt))
    }

    /// The attempt that a tracker's socket came from.
    pub(crate) fn socket(&self, tracker: TrackerId) -> Option<u64> {
        self.sockets.iter().find(|(other, _)| *other == tracker).map(|(_, attempt)| *attempt)
    }

    /// From now on the engine's time is taken.
    pub(crate) const fn measure_engine(&mut self) {
        self.engine_nanos = Some(0);
    }

    /// The engine's options as they were at first.
    pub(crate) const fn config(&self) -> &Config {
        &self.options.config
    }

    pub(crate) fn report(&self, now: Timestamp) -> ViewerReport {
        ViewerReport {
            playback: self.player.playback_until(now),
            engine: self.engine.stats(),
            stored_bytes_max: self.stored_bytes_max,
            peer_errors: self.peer_errors.clone(),
            delays_ms: self.delays_ms.clone(),
            joined_at_s: self.joined_at.as_secs_f64(),
            left_at_s: None,
            up_bytes_per_s: self.options.access.up_bytes_per_s,
            event_hash: self.hash.value(),
            engine_nanos: self.engine_nanos.unwrap_or(0),
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

impl Viewer {
    /// Takes a turn; what it leads to outside goes to `effects`.
    pub(crate) fn turn(&mut self, now: Timestamp, turn: Turn, presentation: &Presentation, effects: &mut Vec<Effect>) {
        match turn {
            Turn::Join => self.join(presentation, effects),
            Turn::Input(input) => self.inputs(now, vec![input], presentation, effects),
            Turn::Deadline => self.deadline(now, presentation, effects),
            Turn::PlayerWakes => {
                if self.wake_at <= now {
                    self.wake_at = Timestamp::FAR_FUTURE;
                    self.step_player(now, presentation, effects);
                }
            }
            Turn::PlayheadTick => {
                self.step_player(now, presentation, effects);
                let playhead = self.player.playhead();
                self.inputs(now, vec![Input::PlayheadMoved(playhead)], presentation, effects);
                effects.push(Effect::TurnIn(PLAYHEAD_S, Turn::PlayheadTick));
            }
            Turn::RefreshPlaylists => self.refresh_playlists(now, presentation, effects),
            Turn::Thaw => self.player.skip_time(now),
        }
    }

    /// The manifest is asked for; what follows begins when it is here.
    fn join(&mut self, presentation: &Presentation, effects: &mut Vec<Effect>) {
        let manifest_s = 2.0 * self.server_latency_s;
        for index in 0..presentation.streams().len() {
            let stream = presentation.registration(StreamKey(index as u32));
            effects.push(Effect::TurnIn(manifest_s, Turn::Input(Input::StreamAdded(stream))));
        }
        effects.push(Effect::TurnIn(manifest_s, Turn::RefreshPlaylists));
        effects.push(Effect::TurnIn(manifest_s, Turn::PlayheadTick));
    }

    /// Reads all playlists and tells engine and player what changed.
    fn refresh_playlists(&mut self, now: Timestamp, presentation: &Presentation, effects: &mut Vec<Effect>) {
        let mut next_s = f64::INFINITY;
        let mut next_at = Timestamp::FAR_FUTURE;
        let mut inputs = Vec::new();
        let latency_s = self.server_latency_s;
        for (index, model) in presentation.streams().iter().enumerate() {
            let stream = StreamKey(index as u32);
            let has_low_latency = model.latency != Latency::Ordinary;
            // The origin answers when there is something new.
            let seen_at = if has_low_latency { now.offset_secs(-latency_s) } else { now };
            let (Some((first, last)), Some(window)) = (model.playlist_at(seen_at), model.window_at(seen_at)) else { continue };
            let is_unfinished = model.chunk_times(SegmentId(last), seen_at).is_some();
            let parts = matches!(model.latency, Latency::Parts(_)).then_some((window.first, window.last));
            let known = self.playlists.insert(stream, Known { segments: (first, last), parts, is_unfinished });
            let (old_first, old_last) = known.map_or((first, first - 1), |known| known.segments);
            let finished = known.filter(|known| known.is_unfinished && (last > old_last || !is_unfinished)).map(|_| old_last);
            let key = |id| SegmentKey { stream, id };
            let segments = (first.max(old_last + 1)..=last).chain(finished).map(|id| {
                let form = if is_unfinished && id == last { SegmentForm::Unfinished } else { SegmentForm::Whole };
                Segment { form, ..presentation.segment(key(SegmentId(id))) }
            });
            let mut added: Vec<_> = segments.collect();
            let mut removed: Vec<_> = (old_first..first.min(old_last + 1)).map(SegmentId).collect();
            if let Some((first, last)) = parts {
                let (old_first, old_last) = known.and_then(|known| known.parts).unwrap_or((first, first - 1));
                added.extend((first.max(old_last + 1)..=last).map(|part| presentation.segment(key(model.id_of(part)))));
                removed.extend((old_first..first.min(old_last + 1)).map(|part| model.id_of(part)));
            }
            self.player.read_playlist(presentation, stream, window);
            inputs.push(Input::StreamUpdated(stream, StreamUpdate { added, removed, live: !model.is_vod() }));
            if has_low_latency {
                next_at = next_at.min(model.next_step_at(seen_at).offset_secs(latency_s + 0.001));
            } else if !model.is_vod() {
                next_s = next_s.min(model.segment_s);
            }
        }
        inputs.insert(0, Input::PlayheadMoved(self.player.playhead()));
        self.inputs(now, inputs, presentation, effects);
        self.step_player(now, presentation, effects);
        if next_s.is_finite() {
            let (least, most) = REFRESH_SEGMENTS;
            let seconds = next_s * (least + (most - least) * self.random.f64());
            next_at = next_at.min(now.offset_secs(seconds));
        }
        if next_at < Timestamp::FAR_FUTURE {
            effects.push(Effect::TurnAt(next_at, Turn::RefreshPlaylists));
        }
    }

    fn deadline(&mut self, now: Timestamp, presentation: &Presentation, effects: &mut Vec<Effect>) {
        if self.deadline_at > now {
            return;
        }
        self.deadline_at = Timestamp::FAR_FUTURE;
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.inputs(now, vec![Input::DeadlineReached], presentation, effects);
        } else {
            self.arm_deadline(effects);
        }
    }

    /// The player goes on to now; what it asks for reaches the engine.
    pub(crate) fn step_player(&mut self, now: Timestamp, presentation: &Presentation, effects: &mut Vec<Effect>) {
        self.player_is_due = false;
        let (inputs, wake_at) = self.player.step(now, presentation);
        if wake_at < self.wake_at || self.wake_at <= now {
            self.wake_at = wake_at;
            if wake_at != Timestamp::FAR_FUTURE {
                effects.push(Effect::TurnAt(wake_at, Turn::PlayerWakes));
            }
        }
        if !inputs.is_empty() {
            self.inputs(now, inputs, presentation, effects);
        }
    }

    /// Gives the engine what happened and carries out what it asks for.
    pub(crate) fn inputs(&mut self, now: Timestamp, inputs: Vec<Input>, presentation: &Presentation, effects: &mut Vec<Effect>) {
        for input in inputs {
            self.hash.note(now, &input);
            match &input {
                Input::HttpEnd(id) | Input::HttpFailed(id, _) => self.fetches.retain(|fetch| fetch != id),
                Input::ConnectionClosed(connection, _) => effects.push(Effect::Disconnected(*connection)),
                _ => {}
            }
            let begin = self.engine_nanos.map(|_| Instant::now());
            self.engine.handle_input(now, input);
            if let (Some(nanos), Some(begin)) = (&mut self.engine_nanos, begin) {
                *nanos += begin.elapsed().as_nanos() as u64;
            }
            while let Some(output) = self.engine.poll_output() {
                self.carry_out(now, output, presentation, effects);
            }
        }
        self.arm_deadline(effects);
        if self.player_is_due {
            self.step_player(now, presentation, effects);
        }
    }

    fn arm_deadline(&mut self, effects: &mut Vec<Effect>) {
        if let Some(deadline) = self.engine.next_deadline()
            && deadline < self.deadline_at
        {
            self.deadline_at = deadline;
            effects.push(Effect::TurnAt(deadline, Turn::Deadline));
        }
    }

    fn carry_out(&mut self, now: Timestamp, output: Output, presentation: &Presentation, effects: &mut Vec<Effect>) {
        let after_storage = |input| Effect::TurnIn(STORAGE_S, Turn::Input(input));
        match output {
            Output::DeliverSize(request, size) => self.player.size_told(request, size),
            Output::Deliver(request, bytes) => self.player_is_due |= self.player.deliver(request, &bytes, presentation),
            Output::DeliverEnd(request) => {
                self.player.delivered(request, now, presentation);
                self.player_is_due = true;
            }
            Output::DeliverFailed(request, _) => {
                self.player.failed(request, now, presentation);
                self.player_is_due = true;
            }

            Output::StartHttp(id, _) => {
                self.fetches.push(id);
                effects.push(Effect::Output(output));
            }
            Output::StopHttp(id) => {
                self.fetches.retain(|fetch| *fetch != id);
                effects.push(Effect::Output(output));
            }
            Output::OpenTracker(..)
            | Output::CloseTracker(..)
            | Output::SendToTracker(..)
            | Output::MakeOffer(..)
            | Output::MakeAnswer(..)
            | Output::AcceptAnswer(..)
            | Output::SendToPeer(..)
            | Output::CloseConnection(..) => effects.push(Effect::Output(output)),

            Output::Store(key, bytes) => {
                self.store(key, bytes);
                effects.push(after_storage(Input::Stored(key)));
            }
            Output::Load(load, key) => {
                let bytes = self.storage.get(&key).cloned();
                effects.push(after_storage(Input::Loaded(load, bytes)));
            }
            Output::Forget(key) => self.forget(key),
            Output::Validate { id, segment, bytes, .. } => {
                effects.push(after_storage(Input::Validated(id, is_right(&bytes, &presentation.bytes_of(segment)))));
            }
            Output::Event(event) => self.note(now, event, presentation),
        }
    }

    fn note(&mut self, now: Timestamp, event: Event, presentation: &Presentation) {
        match event {
            Event::PeerError { error, .. } if self.peer_errors.len() < MOST_PEER_ERRORS => self.peer_errors.push(error),
            Event::SegmentLoaded { segment, source, .. } => {
                let model = presentation.stream(segment.stream);
                let made_at = model.made_at(segment.id);
                if !model.is_vod() && now.since(self.joined_at).as_secs_f64() > SETTLED_S {
                    self.delays_ms.push((source, now.since(made_at).as_secs_f64() * 1000.0));
                }
            }
            _ => {}
        }
    }
}

/// Whether bytes are those of the origin; mostly they are the origin's own, and need not be looked at.
fn is_right(bytes: &SegmentBytes, right: &[u8]) -> bool {
    let mut rest = right;
    let is_next = |piece: &bytes::Bytes| {
        let Some((begin, after)) = rest.split_at_checked(piece.len()) else { return false };
        rest = after;
        begin.as_ptr() == piece.as_ptr() || begin == piece
    };
    bytes.pieces().iter().all(is_next) && rest.is_empty()
}
