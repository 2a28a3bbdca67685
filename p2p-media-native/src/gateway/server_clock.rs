//! The clock of an origin, from the `Date` of its answers: which segments of a live presentation are there depends on it.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::{AGE, DATE};

/// Answers that are remembered. Each shows a clock that is late by up to a second and by the way of the answer, so the latest is the best.
const OBSERVATIONS: usize = 8;

/// How far an origin's clock is ahead of ours.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerClock {
    ahead_s: VecDeque<f64>,
}

impl ServerClock {
    /// Notes what an answer of just now says of the time, in seconds since 1970.
    pub(super) fn note(&mut self, told: f64) {
        if self.ahead_s.len() >= OBSERVATIONS {
            self.ahead_s.pop_front();
        }
        self.ahead_s.push_back(told - own_time());
    }

    /// The time there, in seconds since 1970: not later than it is, unless our own clock jumps.
    pub(super) fn now(&self) -> f64 {
        own_time() + self.ahead_s.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0)
    }
}

/// When an answer was made, as its headers say, in seconds since 1970. One out of a cache has lain there for its `Age` (RFC 9111, section
/// 5.1).
pub(super) fn time_of_answer(headers: &HeaderMap) -> Option<f64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u32>().ok()).unwrap_or(0);
    Some((date.duration_since(UNIX_EPOCH).ok()? + Duration::from_secs(age.into())).as_secs_f64())
}

fn own_time() -> f64 {
    // A clock before 1970 is not set; nothing live can be made of it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_latest_of_the_last_observations_counts() {
        let mut clock = ServerClock::default();
        assert!((clock.now() - own_time()).abs() < 0.5);
        for ahead in [-3600.0, -100.0, -100.9, -100.5] {
            clock.note(own_time() + ahead);
        }
        assert!((clock.now() - own_time() + 100.0).abs() < 0.5);
        for _ in 0..OBSERVATIONS {
            clock.note(own_time() - 200.0);
        }
        assert!((clock.now() - own_time() + 200.0).abs() < 0.5, "a clock that was put back is followed");
    }

    #[test]
    fn a_cached_answer_is_as_old_as_it_says() {
        let mut headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"))]);
        assert_eq!(time_of_answer(&headers), Some(784_111_777.0));
        headers.insert(AGE, HeaderValue::from_static("10"));
        assert_eq!(time_of_answer(&headers), Some(784_111_787.0));
        headers.insert(DATE, HeaderValue::from_static("now"));
        assert_eq!(time_of_answer(&headers), None);
    }
}
