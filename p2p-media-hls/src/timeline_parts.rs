//! The parts of a low-latency playlist (EXT-X-PART) and the hint of the next one (EXT-X-PRELOAD-HINT) on the timeline of their stream.

use std::cmp::Ordering;
use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Segment, SegmentForm, SegmentId, StreamUpdate};

use crate::playlist::{MediaPlaylist, MediaSegment, Part, PreloadHint, PreloadHintKind};
use crate::timeline::file_name;

/// A part that a playlist lists, or hints at, with its place on the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePart {
    /// Media sequence number of the segment that it belongs to.
    pub sequence: u64,
    /// Counts from 0 in its segment.
    pub index: u32,
    /// What it is shared under; absent when it is missing at the origin (GAP=YES) or its number is out of range.
    pub id: Option<SegmentId>,
    /// Where the origin has it, or will have it.
    pub url: Arc<str>,
    /// The part of the resource that it is; the whole when absent.
    pub byte_range: Option<ByteRange>,
    /// When it begins, in seconds on the timeline.
    pub start: f64,
    /// Seconds; of a hint the part target.
    pub duration: f64,
    /// Decoding can begin here. Not known of a hint, which says false.
    pub independent: bool,
    /// It is missing at the origin: do not fetch it.
    pub gap: bool,
    /// Only hinted at: the origin answers a request once the part is there.
    pub is_hint: bool,
}

impl TimelinePart {
    /// When it ends, in seconds on the timeline.
    pub fn end(&self) -> f64 {
        self.start + self.duration
    }

    fn listed(part: &Part, start: f64) -> Self {
        let id = if part.gap { None } else { SegmentId::of_part(part.sequence, part.index) };
        Self {
            sequence: part.sequence,
            index: part.index,
            id,
            url: Arc::clone(&part.url),
            byte_range: part.byte_range,
            start,
            duration: part.duration,
            independent: part.independent,
            gap: part.gap,
            is_hint: false,
        }
    }

    pub(crate) const fn number(&self) -> (u64, u32) {
        (self.sequence, self.index)
    }

    /// The same file name counts as the same resource, as with segments.
    fn is_same_resource(&self, other: &Self) -> bool {
        self.byte_range == other.byte_range && file_name(&self.url) == file_name(&other.url)
    }

    fn to_segment(&self, id: SegmentId) -> Segment {
        Segment {
            id,
            url: Arc::clone(&self.url),
            byte_range: self.byte_range,
            start: self.start,
            duration: self.duration,
            form: SegmentForm::Part,
        }
    }
}

/// The parts that a playlist lists, and the hint of the next one, in order. `start_of` tells where the segment of a number begins, also the
/// one after the last.
pub(crate) fn place_parts(playlist: &MediaPlaylist, start_of: impl Fn(u64) -> Option<f64>) -> Vec<TimelinePart> {
    let mut placed = Vec::with_capacity(playlist.parts.len() + 1);
    for parts in playlist.parts.chunk_by(|a, b| a.sequence == b.sequence) {
        let Some(first) = parts.first() else { continue };
        let Some(mut start) = start_of(first.sequence) else { continue };
        if playlist.segment(first.sequence).is_some_and(|segment| lacks_parts(segment, parts)) {
            continue;
        }
        for part in parts {
            placed.push(TimelinePart::listed(part, start));
            start += part.duration;
        }
    }
    placed.extend(hint(playlist, &start_of));
    placed
}

/// True when not all parts of a complete segment are listed: the first ones have left the playlist, and the numbers of the others are not
/// to be told. All of them are old, and the whole segment is there.
fn lacks_parts(segment: &MediaSegment, parts: &[Part]) -> bool {
    let total: f64 = parts.iter().map(|part| part.duration).sum();
    let shortest = parts.iter().rev().skip(1).map(|part| part.duration).reduce(f64::min).unwrap_or(total);
    segment.duration - total > shortest / 2.0
}

/// The part that the playlist hints at, unless what is to be requested is not known.
fn hint(playlist: &MediaPlaylist, start_of: impl Fn(u64) -> Option<f64>) -> Option<TimelinePart> {
    let hint = playlist.preload_hints.iter().find(|hint| hint.kind == PreloadHintKind::Part).filter(|_| playlist.live)?;
    let duration = playlist.part_target.filter(|&seconds| seconds > 0.0)?;
    let byte_range = match (hint.first, hint.last) {
        (Some(first), Some(last)) => Some(ByteRange { first, last: Some(last).filter(|&last| last >= first)? }),
        // To the end of a resource that goes on after the part.
        (Some(_), None) => return None,
        (None, _) => None,
    };
    if playlist.parts.iter().rev().any(|part| is_told_already(hint, byte_range, part)) {
        return None;
    }
    let sequence = playlist.next_sequence();
    let trailing = playlist.trailing_parts();
    let index = trailing.last().map_or(Some(0), |last| last.index.checked_add(1))?;
    // Summed up as in `place_parts`, so that the hint begins exactly where the part will.
    let start = trailing.iter().fold(start_of(sequence)?, |start, part| start + part.duration);
    Some(TimelinePart {
        sequence,
        index,
        id: SegmentId::of_part(sequence, index),
        url: Arc::clone(&hint.url),
        byte_range,
        start,
        duration,
        independent: false,
        gap: false,
        is_hint: true,
    })
}

/// The hint is of a part that is listed, or of a whole resource of which a part is listed.
fn is_told_already(hint: &PreloadHint, range: Option<ByteRange>, part: &Part) -> bool {
    part.url == hint.url && (range.is_none() || range == part.byte_range)
}

/// Notes how one list of parts differs from the next; both in order of their numbers.
pub(crate) fn note_changes(before: &[TimelinePart], after: &[TimelinePart], update: &mut StreamUpdate) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(old), Some(new)) => old.number().cmp(&new.number()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        let kept = old.zip(new).filter(|(old, new)| old.id.is_some() && new.id.is_some() && old.is_same_resource(new));
        if kept.is_none() {
            update.removed.extend(old.and_then(|old| old.id));
        }
        let is_unchanged = kept.is_some_and(|(old, new)| {
            old.url == new.url && old.byte_range == new.byte_range && old.start == new.start && old.duration == new.duration
        });
        if !is_unchanged {
            update.added.extend(new.and_then(|new| Some(new.to_segment(new.id?))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Playlist, StreamTimeline, Variables, parse};

    const PART_SECONDS: f64 = 0.5;
    const PARTS_PER_SEGMENT: u64 = 4;

    fn read(text: &str) -> MediaPlaylist {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n{text}");
        match parse(text.as_bytes(), "https://a.example/live/v.m3u8", &Variables::default()).unwrap() {
            Playlist::Media(playlist) => playlist,
            Playlist::Multivariant(_) => panic!("not a media playlist"),
        }
    }

    fn part_line(sequence: u64, index: u64) -> String {
        format!("#EXT-X-PART:DURATION=0.5,URI=\"p{sequence}.{index}\"{}\n", if index == 0 { ",INDEPENDENT=YES" } else { "" })
    }

    /// A playlist when `made` parts are there, with segments of 2 s from number `first` on, parts of the last two segments, and a hint.
    fn version(first: u64, made: u64) -> MediaPlaylist {
        let (complete, under_way) = (made / PARTS_PER_SEGMENT, made % PARTS_PER_SEGMENT);
        let mut text = format!("#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for sequence in first..complete {
            if sequence + 2 >= complete {
                text.extend((0..PARTS_PER_SEGMENT).map(|index| part_line(sequence, index)));
            }
            text += &format!("#EXTINF:2,\ns{sequence}\n");
        }
        text.extend((0..under_way).map(|index| part_line(complete, index)));
        text += &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p{complete}.{under_way}\"\n");
        read(&text)
    }

    fn id(sequence: u64, index: u32) -> SegmentId {
        SegmentId::of_part(sequence, index).unwrap()
    }

    fn parts(update: &StreamUpdate) -> Vec<(SegmentId, f64, f64)> {
        let parts = update.added.iter().filter(|segment| segment.form == SegmentForm::Part);
        parts.map(|segment| (segment.id, segment.start, segment.duration)).collect()
    }

    #[test]
    fn parts_come_one_after_the_other_and_leave_with_the_playlist() {
        let mut timeline = StreamTimeline::starting_at(10.0);
        let first = timeline.refresh(&version(3, 17));
        assert_eq!(
            first.added.first().map(|segment| (segment.id, segment.start, segment.form)),
            Some((SegmentId(3), 10.0, SegmentForm::Whole))
        );
        assert_eq!(parts(&first).last(), Some(&(id(4, 1), 12.5, 0.5)));
        assert_eq!(timeline.place_of_part(3, 2), Some((Some(id(3, 2)), 11.0)));
        assert_eq!((timeline.live_edge(), timeline.parts().last().map(|part| part.is_hint)), (12.5, Some(true)));

        // The part that was hinted at is there: known already.
        let update = timeline.refresh(&version(3, 18));
        assert_eq!((parts(&update), update.removed), (vec![(id(4, 2), 13.0, 0.5)], vec![]));
        assert_eq!(timeline.parts().iter().filter(|part| part.independent).count(), 2);

        // Its segment is complete: the first part of the next is hinted at.
        timeline.refresh(&version(3, 19));
        let update = timeline.refresh(&version(3, 20));
        assert_eq!(
            update.added.iter().map(|segment| (segment.id, segment.start)).collect::<Vec<_>>(),
            [(SegmentId(4), 12.0), (id(5, 0), 14.0)]
        );
        // Parts of the segments before the last two are gone.
        let update = timeline.refresh(&version(4, 24));
        assert_eq!(update.removed, [vec![SegmentId(3)], (0..4).map(|index| id(3, index)).collect()].concat());
        assert_eq!(timeline.place_of_part(3, 0), None);
    }

    #[test]
    fn an_older_version_with_the_same_segments_changes_nothing() {
        let mut timeline = StreamTimeline::default();
        timeline.refresh(&version(0, 11));
        assert_eq!(timeline.refresh(&version(0, 10)), StreamUpdate { live: true, ..StreamUpdate::default() });
        let ended = read("#EXTINF:2,\ns0\n#EXTINF:2,\ns1\n#EXT-X-ENDLIST\n");
        assert_eq!(timeline.refresh(&ended).removed.len(), 12);
        assert_eq!(timeline.parts(), []);
    }

    #[test]
    fn ranges_of_one_resource_are_parts_too() {
        let with = |rest: &str| read(&format!("#EXTINF:2,\ns0\n#EXT-X-PART:DURATION=0.5,URI=\"s1\",BYTERANGE=\"100@0\"\n{rest}"));
        let mut timeline = StreamTimeline::default();
        let update = timeline.refresh(&with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s1\",BYTERANGE-START=100\n"));
        assert_eq!(parts(&update), [(id(1, 0), 2.0, 0.5)]);
        // A length makes the hint a part to ask for; the part turns out longer in bytes and shorter in time.
        let update = timeline.refresh(&with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s1\",BYTERANGE-START=100,BYTERANGE-LENGTH=50\n"));
        assert_eq!(update.added.first().and_then(|segment| segment.byte_range), Some(ByteRange { first: 100, last: 149 }));
        let update = timeline.refresh(&with("#EXT-X-PART:DURATION=0.4,URI=\"s1\",BYTERANGE=\"60\"\n"));
        assert_eq!((parts(&update), update.removed), (vec![(id(1, 1), 2.5, 0.4)], vec![id(1, 1)]));
        // A hint of the whole resource is none of a part.
        let update =
            timeline.refresh(&with("#EXT-X-PART:DURATION=0.4,URI=\"s1\",BYTERANGE=\"60\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s1\"\n"));
        assert_eq!((parts(&update), update.removed), (vec![], vec![]));
    }

    #[test]
    fn what_is_missing_is_not_shared() {
        let with = |gap: &str| {
            read(&format!(
                "#EXT-X-PART:DURATION=0.5,URI=\"a\"{gap}\n#EXT-X-PART:DURATION=0.5,URI=\"b\"\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"i\"\n"
            ))
        };
        let mut timeline = StreamTimeline::default();
        assert_eq!(parts(&timeline.refresh(&with(",GAP=YES"))), [(id(0, 1), 0.5, 0.5)]);
        assert_eq!(timeline.parts().first().map(|part| (part.gap, part.id)), Some((true, None)));
        assert_eq!(parts(&timeline.refresh(&with(""))), [(id(0, 0), 0.0, 0.5)]);
        assert_eq!(timeline.refresh(&with(",GAP=YES")).removed, [id(0, 0)]);
    }

    #[test]
    fn parts_without_the_first_ones_of_their_segment_have_no_number() {
        let mut timeline = StreamTimeline::default();
        let rest =
            "#EXT-X-PART:DURATION=0.5,URI=\"c\"\n#EXT-X-PART:DURATION=0.5,URI=\"d\"\n#EXTINF:2,\ns0\n#EXT-X-PART:DURATION=0.5,URI=\"e\"\n";
        assert_eq!(parts(&timeline.refresh(&read(rest))), [(id(1, 0), 2.0, 0.5)]);
    }

    #[test]
    fn new_tokens_update_and_restarts_replace() {
        let with = |sequence: u64, name: &str| {
            read(&format!("#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXTINF:2,\ns{name}\n#EXT-X-PART:DURATION=0.5,URI=\"{name}\"\n"))
        };
        let mut timeline = StreamTimeline::default();
        timeline.refresh(&with(5, "a?t=1"));
        let update = timeline.refresh(&with(5, "a?t=2"));
        assert_eq!((parts(&update), update.removed), (vec![(id(6, 0), 2.0, 0.5)], vec![]));
        let update = timeline.refresh(&with(0, "b"));
        assert_eq!((parts(&update), update.removed), (vec![(id(1, 0), 4.0, 0.5)], vec![SegmentId(5), id(6, 0)]));
    }

    #[test]
    fn delta_updates_hold_parts_as_full_ones_do() {
        let mut timeline = StreamTimeline::default();
        timeline.refresh(&version(0, 41));
        let delta = format!(
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n{}#EXTINF:2,\ns9\n{}{}",
            (0..4).map(|index| part_line(9, index)).collect::<String>(),
            part_line(10, 0),
            part_line(10, 1)
        );
        let update = timeline.refresh(&read(&delta));
        assert_eq!((update.added, update.removed), (vec![], (0..4).map(|index| id(8, index)).collect::<Vec<_>>()));
        assert_eq!((timeline.live_edge(), timeline.lacks_segments()), (21.0, false));
    }

    proptest! {
        /// Applied one after the other, updates give the parts that the last version lists, each where the one before it ends.
        #[test]
        fn updates_add_up_to_the_parts_listed(steps in proptest::collection::vec((0_u64..7, 0_u64..2), 1..40)) {
            let mut timeline = StreamTimeline::default();
            let mut registered = BTreeMap::new();
            let (mut made, mut first) = (8, 0);
            for (forward, dropped) in steps {
                made += forward;
                first = (first + dropped).min(made / PARTS_PER_SEGMENT - 2);
                let update = timeline.refresh(&version(first, made));
                for id in &update.removed {
                    prop_assert!(registered.remove(id).is_some(), "unknown id removed");
                }
                registered.extend(update.added.into_iter().map(|segment| (segment.id, segment)));
                let from = (made / PARTS_PER_SEGMENT).saturating_sub(2).max(first) * PARTS_PER_SEGMENT;
                let expected: Vec<_> = (from..=made).map(|part| id(part / PARTS_PER_SEGMENT, (part % PARTS_PER_SEGMENT) as u32)).collect();
                let held: Vec<_> = registered.values().filter(|segment| segment.id.is_part()).collect();
                prop_assert_eq!(held.iter().map(|segment| segment.id).collect::<Vec<_>>(), expected);
                prop_assert!(held.windows(2).all(|pair| pair[0].end() == pair[1].start));
                prop_assert_eq!(timeline.live_edge(), held.last().unwrap().start);
                prop_assert!(timeline.parts().iter().all(|part| part.duration == PART_SECONDS));
            }
        }
    }
}
