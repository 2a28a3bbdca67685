//! Viewers over real HTTP, a real tracker and real WebRTC on the loopback interface, and what they say about streams that cannot be played.
#![cfg(feature = "program")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

mod gateway_support;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use gateway_support::dash_sample::{Addressing, DashSample, mpd_name};
use p2p_media_core::config::Config;
use p2p_media_native::origin_server::{LiveConfig, LowLatency, OriginConfig, OriginServer};
use p2p_media_native::player::{Player, PlayerConfig};
use p2p_media_native::tracker_server::{RunningTracker, TrackerConfig, TrackerServer};
use p2p_media_native::viewer::{Quality, ViewerConfig, ViewerReport, ViewerStatus, watch};
use tokio::sync::watch as watched;

/// Far more than any of these takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn origin(live: Option<LiveConfig>) -> OriginServer {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/media");
    OriginServer::bind(OriginConfig { live, ..OriginConfig::new(media) }).await.unwrap()
}

async fn tracker() -> RunningTracker {
    let config = TrackerConfig { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..TrackerConfig::default() };
    TrackerServer::bind(config).await.unwrap().spawn()
}

fn viewer(trackers: &[&str]) -> ViewerConfig {
    let announce_trackers = trackers.iter().map(|url| (*url).to_owned()).collect();
    let engine = Config { announce_trackers, ice_servers: Vec::new(), ..Config::default() };
    ViewerConfig { player: PlayerConfig { engine, ..PlayerConfig::default() }, check: true, ..ViewerConfig::default() }
}

/// Watches until `enough` is true of the viewer's state.
async fn watch_until(url: &str, config: ViewerConfig, enough: impl FnMut(&ViewerStatus) -> bool) -> ViewerReport {
    let (status, mut seen) = watched::channel(ViewerStatus::default());
    let stop = async {
        // An error means that the viewer has ended.
        drop(seen.wait_for(enough).await);
    };
    tokio::time::timeout(PATIENCE, watch(url, config, &status, stop)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_viewer_gets_its_segments_from_the_first() {
    for manifest in ["master.m3u8", "manifest.mpd"] {
        the_second_gets_its_segments_from_the_first(manifest).await;
    }
}

async fn the_second_gets_its_segments_from_the_first(manifest: &str) {
    let (origin, tracker) = (origin(None).await, tracker().await);
    let url = origin.url(manifest);
    let (leave, may_leave) = watched::channel(false);
    let (status, mut first_seen) = watched::channel(ViewerStatus::default());
    let first = tokio::spawn({
        let (url, config, mut may_leave) = (url.clone(), viewer(&[tracker.url()]), may_leave.clone());
        async move { watch(&url, config, &status, async { drop(may_leave.wait_for(|leave| *leave).await) }).await }
    });
    // It has something to give.
    tokio::time::timeout(PATIENCE, first_seen.wait_for(|status| status.buffer > 20.0)).await.unwrap().unwrap();

    let second = watch_until(&url, viewer(&[tracker.url()]), |status| status.stats.p2p_bytes > 500_000).await;
    leave.send_replace(true);
    let first = tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap().unwrap();
    for report in [&first, &second] {
        assert_eq!((report.mismatched, report.unchecked, report.stalls, report.errors.len()), (Some(0), Some(0), 0, 0), "{report:?}");
        assert_eq!(report.checked, Some(report.segments));
        // In the swarm of the picture, and in that of the sound.
        assert!(report.startup_ms.is_some() && report.peers_max >= 2, "{report:?}");
    }
    assert!(second.p2p_bytes > second.http_bytes && first.uploaded_bytes >= second.p2p_bytes, "{second:?}");
    tracker.shutdown().await;
    origin.shutdown().await;
}

#[tokio::test]
async fn every_way_of_addressing_leads_to_the_same_segments() {
    let sample = DashSample::make();
    let origin = OriginServer::bind(OriginConfig::new(sample.dir.path())).await.unwrap();
    for addressing in Addressing::ALL {
        let config = ViewerConfig { quality: Quality::Lowest, ..viewer(&[]) };
        // Half a minute of both, all of it ahead of the picture.
        let report = watch_until(&origin.url(&mpd_name(addressing)), config, |status| status.stats.segments_loaded >= 30).await;
        assert_eq!((report.mismatched, report.unchecked, report.errors.len()), (Some(0), Some(0), 0), "{addressing:?}: {report:?}");
        assert!(report.segments >= 30 && report.startup_ms.is_some(), "{addressing:?}: {report:?}");
    }
    origin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_is_played_behind_its_edge() {
    let origin = origin(Some(LiveConfig::default())).await;
    for manifest in ["master.m3u8", "manifest.mpd"] {
        let mut config = ViewerConfig { quality: Quality::Lowest, ..viewer(&[]) };
        config.player.latency = Some(4.0);
        // Past the next refreshes.
        let report = watch_until(&origin.url(manifest), config, |status| status.elapsed > Duration::from_secs(5)).await;
        assert_eq!((report.stalls, report.mismatched, report.errors.len()), (0, Some(0), 0), "{report:?}");
        assert!(report.segments >= 6 && report.played_s > 4.0, "{report:?}");
        assert!(report.latency_s.is_some_and(|latency| (2.5..8.5).contains(&latency)), "{report:?}");
        assert!(report.segment_delay_ms.is_some_and(|delays| delays.http.count() >= 2), "new segments come");
    }
    origin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_shared_close_to_the_edge() {
    for byte_ranges in [false, true] {
        let low_latency = Some(LowLatency { byte_ranges, ..LowLatency::default() });
        let (origin, tracker) = (origin(Some(LiveConfig { low_latency, ..LiveConfig::default() })).await, tracker().await);
        let url = origin.url("master.m3u8");
        let config = || {
            let mut config = ViewerConfig { quality: Quality::Lowest, ..viewer(&[tracker.url()]) };
            config.player.latency = Some(3.0);
            config
        };
        let has_shared = |status: &ViewerStatus| status.stats.p2p_bytes + status.stats.uploaded_bytes > 60_000;
        let (first, second) = futures::future::join(
            watch_until(&url, config(), |status| has_shared(status) && status.elapsed > Duration::from_secs(6)),
            watch_until(&url, config(), |status| has_shared(status) && status.elapsed > Duration::from_secs(6)),
        )
        .await;
        for report in [&first, &second] {
            assert_eq!((report.mismatched, report.errors.len()), (Some(0), 0), "{report:?}");
            assert!(report.latency_s.is_some_and(|latency| latency < 4.5), "{report:?}");
            // Parts of a third of a second, in two tracks.
            assert!(report.segments >= 24, "{report:?}");
        }
        let from_peers: usize = [first, second].iter().filter_map(|report| Some(report.segment_delay_ms.as_ref()?.p2p.count())).sum();
        assert!(from_peers > 0);
        tracker.shutdown().await;
        origin.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_segments_are_played_fragment_by_fragment() {
    let low_latency = Some(LowLatency::default());
    let origin = origin(Some(LiveConfig { low_latency, ..LiveConfig::default() })).await;
    let mut config = ViewerConfig { quality: Quality::Lowest, ..viewer(&[]) };
    // Less than a segment lasts.
    config.player.latency = Some(1.5);
    let report = watch_until(&origin.url("manifest.mpd"), config, |status| status.elapsed > Duration::from_secs(6)).await;
    assert_eq!((report.mismatched, report.errors.len()), (Some(0), 0), "{report:?}");
    assert!(report.played_s > 4.0 && report.latency_s.is_some_and(|latency| latency < 3.0), "{report:?}");
    origin.shutdown().await;
}

#[tokio::test]
async fn a_chosen_rendition_is_kept_and_a_report_has_all_its_fields() {
    let origin = origin(None).await;
    let config = ViewerConfig { quality: Quality::Height(200), ..viewer(&[]) };
    let report = watch_until(&origin.url("master.m3u8"), config, |status| {
        assert!(status.height.is_none_or(|height| height == 180));
        status.stats.segments_loaded >= 8
    })
    .await;
    let json = serde_json::to_value(&report).unwrap();
    for field in ["manifest", "seconds", "startup_ms", "stalls", "stall_ms", "segments", "http_bytes", "p2p_bytes", "uploaded_bytes"] {
        assert!(!json[field].is_null(), "{field}: {json}");
    }
    assert!(json["peers_max"] == 0 && json["mismatched"] == 0 && json["errors"].as_array().is_some_and(Vec::is_empty));
    assert!(json.get("latency_s").is_none());
    origin.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_played_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let broken = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:abc,\n\n#EXT-X-BYTERANGE:x\na.ts\n";
    for (name, text) in [
        ("page.html", "<html>"),
        ("broken.m3u8", broken),
        ("empty.m3u8", "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"n\",URI=\"s\"\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let origin = OriginServer::bind(OriginConfig::new(folder.path())).await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = format!("http://{closed}/a.m3u8");
    for (url, problem) in [
        (gone, "refused"),
        (origin.url("none.m3u8"), "status 404"),
        (origin.url("page.html"), "neither an HLS playlist nor a DASH manifest"),
        (origin.url("broken.m3u8"), "line "),
        (origin.url("empty.m3u8"), "no variant"),
        ("ftp://a.test/x".to_owned(), "not an http or https URL"),
        ("nonsense".to_owned(), "not an http or https URL"),
    ] {
        let error = Player::open(&url, viewer(&[]).player).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(&url) && error.contains(problem), "{url}: {error:?}");
    }
    origin.shutdown().await;
}

#[tokio::test]
async fn segments_that_are_missing_are_jumped_over_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXTINF:1,\nb.ts\n#EXT-X-GAP\n#EXTINF:1,\nc.ts\n#EXTINF:1,\na.ts?2\n#EXT-X-ENDLIST\n";
    std::fs::write(folder.path().join("v.m3u8"), playlist).unwrap();
    std::fs::write(folder.path().join("a.ts"), [7; 5000]).unwrap();
    let origin = OriginServer::bind(OriginConfig::new(folder.path())).await.unwrap();
    let report = watch_until(&origin.url("v.m3u8"), viewer(&[]), |_| false).await;
    assert_eq!((report.segments, report.delivered_bytes, report.checked, report.mismatched), (2, 10_000, Some(2), Some(0)), "{report:?}");
    assert!(report.errors.len() == 1 && report.errors[0].contains("b.ts") && report.errors[0].contains("404"), "{report:?}");
    assert!((report.played_s - 2.0).abs() < 0.1, "{report:?}");
    origin.shutdown().await;
}
