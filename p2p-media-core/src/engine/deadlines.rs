//! One table of timers: at most one per purpose.

use super::input::{ConnectionId, TrackerId};
use crate::media::{SegmentKey, StreamKey};
use crate::sorted_map::{SortedMap, SortedSet};
use crate::timestamp::Timestamp;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// A segment's source must be decided anew.
    Schedule(StreamKey),
    /// A transfer may have stalled.
    TransferStalled(SegmentKey),
    /// A tracker's websocket may be tried again.
    TrackerReconnect(TrackerId),
    /// A swarm must be announced to a tracker.
    Announce(TrackerId, StreamKey),
    /// A handshake took too long.
    HandshakeExpired(ConnectionId),
    /// The upload limit allows the next message.
    UploadPacing,
    /// The swarm of a stream that is no longer played is left.
    LeaveSwarm(StreamKey),
}

/// The timers that are set.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: SortedSet<(Timestamp, Deadline)>,
    by_purpose: SortedMap<Deadline, Timestamp>,
}

impl Deadlines {
    /// Sets a timer, replacing the one of the same purpose.
    pub(super) fn set(&mut self, purpose: Deadline, at: Timestamp) {
        if let Some(old) = self.by_purpose.insert(purpose, at) {
            if old == at {
                return;
            }
            self.by_time.remove(&(old, purpose));
        }
        self.by_time.insert((at, purpose));
    }

    /// Sets a timer unless it is set for an earlier time.
    pub(super) fn set_no_later(&mut self, purpose: Deadline, at: Timestamp) {
        if self.by_purpose.get(&purpose).is_none_or(|old| at < *old) {
            self.set(purpose, at);
        }
    }

    pub(super) fn cancel(&mut self, purpose: Deadline) {
        if let Some(at) = self.by_purpose.remove(&purpose) {
            self.by_time.remove(&(at, purpose));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.by_purpose.len()
    }

    /// Takes out the earliest timer that is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Deadline> {
        let (at, purpose) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.cancel(purpose);
        Some(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_has_one_timer_and_timers_come_in_order() {
        let (a, b) = (Deadline::UploadPacing, Deadline::Schedule(StreamKey(1)));
        let at = Timestamp::from_micros;
        let mut deadlines = Deadlines::default();
        deadlines.set(a, at(5));
        deadlines.set(b, at(7));
        deadlines.set(a, at(9));
        deadlines.set_no_later(a, at(10));
        assert_eq!(deadlines.next(), Some(at(7)));
        assert_eq!(deadlines.pop_due(at(6)), None);
        assert_eq!(deadlines.pop_due(at(10)), Some(b));
        assert_eq!(deadlines.pop_due(at(10)), Some(a));
        assert_eq!((deadlines.pop_due(at(10)), deadlines.next()), (None, None));
    }
}
