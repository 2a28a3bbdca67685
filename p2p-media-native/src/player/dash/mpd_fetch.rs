//! Getting the versions of an MPD: whole, or as the difference to the one before.

use bytes::Bytes;
use p2p_media_dash::{Mpd, apply_patch, parse};

use crate::http_fetcher::ReqwestFetcher;
use crate::manifest_fetch::{FetchedManifest, fetch_manifest};
use crate::player::PlayerError;

/// A version of an MPD, read.
#[derive(Debug)]
pub(super) struct LoadedMpd {
    pub(super) mpd: Mpd,
    pub(super) source: MpdSource,
}

/// The text of a version of an MPD, and where it came from.
#[derive(Clone, Debug)]
pub(super) struct MpdSource {
    url: String,
    text: Bytes,
}

impl LoadedMpd {
    /// Reads what was fetched.
    pub(super) fn read(manifest: FetchedManifest) -> Result<Self, PlayerError> {
        let FetchedManifest { url, bytes: text } = manifest;
        match parse(&text, &url) {
            Ok(mpd) => Ok(Self { mpd, source: MpdSource { url, text } }),
            Err(reason) => Err(PlayerError::Mpd { url, reason }),
        }
    }
}

impl MpdSource {
    /// The MPD's own URL, after redirects.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Fetches the version after this one: the difference, if the server has it and it fits, else the whole from `next_url`.
    pub(super) async fn next(self, http: &ReqwestFetcher, patch_url: Option<&str>, next_url: &str) -> Result<LoadedMpd, PlayerError> {
        if let Some(patch_url) = patch_url {
            match self.patched(http, patch_url).await {
                Ok(loaded) => return Ok(loaded),
                Err(problem) => tracing::debug!(patch_url, problem, "the MPD is fetched as a whole"),
            }
        }
        let unavailable = |reason| PlayerError::Manifest { url: next_url.to_owned(), reason };
        LoadedMpd::read(fetch_manifest(http, next_url).await.map_err(unavailable)?)
    }

    async fn patched(&self, http: &ReqwestFetcher, patch_url: &str) -> Result<LoadedMpd, String> {
        let patch = fetch_manifest(http, patch_url).await.map_err(|error| error.to_string())?;
        let text = apply_patch(&self.text, &patch.bytes).map_err(|error| error.to_string())?;
        LoadedMpd::read(FetchedManifest { url: self.url.clone(), bytes: text.into() }).map_err(|error| error.to_string())
    }
}
