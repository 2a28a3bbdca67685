//! Reading the segments of a track in order.

use std::sync::Arc;

use bytes::Bytes;
use p2p_media_core::media::{ByteRange, Resource, SegmentKey};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::session::SegmentReader;
use p2p_media_hls::Key;
use tokio::sync::watch;
use tokio::time::Instant;

use super::playlists::PlaylistVersion;
use super::resource::fetch_resource;
use super::{PlayerError, Shared};

/// Where a live stream begins to be played: this many target durations behind its edge (RFC 8216bis, section 6.3.3).
const START_BEHIND_EDGE_TARGET_DURATIONS: f64 = 3.0;
/// A segment of which no more than this is left is not worth beginning with: tracks are rarely cut at the very same places.
const LEAST_WORTH_PLAYING_S: f64 = 0.25;
/// Start times are sums of rounded numbers.
const SAME_TIME_S: f64 = 1e-3;

/// The segments of one track, one after the other. The playlist of a live track is refreshed while this is held.
#[derive(Debug)]
pub struct Segments {
    shared: Arc<Shared>,
    playlist: watch::Receiver<Arc<PlaylistVersion>>,
    cursor: Cursor,
    last: Option<Arc<SegmentInfo>>,
}

/// What the playlist says of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentInfo {
    /// Its name in the session; absent when it is not shared with peers.
    pub key: Option<SegmentKey>,
    /// Media sequence number.
    pub sequence: u64,
    /// Where the origin has it.
    pub url: Arc<str>,
    /// The part of the resource that it is.
    pub byte_range: Option<ByteRange>,
    /// When it begins, in seconds on the timeline that all tracks of the player share. Goes on across refreshes and discontinuities.
    pub start: f64,
    /// How long it plays, in seconds.
    pub duration: f64,
    /// EXT-X-MAP in force.
    pub init: Option<Arc<Resource>>,
    /// Discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// EXT-X-GAP: there is nothing to fetch.
    pub gap: bool,
    /// EXT-X-KEY in force, one per key format; none when it is clear.
    pub keys: Arc<[Key]>,
    /// When it begins on the wall clock, in seconds since 1970 (UTC).
    pub program_date_time: Option<f64>,
}

/// What a playlist holds now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where its first segment begins, in seconds.
    pub start: f64,
    /// Where its last segment ends; of a live stream, the edge.
    pub end: f64,
    /// Where playing should begin: at the beginning, or behind the live edge.
    pub start_playing_at: f64,
    /// More segments are to come.
    pub live: bool,
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

/// Where reading stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cursor {
    /// The segment that is played at this time comes next.
    At(f64),
    /// The segment that begins nearest to this time comes next.
    From(f64),
    /// The segment after this one comes next; it ended at this time.
    After(u64, f64),
}

impl Segments {
    pub(super) fn new(shared: Arc<Shared>, playlist: watch::Receiver<Arc<PlaylistVersion>>) -> Self {
        let cursor = Cursor::At(playlist.borrow().window().start_playing_at);
        Self { shared, playlist, cursor, last: None }
    }

    /// The next segment; of a live track, as soon as there is one. `None` at the end. Segments that left a live playlist before they were
    /// read are passed over: then [`SegmentInfo::start`] is later than the end of the one before. May be cancelled.
    ///
    /// # Errors
    /// When a live playlist could not be refreshed for a minute, or the player was closed.
    pub async fn next(&mut self) -> Result<Option<Segment>, PlayerError> {
        loop {
            let version = Arc::clone(&self.playlist.borrow_and_update());
            if let Some(info) = self.cursor.next_in(&version.segments) {
                self.cursor = Cursor::After(info.sequence, info.end());
                let last = self.last.replace(Arc::clone(info));
                let init_changed = last.as_ref().and_then(|last| last.init.as_ref()) != info.init.as_ref();
                let discontinuity = last.is_some_and(|last| last.discontinuity_sequence != info.discontinuity_sequence);
                let (shared, info) = (Arc::clone(&self.shared), Arc::clone(info));
                return Ok(Some(Segment { shared, info, init_changed, discontinuity, bytes: Source::NotAsked }));
            }
            if let Some(error) = &version.failure {
                return Err(error.clone());
            }
            if !version.live || self.playlist.changed().await.is_err() {
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

    /// Where the segment begins that begins nearest to `position` seconds; `None` when that is beyond what the playlist holds.
    pub fn nearest_start(&self, position: f64) -> Option<f64> {
        Cursor::From(position).next_in(&self.playlist.borrow().segments).map(|segment| segment.start)
    }

    /// What the playlist holds now.
    pub fn window(&self) -> Window {
        self.playlist.borrow().window()
    }
}

impl Segment {
    /// What the playlist says of it.
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
}

impl PlaylistVersion {
    fn window(&self) -> Window {
        let start = self.segments.first().map_or(0.0, |first| first.start);
        let end = self.segments.last().map_or(0.0, |last| last.end());
        let behind = (START_BEHIND_EDGE_TARGET_DURATIONS * self.target_duration_s).max(self.hold_back_s.unwrap_or(0.0));
        let start_playing_at = if self.live { (end - behind).max(start) } else { start };
        Window { start, end, start_playing_at, live: self.live, loaded_at: self.loaded_at }
    }
}

impl Cursor {
    /// The segment that comes next, if it is there.
    fn next_in(self, segments: &[Arc<SegmentInfo>]) -> Option<&Arc<SegmentInfo>> {
        let nearest = |position: f64| segments.iter().find(|segment| segment.start + segment.duration / 2.0 > position);
        match self {
            Self::At(position) => {
                let is_over =
                    |segment: &SegmentInfo| segment.end() - LEAST_WORTH_PLAYING_S.min(segment.duration / 2.0) <= position + SAME_TIME_S;
                let index = segments.partition_point(|segment| is_over(segment));
                segments.get(index)
            }
            Self::From(position) => nearest(position),
            Self::After(sequence, end) => match segments.last() {
                // Numbers went back: the server was restarted, its timeline goes on.
                Some(last) if last.sequence < sequence => nearest(end).filter(|segment| segment.start >= end - SAME_TIME_S),
                _ => segments.get(segments.partition_point(|segment| segment.sequence <= sequence)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(first_sequence: u64, starts: &[f64]) -> Vec<Arc<SegmentInfo>> {
        let info = |(index, start): (usize, &f64)| SegmentInfo {
            key: None,
            sequence: first_sequence + index as u64,
            url: "u".into(),
            byte_range: None,
            start: *start,
            duration: 2.0,
            init: None,
            discontinuity_sequence: 0,
            gap: false,
            keys: Arc::new([]),
            program_date_time: None,
        };
        starts.iter().enumerate().map(info).map(Arc::new).collect()
    }

    #[test]
    fn the_cursor_finds_what_comes_next() {
        let segments = listed(7, &[10.0, 12.0, 14.0]);
        let next = |cursor: Cursor| cursor.next_in(&segments).map(|info| info.sequence);
        assert_eq!(
            [0.0, 10.0, 11.7, 11.8, 12.0, 15.7, 16.0].map(|at| next(Cursor::At(at))),
            [Some(7), Some(7), Some(7), Some(8), Some(8), Some(9), None]
        );
        assert_eq!([10.9, 11.1, 12.1, 15.1].map(|at| next(Cursor::From(at))), [Some(7), Some(8), Some(8), None]);
        assert_eq!([3, 7, 8, 9].map(|sequence| next(Cursor::After(sequence, 0.0))), [Some(7), Some(8), Some(9), None]);
    }

    #[test]
    fn a_restarted_server_goes_on_by_time() {
        let cursor = Cursor::After(90, 12.0);
        assert_eq!(cursor.next_in(&listed(3, &[10.0, 12.0])).map(|info| info.sequence), Some(4));
        assert_eq!(cursor.next_in(&listed(3, &[8.0, 10.0])), None);
        assert_eq!(cursor.next_in(&[]), None);
    }
}
