//! DASH: one MPD for all tracks. It is refreshed, and time slides its windows, while a live track is read; the engine is told both.

mod clock;
mod mpd_fetch;
mod segments;
mod tracks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p2p_media_core::session::SessionError;
use p2p_media_dash::PresentationTimeline;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::PlayerError;
use super::resource::fetch_up_to;
use super::source::SourceContext;
use super::track_version::TrackVersion;
use super::tracks::Track;
use crate::manifest_fetch::FetchedManifest;
use clock::ServerClock;
use mpd_fetch::{LoadedMpd, MpdSource};
use segments::SharedStream;

/// Intervals between refreshes, whatever the MPD says; the longest one is about what timers hold.
const SHORTEST_REFRESH: Duration = Duration::from_millis(500);
const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 3600);
/// First wait after a refresh that failed; doubled each time, up to the interval between refreshes.
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(250);
/// A live MPD that cannot be refreshed for this long has ended.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);
/// Time's changes are looked at this much late, so that rounding does not make them early.
const AFTER_CHANGE: Duration = Duration::from_millis(2);
/// An MPD tells of a segment about this long after it is finished.
const AFTER_NEW_SEGMENT: Duration = Duration::from_millis(30);
/// Longest sleep: clocks are set, programs are suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Segment indexes of one stream, one after the other (nested and chained ones).
const MAX_INDEX_STEPS: usize = 64;

/// What is known of one presentation.
#[derive(Debug)]
pub(super) struct Presentation {
    context: SourceContext,
    clock: ServerClock,
    state: Mutex<State>,
    /// A track was opened.
    opened: Notify,
    /// Held while indexes are fetched, so that each is fetched once.
    indexing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    timeline: PresentationTimeline,
    source: MpdSource,
    loaded_at: Instant,
    /// Streams that the engine knows, by their index in the timeline.
    streams: BTreeMap<usize, SharedStream>,
    /// Tracks that were opened, by their index in the player, which is that of their stream.
    tracks: BTreeMap<usize, OpenTrack>,
    /// A task keeps them up to date.
    is_refreshed: bool,
}

#[derive(Debug)]
struct OpenTrack {
    versions: Arc<watch::Sender<Arc<TrackVersion>>>,
    /// Somebody reads it, and it is live.
    is_kept: bool,
}

impl Presentation {
    /// What an MPD offers.
    ///
    /// # Errors
    /// When it is broken.
    pub(super) async fn new(context: SourceContext, manifest: FetchedManifest) -> Result<(Self, Vec<Track>), PlayerError> {
        let loaded_at = Instant::now();
        let LoadedMpd { mpd, source } = LoadedMpd::read(manifest)?;
        let clock = ServerClock::of(&context.http, &mpd).await;
        let timeline = PresentationTimeline::new(mpd);
        let tracks = tracks::of_streams(timeline.streams(), source.url());
        let state = State { timeline, source, loaded_at, streams: BTreeMap::new(), tracks: BTreeMap::new(), is_refreshed: false };
        Ok((Self { context, clock, state: Mutex::new(state), opened: Notify::new(), indexing: tokio::sync::Mutex::default() }, tracks))
    }

    /// What a track holds. A live one is kept up to date while somebody holds a receiver.
    ///
    /// # Errors
    /// When the index of its segments cannot be had or read, or the session has ended.
    pub(super) async fn open_track(self: Arc<Self>, track: &Track) -> Result<watch::Receiver<Arc<TrackVersion>>, PlayerError> {
        if self.state().is_stale(&self.clock) {
            // Nobody read it for a while.
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the MPD could not be refreshed");
            }
        }
        self.load_indexes(track.index, true).await?;
        let mut state = self.state();
        let version = Arc::new(self.update_track(&mut state, track.index)?);
        let is_live = version.live;
        let receiver = match state.tracks.get_mut(&track.index) {
            Some(open) => {
                open.versions.send_replace(version);
                open.is_kept = is_live;
                open.versions.subscribe()
            }
            None => {
                let (sender, receiver) = watch::channel(version);
                state.tracks.insert(track.index, OpenTrack { versions: Arc::new(sender), is_kept: is_live });
                receiver
            }
        };
        if is_live && !std::mem::replace(&mut state.is_refreshed, true) {
            let presentation = Arc::clone(&self);
            tokio::spawn(async move { presentation.keep_fresh().await });
        }
        drop(state);
        self.opened.notify_one();
        Ok(receiver)
    }

    /// Refreshes the MPD, and follows the clock, until nobody reads a live track.
    async fn keep_fresh(&self) {
        let mut refreshing = std::pin::pin!(futures::future::OptionFuture::from(None));
        let mut is_refreshing = false;
        let mut failures = Failures::default();
        loop {
            let (readers, wake_at, refresh_at) = {
                let mut state = self.state();
                let readers: Vec<_> = state.kept().map(|(_, open)| Arc::clone(&open.versions)).collect();
                if readers.is_empty() {
                    state.is_refreshed = false;
                    return;
                }
                let refresh_at = failures.next_attempt.or_else(|| state.refresh_at(&self.clock));
                (readers, self.next_change(&state), refresh_at.filter(|_| !is_refreshing))
            };
            let wake_at = refresh_at.map_or(wake_at, |at| at.min(wake_at));
            tokio::select! {
                biased;
                () = any_closed(&readers) => {
                    self.state().forget_unread();
                    continue;
                }
                () = self.opened.notified() => continue,
                Some(outcome) = refreshing.as_mut(), if is_refreshing => {
                    is_refreshing = false;
                    let interval = self.state().refresh_interval();
                    if let Err(error) = failures.note(outcome, interval) {
                        self.state().give_up(&error);
                        return;
                    }
                }
                () = tokio::time::sleep_until(wake_at) => {}
            }
            if refresh_at.is_some_and(|at| at <= Instant::now()) {
                refreshing.set(futures::future::OptionFuture::from(Some(self.refresh())));
                is_refreshing = true;
            }
            let mut state = self.state();
            if let Err(error) = self.update_kept(&mut state) {
                state.give_up(&error);
                return;
            }
        }
    }

    /// Fetches the next version of the MPD, and the segment indexes that it brings.
    async fn refresh(&self) -> Result<(), PlayerError> {
        if self.context.session.has_ended() {
            return Err(SessionError::Ended.into());
        }
        let loaded_at = Instant::now();
        let (source, patch_url, next_url) = {
            let state = self.state();
            (state.source.clone(), state.timeline.patch_url(self.clock.now()), state.timeline.next_mpd_url(state.source.url()))
        };
        let LoadedMpd { mpd, source } = source.next(&self.context.http, patch_url.as_deref(), &next_url).await?;
        let tracks: Vec<_> = {
            let mut state = self.state();
            state.timeline.refresh(mpd);
            (state.source, state.loaded_at) = (source, loaded_at);
            state.tracks.keys().copied().collect()
        };
        for track in tracks {
            self.load_indexes(track, false).await?;
        }
        Ok(())
    }

    /// Fetches what indexes a track's segments, in all periods. Failures are errors only of its own stream, and only if `is_needed`.
    async fn load_indexes(&self, track: usize, is_needed: bool) -> Result<(), PlayerError> {
        if !self.state().needs_indexes(track) {
            return Ok(());
        }
        let _one_at_a_time = self.indexing.lock().await;
        let streams = self.state().streams_of(track);
        for stream in streams {
            for _ in 0..MAX_INDEX_STEPS {
                let Some(request) = self.state().timeline.index_needed(stream) else { break };
                let fetched = fetch_up_to(&self.context.http, &request.resource.url, request.resource.byte_range).await;
                let url = request.resource.url;
                let first_byte = request.resource.byte_range.map_or(0, |range| range.first);
                let outcome = match fetched {
                    Ok(bytes) => {
                        let taken = self.state().timeline.add_index(request.id, first_byte, &bytes);
                        taken.map_err(|reason| PlayerError::SegmentIndex { url, reason })
                    }
                    Err(error) => {
                        self.state().timeline.index_failed(request.id);
                        Err(PlayerError::Resource { url, reason: error.to_string() })
                    }
                };
                match outcome {
                    Ok(()) => {}
                    Err(error) if is_needed && stream == track => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, "a segment index could not be read");
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells the engine and the readers what is new.
    fn update_kept(&self, state: &mut State) -> Result<(), PlayerError> {
        let kept: Vec<_> = state.kept().map(|(track, open)| (track, Arc::clone(&open.versions))).collect();
        for (track, versions) in kept {
            let version = self.update_track(state, track)?;
            let has_changed = !version.says_the_same_as(&versions.borrow());
            if !version.live
                && let Some(open) = state.tracks.get_mut(&track)
            {
                open.is_kept = false;
            }
            if has_changed {
                versions.send_replace(Arc::new(version));
            }
        }
        Ok(())
    }

    /// Brings the streams of a track up to date, and tells the engine.
    fn update_track(&self, state: &mut State, track: usize) -> Result<TrackVersion, PlayerError> {
        let now = self.clock.now();
        let by_period = state.streams_by_period(track);
        for stream in by_period.iter().flatten().copied().collect::<BTreeSet<_>>() {
            let State { timeline, streams, .. } = state;
            if let std::collections::btree_map::Entry::Vacant(vacant) = streams.entry(stream)
                && let Some(described) = timeline.streams().get(stream)
            {
                let key = self.context.session.add_stream(described.kind, self.context.swarm_id(described.kind, &described.id))?;
                vacant.insert(SharedStream::new(key));
            }
            let update = timeline.update(stream, now);
            if let Some(shared) = streams.get_mut(&stream)
                && shared.apply(&update, timeline, stream)
            {
                self.context.session.update_stream(shared.key(), update)?;
            }
        }
        Ok(segments::version(&state.timeline, &state.streams, &by_period, self.context.live, now))
    }

    /// When time alone changes a track that is read.
    fn next_change(&self, state: &State) -> Instant {
        let now = self.clock.now();
        let streams: BTreeSet<_> = state.kept().flat_map(|(track, _)| state.streams_of(track)).collect();
        let next = streams.into_iter().filter_map(|stream| state.timeline.next_change(stream, now)).fold(f64::INFINITY, f64::min);
        let wait = Duration::try_from_secs_f64((next - now).max(0.0)).map_or(LONGEST_SLEEP, |wait| wait.min(LONGEST_SLEEP));
        Instant::now() + wait + AFTER_CHANGE
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tracks that somebody reads.
    fn kept(&self) -> impl Iterator<Item = (usize, &OpenTrack)> {
        self.tracks.iter().filter(|(_, open)| open.is_kept).map(|(track, open)| (*track, open))
    }

    /// The stream that a track is made of in each period: its own, or the one most like it where that is not there.
    fn streams_by_period(&self, track: usize) -> Vec<Option<usize>> {
        let periods = 0..self.timeline.mpd().periods.len();
        periods.map(|period| self.timeline.stream_in_period(track, period)).collect()
    }

    fn streams_of(&self, track: usize) -> BTreeSet<usize> {
        self.streams_by_period(track).into_iter().flatten().collect()
    }

    fn needs_indexes(&self, track: usize) -> bool {
        self.streams_of(track).into_iter().any(|stream| self.timeline.index_needed(stream).is_some())
    }

    fn refresh_interval(&self) -> Option<Duration> {
        let seconds = self.timeline.refresh_after()?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_REFRESH).clamp(SHORTEST_REFRESH, LONGEST_REFRESH))
    }

    /// When the MPD changes at the earliest; before that, but at most half as long after the last time, when the next segment will be finished:
    /// else each viewer would learn of all segments as late as chance has it.
    fn refresh_at(&self, clock: &ServerClock) -> Option<Instant> {
        let interval = self.refresh_interval()?;
        let ends = || self.kept().filter_map(|(track, _)| self.streams.get(&track)?.next_end());
        let first_end = ends().fold(f64::INFINITY, f64::min);
        // Tracks are rarely cut at the very same places: one fetch is for all that end about together.
        let together_s = interval.as_secs_f64() / 4.0;
        let next_end =
            ends().filter(|end| *end <= first_end + together_s).fold(first_end, f64::max) + self.timeline.mpd().availability_start;
        let until_next = Duration::try_from_secs_f64((next_end - clock.now()).max(0.0)).unwrap_or(LONGEST_REFRESH);
        let at_next = Instant::now() + until_next.min(LONGEST_REFRESH) + AFTER_NEW_SEGMENT;
        Some(at_next.clamp(self.loaded_at + interval / 2, self.loaded_at + interval))
    }

    /// Nobody keeps it up to date, and it is time.
    fn is_stale(&self, clock: &ServerClock) -> bool {
        !self.is_refreshed && self.refresh_at(clock).is_some_and(|at| at <= Instant::now())
    }

    fn forget_unread(&mut self) {
        for open in self.tracks.values_mut() {
            open.is_kept &= open.versions.receiver_count() > 0;
        }
    }

    /// Readers learn that nothing more will come.
    fn give_up(&mut self, error: &PlayerError) {
        self.is_refreshed = false;
        for open in self.tracks.values_mut().filter(|open| open.is_kept) {
            open.is_kept = false;
            open.versions.send_modify(|version| Arc::make_mut(version).failure = Some(error.clone()));
        }
    }
}

/// Refreshes that failed, one after the other.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    first: Option<Instant>,
    next_attempt: Option<Instant>,
}

impl Failures {
    /// How a refresh went. Gives an error back when it was the last that is tolerated.
    fn note(&mut self, outcome: Result<(), PlayerError>, interval: Option<Duration>) -> Result<(), PlayerError> {
        let Err(error) = outcome else {
            *self = Self::default();
            return Ok(());
        };
        let now = Instant::now();
        let since = *self.first.get_or_insert(now);
        if matches!(error, PlayerError::Session(SessionError::Ended)) || now.duration_since(since) > REFRESH_PATIENCE {
            return Err(error);
        }
        tracing::warn!(%error, "the MPD could not be refreshed");
        let wait = FIRST_RETRY_WAIT * 2_u32.pow(self.count.min(8));
        self.count += 1;
        self.next_attempt = Some(now + wait.min(interval.unwrap_or(LONGEST_REFRESH)));
        Ok(())
    }
}

/// Resolves when one of them has no reader.
async fn any_closed(versions: &[Arc<watch::Sender<Arc<TrackVersion>>>]) {
    futures::future::select_all(versions.iter().map(|versions| Box::pin(versions.closed()))).await;
}
