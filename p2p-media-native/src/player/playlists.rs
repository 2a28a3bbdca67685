//! The media playlists of open tracks: loaded when a track is read, refreshed while it is live and read, and told to the engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use p2p_media_core::media::{SegmentKey, StreamKey, StreamUpdate};
use p2p_media_core::session::SessionError;
use p2p_media_hls::{MediaPlaylist, Playlist, PlaylistStream, StreamTimeline, Variables, parse};
use tokio::sync::watch;
use tokio::time::Instant;

use super::segments::SegmentInfo;
use super::{PlayerError, Shared};
use crate::http_fetcher::ReqwestFetcher;
use crate::manifest_fetch::{ManifestFetchError, fetch_manifest};

/// Attempts to load a playlist when its track is opened, and the first wait between them; doubled each time.
const OPEN_ATTEMPTS: u32 = 3;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(250);
/// A live playlist that cannot be refreshed for this long has ended.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);
/// Reload intervals, whatever the playlist says. RFC 8216bis, section 6.3.4: the target duration, half of it when nothing had changed.
const SHORTEST_REFRESH: Duration = Duration::from_millis(500);
const LONGEST_REFRESH: Duration = Duration::from_secs(60);
/// For playlists that do not say theirs.
const FALLBACK_TARGET_DURATION_S: f64 = 6.0;

/// What is known of the media playlists of one presentation.
#[derive(Debug)]
pub(super) struct Playlists {
    http: ReqwestFetcher,
    variables: Variables,
    slots: Vec<Slot>,
    /// All in one place: a track that is opened later begins where the others say.
    timelines: Mutex<BTreeMap<usize, StreamTimeline>>,
}

/// One track. The lock is held while its playlist is opened, so that it is opened once.
#[derive(Debug)]
struct Slot {
    swarm_id: Arc<str>,
    open: tokio::sync::Mutex<Option<OpenPlaylist>>,
}

#[derive(Debug)]
struct OpenPlaylist {
    key: StreamKey,
    versions: Arc<watch::Sender<Arc<PlaylistVersion>>>,
    /// A task keeps it up to date.
    is_refreshed: bool,
}

/// A media playlist as last loaded.
#[derive(Debug)]
pub(super) struct PlaylistVersion {
    pub(super) segments: Vec<Arc<SegmentInfo>>,
    pub(super) next_sequence: u64,
    pub(super) live: bool,
    pub(super) target_duration_s: f64,
    pub(super) hold_back_s: Option<f64>,
    pub(super) loaded_at: Instant,
    /// Why it will not be refreshed any more although it is live.
    pub(super) failure: Option<PlayerError>,
}

impl Playlists {
    pub(super) fn new(http: ReqwestFetcher, variables: Variables, swarms: Vec<Arc<str>>) -> Self {
        let slots = swarms.into_iter().map(|swarm_id| Slot { swarm_id, open: tokio::sync::Mutex::new(None) }).collect();
        Self { http, variables, slots, timelines: Mutex::default() }
    }

    async fn fetch(&self, url: &str) -> Result<MediaPlaylist, PlayerError> {
        let unavailable = |reason| PlayerError::Manifest { url: url.to_owned(), reason };
        let fetched = fetch_manifest(&self.http, url).await.map_err(unavailable)?;
        match parse(&fetched.bytes, &fetched.url, &self.variables) {
            Ok(Playlist::Media(playlist)) => Ok(playlist),
            Ok(Playlist::Multivariant(_)) => Err(PlayerError::NestedMultivariant { url: url.to_owned() }),
            Err(reason) => Err(PlayerError::Playlist { url: fetched.url, reason }),
        }
    }

    /// As [`Self::fetch`], with a few attempts.
    async fn fetch_to_open(&self, url: &str) -> Result<MediaPlaylist, PlayerError> {
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

    /// Takes in a loaded playlist: what it changes, and what it now says.
    fn take_in(&self, track: usize, key: StreamKey, playlist: &MediaPlaylist, loaded_at: Instant) -> (StreamUpdate, PlaylistVersion) {
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let others = timelines.iter().filter(|_| playlist.live);
            others.filter(|(other, _)| **other != track).find_map(|(_, timeline)| timeline.start_of(playlist))
        };
        let begins_at = if timelines.contains_key(&track) { 0.0 } else { start().unwrap_or(0.0) };
        let timeline = timelines.entry(track).or_insert_with(|| StreamTimeline::starting_at(begins_at));
        let update = timeline.refresh(playlist);
        let segments = playlist.segments.iter().filter_map(|segment| {
            let (id, start) = timeline.place_of(segment.sequence)?;
            Some(Arc::new(SegmentInfo {
                key: id.map(|id| SegmentKey { stream: key, id }),
                sequence: segment.sequence,
                url: Arc::clone(&segment.url),
                byte_range: segment.byte_range,
                start,
                duration: segment.duration,
                init: segment.init.clone(),
                discontinuity_sequence: segment.discontinuity_sequence,
                gap: segment.gap,
                keys: Arc::clone(&segment.keys),
                program_date_time: segment.program_date_time,
            }))
        });
        let segments: Vec<_> = segments.collect();
        let version = PlaylistVersion {
            segments,
            next_sequence: playlist.next_sequence(),
            live: update.live,
            target_duration_s: playlist.target_duration.filter(|seconds| *seconds > 0.0).unwrap_or(FALLBACK_TARGET_DURATION_S),
            hold_back_s: playlist.server_control.hold_back,
            loaded_at,
            failure: None,
        };
        (update, version)
    }
}

impl Shared {
    /// The playlist of a track, loaded now unless it is up to date. It is refreshed while somebody holds a receiver.
    pub(super) async fn open_playlist(
        self: Arc<Self>,
        track: usize,
        stream: &PlaylistStream,
    ) -> Result<watch::Receiver<Arc<PlaylistVersion>>, PlayerError> {
        let slot = &self.playlists.slots[track];
        let mut open = slot.open.lock().await;
        if let Some(open) = open.as_ref()
            && (open.is_refreshed || !open.versions.borrow().live)
        {
            return Ok(open.versions.subscribe());
        }
        let loaded_at = Instant::now();
        let playlist = self.playlists.fetch_to_open(&stream.url).await?;
        let key = match open.as_ref() {
            Some(open) => open.key,
            None => self.session.add_stream(stream.kind, Arc::clone(&slot.swarm_id))?,
        };
        let (update, version) = self.playlists.take_in(track, key, &playlist, loaded_at);
        self.session.update_stream(key, update)?;
        let live = version.live;
        let (versions, receiver) = match open.as_ref() {
            Some(open) => {
                open.versions.send_replace(Arc::new(version));
                (Arc::clone(&open.versions), open.versions.subscribe())
            }
            None => {
                let (sender, receiver) = watch::channel(Arc::new(version));
                (Arc::new(sender), receiver)
            }
        };
        *open = Some(OpenPlaylist { key, versions: Arc::clone(&versions), is_refreshed: live });
        if live {
            let (shared, url) = (Arc::clone(&self), Arc::clone(&stream.url));
            tokio::spawn(async move { shared.keep_fresh(track, &url, key, &versions).await });
        }
        Ok(receiver)
    }

    /// Reloads a live playlist until it ends, cannot be had, or nobody reads it.
    async fn keep_fresh(&self, track: usize, url: &str, key: StreamKey, versions: &watch::Sender<Arc<PlaylistVersion>>) {
        let mut last = Arc::clone(&versions.borrow());
        let mut next_load = last.loaded_at + last.interval(true);
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                biased;
                () = versions.closed() => {
                    let mut open = self.playlists.slots[track].open.lock().await;
                    if versions.receiver_count() == 0 {
                        if let Some(open) = open.as_mut() {
                            open.is_refreshed = false;
                        }
                        return;
                    }
                    continue;
                }
                () = tokio::time::sleep_until(next_load) => {}
            }
            let loaded_at = Instant::now();
            match self.reload(track, url, key, loaded_at).await {
                Ok((version, changed)) => {
                    failures = 0;
                    next_load = loaded_at + version.interval(changed);
                    // A version from a cache, older than the last one, tells nothing.
                    if changed || version.next_sequence >= last.next_sequence {
                        last = Arc::new(version);
                        versions.send_replace(Arc::clone(&last));
                    }
                    if !last.live {
                        return;
                    }
                }
                Err(error) => {
                    let has_ended = matches!(error, PlayerError::Session(SessionError::Ended));
                    if has_ended || loaded_at.duration_since(last.loaded_at) > REFRESH_PATIENCE {
                        self.give_up_refreshing(track, versions, error).await;
                        return;
                    }
                    tracing::warn!(%error, "the live playlist could not be refreshed");
                    let wait = FIRST_RETRY_WAIT * 2_u32.pow(failures.min(8));
                    failures += 1;
                    next_load = Instant::now() + wait.min(last.interval(true));
                }
            }
        }
    }

    async fn reload(&self, track: usize, url: &str, key: StreamKey, loaded_at: Instant) -> Result<(PlaylistVersion, bool), PlayerError> {
        if self.session.has_ended() {
            return Err(SessionError::Ended.into());
        }
        let playlist = self.playlists.fetch(url).await?;
        let (update, version) = self.playlists.take_in(track, key, &playlist, loaded_at);
        let changed = !update.added.is_empty() || !update.removed.is_empty() || !update.live;
        if changed {
            self.session.update_stream(key, update)?;
        }
        Ok((version, changed))
    }

    async fn give_up_refreshing(&self, track: usize, versions: &watch::Sender<Arc<PlaylistVersion>>, error: PlayerError) {
        if let Some(open) = self.playlists.slots[track].open.lock().await.as_mut() {
            open.is_refreshed = false;
        }
        versions.send_modify(|version| {
            let PlaylistVersion { next_sequence, live, target_duration_s, hold_back_s, loaded_at, .. } = **version;
            let segments = version.segments.clone();
            *version = Arc::new(PlaylistVersion {
                segments,
                next_sequence,
                live,
                target_duration_s,
                hold_back_s,
                loaded_at,
                failure: Some(error),
            });
        });
    }
}

impl PlaylistVersion {
    /// From the beginning of one load to the next.
    fn interval(&self, has_changed: bool) -> Duration {
        let target = Duration::try_from_secs_f64(self.target_duration_s).unwrap_or(LONGEST_REFRESH);
        (if has_changed { target } else { target / 2 }).clamp(SHORTEST_REFRESH, LONGEST_REFRESH)
    }
}
