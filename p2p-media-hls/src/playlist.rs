//! What a playlist says, as data: every URL absolute, every number counted, everything inherited filled in.

use std::sync::Arc;

use p2p_media_core::identity::StreamProperties;
use p2p_media_core::media::{ByteRange, Resource};

use crate::variables::Variables;

/// One playlist of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    /// Lists variants and renditions.
    Multivariant(MultivariantPlaylist),
    /// Lists segments.
    Media(MediaPlaylist),
}

/// A multivariant (master) playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultivariantPlaylist {
    /// EXT-X-STREAM-INF in order, repeats kept.
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA in order.
    pub renditions: Vec<Rendition>,
    /// URLs of the I-frame playlists (EXT-X-I-FRAME-STREAM-INF), for trick play.
    pub i_frame_playlists: Vec<Arc<str>>,
    /// EXT-X-DEFINE: what its media playlists may import.
    pub variables: Variables,
}

/// EXT-X-STREAM-INF (RFC 8216bis, section 4.4.6.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its media playlist.
    pub url: Arc<str>,
    /// Peak bits per second; absent only where the playlist breaks the rules.
    pub bandwidth: Option<u64>,
    /// Average bits per second.
    pub average_bandwidth: Option<u64>,
    /// CODECS as written.
    pub codecs: Option<Arc<str>>,
    /// Pixels across and down.
    pub resolution: Option<(u32, u32)>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// SDR, PQ or HLG.
    pub video_range: Option<Arc<str>>,
    /// The group of audio renditions that belongs to it.
    pub audio_group: Option<Arc<str>>,
    /// NAME, an attribute outside of the standard that players show.
    pub name: Option<Arc<str>>,
    /// What its stream id is made of, see [`MultivariantPlaylist::streams`].
    pub(crate) properties: StreamProperties,
    /// Its audio codecs, which become those of the audio renditions.
    pub(crate) audio_codecs: Option<String>,
    /// True when a codec is of no known kind: hls.js then passes over the variant if it has others.
    pub(crate) has_unknown_codec: bool,
}

/// What an EXT-X-MEDIA is (RFC 8216bis, section 4.4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionKind {
    /// TYPE=AUDIO.
    Audio,
    /// TYPE=VIDEO.
    Video,
    /// TYPE=SUBTITLES.
    Subtitles,
    /// TYPE=CLOSED-CAPTIONS.
    ClosedCaptions,
}

impl RenditionKind {
    /// Its name in lower case: `audio`, `closed-captions`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Subtitles => "subtitles",
            Self::ClosedCaptions => "closed-captions",
        }
    }
}

/// EXT-X-MEDIA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// TYPE.
    pub kind: RenditionKind,
    /// GROUP-ID.
    pub group: Arc<str>,
    /// NAME.
    pub name: Option<Arc<str>>,
    /// LANGUAGE (RFC 5646).
    pub language: Option<Arc<str>>,
    /// CHANNELS as written: `6/JOC`.
    pub channels: Option<Arc<str>>,
    /// Its media playlist; absent when it is muxed into the variants.
    pub url: Option<Arc<str>>,
    /// DEFAULT=YES.
    pub default: bool,
    /// AUTOSELECT=YES.
    pub autoselect: bool,
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    /// No EXT-X-ENDLIST: more segments are to come.
    pub live: bool,
    /// Seconds that no segment exceeds; the longest reload interval.
    pub target_duration: Option<f64>,
    /// Number of the first segment, before any that EXT-X-SKIP replaces.
    pub media_sequence: u64,
    /// Segments that EXT-X-SKIP replaces: known from an earlier version of the playlist.
    pub skipped: u64,
    /// Segments in order.
    pub segments: Vec<MediaSegment>,
    /// EXT-X-PART in order.
    pub parts: Vec<Part>,
    /// EXT-X-PRELOAD-HINT in order.
    pub preload_hints: Vec<PreloadHint>,
    /// EXT-X-RENDITION-REPORT in order.
    pub rendition_reports: Vec<RenditionReport>,
    /// EXT-X-SERVER-CONTROL.
    pub server_control: ServerControl,
    /// EXT-X-PART-INF: seconds that no part exceeds.
    pub part_target: Option<f64>,
    /// What applies to the segment after the last one listed, whose parts may be there already.
    pub trailing: TrailingContext,
}

/// What a playlist says of the segment that is not listed yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrailingContext {
    /// EXT-X-MAP in force.
    pub init: Option<Arc<Resource>>,
    /// EXT-X-KEY in force, one per key format; none when it is clear.
    pub keys: Arc<[Key]>,
    /// Discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// When it begins on the wall clock, in seconds since 1970 (UTC).
    pub program_date_time: Option<f64>,
}

impl MediaPlaylist {
    /// Number of the first segment that is listed.
    pub const fn first_sequence(&self) -> u64 {
        self.media_sequence.saturating_add(self.skipped)
    }

    /// Number of the segment after the last one listed.
    pub const fn next_sequence(&self) -> u64 {
        self.first_sequence().saturating_add(self.segments.len() as u64)
    }
}

/// One segment with everything that applies to it.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSegment {
    /// Media sequence number.
    pub sequence: u64,
    /// Where the origin has it.
    pub url: Arc<str>,
    /// Seconds since the first segment listed.
    pub start: f64,
    /// Seconds; 0 where EXTINF is missing or unreadable.
    pub duration: f64,
    /// The part of the resource that it is.
    pub byte_range: Option<ByteRange>,
    /// Discontinuity sequence number: timestamps of segments with equal numbers continue each other.
    pub discontinuity_sequence: u64,
    /// EXT-X-GAP: it is missing, do not fetch it.
    pub gap: bool,
    /// EXT-X-MAP in force.
    pub init: Option<Arc<Resource>>,
    /// When it begins on the wall clock, in seconds since 1970 (UTC): its EXT-X-PROGRAM-DATE-TIME, or counted from the nearest one.
    pub program_date_time: Option<f64>,
    /// EXT-X-KEY in force, one per key format; none when it is clear.
    pub keys: Arc<[Key]>,
}

/// EXT-X-KEY (RFC 8216bis, section 4.4.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// METHOD: `AES-128`, `SAMPLE-AES`…
    pub method: Arc<str>,
    /// Where the key is.
    pub url: Option<Arc<str>>,
    /// Initialisation vector as written, hexadecimal with `0x`.
    pub iv: Option<Arc<str>>,
    /// KEYFORMAT; `identity` when not given.
    pub format: Arc<str>,
}

/// EXT-X-PART (RFC 8216bis, section 4.4.4.9).
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Number of the segment that it belongs to: the next segment listed.
    pub sequence: u64,
    /// Counts from 0 in its segment.
    pub index: u32,
    /// Where it is.
    pub url: Arc<str>,
    /// Seconds.
    pub duration: f64,
    /// The part of the resource that it is.
    pub byte_range: Option<ByteRange>,
    /// INDEPENDENT=YES: decoding can begin here.
    pub independent: bool,
    /// GAP=YES: it is missing.
    pub gap: bool,
}

/// What an EXT-X-PRELOAD-HINT announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreloadHintKind {
    /// TYPE=PART.
    Part,
    /// TYPE=MAP.
    Map,
}

impl PreloadHintKind {
    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Map => "map",
        }
    }
}

/// EXT-X-PRELOAD-HINT (RFC 8216bis, section 4.4.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreloadHint {
    /// TYPE.
    pub kind: PreloadHintKind,
    /// Where it will be.
    pub url: Arc<str>,
    /// BYTERANGE-START; absent when the hint gives no range.
    pub first: Option<u64>,
    /// The last byte; absent when the length is not known yet.
    pub last: Option<u64>,
}

/// EXT-X-RENDITION-REPORT (RFC 8216bis, section 4.4.5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionReport {
    /// The other rendition's media playlist.
    pub url: Arc<str>,
    /// LAST-MSN: its last segment or, with parts, the one under way.
    pub last_sequence: Option<u64>,
    /// LAST-PART: index of its last part.
    pub last_part: Option<u64>,
}

/// EXT-X-SERVER-CONTROL (RFC 8216bis, section 4.4.3.8): only what the playlist says, no defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD.
    pub can_block_reload: Option<bool>,
    /// CAN-SKIP-UNTIL, seconds.
    pub can_skip_until: Option<f64>,
    /// HOLD-BACK, seconds.
    pub hold_back: Option<f64>,
    /// PART-HOLD-BACK, seconds.
    pub part_hold_back: Option<f64>,
}
