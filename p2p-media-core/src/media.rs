//! What is shared: streams and their segments, and where the player stands in them. Manifest crates produce these, the engine uses them.

use std::sync::Arc;

/// Names a stream within one session. Whoever registers the stream chooses it; never used again after the stream is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub u32);

/// A segment's number within its stream, the same for every viewer (the official library's `externalId`): the media sequence number of a
/// live HLS playlist, the index in a VOD one, `trunc(start / 0.5 s)` in DASH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub i64);

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

/// Where the player stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playhead {
    /// Seconds on the timeline that segments use.
    pub position: f64,
    /// Media seconds played per second: 1 is normal, 0 paused.
    pub rate: f64,
}
