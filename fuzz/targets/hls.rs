//! Playlists: read, shown, refreshed by another version, asked for again, rewritten.
#![no_main]

mod versions;

use std::collections::BTreeSet;
use std::io::sink;

use libfuzzer_sys::fuzz_target;
use p2p_media_core::media::StreamUpdate;
use p2p_media_hls::inspect::{SwarmNaming, report};
use p2p_media_hls::{MediaPlaylist, Playlist, StreamTimeline, Variables, parse, rewrite_uris};
use versions::two_versions;

const URL: &str = "https://a.example/live/v.m3u8?token=1";

fuzz_target!(|input: &[u8]| {
    let variables = Variables::from_iter([("host", "h.example")]);
    let (first, second) = two_versions(input);
    let mut playlists = Vec::new();
    for text in [first, second] {
        if let Ok(same) = rewrite_uris(text, URL, &variables, |_| None) {
            assert_eq!(&*same, text);
        }
        let rewritten = rewrite_uris(text, URL, &variables, |uri| Some(format!("/x?u={}", uri.absolute)));
        let Ok(playlist) = parse(text, URL, &variables) else { continue };
        serde_json::to_writer(sink(), &report(&playlist, URL, SwarmNaming { label: "v2", base: "b" })).unwrap();
        match (playlist, rewritten.map(|text| parse(&text, URL, &variables))) {
            (Playlist::Multivariant(playlist), _) => drop(playlist.streams()),
            (Playlist::Media(playlist), rewritten) => {
                if let Ok(Ok(Playlist::Media(rewritten))) = rewritten {
                    assert_eq!(rewritten.segments.len(), playlist.segments.len());
                }
                playlists.push(playlist);
            }
        }
    }
    let mut timeline = StreamTimeline::default();
    let mut registered = BTreeSet::new();
    for playlist in playlists.iter().chain(playlists.first()) {
        let lacked_segments = timeline.lacks_segments();
        let update = timeline.refresh(playlist);
        take_in(&update, &mut registered);
        let parts = timeline.parts();
        assert!(parts.is_sorted_by(|a, b| (a.sequence, a.index) < (b.sequence, b.index)));
        assert!(parts.iter().all(|part| part.id.is_none_or(|id| registered.contains(&id))));
        assert!(timeline.live_edge().is_finite() || lacked_segments);
        let _ = timeline.start_of(playlist);
        deliver(playlist);
    }
});

/// What is removed was there, and what is added has a time.
fn take_in(update: &StreamUpdate, registered: &mut BTreeSet<p2p_media_core::media::SegmentId>) {
    for id in &update.removed {
        assert!(registered.remove(id), "{id:?} was not registered");
    }
    for segment in &update.added {
        assert!(segment.start.is_finite() && segment.duration.is_finite());
        registered.insert(segment.id);
    }
}

fn deliver(playlist: &MediaPlaylist) {
    let url = playlist.reload_url(URL, Some(1.0));
    assert!(url.starts_with("https://a.example/live/v.m3u8?token=1"));
    for report in &playlist.rendition_reports {
        let position = playlist.reported_position(&report.url);
        let _ = position.map(|position| position.reload_url(&report.url));
    }
    assert!(playlist.hold_back(true) > 0.0 && playlist.hold_back(false) > 0.0);
    assert!(playlist.reload_interval(true).is_none_or(|seconds| seconds > 0.0));
}
