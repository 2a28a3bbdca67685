//! The history of one media playlist: each version of it becomes a difference, with start times and ids that stay.

use std::collections::VecDeque;
use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Segment, SegmentForm, SegmentId, StreamUpdate};

use crate::MAX_SEGMENTS;
use crate::playlist::{MediaPlaylist, MediaSegment};
use crate::timeline_parts::{TimelinePart, note_changes, place_parts};

/// When so much of a live stream was missed, its timeline goes on without a gap: the clock of the sequence numbers is not to be trusted.
const MAX_MISSED_SECONDS: f64 = 86_400.0;

/// Seconds that a segment is taken to last when neither it nor the playlist says.
const FALLBACK_DURATION_SECONDS: f64 = 6.0;

/// What is known of one media playlist from all its versions so far.
///
/// Start times are seconds on a timeline of its own: the first segment ever listed begins at the offset given, each later one where the
/// one before it ends, also across refreshes. Segments are told apart by their media sequence number.
#[derive(Clone, Debug, Default)]
pub struct StreamTimeline {
    /// Segments in the playlist now, without a hole in their numbers.
    held: VecDeque<HeldSegment>,
    /// Number of the first of them.
    first_sequence: u64,
    /// Parts in the playlist now, and the hint of the next one, in order.
    parts: Vec<TimelinePart>,
    /// Where the next segment begins.
    end: f64,
    /// Seconds since 1970 at position 0.
    date_at_zero: Option<f64>,
    /// Whether the last version was live; absent before the first.
    live: Option<bool>,
    /// Number of the segment that has id 0, by the rule for the last version.
    first_id_sequence: u64,
    /// True once ids were counted from different segments, so that they may collide or go back.
    mixed_ids: bool,
    /// True once a segment was listed (since the server was restarted).
    begun: bool,
}

#[derive(Clone, Debug)]
struct HeldSegment {
    sharing: Sharing,
    url: Arc<str>,
    byte_range: Option<ByteRange>,
    start: f64,
    duration: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// Registered under this id.
    As(SegmentId),
    /// Missing at the origin (EXT-X-GAP), or never seen: not registered.
    Absent,
    /// Its id means another segment, or one that is played later: not registered for good.
    Ambiguous,
}

impl StreamTimeline {
    /// A timeline on which the first segment begins at `first_start` seconds.
    pub fn starting_at(first_start: f64) -> Self {
        Self { end: first_start, ..Self::default() }
    }

    /// Takes in a version of the playlist and tells what it changes.
    ///
    /// - Ids are those of P2P Media Loader: in a live playlist the media sequence number, else the index in the playlist; a segment keeps
    ///   the id that it got first. Ids must go up in playing order: segments that come with the end of a live stream are left out unless
    ///   their index exceeds the numbers before it, as it does when the playlist begins at number 0; so are those of a playlist that is not
    ///   live and yet moves on.
    /// - A segment whose URL changed (a new token) is in `added` again; if it became another resource it is in `removed` too, which comes
    ///   first.
    /// - Segments that are missing at the origin (EXT-X-GAP) are left out.
    /// - A delta update (EXT-X-SKIP) keeps the segments that it skips.
    /// - Parts (EXT-X-PART) and the hint of the next one (EXT-X-PRELOAD-HINT) are segments of form [`SegmentForm::Part`] beside the whole
    ///   ones, with the ids of [`SegmentId::of_part`], while the playlist lists them. A hint that becomes a part keeps its id, and is in
    ///   `added` again if its duration, URL or range turned out different. A hint whose last byte is not known (BYTERANGE-START alone) is
    ///   left out: the part is shared once it is listed.
    /// - A version older than the last one (from a cache) changes nothing. When numbers go back and the segments are others, the server
    ///   was restarted: all are replaced, and the timeline goes on at its end.
    pub fn refresh(&mut self, playlist: &MediaPlaylist) -> StreamUpdate {
        let mut update = StreamUpdate { live: playlist.live, ..StreamUpdate::default() };
        match self.relation(playlist) {
            Relation::Older => {
                update.live = self.live.unwrap_or(playlist.live);
                return update;
            }
            Relation::Restarted => self.clear(&mut update),
            Relation::Next => {}
        }
        let first_id_sequence = if playlist.live { 0 } else { playlist.media_sequence };
        self.mixed_ids |= self.first_id_sequence != first_id_sequence && !self.held.is_empty();
        self.first_id_sequence = first_id_sequence;
        self.live = Some(playlist.live);
        self.drop_before(playlist.media_sequence, &mut update);

        let greatest_id = self.held.iter().filter(|_| self.mixed_ids).filter_map(HeldSegment::id).max();
        let mut registrar = Registrar { first_id_sequence, greatest_id, update: &mut update };
        self.bridge_to(playlist);
        self.prepend(playlist, &mut registrar);
        self.compare(playlist, &mut registrar);
        self.append(playlist, &mut registrar);
        self.take_date(playlist);
        self.drop_before(self.next_sequence().saturating_sub(MAX_SEGMENTS as u64), &mut update);
        self.take_parts(playlist, &mut update);
        update
    }

    /// Where on this timeline the first segment of another rendition of the same presentation begins: by wall clock if both have one,
    /// else by media sequence number, which servers keep in step. `None` when nothing relates them.
    pub fn start_of(&self, playlist: &MediaPlaylist) -> Option<f64> {
        let first = playlist.segments.first()?;
        if let (Some(date), Some(zero)) = (first.program_date_time, self.date_at_zero) {
            return Some(date - zero);
        }
        let held_first = self.held.front()?;
        let seconds = |segments: u64| Some(segments as f64 * typical_duration(playlist)).filter(|&seconds| seconds <= MAX_MISSED_SECONDS);
        match first.sequence.checked_sub(self.first_sequence) {
            None => Some(held_first.start - seconds(self.first_sequence - first.sequence)?),
            Some(index) => match self.held.get(usize::try_from(index).ok()?) {
                Some(held) => Some(held.start),
                None => Some(self.end + seconds(index - self.held.len() as u64)?),
            },
        }
    }

    /// The id of a listed segment, absent when it is not shared, and when it begins. `None` for one that is not in the playlist now.
    pub fn place_of(&self, sequence: u64) -> Option<(Option<SegmentId>, f64)> {
        let index = usize::try_from(sequence.checked_sub(self.first_sequence)?).ok()?;
        self.held.get(index).map(|held| (held.id(), held.start))
    }

    /// As [`Self::place_of`] for a part or the hint of one.
    pub fn place_of_part(&self, sequence: u64, index: u32) -> Option<(Option<SegmentId>, f64)> {
        let found = self.parts.binary_search_by_key(&(sequence, index), TimelinePart::number).ok()?;
        self.parts.get(found).map(|part| (part.id, part.start))
    }

    /// The parts in the playlist now, in order; last the hint of the next one, if there is any.
    pub fn parts(&self) -> &[TimelinePart] {
        &self.parts
    }

    /// Where what is listed ends, in seconds: with the last segment or, if that is later, the last part that is more than a hint.
    pub fn live_edge(&self) -> f64 {
        let last_part = self.parts.iter().rev().find(|part| !part.is_hint);
        last_part.map_or(self.end, |part| part.end().max(self.end))
    }

    /// True when segments are missing that a delta update skipped, so that only a full version helps.
    pub fn lacks_segments(&self) -> bool {
        self.held.iter().any(|held| held.url.is_empty())
    }

    fn next_sequence(&self) -> u64 {
        self.first_sequence + self.held.len() as u64
    }

    fn relation(&self, playlist: &MediaPlaylist) -> Relation {
        if self.held.is_empty() || playlist.next_sequence() > self.next_sequence() {
            return Relation::Next;
        }
        let last_common = playlist.segments.last().and_then(|last| {
            let index = last.sequence.checked_sub(self.first_sequence)?;
            Some((last, self.held.get(usize::try_from(index).ok()?)?))
        });
        match last_common {
            _ if playlist.next_sequence() == self.next_sequence() => {
                let is_same = last_common.is_some_and(|(segment, held)| held.is_same_resource(segment));
                if is_same && self.has_later_parts_than(playlist) { Relation::Older } else { Relation::Next }
            }
            Some((segment, held)) if held.is_same_resource(segment) || held.url.is_empty() => Relation::Older,
            None if playlist.segments.is_empty() => Relation::Older,
            _ => Relation::Restarted,
        }
    }

    /// Of two versions with the same segments the one with fewer parts of the next segment is the older one.
    fn has_later_parts_than(&self, playlist: &MediaPlaylist) -> bool {
        let next = self.next_sequence();
        let held = self.parts.iter().filter(|part| part.sequence == next && !part.is_hint).count();
        playlist.live && playlist.trailing_parts().len() < held
    }

    fn clear(&mut self, update: &mut StreamUpdate) {
        update.removed.extend(self.held.drain(..).filter_map(|held| held.id()));
        update.removed.extend(self.parts.drain(..).filter_map(|part| part.id));
        self.date_at_zero = None;
        self.begun = false;
    }

    fn drop_before(&mut self, sequence: u64, update: &mut StreamUpdate) {
        while self.first_sequence < sequence
            && let Some(held) = self.held.pop_front()
        {
            self.first_sequence += 1;
            update.removed.extend(held.id());
        }
    }

    /// Accounts for segments that were never seen between the last one held and the first one listed.
    fn bridge_to(&mut self, playlist: &MediaPlaylist) {
        let first = playlist.first_sequence();
        let next = self.next_sequence();
        let missed = first.saturating_sub(next);
        if self.held.is_empty() {
            self.first_sequence = first;
        }
        if missed == 0 || !self.begun {
            return;
        }
        let estimate = missed as f64 * typical_duration(playlist);
        let dated = playlist.segments.first().and_then(|segment| Some(segment.program_date_time? - self.date_at_zero? - self.end));
        let seconds = dated.filter(|&seconds| seconds >= 0.0).unwrap_or(estimate);
        let seconds = if seconds <= MAX_MISSED_SECONDS { seconds } else { 0.0 };
        if !self.held.is_empty() && missed > MAX_SEGMENTS as u64 {
            // Too many to stand in for. They were skipped, so nothing but their numbers is lost.
            self.held.clear();
            self.first_sequence = first;
        }
        if !self.held.is_empty() {
            let url: Arc<str> = Arc::from("");
            let duration = seconds / missed as f64;
            for index in 0..missed {
                let start = self.end + index as f64 * duration;
                self.held.push_back(HeldSegment { sharing: Sharing::Absent, url: Arc::clone(&url), byte_range: None, start, duration });
            }
        }
        self.end += seconds;
    }

    /// Segments before the first one held: a window that grew backwards.
    fn prepend(&mut self, playlist: &MediaPlaylist, registrar: &mut Registrar<'_>) {
        let Some(mut end) = self.held.front().map(|held| held.start) else { return };
        let missing = self.first_sequence.saturating_sub(playlist.first_sequence());
        let missing = usize::try_from(missing).unwrap_or(usize::MAX).min(playlist.segments.len());
        // Without a seam (all of them older than what is held) they cannot be placed.
        if missing as u64 != self.first_sequence.saturating_sub(playlist.first_sequence()) {
            return;
        }
        for segment in playlist.segments[..missing].iter().rev() {
            end -= segment.duration;
            self.held.push_front(registrar.register(segment, end));
            self.first_sequence -= 1;
        }
    }

    /// Segments that are held and listed.
    fn compare(&mut self, playlist: &MediaPlaylist, registrar: &mut Registrar<'_>) {
        let from = playlist.first_sequence().max(self.first_sequence);
        let listed = playlist.segments.iter().skip((from - playlist.first_sequence()) as usize);
        let held = self.held.iter_mut().skip((from - self.first_sequence) as usize);
        for (held, segment) in held.zip(listed) {
            match held.sharing {
                Sharing::As(id) if segment.gap => {
                    registrar.update.removed.push(id);
                    held.sharing = Sharing::Absent;
                }
                Sharing::As(id) if held.url != segment.url || held.byte_range != segment.byte_range => {
                    if !held.is_same_resource(segment) {
                        registrar.update.removed.push(id);
                    }
                    held.url = Arc::clone(&segment.url);
                    held.byte_range = segment.byte_range;
                    registrar.update.added.push(held.to_segment(id));
                }
                Sharing::Absent if !segment.gap => *held = registrar.register(segment, held.start),
                _ => {}
            }
        }
    }

    /// Segments after the last one held.
    fn append(&mut self, playlist: &MediaPlaylist, registrar: &mut Registrar<'_>) {
        let known = self.next_sequence().saturating_sub(playlist.first_sequence());
        let new = playlist.segments.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        self.held.reserve(new.len());
        registrar.update.added.reserve(new.len());
        for segment in new {
            self.held.push_back(registrar.register(segment, self.end));
            self.end += segment.duration;
        }
        self.begun |= !self.held.is_empty();
    }

    fn take_parts(&mut self, playlist: &MediaPlaylist, update: &mut StreamUpdate) {
        let start_of = |sequence| if sequence == self.next_sequence() { Some(self.end) } else { Some(self.place_of(sequence)?.1) };
        let listed = place_parts(playlist, start_of);
        note_changes(&self.parts, &listed, update);
        self.parts = listed;
    }

    fn take_date(&mut self, playlist: &MediaPlaylist) {
        if let (Some(segment), Some(held)) = (playlist.segments.last(), self.held.back())
            && let Some(date) = segment.program_date_time
        {
            self.date_at_zero = Some(date - held.start);
        }
    }
}

enum Relation {
    /// Goes on from the last version, or is it once more.
    Next,
    /// An earlier version.
    Older,
    /// Numbers went back to other segments.
    Restarted,
}

/// Gives ids to new segments and notes them in the update.
struct Registrar<'u> {
    first_id_sequence: u64,
    /// The greatest id in use, which new ones must exceed; absent while ids follow one rule.
    greatest_id: Option<SegmentId>,
    update: &'u mut StreamUpdate,
}

impl Registrar<'_> {
    fn register(&mut self, segment: &MediaSegment, start: f64) -> HeldSegment {
        let mut held = HeldSegment {
            sharing: Sharing::Absent,
            url: Arc::clone(&segment.url),
            byte_range: segment.byte_range,
            start,
            duration: segment.duration,
        };
        if segment.gap {
            return held;
        }
        let id = SegmentId(i64::try_from(segment.sequence.saturating_sub(self.first_id_sequence)).unwrap_or(i64::MAX));
        if self.greatest_id.is_some_and(|greatest| id <= greatest) {
            held.sharing = Sharing::Ambiguous;
            return held;
        }
        self.greatest_id = self.greatest_id.map(|_| id);
        held.sharing = Sharing::As(id);
        self.update.added.push(held.to_segment(id));
        held
    }
}

impl HeldSegment {
    const fn id(&self) -> Option<SegmentId> {
        match self.sharing {
            Sharing::As(id) => Some(id),
            Sharing::Absent | Sharing::Ambiguous => None,
        }
    }

    fn to_segment(&self, id: SegmentId) -> Segment {
        Segment {
            id,
            url: Arc::clone(&self.url),
            byte_range: self.byte_range,
            start: self.start,
            duration: self.duration,
            form: SegmentForm::Whole,
        }
    }

    /// The same file name counts as the same resource: hosts, paths and queries change with servers and tokens.
    fn is_same_resource(&self, segment: &MediaSegment) -> bool {
        self.byte_range == segment.byte_range && file_name(&self.url) == file_name(&segment.url)
    }
}

/// What of a URL tells one resource from another.
pub(crate) fn file_name(url: &str) -> &str {
    let path = url.split('?').next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

fn typical_duration(playlist: &MediaPlaylist) -> f64 {
    let listed = playlist.segments.last().map(|last| (last.start + last.duration) / playlist.segments.len() as f64);
    listed.filter(|&seconds| seconds > 0.0).or(playlist.target_duration).unwrap_or(FALLBACK_DURATION_SECONDS)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
