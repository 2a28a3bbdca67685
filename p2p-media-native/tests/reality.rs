//! The reality check of the simulator: eight real viewers on limited links, and the same ones simulated, share as much and stall as often.
#![cfg(feature = "program")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use p2p_media_core::media::{SegmentId, SegmentKey, StreamKey};
use p2p_media_native::origin_server::{LiveConfig, OriginConfig, OriginServer};
use p2p_media_native::tracker_server::{TrackerConfig, TrackerServer};
use p2p_media_sim::content::{Extent, Presentation, StreamModel};
use p2p_media_sim::network::AccessLink;
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;
use tokio::process::{Child, Command};
use tokio::time::Instant;

const VIEWERS: u32 = 8;
/// Seconds of a segment.
const SEGMENT_S: f64 = 2.0;
/// Segments of the stream, which is repeated without end.
const SEGMENTS: i64 = 30;
/// Seconds that a playlist shows.
const WINDOW_S: u64 = 30;
/// Seconds behind the edge.
const LATENCY_S: f64 = 6.0;
/// When the first viewer comes, the seconds until the next one does, and how long each stays.
const FIRST_S: f64 = 0.7;
const APART_S: f64 = 1.1;
const STAY_S: f64 = 30.0;
/// Who fetches what from the origin is a matter of chance, by which the simulated share differs by up to 0.05: it is the mean of several runs.
const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];
/// How far the shares of bytes that did not come from the origin may be apart.
const AGREEMENT: f64 = 0.07;
/// Far more than a viewer's farewell takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Mbit/s of the stream, and of each viewer's link.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    stream: f64,
    down: f64,
    up: f64,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    offload: f64,
    stalls: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulator_agrees_with_reality() {
    // Uplinks that carry the stream four times, which is still less than viewers could use, and such that cannot carry it once.
    for scenario in [Scenario { stream: 2.0, down: 20.0, up: 8.0 }, Scenario { stream: 3.0, down: 20.0, up: 2.0 }] {
        let played = played(scenario).await;
        let simulated = SEEDS.map(|seed| simulated(scenario, seed));
        let offload = simulated.iter().map(|outcome| outcome.offload).sum::<f64>() / simulated.len() as f64;
        println!("{scenario:?}: {played:?}, simulated {offload:.3} {simulated:?}");
        assert!((played.offload - offload).abs() <= AGREEMENT, "{scenario:?}: {played:?}, simulated {offload}");
        assert!(simulated.iter().all(|outcome| outcome.stalls == played.stalls), "{scenario:?}: {played:?}, simulated {simulated:?}");
    }
}

fn stream(scenario: Scenario) -> Presentation {
    let extent = Extent::Live((WINDOW_S as f64 / SEGMENT_S) as i64);
    Presentation::new(vec![StreamModel { extent, ..StreamModel::live(SEGMENT_S, scenario.stream * 1e6) }])
}

fn simulated(scenario: Scenario, seed: u64) -> Outcome {
    let mut simulation = Simulation::new(seed, stream(scenario));
    simulation.set_origin_latency(0.0);
    for index in 0..VIEWERS {
        let at_s = FIRST_S + f64::from(index) * APART_S;
        let node = simulation.add_viewer(at_s, ViewerOptions::live(LATENCY_S).on(AccessLink::mbits(scenario.down, scenario.up, 0.0)));
        simulation.at(at_s + STAY_S, move |simulation| simulation.leave(node));
    }
    simulation.run_until(FIRST_S + f64::from(VIEWERS) * APART_S + STAY_S);
    let report = simulation.report();
    println!("{report}");
    Outcome { offload: report.offload(), stalls: report.stalls() }
}

/// Real processes, real WebRTC, this machine's loopback interface.
async fn played(scenario: Scenario) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    make_media(scenario, folder.path());
    let live = LiveConfig { window: Duration::from_secs(WINDOW_S), ..LiveConfig::default() };
    let origin = OriginServer::bind(OriginConfig { live: Some(live), ..OriginConfig::new(folder.path()) }).await.unwrap();
    let began = Instant::now();
    let config = TrackerConfig { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..TrackerConfig::default() };
    let tracker = TrackerServer::bind(config).await.unwrap().spawn();
    let mut viewers = Vec::new();
    for index in 0..VIEWERS {
        tokio::time::sleep_until(began + Duration::from_secs_f64(FIRST_S + f64::from(index) * APART_S)).await;
        viewers.push(viewer(scenario, &origin.url("v.m3u8"), tracker.url(), &report_of(folder.path(), index)));
    }
    let (mut delivered, mut stalls) = (0, 0);
    for (viewer, index) in viewers.into_iter().zip(0..) {
        let ended = tokio::time::timeout(Duration::from_secs_f64(STAY_S) + PATIENCE, viewer.wait_with_output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "viewer {index}: {}", String::from_utf8_lossy(&ended.stderr));
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report_of(folder.path(), index)).unwrap()).unwrap();
        println!("viewer {index}: {report}");
        assert!(report["startup_ms"].is_f64() && report["errors"].as_array().is_some_and(Vec::is_empty), "viewer {index}: {report}");
        delivered += report["delivered_bytes"].as_u64().unwrap();
        stalls += report["stalls"].as_u64().unwrap();
    }
    let offload = 1.0 - origin.stats().segments.bytes as f64 / delivered as f64;
    tracker.shutdown().await;
    origin.shutdown().await;
    Outcome { offload, stalls }
}

/// The simulated segments as files.
fn make_media(scenario: Scenario, folder: &Path) {
    let presentation = stream(scenario);
    let mut playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n");
    for id in 0..SEGMENTS {
        let bytes = presentation.bytes_of(SegmentKey { stream: StreamKey(0), id: SegmentId(id) });
        std::fs::write(folder.join(format!("{id}.ts")), bytes).unwrap();
        write!(playlist, "#EXTINF:{SEGMENT_S},\n{id}.ts\n").unwrap();
    }
    std::fs::write(folder.join("v.m3u8"), playlist + "#EXT-X-ENDLIST\n").unwrap();
}

fn viewer(scenario: Scenario, url: &str, tracker: &str, report: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p-media"));
    command.args(["watch", url, "--tracker", tracker, "--seconds", &STAY_S.to_string(), "--latency", &LATENCY_S.to_string()]);
    command.args(["--link-down", &scenario.down.to_string(), "--link-up", &scenario.up.to_string()]).arg("--json").arg(report);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

fn report_of(folder: &Path, index: u32) -> std::path::PathBuf {
    folder.join(format!("viewer{index}.json"))
}
