//! Tests of the expansion, rule by rule.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::{MediaKind, SegmentList, SegmentTemplate, TimelineEntry};

const AVAILABILITY_START: f64 = 1_000_000.0;

fn representation(addressing: Addressing) -> Representation {
    Representation {
        id: None,
        kind: MediaKind::Video,
        adaptation_set: 0,
        bandwidth: None,
        codecs: None,
        mime_type: None,
        width: None,
        height: None,
        frame_rate: None,
        language: None,
        label: None,
        channels: None,
        video_range: None,
        roles: Vec::new(),
        is_protected: false,
        is_trick_mode: false,
        init: None,
        addressing,
        availability_time_offset: 0.0,
        is_chunked: false,
        base_urls: Vec::new(),
    }
}

fn template(times: SegmentTimes) -> SegmentTemplate {
    SegmentTemplate {
        media: Some("$Number$-$Time$".into()),
        timescale: 1,
        presentation_time_offset: 0,
        start_number: 1,
        end_number: None,
        times,
    }
}

fn every(duration: f64) -> SegmentTemplate {
    template(SegmentTimes::Duration(duration))
}

fn entry(time: Option<u64>, duration: u64, repeat: i64) -> TimelineEntry {
    TimelineEntry { time, number: None, duration, repeat }
}

fn timeline(entries: &[TimelineEntry]) -> SegmentTemplate {
    template(SegmentTimes::Timeline(entries.into()))
}

fn list(count: usize, times: SegmentTimes) -> SegmentList {
    let segments = (0..count).map(|index| Resource { url: format!("s{index}").into(), byte_range: None }).collect();
    SegmentList { segments, timescale: 1, presentation_time_offset: 0, start_number: 1, times }
}

/// A presentation of one representation in one period.
struct Case {
    mpd: Mpd,
    period: Period,
    representation: Representation,
}

impl Case {
    fn on_demand(addressing: Addressing, duration: f64) -> Self {
        let period = Period { id: None, start: 0.0, duration: Some(duration), representations: Vec::new() };
        Self { mpd: Mpd::default(), period, representation: representation(addressing) }
    }

    fn live(addressing: Addressing) -> Self {
        let period = Period { id: None, start: 0.0, duration: None, representations: Vec::new() };
        let mpd = Mpd { live: true, availability_start: AVAILABILITY_START, ..Mpd::default() };
        Self { mpd, period, representation: representation(addressing) }
    }

    /// The segments that are known so many seconds after the start of availability.
    fn at(&self, seconds: f64) -> Segments<'_> {
        self.representation.segments(&self.mpd, &self.period, AVAILABILITY_START + seconds)
    }

    fn next_after(&self, seconds: f64) -> Option<f64> {
        self.representation.next_available(&self.mpd, &self.period, AVAILABILITY_START + seconds).map(|at| at - AVAILABILITY_START)
    }

    fn urls(&self, seconds: f64) -> Vec<String> {
        urls(self.at(seconds))
    }

    /// Start and duration of all.
    fn times(&self, seconds: f64) -> Vec<(f64, f64)> {
        self.at(seconds).places().map(|place| (place.start, place.duration)).collect()
    }
}

fn urls(segments: Segments<'_>) -> Vec<String> {
    segments.map(|segment| segment.url.to_string()).collect()
}

#[test]
fn equal_durations_fill_a_period_and_the_last_one_is_cut() {
    let case = Case::on_demand(Addressing::Template(every(4.0)), 10.0);
    assert_eq!(case.urls(0.0), ["1-0", "2-4", "3-8"]);
    assert_eq!(case.times(0.0), [(0.0, 4.0), (4.0, 4.0), (8.0, 2.0)]);
    let last = case.at(0.0).last().unwrap().place;
    assert_eq!((last.nominal_duration, last.available_at, last.finished_at), (4.0, f64::NEG_INFINITY, f64::NEG_INFINITY));
    assert_eq!(Case::on_demand(Addressing::Template(every(4.0)), 8.000_000_01).urls(0.0).len(), 2, "a rounded duration adds no segment");
}

#[test]
fn a_duration_ignores_the_presentation_time_offset() {
    let mut case =
        Case::on_demand(Addressing::Template(SegmentTemplate { presentation_time_offset: 70, start_number: 0, ..every(4.0) }), 8.0);
    case.period.start = 40.0;
    assert_eq!(case.urls(0.0), ["0-0", "1-4"]);
    assert_eq!(case.times(0.0), [(40.0, 4.0), (44.0, 4.0)]);
}

#[test]
fn a_duration_of_fractional_ticks_does_not_drift() {
    let case = Case::on_demand(Addressing::Template(every(1.5)), 6.0);
    assert_eq!(case.urls(0.0), ["1-0", "2-2", "3-3", "4-5"]);
    assert_eq!(case.at(0.0).nth(3).unwrap().place.start, 4.5);
}

#[test]
fn end_numbers_end() {
    let ended = SegmentTemplate { end_number: Some(2), ..every(4.0) };
    assert_eq!(Case::on_demand(Addressing::Template(ended.clone()), 100.0).urls(0.0), ["1-0", "2-4"]);
    let mut open = Case::on_demand(Addressing::Template(ended), 0.0);
    open.period.duration = None;
    assert_eq!(open.urls(0.0), ["1-0", "2-4"], "of a period without an end as well");
    let none = SegmentTemplate { end_number: Some(2), start_number: 5, ..every(4.0) };
    assert!(Case::on_demand(Addressing::Template(none), 100.0).urls(0.0).is_empty());
    let timeline = SegmentTemplate { end_number: Some(1), ..timeline(&[entry(None, 1, 5)]) };
    assert_eq!(Case::on_demand(Addressing::Template(timeline), 100.0).urls(0.0), ["1-0"]);
}

#[test]
fn a_live_window_of_equal_durations() {
    let mut case = Case::live(Addressing::Template(every(2.0)));
    assert!(case.urls(1.9).is_empty());
    assert_eq!(case.urls(4.0), ["1-0", "2-2"]);
    case.mpd.time_shift_buffer_depth = Some(5.0);
    assert_eq!(case.urls(20.0), ["8-14", "9-16", "10-18"]);
    let last = case.at(20.0).last().unwrap().place;
    assert_eq!((last.available_at, last.finished_at), (AVAILABILITY_START + 20.0, AVAILABILITY_START + 20.0));
    assert_eq!(case.next_after(20.0), Some(22.0));
    assert_eq!(case.next_after(-5.0), Some(2.0));
    case.period.start = 10.0;
    assert_eq!(case.urls(12.5), ["1-0"], "the period begins later");
}

#[test]
fn a_live_period_that_ends() {
    let mut case = Case::live(Addressing::Template(every(4.0)));
    case.period.duration = Some(10.0);
    assert_eq!(case.urls(9.0), ["1-0", "2-4"]);
    assert_eq!(case.urls(10.0), ["1-0", "2-4", "3-8"], "the cut last one is available when the period ends");
    assert_eq!(case.times(50.0).last(), Some(&(8.0, 2.0)));
    assert_eq!(case.next_after(9.0), Some(10.0));
    assert_eq!(case.next_after(10.0), None);
}

#[test]
fn early_and_chunked_availability() {
    let mut case = Case::live(Addressing::Template(every(2.0)));
    case.representation.availability_time_offset = 1.5;
    let first = case.at(0.5).next().unwrap().place;
    assert_eq!((first.available_at, first.finished_at), (AVAILABILITY_START + 0.5, AVAILABILITY_START + 0.5));
    case.representation.is_chunked = true;
    let first = case.at(0.5).next().unwrap().place;
    assert_eq!((first.available_at, first.finished_at), (AVAILABILITY_START + 0.5, AVAILABILITY_START + 2.0));
    assert_eq!(case.next_after(0.5), Some(2.5));
    assert_eq!(urls(case.at(2.5)), ["1-0", "2-2"]);
    assert_eq!(urls(case.at(2.5).finished(AVAILABILITY_START + 2.5)), ["1-0"]);
    case.representation.availability_time_offset = f64::INFINITY;
    assert_eq!(case.urls(4.5).len(), 2, "nothing is known of a period without an end");
    case.period.duration = Some(20.0);
    assert_eq!(case.urls(0.0).len(), 10);
    assert_eq!(case.next_after(0.0), None);
}

#[test]
fn timelines_are_listed_whatever_the_time_is() {
    let entries = [entry(Some(100), 4, 1), entry(None, 2, 0), entry(Some(120), 3, 0)];
    let mut case = Case::live(Addressing::Template(SegmentTemplate { presentation_time_offset: 90, ..timeline(&entries) }));
    case.mpd.time_shift_buffer_depth = Some(1.0);
    assert_eq!(case.urls(0.0), ["1-100", "2-104", "3-108", "4-120"]);
    assert_eq!(case.times(0.0), [(10.0, 4.0), (14.0, 4.0), (18.0, 2.0), (30.0, 3.0)]);
    assert_eq!(case.next_after(20.0), Some(33.0));
}

#[test]
fn entries_may_give_numbers() {
    let entries = [entry(Some(0), 4, 1), TimelineEntry { number: Some(10), ..entry(None, 4, 1) }, entry(None, 4, 0)];
    let case = Case::on_demand(Addressing::Template(timeline(&entries)), 100.0);
    assert_eq!(case.urls(0.0), ["1-0", "2-4", "10-8", "11-12", "12-16"]);
}

#[test]
fn negative_repeats_fill_up() {
    let entries = [entry(Some(0), 4, -1), entry(Some(10), 2, 0), entry(None, 3, -1)];
    let case = Case::on_demand(Addressing::Template(timeline(&entries)), 20.0);
    assert_eq!(case.urls(0.0), ["1-0", "2-4", "3-8", "4-10", "5-12", "6-15", "7-18"]);
    let mut live = Case::live(Addressing::Template(timeline(&entries)));
    assert_eq!(live.urls(15.5), ["1-0", "2-4", "3-8", "4-10", "5-12"], "an open end is as far as time has come");
    assert_eq!(live.next_after(15.5), Some(18.0));
    live.period.duration = Some(20.0);
    assert_eq!(live.urls(0.0).len(), 7);
    let mut unknown = Case::on_demand(Addressing::Template(timeline(&[entry(Some(0), 4, -1), entry(None, 2, 0)])), 0.0);
    unknown.period.duration = None;
    assert_eq!(unknown.urls(0.0), ["1-0", "2-4"], "an end that nobody knows");
}

#[test]
fn what_is_outside_of_the_period_is_left_out() {
    let entries = [entry(Some(0), 4, 9)];
    let mut case = Case::on_demand(Addressing::Template(SegmentTemplate { presentation_time_offset: 10, ..timeline(&entries) }), 10.0);
    case.period.start = 100.0;
    assert_eq!(case.urls(0.0), ["3-8", "4-12", "5-16"]);
    assert_eq!(case.times(0.0), [(98.0, 4.0), (102.0, 4.0), (106.0, 4.0)]);
}

#[test]
fn a_negative_offset_begins_later() {
    let entries = [entry(Some(0), 4, 0), entry(None, 4, 1)];
    let mut case = Case::on_demand(Addressing::Template(SegmentTemplate { presentation_time_offset: -3, ..timeline(&entries) }), 11.0);
    case.period.start = 100.0;
    assert_eq!(case.urls(0.0), ["1-0", "2-4"]);
    assert_eq!(case.times(0.0), [(103.0, 4.0), (107.0, 4.0)]);
}

#[test]
fn a_first_entry_without_a_time_begins_at_0_or_with_the_period() {
    let offset =
        |presentation_time_offset| SegmentTemplate { presentation_time_offset, ..timeline(&[entry(None, 4, 1), entry(None, 2, 0)]) };
    let mut case = Case::on_demand(Addressing::Template(offset(6)), 10.0);
    case.period.start = 100.0;
    assert_eq!(case.times(0.0), [(98.0, 4.0), (102.0, 2.0)]);
    case.representation.addressing = Addressing::Template(offset(60));
    assert_eq!(case.times(0.0), [(100.0, 4.0), (104.0, 4.0), (108.0, 2.0)], "nothing would be in the period");
    assert_eq!(case.urls(0.0), ["1-60", "2-64", "3-68"]);
}

#[test]
fn entries_without_duration_and_overlaps_do_no_harm() {
    let entries = [entry(Some(0), 4, 0), entry(None, 0, 1), entry(None, 4, 0), entry(Some(6), 4, 0), entry(Some(2), 4, 0)];
    let case = Case::on_demand(Addressing::Template(timeline(&entries)), 100.0);
    assert_eq!(case.urls(0.0), ["1-0", "4-4", "5-6", "6-2"]);
}

#[test]
fn lists_have_positions() {
    let whole = Case::on_demand(Addressing::List(list(3, SegmentTimes::Duration(4.0))), 10.0);
    assert_eq!(whole.urls(0.0), ["s0", "s1", "s2"]);
    assert_eq!(whole.times(0.0), [(0.0, 4.0), (4.0, 4.0), (8.0, 2.0)]);
    assert_eq!(urls(whole.at(0.0).starting_at(4.0)), ["s1", "s2"]);
    let entries = [entry(Some(5), 4, 0), entry(None, 2, 9)];
    let timeline = Case::on_demand(Addressing::List(list(3, SegmentTimes::Timeline(entries.as_slice().into()))), 100.0);
    assert_eq!(timeline.urls(0.0), ["s0", "s1", "s2"]);
    assert_eq!(timeline.times(0.0), [(5.0, 4.0), (9.0, 2.0), (11.0, 2.0)]);
    let short = Case::on_demand(Addressing::List(list(3, SegmentTimes::Timeline([entry(None, 4, 0)].as_slice().into()))), 100.0);
    assert_eq!(short.urls(0.0), ["s0"]);
    let mut open = whole;
    open.period.duration = None;
    assert_eq!(open.urls(0.0).len(), 3, "a list ends by itself");
}

#[test]
fn a_live_list_moves_on_with_its_numbers() {
    let numbered = SegmentList { start_number: 5, ..list(2, SegmentTimes::Duration(4.0)) };
    assert_eq!(Case::live(Addressing::List(numbered.clone())).times(0.0), [(16.0, 4.0), (20.0, 4.0)]);
    assert_eq!(Case::on_demand(Addressing::List(numbered), 100.0).times(0.0), [(0.0, 4.0), (4.0, 4.0)]);
}

#[test]
fn one_segment_over_the_period() {
    let one = |addressing| Case::on_demand(addressing, 30.5).at(0.0).map(|s| (s.url.to_string(), s.place.duration)).collect::<Vec<_>>();
    assert_eq!(one(Addressing::Whole("all.vtt".into())), [("all.vtt".to_owned(), 30.5)]);
    assert_eq!(one(Addressing::List(list(1, SegmentTimes::Unknown))), [("s0".to_owned(), 30.5)]);
    assert_eq!(one(Addressing::Template(template(SegmentTimes::Unknown))), [("1-0".to_owned(), 30.5)]);
    assert_eq!(one(Addressing::List(list(2, SegmentTimes::Unknown))), [], "of several none has a time");
    assert_eq!(one(Addressing::None), []);
    let place = Case::on_demand(Addressing::Whole("all.vtt".into()), 1.0).at(0.0).next().unwrap().place;
    assert_eq!((place.number, place.time), (None, None));
    assert!(Case::live(Addressing::Whole("all.vtt".into())).urls(9.0).is_empty(), "no end is known");
}

#[test]
fn a_listing_begins_where_it_is_wanted() {
    let entries = [entry(Some(0), 4, 1), entry(Some(20), 2, 4), entry(None, 5, 1)];
    let case = Case::on_demand(Addressing::Template(timeline(&entries)), 100.0);
    assert_eq!(urls(case.at(0.0).starting_at(4.5)), ["3-20", "4-22", "5-24", "6-26", "7-28", "8-30", "9-35"]);
    assert_eq!(urls(case.at(0.0).starting_at(26.0)), ["6-26", "7-28", "8-30", "9-35"]);
    assert_eq!(urls(case.at(0.0).ending_after(28.0)), ["7-28", "8-30", "9-35"]);
    assert_eq!(urls(case.at(0.0).after_number(7)), ["8-30", "9-35"]);
    assert_eq!(urls(case.at(0.0).newest(2)), ["8-30", "9-35"]);
    assert_eq!(case.at(0.0).nth(4).unwrap().place.number, Some(5));
    assert_eq!(case.at(0.0).remaining(), 9);
    let mut begun = case.at(0.0);
    begun.next();
    assert_eq!(begun.remaining(), 8);
    assert_eq!(begun.after_number(8).remaining(), 1);
    let place = case.at(0.0).places().nth(3).unwrap();
    assert_eq!(case.representation.resource(&place).unwrap().url.as_ref(), "4-22");
}

#[test]
fn long_streams_cost_what_is_given_out() {
    let begun = Instant::now();
    let years = AVAILABILITY_START;
    let mut case = Case::live(Addressing::Template(every(0.001)));
    assert_eq!(case.at(years).remaining(), MAX_SEGMENTS as u64);
    assert_eq!(case.at(years).last().unwrap().place.number, Some(1_000_000_000));
    case.representation.addressing = Addressing::Template(timeline(&[entry(Some(0), 1, i64::MAX), entry(None, 1, i64::MAX)]));
    assert_eq!(case.at(0.0).count(), MAX_SEGMENTS);
    case.representation.addressing = Addressing::Template(SegmentTemplate { start_number: u64::MAX - 1, ..every(1.0) });
    assert!(case.at(100.0).count() <= 2);
    let mut case =
        Case::on_demand(Addressing::Template(timeline(&[entry(Some(u64::MAX - 3), 2, i64::MAX), entry(None, u64::MAX, 3)])), 1e30);
    assert!(case.at(0.0).count() <= 2);
    case.representation.addressing = Addressing::Template(every(1e-300));
    assert!(case.at(0.0).count() <= MAX_SEGMENTS);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn times_that_are_no_numbers_give_nothing() {
    for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert!(Case::on_demand(Addressing::Template(every(odd)), 10.0).urls(0.0).is_empty());
        assert!(Case::on_demand(Addressing::Template(every(1.0)), odd).at(0.0).count() <= MAX_SEGMENTS);
        let mut live = Case::live(Addressing::Template(every(1.0)));
        live.mpd.time_shift_buffer_depth = Some(odd);
        live.representation.availability_time_offset = odd;
        assert!(live.at(10.0).count() <= 11);
        live.mpd.availability_start = odd;
        assert!(live.at(10.0).count() <= MAX_SEGMENTS);
    }
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, Just(u64::MAX), any::<u64>()]
}

fn any_offset() -> impl Strategy<Value = i64> {
    prop_oneof![-100..100_i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn any_seconds() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..100.0, Just(f64::NAN), Just(f64::INFINITY), any::<f64>()]
}

fn any_entry() -> impl Strategy<Value = TimelineEntry> {
    (proptest::option::of(any_number()), proptest::option::of(any_number()), any_number(), prop_oneof![-1..5_i64, any::<i64>()])
        .prop_map(|(time, number, duration, repeat)| TimelineEntry { time, number, duration, repeat })
}

proptest! {
    #[test]
    fn every_expansion_is_bounded(
        entries in proptest::collection::vec(any_entry(), 0..6),
        (duration, period, start, now) in (any_seconds(), proptest::option::of(any_seconds()), any_seconds(), any_seconds()),
        (live, kind, offset) in (any::<bool>(), 0..3, any_seconds()),
        (timescale, pto, start_number, end_number) in (any_number(), any_offset(), any_number(), proptest::option::of(any_number())),
        (from, skip) in (any_seconds(), any_number()),
    ) {
        let times = if kind == 0 { SegmentTimes::Duration(duration) } else { SegmentTimes::Timeline(entries.into()) };
        let addressing = if kind == 2 {
            Addressing::List(SegmentList { timescale, presentation_time_offset: pto, start_number, ..list(3, times) })
        } else {
            Addressing::Template(SegmentTemplate { timescale, presentation_time_offset: pto, start_number, end_number, ..template(times) })
        };
        let mut case = if live { Case::live(addressing) } else { Case::on_demand(addressing, 0.0) };
        case.period.duration = period;
        case.period.start = start;
        case.representation.availability_time_offset = offset;
        prop_assert!(case.at(now).places().count() <= MAX_SEGMENTS);
        prop_assert!(case.at(now).newest(10).count() <= 10);
        let _ = (case.next_after(now), case.at(now).remaining());
        let _ = (case.at(now).after_number(skip).next(), case.at(now).ending_after(from).next());
        // Media times beyond 2^53 ticks are not exact as seconds.
        let tolerance = 1e-3 * from.abs().max(1.0) + 1e-14 * ((pto as f64).abs() / timescale.max(1) as f64);
        for segment in case.at(now).starting_at(from).take(100) {
            prop_assert!(segment.place.start.is_nan() || from.is_nan() || segment.place.start >= from - tolerance);
        }
    }

    #[test]
    fn any_beginning_gives_the_end_of_the_whole(
        entries in proptest::collection::vec((1..50_u64, 0..20_i64), 1..10), timescale in 1..1000_u64, from in 0.0..300.0, skip in 0..100_usize,
    ) {
        let entries: Vec<_> = entries.into_iter().map(|(duration, repeat)| entry(None, duration, repeat)).collect();
        let case = Case::on_demand(Addressing::Template(SegmentTemplate { timescale, ..timeline(&entries) }), 1e6);
        let all: Vec<_> = case.at(0.0).places().collect();
        let expected: Vec<_> = all.iter().copied().filter(|place| place.start >= from - 1e-6).collect();
        prop_assert_eq!(case.at(0.0).starting_at(from).places().collect::<Vec<_>>(), expected);
        prop_assert_eq!(case.at(0.0).places().nth(skip), all.get(skip).copied());
        prop_assert_eq!(case.at(0.0).remaining(), all.len() as u64);
        prop_assert!(all.iter().all(|place| place.duration > 0.0));
    }
}
