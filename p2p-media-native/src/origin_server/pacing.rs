//! A rate limit that all responses of an origin share, like the uplink of a small server.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Lets bytes through at a steady rate, first come first served.
#[derive(Debug)]
pub(super) struct Pacer {
    bytes_per_second: NonZeroU64,
    /// When everything let through so far has left.
    free_at: Mutex<Instant>,
}

impl Pacer {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits as long as these bytes take after those before them.
    pub(super) async fn pass(&self, bytes: usize) {
        let left = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = Instant::now().max(*free_at) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
            *free_at
        };
        sleep_until(left).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn responses_share_the_rate() {
        let pacer = Pacer::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        tokio::join!(pacer.pass(500), pacer.pass(1000));
        assert_eq!(start.elapsed().as_millis(), 1500);
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        pacer.pass(100).await;
        assert_eq!(start.elapsed().as_millis(), 100, "an idle time is not saved up");
    }
}
