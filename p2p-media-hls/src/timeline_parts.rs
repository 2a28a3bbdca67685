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
