//! Connections that are being closed: a program that ends must not cut its farewells off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Longest wait for them: a peer that does not answer holds nobody up.
const FAREWELLS_LIMIT: Duration = Duration::from_millis(700);

/// Counts the connections whose other side is being told of the end. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Farewells(Arc<watch::Sender<usize>>);

/// A connection that is being closed, until this is dropped.
#[derive(Debug)]
pub(super) struct Farewell(Farewells);

impl Farewells {
    /// Resolves when no connection is being closed, or the time for it is over.
    pub async fn said(&self) {
        let mut count = self.0.subscribe();
        let _ = tokio::time::timeout(FAREWELLS_LIMIT, count.wait_for(|count| *count == 0)).await;
    }

    pub(super) fn begin(&self) -> Farewell {
        self.0.send_modify(|count| *count += 1);
        Farewell(self.clone())
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
