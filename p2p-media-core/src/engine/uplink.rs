//! How much our uplink carries, as far as uploads have shown.

use crate::timestamp::Timestamp;

/// A measurement takes this long; shorter bursts say more about queues than about the link.
const MEASURED_S: f64 = 0.4;
/// Share of the newest measurement when it is below the average.
const NEWEST_SHARE: f64 = 0.2;
/// What was measured is forgotten after this long without uploads, so that nobody is taken for weak for ever.
const FORGOTTEN_AFTER_S: f64 = 90.0;

/// A meter of the uplink.
#[derive(Debug)]
pub(super) struct Uplink {
    bytes_per_s: Option<f64>,
    measured_at: Timestamp,
    busy_since: Option<Timestamp>,
    busy_bytes: usize,
}

impl Uplink {
    pub(super) const fn new() -> Self {
        Self { bytes_per_s: None, measured_at: Timestamp::ZERO, busy_since: None, busy_bytes: 0 }
    }

    /// Something is handed out.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.busy_since.is_none() {
            self.busy_since = Some(now);
            self.busy_bytes = 0;
        }
    }

    /// What was measured just now does not count.
    pub(super) const fn stop(&mut self) {
        self.busy_since = None;
    }

    /// Bytes have left. One receiver alone may be what limits the rate; then only a higher rate than known counts.
    pub(super) fn sent(&mut self, now: Timestamp, bytes: usize, receivers: usize, is_busy: bool) {
        let Some(since) = self.busy_since else { return };
        self.busy_bytes = self.busy_bytes.saturating_add(bytes);
        let seconds = now.since(since).as_secs_f64();
        if seconds >= MEASURED_S {
            let rate = self.busy_bytes as f64 / seconds;
            let before = self.bytes_per_s(now);
            let is_more = before.is_some_and(|before| rate > before);
            if is_more || receivers > 1 {
                self.bytes_per_s = Some(before.filter(|_| !is_more).map_or(rate, |before| before + (rate - before) * NEWEST_SHARE));
                self.measured_at = now;
            }
            self.busy_since = Some(now);
            self.busy_bytes = 0;
        }
        if !is_busy {
            self.busy_since = None;
        }
    }

    /// Bytes per second; `None` while nothing is known.
    pub(super) fn bytes_per_s(&self, now: Timestamp) -> Option<f64> {
        self.bytes_per_s.filter(|_| now.since(self.measured_at).as_secs_f64() < FORGOTTEN_AFTER_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uplink_is_measured_while_it_is_busy() {
        let at = |seconds: f64| Timestamp::ZERO.offset_secs(seconds);
        let mut uplink = Uplink::new();
        let mut send = |from: f64, rate: usize, receivers| {
            uplink.begin(at(from));
            (1..=10).for_each(|step| uplink.sent(at(from + f64::from(step) * 0.1), rate / 10, receivers, step < 10));
            uplink.bytes_per_s(at(from + 1.0)).map(f64::round)
        };
        assert_eq!(send(0.0, 1000, 1), None);
        assert_eq!(send(10.0, 1000, 2), Some(1000.0));
        // One slow receiver says nothing, one fast receiver does.
        assert_eq!(send(20.0, 100, 1), Some(1000.0));
        assert_eq!(send(30.0, 2000, 1), Some(2000.0));
        assert!(send(40.0, 1000, 3).is_some_and(|rate| rate < 2000.0));
        assert_eq!(uplink.bytes_per_s(at(200.0)), None);
    }
}
