//! A scenario brought to life: who comes when, over which line, and what each does.

use p2p_media_core::config::{Config, StreamConfig};
use p2p_media_core::media::{StreamKey, StreamKind};

use crate::content::{Extent, Latency, Presentation, StreamModel};
use crate::hostile::hostile_peer;
use crate::link_classes::{LinkClass, draw, published_mix};
use crate::network::AccessLink;
use crate::origin::Failure;
use crate::player::PlayerOptions;
use crate::population_report::{PopulationReport, Sample};
use crate::scenario::{Scenario, ScenarioError};
use crate::simulation::{NodeId, Simulation, TRACKER_URL};
use crate::viewer::ViewerOptions;

/// Seconds between two samples of the totals.
const SAMPLE_S: f64 = 5.0;
/// Segments in a live playlist.
const LIVE_WINDOW: i64 = 10;
/// Storage of one viewer: some minutes of video, as a page would have.
const STORAGE_BYTES: u64 = 256 << 20;
/// How long a pause lasts, and how far back viewers of a live stream seek.
const PAUSE_S: f64 = 20.0;
const LIVE_SEEK_BACK_S: f64 = 4.0;
/// How long the line is busy with other things, and free of them, on average.
const BACKGROUND_S: f64 = 20.0;
/// The share of the line that other traffic takes.
const BACKGROUND_SHARE: f64 = 0.5;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Simulated seconds, of all.
    pub simulated_s: f64,
    /// Seconds to simulate.
    pub of_s: f64,
    /// Viewers present.
    pub viewers: usize,
    /// The share of the bytes that did not come from the origin, so far.
    pub offload: f64,
}

/// One viewer's stay.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stay {
    from_s: f64,
    until_s: f64,
}

/// Runs a scenario.
///
/// # Errors
/// When the scenario makes no sense, or its trace cannot be read.
pub fn run(scenario: &Scenario, measure_engine: bool, progress: impl FnMut(Progress) + Send) -> Result<PopulationReport, ScenarioError> {
    scenario.validate()?;
    // On one of the threads that take turns: else each millisecond's turns would be handed over to another.
    rayon::scope(|_| simulate(scenario, measure_engine, progress))
}

fn simulate(scenario: &Scenario, measure_engine: bool, mut progress: impl FnMut(Progress)) -> Result<PopulationReport, ScenarioError> {
    let begin = std::time::Instant::now();
    let mut simulation = Simulation::new(scenario.seed, presentation(scenario));
    simulation.run_in_batches();
    simulation.network.has_congestion = true;
    simulation.measures_engine = measure_engine;
    let rate = if scenario.origin.mbits > 0.0 { scenario.origin.mbits * 125_000.0 } else { f64::INFINITY };
    simulation.set_origin_rate(rate);
    for outage in &scenario.origin.outages {
        simulation.origin().fail_between(Failure::Down, outage.from_s, outage.from_s + outage.for_s);
    }
    for outage in &scenario.tracker_outages {
        simulation.at(outage.from_s, |simulation| simulation.tracker_goes_down(TRACKER_URL));
        simulation.at(outage.from_s + outage.for_s, |simulation| simulation.tracker_comes_back(TRACKER_URL));
    }
    let end_s = scenario.minutes * 60.0;
    let mut random = fastrand::Rng::with_seed(scenario.seed);
    let classes = if scenario.links.is_empty() { published_mix() } else { scenario.links.clone() };
    for stay in stays(scenario, &mut random)? {
        plan_viewer(&mut simulation, scenario, &classes, stay, &mut random);
    }
    let main_bytes = scenario.stream.mbits.last().copied().unwrap_or(1.0) * 125_000.0 * scenario.stream.segment_s;
    for number in 0..(f64::from(scenario.viewers) * scenario.behaviour.hostile).round() as u64 {
        let stream = StreamKey((number % scenario.stream.mbits.len() as u64) as u32);
        let peer = hostile_peer(number, stream, main_bytes as u64);
        simulation.add_scripted_peer(random.f64() * scenario.arrivals.within_s.max(1.0), peer);
    }
    let mut samples = vec![Sample::default()];
    while let Some(last) = samples.last().copied().filter(|last| last.at_s < end_s) {
        let at_s = (last.at_s + SAMPLE_S).min(end_s);
        simulation.run_until(at_s);
        let (origin_bytes, delivered_bytes, viewers) = simulation.totals();
        samples.push(Sample { at_s, origin_bytes, delivered_bytes, viewers });
        let offload = 1.0 - origin_bytes as f64 / (delivered_bytes as f64).max(1.0);
        progress(Progress { simulated_s: at_s, of_s: end_s, viewers, offload });
    }
    Ok(PopulationReport::new(scenario, &simulation.report(), samples, begin.elapsed()))
}

fn presentation(scenario: &Scenario) -> Presentation {
    let stream = &scenario.stream;
    let model = |mbits: &f64| {
        let live = StreamModel::live(stream.segment_s, mbits * 1e6);
        let model = if stream.live {
            StreamModel { extent: Extent::Live(LIVE_WINDOW), ..live }
        } else {
            StreamModel::vod(stream.film_minutes * 60.0, stream.segment_s, mbits * 1e6)
        };
        let latency = if stream.parts > 0 && stream.live { Latency::Parts(i64::from(stream.parts)) } else { Latency::Ordinary };
        StreamModel { kind: StreamKind::Main, latency, ..model }
    };
    Presentation::new(stream.mbits.iter().map(model).collect())
}

/// Who is there from when until when, in the order of coming.
fn stays(scenario: &Scenario, random: &mut fastrand::Rng) -> Result<Vec<Stay>, ScenarioError> {
    let end_s = scenario.minutes * 60.0;
    let mut stays = Vec::new();
    if let Some(path) = &scenario.arrivals.trace {
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Unreadable { path: path.clone(), error })?;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
            let numbers: Option<Vec<f64>> =
                line.split_whitespace().map(|word| word.parse().ok().filter(|seconds| (0.0..=604_800.0).contains(seconds))).collect();
            match numbers.as_deref() {
                Some([from_s]) => stays.push(Stay { from_s: *from_s, until_s: f64::INFINITY }),
                Some([from_s, until_s]) => stays.push(Stay { from_s: *from_s, until_s: *until_s }),
                _ => return Err(ScenarioError::Trace { path: path.clone(), line: index + 1 }),
            }
        }
    } else {
        let per_second = scenario.behaviour.churn_per_minute / 60.0;
        for index in 0..scenario.viewers {
            let share = if scenario.arrivals.poisson { random.f64() } else { f64::from(index) / f64::from(scenario.viewers) };
            let mut from_s = share * scenario.arrivals.within_s;
            // Whoever leaves is followed by another.
            while from_s < end_s {
                let until_s = if per_second > 0.0 { from_s + exponential(1.0 / per_second, random) } else { f64::INFINITY };
                stays.push(Stay { from_s, until_s });
                from_s = until_s;
            }
        }
    }
    stays.retain(|stay| stay.from_s < end_s);
    stays.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
    Ok(stays)
}

fn exponential(mean: f64, random: &mut fastrand::Rng) -> f64 {
    -mean * (1.0 - random.f64()).ln()
}

fn plan_viewer(simulation: &mut Simulation, scenario: &Scenario, classes: &[LinkClass], stay: Stay, random: &mut fastrand::Rng) {
    let (_, access) = draw(classes, scenario.upload_scale, random);
    let options = options(scenario, access, random);
    let (vanishes, has_background) = (random.bool(), random.f64() < scenario.behaviour.background);
    let mut habits = Habits { random: random.fork(), scenario: scenario.clone(), access };
    simulation.at(stay.from_s, move |simulation| {
        let node = simulation.add_viewer(stay.from_s, options);
        let until_s = stay.until_s.min(habits.scenario.minutes * 60.0);
        habits.plan_pauses_and_seeks(simulation, node, stay.from_s, until_s);
        if has_background {
            habits.plan_background(simulation, node, stay.from_s, until_s);
        }
        if stay.until_s.is_finite() && stay.until_s < habits.scenario.minutes * 60.0 {
            simulation.at(stay.until_s, move |simulation| {
                if vanishes {
                    simulation.vanish(node);
                } else {
                    simulation.leave(node);
                }
                simulation.forget_viewer(node);
            });
        }
    });
}

fn options(scenario: &Scenario, access: AccessLink, random: &mut fastrand::Rng) -> ViewerOptions {
    let behaviour = &scenario.behaviour;
    let uploads_nothing = random.f64() < behaviour.free_riders || random.f64() < behaviour.metered;
    let main = StreamConfig {
        p2p_disabled: !scenario.p2p,
        p2p_upload_disabled: uploads_nothing,
        validate_p2p_segment: behaviour.integrity,
        ..StreamConfig::default()
    };
    let config =
        Config { announce_trackers: vec![TRACKER_URL.to_owned()], segment_storage_limit_bytes: STORAGE_BYTES, main, ..Config::default() };
    let rates = scenario.stream.mbits.iter().enumerate().map(|(index, mbits)| (StreamKey(index as u32), mbits * 1e6));
    let ladder: Vec<_> = if scenario.stream.mbits.len() > 1 { rates.collect() } else { Vec::new() };
    let start_s = if scenario.stream.live { scenario.stream.latency_s } else { 0.0 };
    let player = PlayerOptions { buffer_goal_s: scenario.stream.buffer_s, start_s, ladder };
    ViewerOptions { config, access, plays: vec![StreamKey(0)], player }
}

/// What one viewer does while it is there.
struct Habits {
    random: fastrand::Rng,
    scenario: Scenario,
    access: AccessLink,
}

impl Habits {
    /// Times of things that happen so often a minute.
    fn times(&mut self, per_minute: f64, from_s: f64, until_s: f64) -> Vec<f64> {
        if per_minute <= 0.0 {
            return Vec::new();
        }
        let random = &mut self.random;
        let mut at_s = from_s;
        let next = || {
            at_s += exponential(60.0 / per_minute, random);
            (at_s < until_s).then_some(at_s)
        };
        std::iter::from_fn(next).collect()
    }

    fn plan_pauses_and_seeks(&mut self, simulation: &mut Simulation, node: NodeId, from_s: f64, until_s: f64) {
        let film_s = self.scenario.stream.film_minutes * 60.0;
        let is_live = self.scenario.stream.live;
        for at_s in self.times(self.scenario.behaviour.pauses_per_minute, from_s + 10.0, until_s) {
            simulation.at(at_s, move |simulation| simulation.if_present(node, |simulation| simulation.pause(node)));
            simulation.at(at_s + PAUSE_S, move |simulation| simulation.if_present(node, |simulation| simulation.resume(node)));
        }
        for at_s in self.times(self.scenario.behaviour.seeks_per_minute, from_s + 10.0, until_s) {
            let share = self.random.f64();
            simulation.at(at_s, move |simulation| {
                simulation.if_present(node, |simulation| {
                    let position_s = simulation.viewer(node).player.playback.position_s;
                    let to_s = if is_live { (position_s - LIVE_SEEK_BACK_S * share).max(0.0) } else { film_s * share };
                    simulation.seek(node, to_s);
                });
            });
        }
    }

    fn plan_background(&mut self, simulation: &mut Simulation, node: NodeId, from_s: f64, until_s: f64) {
        let access = self.access;
        let left = 1.0 - BACKGROUND_SHARE;
        let shared =
            AccessLink { down_bytes_per_s: access.down_bytes_per_s * left, up_bytes_per_s: access.up_bytes_per_s * left, ..access };
        for (index, at_s) in self.times(60.0 / BACKGROUND_S, from_s, until_s).into_iter().enumerate() {
            let access = if index % 2 == 0 { shared } else { access };
            simulation.at(at_s, move |simulation| simulation.if_present(node, |simulation| simulation.set_access(node, access)));
        }
    }
}
