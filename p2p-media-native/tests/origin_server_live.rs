//! Low latency and live DASH of the origin server over real HTTP.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::time::{Duration, Instant};

use p2p_media_native::origin_server::{LiveConfig, LowLatency, OriginConfig, OriginError, OriginServer};
use reqwest::{Client, Response, header::RANGE};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media");
const PART: Duration = Duration::from_millis(333);

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says that another test was first
    Client::builder().no_proxy().build().unwrap()
}

/// Replays the sample; the window is longer than it, so that there are later passes.
async fn serve(low_latency: Option<LowLatency>) -> OriginServer {
    let live = Some(LiveConfig { window: Duration::from_secs(70), low_latency });
    OriginServer::bind(OriginConfig { live, ..OriginConfig::new(SAMPLE) }).await.unwrap()
}

fn parts(byte_ranges: bool) -> Option<LowLatency> {
    Some(LowLatency { part: PART, byte_ranges })
}

async fn get(server: &OriginServer, path: &str) -> Response {
    client().get(server.url("") + path).send().await.unwrap()
}

async fn text(server: &OriginServer, path: &str) -> String {
    let response = get(server, path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

async fn range(server: &OriginServer, path: &str, range: &str) -> Response {
    client().get(server.url("") + path).header(RANGE, format!("bytes={range}")).send().await.unwrap()
}

fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_once(&format!("{name}=\"")).unwrap().1.split_once('"').unwrap().0
}

fn line<'a>(playlist: &'a str, tag: &str) -> &'a str {
    playlist.lines().rfind(|line| line.starts_with(tag)).unwrap()
}

#[tokio::test]
async fn a_hinted_part_comes_when_it_has_ended() {
    let server = serve(parts(false)).await;
    let playlist = text(&server, "media_1.m3u8").await;
    let hinted = attribute(line(&playlist, "#EXT-X-PRELOAD-HINT"), "URI");
    let asked = Instant::now();
    let part = get(&server, hinted).await;
    assert_eq!(part.status(), 200, "{hinted}");
    let part = part.bytes().await.unwrap();
    assert!(asked.elapsed() < PART * 2, "{:?}", asked.elapsed());
    let playlist = text(&server, "media_1.m3u8").await;
    assert!(playlist.contains(&format!("URI=\"{hinted}\"")) && !line(&playlist, "#EXT-X-PRELOAD-HINT").contains(hinted), "{playlist}");

    let stats = server.stats();
    assert_eq!((stats.held, stats.segments.requests, stats.segments.bytes), (1, 1, part.len() as u64));
    let far = hinted.replace("loop=1", "loop=2");
    assert_eq!(get(&server, &far).await.status(), 404);
    assert_eq!(get(&server, &hinted.replace("part=", "part=9")).await.status(), 404);
    server.shutdown().await;
}

#[tokio::test]
async fn parts_make_up_the_segment() {
    let (own_urls, ranges) = (serve(parts(false)).await, serve(parts(true)).await);
    for stream in ["media_1.m3u8", "media_3.m3u8"] {
        let playlist = text(&own_urls, stream).await;
        let segment = line(&playlist, "seg_");
        let whole = get(&own_urls, segment).await.bytes().await.unwrap();
        let of_segment = |line: &&str| line.starts_with("#EXT-X-PART:") && line.contains(segment.split('?').next().unwrap());
        let mut joined = Vec::new();
        for part in playlist.lines().filter(of_segment) {
            joined.extend(get(&own_urls, attribute(part, "URI")).await.bytes().await.unwrap());
        }
        assert!(joined == whole, "{stream}");

        let playlist = text(&ranges, stream).await;
        let mut joined = Vec::new();
        for part in playlist.lines().filter(of_segment) {
            assert_eq!(attribute(part, "URI"), segment);
            let (length, start) = attribute(part, "BYTERANGE").split_once('@').unwrap();
            let (length, start): (usize, usize) = (length.parse().unwrap(), start.parse().unwrap());
            assert_eq!(start, joined.len());
            let part = range(&ranges, segment, &format!("{start}-{}", start + length - 1)).await;
            assert_eq!(part.status(), 206);
            joined.extend(part.bytes().await.unwrap());
        }
        assert!(joined == whole, "{stream} as byte ranges");
    }
    own_urls.shutdown().await;
    ranges.shutdown().await;
}

#[tokio::test]
async fn a_growing_segment_is_sent_by_ranges() {
    let server = serve(parts(true)).await;
    let playlist = text(&server, "media_0.m3u8").await;
    let hint = line(&playlist, "#EXT-X-PRELOAD-HINT");
    let segment = attribute(hint, "URI");
    let start: usize = hint.split_once("BYTERANGE-START=").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(get(&server, segment).await.status(), 404, "not before it is whole");
    let rest = range(&server, segment, &format!("{start}-")).await;
    assert_eq!(rest.status(), 206);
    let size: usize = rest.headers()["content-range"].to_str().unwrap().rsplit_once('/').unwrap().1.parse().unwrap();
    let rest = rest.bytes().await.unwrap();
    assert_eq!(start + rest.len(), size);
    let whole = get(&server, segment).await.bytes().await.unwrap();
    assert!(whole[start..] == rest && whole.len() == size);
    assert_eq!(range(&server, segment, &format!("{size}-")).await.status(), 416);
    server.shutdown().await;
}

#[tokio::test]
async fn a_playlist_is_held_until_it_has_news() {
    let server = serve(parts(false)).await;
    let report = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("#EXT-X-RENDITION-REPORT") && line.contains("media_1")).unwrap();
        let (sequence, part) = line.split_once("LAST-MSN=").unwrap().1.split_once(",LAST-PART=").unwrap();
        (sequence.parse::<u64>().unwrap(), part.parse::<u64>().unwrap())
    };
    let (sequence, part) = report(&text(&server, "media_0.m3u8").await);
    let held = text(&server, &format!("media_0.m3u8?_HLS_msn={sequence}&_HLS_part={}", part + 1)).await;
    assert!(report(&held) > (sequence, part), "{held}");
    let delta = text(&server, &format!("media_0.m3u8?_HLS_msn={}&_HLS_skip=YES", sequence + 1)).await;
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS="), "{delta}");
    assert!(report(&delta) >= (sequence + 1, 6), "{delta}");
    assert!(server.stats().held >= 1);
    for nonsense in ["_HLS_part=1", "_HLS_msn=x", "_HLS_msn=1&_HLS_part=-1", "_HLS_msn=999999", "_HLS_skip=NO"] {
        assert_eq!(get(&server, &format!("media_0.m3u8?{nonsense}")).await.status(), 400, "{nonsense}");
    }
    assert!(text(&server, "media_0.m3u8?_HLS_msn=0&_HLS_part=0").await.contains("#EXT-X-PART:"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_ends_what_is_held() {
    let server = serve(parts(false)).await;
    let playlist = text(&server, "media_0.m3u8").await;
    let last: u64 = playlist.split_once("LAST-MSN=").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    let held = tokio::spawn(client().get(server.url("media_0.m3u8") + &format!("?_HLS_msn={}", last + 1)).send());
    while server.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
    assert!(held.await.unwrap().is_ok_and(|response| response.status() == 503));
}

/// The URL path of the newest segment of a representation in an MPD with a SegmentTimeline, by its number.
fn newest(mpd: &str, representation: &str) -> (u64, String) {
    let template = mpd.split_once(&format!("<Representation id=\"{representation}\"")).unwrap().1;
    let template = template.split_once("</Representation>").unwrap().0;
    let first: u64 = attribute(template, "startNumber").parse().unwrap();
    let entries = template.lines().filter(|line| line.starts_with("<S "));
    let count: u64 = entries.map(|line| if line.contains("r=") { attribute(line, "r").parse::<u64>().unwrap() + 1 } else { 1 }).sum();
    let number = first + count - 1;
    (number, attribute(template, "media").replace("$Number%02d$", &format!("{number:02}")))
}

#[tokio::test]
async fn a_static_mpd_becomes_a_live_one() {
    let server = serve(None).await;
    assert_eq!(server.not_replayed(), []);
    let response = get(&server, "manifest.mpd").await;
    assert_eq!(response.headers()["content-type"], "application/dash+xml");
    let mpd = response.text().await.unwrap();
    assert!(mpd.contains("type=\"dynamic\"") && mpd.contains("availabilityStartTime="), "{mpd}");
    for representation in ["1", "3"] {
        let (number, path) = newest(&mpd, representation);
        assert!(number > 30, "of the second pass");
        let live = get(&server, &path).await;
        assert_eq!((live.status().as_u16(), live.headers()["content-type"].to_str().unwrap()), (200, "video/iso.segment"));
        // The same file in the same pass of the HLS replay.
        let same = get(&server, &format!("seg_{representation}_{:02}.m4s?loop=1", number - 30)).await;
        assert_eq!(live.bytes().await.unwrap(), same.bytes().await.unwrap());
        assert_eq!(get(&server, &format!("seg_{representation}_{}.m4s", number + 10)).await.status(), 404, "of the future");
        assert_eq!(range(&server, &path, "0-9").await.bytes().await.unwrap().len(), 10);
    }
    assert_eq!(get(&server, "init_1.m4s").await.status(), 200);
    server.shutdown().await;
}

#[tokio::test]
async fn an_unfinished_segment_is_sent_as_it_is_produced() {
    let server = serve(parts(false)).await;
    let mpd = text(&server, "manifest.mpd").await;
    assert!(mpd.contains("availabilityTimeComplete=\"false\"") && mpd.contains("<Latency target="), "{mpd}");
    let playlist = text(&server, "media_0.m3u8").await;
    // The segment after the one that is being recorded has begun at the end of that one.
    let last: u64 = playlist.split_once("LAST-MSN=").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    text(&server, &format!("media_0.m3u8?_HLS_msn={last}")).await;
    let path = format!("seg_0_{}.m4s", last + 2);
    let asked = Instant::now();
    let mut response = get(&server, &path).await;
    assert_eq!((response.status().as_u16(), response.content_length()), (200, None));
    let mut received = response.chunk().await.unwrap().unwrap().to_vec();
    let first_after = asked.elapsed();
    let mut chunks = 1;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received.extend(chunk);
        chunks += 1;
    }
    assert!(chunks >= 6 && first_after + PART < asked.elapsed(), "{chunks} chunks, the first after {first_after:?}");
    assert!(get(&server, &path).await.bytes().await.unwrap() == received, "the same when it is whole");
    assert_eq!(get(&server, &format!("seg_0_{}.m4s", last + 20)).await.status(), 404);
    server.shutdown().await;
}

#[tokio::test]
async fn a_segment_broken_off_does_not_look_whole() {
    let server = serve(parts(false)).await;
    let playlist = text(&server, "media_0.m3u8").await;
    let last: u64 = playlist.split_once("LAST-MSN=").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    text(&server, &format!("media_0.m3u8?_HLS_msn={last}")).await;
    let mut response = get(&server, &format!("seg_0_{}.m4s", last + 2)).await;
    assert!(response.chunk().await.unwrap().is_some());
    server.shutdown().await;
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn says_which_manifests_are_not_live() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.mpd"), "<MPD type=\"dynamic\"><Period/></MPD>").unwrap();
    let config = || OriginConfig { live: Some(LiveConfig::default()), ..OriginConfig::new(dir.path()) };
    let error = OriginServer::bind(config()).await.unwrap_err();
    assert!(
        matches!(&error, OriginError::NothingToReplay { .. }) && error.to_string().ends_with("; a.mpd: it is a live one already"),
        "{error}"
    );

    std::fs::write(dir.path().join("b.m3u8"), "#EXTM3U\n#EXTINF:2,\nb.ts\n").unwrap();
    let server = OriginServer::bind(config()).await.unwrap();
    let [left] = server.not_replayed() else { panic!("one") };
    assert_eq!((left.path.as_str(), left.reason.as_str()), ("a.mpd", "it is a live one already"));
    assert_eq!(get(&server, "a.mpd").await.status(), 200, "as it is");
    server.shutdown().await;
}
