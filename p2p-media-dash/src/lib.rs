//! MPEG-DASH manifests (MPDs) for p2p-media: text in, facts out. No IO, no clock.
//!
//! - [`parse`] reads an MPD, tolerantly (ISO/IEC 23009-1): inheritance and BaseURL chains are resolved, nothing is expanded yet.
//! - [`Representation`] with [`Addressing`] says where segments are.
//! - [`PresentationTimeline`] turns versions of an MPD and the passing of time into differences of [`DashStream`]s, with ids that all viewers
//!   derive alike.
//! - [`rewrite_urls`] replaces URLs and leaves every other byte, [`apply_patch`] makes a version out of the one before it.

mod addressing;
mod base_url;
mod durations;
mod encoding;
mod error;
mod escape;
#[cfg(feature = "inspect")]
pub mod inspect;
mod language;
mod lookup;
mod mpd;
mod patch;
mod read;
mod read_descriptors;
mod read_period;
mod read_segments;
mod read_timeline;
mod read_values;
mod remarks;
mod rewrite;
mod sidx;
mod streams;
mod template;
mod timeline;
mod url_query;
mod xml;

pub use addressing::{MediaSegment, Places, SegmentPlace, Segments};
pub use error::MpdError;
pub use lookup::UrlMatch;
pub use mpd::*;
pub use patch::{PatchError, apply_patch};
pub use read::parse;
pub use rewrite::{UrlKind, UrlReference, rewrite_urls};
pub use sidx::{IndexError, IndexReader, IndexedSegment};
pub use streams::DashStream;
pub use timeline::{IndexId, IndexRequest, PresentationTimeline, SegmentDetails};

/// Longer texts are refused.
pub const MAX_MPD_BYTES: usize = 16 * 1024 * 1024;

/// Segments of one representation in one period, whatever a repeat count says: more than two days of 2-second segments.
pub const MAX_SEGMENTS: usize = 100_000;

/// Representations of one MPD, over all periods.
pub const MAX_REPRESENTATIONS: usize = 10_000;
