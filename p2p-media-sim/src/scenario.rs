//! A population as a scenario file describes it (TOML), and as options of the command line change it.

use serde::{Deserialize, Serialize};

use crate::link_classes::LinkClass;

/// Everything about a run. What a file leaves out is as [`Scenario::default`] has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for the report.
    pub name: String,
    /// Equal seeds give equal runs.
    pub seed: u64,
    /// Viewers at one time; of a film that is watched from the beginning, all that come.
    pub viewers: u32,
    /// Simulated minutes.
    pub minutes: f64,
    /// What is broadcast.
    pub stream: StreamScenario,
    /// When viewers come.
    pub arrivals: Arrivals,
    /// What viewers do.
    pub behaviour: Behaviour,
    /// How viewers are connected; the mix of [`crate::link_classes::published_mix`] when empty.
    pub links: Vec<LinkClass>,
    /// All uplinks are so many times as fast.
    pub upload_scale: f64,
    /// The origin.
    pub origin: OriginScenario,
    /// When the tracker is down.
    pub tracker_outages: Vec<Outage>,
    /// False for the same population as plain HTTP players.
    pub p2p: bool,
}

/// What is broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamScenario {
    /// Live, else a film.
    pub live: bool,
    /// Seconds behind the newest segment's end at which viewers play. Live only.
    pub latency_s: f64,
    /// Seconds of a segment.
    pub segment_s: f64,
    /// Parts of a segment, for low-latency HLS; 0 for none.
    pub parts: u32,
    /// Mbit/s of each rendition, rising. With more than one players choose by throughput.
    pub mbits: Vec<f64>,
    /// Minutes of the film.
    pub film_minutes: f64,
    /// Seconds of media that players keep ahead.
    pub buffer_s: f64,
}

/// When viewers come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arrivals {
    /// All come within so many seconds, evenly; at random times when `poisson`.
    pub within_s: f64,
    /// Independently of each other.
    pub poisson: bool,
    /// A file with the seconds at which viewers come, and go if a second number follows, one a line, in place of the above.
    pub trace: Option<std::path::PathBuf>,
}

/// What viewers do. Shares are of the viewers, from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Share that leaves every minute, each followed at once by another.
    pub churn_per_minute: f64,
    /// Pauses of 20 s a minute and viewer.
    pub pauses_per_minute: f64,
    /// Seeks a minute and viewer: anywhere in a film, a little back in a live stream.
    pub seeks_per_minute: f64,
    /// Share with uploading switched off.
    pub free_riders: f64,
    /// Share on metered links, which never upload.
    pub metered: f64,
    /// Hostile peers beside the viewers, as a share of them: wrong data, wrong lengths, empty promises.
    pub hostile: f64,
    /// Viewers check what peers send.
    pub integrity: bool,
    /// Share of the viewers with other traffic on their line, which takes half of it half of the time.
    pub background: f64,
}

/// The origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OriginScenario {
    /// Mbit/s that it sends at most; without limit when 0.
    pub mbits: f64,
    /// When it is down.
    pub outages: Vec<Outage>,
}

/// A time in which something does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Seconds from the beginning.
    pub from_s: f64,
    /// Seconds that it lasts.
    pub for_s: f64,
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no scenario.
    #[error("{path}: {error}")]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// A line of a trace is not one or two numbers.
    #[error("{path}:{line}: expected the seconds at which a viewer comes, and perhaps goes")]
    Trace {
        /// The file.
        path: std::path::PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A number makes no sense.
    #[error("`{option}` must be {expected}")]
    Invalid {
        /// Its name in scenario files.
        option: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

impl Outage {
    fn is_sensible(&self) -> bool {
        [self.from_s, self.for_s].iter().all(|seconds| (0.0..=604_800.0).contains(seconds))
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "live".to_owned(),
            seed: 1,
            viewers: 100,
            minutes: 2.0,
            stream: StreamScenario::default(),
            arrivals: Arrivals::default(),
            behaviour: Behaviour::default(),
            links: Vec::new(),
            upload_scale: 1.0,
            origin: OriginScenario::default(),
            tracker_outages: Vec::new(),
            p2p: true,
        }
    }
}

impl Default for StreamScenario {
    fn default() -> Self {
        Self { live: true, latency_s: 6.0, segment_s: 2.0, parts: 0, mbits: vec![3.0], film_minutes: 10.0, buffer_s: 30.0 }
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { within_s: 60.0, poisson: false, trace: None }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// When it cannot be read or is no scenario.
    pub fn read(path: &std::path::Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Unreadable { path: path.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| ScenarioError::Malformed { path: path.to_owned(), error: Box::new(error) })
    }

    /// Finds numbers that make no sense.
    ///
    /// # Errors
    /// The first one.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let up_to = |value: f64, most: f64| value > 0.0 && value <= most;
        let from_zero_to = |value: f64, most: f64| (0.0..=most).contains(&value);
        let Behaviour { churn_per_minute, pauses_per_minute, seeks_per_minute, free_riders, metered, hostile, background, .. } =
            &self.behaviour;
        let mut outages = self.tracker_outages.iter().chain(&self.origin.outages);
        let rules = [
            ((1..=1_000_000).contains(&self.viewers), "viewers", "between 1 and 1,000,000"),
            (up_to(self.minutes, 10_080.0), "minutes", "more than 0 and at most a week"),
            (up_to(self.upload_scale, 1000.0), "upload_scale", "more than 0 and at most 1000"),
            ((0.2..=60.0).contains(&self.stream.segment_s), "stream.segment_s", "between 0.2 and 60"),
            (from_zero_to(self.stream.latency_s, 600.0), "stream.latency_s", "between 0 and 600"),
            (from_zero_to(self.stream.buffer_s, 600.0), "stream.buffer_s", "between 0 and 600"),
            (up_to(self.stream.film_minutes, 1440.0), "stream.film_minutes", "more than 0 and at most a day"),
            (self.stream.parts <= 100, "stream.parts", "at most 100"),
            (
                (1..=32).contains(&self.stream.mbits.len()) && self.stream.mbits.iter().all(|rate| up_to(*rate, 1000.0)),
                "stream.mbits",
                "1 to 32 rates above 0 and at most 1000",
            ),
            (self.stream.mbits.is_sorted(), "stream.mbits", "in rising order"),
            (from_zero_to(self.arrivals.within_s, 604_800.0), "arrivals.within_s", "between 0 and a week"),
            (share(*churn_per_minute), "behaviour.churn_per_minute", "between 0 and 1"),
            (from_zero_to(*pauses_per_minute, 60.0), "behaviour.pauses_per_minute", "between 0 and 60"),
            (from_zero_to(*seeks_per_minute, 60.0), "behaviour.seeks_per_minute", "between 0 and 60"),
            (share(*free_riders), "behaviour.free_riders", "between 0 and 1"),
            (share(*metered), "behaviour.metered", "between 0 and 1"),
            (share(*hostile), "behaviour.hostile", "between 0 and 1"),
            (share(*background), "behaviour.background", "between 0 and 1"),
            (from_zero_to(self.origin.mbits, 1e9), "origin.mbits", "at least 0"),
            (outages.all(Outage::is_sensible), "outages", "times in seconds from 0 to a week"),
            (self.links.iter().all(LinkClass::is_sensible), "links", "classes with a share and rates above 0"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, option, expected)) => Err(ScenarioError::Invalid { option, expected }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_need_only_say_what_differs_and_mistakes_are_found() {
        let scenario: Scenario =
            toml::from_str("viewers = 7\n[stream]\nlatency_s = 10\n[[tracker_outages]]\nfrom_s = 1\nfor_s = 2").unwrap();
        assert_eq!((scenario.viewers, scenario.stream.latency_s, scenario.stream.segment_s), (7, 10.0, 2.0));
        assert!(scenario.validate().is_ok());
        assert!(toml::from_str::<Scenario>("viewer = 7").is_err());
        let none = Scenario { viewers: 0, ..Scenario::default() };
        assert_eq!(none.validate().unwrap_err().to_string(), "`viewers` must be between 1 and 1,000,000");
        for minutes in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Scenario { minutes, ..Scenario::default() }.validate().is_err());
        }
        let endless = StreamScenario { segment_s: f64::INFINITY, ..StreamScenario::default() };
        assert!(Scenario { stream: endless, ..Scenario::default() }.validate().is_err());
        let origin = OriginScenario { outages: vec![Outage { from_s: f64::NAN, for_s: 1.0 }], ..OriginScenario::default() };
        assert!(Scenario { origin, ..Scenario::default() }.validate().is_err());
    }

    #[test]
    fn the_examples_are_scenarios() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            Scenario::read(&file).and_then(|scenario| scenario.validate()).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
