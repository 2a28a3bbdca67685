//! Time as the engine sees it: microseconds since the session began. The engine reads no clock; every input carries the time.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Microseconds since the session began. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of the session.
    pub const ZERO: Self = Self(0);
    /// Later than any time a session reaches: "never" in a table of deadlines.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The time `micros` microseconds after the session began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the session began.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Seconds since the session began.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The time `seconds` from now; negative means earlier. Never before the session began, and NaN means now.
    pub fn offset_secs(self, seconds: f64) -> Self {
        Self((self.0 as f64 + seconds * 1e6).max(0.0) as u64).or_if_nan(seconds, self)
    }

    fn or_if_nan(self, seconds: f64, otherwise: Self) -> Self {
        if seconds.is_nan() { otherwise } else { self }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Timestamp::FAR_FUTURE + Duration::from_secs(1), Timestamp::FAR_FUTURE);
        assert_eq!(Timestamp::ZERO - Duration::from_secs(1), Timestamp::ZERO);
        assert_eq!(Timestamp::ZERO.since(Timestamp::from_micros(5)), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(5).offset_secs(-1.0), Timestamp::ZERO);
        assert_eq!(Timestamp::from_micros(5).offset_secs(f64::NAN), Timestamp::from_micros(5));
    }
}
