//! The server's clock (UTCTiming, ISO/IEC 23009-1, section 5.8.4.11), which says what is available.

use std::time::{Duration, SystemTime};

use p2p_media_core::date_time::parse_date_time;
use p2p_media_dash::{Mpd, UtcTiming};
use reqwest::header::DATE;

use crate::http_fetcher::ReqwestFetcher;

/// Longest wait for the time: without it the clock of this machine is used.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// A date is short.
const MAX_DATE_BYTES: usize = 256;

/// This machine's clock, corrected by what a server said once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    /// Seconds that the server is ahead.
    offset_s: f64,
}

impl ServerClock {
    /// Asks for the time where a live MPD says; the first that answers is believed.
    pub(super) async fn of(http: &ReqwestFetcher, mpd: &Mpd) -> Self {
        if !mpd.live {
            return Self::default();
        }
        let ask = async {
            for timing in &mpd.utc_timings {
                let before = seconds_since_1970();
                if let Some(server) = ask(http, timing).await.filter(|seconds| seconds.is_finite()) {
                    // The answer was made about halfway.
                    return Some(server - f64::midpoint(before, seconds_since_1970()));
                }
            }
            None
        };
        let offset_s = tokio::time::timeout(CLOCK_TIMEOUT, ask).await.ok().flatten().unwrap_or_default();
        tracing::debug!(offset_s, "the server's clock");
        Self { offset_s }
    }

    /// Seconds since 1970 by the server's clock.
    pub(super) fn now(&self) -> f64 {
        seconds_since_1970() + self.offset_s
    }
}

async fn ask(http: &ReqwestFetcher, timing: &UtcTiming) -> Option<f64> {
    match timing {
        UtcTiming::Direct(seconds) => Some(*seconds),
        UtcTiming::HttpBody(url) => {
            let mut response = http.client_for(url).get(&**url).send().await.ok()?.error_for_status().ok()?;
            let mut text = Vec::new();
            while let Some(chunk) = response.chunk().await.ok()? {
                text.extend_from_slice(&chunk);
                if text.len() > MAX_DATE_BYTES {
                    return None;
                }
            }
            parse_date_time(std::str::from_utf8(&text).ok()?.trim())
        }
        UtcTiming::HttpHead(url) => {
            let response = http.client_for(url).head(&**url).send().await.ok()?;
            let date = httpdate::parse_http_date(response.headers().get(DATE)?.to_str().ok()?).ok()?;
            // Whole seconds, cut off.
            Some(since_1970(date) + 0.5)
        }
    }
}

fn seconds_since_1970() -> f64 {
    since_1970(SystemTime::now())
}

fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
