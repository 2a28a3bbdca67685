//! HLS: the media playlists of open tracks, loaded when a track is read, refreshed while it is live and read, and told to the engine.

mod tracks;
mod version;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use p2p_media_core::media::StreamKey;
use p2p_media_core::session::SessionError;
use p2p_media_hls::{MediaPlaylist, Playlist, PlaylistPosition, StreamTimeline, Variables, parse};
use tokio::sync::watch;
use tokio::time::Instant;

use super::PlayerError;
use super::source::SourceContext;
use super::track_version::TrackVersion;
use super::tracks::Track;
use crate::manifest_fetch::{FetchedManifest, ManifestFetchError, fetch_manifest};
use version::ListedSegments;

/// Attempts to load a playlist when its track is opened, and the first wait between them; doubled each time.
const OPEN_ATTEMPTS: u32 = 3;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(250);
/// A live playlist that cannot be refreshed for this long has ended.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);
/// Reload intervals, whatever the playlist says. Shorter ones are for parts.
const SHORTEST_REFRESH: Duration = Duration::from_millis(500);
const SHORTEST_REFRESH_OF_PARTS: Duration = Duration::from_millis(100);
const LONGEST_REFRESH: Duration = Duration::from_secs(60);
/// Blocking reloads that may fail, one after the other, before the playlist is polled for good.
const MAX_BLOCKING_FAILURES: u32 = 3;
/// A server that is asked to wait for a whole segment may take its target duration; with longer ones the playlist is polled.
const LONGEST_BLOCKING_S: f64 = 6.0;

/// Later, what was reported of another rendition is nothing to wait for.
const REPORT_LIFETIME: Duration = Duration::from_secs(10);

/// What is known of the media playlists of one presentation.
#[derive(Debug)]
pub(super) struct Playlists {
    context: SourceContext,
    variables: Variables,
    /// One for each track. The lock is held while its playlist is opened, so that it is opened once.
    slots: Vec<tokio::sync::Mutex<Option<OpenPlaylist>>>,
    /// Where each track's playlist is.
    urls: Vec<Arc<str>>,
    /// How playlists are first asked for that others report on (EXT-X-RENDITION-REPORT): no cache may answer with less.
    reported: Mutex<BTreeMap<usize, (String, Instant)>>,
    /// All in one place: a track that is opened later begins where the others say.
    timelines: Mutex<BTreeMap<usize, StreamTimeline>>,
}

#[derive(Debug)]
struct OpenPlaylist {
    key: StreamKey,
    versions: Arc<watch::Sender<Arc<TrackVersion>>>,
    /// A task keeps it up to date.
    is_refreshed: bool,
}

/// A media playlist as last loaded.
#[derive(Debug)]
struct LoadedPlaylist {
    listed: ListedSegments,
    /// Whether it differs from the one before.
    has_changed: bool,
    next_sequence: u64,
    /// From the beginning of one load to the next, where the server does not block.
    interval: Duration,
    /// Asks for the next version; the server answers when it is there.
    blocking_url: Option<String>,
    /// How long that may be asked: later too much would be skipped.
    blocking_url_lifetime: Duration,
}

impl Playlists {
    /// What a playlist that was opened offers.
    ///
    /// # Errors
    /// When it is broken.
    pub(super) fn new(context: SourceContext, manifest: &FetchedManifest) -> Result<(Self, Vec<Track>), PlayerError> {
        let malformed = |reason| PlayerError::Playlist { url: manifest.url.clone(), reason };
        let (tracks, variables) = match parse(&manifest.bytes, &manifest.url, &Variables::default()).map_err(malformed)? {
            Playlist::Multivariant(playlist) => (tracks::of_multivariant(&playlist), playlist.variables),
            Playlist::Media(_) => (vec![tracks::of_media_playlist(&manifest.url)], Variables::default()),
        };
        let slots = tracks.iter().map(|_| tokio::sync::Mutex::new(None)).collect();
        let urls = tracks.iter().map(|track| Arc::clone(&track.url)).collect();
        Ok((Self { context, variables, slots, urls, reported: Mutex::default(), timelines: Mutex::default() }, tracks))
    }

    /// The playlist of a track, loaded now unless it is up to date. It is refreshed while somebody holds a receiver.
    ///
    /// # Errors
    /// When it cannot be had or read, or the session has ended.
    pub(super) async fn open_track(self: Arc<Self>, track: &Track) -> Result<watch::Receiver<Arc<TrackVersion>>, PlayerError> {
        let mut open = self.slots[track.index].lock().await;
        if let Some(open) = open.as_ref()
            && (open.is_refreshed || !open.versions.borrow().live)
        {
            return Ok(open.versions.subscribe());
        }
        let loaded_at = Instant::now();
        let playlist = self.fetch_to_open(track).await?;
        let key = match open.as_ref() {
            Some(open) => open.key,
            None => self.context.session.add_stream(track.kind, self.context.swarm_id(track.kind, &track.stream_id))?,
        };
        let loaded = self.take_in(track, key, &playlist, None, loaded_at)?;
        let version = Arc::clone(&loaded.listed.version);
        let is_refreshed = version.live;
        let (versions, receiver) = match open.take() {
            Some(open) => {
                open.versions.send_replace(version);
                let receiver = open.versions.subscribe();
                (open.versions, receiver)
            }
            None => {
                let (sender, receiver) = watch::channel(version);
                (Arc::new(sender), receiver)
            }
        };
        *open = Some(OpenPlaylist { key, versions: Arc::clone(&versions), is_refreshed });
        if is_refreshed {
            let (playlists, track) = (Arc::clone(&self), track.clone());
            tokio::spawn(async move { playlists.keep_fresh(&track, key, loaded, &versions).await });
        }
        Ok(receiver)
    }

    async fn fetch(&self, url: &str) -> Result<MediaPlaylist, PlayerError> {
        let unavailable = |reason| PlayerError::Manifest { url: url.to_owned(), reason };
        let fetched = fetch_manifest(&self.context.http, url).await.map_err(unavailable)?;
        match parse(&fetched.bytes, &fetched.url, &self.variables) {
            Ok(Playlist::Media(playlist)) => Ok(playlist),
            Ok(Playlist::Multivariant(_)) => Err(PlayerError::NestedMultivariant { url: url.to_owned() }),
            Err(reason) => Err(PlayerError::Playlist { url: fetched.url, reason }),
        }
    }

    /// As [`Self::fetch`], with a few attempts.
    async fn fetch_to_open(&self, track: &Track) -> Result<MediaPlaylist, PlayerError> {
        let url = &*track.url;
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner).get(&track.index).cloned();
        if let Some((reported, at)) = reported
            && at.elapsed() < REPORT_LIFETIME
        {
            match self.fetch(&reported).await {
                Ok(playlist) => return Ok(playlist),
                Err(error) => tracing::debug!(%error, "a report on a rendition was of no use"),
            }
        }
        let mut wait = FIRST_RETRY_WAIT;
        for _ in 1..OPEN_ATTEMPTS {
            match self.fetch(url).await {
                Err(PlayerError::Manifest { reason: ManifestFetchError::Network(_) | ManifestFetchError::Status(500..), .. }) => {}
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        self.fetch(url).await
    }

    /// Takes in a loaded playlist: tells the engine what it changes, and gives what it now says.
    fn take_in(
        &self,
        track: &Track,
        key: StreamKey,
        playlist: &MediaPlaylist,
        last: Option<&LoadedPlaylist>,
        loaded_at: Instant,
    ) -> Result<LoadedPlaylist, SessionError> {
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let others = timelines.iter().filter(|_| playlist.live);
            others.filter(|(other, _)| **other != track.index).find_map(|(_, timeline)| timeline.start_of(playlist))
        };
        let begins_at = if timelines.contains_key(&track.index) { 0.0 } else { start().unwrap_or(0.0) };
        let timeline = timelines.entry(track.index).or_insert_with(|| StreamTimeline::starting_at(begins_at));
        let update = timeline.refresh(playlist);
        let has_changed = !update.added.is_empty() || !update.removed.is_empty() || !update.live;
        let last = last.map(|last| &last.listed);
        let listed = ListedSegments::new(playlist, timeline, key, self.context.live, last, loaded_at);
        let lacks_segments = timeline.lacks_segments();
        drop(timelines);
        if has_changed {
            self.context.session.update_stream(key, update)?;
        }
        self.note_reports(playlist, loaded_at);
        let (blocking_url, lifetime_s) = blocking_reload(&track.url, playlist, listed.with_parts, lacks_segments);
        Ok(LoadedPlaylist {
            interval: interval(playlist, listed.with_parts, has_changed),
            listed,
            has_changed,
            next_sequence: playlist.next_sequence(),
            blocking_url,
            blocking_url_lifetime: Duration::try_from_secs_f64(lifetime_s).unwrap_or(LONGEST_REFRESH),
        })
    }

    fn note_reports(&self, playlist: &MediaPlaylist, loaded_at: Instant) {
        if playlist.rendition_reports.is_empty() || !playlist.can_block_reload() {
            return;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, url) in self.urls.iter().enumerate() {
            if let Some(position) = playlist.reported_position(url) {
                reported.insert(index, (position.reload_url(url), loaded_at));
            }
        }
    }

    /// Reloads a live playlist until it ends, cannot be had, or nobody reads it.
    async fn keep_fresh(&self, track: &Track, key: StreamKey, mut last: LoadedPlaylist, versions: &watch::Sender<Arc<TrackVersion>>) {
        let (mut failures, mut blocking_failures) = (0_u32, 0_u32);
        let mut next_load = last.listed.version.loaded_at + last.interval;
        if last.blocking_url.is_some() {
            next_load = Instant::now();
        }
        loop {
            let blocking_url = last.blocking_url.as_deref().filter(|_| {
                failures == 0
                    && blocking_failures < MAX_BLOCKING_FAILURES
                    && last.listed.version.loaded_at.elapsed() < last.blocking_url_lifetime
            });
            let reload = async {
                tokio::time::sleep_until(next_load).await;
                let began = Instant::now();
                (began, self.reload(track, key, blocking_url.unwrap_or(&track.url), &last).await)
            };
            let (began, outcome) = tokio::select! {
                biased;
                () = versions.closed() => {
                    let mut open = self.slots[track.index].lock().await;
                    if versions.receiver_count() == 0 {
                        if let Some(open) = open.as_mut() {
                            open.is_refreshed = false;
                        }
                        return;
                    }
                    continue;
                }
                outcome = reload => outcome,
            };
            match outcome {
                Ok(loaded) => {
                    failures = 0;
                    blocking_failures = if blocking_url.is_some() { 0 } else { blocking_failures };
                    // A server that does not block, or no longer, is polled.
                    let blocks = loaded.blocking_url.is_some() && blocking_failures < MAX_BLOCKING_FAILURES && loaded.has_changed;
                    next_load = if blocks { Instant::now() } else { began + loaded.interval };
                    // A version from a cache, older than the last one, tells nothing.
                    if loaded.has_changed || loaded.next_sequence >= last.next_sequence {
                        versions.send_replace(Arc::clone(&loaded.listed.version));
                        last = loaded;
                    }
                    if !last.listed.version.live {
                        return;
                    }
                }
                Err(error) => {
                    let has_ended = matches!(error, PlayerError::Session(SessionError::Ended));
                    if has_ended || began.duration_since(last.listed.version.loaded_at) > REFRESH_PATIENCE {
                        self.give_up_refreshing(track, versions, error).await;
                        return;
                    }
                    tracing::warn!(%error, "the live playlist could not be refreshed");
                    blocking_failures += u32::from(blocking_url.is_some());
                    let wait = FIRST_RETRY_WAIT * 2_u32.pow(failures.min(8));
                    failures += 1;
                    next_load = Instant::now() + wait.min(last.interval);
                }
            }
        }
    }

    async fn reload(&self, track: &Track, key: StreamKey, url: &str, last: &LoadedPlaylist) -> Result<LoadedPlaylist, PlayerError> {
        if self.context.session.has_ended() {
            return Err(SessionError::Ended.into());
        }
        let playlist = self.fetch(url).await?;
        // What a server held back is as new as its last byte.
        Ok(self.take_in(track, key, &playlist, Some(last), Instant::now())?)
    }

    async fn give_up_refreshing(&self, track: &Track, versions: &watch::Sender<Arc<TrackVersion>>, error: PlayerError) {
        if let Some(open) = self.slots[track.index].lock().await.as_mut() {
            open.is_refreshed = false;
        }
        versions.send_modify(|version| Arc::make_mut(version).failure = Some(error));
    }
}

/// From the beginning of one load to the next (RFC 8216bis, section 6.3.4). Whoever reads no parts needs no version for each.
fn interval(playlist: &MediaPlaylist, with_parts: bool, has_changed: bool) -> Duration {
    let seconds = match playlist.target_duration.filter(|_| !with_parts && playlist.part_target.is_some()) {
        Some(target) if has_changed => target,
        Some(target) => target / 2.0,
        None => playlist.reload_interval(has_changed).unwrap_or_default(),
    };
    let shortest = if with_parts { SHORTEST_REFRESH_OF_PARTS } else { SHORTEST_REFRESH };
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_REFRESH).clamp(shortest, LONGEST_REFRESH)
}

/// The URL of the next version, where the server can block until it is there, and for how many seconds it may be asked for.
fn blocking_reload(url: &str, playlist: &MediaPlaylist, with_parts: bool, lacks_segments: bool) -> (Option<String>, f64) {
    if !playlist.can_block_reload() {
        return (None, 0.0);
    }
    let half_boundary = playlist.server_control.can_skip_until.filter(|_| !lacks_segments).map(|boundary| boundary / 2.0);
    let lifetime_s = half_boundary.unwrap_or(f64::INFINITY);
    if with_parts {
        return (Some(playlist.reload_url(url, half_boundary.map(|_| 0.0))), lifetime_s);
    }
    let is_short = playlist.target_duration.is_some_and(|seconds| seconds <= LONGEST_BLOCKING_S);
    let whole = PlaylistPosition { sequence: playlist.next_sequence(), part: None };
    (is_short.then(|| whole.reload_url(url)), f64::INFINITY)
}
