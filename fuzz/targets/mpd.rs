//! MPDs: read, expanded at some time, refreshed by another version, patched by it, rewritten.
#![no_main]

mod versions;

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use p2p_media_core::media::SegmentId;
use p2p_media_dash::{Mpd, PresentationTimeline, apply_patch, parse, rewrite_urls};
use versions::two_versions;

const URL: &str = "https://a.example/live/manifest.mpd?token=1";
/// Seconds after the availability start at which the first byte of an input has it looked at.
const AGES: [f64; 8] = [0.0, 1.0, 12.5, 3600.0, 1e6, 1e9, -5.0, 1e15];
/// Segments and streams that are looked at; reading is to be fuzzed, not iterating.
const LOOKED_AT: usize = 300;
const STREAMS_LOOKED_AT: usize = 8;

fuzz_target!(|input: &[u8]| {
    let Some((&age, rest)) = input.split_first() else { return };
    let (first, second) = two_versions(rest);
    let mut mpds = Vec::new();
    for text in [first, second] {
        if let Ok(same) = rewrite_urls(text, URL, |_| None) {
            assert_eq!(&*same, text);
        }
        let rewritten = rewrite_urls(text, URL, |reference| Some(format!("/x?u={}", reference.absolute)));
        let Ok(mpd) = parse(text, URL) else { continue };
        if let Ok(rewritten) = rewritten
            && parse(&rewritten, URL).is_err()
        {
            panic!("what was rewritten is not an MPD any more");
        }
        mpds.push(mpd);
    }
    if let Ok(patched) = apply_patch(first, second) {
        let _ = parse(&patched, URL);
    }
    let Some(mpd) = mpds.first() else { return };
    let now = mpd.availability_start + AGES[usize::from(age) % AGES.len()];
    mpds.iter().for_each(|mpd| expand(mpd, now));

    let mut timeline = PresentationTimeline::new(mpd.clone());
    let mut registered: Vec<BTreeSet<SegmentId>> = Vec::new();
    for (round, mpd) in mpds.iter().chain(mpds.first()).enumerate() {
        timeline.refresh(mpd.clone());
        let now = now + round as f64;
        look_at(&mut timeline, now, &mut registered);
    }
});

fn expand(mpd: &Mpd, now: f64) {
    for period in &mpd.periods {
        for representation in period.representations.iter().take(STREAMS_LOOKED_AT) {
            let segments = representation.segments(mpd, period, now);
            assert!(segments.remaining() <= u64::MAX / 2);
            for segment in segments.take(LOOKED_AT) {
                assert!(!segment.place.start.is_nan() && !segment.place.duration.is_nan());
            }
            let _ = representation.next_available(mpd, period, now);
        }
    }
}

fn look_at(timeline: &mut PresentationTimeline, now: f64, registered: &mut Vec<BTreeSet<SegmentId>>) {
    let streams = timeline.streams().len().min(STREAMS_LOOKED_AT);
    registered.resize_with(streams.max(registered.len()), BTreeSet::new);
    for (stream, registered) in registered.iter_mut().enumerate().take(streams) {
        let update = timeline.update(stream, now);
        for id in &update.removed {
            assert!(registered.remove(id), "{id:?} was not registered");
        }
        for segment in &update.added {
            assert!(segment.start.is_finite() && segment.duration.is_finite());
            registered.insert(segment.id);
        }
        assert_eq!(timeline.segments(stream).count(), registered.len());
        for details in timeline.segments(stream).take(LOOKED_AT) {
            assert!(registered.contains(&details.segment.id));
            assert_eq!(timeline.segment(stream, details.segment.id).map(|found| found.segment.id), Some(details.segment.id));
            let _ = timeline.segment_at(stream, details.segment.start);
        }
        assert!(timeline.next_change(stream, now).is_none_or(|at| at > now));
        let _ = timeline.index_needed(stream);
    }
    let _ = timeline.live_edge(now);
    assert!(!timeline.start_position(now).is_nan());
    assert!(timeline.refresh_after().is_none_or(|seconds| seconds >= 0.0));
}
