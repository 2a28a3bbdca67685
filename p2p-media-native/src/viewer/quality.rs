//! Which rendition is played: chosen, or the highest that the measured throughput carries.

use std::time::Duration;

use tokio::time::Instant;

use crate::player::Track;

/// What the network is taken to carry before anything was measured.
const INITIAL_BITS_PER_S: f64 = 5e6;
/// The share of the throughput that a rendition may need.
const SAFE_SHARE: f64 = 0.8;
/// Seconds of transfer after which a measurement counts half.
const HALF_LIFE_S: f64 = 4.0;
/// A longer silence within a segment is a wait for a source, not the network's speed.
const LONGEST_TRANSFER_PAUSE: Duration = Duration::from_millis(400);
/// A segment that came within this was here already.
const SHORTEST_TRANSFER: Duration = Duration::from_millis(2);
/// With less ahead than this, a higher rendition is not tried.
const SAFE_BUFFER_S: f64 = 8.0;

/// Which rendition is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// The highest that the throughput carries.
    #[default]
    Auto,
    /// Always the highest.
    Highest,
    /// Always the lowest.
    Lowest,
    /// The one with this picture height, or the nearest lower one.
    Height(u32),
}

impl std::str::FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "highest" => Ok(Self::Highest),
            "lowest" => Ok(Self::Lowest),
            _ => text
                .trim_end_matches('p')
                .parse()
                .map(Self::Height)
                .map_err(|_| "expected auto, highest, lowest or a height such as 720".into()),
        }
    }
}

/// How fast segments come once they come.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    bits: f64,
    seconds: f64,
}

/// One segment's transfer, chunk by chunk.
#[derive(Debug)]
pub(super) struct Transfer {
    last_chunk: Option<Instant>,
    bytes: u64,
    busy: Duration,
}

impl Throughput {
    /// Takes in a finished transfer. Waiting does not count, and what came out of storage says nothing.
    pub(super) fn add(&mut self, transfer: &Transfer) {
        let seconds = transfer.busy.as_secs_f64();
        if transfer.busy < SHORTEST_TRANSFER || transfer.bytes == 0 {
            return;
        }
        let keep = 0.5_f64.powf(seconds / HALF_LIFE_S);
        self.bits = self.bits * keep + transfer.bytes as f64 * 8.0;
        self.seconds = self.seconds * keep + seconds;
    }

    /// Playback ran dry: whatever was measured was too much.
    pub(super) fn distrust(&mut self) {
        if self.seconds > 0.0 {
            self.bits /= 2.0;
        } else {
            (self.bits, self.seconds) = (INITIAL_BITS_PER_S / 2.0, 1.0);
        }
    }

    fn bits_per_s(&self) -> f64 {
        // One second's worth of the first guess steadies the first measurements.
        (self.bits + INITIAL_BITS_PER_S) / (self.seconds + 1.0)
    }
}

impl Transfer {
    pub(super) const fn new() -> Self {
        Self { last_chunk: None, bytes: 0, busy: Duration::ZERO }
    }

    /// A chunk came. The first one starts the clock: what it carries took time that nobody saw.
    pub(super) fn chunk(&mut self, now: Instant, bytes: usize) {
        if let Some(last) = self.last_chunk.replace(now) {
            self.busy += now.duration_since(last).min(LONGEST_TRANSFER_PAUSE);
            self.bytes += bytes as u64;
        }
    }
}

/// The track to play next. `current` is what is played now, and the seconds ahead of the picture. `tracks` is not empty.
pub(super) fn choose<'t>(tracks: &'t [Track], quality: Quality, throughput: &Throughput, current: Option<(&Track, f64)>) -> &'t Track {
    let first = &tracks[0];
    // Other sets are other languages, angles or codecs.
    let set = current.map_or(first.switching_set, |(current, _)| current.switching_set);
    let tracks: Vec<&'t Track> = tracks.iter().filter(|track| track.switching_set == set).collect();
    let need = |track: &Track| track.bandwidth.unwrap_or(0);
    let height = |track: &Track| track.resolution.map_or(0, |(_, height)| height);
    let lowest = tracks.iter().copied().reduce(|a, b| if need(b) < need(a) { b } else { a });
    // Of equals (backup copies) the first.
    let highest_of = |fits: &dyn Fn(&Track) -> bool| {
        tracks.iter().copied().filter(|track| fits(track)).reduce(|a, b| if need(b) > need(a) { b } else { a })
    };
    let chosen = match quality {
        Quality::Lowest => lowest,
        Quality::Highest => highest_of(&|_| true),
        Quality::Height(limit) => highest_of(&|track| height(track) <= limit),
        Quality::Auto => {
            let carried = throughput.bits_per_s() * SAFE_SHARE;
            let limit = match current {
                Some((current, ahead_s)) if ahead_s < SAFE_BUFFER_S => carried.min(need(current) as f64),
                _ => carried,
            };
            highest_of(&|track| need(track) as f64 <= limit)
        }
    };
    chosen.or(lowest).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks() -> Vec<Track> {
        [(6_000_000, 1080), (3_000_000, 720), (800_000, 360)].map(|(bandwidth, height)| Track::for_tests(bandwidth, height)).to_vec()
    }

    fn chosen(quality: Quality, throughput: &Throughput, current: Option<(&Track, f64)>) -> Option<u32> {
        choose(&tracks(), quality, throughput, current).resolution.map(|(_, height)| height)
    }

    fn transfer(bytes: usize, chunks: u32, pause: Duration) -> Transfer {
        let mut transfer = Transfer::new();
        let began = Instant::now();
        (0..=chunks).for_each(|index| transfer.chunk(began + pause * index, bytes));
        transfer
    }

    #[test]
    fn a_fixed_choice_is_kept() {
        let throughput = Throughput::default();
        let choices = ["highest", "lowest", "720", "1000p", "100"].map(|text| chosen(text.parse().unwrap(), &throughput, None));
        assert_eq!(choices, [1080, 360, 720, 720, 360].map(Some));
        assert!("best".parse::<Quality>().is_err());
    }

    #[test]
    fn the_highest_that_the_throughput_carries_is_played() {
        let mut throughput = Throughput::default();
        assert_eq!(chosen(Quality::Auto, &throughput, None), Some(720), "before anything was measured");
        for _ in 0..10 {
            throughput.add(&transfer(10_000, 100, Duration::from_millis(5)));
        }
        assert_eq!(chosen(Quality::Auto, &throughput, None), Some(1080), "16 Mbit/s");
        let low = &tracks()[2];
        assert_eq!(chosen(Quality::Auto, &throughput, Some((low, 3.0))), Some(360), "not with a short buffer");
        assert_eq!(chosen(Quality::Auto, &throughput, Some((low, 20.0))), Some(1080));
        for _ in 0..10 {
            throughput.add(&transfer(10_000, 20, Duration::from_millis(50)));
        }
        assert_eq!(chosen(Quality::Auto, &throughput, None), Some(360), "1.6 Mbit/s");
    }

    #[test]
    fn waiting_and_storage_are_no_measure_of_the_network() {
        let mut throughput = Throughput::default();
        throughput.add(&transfer(1_000_000, 1, Duration::from_millis(1)));
        throughput.add(&transfer(0, 1, Duration::from_secs(1)));
        assert_eq!(throughput.bits_per_s(), INITIAL_BITS_PER_S);
        let mut waited = transfer(100_000, 10, Duration::from_millis(10));
        waited.chunk(Instant::now() + Duration::from_secs(30), 100_000);
        assert!(waited.busy < Duration::from_secs(1));
        throughput.distrust();
        assert!(throughput.bits_per_s() < INITIAL_BITS_PER_S);
    }
}
