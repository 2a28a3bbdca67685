//! The streams of a DASH presentation. An MPD names all of them, but viewers share what they play: a stream is opened when the player first asks
//! for one of its segments.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use p2p_media_core::media::{ByteRange, SegmentId, StreamUpdate};
use p2p_media_dash::{Addressing, IndexId, IndexRequest, MediaKind, Mpd, PresentationTimeline, UrlMatch, UtcTiming, apply_patch, parse};

use super::clock::ServerClock;
use super::names::manifest_name;
use super::news::News;

/// A request for a segment that is to come so much later, in seconds, is no proof that it is there.
const MAX_AHEAD_SECONDS: f64 = 30.0;
/// Changes by time that are gone through for one such request.
const MAX_STEPS_AHEAD: usize = 64;
/// Streams that are looked through for one URL.
const MAX_CANDIDATES: usize = 16;
/// URLs remembered under which players ask for newer versions and patches. Both may have a new one each time.
const MAX_MANIFEST_NAMES: usize = 64;
/// Longest time without a look at the clock.
const LONGEST_SLEEP_SECONDS: f64 = 5.0;
/// Shortest one.
const SHORTEST_SLEEP_SECONDS: f64 = 0.02;

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
    text: Option<Vec<u8>>,
}

#[derive(Debug)]
struct OpenedStream {
    live: bool,
    /// Time up to which the engine knows of segments, in seconds since 1970.
    now: f64,
    newest: Option<SegmentId>,
}

/// A version of an MPD, and when it was sent.
#[derive(Debug)]
pub(super) struct MpdVersion<'a> {
    pub(super) mpd: Mpd,
    pub(super) text: &'a [u8],
    pub(super) own_url: &'a str,
    /// In seconds since 1970, by the clock of the origin.
    pub(super) sent_at: Option<f64>,
}

impl DashStreams {
    pub(super) fn new(version: MpdVersion<'_>, now: f64) -> Self {
        let mut streams = Self {
            timeline: PresentationTimeline::new(version.mpd.clone()),
            own_url: String::new(),
            clock: ServerClock::default(),
            opened: BTreeMap::new(),
            names: VecDeque::new(),
            text: None,
        };
        streams.note(&version, now);
        streams
    }

    /// Takes in a version of the MPD.
    pub(super) fn read(&mut self, version: MpdVersion<'_>, now: f64, news: &mut News) {
        self.note(&version, now);
        self.timeline.refresh(version.mpd);
        self.follow_time(now, news);
    }

    /// Takes in a patch that the player was given.
    pub(super) fn read_patch(&mut self, patch: &[u8], sent_at: Option<f64>, now: f64, news: &mut News) -> Result<(), String> {
        let known = self.text.as_deref().ok_or("no version that it could be a patch of")?;
        let text = apply_patch(known, patch).map_err(|error| error.to_string())?;
        let own_url = self.own_url.clone();
        let mpd = parse(&text, &own_url).map_err(|error| error.to_string())?;
        self.read(MpdVersion { mpd, text: &text, own_url: &own_url, sent_at }, now, news);
        Ok(())
    }

    /// True for the URL of a newer version, or of a patch.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The names under which players ask for newer versions and patches.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Directories that may have segments in them, or below.
    pub(super) fn directories(&self) -> BTreeSet<&str> {
        let representations = self.timeline.mpd().periods.iter().flat_map(|period| &period.representations);
        let shared = representations.filter(|representation| matches!(representation.kind, MediaKind::Video | MediaKind::Audio));
        let mut directories = BTreeSet::new();
        for representation in shared {
            match &representation.addressing {
                Addressing::Template(template) => directories.extend(template.media.as_deref().map(directory_of)),
                Addressing::List(list) => directories.extend(list.segments.iter().map(|segment| directory_of(&segment.url))),
                Addressing::Indexed(index) => drop(directories.insert(directory_of(&index.media))),
                Addressing::Whole(media) => drop(directories.insert(directory_of(media))),
                Addressing::None => {}
            }
        }
        directories
    }

    /// Tells what the passing of time has changed, and in how many seconds to look again; never for a presentation that is not live.
    pub(super) fn follow_time(&mut self, now: f64, news: &mut News) -> Option<f64> {
        let now = self.clock.at(now);
        let mut next = f64::INFINITY;
        for stream in self.opened.keys().copied().collect::<Vec<_>>() {
            let Some(opened) = self.opened.get_mut(&stream) else { continue };
            // What the player has asked for ahead of our clock stays, unless the clock itself was put back.
            let now = if opened.now - now > MAX_AHEAD_SECONDS { now } else { opened.now.max(now) };
            self.advance(stream, now, news);
            next = self.timeline.next_change(stream, now).map_or(next, |change| next.min(change));
        }
        self.timeline.mpd().live.then(|| (next - now).clamp(SHORTEST_SLEEP_SECONDS, LONGEST_SLEEP_SECONDS))
    }

    /// Looks for a segment that is not known yet: of a stream that has not been opened, or too new for our clock. Gives the stream whose index may
    /// tell more.
    pub(super) fn look_for(&mut self, url: &str, range: Option<ByteRange>, now: f64, news: &mut News) -> Option<usize> {
        let mut missing = None;
        for found in self.candidates(url) {
            if !self.opened.contains_key(&found.stream) {
                self.open(found.stream, url, range, now, news);
            }
            self.reach(found, url, now, news);
            if missing.is_none() && self.timeline.index_needed(found.stream).is_some() {
                missing = Some(found.stream);
            }
        }
        missing
    }

    /// The next index to fetch for a stream.
    pub(super) fn index_needed(&self, stream: usize) -> Option<IndexRequest> {
        self.timeline.index_needed(stream)
    }

    /// Takes in an index, or that it could not be had. One that is none counts like that.
    pub(super) fn read_index(&mut self, id: IndexId, first_byte: u64, bytes: Option<&[u8]>, now: f64, news: &mut News) {
        match bytes {
            // The reader remembers a bad one, and asks for it no more.
            Some(bytes) => drop(self.timeline.add_index(id, first_byte, bytes)),
            None => self.timeline.index_failed(id),
        }
        self.follow_time(now, news);
    }

    fn note(&mut self, version: &MpdVersion<'_>, now: f64) {
        let mpd = &version.mpd;
        let direct = mpd.utc_timings.iter().find_map(|timing| match timing {
            UtcTiming::Direct(time) => Some(*time),
            _ => None,
        });
        if let Some(time) = direct.or(version.sent_at) {
            self.clock.note(time, now);
        }
        let patch = mpd.patch_location.as_ref().map(|location| &location.url);
        let own = manifest_name(version.own_url);
        for name in mpd.locations.iter().chain(patch).map(|url| manifest_name(url)).chain([own]) {
            self.names.retain(|known| *known != name);
            self.names.push_back(name);
        }
        let surplus = self.names.len().saturating_sub(MAX_MANIFEST_NAMES);
        self.names.drain(..surplus);
        version.own_url.clone_into(&mut self.own_url);
        if mpd.publish_time >= self.timeline.mpd().publish_time {
            self.text = patch.map(|_| version.text.to_vec());
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
    fn open(&mut self, stream: usize, url: &str, range: Option<ByteRange>, now: f64, news: &mut News) {
        let now = self.clock.at(now);
        let live = self.timeline.update(stream, now).live;
        let is_meant = |part: Option<ByteRange>| match (part, range) {
            (Some(part), Some(asked)) => part.first <= asked.last && asked.first <= part.last,
            _ => true,
        };
        let segments = || self.timeline.segments(stream).map(|details| details.segment);
        // A live stream may have it by the player's clock, if not yet by ours.
        if !live && !segments().any(|segment| *segment.url == *url && is_meant(segment.byte_range)) {
            return;
        }
        let update = StreamUpdate { added: segments().collect(), live, ..StreamUpdate::default() };
        self.opened.insert(stream, OpenedStream { live, now, newest: None });
        self.tell(stream, update, news);
    }

    /// Goes on to a segment that the player asks for before our clock says that it is there: players ask the origin what the time is.
    fn reach(&mut self, asked: UrlMatch, url: &str, now: f64, news: &mut News) {
        let Some(opened) = self.opened.get(&asked.stream) else { return };
        let newest = opened.newest.and_then(|id| self.timeline.segment(asked.stream, id));
        let is_newer = match &newest {
            Some(newest) => asked.number > newest.number || (asked.number.is_none() && asked.time > newest.time),
            None => true,
        };
        if !opened.live || !is_newer {
            return;
        }
        let limit = self.clock.at(now) + MAX_AHEAD_SECONDS;
        let mut now = opened.now;
        for _ in 0..MAX_STEPS_AHEAD {
            match self.timeline.next_change(asked.stream, now) {
                Some(change) if change > now && change <= limit => now = change,
                _ => return,
            }
            self.advance(asked.stream, now, news);
            let newest = self.opened.get(&asked.stream).and_then(|opened| self.timeline.segment(asked.stream, opened.newest?));
            if newest.is_some_and(|newest| *newest.segment.url == *url) {
                return;
            }
        }
    }

    /// Brings an opened stream to this time.
    fn advance(&mut self, stream: usize, now: f64, news: &mut News) {
        if let Some(opened) = self.opened.get_mut(&stream) {
            opened.now = now;
            let update = self.timeline.update(stream, now);
            self.tell(stream, update, news);
        }
    }

    fn tell(&mut self, stream: usize, update: StreamUpdate, news: &mut News) {
        let Some(opened) = self.opened.get_mut(&stream) else { return };
        let Some(known) = self.timeline.streams().get(stream) else { return };
        let has_ended = opened.live && !update.live;
        opened.live = update.live;
        if update.added.is_empty() && update.removed.is_empty() && !has_ended {
            return;
        }
        opened.newest = update.added.last().map(|segment| segment.id).or(opened.newest);
        news.add(stream, known.kind, &known.id, update);
    }
}

/// What stands before the last slash of a URL's path, and before what a template leaves open; with the slash.
fn directory_of(url: &str) -> &str {
    let end = url.find(['$', '?', '#']).unwrap_or(url.len());
    &url[..url[..end].rfind('/').map_or(0, |slash| slash + 1)]
}
