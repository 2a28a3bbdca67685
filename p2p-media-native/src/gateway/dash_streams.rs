//! The streams of a DASH presentation. An MPD names all of them, but viewers share what they play: a stream is opened when a player first asks
//! for one of its segments.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::media::{ByteRange, Resource, SegmentId, StreamKey, StreamUpdate};
use p2p_media_core::session::Session;
use p2p_media_dash::{Addressing, IndexId, IndexRequest, Mpd, PresentationTimeline, UrlMatch, UtcTiming, apply_patch, parse};
use tokio::sync::watch;

use super::presentation::{StreamFigures, SwarmNames};
use super::requested_range::RequestedRange;
use super::segment_table::SegmentTable;
use super::server_clock::ServerClock;

/// A request for a segment that is to come so much later, in seconds, is no proof that it is there.
const MAX_AHEAD_S: f64 = 30.0;
/// Changes by time that are gone through for one such request.
const MAX_STEPS_AHEAD: usize = 64;
/// Streams that are looked through for one URL.
const MAX_CANDIDATES: usize = 16;
/// URLs remembered under which players ask for newer versions and patches. Both may have a new one each time.
const MAX_MANIFEST_NAMES: usize = 64;
/// Longest time without a look at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Shortest one.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

/// What the versions of one MPD have said so far.
#[derive(Debug)]
pub(super) struct DashStreams {
    timeline: PresentationTimeline,
    /// Where its MPD came from, after redirects.
    own_url: String,
    clock: ServerClock,
    opened: BTreeMap<usize, OpenedStream>,
    /// Where players find newer versions of the MPD, and patches, the oldest first.
    names: VecDeque<String>,
    /// The newest version, where there are patches for it.
    text: Option<Bytes>,
    /// Streams whose segment index is being fetched; the sender is dropped when it has come.
    indexes_under_way: BTreeMap<usize, watch::Receiver<()>>,
}

#[derive(Debug)]
struct OpenedStream {
    key: StreamKey,
    live: bool,
    /// Time up to which the engine knows of segments, in seconds since 1970.
    now: f64,
    newest: Option<SegmentId>,
}

/// A version of an MPD, and when it was sent.
#[derive(Clone, Debug)]
pub(super) struct MpdVersion {
    pub(super) mpd: Mpd,
    pub(super) text: Bytes,
    pub(super) own_url: String,
    /// In seconds since 1970, by the clock of the origin.
    pub(super) sent_at: Option<f64>,
}

/// A stream whose segments are known only once an index has been fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MissingIndex {
    pub(super) stream: usize,
    /// False for a request that surely means the head of a file, which is no segment.
    pub(super) may_be_segment: bool,
}

impl DashStreams {
    pub(super) fn new(version: MpdVersion, name_of: impl Fn(&str) -> String) -> Self {
        let mut streams = Self {
            timeline: PresentationTimeline::new(version.mpd.clone()),
            own_url: version.own_url.clone(),
            clock: ServerClock::default(),
            opened: BTreeMap::new(),
            names: VecDeque::new(),
            text: None,
            indexes_under_way: BTreeMap::new(),
        };
        streams.note(&version, name_of);
        streams
    }

    /// Takes in a version of the MPD.
    pub(super) fn read(&mut self, version: MpdVersion, name_of: impl Fn(&str) -> String, session: &Session, table: &mut SegmentTable) {
        self.note(&version, name_of);
        self.timeline.refresh(version.mpd);
        self.follow_time(session, table);
    }

    /// Takes in a patch that a player was given. One for another version than the newest is left alone.
    pub(super) fn read_patch(
        &mut self,
        patch: &[u8],
        sent_at: Option<f64>,
        name_of: impl Fn(&str) -> String,
        session: &Session,
        table: &mut SegmentTable,
    ) {
        let Some(text) = &self.text else { return };
        let text = match apply_patch(text, patch) {
            Ok(text) => Bytes::from(text),
            Err(error) => return tracing::debug!(mpd = self.own_url, %error, "a patch is not for the version known here"),
        };
        match parse(&text, &self.own_url) {
            Ok(mpd) => self.read(MpdVersion { mpd, text, own_url: self.own_url.clone(), sent_at }, name_of, session, table),
            Err(error) => tracing::warn!(mpd = self.own_url, %error, "the patched MPD is not readable"),
        }
    }

    /// True for the URL of a newer version, or of a patch.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Tells the engine what the passing of time has changed, and when to do so again.
    pub(super) fn follow_time(&mut self, session: &Session, table: &mut SegmentTable) -> Duration {
        let now = self.clock.now();
        let mut next = f64::INFINITY;
        for stream in self.opened.keys().copied().collect::<Vec<_>>() {
            let Some(opened) = self.opened.get_mut(&stream) else { continue };
            // What a player has asked for ahead of our clock stays, unless the clock itself was put back.
            let now = if opened.now - now > MAX_AHEAD_S { now } else { opened.now.max(now) };
            self.advance(stream, now, session, table);
            next = self.timeline.next_change(stream, now).map_or(next, |change| next.min(change));
        }
        Duration::try_from_secs_f64((next - now).max(0.0)).map_or(LONGEST_SLEEP, |sleep| sleep.clamp(SHORTEST_SLEEP, LONGEST_SLEEP))
    }

    /// Looks for a segment that is not in the table: of a stream that has not been opened, or too new for our clock. Gives the stream whose index
    /// may tell more.
    pub(super) fn look_for(
        &mut self,
        url: &str,
        range: Option<RequestedRange>,
        session: &Session,
        names: &SwarmNames,
        table: &mut SegmentTable,
    ) -> Option<MissingIndex> {
        let mut missing = None;
        for found in self.candidates(url) {
            if self.opened.contains_key(&found.stream) {
                self.reach(found, url, session, table);
            } else {
                self.open(found.stream, url, range, session, names, table);
                if self.opened.contains_key(&found.stream) && table.segment(url, range, |_| 0.0).is_none() {
                    self.reach(found, url, session, table);
                }
            }
            if missing.is_none() && self.timeline.index_needed(found.stream).is_some() {
                missing = Some(MissingIndex { stream: found.stream, may_be_segment: !self.is_head_of_file(url, range) });
            }
        }
        missing
    }

    /// The next index to fetch for a stream.
    pub(super) fn index_needed(&self, stream: usize) -> Option<IndexRequest> {
        self.timeline.index_needed(stream)
    }

    /// Takes in an index, or that it could not be had.
    pub(super) fn read_index(&mut self, id: IndexId, fetched: Result<(u64, Bytes), String>, session: &Session, table: &mut SegmentTable) {
        let outcome = match fetched {
            Ok((first_byte, bytes)) => self.timeline.add_index(id, first_byte, &bytes).map_err(|error| error.to_string()),
            Err(error) => {
                self.timeline.index_failed(id);
                Err(error)
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(mpd = self.own_url, error, "no segment index: what it lists is not shared");
        }
        self.follow_time(session, table);
    }

    /// Tells when an index that is being fetched for a stream has come; the sender is for whoever is to fetch it, if nobody does yet.
    pub(super) fn index_under_way(&mut self, stream: usize) -> (watch::Receiver<()>, Option<watch::Sender<()>>) {
        if let Some(coming) = self.indexes_under_way.get(&stream).filter(|coming| coming.has_changed().is_ok()) {
            return (coming.clone(), None);
        }
        let (sender, coming) = watch::channel(());
        self.indexes_under_way.insert(stream, coming.clone());
        (coming, Some(sender))
    }

    pub(super) fn is_live(&self) -> bool {
        self.timeline.mpd().live
    }

    pub(super) fn figures(&self, names: &SwarmNames, table: &SegmentTable) -> Vec<StreamFigures> {
        let opened = self.opened.iter().filter_map(|(stream, opened)| Some((self.timeline.streams().get(*stream)?, opened)));
        let figures = opened.map(|(stream, opened)| StreamFigures {
            kind: stream.kind.as_str(),
            playlist: None,
            representation: stream.representation_id.as_deref().map(str::to_owned),
            swarm_id: stream.swarm_id(&names.label, &names.base),
            live: opened.live,
            segments: table.count(opened.key),
        });
        figures.collect()
    }

    fn note(&mut self, version: &MpdVersion, name_of: impl Fn(&str) -> String) {
        let mpd = &version.mpd;
        let direct = mpd.utc_timings.iter().find_map(|timing| match timing {
            UtcTiming::Direct(time) => Some(*time),
            _ => None,
        });
        if let Some(time) = direct.or(version.sent_at) {
            self.clock.note(time);
        }
        let patch = mpd.patch_location.as_ref().map(|location| &location.url);
        let own = name_of(&version.own_url);
        for name in mpd.locations.iter().chain(patch).map(|url| name_of(url)).chain([own]) {
            self.names.retain(|known| *known != name);
            self.names.push_back(name);
        }
        let surplus = self.names.len().saturating_sub(MAX_MANIFEST_NAMES);
        self.names.drain(..surplus);
        self.own_url.clone_from(&version.own_url);
        let is_newest = mpd.publish_time >= self.timeline.mpd().publish_time;
        if is_newest {
            self.text = patch.map(|_| version.text.clone());
        }
    }

    /// The streams that may have a segment at a URL: one, in nearly all MPDs.
    fn candidates(&self, url: &str) -> Vec<UrlMatch> {
        let mut candidates: Vec<UrlMatch> = Vec::new();
        for found in self.timeline.streams_at(url) {
            // A stream may be in many periods.
            if candidates.iter().all(|known| known.stream != found.stream) {
                candidates.push(found);
            }
            if candidates.len() >= MAX_CANDIDATES {
                break;
            }
        }
        candidates
    }

    /// Opens a stream if it has the segment asked for.
    fn open(
        &mut self,
        stream: usize,
        url: &str,
        range: Option<RequestedRange>,
        session: &Session,
        names: &SwarmNames,
        table: &mut SegmentTable,
    ) {
        let now = self.clock.now();
        let live = self.timeline.update(stream, now).live;
        let is_meant = |part: Option<ByteRange>| match (part, range) {
            (Some(part), Some(RequestedRange::Between(asked))) => part.first <= asked.last && asked.first <= part.last,
            _ => true,
        };
        let segments = || self.timeline.segments(stream).map(|details| details.segment);
        // A live stream may have it by the player's clock, if not yet by ours.
        if !live && !segments().any(|segment| *segment.url == *url && is_meant(segment.byte_range)) {
            return;
        }
        let Some(dash_stream) = self.timeline.streams().get(stream) else { return };
        let update = StreamUpdate { added: segments().collect(), live, ..StreamUpdate::default() };
        let (kind, swarm_id) = (dash_stream.kind, dash_stream.swarm_id(&names.label, &names.base));
        let Ok(key) = session.add_stream(kind, swarm_id) else { return };
        self.opened.insert(stream, OpenedStream { key, live, now, newest: None });
        self.tell(stream, update, session, table);
    }

    /// Goes on to a segment that a player asks for before our clock says that it is there: players ask the origin what the time is.
    fn reach(&mut self, asked: UrlMatch, url: &str, session: &Session, table: &mut SegmentTable) {
        let Some(opened) = self.opened.get(&asked.stream) else { return };
        let newest = opened.newest.and_then(|id| self.timeline.segment(asked.stream, id));
        let is_newer = match &newest {
            Some(newest) => asked.number > newest.number || (asked.number.is_none() && asked.time > newest.time),
            None => true,
        };
        if !opened.live || !is_newer {
            return;
        }
        let mut now = opened.now;
        let limit = self.clock.now() + MAX_AHEAD_S;
        for _ in 0..MAX_STEPS_AHEAD {
            match self.timeline.next_change(asked.stream, now) {
                Some(change) if change > now && change <= limit => now = change,
                _ => return,
            }
            if self.advance(asked.stream, now, session, table).is_some_and(|newest| *newest == *url) {
                tracing::debug!(url, "asked for before its time");
                return;
            }
        }
    }

    /// Brings an opened stream to this time. Gives the URL of the newest segment that came in.
    fn advance(&mut self, stream: usize, now: f64, session: &Session, table: &mut SegmentTable) -> Option<Arc<str>> {
        let opened = self.opened.get_mut(&stream)?;
        opened.now = now;
        let update = self.timeline.update(stream, now);
        let newest = update.added.last().map(|segment| segment.url.clone());
        self.tell(stream, update, session, table);
        newest
    }

    fn tell(&mut self, stream: usize, update: StreamUpdate, session: &Session, table: &mut SegmentTable) {
        let Some(opened) = self.opened.get_mut(&stream) else { return };
        let Some(kind) = self.timeline.streams().get(stream).map(|stream| stream.kind) else { return };
        let has_ended = opened.live && !update.live;
        opened.live = update.live;
        if update.added.is_empty() && update.removed.is_empty() && !has_ended {
            return;
        }
        opened.newest = update.added.last().map(|segment| segment.id).or(opened.newest);
        table.list(opened.key, kind, &update);
        if let Err(error) = session.update_stream(opened.key, update) {
            tracing::debug!(%error, mpd = self.own_url, "the engine does not hear of new segments");
        }
    }

    /// True for a range that ends where an initialization segment or an index ends, or before.
    fn is_head_of_file(&self, url: &str, range: Option<RequestedRange>) -> bool {
        let Some(RequestedRange::Between(asked)) = range else { return false };
        let heads = |resource: &Resource| (*resource.url == *url).then_some(resource.byte_range).flatten();
        let representations = self.timeline.mpd().periods.iter().flat_map(|period| &period.representations);
        let mut ends = representations.flat_map(|representation| {
            let index = match &representation.addressing {
                Addressing::Indexed(index) => heads(&index.index),
                _ => None,
            };
            [index, representation.init.as_deref().and_then(heads)]
        });
        asked.first == 0 || ends.any(|head| head.is_some_and(|head| asked.last <= head.last))
    }
}
