//! How much one connection sends: a window towards its receiver, and SCTP's congestion control as far as it matters here.
//!
//! A connection begins with ten packets a round trip and doubles that every round trip (RFC 9260, 7.2.1). Loss keeps it below what Mathis,
//! Semke, Mahdavi and Ott found ("The macroscopic behavior of the TCP congestion avoidance algorithm", 1997): 1.22 packets a round trip over
//! the root of the share lost. At 40 ms and 1 % that is 0.37 MB/s, and 0.4 MB/s is what every stack was measured at. HTTP is spared this: its
//! connections are warm, and today's TCP bears loss well.

use std::collections::VecDeque;

use p2p_media_core::timestamp::Timestamp;

use crate::link::Packet;

/// Media bytes in one packet of WebRTC.
const PACKET_BYTES: f64 = 1200.0;
/// Packets that a connection sends at first in one round trip.
const FIRST_PACKETS: f64 = 10.0;
const MATHIS: f64 = 1.22;
/// What a connection has learned is halved for each retransmission time-out that it is idle; a second is the least that RFC 9260 allows.
const IDLE_HALVES_AFTER_S: f64 = 1.0;
/// Beyond this no window grows.
const LARGEST_WINDOW_BYTES: f64 = 2_097_152.0;

#[derive(Debug, Default)]
pub(crate) struct FlowControl {
    /// Bytes between the sender's queue and the receiver.
    pub(crate) under_way: usize,
    /// Packets in the hands of the sender's link.
    pub(crate) at_link: u32,
    /// Packets to this end that wait for its link.
    pub(crate) at_downlink: u32,
    pub(crate) waiting: VecDeque<Packet>,
    /// When the last small message that went beside the others left the sender.
    pub(crate) left_at: Timestamp,
    /// When the last packet that travels arrives. What is sent after it arrives after it, whatever became of the latency and of the order in
    /// which the events of one millisecond were taken.
    pub(crate) arrives_at: Timestamp,
    /// When the last byte that arrived at this end is through its link.
    pub(crate) through_at: Timestamp,
    /// When the next packet may leave.
    pub(crate) next_at: Timestamp,
    /// A timer for that is set.
    pub(crate) is_held_back: bool,
    grown_bytes: f64,
}

impl FlowControl {
    /// True when what is sent now leaves at once and comes after all that was sent before.
    pub(crate) fn is_idle_at_link(&self) -> bool {
        self.at_link == 0 && self.waiting.is_empty()
    }

    /// Notes that a packet begins to travel; gives the time at which it arrives, not before those of the flow that left before it.
    pub(crate) fn travels(&mut self, left_at: Timestamp, latency_s: f64) -> Timestamp {
        self.arrives_at = self.arrives_at.max(left_at.offset_secs(latency_s));
        self.arrives_at
    }

    /// Notes that a packet leaves, and when the next one may.
    pub(crate) fn sends(&mut self, now: Timestamp, bytes: usize, round_trip_s: f64, loss: f64) {
        let idle_s = now.since(self.next_at).as_secs_f64();
        if idle_s > IDLE_HALVES_AFTER_S {
            self.grown_bytes *= 0.5_f64.powf(idle_s / IDLE_HALVES_AFTER_S);
        }
        let rate = self.bytes_per_s(round_trip_s, loss);
        self.grown_bytes = (self.grown_bytes + bytes as f64).min(LARGEST_WINDOW_BYTES);
        self.next_at = self.next_at.max(now).offset_secs(bytes as f64 / rate);
    }

    fn bytes_per_s(&self, round_trip_s: f64, loss: f64) -> f64 {
        let grown = (FIRST_PACKETS * PACKET_BYTES + self.grown_bytes) / round_trip_s;
        let bound_by_loss = if loss > 0.0 { MATHIS * PACKET_BYTES / (round_trip_s * loss.sqrt()) } else { f64::INFINITY };
        grown.min(bound_by_loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_for(bytes: usize, round_trip_s: f64, loss: f64) -> f64 {
        let mut control = FlowControl::default();
        for _ in 0..bytes / 16_384 {
            control.sends(control.next_at, 16_384, round_trip_s, loss);
        }
        control.next_at.as_secs_f64()
    }

    #[test]
    fn loss_leaves_what_was_measured() {
        let rate = 8_000_000.0 / seconds_for(8_000_000, 0.04, 0.01);
        assert!((330_000.0..450_000.0).contains(&rate), "{rate}");
        assert!(8_000_000.0 / seconds_for(8_000_000, 0.04, 0.0) > 5_000_000.0);
    }

    #[test]
    fn a_connection_begins_slowly_and_forgets_what_it_learned() {
        let first = seconds_for(65_536, 0.1, 0.0);
        assert!((0.2..0.5).contains(&first), "{first}");
        let mut control = FlowControl::default();
        for _ in 0..100 {
            control.sends(control.next_at, 16_384, 0.1, 0.0);
        }
        let learned = control.bytes_per_s(0.1, 0.0);
        control.sends(control.next_at.offset_secs(10.0), 16_384, 0.1, 0.0);
        assert!(control.bytes_per_s(0.1, 0.0) < learned / 20.0);
    }
}
