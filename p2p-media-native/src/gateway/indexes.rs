//! Segment indexes (`sidx`) of DASH presentations, fetched when a player begins to play from such a file.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use p2p_media_core::backend::{HttpBody as _, HttpFetcher as _, HttpRequest};
use p2p_media_core::media::Resource;

use super::presentation::Presentation;
use crate::http_fetcher::ReqwestFetcher;

/// Longest index: 12 bytes for each segment, of more than two days, and what may stand before it.
const MAX_INDEX_BYTES: u64 = 4 << 20;
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

/// The bytes of a resource, or more, and where they begin. A file may be shorter than the range that is asked for.
async fn fetch(http: &ReqwestFetcher, resource: &Resource) -> Result<(u64, Bytes), String> {
    let range = resource.byte_range;
    let request =
        HttpRequest { url: resource.url.clone(), first: range.map_or(0, |range| range.first), last: range.map(|range| range.last) };
    let (head, mut body) = http.fetch(request).await.map_err(|error| error.to_string())?;
    let first = match head.status {
        200 => 0,
        206 => head.range_first.or(range.map(|range| range.first)).unwrap_or(0),
        status => return Err(format!("the origin answered with status {status}")),
    };
    // An origin that ignores ranges sends the whole file.
    let wanted = range.map_or(MAX_INDEX_BYTES, |range| range.last.saturating_add(1).saturating_sub(first).min(MAX_INDEX_BYTES));
    let mut bytes = BytesMut::new();
    while (bytes.len() as u64) < wanted
        && let Some(chunk) = body.chunk().await.map_err(|error| error.to_string())?
    {
        bytes.extend_from_slice(&chunk);
    }
    Ok((first, bytes.freeze()))
}
