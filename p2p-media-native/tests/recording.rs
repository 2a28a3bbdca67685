//! Real sessions are recorded, and an engine in the simulator does the same again.
#![cfg(feature = "program")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

use std::fs::File;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use p2p_media_core::config::Config;
use p2p_media_native::origin_server::{OriginConfig, OriginServer};
use p2p_media_native::player::PlayerConfig;
use p2p_media_native::tracker_server::{TrackerConfig, TrackerServer};
use p2p_media_native::viewer::{ViewerConfig, ViewerReport, ViewerStatus, watch};
use p2p_media_recording::Recording;
use p2p_media_sim::replay::{ReplayError, ReplayReport, replay};
use tokio::sync::watch as watched;

/// Far more than any of these takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn origin() -> OriginServer {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/media");
    OriginServer::bind(OriginConfig::new(media)).await.unwrap()
}

/// A viewer whose session is recorded.
fn recorded(tracker: &str, file: &Path) -> ViewerConfig {
    let engine = Config { announce_trackers: vec![tracker.to_owned()], ice_servers: Vec::new(), ..Config::default() };
    let player = PlayerConfig { engine, record: Some(file.to_owned()), ..PlayerConfig::default() };
    ViewerConfig { player, ..ViewerConfig::default() }
}

fn replayed(file: &Path) -> (Result<ReplayReport, ReplayError>, Vec<String>) {
    let recording = Recording::open(BufReader::new(File::open(file).unwrap())).unwrap();
    let mut told = Vec::new();
    let report = replay(recording, |line| told.push(line.to_owned()));
    (report, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_viewers_are_recorded_and_do_the_same_again() {
    let (origin, folder) = (origin().await, tempfile::tempdir().unwrap());
    let config = TrackerConfig { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..TrackerConfig::default() };
    let tracker = TrackerServer::bind(config).await.unwrap().spawn();
    let url = origin.url("master.m3u8");
    let files = [folder.path().join("first"), folder.path().join("second")];
    let (leave, mut may_leave) = watched::channel(false);
    let (status, mut first_seen) = watched::channel(ViewerStatus::default());
    let first = tokio::spawn({
        let (url, config) = (url.clone(), recorded(tracker.url(), &files[0]));
        async move { watch(&url, config, &status, async { drop(may_leave.wait_for(|leave| *leave).await) }).await }
    });
    // It has something to give.
    tokio::time::timeout(PATIENCE, first_seen.wait_for(|status| status.buffer > 20.0)).await.unwrap().unwrap();
    let (status, mut seen) = watched::channel(ViewerStatus::default());
    let enough = async { drop(seen.wait_for(|status| status.stats.p2p_bytes > 300_000).await) };
    let second = watch(&url, recorded(tracker.url(), &files[1]), &status, enough);
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    leave.send_replace(true);
    let first = tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap().unwrap();

    does_the_same_again(&first, &files[0], &["HTTP chunk", "loaded", "peer sent"], &["is asked for from the origin"]);
    does_the_same_again(&second, &files[1], &["peer message"], &["is asked for from peer", "is here from peer"]);
    an_engine_that_differs_is_found_out(&files[0]);
    tracker.shutdown().await;
    origin.shutdown().await;
}

fn does_the_same_again(report: &ViewerReport, file: &Path, kinds: &[&str], texts: &[&str]) {
    assert!(report.errors.is_empty(), "{report:?}");
    let (replayed, told) = replayed(file);
    let replayed = replayed.unwrap();
    println!("{}\n{replayed}", told.join("\n"));
    let stats = &replayed.stats;
    assert_eq!((stats.http_bytes, stats.p2p_bytes, stats.uploaded_bytes), (report.http_bytes, report.p2p_bytes, report.uploaded_bytes));
    for kind in ["segment requested", "tracker message", "channel opened", "stored", "shutdown"].iter().chain(kinds) {
        assert!(replayed.inputs.get(kind).is_some_and(|count| *count > 0), "{kind}: {replayed}");
    }
    for text in ["the player wants segment 0/", "is there"].iter().chain(texts) {
        assert!(told.iter().any(|line| line.contains(text)), "{text}: {told:#?}");
    }
    assert!(std::fs::metadata(file).unwrap().len() < report.delivered_bytes, "media is not in it");
}

/// An engine with another seed has another name.
fn an_engine_that_differs_is_found_out(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let mut header: serde_json::Value = serde_json::from_str(header).unwrap();
    header["header"]["seed"] = 1.into();
    std::fs::write(file, format!("{header}\n{rest}")).unwrap();
    let error = replayed(file).0.unwrap_err();
    assert!(matches!(error, ReplayError::Differs { line: 2.., .. }), "{error}");
    assert!(error.to_string().starts_with("line "), "{error}");
}

/// Ctrl-C in the midst of a film.
#[cfg(unix)]
#[tokio::test]
async fn an_interrupted_program_leaves_a_whole_recording() {
    let (origin, folder) = (origin().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("session");
    let mut viewer = tokio::process::Command::new(env!("CARGO_BIN_EXE_p2p-media"));
    viewer.args(["watch", &origin.url("master.m3u8"), "--no-p2p", "--record"]).arg(&file);
    let viewer = viewer.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let has_begun = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, has_begun).await.unwrap();
    let pid = viewer.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, viewer.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{:?}", ended.status);
    let replayed = replayed(&file).0.unwrap();
    assert_eq!(replayed.inputs.get("shutdown"), Some(&1), "{replayed}");
    assert!(replayed.offload() == 0.0 && replayed.stats.http_bytes > 0, "{replayed}");
    origin.shutdown().await;
}
