//! HLS playlists for p2p-media: text in, facts out. No IO, no clock.
//!
//! - [`parse`] reads a multivariant or media playlist, tolerantly (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis).
//! - [`MultivariantPlaylist::streams`] says which streams viewers share and under which ids.
//! - [`StreamTimeline`] turns the versions of one media playlist into [`p2p_media_core::media::StreamUpdate`]s.
//! - [`MediaPlaylist::reload_url`] and its neighbours say how a live playlist is asked for again, also with low latency.
//! - [`rewrite_uris`] replaces URIs and leaves every other byte alone.
//! - `inspect` (with the feature of that name) shows a playlist as serialisable data.
//!
//! Lines are cut into tags by `quick-m3u8`; the layer above it is tolerant where real playlists need it, and fills in what tags inherit.

mod attributes;
mod codecs;
mod delivery;
mod error;
#[cfg(feature = "inspect")]
pub mod inspect;
mod lines;
mod numbers;
mod playlist;
mod read_media;
mod read_multivariant;
mod reader;
mod rewrite;
mod streams;
mod timeline;
mod timeline_parts;
mod uri;
mod variables;

pub use delivery::PlaylistPosition;
pub use error::PlaylistError;
pub use playlist::{
    Key, MediaPlaylist, MediaSegment, MultivariantPlaylist, Part, Playlist, PreloadHint, PreloadHintKind, Rendition, RenditionKind,
    RenditionReport, ServerControl, TrailingContext, Variant,
};
pub use reader::parse;
pub use rewrite::{UriKind, UriReference, rewrite_uris};
pub use streams::{PlaylistStream, StreamSource};
pub use timeline::StreamTimeline;
pub use timeline_parts::TimelinePart;
pub use variables::Variables;

/// Longer texts are refused. 20,000 segments with long signed URLs are about 6 MB.
pub const MAX_PLAYLIST_BYTES: usize = 16 * 1024 * 1024;

/// Segments, and likewise parts, of one playlist: more than two days of 2-second segments.
pub const MAX_SEGMENTS: usize = 100_000;

/// Variants, and likewise renditions, of one playlist.
pub const MAX_VARIANTS: usize = 10_000;

/// Key formats in force at once; real playlists have up to six DRM systems.
pub const MAX_KEY_FORMATS: usize = 16;

/// The greatest sequence number: the greatest integer that JavaScript players count exactly, less room for the segments of a playlist.
pub const MAX_MEDIA_SEQUENCE: u64 = (1 << 53) - 1 - 2 * MAX_SEGMENTS as u64;

/// Longer segments are refused: start times of a full playlist then stay exact to the millisecond.
pub const MAX_SEGMENT_DURATION_SECONDS: f64 = 1e7;
