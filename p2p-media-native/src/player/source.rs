//! Where the player learns what a track holds: HLS playlists or a DASH manifest, behind one interface.

use std::sync::Arc;

use p2p_media_core::identity::{manifest_swarm_base, stream_swarm_id};
use p2p_media_core::media::StreamKind;
use p2p_media_core::session::Session;
use tokio::sync::watch;

use super::PlayerError;
use super::dash::Presentation;
use super::hls::Playlists;
use super::track_version::TrackVersion;
use super::tracks::Track;
use crate::http_fetcher::ReqwestFetcher;
use crate::manifest_fetch::FetchedManifest;
use crate::manifest_format::ManifestFormat;

/// What every source works with.
#[derive(Debug)]
pub(super) struct SourceContext {
    pub(super) session: Session,
    pub(super) http: ReqwestFetcher,
    pub(super) live: LiveOptions,
    /// What swarm ids begin with: the label of the protocol's version, and the name of the manifest.
    pub(super) swarm_label: String,
    pub(super) swarm_base: Option<String>,
}

/// How live streams are played.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveOptions {
    /// Wanted seconds behind the edge.
    pub(super) latency: Option<f64>,
    /// Parts of segments are used; `None`: where they are of use.
    pub(super) low_latency: Option<bool>,
}

/// A presentation of either format.
#[derive(Debug)]
pub(super) enum Source {
    Hls(Arc<Playlists>),
    Dash(Arc<Presentation>),
}

impl Source {
    /// Reads a manifest, and tells what it offers.
    ///
    /// # Errors
    /// When it is neither an HLS playlist nor a DASH MPD, is broken, or offers nothing.
    pub(super) async fn open(mut context: SourceContext, manifest: FetchedManifest) -> Result<(Self, Vec<Track>), PlayerError> {
        let url = manifest.url.clone();
        context.swarm_base.get_or_insert_with(|| manifest_swarm_base(&url).to_owned());
        let (source, tracks) = match ManifestFormat::of(&manifest.bytes) {
            Some(ManifestFormat::Hls) => {
                let (playlists, tracks) = Playlists::new(context, &manifest)?;
                (Self::Hls(Arc::new(playlists)), tracks)
            }
            Some(ManifestFormat::Dash) => {
                let (presentation, tracks) = Presentation::new(context, manifest).await?;
                (Self::Dash(Arc::new(presentation)), tracks)
            }
            None => return Err(PlayerError::UnknownFormat { url }),
        };
        if tracks.is_empty() { Err(PlayerError::NothingToPlay { url }) } else { Ok((source, tracks)) }
    }

    /// What a track holds. A live one is kept up to date while somebody holds a receiver.
    ///
    /// # Errors
    /// When its playlist, or the index of its segments, cannot be had or read, or the session has ended.
    pub(super) async fn open_track(&self, track: &Track) -> Result<watch::Receiver<Arc<TrackVersion>>, PlayerError> {
        match self {
            Self::Hls(playlists) => Arc::clone(playlists).open_track(track).await,
            Self::Dash(presentation) => Arc::clone(presentation).open_track(track).await,
        }
    }
}

impl SourceContext {
    /// The swarm that a stream is shared in.
    pub(super) fn swarm_id(&self, kind: StreamKind, stream_id: &str) -> Arc<str> {
        stream_swarm_id(&self.swarm_label, self.swarm_base.as_deref().unwrap_or_default(), kind, stream_id).into()
    }
}
