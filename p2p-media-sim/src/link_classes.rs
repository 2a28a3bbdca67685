//! How viewers are connected: classes of access links, and how common they are.

use serde::{Deserialize, Serialize};

use crate::network::AccessLink;
use crate::reachability::{Nat, Region};

/// A kind of access link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkClass {
    /// What it is called in reports.
    pub name: String,
    /// How many viewers have one, in proportion to the other classes.
    pub share: f64,
    /// Median Mbit/s towards the viewer; single lines differ.
    pub down_mbits: f64,
    /// Median Mbit/s from the viewer.
    pub up_mbits: f64,
    /// Milliseconds from the viewer to the middle of its region.
    pub latency_ms: f64,
    /// Share of packets lost.
    #[serde(default)]
    pub loss: f64,
}

impl LinkClass {
    fn new(name: &str, share: f64, down_mbits: f64, up_mbits: f64, latency_ms: f64, loss: f64) -> Self {
        Self { name: name.to_owned(), share, down_mbits, up_mbits, latency_ms, loss }
    }

    pub(crate) fn is_sensible(&self) -> bool {
        let loses_a_share = (0.0..1.0).contains(&self.loss);
        let is_rate = |value: f64| value > 0.0 && value <= 1e6;
        is_rate(self.share)
            && is_rate(self.down_mbits)
            && is_rate(self.up_mbits)
            && (0.0..=10_000.0).contains(&self.latency_ms)
            && loses_a_share
    }
}

/// The default mix.
///
/// Technologies: fixed lines as the OECD broadband statistics of December 2023 have them (fibre 42 %, DSL 20 %, the rest nearly all cable), which
/// carry four of five viewers here; one of five watches over a mobile network. Rates: mobile as the Speedtest Global Index of September
/// 2020 (36 Mbit/s down, 11 up, 40 ms there and back) so that they err on the low side today; the fixed classes are chosen such that their mean is
/// below that index's (86 down, 46 up), with the asymmetry usual for each technology. Loss is an assumption: little on lines, more on radio.
pub fn published_mix() -> Vec<LinkClass> {
    vec![
        LinkClass::new("fibre", 0.34, 100.0, 50.0, 6.0, 0.000_05),
        LinkClass::new("cable", 0.30, 100.0, 12.0, 12.0, 0.000_2),
        LinkClass::new("dsl", 0.16, 25.0, 5.0, 18.0, 0.000_2),
        LinkClass::new("mobile", 0.20, 36.0, 11.0, 20.0, 0.003),
    ]
}

/// Shares of the ways in which NATs map and filter UDP. Halkes and Pouwelse ("UDP NAT and Firewall Puncturing in the Wild", Delft University of
/// Technology, PDS-2010-007) found about 64 % of all peers behind a NAT that lets holes be punched; their other findings and common
/// practice are rounded here to tenths.
const NATS: [(Nat, f64); 5] =
    [(Nat::Open, 0.18), (Nat::RestrictedCone, 0.14), (Nat::PortRestrictedCone, 0.50), (Nat::Symmetric, 0.13), (Nat::Blocked, 0.05)];

/// Shares of the regions: most viewers of one broadcast are in one of them.
const REGIONS: [(Region, f64); 4] = [(Region(0), 0.6), (Region(1), 0.2), (Region(2), 0.12), (Region(3), 0.08)];

/// Lines of one class differ by up to this factor either way.
const SPREAD: f64 = 1.6;

/// Draws a line; gives the number of its class, too.
pub(crate) fn draw(classes: &[LinkClass], upload_scale: f64, random: &mut fastrand::Rng) -> (usize, AccessLink) {
    let class = pick(classes.iter().map(|class| class.share), random);
    let LinkClass { down_mbits, up_mbits, latency_ms, loss, .. } = &classes[class];
    let factor = SPREAD.powf(random.f64() * 2.0 - 1.0);
    let access = AccessLink::mbits(down_mbits * factor, up_mbits * factor * upload_scale, latency_ms / 1000.0 * (0.7 + 0.6 * random.f64()));
    let nat = NATS[pick(NATS.iter().map(|(_, share)| *share), random)].0;
    let region = REGIONS[pick(REGIONS.iter().map(|(_, share)| *share), random)].0;
    (class, AccessLink { loss: *loss, nat, region, ..access })
}

fn pick(shares: impl Iterator<Item = f64> + Clone, random: &mut fastrand::Rng) -> usize {
    let mut left = random.f64() * shares.clone().sum::<f64>();
    let last = shares.clone().count().saturating_sub(1);
    shares
        .take(last)
        .take_while(|share| {
            left -= share;
            left >= 0.0
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_by_their_shares() {
        let mut random = fastrand::Rng::with_seed(1);
        let mix = published_mix();
        let mut counts = vec![0; mix.len()];
        let mut up = 0.0;
        for _ in 0..10_000 {
            let (class, access) = draw(&mix, 1.0, &mut random);
            counts[class] += 1;
            up += access.up_bytes_per_s * 8e-6 / 10_000.0;
        }
        for (count, class) in counts.iter().zip(&mix) {
            assert!((f64::from(*count) / 10_000.0 - class.share).abs() < 0.02, "{} {count}", class.name);
        }
        assert!((20.0..27.0).contains(&up), "{up}");
    }
}
