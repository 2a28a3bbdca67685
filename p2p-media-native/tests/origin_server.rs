//! The origin server over real HTTP.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::{num::NonZeroU64, path::Path, time::Duration};

use p2p_media_native::origin_server::{FileKind, LiveConfig, OriginConfig, OriginError, OriginServer, Traffic};
use reqwest::{
    Client, Method, Response,
    header::{HeaderMap, ORIGIN, RANGE},
};

const SEGMENT: &[u8] = b"0123456789";
const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"head.mp4\"\n#EXTINF:1,\n0.m4s\n\
    #EXTINF:1,\n1.m4s\n#EXT-X-ENDLIST\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 7] = [
        ("show/media.m3u8", PLAYLIST.as_bytes()),
        ("show/master.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8\n"),
        ("show/head.mp4", b"head"),
        ("show/0.m4s", SEGMENT),
        ("show/1.m4s", SEGMENT),
        ("show/<b>.mpd", b"<MPD/>"),
        (".secret", b"secret"),
    ];
    for (path, bytes) in files {
        std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(path), bytes).unwrap();
    }
    dir
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says that another test was first
    Client::builder().no_proxy().build().unwrap()
}

async fn serve(dir: &Path) -> OriginServer {
    OriginServer::bind(OriginConfig::new(dir)).await.unwrap()
}

async fn get(server: &OriginServer, path: &str) -> Response {
    client().get(server.url("") + path).send().await.unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn serves_files_and_ranges() {
    let dir = folder();
    let server = serve(dir.path()).await;

    let response = get(&server, "show/0.m4s").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "content-type"), "video/iso.segment");
    assert_eq!(header(response.headers(), "content-length"), "10");
    assert_eq!(header(response.headers(), "accept-ranges"), "bytes");
    assert_eq!(header(response.headers(), "cache-control"), "public, max-age=86400");
    assert_eq!(response.bytes().await.unwrap(), SEGMENT);

    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=10-", 416, "bytes */10", ""),
    ] {
        let response = client().get(server.url("show/0.m4s")).header(RANGE, range).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(response.headers(), "content-range")), (status, content_range), "{range}");
        if status == 206 {
            assert_eq!(response.text().await.unwrap(), body, "{range}");
        }
    }

    let response = client().head(server.url("show/media.m3u8")).send().await.unwrap();
    assert_eq!(header(response.headers(), "content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(header(response.headers(), "cache-control"), "no-cache");
    assert_eq!(header(response.headers(), "content-length"), PLAYLIST.len().to_string());
    assert_eq!(get(&server, "show/media.m3u8").await.text().await.unwrap(), PLAYLIST);
    server.shutdown().await;
}

#[tokio::test]
async fn serves_nothing_else() {
    let dir = folder();
    let server = serve(&dir.path().join("show")).await;
    for path in ["nothing.ts", ".secret", "%2e%2e/.secret", "..%2f.secret", "a%5c..%5c.secret", "%2Fetc/passwd", "0.m4s/x"] {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
    assert_eq!(client().post(server.url("0.m4s")).send().await.unwrap().status(), 405);
    assert_eq!(server.stats().segments, Traffic::default());
    assert_eq!(server.stats().without_body, 8);
    server.shutdown().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_read_everything() {
    let dir = folder();
    let server = serve(dir.path()).await;
    let request = client().get(server.url("show/0.m4s")).header(ORIGIN, "https://page.example").header(RANGE, "bytes=0-1");
    let response = request.send().await.unwrap();
    assert_eq!(header(response.headers(), "access-control-allow-origin"), "*");
    assert_eq!(
        header(response.headers(), "access-control-expose-headers"),
        "accept-ranges,content-length,content-range,date,etag,last-modified"
    );
    let preflight = client()
        .request(Method::OPTIONS, server.url("show/0.m4s"))
        .header(ORIGIN, "https://page.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range")
        .header("access-control-request-private-network", "true");
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET,HEAD"),
        ("access-control-allow-headers", "*"),
        ("access-control-allow-private-network", "true"),
    ] {
        assert_eq!(header(response.headers(), name), value, "{name}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn counts_what_it_sends() {
    let dir = folder();
    let server = serve(dir.path()).await;
    for path in ["show/0.m4s", "show//0.m4s", "show/1.m4s", "show/head.mp4", "show/master.m3u8", "show/0.m4s?x=1"] {
        get(&server, path).await.bytes().await.unwrap();
    }
    client().get(server.url("show/1.m4s")).header(RANGE, "bytes=0-2").send().await.unwrap().bytes().await.unwrap();
    let stats = server.stats();
    assert_eq!(stats.segments, Traffic { requests: 5, bytes: 43 });
    assert_eq!(stats.init_segments, Traffic { requests: 1, bytes: 4 });
    assert_eq!(stats.manifests.requests, 1);
    assert_eq!(stats.files["show/0.m4s"].traffic, Traffic { requests: 3, bytes: 30 });
    assert_eq!(stats.files["show/head.mp4"].kind, FileKind::InitSegment);
    assert_eq!(stats.files.len(), 4);

    let json: serde_json::Value = serde_json::from_str(&get(&server, "stats.json").await.text().await.unwrap()).unwrap();
    assert_eq!(json["segments"], serde_json::json!({ "requests": 5, "bytes": 43 }));
    assert_eq!(json["files"]["show/1.m4s"], serde_json::json!({ "kind": "segment", "requests": 2, "bytes": 13 }));
    server.shutdown().await;
}

#[tokio::test]
async fn lists_the_manifests() {
    let dir = folder();
    let server = serve(dir.path()).await;
    assert_eq!(server.manifests(), ["show/<b>.mpd", "show/master.m3u8", "show/media.m3u8"]);
    let page = get(&server, "").await.text().await.unwrap();
    assert!(page.contains("<a href=\"/show/%3Cb%3E.mpd\">show/&lt;b>.mpd</a>"), "{page}");
    server.shutdown().await;
}

#[tokio::test]
async fn replays_a_folder_as_a_live_stream() {
    let dir = folder();
    let live = Some(LiveConfig { window: Duration::from_secs(3), ..LiveConfig::default() });
    let server = OriginServer::bind(OriginConfig { live, ..OriginConfig::new(dir.path()) }).await.unwrap();
    assert!(get(&server, "show/master.m3u8").await.text().await.unwrap().contains("media.m3u8"));

    let response = get(&server, "show/media.m3u8").await;
    assert_eq!(header(response.headers(), "cache-control"), "no-cache");
    let playlist = response.text().await.unwrap();
    assert!(playlist.contains("#EXT-X-DISCONTINUITY\n") && playlist.contains("0.m4s?loop=1\n"), "{playlist}");
    assert!(!playlist.contains("ENDLIST") && !playlist.contains("PLAYLIST-TYPE"), "{playlist}");
    for uri in playlist.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(get(&server, &format!("show/{uri}")).await.status(), 200, "{uri}");
    }
    assert_eq!(get(&server, "show/head.mp4").await.status(), 200);
    assert_eq!(get(&server, "show/1.m4s?loop=1000").await.status(), 404, "a segment of the future");
    server.shutdown().await;
}

#[tokio::test]
async fn later_passes_are_later_in_time() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/media");
    let live = Some(LiveConfig { window: Duration::from_secs(70), ..LiveConfig::default() });
    let server = OriginServer::bind(OriginConfig { live, ..OriginConfig::new(&sample) }).await.unwrap();
    let file = std::fs::read(sample.join("seg_2_01.m4s")).unwrap();
    assert_eq!(get(&server, "seg_2_01.m4s").await.bytes().await.unwrap(), file);

    let response = get(&server, "seg_2_01.m4s?loop=1").await;
    assert_eq!(header(response.headers(), "content-type"), "video/iso.segment");
    let delayed = response.bytes().await.unwrap();
    assert_eq!(delayed.len(), file.len());
    let changed: Vec<usize> = (0..file.len()).filter(|&at| delayed[at] != file[at]).collect();
    assert!((1..=16).contains(&changed.len()), "the times of one index and one fragment: {changed:?}");

    let middle = changed[0] as u64;
    let url = server.url("seg_2_01.m4s") + "?loop=1";
    let range = |range: String| client().get(&url).header(RANGE, range).send();
    let start = range(format!("bytes=0-{}", middle - 1)).await.unwrap();
    assert_eq!((start.status().as_u16(), header(start.headers(), "content-length")), (206, middle.to_string().as_str()));
    let end = range(format!("bytes={middle}-")).await.unwrap();
    assert_eq!(header(end.headers(), "content-range"), format!("bytes {middle}-{}/{}", file.len() - 1, file.len()));
    assert_eq!([start.bytes().await.unwrap(), end.bytes().await.unwrap()].concat(), delayed);
    assert_eq!(range(format!("bytes={}-", file.len())).await.unwrap().status(), 416);
    server.shutdown().await;
}

#[tokio::test]
async fn is_slow_when_told_to_be() {
    let dir = folder();
    std::fs::write(dir.path().join("long.ts"), vec![0; 100_000]).unwrap();
    let config = OriginConfig { rate: NonZeroU64::new(400_000), latency: Duration::from_millis(50), ..OriginConfig::new(dir.path()) };
    let server = OriginServer::bind(config).await.unwrap();
    let start = std::time::Instant::now();
    assert_eq!(get(&server, "long.ts").await.bytes().await.unwrap().len(), 100_000);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_breaks_off_what_is_under_way() {
    let dir = folder();
    std::fs::write(dir.path().join("long.ts"), vec![0; 1_000_000]).unwrap();
    let config = OriginConfig { rate: NonZeroU64::new(100_000), ..OriginConfig::new(dir.path()) };
    let server = OriginServer::bind(config).await.unwrap();
    let mut response = get(&server, "long.ts").await;
    assert!(response.chunk().await.unwrap().is_some());
    let url = server.url("long.ts");
    server.shutdown().await;
    assert!(response.bytes().await.is_err(), "the body must not look whole");
    assert!(client().get(url).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn says_why_it_cannot_start() {
    let dir = folder();
    let server = serve(dir.path()).await;
    let taken = OriginConfig { listen: server.local_addr(), ..OriginConfig::new(dir.path()) };
    let error = OriginServer::bind(taken).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}: the port is in use", server.local_addr()));

    let error = OriginServer::bind(OriginConfig::new("no/such/folder")).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot read the folder no/such/folder: "), "{error}");
    let error = OriginServer::bind(OriginConfig::new(dir.path().join("show/0.m4s"))).await.unwrap_err();
    assert!(matches!(error, OriginError::UnreadableFolder { .. }));

    let empty = tempfile::tempdir().unwrap();
    let config = OriginConfig { live: Some(LiveConfig::default()), ..OriginConfig::new(empty.path()) };
    assert!(matches!(OriginServer::bind(config).await.unwrap_err(), OriginError::NothingToReplay { .. }));
}
