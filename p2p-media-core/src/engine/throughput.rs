//! Meters: how fast a source has been, and how large the segments of a stream are.

use std::time::Duration;

/// Share of the newest measurement in the average.
const NEWEST_SHARE: f64 = 0.3;
/// Transfers shorter than this say more about the timer than about the link.
const SHORTEST_MEASURED: Duration = Duration::from_micros(500);
/// Parts of segments that are shorter are not measured.
const LEAST_MEASURED_BYTES: u64 = 65_536;

/// An exponentially weighted average; empty until the first measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Average(Option<f64>);

impl Average {
    pub(super) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.0 = Some(self.0.map_or(value, |old| old + (value - old) * NEWEST_SHARE));
        }
    }

    pub(super) const fn get(self) -> Option<f64> {
        self.0
    }
}

/// How fast one source answers and sends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SourceSpeed {
    /// Seconds from a request to its first byte.
    pub(super) response_s: Average,
    /// Bytes per second while a transfer runs.
    pub(super) bytes_per_s: Average,
}

impl SourceSpeed {
    /// Notes a transfer of `bytes` that ran for `time` after its first byte.
    pub(super) fn add_transfer(&mut self, bytes: u64, time: Duration) {
        if bytes > 0 {
            self.bytes_per_s.add(bytes as f64 / time.max(SHORTEST_MEASURED).as_secs_f64());
        }
    }

    /// Notes a transfer of a part of a segment: a short one says more about queues than about the source.
    pub(super) fn add_stretch(&mut self, bytes: u64, time: Duration) {
        if bytes >= LEAST_MEASURED_BYTES {
            self.add_transfer(bytes, time);
        }
    }

    /// Notes a first byte that came this long after the request, perhaps because there was nothing to send before: the source is no slower.
    pub(super) fn add_longest_response(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        if self.response_s.get().is_none_or(|average| seconds < average) {
            self.response_s.add(seconds);
        }
    }

    /// Notes a transfer that was perhaps held up by something before the source: the source is no slower.
    pub(super) fn add_slowest_transfer(&mut self, bytes: u64, time: Duration) {
        let rate = bytes as f64 / time.max(SHORTEST_MEASURED).as_secs_f64();
        if self.bytes_per_s.get().is_none_or(|average| rate > average) {
            self.add_transfer(bytes, time);
        }
    }

    /// Seconds that `bytes` would take from request to last byte; `None` while nothing has been measured.
    pub(super) fn estimate_s(&self, bytes: f64) -> Option<f64> {
        Some(self.response_s.get()? + bytes / self.bytes_per_s.get()?.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_follow_the_measurements() {
        let mut speed = SourceSpeed::default();
        assert_eq!(speed.estimate_s(1000.0), None);
        speed.response_s.add(0.1);
        speed.add_transfer(1000, Duration::from_secs(1));
        assert_eq!(speed.estimate_s(2000.0), Some(2.1));
        speed.add_transfer(0, Duration::from_secs(9));
        speed.add_transfer(2000, Duration::from_secs(1));
        assert_eq!(speed.bytes_per_s.get(), Some(1300.0));
        speed.add_slowest_transfer(1000, Duration::from_secs(1));
        speed.add_longest_response(Duration::from_secs(1));
        assert_eq!((speed.bytes_per_s.get(), speed.response_s.get()), (Some(1300.0), Some(0.1)));
        speed.add_slowest_transfer(2300, Duration::from_secs(1));
        speed.add_longest_response(Duration::ZERO);
        assert_eq!((speed.bytes_per_s.get(), speed.response_s.get()), (Some(1600.0), Some(0.07)));
    }
}
