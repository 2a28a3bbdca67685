//! Initialization segments (EXT-X-MAP): small, needed by every segment after them, never shared with peers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use p2p_media_core::media::Resource;

use super::PlayerError;
use super::resource::fetch_resource;
use crate::http_fetcher::ReqwestFetcher;

/// Initialization segments held: those of every rendition, and some more for streams whose advertisements bring their own.
const MAX_HELD: usize = 32;

/// Fetches initialization segments and keeps the latest.
#[derive(Debug)]
pub(super) struct InitSegments {
    http: ReqwestFetcher,
    held: Mutex<VecDeque<(Arc<Resource>, Bytes)>>,
}

impl InitSegments {
    pub(super) const fn new(http: ReqwestFetcher) -> Self {
        Self { http, held: Mutex::new(VecDeque::new()) }
    }

    pub(super) async fn get(&self, init: &Arc<Resource>) -> Result<Bytes, PlayerError> {
        if let Some((_, bytes)) = self.held().iter().find(|(held, _)| held == init) {
            return Ok(bytes.clone());
        }
        let fetched = fetch_resource(&self.http, &init.url, init.byte_range).await;
        let bytes = fetched.map_err(|error| PlayerError::Resource { url: Arc::clone(&init.url), reason: error.to_string() })?;
        let mut held = self.held();
        if held.len() == MAX_HELD {
            held.pop_front();
        }
        held.push_back((Arc::clone(init), bytes.clone()));
        Ok(bytes)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, VecDeque<(Arc<Resource>, Bytes)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
