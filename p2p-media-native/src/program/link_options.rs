//! The options that give a viewer a slower link than the machine has.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::limited_link::LinkLimits;

/// Bytes per second of one Mbit/s.
const BYTES_PER_MBIT: f64 = 125_000.0;
/// Faster links than this are none.
const MOST_MBITS: f64 = 100_000.0;

/// What a viewer's link can do, for tests and trials.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "A slower link, for tests and trials")]
pub struct LinkOptions {
    /// Mbit/s of media towards a viewer, from the origin and from peers together [default: no limit]
    #[arg(long, value_name = "MBIT/S", value_parser = parse_mbits)]
    pub link_down: Option<NonZeroU64>,

    /// Mbit/s of media from a viewer. The engine does not know of it, as it does of --upload-limit [default: no limit]
    #[arg(long, value_name = "MBIT/S", value_parser = parse_mbits)]
    pub link_up: Option<NonZeroU64>,

    /// Wait before each request for a segment to the origin
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub link_delay: u64,
}

impl LinkOptions {
    /// The link that the options describe.
    pub const fn limits(&self) -> LinkLimits {
        LinkLimits { down: self.link_down, up: self.link_up, http_delay: Duration::from_millis(self.link_delay) }
    }
}

/// Bytes per second, of Mbit/s on the command line.
fn parse_mbits(text: &str) -> Result<NonZeroU64, String> {
    let mbits = text.parse().ok().filter(|mbits: &f64| *mbits > 0.0 && *mbits <= MOST_MBITS);
    let rate = mbits.and_then(|mbits| NonZeroU64::new((mbits * BYTES_PER_MBIT) as u64));
    rate.ok_or_else(|| format!("expected a number of Mbit/s greater than zero, at most {MOST_MBITS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_mbits() {
        assert_eq!(parse_mbits("8").unwrap().get(), 1_000_000);
        assert_eq!(parse_mbits("0.5").unwrap().get(), 62_500);
        assert!(["0", "-1", "0.000001", "nan", "inf", "8M", ""].iter().all(|text| parse_mbits(text).is_err()));
    }
}
