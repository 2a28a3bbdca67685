//! What trackers do wrong, in the log: without one there are no peers, and whoever runs the program can do something about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use p2p_media_core::event::Event;

/// Warns once of each tracker that cannot be used: connecting is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct TrackerLog {
    /// As many as are configured, at most.
    warned_of: BTreeSet<Arc<str>>,
}

impl TrackerLog {
    /// Takes note of an event of a session; those of no tracker are passed over.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::TrackerError { tracker, error } if self.warned_of.insert(Arc::clone(tracker)) => {
                tracing::warn!(%tracker, error, "the tracker cannot be used; it is tried again");
            }
            Event::TrackerError { tracker, error } => tracing::info!(%tracker, error, "the tracker still cannot be used"),
            Event::TrackerWarning { tracker, warning } => tracing::warn!(%tracker, warning, "the tracker warns"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_is_warned_of_once() {
        let mut log = TrackerLog::default();
        for tracker in ["wss://a.example", "wss://b.example", "wss://a.example"] {
            log.note(&Event::TrackerError { tracker: Arc::from(tracker), error: "refused".to_owned() });
            log.note(&Event::TrackerWarning { tracker: Arc::from(tracker), warning: "slow down".to_owned() });
        }
        assert_eq!(log.warned_of.into_iter().collect::<Vec<_>>(), [Arc::from("wss://a.example"), Arc::from("wss://b.example")]);
    }
}
