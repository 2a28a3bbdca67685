//! Tests of the timeline, rule by rule, and against versions of any kind.

use std::collections::BTreeMap;

use p2p_media_core::media::{ByteRange, SegmentForm};
use proptest::prelude::*;

use super::*;
use crate::parse;

const URL: &str = "https://a.example/live/m.mpd";

/// Zero of the presentation timeline in these tests, in seconds since 1970: 2026-01-01T00:00:00Z.
const ZERO: f64 = 1_767_225_600.0;

fn mpd(attributes: &str, periods: &str) -> Mpd {
    parse(format!("<MPD {attributes}>{periods}</MPD>").as_bytes(), URL).unwrap()
}

/// A dynamic MPD that was published so many seconds after its beginning.
fn live(published: f64, attributes: &str, periods: &str) -> Mpd {
    let mut mpd = mpd(
        &format!("id='m' type='dynamic' availabilityStartTime='2026-01-01T00:00:00Z' minimumUpdatePeriod='PT2S' {attributes}"),
        periods,
    );
    mpd.publish_time = Some(ZERO + published);
    mpd
}

/// One period with one video.
fn period(attributes: &str, template: &str) -> String {
    format!(
        "<Period {attributes}><AdaptationSet contentType='video'>{template}<Representation id='v' bandwidth='1000'/></AdaptationSet></Period>"
    )
}

const TWO_SECONDS: &str = "<SegmentTemplate media='$Number$.m4s' duration='2' initialization='i.mp4'/>";

fn listed(start_number: u64, entries: &str) -> String {
    format!(
        "<SegmentTemplate media='$Number$.m4s' startNumber='{start_number}'><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate>"
    )
}

fn names(segments: &[Segment]) -> Vec<String> {
    let name = |segment: &Segment| segment.url.rsplit('/').next().unwrap_or_default().to_owned();
    segments.iter().map(name).collect()
}

fn ids(ids: &[SegmentId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

/// What an update adds (by file name) and removes.
fn update(timeline: &mut PresentationTimeline, seconds: f64) -> (Vec<String>, Vec<i64>) {
    let update = timeline.update(0, ZERO + seconds);
    (names(&update.added), ids(&update.removed))
}

fn changes(added: &[&str], removed: &[i64]) -> (Vec<String>, Vec<i64>) {
    (added.iter().map(|&name| name.to_owned()).collect(), removed.to_vec())
}

#[test]
fn a_static_presentation_has_all_segments_from_the_beginning() {
    let mut timeline = PresentationTimeline::new(mpd("mediaPresentationDuration='PT7S'", &period("", TWO_SECONDS)));
    let first = timeline.update(0, ZERO);
    assert_eq!((names(&first.added), first.live), (["1.m4s", "2.m4s", "3.m4s", "4.m4s"].map(str::to_owned).to_vec(), false));
    assert_eq!(timeline.update(0, ZERO + 9.0), StreamUpdate::default());
    let last = timeline.segment(0, SegmentId(12)).unwrap();
    assert_eq!((last.number, last.segment.duration, last.period), (Some(4), 1.0, 0));
    assert_eq!(last.init.unwrap().url.as_ref(), "https://a.example/live/i.mp4");
    assert_eq!(timeline.segment(0, SegmentId(13)), None);
    assert_eq!(timeline.segment_at(0, 3.0).unwrap().number, Some(2));
    assert_eq!(timeline.segment_at(0, 7.0), None);
    assert_eq!((timeline.live_edge(0.0), timeline.start_position(0.0), timeline.next_change(0, 0.0)), (Some(7.0), 0.0, None));
    assert_eq!((timeline.refresh_after(), timeline.is_live(0.0)), (None, false));
}

#[test]
fn a_window_slides_by_time_alone() {
    let mut timeline = PresentationTimeline::new(live(0.0, "timeShiftBufferDepth='PT6S'", &period("start='PT0S'", TWO_SECONDS)));
    assert_eq!(update(&mut timeline, 9.0), changes(&["2.m4s", "3.m4s", "4.m4s"], &[]));
    assert_eq!(timeline.next_change(0, ZERO + 9.0), Some(ZERO + 10.0));
    assert_eq!(update(&mut timeline, 9.5), changes(&[], &[]));
    assert_eq!(update(&mut timeline, 10.0), changes(&["5.m4s"], &[4]));
    assert_eq!(update(&mut timeline, 30.0), changes(&["13.m4s", "14.m4s", "15.m4s"], &[8, 12, 16]));
    // The clock was corrected.
    assert_eq!(update(&mut timeline, 28.0), changes(&["12.m4s"], &[56]));
    assert_eq!(timeline.live_edge(ZERO + 28.0), Some(28.0));
}

#[test]
fn chunks_make_a_segment_available_before_it_is_finished() {
    let template = TWO_SECONDS.replace("duration", "availabilityTimeOffset='1.5' availabilityTimeComplete='false' duration");
    let mut timeline = PresentationTimeline::new(live(0.0, "", &period("start='PT0S'", &template)));
    let forms = |update: &StreamUpdate| update.added.iter().map(|segment| (segment.id.0, segment.form)).collect::<Vec<_>>();
    let (whole, unfinished) = (SegmentForm::Whole, SegmentForm::Unfinished);
    assert_eq!(forms(&timeline.update(0, ZERO + 4.25)), [(0, whole), (4, whole)]);
    assert_eq!(timeline.next_change(0, ZERO + 4.25), Some(ZERO + 4.5));
    assert_eq!(forms(&timeline.update(0, ZERO + 4.5)), [(8, unfinished)]);
    assert_eq!(timeline.next_change(0, ZERO + 4.5), Some(ZERO + 6.0));
    assert_eq!(forms(&timeline.update(0, ZERO + 6.0)), [(8, whole)]);
    assert_eq!(forms(&timeline.update(0, ZERO + 6.5)), [(12, unfinished)]);
    assert_eq!(timeline.live_edge(ZERO + 6.5), Some(6.0));
}

#[test]
fn a_newer_version_is_a_difference() {
    let version = |published: f64, number, entries| live(published, "", &period("start='PT0S'", &listed(number, entries)));
    let mut timeline = PresentationTimeline::new(version(8.0, 1, "<S t='0' d='2' r='3'/>"));
    assert_eq!(update(&mut timeline, 8.0), changes(&["1.m4s", "2.m4s", "3.m4s", "4.m4s"], &[]));
    timeline.refresh(version(12.0, 3, "<S t='4' d='2' r='2'/><S d='1'/><S d='1'/>"));
    assert_eq!(update(&mut timeline, 12.0), changes(&["5.m4s", "6.m4s", "7.m4s"], &[0, 4]));
    // An older one, from a cache.
    timeline.refresh(version(8.0, 1, "<S t='0' d='2' r='3'/>"));
    assert_eq!(update(&mut timeline, 12.0), changes(&[], &[]));
    // Times changed: not the same segments.
    timeline.refresh(version(14.0, 3, "<S t='4' d='3' r='1'/>"));
    assert_eq!(update(&mut timeline, 14.0), changes(&["3.m4s", "4.m4s"], &[12, 16, 20, 22]));
    // A server whose clock was set back is believed in the end.
    (0..6).for_each(|_| timeline.refresh(version(1.0, 1, "<S t='0' d='2'/>")));
    assert_eq!(update(&mut timeline, 14.0), changes(&["1.m4s"], &[8, 14]));
}

#[test]
fn a_timeline_that_begins_where_it_does_not_say() {
    let version = |published: f64, entries| {
        let template = listed(1, entries).replace("startNumber", "presentationTimeOffset='100' startNumber").replace("$Number$", "$Time$");
        live(published, "", &period("start='PT0S'", &template))
    };
    let mut timeline = PresentationTimeline::new(version(4.0, "<S d='2' r='1'/>"));
    assert_eq!(update(&mut timeline, 60.0), changes(&["100.m4s", "102.m4s"], &[]));
    timeline.refresh(version(6.0, "<S d='2' r='2'/>"));
    assert_eq!(update(&mut timeline, 60.0), changes(&["104.m4s"], &[]));
    // Now it has something to go by.
    timeline.refresh(version(8.0, "<S d='2'/><S t='100' d='2'/><S d='3'/>"));
    assert_eq!(update(&mut timeline, 60.0), changes(&["102.m4s"], &[8]));
}

#[test]
fn urls_that_change() {
    let version = |published, media: &str| {
        live(
            published,
            "",
            &period(
                "start='PT0S'",
                &format!(
                    "<SegmentTemplate media='{media}' startNumber='1'><SegmentTimeline><S t='0' d='2' r='1'/></SegmentTimeline></SegmentTemplate>"
                ),
            ),
        )
    };
    let mut timeline = PresentationTimeline::new(version(4.0, "x/$Number$.m4s?token=1"));
    assert_eq!(update(&mut timeline, 4.0), changes(&["1.m4s?token=1", "2.m4s?token=1"], &[]));
    timeline.refresh(version(5.0, "y/$Number$.m4s?token=2"));
    assert_eq!(update(&mut timeline, 5.0), changes(&["1.m4s?token=2", "2.m4s?token=2"], &[]));
    timeline.refresh(version(6.0, "y/other-$Number$.m4s"));
    assert_eq!(update(&mut timeline, 6.0), changes(&["other-1.m4s", "other-2.m4s"], &[0, 4]));
}

#[test]
fn a_restarted_server_replaces_everything() {
    let version = |published: f64| live(published, "", &period("start='PT0S'", &listed(1, "<S t='0' d='2' r='1'/>")));
    let mut timeline = PresentationTimeline::new(version(4.0));
    update(&mut timeline, 4.0);
    let mut restarted = version(104.0);
    restarted.availability_start += 100.0;
    timeline.refresh(restarted.clone());
    assert_eq!(update(&mut timeline, 104.0), changes(&["1.m4s", "2.m4s"], &[0, 4]));
    // A clock that is set a little is not a restart.
    restarted.availability_start += 0.5;
    timeline.refresh(restarted);
    assert_eq!(update(&mut timeline, 104.5), changes(&[], &[]));
}

#[test]
fn streams_go_on_from_period_to_period() {
    let set = |kind: &str, ids: [&str; 2], bandwidths: [u32; 2]| {
        let one = |index: usize| format!("<Representation id='{}' bandwidth='{}'/>", ids[index], bandwidths[index]);
        format!("<AdaptationSet contentType='{kind}' lang='en'>{TWO_SECONDS}{}{}</AdaptationSet>", one(0), one(1))
    };
    let period = |start: u32, sets: &str| format!("<Period start='PT{start}S'>{sets}</Period>");
    let first = period(0, &(set("audio", ["a", "b"], [10, 20]) + &set("video", ["v", "w"], [100, 200])));
    let second = period(4, &(set("video", ["x", "y"], [200, 150]) + &set("audio", ["b", "c"], [10, 30])));
    let mut timeline = PresentationTimeline::new(mpd("mediaPresentationDuration='PT8S'", &(first + &second)));
    let kinds: Vec<_> =
        timeline.streams().iter().map(|stream| (stream.kind.as_str(), stream.representation_id.as_deref().unwrap_or_default())).collect();
    assert_eq!(kinds, [("main", "v"), ("main", "w"), ("main", "y"), ("secondary", "a"), ("secondary", "b"), ("secondary", "c")]);
    let starts = |update: StreamUpdate| update.added.iter().map(|segment| segment.start).collect::<Vec<_>>();
    let all: Vec<_> = (0..6).map(|stream| starts(timeline.update(stream, ZERO))).collect();
    assert_eq!(all, [vec![0.0, 2.0], vec![0.0, 2.0, 4.0, 6.0], vec![4.0, 6.0], vec![0.0, 2.0], vec![0.0, 2.0, 4.0, 6.0], vec![4.0, 6.0]]);
    // The same one where it is, else one like it.
    let next: Vec<_> = (0..7).map(|stream| timeline.stream_in_period(stream, 1)).collect();
    assert_eq!(next, [Some(2), Some(1), Some(2), Some(4), Some(4), Some(5), None]);
    assert_eq!(timeline.stream_in_period(0, 9), None);
    assert_eq!(
        (timeline.period_at(-1.0), timeline.period_at(3.9), timeline.period_at(4.0), timeline.period_at(99.0)),
        (Some(0), Some(0), Some(1), Some(1))
    );
    assert_eq!(timeline.segment(1, SegmentId(8)).map(|details| (details.period, details.number)), Some((1, Some(1))));
}

#[test]
fn periods_come_and_go_and_are_renamed() {
    let at = |id: &str, start: u32, first: u32| {
        period(
            &format!("id='{id}' start='PT{start}S'"),
            &format!(
                "<SegmentTemplate media='{id}-$Time$' presentationTimeOffset='{first}'><SegmentTimeline><S t='{first}' d='2' r='1'/></SegmentTimeline></SegmentTemplate>"
            ),
        )
    };
    let mut timeline = PresentationTimeline::new(live(8.0, "", &(at("a", 0, 0) + &at("b", 4, 50))));
    assert_eq!(update(&mut timeline, 8.0), changes(&["a-0", "a-2", "b-50", "b-52"], &[]));
    timeline.refresh(live(12.0, "", &(at("b", 4, 50) + &at("c", 8, 0))));
    assert_eq!(update(&mut timeline, 12.0), changes(&["c-0", "c-2"], &[0, 4]));
    // Another file of the same time is another segment.
    timeline.refresh(live(13.0, "", &(at("d", 4, 50) + &at("c", 8, 0))));
    assert_eq!(update(&mut timeline, 13.0), changes(&["d-50", "d-52"], &[8, 12]));
}

#[test]
fn representations_of_equal_properties_are_streams_of_their_own() {
    let copies = "<Period><AdaptationSet contentType='video'><SegmentTemplate media='$RepresentationID$-$Number$' duration='2'/><Representation id='v' bandwidth='1'/><Representation id='w' bandwidth='1'/></AdaptationSet></Period>";
    let timeline = PresentationTimeline::new(mpd("mediaPresentationDuration='PT2S'", &copies.repeat(2)));
    let streams = timeline.streams();
    assert_eq!(streams.len(), 2);
    assert_ne!(streams[0].id, streams[1].id);
    let alone = mpd("mediaPresentationDuration='PT2S'", &copies.replace("<Representation id='w' bandwidth='1'/>", ""));
    assert_eq!(alone.streams()[0].id, streams[0].id);
}

#[test]
fn no_two_segments_have_one_id() {
    for entries in [
        "<S t='0' d='2'/><S t='0' d='2'/><S t='4' d='2' r='3'/><S t='6' d='2' r='3'/>",
        "<S t='0' d='0' r='9'/><S d='2'/>",
        "<S t='9' d='2'/><S t='3' d='2' r='9'/>",
    ] {
        let mut timeline = PresentationTimeline::new(live(60.0, "", &period("start='PT0S'", &listed(1, entries))));
        let added = timeline.update(0, ZERO + 60.0).added;
        let distinct: std::collections::BTreeSet<_> = added.iter().map(|segment| segment.id).collect();
        assert_eq!(distinct.len(), added.len(), "{entries}");
        assert!(!added.is_empty());
    }
}

/// A `sidx` with references of 100 bytes and 2 s each, 10 ticks a second.
fn sidx(count: u16) -> Vec<u8> {
    let mut body = [[0; 4], [0, 0, 0, 1], [0, 0, 0, 10], [0; 4], [0; 4]].concat();
    body.extend(u32::from(count).to_be_bytes());
    (0..count).for_each(|_| body.extend([100_u32.to_be_bytes(), 20_u32.to_be_bytes(), [0; 4]].concat()));
    [&(body.len() as u32 + 8).to_be_bytes(), b"sidx".as_slice(), &body].concat()
}

#[test]
fn an_index_is_fetched_before_segments_are_known() {
    let base = "<BaseURL>v.mp4</BaseURL><SegmentBase indexRange='500-600'><Initialization range='0-499'/></SegmentBase>";
    let periods = format!(
        "<Period start='PT10S'><AdaptationSet contentType='video'><Representation id='v' bandwidth='1'>{base}</Representation></AdaptationSet></Period>"
    );
    let version = || mpd("mediaPresentationDuration='PT15S'", &periods);
    let mut timeline = PresentationTimeline::new(version());
    assert!(timeline.update(0, ZERO).added.is_empty());
    let request = timeline.index_needed(0).unwrap();
    assert_eq!(*request.resource.url, *"https://a.example/live/v.mp4");
    assert_eq!(request.resource.byte_range, Some(ByteRange { first: 500, last: 600 }));
    timeline.index_failed(IndexId(99));
    timeline.add_index(request.id, 500, &sidx(4)).unwrap();
    assert_eq!(timeline.index_needed(0), None);
    let added = timeline.update(0, ZERO).added;
    let places: Vec<_> = added.iter().map(|segment| (segment.id.0, segment.start, segment.byte_range.unwrap().first)).collect();
    // Those behind the end of the period are not there.
    assert_eq!(places, [(20, 10.0, 580), (24, 12.0, 680), (28, 14.0, 780)]);
    assert_eq!(timeline.segment_at(0, 13.0).unwrap().segment, added[1]);
    assert_eq!(timeline.segment(0, added[2].id).unwrap().segment, added[2]);
    // It is not lost with a new version, and not wanted twice.
    timeline.refresh(version());
    assert_eq!((timeline.index_needed(0), timeline.update(0, ZERO)), (None, StreamUpdate::default()));
    assert_eq!(timeline.add_index(request.id, 0, b"x"), Ok(()));
}

#[test]
fn an_index_that_is_none_is_asked_for_again_with_a_new_version_only() {
    let periods = "<Period><AdaptationSet contentType='video'><Representation bandwidth='1'><BaseURL>v.mp4</BaseURL><SegmentBase indexRange='0-9'/></Representation></AdaptationSet></Period>";
    let version = || mpd("mediaPresentationDuration='PT15S'", periods);
    let mut timeline = PresentationTimeline::new(version());
    let first = timeline.index_needed(0).unwrap();
    assert!(timeline.add_index(first.id, 0, b"not an index").is_err());
    assert_eq!(timeline.index_needed(0), None);
    timeline.refresh(version());
    let second = timeline.index_needed(0).unwrap();
    assert_ne!(second.id, first.id);
    timeline.index_failed(second.id);
    assert_eq!(timeline.index_needed(0), None);
}

#[test]
fn when_and_where_the_next_version_is() {
    let timeline = |attributes: &str, before: &str| {
        PresentationTimeline::new(live(0.0, attributes, &format!("{before}{}", period("start='PT0S'", TWO_SECONDS))))
    };
    assert_eq!(timeline("", "").refresh_after(), Some(2.0));
    let at_any_time = |attributes: &str| {
        let mut mpd = live(0.0, attributes, &period("start='PT0S'", TWO_SECONDS));
        mpd.minimum_update_period = Some(0.0);
        PresentationTimeline::new(mpd).refresh_after()
    };
    assert_eq!(
        (at_any_time(""), at_any_time("maxSegmentDuration='PT3S'"), at_any_time("maxSegmentDuration='PT0.1S'")),
        (Some(2.0), Some(3.0), Some(0.5))
    );
    assert_eq!(*timeline("", "").next_mpd_url("https://b.example/x"), *"https://b.example/x");
    assert_eq!(*timeline("", "<Location>n.mpd</Location>").next_mpd_url(URL), *"https://a.example/live/n.mpd");
    let patched = timeline("", "<PatchLocation ttl='60'>p</PatchLocation>");
    assert_eq!(patched.patch_url(ZERO + 59.0).as_deref(), Some("https://a.example/live/p"));
    assert_eq!(patched.patch_url(ZERO + 61.0), None);
}

#[test]
fn playing_begins_behind_the_edge() {
    let start = |attributes: &str, before: &str, template: &str, seconds: f64| {
        let periods = format!("{before}{}", period("start='PT0S'", template));
        PresentationTimeline::new(live(0.0, attributes, &periods)).start_position(ZERO + seconds)
    };
    assert_eq!(start("", "", TWO_SECONDS, 101.0), 95.0);
    assert_eq!(start("suggestedPresentationDelay='PT10S'", "", TWO_SECONDS, 101.0), 91.0);
    // Within the window, and with a segment to play.
    assert_eq!(start("suggestedPresentationDelay='PT30S' timeShiftBufferDepth='PT20S'", "", TWO_SECONDS, 101.0), 80.0);
    assert_eq!(start("suggestedPresentationDelay='PT0S'", "", TWO_SECONDS, 101.0), 98.0);
    assert_eq!(start("", "", TWO_SECONDS, 0.0), 0.0);
    let chunked = TWO_SECONDS.replace("duration", "availabilityTimeOffset='1.9' availabilityTimeComplete='false' duration");
    let latency = "<ServiceDescription><Latency target='1500'/></ServiceDescription>";
    assert_eq!(start("suggestedPresentationDelay='PT10S'", latency, &chunked, 101.0), 99.5);
    assert_eq!(start("", "<ServiceDescription><Latency target='500'/></ServiceDescription>", &chunked, 101.0), 100.0);
}

#[test]
fn a_live_presentation_ends() {
    let with = |attributes: &str| PresentationTimeline::new(live(0.0, attributes, &period("start='PT0S' duration='PT20S'", TWO_SECONDS)));
    let is_live = |timeline: &PresentationTimeline, seconds| timeline.is_live(ZERO + seconds);
    assert!(is_live(&with(""), 100.0));
    let ending = with("mediaPresentationDuration='PT20S'");
    assert_eq!((is_live(&ending, 19.0), is_live(&ending, 20.0)), (true, false));
    let closed = with("availabilityEndTime='2026-01-01T00:00:10Z'");
    assert_eq!((is_live(&closed, 9.0), is_live(&closed, 10.0)), (true, false));
}

/// A day of segments of 4.32 s, each with an entry of its own as alternating durations have it, that has moved on by `moved`.
fn long_mpd(moved: u64) -> Mpd {
    let ticks = |index: u64| index * 4_320 + index % 2;
    let entry = |index: u64| format!("<S t='{}' d='{}'/>", ticks(index), ticks(index + 1) - ticks(index));
    let entries: String = (moved..moved + 20_000).map(entry).collect();
    let template = format!(
        "<SegmentTemplate timescale='1000' media='$RepresentationID$/$Time$.m4s'><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate>"
    );
    let video: String = (0..4).map(|index| format!("<Representation id='v{index}' bandwidth='{}'/>", 1_000 * (index + 1))).collect();
    let periods = format!(
        "<Period start='PT0S'><AdaptationSet contentType='video'>{template}{video}</AdaptationSet><AdaptationSet contentType='audio'>{template}<Representation id='a' bandwidth='100'/></AdaptationSet></Period>"
    );
    live(86_400.0 + moved as f64, "timeShiftBufferDepth='PT24H'", &periods)
}

#[test]
fn a_refresh_of_a_long_window_gives_what_changed() {
    let mut timeline = PresentationTimeline::new(long_mpd(0));
    let now = ZERO + 90_000.0;
    for stream in 0..5 {
        let update = timeline.update(stream, now);
        assert_eq!(update.added.len(), 20_000);
        assert!(timeline.details_of(stream, &update.added).all(|details| details.time.is_some()));
    }
    let versions: Vec<Mpd> = (1..=10).map(long_mpd).collect();
    for mpd in versions {
        timeline.refresh(mpd);
        for stream in 0..5 {
            let update = timeline.update(stream, now);
            assert_eq!((update.added.len(), update.removed.len()), (1, 1));
        }
    }
}

/// When a period begins, whether its segments are listed, and time, duration and repetitions of each entry.
type PeriodParts = (f64, bool, Vec<(Option<u64>, u64, i64)>);

#[derive(Clone, Debug)]
struct Version {
    periods: Vec<PeriodParts>,
    first_number: u64,
    depth: Option<f64>,
    offset: f64,
    token: u8,
    now: f64,
}

impl Version {
    fn mpd(&self, published: usize) -> Mpd {
        let periods: String = self.periods.iter().map(|(start, is_listed, entries)| {
            let entry = |(time, duration, repeat): &(Option<u64>, u64, i64)| {
                let time = time.map(|time| format!("t='{time}'")).unwrap_or_default();
                format!("<S {time} d='{duration}' r='{repeat}'/>")
            };
            let times = if *is_listed { "".to_owned() } else { format!("duration='{}'", entries.first().map_or(1, |entry| entry.1.max(1))) };
            let list: String = if *is_listed { format!("<SegmentTimeline>{}</SegmentTimeline>", entries.iter().map(entry).collect::<String>()) } else { String::new() };
            let template = format!("<SegmentTemplate media='$Number$.m4s?{}' timescale='4' startNumber='{}' availabilityTimeOffset='{}' availabilityTimeComplete='false' {times}>{list}</SegmentTemplate>", self.token, self.first_number, self.offset);
            period(&format!("start='PT{start}S'"), &template)
        }).collect();
        let depth = self.depth.map(|depth| format!("timeShiftBufferDepth='PT{depth}S'")).unwrap_or_default();
        live(published as f64, &depth, &periods)
    }
}

fn versions() -> impl Strategy<Value = Vec<Version>> {
    let entry = (proptest::option::weighted(0.3, 0..60_u64), prop_oneof![4 => Just(8_u64), 2 => 1..12_u64, 1 => Just(0)], -1..6_i64);
    let period = (0..40_u32, any::<bool>(), proptest::collection::vec(entry, 1..5));
    let periods = proptest::collection::vec(period, 1..4).prop_map(|mut periods| {
        periods.sort_by_key(|(start, ..)| *start);
        periods.into_iter().map(|(start, is_listed, entries)| (f64::from(start) / 2.0, is_listed, entries)).collect::<Vec<_>>()
    });
    let version = (periods, 0..3_u64, proptest::option::of(4..20_u32), 0..8_u32, 0..2_u8, 0..120_u32);
    let version = version.prop_map(|(periods, first_number, depth, offset, token, now)| Version {
        periods,
        first_number,
        depth: depth.map(f64::from),
        offset: f64::from(offset) / 4.0,
        token,
        now: f64::from(now) / 2.0,
    });
    // Often the MPD stays and time goes on.
    (proptest::collection::vec(version, 1..5), proptest::collection::vec((0..4_usize, any::<bool>(), 0..120_u32), 1..8)).prop_map(
        |(versions, picks)| {
            let pick = |(index, keeps_time, now): (usize, bool, u32)| {
                let version = versions[index % versions.len()].clone();
                if keeps_time { version } else { Version { now: f64::from(now) / 2.0, ..version } }
            };
            picks.into_iter().map(pick).collect()
        },
    )
}

proptest! {
    /// Whatever the versions and times are, the differences add up to what is there.
    #[test]
    fn differences_add_up(versions in versions()) {
        let mut known: BTreeMap<SegmentId, Segment> = BTreeMap::new();
        let mut timeline: Option<PresentationTimeline> = None;
        for (index, version) in versions.iter().enumerate() {
            let mpd = version.mpd(index);
            let now = ZERO + version.now;
            let timeline = match &mut timeline {
                Some(timeline) => { timeline.refresh(mpd.clone()); timeline }
                None => timeline.insert(PresentationTimeline::new(mpd.clone())),
            };
            let update = timeline.update(0, now);
            for id in update.removed {
                prop_assert!(known.remove(&id).is_some());
            }
            let details: Vec<_> = timeline.details_of(0, &update.added).map(|details| details.segment).collect();
            prop_assert_eq!(&details, &update.added);
            let mut added = std::collections::BTreeSet::new();
            for segment in update.added {
                prop_assert!(added.insert(segment.id));
                known.insert(segment.id, segment);
            }
            let held: Vec<Segment> = timeline.segments(0).map(|details| details.segment).collect();
            let anew = PresentationTimeline::new(mpd).update(0, now).added;
            prop_assert_eq!(&held, &anew);
            let by_id: BTreeMap<SegmentId, Segment> = held.iter().map(|segment| (segment.id, segment.clone())).collect();
            prop_assert_eq!(by_id.len(), held.len());
            // What was finished once is not unfinished because a clock was put back.
            let forms: Vec<_> = known.values().zip(by_id.values()).filter(|(known, held)| known.form != held.form).collect();
            prop_assert!(forms.iter().all(|(known, _)| known.form == SegmentForm::Whole));
            let whole = |segments: &BTreeMap<SegmentId, Segment>| {
                segments.values().map(|segment| Segment { form: SegmentForm::Whole, ..segment.clone() }).collect::<Vec<_>>()
            };
            prop_assert_eq!(whole(&by_id), whole(&known));
            for segment in &held {
                prop_assert_eq!(timeline.segment(0, segment.id).map(|details| details.segment), Some(segment.clone()));
            }
            prop_assert_eq!(timeline.update(0, now), StreamUpdate { live: true, ..StreamUpdate::default() });
        }
    }

    /// Between two changes that were foretold nothing changes.
    #[test]
    fn changes_are_foretold(versions in versions(), steps in 1..20_usize) {
        let mut timeline = PresentationTimeline::new(versions[0].mpd(0));
        let mut now = ZERO + versions[0].now;
        prop_assume!(View { version: &timeline.version, stream: 0, now }.is_orderly());
        timeline.update(0, now);
        for _ in 0..steps {
            let next = timeline.next_change(0, now);
            let until = next.unwrap_or(now + 100.0);
            prop_assert!(until > now);
            let before = timeline.update(0, now + (until - now) * 0.999 - 1e-5);
            prop_assert_eq!((before.added, before.removed), (vec![], vec![]), "{} {}", now - ZERO, until - ZERO);
            now = until;
            timeline.update(0, now);
        }
    }
}
