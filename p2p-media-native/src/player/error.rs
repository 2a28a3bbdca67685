//! Why a stream cannot be played: what, where, and whose fault.

use std::sync::Arc;

use p2p_media_core::config::ConfigError;
use p2p_media_core::error::SegmentError;
use p2p_media_core::session::SessionError;
use p2p_media_dash::{IndexError, MpdError};
use p2p_media_hls::PlaylistError;

use crate::backend::BackendError;
use crate::manifest_fetch::ManifestFetchError;

/// What a [`Player`](super::Player) cannot do. The text names the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayerError {
    /// The caller's fault: not a URL that can be fetched.
    #[error("{url}: not an http or https URL")]
    InvalidUrl {
        /// What was given.
        url: String,
    },
    /// The caller's fault: an option out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The platform: TLS, or an ICE server that is none.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The caller's fault: the session cannot be recorded there.
    #[error("{}: {reason}", path.display())]
    Recording {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// The origin does not give the manifest or a playlist.
    #[error("{url}: {reason}")]
    Manifest {
        /// Which.
        url: String,
        /// Why.
        reason: ManifestFetchError,
    },
    /// What the origin gives is no HLS playlist, or a broken one.
    #[error("{url}: {reason}")]
    Playlist {
        /// Which.
        url: String,
        /// What is wrong, and on which line.
        reason: PlaylistError,
    },
    /// What the origin gives begins like no manifest.
    #[error("{url}: neither an HLS playlist nor a DASH manifest")]
    UnknownFormat {
        /// Where.
        url: String,
    },
    /// What the origin gives is a broken DASH manifest.
    #[error("{url}: {reason}")]
    Mpd {
        /// Which.
        url: String,
        /// What is wrong.
        reason: MpdError,
    },
    /// The index of a DASH stream's segments cannot be read.
    #[error("{url}: {reason}")]
    SegmentIndex {
        /// The resource with the index.
        url: Arc<str>,
        /// What is wrong.
        reason: IndexError,
    },
    /// A multivariant playlist names another one where a media playlist is to be.
    #[error("{url}: a multivariant playlist where a media playlist is to be")]
    NestedMultivariant {
        /// The playlist that is named.
        url: String,
    },
    /// The playlist names nothing that can be played.
    #[error("{url}: no variant and no audio to play")]
    NothingToPlay {
        /// The manifest.
        url: String,
    },
    /// An initialization segment, or a segment that is not shared, cannot be had.
    #[error("{url}: {reason}")]
    Resource {
        /// Which.
        url: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A segment cannot be had from anywhere.
    #[error("{url}: {reason}")]
    Segment {
        /// Which.
        url: Arc<str>,
        /// Why.
        reason: SegmentError,
    },
    /// The player was closed.
    #[error(transparent)]
    Session(#[from] SessionError),
}
