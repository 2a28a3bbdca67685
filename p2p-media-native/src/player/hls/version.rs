//! What a media playlist says, as the player shows it: whole segments and, for low latency, parts near the live edge in place of them.

use std::sync::Arc;

use p2p_media_core::media::{SegmentForm, SegmentKey, StreamKey};
use p2p_media_hls::{MediaPlaylist, MediaSegment, StreamTimeline, TimelinePart, TrailingContext};
use tokio::time::Instant;

use crate::player::cursor::Place;
use crate::player::segments::SegmentInfo;
use crate::player::source::LiveOptions;
use crate::player::track_version::TrackVersion;

/// Parts that are this much shorter than their segment are all of it: durations are rounded.
const SAME_END_S: f64 = 0.05;

/// A media playlist as last loaded.
#[derive(Debug)]
pub(super) struct ListedSegments {
    /// Every whole segment, also those that parts stand for in the version.
    whole: Vec<Arc<SegmentInfo>>,
    /// What readers see.
    pub(super) version: Arc<TrackVersion>,
    /// Whether parts are read.
    pub(super) with_parts: bool,
}

impl ListedSegments {
    /// What `playlist` says, which `timeline` has taken in. `last` is the version before: a delta update leaves out what it said.
    pub(super) fn new(
        playlist: &MediaPlaylist,
        timeline: &StreamTimeline,
        stream: StreamKey,
        options: LiveOptions,
        last: Option<&Self>,
        loaded_at: Instant,
    ) -> Self {
        let known = last.map_or(&[][..], |last| &last.whole[..]);
        let whole = whole_segments(playlist, timeline, stream, known);
        let with_parts = playlist.live && reads_parts(playlist, options);
        let segments = if with_parts { with_parts_for_the_latest(&whole, playlist, timeline, stream) } else { whole.clone() };
        let edge = if with_parts { timeline.live_edge() } else { whole.last().map_or(0.0, |last| last.end()) };
        let behind = options.latency.unwrap_or_else(|| playlist.hold_back(with_parts));
        let start_playing_at = if playlist.live { edge - behind } else { f64::NEG_INFINITY };
        let version =
            TrackVersion { segments, live: playlist.live, has_parts: with_parts, start_playing_at, edge, loaded_at, failure: None };
        Self { whole, version: Arc::new(version), with_parts }
    }
}

/// Whether parts are of use: there are some, and whole segments alone do not allow the wanted latency.
fn reads_parts(playlist: &MediaPlaylist, options: LiveOptions) -> bool {
    let is_wanted = || options.latency.is_none_or(|latency| latency < playlist.hold_back(false));
    playlist.part_target.is_some() && options.low_latency.unwrap_or_else(is_wanted)
}

/// Every whole segment of a version. What a delta update says is completed by what is known: it leaves out segments, and the tags before them.
fn whole_segments(
    playlist: &MediaPlaylist,
    timeline: &StreamTimeline,
    stream: StreamKey,
    known: &[Arc<SegmentInfo>],
) -> Vec<Arc<SegmentInfo>> {
    let is_delta = playlist.skipped > 0;
    let is_skipped =
        |info: &&Arc<SegmentInfo>| info.number.is_some_and(|number| (playlist.media_sequence..playlist.first_sequence()).contains(&number));
    let mut whole: Vec<_> = known.iter().filter(is_skipped).filter(|_| is_delta).cloned().collect();
    // Discontinuities among the segments that were skipped.
    let mut uncounted = 0;
    for segment in &playlist.segments {
        let Some(mut info) = describe(timeline, stream, segment) else { continue };
        let same = known.binary_search_by_key(&info.place, |held| held.place).ok().map(|index| &known[index]);
        if is_delta {
            match same {
                Some(same) => {
                    uncounted = same.discontinuity_sequence.saturating_sub(info.discontinuity_sequence);
                    info.continue_from(same, uncounted);
                }
                None => {
                    if let Some(before) = whole.last() {
                        info.continue_from(before, uncounted);
                    }
                }
            }
        }
        // Most are as they were.
        whole.push(same.filter(|held| ***held == info).map_or_else(|| Arc::new(info), Arc::clone));
    }
    whole
}

/// Segments whose parts are all listed are given as these, and so is what there is of the segment after the last one.
fn with_parts_for_the_latest(
    whole: &[Arc<SegmentInfo>],
    playlist: &MediaPlaylist,
    timeline: &StreamTimeline,
    stream: StreamKey,
) -> Vec<Arc<SegmentInfo>> {
    let mut segments = whole.to_vec();
    for parts in timeline.parts().chunk_by(|a, b| a.sequence == b.sequence) {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { continue };
        let place = Place::of_whole(number(first.sequence));
        let (of, at) = match segments.binary_search_by_key(&place, |held| held.place) {
            Ok(index) if last.end() + SAME_END_S >= segments[index].end() => (Arc::clone(&segments[index]), index..index + 1),
            Err(index) if index == segments.len() => (Arc::new(under_way(playlist, first, whole)), index..index),
            _ => continue,
        };
        let infos: Vec<_> = parts.iter().map(|part| Arc::new(of_part(part, &of, stream))).collect();
        segments.splice(at, infos);
    }
    segments
}

fn describe(timeline: &StreamTimeline, stream: StreamKey, segment: &MediaSegment) -> Option<SegmentInfo> {
    let (id, start) = timeline.place_of(segment.sequence)?;
    Some(SegmentInfo {
        key: id.map(|id| SegmentKey { stream, id }),
        number: Some(segment.sequence),
        part: None,
        form: SegmentForm::Whole,
        is_independent: true,
        url: Arc::clone(&segment.url),
        byte_range: segment.byte_range,
        start,
        duration: segment.duration,
        init: segment.init.clone(),
        discontinuity_sequence: segment.discontinuity_sequence,
        gap: segment.gap,
        keys: Arc::clone(&segment.keys),
        is_protected: !segment.keys.is_empty(),
        program_date_time: segment.program_date_time,
        place: Place::of_whole(number(segment.sequence)),
    })
}

/// The segment that begins with this part and is not listed yet.
fn under_way(playlist: &MediaPlaylist, first: &TimelinePart, whole: &[Arc<SegmentInfo>]) -> SegmentInfo {
    let TrailingContext { init, keys, discontinuity_sequence, program_date_time } = playlist.trailing.clone();
    let mut info = SegmentInfo {
        key: None,
        number: Some(first.sequence),
        part: None,
        form: SegmentForm::Part,
        is_independent: true,
        url: Arc::clone(&first.url),
        byte_range: None,
        start: first.start,
        duration: first.duration,
        init,
        discontinuity_sequence,
        gap: false,
        is_protected: !keys.is_empty(),
        keys,
        program_date_time,
        place: Place::of_whole(number(first.sequence)),
    };
    if let Some(before) = whole.last() {
        let listed = playlist.segments.last().map_or(before.discontinuity_sequence, |last| last.discontinuity_sequence);
        info.continue_from(before, before.discontinuity_sequence.saturating_sub(listed));
    }
    info
}

/// A part of the segment `of`.
fn of_part(part: &TimelinePart, of: &SegmentInfo, stream: StreamKey) -> SegmentInfo {
    SegmentInfo {
        key: part.id.map(|id| SegmentKey { stream, id }),
        number: Some(part.sequence),
        part: Some(part.index),
        form: SegmentForm::Part,
        // Segments are begun with also where the playlist does not say that it can be done.
        is_independent: part.independent || part.index == 0,
        url: Arc::clone(&part.url),
        byte_range: part.byte_range,
        start: part.start,
        duration: part.duration,
        init: of.init.clone(),
        discontinuity_sequence: of.discontinuity_sequence,
        gap: part.gap,
        keys: Arc::clone(&of.keys),
        is_protected: of.is_protected,
        program_date_time: of.program_date_time.map(|date| date + part.start - of.start),
        place: Place { segment: number(part.sequence), part: part.index },
    }
}

impl SegmentInfo {
    /// Fills in what was said before another segment, which is the same one or the one before, and is not repeated.
    fn continue_from(&mut self, other: &Self, uncounted_discontinuities: u64) {
        self.discontinuity_sequence += uncounted_discontinuities;
        if self.init.is_none() {
            self.init.clone_from(&other.init);
            // Keys go with what they encrypt: where nothing is said of one, nothing is said of the other.
            if self.keys.is_empty() {
                self.keys = Arc::clone(&other.keys);
                self.is_protected = other.is_protected;
            }
        }
        if self.program_date_time.is_none() {
            self.program_date_time = other.program_date_time.map(|date| date + self.start - other.start);
        }
    }
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use p2p_media_hls::{Playlist, Variables, parse};

    use super::*;

    const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5\n\
        #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n";
    const HINT: &str = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"next\"\n";

    fn read(text: &str) -> MediaPlaylist {
        match parse(format!("{HEAD}{text}").as_bytes(), "https://a.test/v", &Variables::default()).unwrap() {
            Playlist::Media(playlist) => playlist,
            Playlist::Multivariant(_) => panic!("not a media playlist"),
        }
    }

    fn segment(sequence: u64) -> String {
        format!("#EXTINF:2,\ns{sequence}\n")
    }

    fn parts(sequence: u64, count: u32) -> String {
        let part = |index: u32| {
            let independent = if index.is_multiple_of(2) { ",INDEPENDENT=YES" } else { "" };
            format!("#EXT-X-PART:DURATION=0.5,URI=\"p{sequence}.{index}\"{independent}\n")
        };
        (0..count).map(part).collect()
    }

    fn listed(listed: &ListedSegments) -> Vec<(u64, Option<u32>, f64)> {
        listed.version.segments.iter().map(|info| (info.number.unwrap(), info.part, info.start)).collect()
    }

    struct Track {
        timeline: StreamTimeline,
        options: LiveOptions,
        last: Option<ListedSegments>,
    }

    impl Track {
        fn new(latency: Option<f64>, low_latency: Option<bool>) -> Self {
            Self { timeline: StreamTimeline::default(), options: LiveOptions { latency, low_latency }, last: None }
        }

        fn takes_in(&mut self, text: &str) -> &ListedSegments {
            let playlist = read(text);
            self.timeline.refresh(&playlist);
            let last = self.last.as_ref();
            self.last.insert(ListedSegments::new(&playlist, &self.timeline, StreamKey(1), self.options, last, Instant::now()))
        }
    }

    #[test]
    fn parts_stand_for_the_latest_segments() {
        let mut track = Track::new(None, None);
        let text = [&*segment(7), &parts(8, 4), &segment(8), &parts(9, 2), HINT].concat();
        let version = track.takes_in(&text);
        let of_8 = (0..4).map(|index| (8, Some(index), 2.0 + f64::from(index) * 0.5));
        let of_9 = (0..3).map(|index| (9, Some(index), 4.0 + f64::from(index) * 0.5));
        assert_eq!(listed(version), std::iter::once((7, None, 0.0)).chain(of_8).chain(of_9).collect::<Vec<_>>());
        let window = version.version.window();
        assert_eq!((window.end, window.start_playing_at), (5.0, 3.5), "the hint is beyond the edge");
        let independent = |info: &&Arc<SegmentInfo>| info.is_independent;
        assert_eq!(version.version.segments.iter().filter(independent).count(), 1 + 2 + 1, "a hint says nothing");
    }

    #[test]
    fn parts_are_read_where_they_are_of_use() {
        let text = [&*parts(7, 4), &segment(7), &parts(8, 1)].concat();
        for (latency, low_latency, expected) in [
            (None, None, true),
            (Some(3.0), None, true),
            (Some(8.0), None, false),
            (Some(8.0), Some(true), true),
            (None, Some(false), false),
        ] {
            let mut track = Track::new(latency, low_latency);
            assert_eq!(track.takes_in(&text).with_parts, expected, "{latency:?} {low_latency:?}");
        }
        let mut track = Track::new(Some(8.0), None);
        assert_eq!(listed(track.takes_in(&text)), [(7, None, 0.0)]);
        let mut ended = Track::new(None, Some(true));
        assert!(!ended.takes_in(&format!("{text}#EXT-X-ENDLIST\n")).with_parts);
    }

    #[test]
    fn a_delta_update_keeps_what_it_skips() {
        let mut track = Track::new(None, Some(false));
        let first = track.takes_in(&(7..12).map(segment).collect::<String>()).version.clone();
        let version = track.takes_in(&["#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n", &*segment(11), &segment(12)].concat());
        assert_eq!(listed(version), (7..13).map(|number| (number, None, (number - 7) as f64 * 2.0)).collect::<Vec<_>>());
        assert!(first.segments.iter().zip(&version.version.segments).all(|(a, b)| Arc::ptr_eq(a, b)), "nothing is made anew");
    }

    #[test]
    fn a_delta_update_goes_on_with_what_was_said_before() {
        let mut track = Track::new(None, None);
        let date = "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:40Z\n";
        let head = ["#EXT-X-MAP:URI=\"i\"\n", date, &segment(7), "#EXT-X-DISCONTINUITY\n"].concat();
        track.takes_in(&[&*head, &segment(8), &segment(9)].concat());
        let next = "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"j\"\n";
        let delta = ["#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n", &*segment(9), &segment(10), next, &parts(11, 1)].concat();
        let version = &track.takes_in(&delta).version;
        let said = version.segments.iter().map(|info| {
            let init = info.init.as_ref().map(|init| &init.url[init.url.len() - 1..]);
            (info.number.unwrap(), init.unwrap(), info.discontinuity_sequence, info.program_date_time.unwrap())
        });
        let expected = [(7, "i", 0, 100.0), (8, "i", 1, 102.0), (9, "i", 1, 104.0), (10, "i", 1, 106.0), (11, "j", 2, 108.0)];
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_segment_with_some_of_its_parts_is_given_whole() {
        let mut track = Track::new(None, None);
        let text = [&*parts(7, 2), &segment(7), &parts(8, 1)].concat();
        assert_eq!(listed(track.takes_in(&text)), [(7, None, 0.0), (8, Some(0), 2.0)]);
    }
}
