//! Segment indexes (`sidx`) of DASH presentations, fetched when a player begins to play from such a file.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::media::Resource;

use super::presentation::Presentation;
use crate::http_fetcher::ReqwestFetcher;
use crate::player::resource::fetch_up_to;

/// Longest time for one of them.
const INDEX_TIMEOUT: Duration = Duration::from_secs(10);
/// Indexes of one stream that are fetched for one request: one for each period, or a chain of them.
const MAX_INDEXES: usize = 256;
/// Longest time that a request for media waits. Later ones go to the origin until the index is there.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Begins to fetch what indexes a stream still needs, unless that is under way, and waits for them a while if asked to.
pub(super) async fn load(presentation: &Arc<Presentation>, http: &ReqwestFetcher, stream: usize, is_waited_for: bool) {
    let Some((mut coming, to_do)) = presentation.index_under_way(stream) else { return };
    if let Some(done) = to_do {
        let (presentation, http) = (Arc::clone(presentation), http.clone());
        tokio::spawn(async move {
            for _ in 0..MAX_INDEXES {
                let Some(request) = presentation.index_needed(stream) else { break };
                let fetched = tokio::time::timeout(INDEX_TIMEOUT, fetch(&http, &request.resource)).await;
                presentation.read_index(request.id, fetched.unwrap_or_else(|_| Err("the origin takes too long".to_owned())));
            }
            drop(done);
        });
    }
    if is_waited_for {
        // An error says that the sender is gone, which is what is waited for; nothing is ever sent.
        let _ = tokio::time::timeout(LONGEST_WAIT, coming.changed()).await;
    }
}

/// The bytes, and where they begin. A file may be shorter than the range that is asked for.
async fn fetch(http: &ReqwestFetcher, Resource { url, byte_range }: &Resource) -> Result<(u64, Bytes), String> {
    let bytes = fetch_up_to(http, url, *byte_range).await.map_err(|error| error.to_string())?;
    Ok((byte_range.map_or(0, |range| range.first), bytes))
}
