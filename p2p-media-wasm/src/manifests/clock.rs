//! The clock of an origin, from the `Date` of its answers: which segments of a live presentation are there depends on it.

use std::collections::VecDeque;

/// Answers that are remembered. Each shows a clock that is late by up to a second and by the way of the answer, so the latest is the best.
const OBSERVATIONS: usize = 8;

/// How far an origin's clock is ahead of the browser's, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerClock {
    ahead: VecDeque<f64>,
}

impl ServerClock {
    /// Notes what an answer of now says of the time.
    pub(super) fn note(&mut self, told: f64, now: f64) {
        if !(told - now).is_finite() {
            return;
        }
        if self.ahead.len() >= OBSERVATIONS {
            self.ahead.pop_front();
        }
        self.ahead.push_back(told - now);
    }

    /// The time there when it is `now` here; the same where nothing is known.
    pub(super) fn at(&self, now: f64) -> f64 {
        now + self.ahead.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_the_last_observations_counts() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.at(1000.0), 1000.0);
        for told in [0.0, 900.0, 899.5, f64::NAN] {
            clock.note(told, 1000.0);
        }
        assert_eq!(clock.at(1001.0), 901.0);
        for _ in 0..OBSERVATIONS {
            clock.note(800.0, 1000.0);
        }
        assert_eq!(clock.at(1000.0), 800.0, "a clock that was put back is followed");
    }
}
