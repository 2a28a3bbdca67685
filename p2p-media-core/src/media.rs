//! What is shared: streams and their segments, and where the player stands in them. Manifest crates produce these, the engine uses them.

use std::sync::Arc;
use std::time::Duration;

/// Names a stream within one session. Whoever registers the stream chooses it; never used again after the stream is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub u32);

/// A segment's number within its stream, the same for every viewer (the official library's `externalId`): the media sequence number of a
/// live HLS playlist, the index in a VOD one, `trunc(start / 0.5 s)` in DASH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub i64);

impl SegmentId {
    /// What the numbers of parts begin with: far above every media sequence number and every `trunc(start / 0.5 s)`.
    const FIRST_OF_PARTS: i64 = 1 << 52;
    /// Parts of one segment that have numbers.
    const PARTS_PER_SEGMENT: u32 = 1 << 10;

    /// The number of a part of the segment with this media sequence number; `index` counts from 0. `None` for numbers out of range, which are
    /// not shared.
    pub const fn of_part(sequence: u64, index: u32) -> Option<Self> {
        if sequence > 1 << 42 || index >= Self::PARTS_PER_SEGMENT {
            return None;
        }
        Some(Self(Self::FIRST_OF_PARTS + sequence as i64 * Self::PARTS_PER_SEGMENT as i64 + index as i64))
    }

    /// The media sequence number of the segment that this is a part of, and the index of the part.
    pub const fn sequence_and_index(self) -> Option<(u64, u32)> {
        if !self.is_part() {
            return None;
        }
        let number = self.0 - Self::FIRST_OF_PARTS;
        Some(((number / Self::PARTS_PER_SEGMENT as i64) as u64, (number % Self::PARTS_PER_SEGMENT as i64) as u32))
    }

    /// What the numbers of short DASH segments begin with.
    const FIRST_OF_SHORT: i64 = 1 << 48;

    /// The number of a DASH segment by when it begins and how long it nominally lasts (seconds): `trunc(start / 0.5 s)` as the official library
    /// has it; of those shorter than 0.5 s, of which two may begin in one half second, the millisecond in a range of their own. Only what every
    /// viewer knows of the segment goes into it, not what else its window holds.
    pub fn of_dash(start: f64, duration: f64) -> Self {
        if duration >= 0.5 { Self((start / 0.5) as i64) } else { Self(Self::FIRST_OF_SHORT + (start * 1000.0).round() as i64) }
    }

    /// True for what [`SegmentId::of_part`] gives.
    pub const fn is_part(self) -> bool {
        self.0 >= Self::FIRST_OF_PARTS
    }
}

/// A segment of a stream of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The stream it belongs to.
    pub stream: StreamKey,
    /// Its number there.
    pub id: SegmentId,
}

impl SegmentKey {
    /// The keys of all segments that a stream may have, for a look into an ordered map.
    pub const fn all_of(stream: StreamKey) -> std::ops::RangeInclusive<Self> {
        Self { stream, id: SegmentId(i64::MIN) }..=Self { stream, id: SegmentId(i64::MAX) }
    }
}

/// Which of the two kinds of swarm a stream is shared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Video, muxed audio and video, or the audio of an audio-only presentation.
    Main,
    /// Separate audio.
    Secondary,
}

impl StreamKind {
    /// The word that stands for it in a swarm id: `main` or `secondary`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Secondary => "secondary",
        }
    }
}

/// A stream to share: one rendition, variant or representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name in this session.
    pub key: StreamKey,
    /// Main or secondary.
    pub kind: StreamKind,
    /// The swarm it is shared in, as [`crate::identity::stream_swarm_id`] builds it. Viewers with equal swarm ids meet.
    pub swarm_id: Arc<str>,
}

/// Bytes of a resource, both ends inclusive (RFC 9110, section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte; not smaller than `first`.
    pub last: u64,
}

impl ByteRange {
    /// Number of bytes; saturates at `u64::MAX`.
    pub const fn len(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Always false: an inclusive range holds at least one byte.
    pub const fn is_empty(self) -> bool {
        false
    }
}

/// A resource, or a part of one. Initialization segments, segment indexes: what is fetched from the origin and not shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Where the origin has it, absolute.
    pub url: Arc<str>,
    /// The part that is meant; the whole when absent.
    pub byte_range: Option<ByteRange>,
}

/// How finished a segment is at the origin, and whether it is a whole one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SegmentForm {
    /// Complete: the origin sends it as fast as it can.
    #[default]
    Whole,
    /// Still being produced: the origin sends it no faster than it is made, and does not know its size (low-latency DASH, ISO/IEC 23009-1,
    /// chunked transfer). Becomes [`SegmentForm::Whole`] by a later update under the same id.
    Unfinished,
    /// A part of a segment (EXT-X-PART, RFC 8216bis, section 4.4.4.9), or the hint of one (EXT-X-PRELOAD-HINT), which the origin answers once
    /// it is there. Shared among peers of ours alone: official peers know only whole segments.
    Part,
}

/// One segment of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its number in the stream.
    pub id: SegmentId,
    /// Where the origin has it, absolute.
    pub url: Arc<str>,
    /// The part of the resource that is the segment; the whole when absent.
    pub byte_range: Option<ByteRange>,
    /// When it begins, in seconds on the timeline of the stream, which the playhead shares.
    pub start: f64,
    /// How long it plays, in seconds.
    pub duration: f64,
    /// Whether it is whole and finished.
    pub form: SegmentForm,
}

impl Segment {
    /// When it ends, in seconds on the timeline of the stream.
    pub fn end(&self) -> f64 {
        self.start + self.duration
    }
}

/// What changed in a stream since the last update: a playlist refresh as a difference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamUpdate {
    /// Segments that came in.
    pub added: Vec<Segment>,
    /// Segments that left; ids that are not known are ignored.
    pub removed: Vec<SegmentId>,
    /// True while more segments are to come.
    pub live: bool,
}

/// How long a fetch from the origin took that a player made itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTimes {
    /// From the request to the first byte.
    pub response: Duration,
    /// From the first byte to the last.
    pub body: Duration,
}

/// Where the player stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playhead {
    /// Seconds on the timeline that segments use.
    pub position: f64,
    /// Media seconds played per second: 1 is normal, 0 paused.
    pub rate: f64,
}
