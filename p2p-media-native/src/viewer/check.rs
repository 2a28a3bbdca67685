//! `--check`: every delivered segment is fetched once more from the origin, and the two are compared.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use p2p_media_core::media::ByteRange;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::lock;
use crate::http_fetcher::ReqwestFetcher;
use crate::player::fetch_resource;

/// Fetches at one time at the end.
const CONCURRENT_CHECKS: usize = 4;
/// A live segment is checked this long after it came: it was played by then, and has not left the window yet.
const LIVE_CHECK_DELAY: Duration = Duration::from_secs(8);

/// What was delivered.
#[derive(Debug, Default)]
pub(super) struct DeliveredSegments(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    segments: u64,
    bytes: u64,
    to_check: VecDeque<Delivered>,
    result: CheckResult,
}

/// A delivered segment, as much of it as is needed to check it.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    pub(super) url: Arc<str>,
    pub(super) byte_range: Option<ByteRange>,
    pub(super) sha256: [u8; 32],
    pub(super) at: Instant,
}

/// How the comparison went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckResult {
    /// Segments that were compared.
    pub(super) checked: u64,
    /// Segments that differed.
    pub(super) mismatched: u64,
    /// Segments that the origin did not give any more.
    pub(super) unchecked: u64,
}

impl DeliveredSegments {
    /// A segment was delivered; with its hash when it is to be checked.
    pub(super) fn add(&self, bytes: u64, to_check: Option<Delivered>) {
        let mut inner = lock(&self.0);
        inner.segments += 1;
        inner.bytes += bytes;
        inner.to_check.extend(to_check);
    }

    pub(super) fn segments(&self) -> u64 {
        lock(&self.0).segments
    }

    pub(super) fn bytes(&self) -> u64 {
        lock(&self.0).bytes
    }

    /// Checks segments of a live stream one by one before they expire. Never ends.
    pub(super) async fn check_while_live(&self, http: &ReqwestFetcher) {
        loop {
            let next = lock(&self.0).to_check.front().map(|delivered| delivered.at + LIVE_CHECK_DELAY);
            tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + LIVE_CHECK_DELAY)).await;
            let due = {
                let mut inner = lock(&self.0);
                let is_due = inner.to_check.front().is_some_and(|delivered| delivered.at + LIVE_CHECK_DELAY <= Instant::now());
                if is_due { inner.to_check.pop_front() } else { None }
            };
            if let Some(delivered) = due {
                self.note(compare(http, &delivered).await);
            }
        }
    }

    /// Checks what was not checked yet, unless told to stop.
    pub(super) async fn check_the_rest(&self, http: &ReqwestFetcher, stop: impl Future<Output = ()>) -> CheckResult {
        let rest = std::mem::take(&mut lock(&self.0).to_check);
        let count = rest.len() as u64;
        let before = lock(&self.0).result;
        let checks = futures::stream::iter(rest).map(|delivered| async move { compare(http, &delivered).await });
        let all = checks.buffer_unordered(CONCURRENT_CHECKS).for_each(async |outcome| self.note(outcome));
        tokio::select! {
            biased;
            () = stop => {}
            () = all => {}
        }
        let mut result = lock(&self.0).result;
        let done = result.checked + result.unchecked - before.checked - before.unchecked;
        result.unchecked += count - done;
        result
    }

    fn note(&self, outcome: Option<bool>) {
        let result = &mut lock(&self.0).result;
        match outcome {
            Some(is_equal) => {
                result.checked += 1;
                result.mismatched += u64::from(!is_equal);
            }
            None => result.unchecked += 1,
        }
    }
}

/// Whether the origin's bytes are the delivered ones; `None` when it does not give them.
async fn compare(http: &ReqwestFetcher, delivered: &Delivered) -> Option<bool> {
    match fetch_resource(http, &delivered.url, delivered.byte_range).await {
        Ok(bytes) => {
            let is_equal = delivered.sha256 == <[u8; 32]>::from(Sha256::digest(&bytes));
            if !is_equal {
                tracing::error!(url = &*delivered.url, "a delivered segment differs from the origin's");
            }
            Some(is_equal)
        }
        Err(error) => {
            tracing::warn!(url = &*delivered.url, %error, "a delivered segment could not be checked");
            None
        }
    }
}
