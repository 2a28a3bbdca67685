//! Time from tokio's clock, so that tests may pause it.

use std::future::Future;
use std::time::Duration;

use p2p_media_core::backend::Clock;
use p2p_media_core::timestamp::Timestamp;
use tokio::time::Instant;

/// Longest single sleep; tokio's timer wheel reaches about two years.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3600);

/// Counts from its creation. Clones share the beginning.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: Instant,
}

impl TokioClock {
    /// A clock that shows zero now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    fn sleep_until(&self, deadline: Timestamp) -> impl Future<Output = ()> {
        tokio::time::sleep(deadline.since(self.now()).min(LONGEST_SLEEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeps_to_the_deadline_and_not_into_the_past() {
        let clock = TokioClock::new();
        clock.sleep_until(Timestamp::from_micros(1_500_000)).await;
        assert!(clock.now() >= Timestamp::from_micros(1_500_000) && clock.now() < Timestamp::from_micros(1_510_000));
        let before = clock.now();
        clock.sleep_until(Timestamp::ZERO).await;
        assert!(clock.now().since(before) < Duration::from_millis(10));
        assert!(tokio::time::timeout(Duration::from_secs(3600), clock.sleep_until(Timestamp::FAR_FUTURE)).await.is_err());
    }
}
