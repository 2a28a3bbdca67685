//! `p2p-media-sim`: a population of viewers simulated, and what came of it; or a recorded session replayed.

use std::fs::File;
use std::io::{BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use p2p_media_recording::Recording;
use p2p_media_sim::chart::{Point, draw};
use p2p_media_sim::population::{Progress, run};
use p2p_media_sim::population_report::PopulationReport;
use p2p_media_sim::replay::replay;
use p2p_media_sim::scenario::Scenario;

/// Simulates viewers of one stream who share its segments, in virtual time and the same for the same seed.
#[derive(Debug, Parser)]
#[command(name = "p2p-media-sim", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    /// Scenario file (TOML); the options below go before what it says
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,

    /// Viewers at one time
    #[arg(long, value_name = "N")]
    viewers: Option<u32>,

    /// Simulated minutes
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,

    /// Equal seeds give equal runs
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A live stream
    #[arg(long, conflicts_with = "film")]
    live: bool,

    /// A film of so many minutes
    #[arg(long, value_name = "MINUTES")]
    film: Option<f64>,

    /// Seconds behind the newest segment's end at which live viewers play
    #[arg(long, value_name = "SECONDS")]
    latency: Option<f64>,

    /// Seconds of a segment
    #[arg(long, value_name = "SECONDS")]
    segment: Option<f64>,

    /// Parts of a live segment, for low-latency HLS
    #[arg(long, value_name = "N")]
    parts: Option<u32>,

    /// Mbit/s of each rendition, for example 1,3,6; players choose by throughput
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    mbits: Option<Vec<f64>>,

    /// All viewers come within so many seconds
    #[arg(long, value_name = "SECONDS")]
    arrive_within: Option<f64>,

    /// Viewers come at random times within these seconds, not evenly
    #[arg(long)]
    poisson: bool,

    /// File with the seconds at which viewers come and go
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Share of the viewers that leaves every minute, each followed by another
    #[arg(long, value_name = "SHARE")]
    churn: Option<f64>,

    /// Share of the viewers that uploads nothing
    #[arg(long, value_name = "SHARE")]
    free_riders: Option<f64>,

    /// Hostile peers, as a share of the viewers
    #[arg(long, value_name = "SHARE")]
    hostile: Option<f64>,

    /// Viewers check what peers send
    #[arg(long)]
    integrity: bool,

    /// All uplinks are so many times as fast
    #[arg(long, value_name = "FACTOR")]
    upload: Option<f64>,

    /// Mbit/s that the origin sends at most [default: no limit]
    #[arg(long, value_name = "RATE")]
    origin: Option<f64>,

    /// The same viewers as plain HTTP players
    #[arg(long)]
    no_p2p: bool,

    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Run once for each value of viewers, latency or upload, for example viewers=10,100,1000
    #[arg(long, value_name = "OPTION=VALUES", value_parser = parse_sweep)]
    sweep: Option<Sweep>,

    /// Draw the sweep's offload and rebuffering to this SVG file
    #[arg(long, value_name = "FILE", requires = "sweep")]
    chart: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have an engine do again what it did in a session that `p2p-media watch --record` recorded, and tell what it decided
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// The recording. There is no media in it: its place is taken by zeros, its lengths alone are compared
    file: PathBuf,

    /// Only say in the end what came of it
    #[arg(long)]
    quiet: bool,
}

/// What a sweep varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swept {
    Viewers,
    Latency,
    Upload,
}

#[derive(Clone, Debug)]
struct Sweep {
    option: Swept,
    values: Vec<f64>,
}

fn parse_sweep(text: &str) -> Result<Sweep, String> {
    let (option, values) = text.split_once('=').ok_or("expected OPTION=VALUES, for example viewers=10,100,1000")?;
    let option = match option {
        "viewers" => Swept::Viewers,
        "latency" => Swept::Latency,
        "upload" => Swept::Upload,
        other => return Err(format!("cannot sweep `{other}`, only viewers, latency and upload")),
    };
    let values =
        values.split(',').map(|value| value.parse::<f64>().map_err(|_| format!("`{value}` is no number"))).collect::<Result<_, _>>()?;
    Ok(Sweep { option, values })
}

impl Swept {
    const fn name(self) -> &'static str {
        match self {
            Self::Viewers => "viewers",
            Self::Latency => "seconds of latency",
            Self::Upload => "uplinks, times the usual",
        }
    }

    const fn set(self, scenario: &mut Scenario, value: f64) {
        match self {
            Self::Viewers => scenario.viewers = value as u32,
            Self::Latency => scenario.stream.latency_s = value,
            Self::Upload => scenario.upload_scale = value,
        }
    }
}

impl CommandLine {
    fn scenario(&self) -> Result<Scenario, String> {
        let read = self.scenario.as_deref().map(Scenario::read).transpose().map_err(|error| error.to_string())?;
        let mut scenario = read.unwrap_or_default();
        set(&mut scenario.viewers, self.viewers);
        set(&mut scenario.minutes, self.minutes);
        set(&mut scenario.seed, self.seed);
        scenario.stream.live = (scenario.stream.live || self.live) && self.film.is_none();
        set(&mut scenario.stream.film_minutes, self.film);
        set(&mut scenario.stream.latency_s, self.latency);
        set(&mut scenario.stream.segment_s, self.segment);
        set(&mut scenario.stream.parts, self.parts);
        set(&mut scenario.stream.mbits, self.mbits.clone());
        set(&mut scenario.arrivals.within_s, self.arrive_within);
        scenario.arrivals.poisson |= self.poisson;
        scenario.arrivals.trace = self.trace.clone().or(scenario.arrivals.trace);
        set(&mut scenario.behaviour.churn_per_minute, self.churn);
        set(&mut scenario.behaviour.free_riders, self.free_riders);
        set(&mut scenario.behaviour.hostile, self.hostile);
        scenario.behaviour.integrity |= self.integrity;
        set(&mut scenario.upload_scale, self.upload);
        set(&mut scenario.origin.mbits, self.origin);
        scenario.p2p &= !self.no_p2p;
        Ok(scenario)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome = match &command_line.command {
        Some(Command::Replay(args)) => replay_file(args),
        None => simulate(&command_line),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p2p-media-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(command_line: &CommandLine) -> Result<(), String> {
    let scenario = command_line.scenario()?;
    let Some(sweep) = &command_line.sweep else {
        let report = run_one(&scenario)?;
        print!("{report}");
        return command_line.json.as_deref().map_or(Ok(()), |path| write(path, &json(&report)?));
    };
    let mut reports = Vec::new();
    for value in &sweep.values {
        let mut scenario = scenario.clone();
        sweep.option.set(&mut scenario, *value);
        println!("{} {value}", sweep.option.name());
        let report = run_one(&scenario)?;
        println!("{report}");
        reports.push((*value, report));
    }
    if let Some(path) = &command_line.chart {
        let points: Vec<_> =
            reports.iter().map(|(at, report)| Point { at: *at, offload: report.offload, rebuffering: report.rebuffering_ratio }).collect();
        draw(path, sweep.option.name(), &points).map_err(|error| format!("cannot draw {}: {error}", path.display()))?;
    }
    let reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
    command_line.json.as_deref().map_or(Ok(()), |path| write(path, &json(&reports)?))
}

fn replay_file(args: &ReplayArgs) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", args.file.display());
    let file = File::open(&args.file).map_err(|error| named(&error))?;
    let recording = Recording::open(BufReader::new(file)).map_err(|error| named(&error))?;
    let report = replay(recording, |line| {
        if !args.quiet {
            println!("{line}");
        }
    });
    print!("{}", report.map_err(|error| named(&error))?);
    Ok(())
}

fn run_one(scenario: &Scenario) -> Result<PopulationReport, String> {
    let shows_progress = std::io::stderr().is_terminal();
    let report = run(scenario, true, |progress| {
        if shows_progress {
            show(progress);
        }
    });
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    report.map_err(|error| error.to_string())
}

fn show(Progress { simulated_s, of_s, viewers, offload }: Progress) {
    eprint!("\r\x1b[K{simulated_s:.0} of {of_s:.0} s, {viewers} viewers, offload {offload:.3}");
    // A terminal that takes no progress must not stop the run.
    let _ = std::io::stderr().flush();
}

fn json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
