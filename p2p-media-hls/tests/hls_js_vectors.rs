//! The streams, ids and segments that the official integration for hls.js registers, for the playlists in `fixtures`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::Path;

use p2p_media_core::identity::{InfoHash, PROTOCOL_LABEL, manifest_swarm_base};
use p2p_media_core::media::{Segment, StreamKind};
use p2p_media_hls::{MediaPlaylist, Playlist, PlaylistStream, StreamTimeline, Variables, parse};
use serde_json::{Value, json};

fn fixture(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)).unwrap()
}

fn cases() -> Vec<Value> {
    let vectors: Value = serde_json::from_slice(&fixture("hlsjs_streams.json")).unwrap();
    vectors["cases"].as_array().unwrap().clone()
}

fn media(file: &str, url: &str) -> MediaPlaylist {
    match parse(&fixture(file), url, &Variables::default()).unwrap() {
        Playlist::Media(playlist) => playlist,
        Playlist::Multivariant(_) => panic!("{file} is a multivariant playlist"),
    }
}

fn check_segments(expected: &Value, added: &[Segment], playlist_url: &str, tolerance_seconds: f64) {
    let directory = &playlist_url[..=playlist_url.rfind('/').unwrap()];
    let expected = expected.as_array().unwrap();
    assert_eq!(added.len(), expected.len(), "{playlist_url}");
    for (segment, expected) in added.iter().zip(expected) {
        assert_eq!(Some(segment.id.0), expected[0].as_i64());
        assert_eq!(*segment.url, format!("{directory}{}", expected[1].as_str().unwrap()));
        assert!((segment.start - expected[2].as_f64().unwrap()).abs() <= tolerance_seconds, "{segment:?} {expected}");
        assert!((segment.end() - expected[3].as_f64().unwrap()).abs() <= tolerance_seconds, "{segment:?} {expected}");
        let range = segment.byte_range.map(|range| (Some(range.first), Some(range.last)));
        assert_eq!(range, expected.get(4).map(|pair| (pair[0].as_u64(), pair[1].as_u64())));
    }
}

#[test]
fn streams_have_the_official_ids() {
    for case in cases() {
        let url = case["url"].as_str().unwrap();
        let streams = match parse(&fixture(case["file"].as_str().unwrap()), url, &Variables::default()).unwrap() {
            Playlist::Multivariant(playlist) => playlist.streams(),
            Playlist::Media(_) => vec![PlaylistStream::of_media_playlist(url)],
        };
        let expected = case["streams"].as_array().unwrap();
        assert_eq!(streams.len(), expected.len(), "{}", case["name"]);
        for (stream, expected) in streams.iter().zip(expected) {
            let swarm_id = stream.swarm_id(PROTOCOL_LABEL, manifest_swarm_base(url));
            let text = |field: &str| expected[field].as_str().unwrap().to_owned();
            assert_eq!(
                (&*stream.url, stream.kind.as_str(), &*stream.id),
                (&*text("url"), &*text("type"), &*text("id")),
                "{}",
                case["name"]
            );
            assert_eq!(swarm_id, text("swarm_id"));
            assert_eq!(InfoHash::of_swarm(&swarm_id).0, text("info_hash").as_bytes());
        }
    }
}

/// Multivariant playlists with missing, odd and unknown attributes; the ids were made with the parser of hls.js 1.7.4 and the id function of
/// p2p-media-loader-core 2.3.1. Variants that hls.js passes over, for their unknown codecs, are ours alone.
#[test]
fn odd_playlists_give_the_official_ids_too() {
    let cases: Value = serde_json::from_slice(&fixture("hlsjs_odd_masters.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let url = "https://a.example/d/master.m3u8";
        let playlist = parse(case["playlist"].as_str().unwrap().as_bytes(), url, &Variables::default()).unwrap();
        let Playlist::Multivariant(playlist) = playlist else { panic!("{}", case["name"]) };
        let ours: Vec<Value> = playlist.streams().iter().map(|stream| json!([stream.kind.as_str(), &*stream.url, stream.id])).collect();
        let expected = case["streams"].as_array().unwrap();
        let shared: Vec<&Value> = ours.iter().filter(|stream| expected.iter().any(|official| official[1] == stream[1])).collect();
        assert_eq!(shared, expected.iter().collect::<Vec<_>>(), "{}", case["name"]);
        assert_eq!(ours.len() - expected.len(), usize::from(case["name"] == "unknown_codec"), "{}", case["name"]);
    }
}

#[test]
fn vod_segments_have_the_official_ids_ranges_and_times() {
    let mut checked = 0;
    for case in cases() {
        for stream in case["streams"].as_array().unwrap() {
            let url = stream["url"].as_str().unwrap();
            let (Some(update), Some((_, file))) = (stream["updates"].get(0), url.split_once("/media/")) else { continue };
            let mut timeline = StreamTimeline::default();
            let first = timeline.refresh(&media(file, url));
            assert!(!first.live && first.removed.is_empty());
            check_segments(&update["add"], &first.added, url, 1e-6);
            let again = timeline.refresh(&media(file, url));
            assert!(again.added.is_empty() && again.removed.is_empty());
            checked += 1;
        }
    }
    assert_eq!(checked, 10);
}

#[test]
fn live_segments_have_the_official_ids_across_refreshes() {
    let case = cases().into_iter().find(|case| case["file"] == "live/master.m3u8").unwrap();
    let stream = &case["streams"][0];
    let url = stream["url"].as_str().unwrap();
    let mut timeline = StreamTimeline::default();
    let first = timeline.refresh(&media("live/first.m3u8", url));
    assert!(first.live);
    check_segments(&stream["updates"][0]["add"], &first.added, url, 1e-6);

    // The second version is two refreshes of the official player later. That player corrects start times by the timestamps in the
    // media, by some milliseconds.
    let second = timeline.refresh(&media("live/after_4s.m3u8", url));
    let joined: Vec<Value> = [1, 2].iter().flat_map(|&update| stream["updates"][update]["add"].as_array().unwrap().clone()).collect();
    check_segments(&Value::from(joined), &second.added, url, 0.05);
    assert_eq!(second.removed.iter().map(|id| id.0).collect::<Vec<_>>(), [1000, 1001]);
}

#[test]
fn a_media_playlist_alone_is_a_main_stream() {
    let stream = PlaylistStream::of_media_playlist("https://a.example/v.m3u8?token=1");
    assert_eq!(stream.kind, StreamKind::Main);
    assert_eq!(&*stream.url, "https://a.example/v.m3u8?token=1");
}
