//! Plain HTTP for what is not shared with peers: initialization segments, and segments that the engine does not know.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use p2p_media_core::backend::{HttpBody as _, HttpFetcher as _, HttpRequest};
use p2p_media_core::media::ByteRange;
use p2p_media_core::peer_protocol::MAX_SEGMENT_BYTES;

use crate::http_fetcher::ReqwestFetcher;

/// An origin that sends nothing for this long has failed.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts in all, and the wait before the second; doubled before the third.
const ATTEMPTS: u32 = 3;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(200);

/// Why a resource was not had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResourceError {
    /// The origin does not have it, or refuses it; asking again is of no use.
    #[error("the origin answered with status {0}")]
    Status(u16),
    /// Anything that may be better next time.
    #[error("{0}")]
    Failed(String),
}

/// Fetches a resource or a part of it, with a few attempts.
pub(crate) async fn fetch_resource(http: &ReqwestFetcher, url: &str, range: Option<ByteRange>) -> Result<Bytes, ResourceError> {
    let bytes = fetch_up_to(http, url, range).await?;
    match range {
        Some(range) if (bytes.len() as u64) < range.len() => {
            Err(ResourceError::Failed("the origin sent less than the range asked for".to_owned()))
        }
        _ => Ok(bytes),
    }
}

/// As [`fetch_resource`], but where the resource ends within the range, up to its end.
pub(crate) async fn fetch_up_to(http: &ReqwestFetcher, url: &str, range: Option<ByteRange>) -> Result<Bytes, ResourceError> {
    let mut wait = FIRST_RETRY_WAIT;
    let mut attempt = 1;
    loop {
        match fetch_once(http, url, range).await {
            Err(error) if attempt < ATTEMPTS && error.may_pass() => tracing::debug!(url, %error, "asking the origin again"),
            outcome => return outcome,
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
        attempt += 1;
    }
}

async fn fetch_once(http: &ReqwestFetcher, url: &str, range: Option<ByteRange>) -> Result<Bytes, ResourceError> {
    let failed = |error: &dyn std::fmt::Display| ResourceError::Failed(error.to_string());
    let timed_out = |_| ResourceError::Failed(format!("the origin sent nothing for {} s", SILENCE_TIMEOUT.as_secs()));
    let (first, last) = (range.map_or(0, |range| range.first), range.map(|range| range.last));
    let request = HttpRequest { url: url.into(), first, last };
    let answer = tokio::time::timeout(SILENCE_TIMEOUT, http.fetch(request)).await.map_err(timed_out)?;
    let (head, mut body) = answer.map_err(|error| failed(&error))?;
    // A 200 to a range is the whole resource.
    let to_skip = match head.status {
        200 => usize::try_from(first).map_err(|error| failed(&error))?,
        206 if head.range_first.is_none_or(|begins| begins == first) => 0,
        206 => return Err(failed(&"the origin sent another range than asked for")),
        status => return Err(ResourceError::Status(status)),
    };
    let wanted_end = match range {
        Some(range) => usize::try_from(range.len()).ok().and_then(|len| to_skip.checked_add(len)),
        None => None,
    };
    let mut bytes = BytesMut::new();
    while let Some(chunk) = tokio::time::timeout(SILENCE_TIMEOUT, body.chunk()).await.map_err(timed_out)?.map_err(|error| failed(&error))? {
        if (bytes.len() + chunk.len()) as u64 > MAX_SEGMENT_BYTES {
            return Err(failed(&"too long for a segment"));
        }
        bytes.extend_from_slice(&chunk);
        if wanted_end.is_some_and(|end| end <= bytes.len()) {
            break;
        }
    }
    let bytes = bytes.freeze();
    let end = wanted_end.unwrap_or(bytes.len()).min(bytes.len());
    Ok(bytes.slice(to_skip.min(end)..end))
}

impl ResourceError {
    const fn may_pass(&self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::Status(status) => *status >= 500 || matches!(*status, 408 | 429),
        }
    }
}
