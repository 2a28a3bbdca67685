//! A rate that several transfers share, like that of a link or of a small server's uplink.

use std::{
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Timers are late by a millisecond, and by more on a busy machine. What comes so soon after the last byte left was held up by that, and the
/// time is not lost; a longer pause is one in which nobody had anything to send.
const LATENESS: Duration = Duration::from_millis(30);

/// Lets bytes through at a steady rate, first come first served.
#[derive(Debug)]
pub(crate) struct Pacer {
    bytes_per_second: NonZeroU64,
    /// When everything let through so far has left.
    free_at: Mutex<Instant>,
}

impl Pacer {
    pub(crate) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits as long as these bytes take after those before them.
    pub(crate) async fn pass(&self, bytes: usize) {
        let left = self.take(bytes);
        sleep_until(left).await;
    }

    /// Lets bytes go ahead of all others, who come so much later. Tells when they have left if they wait for those before them.
    pub(crate) fn take(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut free_at = self.free_at();
        let begins_at = if now.saturating_duration_since(*free_at) < LATENESS { *free_at } else { now };
        *free_at = begins_at + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        *free_at
    }

    fn free_at(&self) -> MutexGuard<'_, Instant> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn transfers_share_the_rate() {
        let pacer = Pacer::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        tokio::join!(pacer.pass(500), pacer.pass(1000));
        assert_eq!(start.elapsed().as_millis(), 1500);
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        pacer.pass(100).await;
        assert_eq!(start.elapsed().as_millis(), 100, "an idle time is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_timer_costs_nothing_and_what_goes_ahead_is_paid_for() {
        let pacer = Pacer::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        for _ in 0..10 {
            pacer.pass(100).await;
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        assert!((1000..1040).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        let start = Instant::now();
        pacer.take(200);
        pacer.pass(100).await;
        assert!((270..=300).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}
