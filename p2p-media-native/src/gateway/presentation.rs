//! One presentation: a manifest of either format, the engine's session that shares its streams, and the segments that it lists.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use p2p_media_core::backend::Backend as _;
use p2p_media_core::config::{Config, DynamicConfig};
use p2p_media_core::driver::drive;
use p2p_media_core::event::Stats;
use p2p_media_core::identity::manifest_swarm_base;
use p2p_media_core::session::{EventStream, SegmentReader, Session, session};
use p2p_media_dash::{IndexId, IndexRequest};
use p2p_media_hls::{MediaPlaylist, MultivariantPlaylist, Variables};
use tokio::sync::watch;
use tokio::time::Instant;

use super::dash_streams::{DashStreams, MpdVersion};
use super::hls_streams::HlsStreams;
use super::requested_range::RequestedRange;
use super::segment_table::{ListedSegment, SegmentTable};
use super::viewers::{ViewerRequest, Viewers};
use crate::backend::{BackendError, NativeBackend};
use crate::http_fetcher::ReqwestFetcher;
use crate::peer_transport::Farewells;
use crate::segment_storage::StorageChoice;
use crate::tracker_log::TrackerLog;

/// A manifest that players have opened.
#[derive(Debug)]
pub(super) struct Presentation {
    /// The manifest's name, see [`super::origin_path::manifest_name`].
    pub(super) name: String,
    swarms: SwarmNames,
    session: Session,
    farewells: Farewells,
    state: Mutex<State>,
}

/// What swarm ids begin with.
#[derive(Clone, Debug)]
pub(super) struct SwarmNames {
    pub(super) label: String,
    pub(super) base: String,
}

#[derive(Debug)]
struct State {
    streams: Streams,
    table: SegmentTable,
    viewers: Viewers,
    last_used: Instant,
    answers_under_way: usize,
}

/// What manifests have said, by their format.
#[derive(Debug)]
enum Streams {
    /// None has been read.
    None,
    Hls(HlsStreams),
    Dash(Box<DashStreams>),
}

/// What a request for a resource may be answered with, besides the origin's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found {
    /// A segment, or bytes of it.
    Segment(ListedSegment),
    /// A row of segments in one file, with what is between them.
    Row,
    /// Not known before an index has come.
    MissingIndex {
        stream: usize,
        /// False for what is no segment anyway.
        may_be_segment: bool,
    },
}

/// Where the next bytes of a row are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RowBytes {
    /// In a segment.
    Segment(ListedSegment),
    /// Between segments, up to this position; to the end of the file when absent.
    Between(Option<u64>),
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
    pub(super) kind: &'static str,
    /// URL of its media playlist (HLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) playlist: Option<String>,
    /// Its representation in the MPD (DASH).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) representation: Option<String>,
    pub(super) swarm_id: String,
    pub(super) live: bool,
    pub(super) segments: usize,
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
        let base = config.swarm_id.as_deref().unwrap_or_else(|| manifest_swarm_base(own_url)).to_owned();
        let swarms = SwarmNames { label: config.protocol_version_label.clone(), base };
        let farewells = backend.peers().farewells().clone();
        let (session, input) = session(config, RandomState::new().hash_one(&name));
        tokio::spawn(drive(backend, input));
        tokio::spawn(log_events(session.events()));
        let state = State {
            streams: Streams::None,
            table: SegmentTable::default(),
            viewers: Viewers::default(),
            last_used: Instant::now(),
            answers_under_way: 0,
        };
        Ok(Arc::new(Self { name, swarms, session, farewells, state: Mutex::new(state) }))
    }

    /// Takes in a version of the multivariant playlist: its streams and variables.
    pub(super) fn read_multivariant(&self, playlist: &MultivariantPlaylist, name_of: impl Fn(&str) -> String) {
        if let Some(streams) = self.used().streams.hls() {
            streams.read_multivariant(playlist, &self.swarms, name_of);
        }
    }

    /// Takes in a version of a media playlist. One that no multivariant playlist named is a presentation of its own.
    pub(super) fn read_media(&self, name: &str, own_url: &str, playlist: &MediaPlaylist) {
        // The engine hears of changes under the lock, and so in their order; below likewise.
        let State { streams, table, .. } = &mut *self.used();
        if let Some(streams) = streams.hls() {
            streams.read_media(name, own_url, playlist, &self.swarms, &self.session, table);
        }
    }

    /// Takes in a version of an MPD.
    pub(super) fn read_mpd(self: &Arc<Self>, version: MpdVersion, name_of: impl Fn(&str) -> String) {
        let State { streams, table, .. } = &mut *self.used();
        match streams {
            Streams::None => {
                let dash = DashStreams::new(version, name_of);
                if dash.is_live() {
                    tokio::spawn(follow_time(Arc::downgrade(self)));
                }
                *streams = Streams::Dash(Box::new(dash));
            }
            Streams::Dash(dash) => dash.read(version, name_of, &self.session, table),
            Streams::Hls(_) => {}
        }
    }

    /// Takes in a patch of an MPD.
    pub(super) fn read_patch(&self, patch: &[u8], sent_at: Option<f64>, name_of: impl Fn(&str) -> String) {
        let State { streams, table, .. } = &mut *self.used();
        if let Streams::Dash(dash) = streams {
            dash.read_patch(patch, sent_at, name_of, &self.session, table);
        }
    }

    /// True when one of this presentation's manifests has this name, or a patch of one.
    pub(super) fn names_manifest(&self, name: &str) -> bool {
        self.name == name
            || match &self.state().streams {
                Streams::None => false,
                Streams::Hls(hls) => hls.variables_for(name).is_some(),
                Streams::Dash(dash) => dash.is_named(name),
            }
    }

    /// What a media playlist of this name may import; `None` when it is none of this presentation's.
    pub(super) fn variables_for(&self, name: &str) -> Option<Arc<Variables>> {
        self.state().streams.hls()?.variables_for(name)
    }

    /// What answers a request for a range (or all) of a URL.
    pub(super) fn find(&self, url: &str, range: Option<RequestedRange>) -> Option<Found> {
        let mut state = self.state();
        if let Some(segment) = state.segment(url, range) {
            return Some(Found::Segment(segment));
        }
        let State { streams, table, .. } = &mut *state;
        if let Streams::Dash(dash) = streams {
            if let Some(missing) = dash.look_for(url, range, &self.session, &self.swarms, table) {
                return Some(Found::MissingIndex { stream: missing.stream, may_be_segment: missing.may_be_segment });
            }
            if let Some(segment) = state.segment(url, range) {
                return Some(Found::Segment(segment));
            }
        }
        state.holds_some_of(url, range).then_some(Found::Row)
    }

    /// Where the bytes of a row from `position` on are.
    pub(super) fn row_bytes(&self, url: &str, position: u64) -> RowBytes {
        let state = self.state();
        match state.table.at(url, position) {
            Some(segment) => RowBytes::Segment(segment),
            None => RowBytes::Between(state.table.next_at(url, position)),
        }
    }

    /// The next index to fetch for a stream.
    pub(super) fn index_needed(&self, stream: usize) -> Option<IndexRequest> {
        match &self.state().streams {
            Streams::Dash(dash) => dash.index_needed(stream),
            _ => None,
        }
    }

    /// See [`DashStreams::index_under_way`].
    pub(super) fn index_under_way(&self, stream: usize) -> Option<(watch::Receiver<()>, Option<watch::Sender<()>>)> {
        match &mut self.state().streams {
            Streams::Dash(dash) => Some(dash.index_under_way(stream)),
            _ => None,
        }
    }

    /// Takes in an index, or that it could not be had.
    pub(super) fn read_index(&self, id: IndexId, fetched: Result<(u64, Bytes), String>) {
        let State { streams, table, .. } = &mut *self.state();
        if let Streams::Dash(dash) = streams {
            dash.read_index(id, fetched, &self.session, table);
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
        let streams = match &state.streams {
            Streams::None => Vec::new(),
            Streams::Hls(hls) => hls.figures(&state.table),
            Streams::Dash(dash) => dash.figures(&self.swarms, &state.table),
        };
        let now = Instant::now();
        let idle_s = if state.answers_under_way > 0 { 0.0 } else { now.duration_since(state.last_used).as_secs_f64() };
        PresentationFigures { streams, viewers: state.viewers.active(now), idle_s, engine }
    }

    /// The state, for a player that read a manifest.
    fn used(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.last_used = Instant::now();
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn segment(&self, url: &str, range: Option<RequestedRange>) -> Option<ListedSegment> {
        self.table.segment(url, range, |kind| self.viewers.expected(kind))
    }

    /// True when some of the bytes asked for are those of segments in a row.
    fn holds_some_of(&self, url: &str, range: Option<RequestedRange>) -> bool {
        self.table.is_row(url)
            && match range {
                Some(RequestedRange::Between(asked)) => {
                    self.table.at(url, asked.first).is_some() || self.table.next_at(url, asked.first).is_some_and(|next| next <= asked.last)
                }
                _ => true,
            }
    }
}

impl Streams {
    /// Those of HLS, which begin with the first playlist; `None` for a presentation of the other format.
    fn hls(&mut self) -> Option<&mut HlsStreams> {
        if matches!(self, Self::None) {
            *self = Self::Hls(HlsStreams::default());
        }
        match self {
            Self::Hls(hls) => Some(hls),
            _ => None,
        }
    }
}

/// Puts what trackers do wrong into the log. Ends with the session.
async fn log_events(mut events: EventStream) {
    let mut trackers = TrackerLog::default();
    while let Some(event) = events.next().await {
        trackers.note(&event);
    }
}

/// Tells the engine of segments that become available, or leave, while no manifest says so. Ends with the presentation.
async fn follow_time(presentation: std::sync::Weak<Presentation>) {
    loop {
        let sleep = {
            let Some(presentation) = presentation.upgrade().filter(|presentation| !presentation.session.has_ended()) else { return };
            let State { streams, table, .. } = &mut *presentation.state();
            match streams {
                Streams::Dash(dash) => dash.follow_time(&presentation.session, table),
                // The one that was just read is not in its place yet.
                _ => Duration::from_millis(20),
            }
        };
        tokio::time::sleep(sleep).await;
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
