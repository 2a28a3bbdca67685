//! One number over everything that an engine was told: equal runs have equal hashes.

use std::hash::{Hash, Hasher};

use p2p_media_core::engine::input::Input;
use p2p_media_core::timestamp::Timestamp;

/// FNV-1a, which is the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct EventHash(u64);

impl EventHash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) const fn value(&self) -> u64 {
        self.0
    }

    /// Notes an input of an engine by its kind, its id and its size.
    pub(crate) fn note(&mut self, now: Timestamp, input: &Input) {
        now.hash(self);
        std::mem::discriminant(input).hash(self);
        match input {
            Input::SegmentRequested { request, segment } => (request, segment).hash(self),
            Input::HttpChunk(id, bytes) => (id, bytes.len()).hash(self),
            Input::PeerMessage(id, bytes) => (id, bytes.len()).hash(self),
            Input::PeerSent(id, bytes) => (id, bytes).hash(self),
            Input::TrackerMessage(id, text) => (id, text).hash(self),
            _ => {}
        }
    }
}

impl Hasher for EventHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
