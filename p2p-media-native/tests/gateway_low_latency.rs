//! Low latency through the gateway: what is not finished yet is shared while it comes, and nobody waits for the rest of it.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod gateway_support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway_support::{SAMPLE, bytes_of, client, gateway_for};
use p2p_media_core::media::SegmentForm;
use p2p_media_dash::PresentationTimeline;
use p2p_media_hls::{MediaPlaylist, Playlist, Variables, parse};
use p2p_media_native::origin_server::{LiveConfig, LowLatency, OriginConfig, OriginServer};
use reqwest::{Client, Response};

async fn live(byte_ranges: bool) -> OriginServer {
    let low_latency = Some(LowLatency { byte_ranges, ..LowLatency::default() });
    let live = LiveConfig { window: Duration::from_secs(12), low_latency };
    OriginServer::bind(OriginConfig { live: Some(live), ..OriginConfig::new(SAMPLE) }).await.unwrap()
}

fn media(text: &[u8], url: &str) -> MediaPlaylist {
    match parse(text, url, &Variables::default()).unwrap() {
        Playlist::Media(playlist) => playlist,
        Playlist::Multivariant(_) => panic!("not a media playlist"),
    }
}

async fn ask(client: &Client, url: &str, range: Option<&str>) -> Response {
    let request = range.into_iter().fold(client.get(url), |request, range| request.header("range", range));
    request.send().await.unwrap().error_for_status().unwrap()
}

#[tokio::test]
async fn parts_and_hints_come_from_the_engine() {
    for byte_ranges in [false, true] {
        let origin = live(byte_ranges).await;
        let gateway = gateway_for(&[origin.url("master.m3u8")]).await;
        let client = client();
        let through = |url: &str| gateway.url_of(url).unwrap();
        let url = origin.url("media_0.m3u8");
        bytes_of(through(&origin.url("master.m3u8"))).await;
        let text = bytes_of(through(&url)).await;
        let playlist = media(&text, &url);
        let parts: Vec<_> = playlist.parts.iter().rev().take(4).collect();
        assert!(parts.len() == 4 && parts.iter().all(|part| part.byte_range.is_some() == byte_ranges));
        for part in &parts {
            let range = part.byte_range.map(|range| format!("bytes={}-{}", range.first, range.last));
            let expected = ask(&client, &part.url, range.as_deref()).await.bytes().await.unwrap();
            let given = ask(&client, &through(&part.url), range.as_deref()).await;
            assert_eq!(given.content_length(), Some(expected.len() as u64));
            assert!(given.bytes().await.unwrap() == expected, "{} {range:?}", part.url);
        }
        let stats = gateway.stats().await;
        assert_eq!((&stats["requests"]["segment"], &stats["requests"]["passed_on"]), (&4.into(), &0.into()), "{stats}");

        // What is only hinted at is asked for before it is there.
        let hint = playlist.preload_hints.first().unwrap();
        let range = hint.first.map(|first| format!("bytes={first}-{}", hint.last.unwrap()));
        let given = ask(&client, &through(&hint.url), range.as_deref()).await.bytes().await.unwrap();
        let expected = ask(&client, &hint.url, range.as_deref()).await.bytes().await.unwrap();
        assert!(!given.is_empty() && expected == given);
        assert_eq!(gateway.stats().await["requests"]["segment"], 5);
        // An open range goes on with the next part, and the one after that: it is the origin's to answer, as it comes.
        if let Some(first) = hint.first {
            let mut response = ask(&client, &through(&hint.url), Some(&format!("bytes={first}-"))).await;
            let mut bytes = response.chunk().await.unwrap().unwrap().to_vec();
            while let Some(chunk) = response.chunk().await.unwrap() {
                bytes.extend_from_slice(&chunk);
            }
            assert!(bytes.starts_with(&given));
        }
        assert_eq!(gateway.stats().await["requests"]["segment"], 5);

        // A blocking reload passes with its query, and a delta update keeps what it skips.
        let next = playlist.segments.last().unwrap().sequence + 2;
        let directives = format!("?_HLS_msn={next}&_HLS_part=0&_HLS_skip=YES");
        let later = media(&bytes_of(through(&format!("{url}{directives}"))).await, &url);
        assert!(later.segments.last().unwrap().sequence + 1 >= next, "it blocked");
        let whole = playlist.segments.last().unwrap();
        let range = whole.byte_range.map(|range| format!("bytes={}-{}", range.first, range.last));
        let expected = ask(&client, &whole.url, range.as_deref()).await.bytes().await.unwrap();
        assert!(ask(&client, &through(&whole.url), range.as_deref()).await.bytes().await.unwrap() == expected);
        assert_eq!(gateway.stats().await["requests"]["segment"].as_u64().unwrap(), 6);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_segment_that_is_being_made_streams_to_the_player() {
    let origin = live(false).await;
    let gateway = gateway_for(&[origin.url("manifest.mpd")]).await;
    let client = client();
    let mpd = bytes_of(gateway.url_of(&origin.url("manifest.mpd")).unwrap()).await;
    let mut timeline = PresentationTimeline::new(p2p_media_dash::parse(&mpd, &origin.url("manifest.mpd")).unwrap());
    // The next one that begins: asked for while most of it is yet to come.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    timeline.update(0, now());
    let unfinished = loop {
        let added = timeline.update(0, now()).added;
        if let Some(segment) = added.into_iter().find(|segment| segment.form == SegmentForm::Unfinished) {
            break segment;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let asked = Instant::now();
    let mut response = ask(&client, &gateway.url_of(&unfinished.url).unwrap(), None).await;
    assert_eq!(response.content_length(), None, "nobody knows it yet");
    let mut given = response.chunk().await.unwrap().unwrap().to_vec();
    let first = asked.elapsed();
    while let Some(chunk) = response.chunk().await.unwrap() {
        given.extend_from_slice(&chunk);
    }
    assert!(asked.elapsed() > first + Duration::from_millis(500), "{first:?} of {:?}", asked.elapsed());
    let whole = ask(&client, &unfinished.url, None).await.bytes().await.unwrap();
    assert!(given == whole, "{} of {} bytes", given.len(), whole.len());
    let again = ask(&client, &gateway.url_of(&unfinished.url).unwrap(), None).await;
    assert!(again.bytes().await.unwrap() == whole);
    let stats = gateway.stats().await;
    assert_eq!((&stats["requests"]["segment"], &stats["total"]["segments_loaded"]), (&2.into(), &1.into()));
    gateway.shutdown().await;
}
