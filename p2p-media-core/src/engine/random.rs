//! The engine's only source of randomness: a generator that its seed determines (SplitMix64), and the hash that ranks peers.

/// A seeded generator.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn bytes20(&mut self) -> [u8; 20] {
        let mut bytes = [0; 20];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
        bytes
    }
}

/// A number that every viewer computes alike from the same bytes and number, spread evenly.
pub(super) fn spread(bytes: &[u8], number: u64) -> u64 {
    bytes.iter().fold(mix(number), |hash, byte| mix(hash ^ u64::from(*byte)))
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| a.next() == b.next()));
        assert!((0..100).all(|_| (0.0..1.0).contains(&a.fraction())));
    }

    #[test]
    fn ranks_spread_evenly() {
        let first = (0..1000).filter(|segment| spread(b"peer-a", *segment) < spread(b"peer-b", *segment)).count();
        assert!((400..600).contains(&first), "{first}");
    }
}
