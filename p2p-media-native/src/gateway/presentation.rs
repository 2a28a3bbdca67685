//! One presentation: a manifest, the engine's session that shares its streams, and the segments that its playlists list.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use p2p_media_core::backend::Backend as _;
use p2p_media_core::config::{Config, DynamicConfig};
use p2p_media_core::driver::drive;
use p2p_media_core::event::Stats;
use p2p_media_core::identity::manifest_swarm_base;
use p2p_media_core::media::{ByteRange, Segment, SegmentId, SegmentKey, StreamKey, StreamKind, StreamUpdate};
use p2p_media_core::session::{SegmentReader, Session, session};
use p2p_media_hls::{MediaPlaylist, MultivariantPlaylist, PlaylistStream, StreamTimeline, Variables};
use tokio::time::Instant;

use super::requested_range::RequestedRange;
use super::viewers::{ViewerRequest, Viewers};
use crate::backend::{BackendError, NativeBackend};
use crate::http_fetcher::ReqwestFetcher;
use crate::peer_transport::Farewells;
use crate::segment_storage::StorageChoice;

/// Playlist URLs known of one presentation. More come only from a manifest that gives its playlists new URLs each time it is read.
const MAX_PLAYLIST_URLS: usize = 20_000;
/// URLs under which one segment is known: those with earlier tokens stay good for players that have them.
const MAX_URLS_PER_SEGMENT: usize = 4;

/// A manifest that players have opened.
#[derive(Debug)]
pub(super) struct Presentation {
    /// The manifest's name, see [`super::origin_path::playlist_name`].
    pub(super) name: String,
    swarm_base: String,
    label: String,
    session: Session,
    farewells: Farewells,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    variables: Arc<Variables>,
    streams: Vec<SharedStream>,
    /// Media playlists by name: the stream of each, or none for those whose segments are not shared (subtitles, trick play).
    playlists: HashMap<String, Option<usize>>,
    segments: HashMap<Arc<str>, SegmentsAtUrl>,
    viewers: Viewers,
    last_used: Instant,
    answers_under_way: usize,
}

#[derive(Debug)]
struct SharedStream {
    stream: PlaylistStream,
    swarm_id: String,
    /// Set once its playlist has been read.
    opened: Option<OpenedStream>,
}

#[derive(Debug)]
struct OpenedStream {
    key: StreamKey,
    timeline: StreamTimeline,
    live: bool,
    urls: BTreeMap<SegmentId, Vec<Arc<str>>>,
}

/// What playlists list at one URL.
#[derive(Debug, Default)]
struct SegmentsAtUrl {
    listed: Vec<ListedSegment>,
    /// Size of the whole resource, if an answer has told it.
    resource_size: Option<u64>,
}

/// A segment by which a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ListedSegment {
    pub(super) key: SegmentKey,
    pub(super) kind: StreamKind,
    /// The part of the resource at its URL that it is; the whole when absent.
    pub(super) byte_range: Option<ByteRange>,
    pub(super) start: f64,
    pub(super) duration: f64,
}

/// What a media playlist is to a presentation.
#[derive(Clone, Debug)]
pub(super) struct KnownPlaylist {
    /// What it may import.
    pub(super) variables: Arc<Variables>,
}

/// The answer to one request for a segment; while it exists the presentation is in use.
#[derive(Debug)]
pub(super) struct Answer {
    presentation: Arc<Presentation>,
    request: ViewerRequest,
    has_begun: bool,
}

/// A stream as statistics show it.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct StreamFigures {
    kind: &'static str,
    playlist: String,
    swarm_id: String,
    live: bool,
    segments: usize,
}

/// A presentation as statistics show it.
#[derive(Clone, Debug)]
pub(super) struct PresentationFigures {
    pub(super) streams: Vec<StreamFigures>,
    pub(super) viewers: usize,
    pub(super) idle_s: f64,
    pub(super) engine: Stats,
}

impl Presentation {
    /// Starts a session for a manifest. `own_url` is the manifest's URL after redirects.
    pub(super) fn start(
        name: String,
        own_url: &str,
        config: Config,
        storage: StorageChoice,
        http: ReqwestFetcher,
    ) -> Result<Arc<Self>, BackendError> {
        let backend = NativeBackend::new(&config.ice_servers, storage)?.with_http(http);
        let swarm_base = config.swarm_id.as_deref().unwrap_or_else(|| manifest_swarm_base(own_url)).to_owned();
        let label = config.protocol_version_label.clone();
        let farewells = backend.peers().farewells().clone();
        let (session, input) = session(config, RandomState::new().hash_one(&name));
        tokio::spawn(drive(backend, input));
        let state = State {
            variables: Arc::default(),
            streams: Vec::new(),
            playlists: HashMap::new(),
            segments: HashMap::new(),
            viewers: Viewers::default(),
            last_used: Instant::now(),
            answers_under_way: 0,
        };
        Ok(Arc::new(Self { name, swarm_base, label, session, farewells, state: Mutex::new(state) }))
    }

    /// Takes in a version of the multivariant playlist: its streams and variables.
    pub(super) fn read_multivariant(&self, playlist: &MultivariantPlaylist, name_of: impl Fn(&str) -> String) {
        let mut state = self.state();
        state.variables = Arc::new(playlist.variables.clone());
        if state.playlists.len() > MAX_PLAYLIST_URLS {
            state.playlists.clear();
        }
        let renditions = playlist.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
        let variants = playlist.variants.iter().map(|variant| &variant.url);
        for url in renditions.chain(variants).chain(&playlist.i_frame_playlists) {
            state.playlists.insert(name_of(url), None);
        }
        for stream in playlist.streams() {
            self.add_stream(&mut state, name_of(&stream.url), stream);
        }
    }

    /// Takes in a version of a media playlist. One that no multivariant playlist named is a presentation of its own.
    pub(super) fn read_media(&self, name: &str, own_url: &str, playlist: &MediaPlaylist) {
        let mut state = self.state();
        if state.playlists.is_empty() {
            self.add_stream(&mut state, name.to_owned(), PlaylistStream::of_media_playlist(own_url));
        }
        let Some(index) = state.playlists.get(name).copied().flatten() else { return };
        if state.streams[index].opened.is_none() {
            let others = state.streams.iter().filter(|_| playlist.live);
            let first_start = others.filter_map(|other| other.opened.as_ref()?.timeline.start_of(playlist)).next();
            let (kind, swarm_id) = (state.streams[index].stream.kind, state.streams[index].swarm_id.clone());
            let Ok(key) = self.session.add_stream(kind, swarm_id) else { return };
            let timeline = StreamTimeline::starting_at(first_start.unwrap_or(0.0));
            state.streams[index].opened = Some(OpenedStream { key, timeline, live: playlist.live, urls: BTreeMap::new() });
        }
        let State { streams, segments, .. } = &mut *state;
        let SharedStream { stream, opened: Some(opened), .. } = &mut streams[index] else { return };
        let update = opened.timeline.refresh(playlist);
        opened.live = update.live;
        opened.list(segments, stream.kind, &update);
        // Under the lock, so that the engine hears of changes in their order.
        if let Err(error) = self.session.update_stream(opened.key, update) {
            tracing::debug!(%error, manifest = self.name, "the engine does not hear of new segments");
        }
    }

    /// What a media playlist of this name is here; `None` when it is none of this presentation's.
    pub(super) fn playlist(&self, name: &str) -> Option<KnownPlaylist> {
        let state = self.state();
        state.playlists.contains_key(name).then(|| KnownPlaylist { variables: Arc::clone(&state.variables) })
    }

    /// The segment that answers a request for a range (or all) of a URL.
    pub(super) fn segment(&self, url: &str, range: Option<RequestedRange>) -> Option<ListedSegment> {
        let state = self.state();
        let listed = &state.segments.get(url)?.listed;
        let answers = listed.iter().filter(|segment| match (segment.byte_range, range) {
            (None, _) => true,
            (Some(part), Some(RequestedRange::Between(asked))) => part.first <= asked.first && asked.last <= part.last,
            _ => false,
        });
        // One resource may be listed many times, as an advertisement is: the bytes are the same, but not the time.
        let far = |segment: &ListedSegment| (segment.start - state.viewers.expected(segment.kind)).abs();
        answers.min_by(|a, b| far(a).total_cmp(&far(b))).copied()
    }

    /// Size of the resource at a URL that holds several segments, if known.
    pub(super) fn resource_size(&self, url: &str) -> Option<u64> {
        self.state().segments.get(url)?.resource_size
    }

    /// Notes the size of the resource at a URL, where segments are parts of it.
    pub(super) fn note_resource_size(&self, url: &str, size: u64) {
        if let Some(at_url) = self.state().segments.get_mut(url) {
            at_url.resource_size = Some(size);
        }
    }

    /// Asks the engine for a segment on behalf of a player.
    pub(super) fn ask(self: &Arc<Self>, segment: ListedSegment) -> (SegmentReader, Answer) {
        let now = Instant::now();
        let mut state = self.state();
        state.last_used = now;
        state.answers_under_way += 1;
        let (request, playhead) = state.viewers.asks(segment.kind, segment.start, segment.duration, now);
        tracing::debug!(segment = segment.key.id.0, start = segment.start, position = playhead.position, "a player asks");
        // Where the session has ended the reader says so.
        let _ = self.session.set_playhead(playhead);
        let reader = self.session.segment(segment.key);
        drop(state);
        (reader, Answer { presentation: Arc::clone(self), request, has_begun: false })
    }

    /// Notes that a player read one of the playlists.
    pub(super) fn touch(&self) {
        self.state().last_used = Instant::now();
    }

    /// When it was last used; now while a segment is being sent.
    pub(super) fn last_used(&self) -> Instant {
        let state = self.state();
        if state.answers_under_way > 0 { Instant::now() } else { state.last_used }
    }

    /// Changes how many bytes of segments are kept.
    pub(super) fn limit_storage(&self, bytes: u64) {
        if let Err(error) =
            self.session.apply_config(DynamicConfig { segment_storage_limit_bytes: Some(bytes), ..DynamicConfig::default() })
        {
            tracing::debug!(%error, manifest = self.name, "the cache keeps its size");
        }
    }

    /// Leaves the swarms, and gives the last figures.
    pub(super) async fn end(&self) -> Stats {
        self.session.shutdown().await;
        self.farewells.said().await;
        self.session.stats().await
    }

    pub(super) async fn figures(&self) -> PresentationFigures {
        let engine = self.session.stats().await;
        let state = self.state();
        let streams = state.streams.iter().filter_map(|shared| {
            let opened = shared.opened.as_ref()?;
            Some(StreamFigures {
                kind: shared.stream.kind.as_str(),
                playlist: shared.stream.url.to_string(),
                swarm_id: shared.swarm_id.clone(),
                live: opened.live,
                segments: opened.urls.len(),
            })
        });
        let now = Instant::now();
        let idle_s = if state.answers_under_way > 0 { 0.0 } else { now.duration_since(state.last_used).as_secs_f64() };
        PresentationFigures { streams: streams.collect(), viewers: state.viewers.active(now), idle_s, engine }
    }

    /// Variants that differ in nothing but their URL are one stream.
    fn add_stream(&self, state: &mut State, name: String, stream: PlaylistStream) {
        let known = state.streams.iter().position(|known| known.stream.kind == stream.kind && known.stream.id == stream.id);
        let index = known.unwrap_or_else(|| {
            let swarm_id = stream.swarm_id(&self.label, &self.swarm_base);
            state.streams.push(SharedStream { stream, swarm_id, opened: None });
            state.streams.len() - 1
        });
        state.playlists.insert(name, Some(index));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenedStream {
    /// Brings the table of URLs up to date.
    fn list(&mut self, segments: &mut HashMap<Arc<str>, SegmentsAtUrl>, kind: StreamKind, update: &StreamUpdate) {
        let mut gone: HashMap<Arc<str>, HashSet<SegmentKey>> = HashMap::new();
        let mut unlist = |url: Arc<str>, id: SegmentId| gone.entry(url).or_default().insert(SegmentKey { stream: self.key, id });
        // Ids that were removed and added are other segments now, but those only added may have got another URL.
        for id in &update.removed {
            for url in self.urls.remove(id).unwrap_or_default() {
                unlist(url, *id);
            }
        }
        for Segment { id, url, .. } in &update.added {
            let urls = self.urls.entry(*id).or_default();
            if urls.contains(url) {
                unlist(Arc::clone(url), *id);
                continue;
            }
            if urls.len() >= MAX_URLS_PER_SEGMENT {
                unlist(urls.remove(0), *id);
            }
            urls.push(Arc::clone(url));
        }
        for (url, keys) in gone {
            let Some(at_url) = segments.get_mut(&url) else { continue };
            at_url.listed.retain(|segment| !keys.contains(&segment.key));
            if at_url.listed.is_empty() {
                segments.remove(&url);
            }
        }
        for Segment { id, url, byte_range, start, duration, .. } in &update.added {
            let key = SegmentKey { stream: self.key, id: *id };
            let listed = ListedSegment { key, kind, byte_range: *byte_range, start: *start, duration: *duration };
            let at_url = segments.entry(Arc::clone(url)).or_default();
            if at_url.listed.is_empty() {
                // Nearly always the only one.
                at_url.listed.reserve_exact(1);
            }
            at_url.listed.push(listed);
        }
    }
}

impl Answer {
    /// Bytes go to the player.
    pub(super) fn sends(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.presentation.state().viewers.begins_to_receive(self.request, Instant::now());
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.presentation.state();
        state.viewers.is_answered(self.request, now);
        state.answers_under_way -= 1;
        state.last_used = now;
    }
}
