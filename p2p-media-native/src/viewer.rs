//! A viewer without a screen: plays a stream in real time as a player would, and reports how that went.
//!
//! It starts when the first segment of every track is there, keeps half a minute ahead (of a live stream: everything there is), stalls
//! when a track runs dry and goes on as soon as the next segment is whole; of a segment that is still being produced, every fragment that is
//! complete counts. Time is tokio's, so that tests may pause it.

mod arriving_fragments;
mod check;
mod playback;
mod quality;
mod report;
mod segment_delays;
mod track_loading;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use p2p_media_core::event::{Event, Stats};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::session::EventStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use playback::PlaybackState;
pub use quality::Quality;
pub use report::ViewerReport;
pub use segment_delays::{DelaySamples, SegmentDelays};

use crate::player::{Player, PlayerConfig, PlayerError, Segments, Track};
use crate::tracker_log::TrackerLog;
use check::DeliveredSegments;
use playback::Playback;
use quality::Throughput;
use report::Errors;
use segment_delays::DelayMeter;

/// How often the engine is told the playhead, and listeners the state.
const TICK: Duration = Duration::from_millis(250);
/// How fast a viewer plays who is further behind the edge than wanted: few notice a tenth.
const CATCH_UP_RATE: f64 = 1.1;
/// How long the player's farewell may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What a viewer does.
#[derive(Clone, Debug, Default)]
pub struct ViewerConfig {
    /// How the stream is got, and how far behind the live edge it is played.
    pub player: PlayerConfig,
    /// Which rendition is played.
    pub quality: Quality,
    /// When to leave. A VOD that ended before is shared until then; without it the viewer leaves at the end.
    pub duration: Option<Duration>,
    /// Compare every segment with the origin's at the end.
    pub check: bool,
}

/// How a viewer stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewerStatus {
    /// Waiting, playing, stalled or ended.
    pub state: PlaybackState,
    /// Seconds since the stream was opened.
    pub elapsed: Duration,
    /// Seconds on the timeline.
    pub position: f64,
    /// Seconds that can be played without another byte.
    pub buffer: f64,
    /// Seconds behind the live edge.
    pub latency: Option<f64>,
    /// Picture height of the rendition that is loaded.
    pub height: Option<u32>,
    /// Stalls so far.
    pub stalls: u32,
    /// The engine's figures.
    pub stats: Stats,
}

/// Plays a stream until it ends, its time is up, or `stop` completes. The report has whatever could be played, and says what went wrong.
///
/// # Errors
/// When nothing can be played: the manifest or a playlist cannot be had or read, or the configuration is wrong.
pub async fn watch(
    url: &str,
    config: ViewerConfig,
    status: &watch::Sender<ViewerStatus>,
    stop: impl Future<Output = ()>,
) -> Result<ViewerReport, PlayerError> {
    let opened = Instant::now();
    // A stop that came while playing does not stop the check: asked for is asked for.
    let mut stop = std::pin::pin!(stop.fuse());
    let ViewerConfig { player, quality, duration, check } = config;
    let delays = DelayMeter::new();
    let wanted_latency = player.latency;
    let player = Player::open(url, player).await?;
    let throughput = Throughput::default();
    let main = quality::choose(player.main_tracks(), quality, &throughput, None).clone();
    let audio = player.audio_of(&main).cloned();
    let (main_segments, audio_segments) = futures::future::try_join(player.segments(&main), async {
        match &audio {
            Some(audio) => player.segments(audio).await.map(Some),
            None => Ok(None),
        }
    })
    .await?;

    let mut tracks: Vec<Segments> = std::iter::once(main_segments).chain(audio_segments).collect();
    let start = start_position(&tracks);
    tracks.iter_mut().for_each(|segments| segments.seek(start));
    let viewing = Viewing {
        player: &player,
        quality,
        check,
        live: tracks[0].window().live,
        catch_up_to: wanted_latency.filter(|_| tracks[0].window().has_parts),
        playback: Mutex::new(Playback::new(opened, tracks.len(), start)),
        throughput: Mutex::new(throughput),
        errors: Errors::default(),
        delivered: DeliveredSegments::default(),
        delays,
        edge: Mutex::new(None),
        height: Mutex::new(main.resolution.map(|(_, height)| height)),
        changed: Notify::new(),
    };
    viewing.play(main, tracks, duration.map(|duration| opened + duration), status, stop.as_mut()).await;
    let latency_s = viewing.latency();
    let Viewing { playback, errors, delivered, delays, .. } = viewing;
    let playback = playback.into_inner().unwrap_or_else(PoisonError::into_inner);

    let checked = if check { Some(delivered.check_the_rest(player.http(), stop).await) } else { None };
    let seconds = opened.elapsed().as_secs_f64();
    let manifest = player.manifest_url().to_owned();
    let (stats, recording) = (player.stats().await, player.recording());
    let stats = tokio::time::timeout(CLOSE_LIMIT, player.close()).await.unwrap_or(stats);
    if let Some(error) = recording.and_then(|recording| recording.error()) {
        errors.add(format!("the recording is not whole: {error}"));
    }
    Ok(ViewerReport {
        manifest,
        seconds,
        startup_ms: playback.startup().map(|startup| startup.as_secs_f64() * 1000.0),
        stalls: playback.stalls(),
        stall_ms: playback.stalled().as_secs_f64() * 1000.0,
        played_s: playback.played_s(),
        segments: delivered.segments(),
        delivered_bytes: delivered.bytes(),
        http_bytes: stats.http_bytes,
        p2p_bytes: stats.p2p_bytes,
        uploaded_bytes: stats.uploaded_bytes,
        peers_max: stats.peers_max,
        latency_s,
        segment_delay_ms: delays.take(),
        checked: checked.as_ref().map(|checked| checked.checked),
        unchecked: checked.as_ref().map(|checked| checked.unchecked),
        mismatched: checked.as_ref().map(|checked| checked.mismatched),
        errors: errors.take(),
    })
}

/// Everything that the parts of one viewer share. Locks are held for moments only, never across an await.
struct Viewing<'p> {
    player: &'p Player,
    quality: Quality,
    check: bool,
    live: bool,
    /// Low latency: seconds behind the edge beyond which playback goes a little faster.
    catch_up_to: Option<f64>,
    playback: Mutex<Playback>,
    throughput: Mutex<Throughput>,
    errors: Errors,
    delivered: DeliveredSegments,
    delays: DelayMeter,
    /// Where the live edge was at some moment: the latest of all that was seen.
    edge: Mutex<Option<(f64, Instant)>>,
    height: Mutex<Option<u32>>,
    /// The playback has changed: a segment came, or a track ended.
    changed: Notify,
}

impl Viewing<'_> {
    async fn play(
        &self,
        main: Track,
        tracks: Vec<Segments>,
        end_at: Option<Instant>,
        status: &watch::Sender<ViewerStatus>,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) {
        let mut main = Some(main);
        let loading = tracks.into_iter().enumerate().map(|(index, segments)| self.load_track(index, main.take(), segments));
        let mut loading = std::pin::pin!(futures::future::join_all(loading));
        let mut is_loading = true;
        let mut telling = std::pin::pin!(self.take_events(self.player.events()));
        let mut is_telling = true;
        let mut checking = std::pin::pin!(self.delivered.check_while_live(self.player.http()));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stats = self.player.stats().await;
        let mut last_state = None;
        loop {
            let change_at = lock(&self.playback).next_change();
            let wake = [change_at, end_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.as_mut() => return,
                _ = tick.tick() => stats = self.player.stats().await,
                () = sleep_until(wake) => {}
                () = self.changed.notified() => {}
                _ = loading.as_mut(), if is_loading => is_loading = false,
                () = telling.as_mut(), if is_telling => is_telling = false,
                () = checking.as_mut(), if self.check && self.live => {}
            }
            let now = Instant::now();
            let (state, playhead) = {
                let mut playback = lock(&self.playback);
                playback.advance(now);
                let rate = self.wanted_rate(playback.playhead().position, now);
                playback.set_rate(rate);
                (playback.state(), playback.playhead())
            };
            if let Err(error) = self.player.set_playhead(playhead.position, playhead.rate) {
                self.errors.add(error.to_string());
                return;
            }
            if last_state != Some(state) {
                tracing::info!(?state, position = playhead.position, "playback");
                last_state = Some(state);
            }
            status.send_replace(self.status(now, &stats));
            let is_over = state == PlaybackState::Ended && end_at.is_none();
            if is_over || end_at.is_some_and(|end_at| end_at <= now) {
                return;
            }
        }
    }

    fn status(&self, now: Instant, stats: &Stats) -> ViewerStatus {
        let playback = lock(&self.playback);
        ViewerStatus {
            state: playback.state(),
            elapsed: playback.elapsed(now),
            position: playback.playhead().position,
            buffer: playback.buffer_s(),
            latency: self.latency_at(playback.playhead().position, now),
            height: *lock(&self.height),
            stalls: playback.stalls(),
            stats: stats.clone(),
        }
    }

    /// Notes where the live edge is. Playlists are seen late, never early: the latest edge is the true one.
    fn note_edge(&self, segments: &Segments) {
        let window = segments.window();
        let mut edge = lock(&self.edge);
        let known = edge.map(|(end, at)| end + window.loaded_at.duration_since(at).as_secs_f64());
        if self.live && known.is_none_or(|known| known < window.end) {
            *edge = Some((window.end, window.loaded_at));
        }
    }

    /// A viewer that began late, or stalled, comes back to the latency that it wants.
    fn wanted_rate(&self, position: f64, now: Instant) -> f64 {
        let behind = self.catch_up_to.zip(self.latency_at(position, now));
        if behind.is_some_and(|(wanted, latency)| latency > wanted) { CATCH_UP_RATE } else { 1.0 }
    }

    /// Puts what happens into the log, and measures when segments come.
    async fn take_events(&self, mut events: EventStream) {
        let mut trackers = TrackerLog::default();
        while let Some(event) = events.next().await {
            match &event {
                Event::ChunkDownloaded { .. } | Event::ChunkUploaded { .. } => continue,
                Event::SegmentLoaded { segment, source, .. } => {
                    self.delays.loaded(SegmentKey { stream: segment.stream, id: segment.id }, *source);
                }
                event => trackers.note(event),
            }
            tracing::debug!(?event);
        }
    }

    fn latency(&self) -> Option<f64> {
        self.latency_at(lock(&self.playback).playhead().position, Instant::now())
    }

    fn latency_at(&self, position: f64, now: Instant) -> Option<f64> {
        lock(&self.edge).map(|(end, at)| end + now.duration_since(at).as_secs_f64() - position)
    }
}

impl Default for ViewerStatus {
    fn default() -> Self {
        Self {
            state: PlaybackState::Starting,
            elapsed: Duration::ZERO,
            position: 0.0,
            buffer: 0.0,
            latency: None,
            height: None,
            stalls: 0,
            stats: Stats::default(),
        }
    }
}

/// Where all tracks can begin: as they say, but not before their windows; where a segment of the main track begins.
fn start_position(tracks: &[Segments]) -> f64 {
    let windows = || tracks.iter().map(Segments::window);
    let earliest = windows().map(|window| window.start).fold(f64::NEG_INFINITY, f64::max);
    let wanted = windows().map(|window| window.start_playing_at).fold(f64::INFINITY, f64::min).max(earliest);
    tracks[0].start_near(wanted).filter(|start| *start >= earliest).unwrap_or(wanted)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
