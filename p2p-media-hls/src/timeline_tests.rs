//! Tests of [`StreamTimeline`]: hand-made refreshes, and a model that random ones are held against.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Playlist, Variables, parse};

/// A playlist whose segments are named after `prefix` and their sequence number, each 4 s long; `!` in `lines` marks tags to put in.
fn playlist(sequence: u64, count: u64, rest: &str) -> MediaPlaylist {
    named("s", sequence, count, rest)
}

fn named(prefix: &str, sequence: u64, count: u64, rest: &str) -> MediaPlaylist {
    let segments: String = (sequence..sequence + count).map(|number| format!("#EXTINF:4,\n{prefix}{number}.ts\n")).collect();
    read(&format!("#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n{segments}{rest}"))
}

fn read(text: &str) -> MediaPlaylist {
    match parse(format!("#EXTM3U\n{text}").as_bytes(), "https://a.example/live/v.m3u8", &Variables::default()).unwrap() {
        Playlist::Media(playlist) => playlist,
        Playlist::Multivariant(_) => panic!("not a media playlist"),
    }
}

fn ids(segments: &[Segment]) -> Vec<i64> {
    segments.iter().map(|segment| segment.id.0).collect()
}

fn removed(update: &StreamUpdate) -> Vec<i64> {
    update.removed.iter().map(|id| id.0).collect()
}

fn starts(segments: &[Segment]) -> Vec<f64> {
    segments.iter().map(|segment| segment.start).collect()
}

#[test]
fn a_sliding_window_keeps_its_timeline() {
    let mut timeline = StreamTimeline::starting_at(100.0);
    let first = timeline.refresh(&playlist(50, 3, ""));
    assert_eq!((ids(&first.added), starts(&first.added), first.live), (vec![50, 51, 52], vec![100.0, 104.0, 108.0], true));
    let same = timeline.refresh(&playlist(50, 3, ""));
    assert_eq!(same, StreamUpdate { live: true, ..StreamUpdate::default() });
    let next = timeline.refresh(&playlist(52, 3, ""));
    assert_eq!((ids(&next.added), starts(&next.added), removed(&next)), (vec![53, 54], vec![112.0, 116.0], vec![50, 51]));
}

#[test]
fn missed_segments_leave_a_hole_of_their_length() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(0, 2, ""));
    let update = timeline.refresh(&playlist(10, 2, ""));
    assert_eq!((starts(&update.added), removed(&update)), (vec![40.0, 44.0], vec![0, 1]));
    let far = timeline.refresh(&playlist(9_000_000_000, 1, ""));
    assert_eq!(starts(&far.added), [48.0]);
}

#[test]
fn dates_place_segments_after_a_hole() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&read("#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00Z\n#EXTINF:4,\na\n"));
    let update = timeline.refresh(&read("#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:30Z\n#EXTINF:4,\nb\n"));
    assert_eq!(starts(&update.added), [30.0]);
    let audio = read("#EXT-X-MEDIA-SEQUENCE:77\n#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:28Z\n#EXTINF:2,\nc\n");
    assert_eq!(timeline.start_of(&audio), Some(28.0));
}

#[test]
fn other_renditions_are_placed_by_sequence_number_without_dates() {
    let mut timeline = StreamTimeline::default();
    assert_eq!(timeline.start_of(&playlist(5, 1, "")), None);
    timeline.refresh(&playlist(10, 3, ""));
    for (sequence, expected) in [(11, Some(4.0)), (13, Some(12.0)), (15, Some(20.0)), (8, Some(-8.0)), (1 << 50, None)] {
        assert_eq!(timeline.start_of(&playlist(sequence, 1, "")), expected, "{sequence}");
    }
}

#[test]
fn an_older_version_changes_nothing() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(10, 4, ""));
    assert_eq!(timeline.refresh(&playlist(8, 4, "")), StreamUpdate { live: true, ..StreamUpdate::default() });
    assert_eq!(ids(&timeline.refresh(&playlist(11, 4, "")).added), [14]);
}

#[test]
fn a_restarted_server_replaces_everything_and_time_goes_on() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(10, 4, ""));
    let update = timeline.refresh(&named("new", 0, 2, ""));
    assert_eq!((removed(&update), ids(&update.added), starts(&update.added)), (vec![10, 11, 12, 13], vec![0, 1], vec![16.0, 20.0]));
    let update = timeline.refresh(&named("new", 1, 2, ""));
    assert_eq!((removed(&update), ids(&update.added), starts(&update.added)), (vec![0], vec![2], vec![24.0]));
}

#[test]
fn new_tokens_update_segments_and_other_files_replace_them() {
    let with_token = |token: &str, name: &str| read(&format!("#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:4,\n{name}.ts?t={token}\n"));
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&with_token("1", "a"));
    let update = timeline.refresh(&with_token("2", "a"));
    assert_eq!((ids(&update.added), removed(&update)), (vec![3], vec![]));
    assert!(update.added[0].url.ends_with("a.ts?t=2"));
    let update = timeline.refresh(&with_token("2", "b"));
    assert_eq!((ids(&update.added), removed(&update), starts(&update.added)), (vec![3], vec![3], vec![0.0]));
}

#[test]
fn gaps_are_left_out_until_they_are_filled() {
    let with_gap = |gap: &str| read(&format!("#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:4,\na.ts\n{gap}#EXTINF:4,\nb.ts\n#EXTINF:4,\nc.ts\n"));
    let mut timeline = StreamTimeline::default();
    let update = timeline.refresh(&with_gap("#EXT-X-GAP\n"));
    assert_eq!((ids(&update.added), starts(&update.added)), (vec![3, 5], vec![0.0, 8.0]));
    let update = timeline.refresh(&with_gap(""));
    assert_eq!((ids(&update.added), starts(&update.added)), (vec![4], vec![4.0]));
    assert_eq!(removed(&timeline.refresh(&with_gap("#EXT-X-GAP\n"))), [4]);
}

#[test]
fn delta_updates_keep_what_they_skip() {
    let delta = |sequence: u64, skipped: u64, count: u64| {
        let listed = sequence + skipped..sequence + skipped + count;
        let segments: String = listed.map(|number| format!("#EXTINF:4,\ns{number}.ts\n")).collect();
        read(&format!("#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n{segments}"))
    };
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(0, 10, ""));
    let update = timeline.refresh(&delta(2, 7, 3));
    assert_eq!((ids(&update.added), starts(&update.added), removed(&update)), (vec![10, 11], vec![40.0, 44.0], vec![0, 1]));

    // Skips more than was seen: the hole keeps its length, and a full version fills it.
    let update = timeline.refresh(&delta(2, 12, 1));
    assert_eq!((ids(&update.added), starts(&update.added)), (vec![14], vec![56.0]));
    let update = timeline.refresh(&playlist(2, 13, ""));
    assert_eq!((ids(&update.added), starts(&update.added)), (vec![12, 13], vec![48.0, 52.0]));
}

#[test]
fn delta_updates_alone_do_not_grow_without_bound() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(0, 1, ""));
    for round in 1..8_u64 {
        let skipped = round * (MAX_SEGMENTS as u64 - 10);
        timeline.refresh(&read(&format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n#EXTINF:1,\ns\n")));
        assert!(timeline.held.len() <= MAX_SEGMENTS);
    }
}

#[test]
fn when_a_stream_ends_segments_keep_their_ids() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(0, 3, ""));
    let update = timeline.refresh(&playlist(0, 4, "#EXT-X-ENDLIST\n"));
    assert_eq!((ids(&update.added), removed(&update), update.live), (vec![3], vec![], false));

    // In a window that begins at 2, official peers call the new segment 3, which is another one here.
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(2, 3, ""));
    for _again in 0..2 {
        let update = timeline.refresh(&playlist(2, 4, "#EXT-X-ENDLIST\n"));
        assert_eq!((ids(&update.added), removed(&update), update.live), (vec![], vec![], false));
    }
}

#[test]
fn ended_playlists_that_move_on_give_no_id_twice() {
    let mut timeline = StreamTimeline::default();
    assert_eq!(ids(&timeline.refresh(&playlist(7, 6, "#EXT-X-ENDLIST\n")).added), [0, 1, 2, 3, 4, 5]);
    let update = timeline.refresh(&playlist(11, 8, "#EXT-X-ENDLIST\n"));
    // Numbers 13 to 18: 13, the third in its playlist, would have the id 2.
    assert_eq!((ids(&update.added), removed(&update)), (vec![6, 7], vec![0, 1, 2, 3]));
    assert_eq!(removed(&timeline.refresh(&playlist(30, 1, "#EXT-X-ENDLIST\n"))), [4, 5, 6, 7]);
}

#[test]
fn a_playlist_without_segments_is_a_beginning_too() {
    let mut timeline = StreamTimeline::default();
    timeline.refresh(&playlist(5, 0, ""));
    assert_eq!(starts(&timeline.refresh(&playlist(90, 2, "")).added), [0.0, 4.0]);
}

proptest! {
    /// Applied one after the other, updates give what the last version lists, and times go up.
    #[test]
    fn updates_add_up_to_the_playlist(steps in proptest::collection::vec((0_u64..4, 0_u64..6, any::<bool>()), 1..20)) {
        let mut timeline = StreamTimeline::default();
        let mut registered = BTreeMap::new();
        let mut next = 1000;
        for (back, forward, rename) in steps {
            let sequence: u64 = next - back;
            let version = named(if rename { "https://b.example/s" } else { "s" }, sequence, back + forward, "");
            next += forward;
            let update = timeline.refresh(&version);
            for id in &update.removed {
                prop_assert!(registered.remove(&id.0).is_some(), "unknown id removed");
            }
            for segment in update.added {
                registered.insert(segment.id.0, segment);
            }
            if back + forward > 0 {
                let listed: Vec<(i64, &str)> = version.segments.iter().map(|segment| (segment.sequence as i64, &*segment.url)).collect();
                let held: Vec<(i64, &str)> = registered.iter().map(|(id, segment)| (*id, &*segment.url)).collect();
                prop_assert_eq!(held, listed);
            }
            let starts: Vec<f64> = registered.values().map(|segment| segment.start).collect();
            prop_assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 4.0));
        }
    }
}
