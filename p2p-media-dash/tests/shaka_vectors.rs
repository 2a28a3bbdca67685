//! The streams, ids and segments that the official integration for Shaka Player registers, for the MPDs in `fixtures/shaka`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::Path;

use p2p_media_core::identity::{InfoHash, PROTOCOL_LABEL, manifest_swarm_base};
use p2p_media_core::media::{Segment, SegmentId};
use p2p_media_dash::{Mpd, PresentationTimeline, parse, rewrite_urls};
use serde_json::Value;

fn fixture(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shaka").join(path)).unwrap()
}

fn cases() -> Vec<Value> {
    let vectors: Value = serde_json::from_slice(&fixture("shaka_streams.json")).unwrap();
    vectors["cases"].as_array().unwrap().clone()
}

fn mpd(case: &Value) -> Mpd {
    parse(&fixture(case["file"].as_str().unwrap()), case["url"].as_str().unwrap()).unwrap()
}

/// A time at which all that a dynamic MPD lists is available.
fn now(mpd: &Mpd) -> f64 {
    mpd.publish_time.unwrap_or_default() + 1.0
}

#[test]
fn streams_have_the_official_ids() {
    for case in cases() {
        let base = manifest_swarm_base(case["url"].as_str().unwrap());
        let streams = mpd(&case).streams();
        let expected = case["streams"].as_array().unwrap();
        assert_eq!(streams.len(), expected.len(), "{}", case["name"]);
        for (stream, expected) in streams.iter().zip(expected) {
            let swarm_id = stream.swarm_id(PROTOCOL_LABEL, base);
            let info_hash = InfoHash::of_swarm(&swarm_id).to_string();
            for (ours, field) in [(stream.kind.as_str(), "type"), (&stream.id, "id"), (&swarm_id, "swarm_id"), (&info_hash, "info_hash")] {
                assert_eq!(Some(ours), expected[field].as_str(), "{}", case["name"]);
            }
        }
    }
}

/// The official integration misses segments (it registers one of a static MPD, or none), but what it has, we have alike.
#[test]
fn segments_have_the_official_ids() {
    let mut count = 0;
    for case in cases() {
        let url = case["url"].as_str().unwrap();
        let directory = &url[..=url.split('?').next().unwrap().rfind('/').unwrap()];
        let mpd = mpd(&case);
        let now = now(&mpd);
        let mut timeline = PresentationTimeline::new(mpd);
        for (stream, expected) in case["streams"].as_array().unwrap().iter().enumerate() {
            let update = timeline.update(stream, now);
            assert!(update.removed.is_empty() && !update.added.is_empty());
            for expected in expected["segments"].as_array().unwrap() {
                let id = SegmentId(expected[0].as_i64().unwrap());
                let segment = update.added.iter().find(|segment| segment.id == id).unwrap();
                assert_is(segment, expected, directory);
                assert_eq!(timeline.segment(stream, id).unwrap().segment, *segment);
                count += 1;
            }
        }
    }
    assert_eq!(count, 50);
}

fn assert_is(segment: &Segment, expected: &Value, directory: &str) {
    assert_eq!(*segment.url, format!("{directory}{}", expected[1].as_str().unwrap()));
    assert!((segment.start - expected[2].as_f64().unwrap()).abs() < 1e-6, "{segment:?} {expected}");
    assert!((segment.end() - expected[3].as_f64().unwrap()).abs() < 1e-6, "{segment:?} {expected}");
    let range = segment.byte_range.map(|range| (Some(range.first), Some(range.last)));
    assert_eq!(range, expected.get(4).map(|pair| (pair[0].as_u64(), pair[1].as_u64())));
}

#[test]
fn a_live_window_goes_on_from_version_to_version() {
    let url = "http://127.0.0.1:8190/live/capD/40/dash/manifest.mpd";
    let read = |file: &str| parse(&fixture(file), url).unwrap();
    let (first, second) = (read("live_first.mpd"), read("live_after_4s.mpd"));
    let times = [now(&first), now(&second)];
    let mut timeline = PresentationTimeline::new(first);
    let ids = |segments: &[Segment]| segments.iter().map(|segment| segment.id.0).collect::<Vec<_>>();
    for stream in 0..3 {
        let update = timeline.update(stream, times[0]);
        // The second audio segment begins a little before 4 s.
        let expected = (0..10).map(|index| if (stream, index) == (2, 1) { 7 } else { index * 8 });
        assert_eq!((ids(&update.added), update.live), (expected.collect(), true));
    }
    timeline.refresh(second);
    for stream in 0..3 {
        let update = timeline.update(stream, times[1]);
        assert_eq!((ids(&update.added), update.removed), (vec![80], vec![SegmentId(0)]));
    }
    assert_eq!(timeline.refresh_after(), Some(2.0));
    assert_eq!(timeline.live_edge(times[1]), Some(44.0));
}

#[test]
fn rewriting_changes_urls_and_nothing_else() {
    for file in ["cut60.mpd", "live_first.mpd", "live_after_4s.mpd", "number.mpd", "single_file.mpd"] {
        let (text, url) = (fixture(file), "https://a.example/x/m.mpd?t=1");
        let mut count = 0;
        let same = rewrite_urls(&text, url, |_| {
            count += 1;
            None
        });
        assert_eq!(*same.unwrap(), *text);
        assert!(count > 0, "{file}");
        // As what they mean, they mean the same.
        let absolute = rewrite_urls(&text, url, |reference| Some(reference.absolute.to_owned())).unwrap();
        let (was, is) = (parse(&text, url).unwrap(), parse(&absolute, url).unwrap());
        for (was, is) in was.periods[0].representations.iter().zip(&is.periods[0].representations) {
            assert_eq!((&was.addressing, &was.init), (&is.addressing, &is.init), "{file}");
        }
    }
}
