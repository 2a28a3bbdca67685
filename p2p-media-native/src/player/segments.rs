//! Reading the segments of a track in order.

use std::sync::Arc;

use bytes::Bytes;
use p2p_media_core::media::{ByteRange, Resource, SegmentForm, SegmentKey};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::session::SegmentReader;
use p2p_media_hls::Key;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cursor::{Cursor, Place};
use super::resource::fetch_resource;
use super::track_version::TrackVersion;
use super::{PlayerError, Shared};

/// The segments of one track, one after the other. The playlist of a live track is refreshed while this is held.
#[derive(Debug)]
pub struct Segments {
    shared: Arc<Shared>,
    versions: watch::Receiver<Arc<TrackVersion>>,
    cursor: Cursor,
    /// Where reading stood before the last segment was given.
    cursor_before: Cursor,
    last: Option<Arc<SegmentInfo>>,
}

/// What the manifest says of a segment, or of a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentInfo {
    /// Its name in the session; absent when it is not shared with peers.
    pub key: Option<SegmentKey>,
    /// Media sequence number (HLS), `$Number$` (DASH); absent where segments have none.
    pub number: Option<u64>,
    /// Of a part: counts from 0 in its segment.
    pub part: Option<u32>,
    /// Whether it is whole and finished; else its bytes come as they are produced.
    pub form: SegmentForm,
    /// Decoding can begin with it.
    pub is_independent: bool,
    /// Where the origin has it.
    pub url: Arc<str>,
    /// The part of the resource that it is.
    pub byte_range: Option<ByteRange>,
    /// When it begins, in seconds on the timeline that all tracks of the player share. Goes on across refreshes and discontinuities.
    pub start: f64,
    /// How long it plays, in seconds.
    pub duration: f64,
    /// The initialization segment that it needs.
    pub init: Option<Arc<Resource>>,
    /// Timestamps of segments with equal numbers continue each other: the discontinuity sequence number (HLS), a number of the period (DASH).
    pub discontinuity_sequence: u64,
    /// EXT-X-GAP: there is nothing to fetch.
    pub gap: bool,
    /// EXT-X-KEY in force, one per key format; none when it is clear, and none in DASH.
    pub keys: Arc<[Key]>,
    /// It is encrypted.
    pub is_protected: bool,
    /// When it begins on the wall clock, in seconds since 1970 (UTC).
    pub program_date_time: Option<f64>,
    /// Its place among the others.
    pub(super) place: Place,
}

/// What can be had of a track now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where its first segment begins, in seconds.
    pub start: f64,
    /// Where what has been produced ends; of a live stream, the edge.
    pub end: f64,
    /// Where playing should begin: at the beginning, or behind the live edge.
    pub start_playing_at: f64,
    /// More segments are to come.
    pub live: bool,
    /// Segments can be had before they are finished, in parts or as they are produced.
    pub has_parts: bool,
    /// When it was loaded.
    pub loaded_at: Instant,
}

/// One segment, to be read. Nothing is fetched before the first byte is asked for.
#[derive(Debug)]
pub struct Segment {
    shared: Arc<Shared>,
    info: Arc<SegmentInfo>,
    init_changed: bool,
    discontinuity: bool,
    bytes: Source,
}

#[derive(Debug)]
enum Source {
    NotAsked,
    Engine(SegmentReader),
    Ended,
}

impl Segments {
    pub(super) fn new(shared: Arc<Shared>, versions: watch::Receiver<Arc<TrackVersion>>) -> Self {
        let cursor = Cursor::At(versions.borrow().window().start_playing_at);
        Self { shared, versions, cursor, cursor_before: cursor, last: None }
    }

    /// The next segment; of a live track, as soon as there is one. `None` at the end. Segments that left a live playlist before they were
    /// read are passed over: then [`SegmentInfo::start`] is later than the end of the one before. May be cancelled.
    ///
    /// # Errors
    /// When a live playlist could not be refreshed for a minute, or the player was closed.
    pub async fn next(&mut self) -> Result<Option<Segment>, PlayerError> {
        loop {
            let version = Arc::clone(&self.versions.borrow_and_update());
            if let Some(info) = self.cursor.next_in(&version.segments) {
                self.cursor_before = std::mem::replace(&mut self.cursor, Cursor::After(info.place, info.end()));
                let last = self.last.replace(Arc::clone(info));
                let init_changed = last.as_ref().and_then(|last| last.init.as_ref()) != info.init.as_ref();
                let discontinuity = last.is_some_and(|last| last.discontinuity_sequence != info.discontinuity_sequence);
                let (shared, info) = (Arc::clone(&self.shared), Arc::clone(info));
                return Ok(Some(Segment { shared, info, init_changed, discontinuity, bytes: Source::NotAsked }));
            }
            if let Some(error) = &version.failure {
                return Err(error.clone());
            }
            if !version.live || self.versions.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Goes on with the segment that is played at `position` seconds, or the one after it when that ends there (within a quarter of a
    /// second).
    pub const fn seek(&mut self, position: f64) {
        self.cursor = Cursor::At(position);
    }

    /// Goes on with the segment that begins nearest to `position` seconds: where another track was left, whose segments may differ by a bit.
    pub const fn continue_from(&mut self, position: f64) {
        self.cursor = Cursor::From(position);
    }

    /// Goes back before the segment that was given last: when it turned out not to be there, it is given anew if it is listed anew, or
    /// else what follows.
    pub const fn step_back(&mut self) {
        self.cursor = self.cursor_before;
    }

    /// Where playing can best begin near `position` seconds: where a segment begins, or, where segments can be had before they are finished,
    /// right there. `None` when that is beyond what is listed.
    pub fn start_near(&self, position: f64) -> Option<f64> {
        let version = self.versions.borrow();
        if version.window().has_parts {
            return Cursor::At(position).next_in(&version.segments).map(|segment| position.max(segment.start));
        }
        Cursor::From(position).next_in(&version.segments).map(|segment| segment.start)
    }

    /// Where a segment of this track ends by what is listed now: hints of parts do not say how long these will be.
    pub fn end_of(&self, segment: &SegmentInfo) -> f64 {
        let version = self.versions.borrow();
        let listed = version.segments.binary_search_by_key(&segment.place, |held| held.place);
        listed.map_or(segment.end(), |index| version.segments[index].end())
    }

    /// What can be had now.
    pub fn window(&self) -> Window {
        self.versions.borrow().window()
    }
}

impl Segment {
    /// What the manifest says of it.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// Whether [`Segment::init`] differs from that of the segment before: the decoder needs it first.
    pub const fn init_changed(&self) -> bool {
        self.init_changed
    }

    /// Whether timestamps do not continue those of the segment before.
    pub const fn starts_discontinuity(&self) -> bool {
        self.discontinuity
    }

    /// The initialization segment that it needs, from the origin, fetched once; `None` when it needs none.
    ///
    /// # Errors
    /// When the origin does not give it.
    pub fn init(&self) -> impl Future<Output = Result<Option<Bytes>, PlayerError>> + Send + use<> {
        // Borrows nothing, so that it can be fetched while the segment is read.
        let (shared, init) = (Arc::clone(&self.shared), self.info.init.clone());
        async move {
            match init {
                Some(init) => shared.init_segments.get(&init).await.map(Some),
                None => Ok(None),
            }
        }
    }

    /// The next bytes, as they arrive; `None` at the end. A gap ([`SegmentInfo::gap`]) has none.
    ///
    /// # Errors
    /// When no (more) bytes will come; bytes that came before were right.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, PlayerError> {
        if let Source::NotAsked = self.bytes {
            self.bytes = Source::Ended;
            match self.info.key {
                _ if self.info.gap => {}
                Some(key) => self.bytes = Source::Engine(self.shared.session.segment(key)),
                None => return self.read_from_origin().await.map(Some),
            }
        }
        match &mut self.bytes {
            Source::Engine(reader) => {
                reader.chunk().await.map_err(|reason| PlayerError::Segment { url: Arc::clone(&self.info.url), reason })
            }
            Source::NotAsked | Source::Ended => Ok(None),
        }
    }

    /// All bytes that were not read yet.
    ///
    /// # Errors
    /// As [`Segment::chunk`].
    pub async fn read_all(mut self) -> Result<SegmentBytes, PlayerError> {
        let mut bytes = SegmentBytes::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.push(chunk);
        }
        Ok(bytes)
    }

    /// Asks once more after an error, from the first byte.
    pub fn start_over(&mut self) {
        self.bytes = Source::NotAsked;
    }

    async fn read_from_origin(&self) -> Result<Bytes, PlayerError> {
        let fetched = fetch_resource(&self.shared.http, &self.info.url, self.info.byte_range).await;
        fetched.map_err(|error| PlayerError::Resource { url: Arc::clone(&self.info.url), reason: error.to_string() })
    }
}

impl SegmentInfo {
    /// When it ends, in seconds.
    pub fn end(&self) -> f64 {
        self.start + self.duration
    }

    /// Whether it is a part of a segment.
    pub const fn is_part(&self) -> bool {
        self.part.is_some()
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self {
            key: None,
            number: None,
            part: None,
            form: SegmentForm::Whole,
            is_independent: true,
            url: "u".into(),
            byte_range: None,
            start: 0.0,
            duration: 0.0,
            init: None,
            discontinuity_sequence: 0,
            gap: false,
            keys: Arc::new([]),
            is_protected: false,
            program_date_time: None,
            place: Place::of_whole(0),
        }
    }
}
