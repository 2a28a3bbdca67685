//! Fetching a manifest: small, whole, bounded in size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::error_chain::error_chain;
use crate::http_fetcher::ReqwestFetcher;

/// Longest wait for a manifest, from the request to its last byte.
pub const MANIFEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer manifests are refused. Playlists of 20,000 segments with long signed URLs have about 6 MB.
pub const MAX_MANIFEST_BYTES: usize = p2p_media_hls::MAX_PLAYLIST_BYTES;

/// A manifest as the origin gave it.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// Its own URL, after redirects.
    pub url: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why a manifest could not be fetched; the origin's fault, or the network's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFetchError {
    /// No connection, or one that broke.
    #[error("{0}")]
    Network(String),
    /// An answer other than success.
    #[error("the origin answered with status {0}")]
    Status(u16),
    /// Nothing, or not everything, in time.
    #[error("the origin did not answer within {} s", MANIFEST_TIMEOUT.as_secs())]
    TimedOut,
    /// More than a manifest has.
    #[error("more than {MAX_MANIFEST_BYTES} bytes: not a manifest")]
    TooLong,
}

/// Fetches a manifest, following redirects.
///
/// # Errors
/// When the origin cannot be reached, answers with an error, or takes too long.
pub async fn fetch_manifest(http: &ReqwestFetcher, url: &str) -> Result<FetchedManifest, ManifestFetchError> {
    let network = |error: reqwest::Error| ManifestFetchError::Network(error_chain(&error.without_url()));
    let fetch = async {
        let mut response = http.client_for(url).get(url).send().await.map_err(network)?;
        if !response.status().is_success() {
            return Err(ManifestFetchError::Status(response.status().as_u16()));
        }
        let url = response.url().to_string();
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if bytes.len() + chunk.len() > MAX_MANIFEST_BYTES {
                return Err(ManifestFetchError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(FetchedManifest { url, bytes: bytes.freeze() })
    };
    tokio::time::timeout(MANIFEST_TIMEOUT, fetch).await.unwrap_or(Err(ManifestFetchError::TimedOut))
}
