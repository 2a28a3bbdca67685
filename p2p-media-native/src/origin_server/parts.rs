//! Parts of segments: what is offered of a segment while the rest of it is still being recorded.

use std::ops::Range;

use super::{fmp4_parts, fmp4_samples::InitTracks, mpeg_ts};

/// A segment as it is offered in parts: they follow each other and fill it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PartedSegment {
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) bytes: Range<usize>,
    /// When its last frame ends, in microseconds since the start of the segment.
    pub(super) end_us: u64,
    /// It begins with a frame that needs no other.
    pub(super) is_independent: bool,
}

impl PartedSegment {
    /// Divides a segment of that length. Gives it back when it can only be offered whole: no fragmented MP4 or MPEG-TS, damaged, or encrypted.
    pub(super) fn of(segment: Vec<u8>, init: &InitTracks, segment_us: u64, part_us: u64) -> Result<Self, Vec<u8>> {
        match segment.first() {
            Some(&mpeg_ts::SYNC_BYTE) => match split_ts(&segment, segment_us, part_us) {
                Some(parts) => Self { bytes: segment, parts }.lasting(segment_us),
                None => Err(segment),
            },
            _ => match fmp4_parts::split(&segment, init, part_us) {
                Some(parted) => parted.lasting(segment_us),
                None => Err(segment),
            },
        }
    }

    /// Makes the parts end with the segment: what a manifest says of its length is a little off, where frames precede it in time.
    fn lasting(mut self, segment_us: u64) -> Result<Self, Vec<u8>> {
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            match parts.last_mut().filter(|last| last.end_us >= segment_us) {
                Some(last) => last.bytes.end = part.bytes.end,
                None => parts.push(part),
            }
        }
        let Some(last) = parts.last_mut() else { return Err(self.bytes) };
        last.end_us = segment_us;
        self.parts = parts;
        Ok(self)
    }
}

/// Where parts of at most `part_us` end, as counts of frames and ticks since the first frame. A frame that lasts longer is a part of its own.
pub(super) fn cut(durations: impl Iterator<Item = u64>, timescale: u32, part_us: u64) -> Vec<(usize, u64)> {
    let mut ends = Vec::new();
    let (mut count, mut start, mut at) = (0, 0_u64, 0_u64);
    for duration in durations {
        let end = at.saturating_add(duration);
        if at > start && u128::from(end - start) * 1_000_000 > u128::from(part_us) * u128::from(timescale) {
            ends.push((count, at));
            start = at;
        }
        (count, at) = (count + 1, end);
    }
    if at > start {
        ends.push((count, at));
    }
    ends
}

pub(super) fn to_us(ticks: u64, timescale: u32) -> u64 {
    u64::try_from(u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1))).unwrap_or(u64::MAX)
}

/// Cuts before packets that begin a frame of video. Only the first part surely begins with the tables that a decoder needs.
fn split_ts(segment: &[u8], segment_us: u64, part_us: u64) -> Option<Vec<Part>> {
    let frames = mpeg_ts::frames(segment)?;
    let last_ticks = segment_us.checked_mul(u64::from(mpeg_ts::TIMESCALE))? / 1_000_000;
    let ends = frames.iter().skip(1).map(|frame| frame.ticks).chain([last_ticks]);
    let durations = frames.iter().zip(ends).map(|(frame, end)| end.saturating_sub(frame.ticks));
    let mut parts: Vec<Part> = Vec::new();
    for (count, end_ticks) in cut(durations, mpeg_ts::TIMESCALE, part_us) {
        let start = parts.last().map_or(0, |part| part.bytes.end);
        let end = frames.get(count).map_or(segment.len(), |frame| frame.first_byte);
        parts.push(Part { bytes: start..end, end_us: to_us(end_ticks, mpeg_ts::TIMESCALE), is_independent: start == 0 });
    }
    parts.last_mut()?.bytes.end = segment.len();
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::{mpeg_ts::tests::packet, *};

    /// Two packets for each frame of 0.2 s.
    fn transport_stream(frames: u64) -> Vec<u8> {
        (0..frames).flat_map(|frame| [packet(1, 0xe0, &[frame * 18_000]), packet(1, 0, &[])].concat()).collect()
    }

    #[test]
    fn transport_streams_are_cut_between_frames() {
        let part = |bytes: Range<usize>, end_us, is_independent| Part { bytes, end_us, is_independent };
        let parted = PartedSegment::of(transport_stream(5), &InitTracks::default(), 1_000_000, 400_000).unwrap();
        assert_eq!(parted.parts, [part(0..752, 400_000, true), part(752..1504, 800_000, false), part(1504..1880, 1_000_000, false)]);
        let short = PartedSegment::of(transport_stream(5), &InitTracks::default(), 700_000, 400_000).unwrap();
        assert_eq!(short.parts, [part(0..752, 400_000, true), part(752..1880, 700_000, false)]);
    }

    #[test]
    fn damaged_transport_streams_stay_whole() {
        let whole = |bytes| PartedSegment::of(bytes, &InitTracks::default(), 1_000_000, 400_000).is_err();
        assert!(whole([transport_stream(2), vec![0]].concat()));
        assert!(whole([transport_stream(1), vec![0; 188], transport_stream(1)].concat()));
        assert!(whole(Vec::new()));
        assert!(PartedSegment::of(transport_stream(9), &InitTracks::default(), u64::MAX, 1).is_err());
    }

    #[test]
    fn cuts_are_before_what_would_be_too_long() {
        assert_eq!(cut([3, 3, 3, 9, 1, 1].into_iter(), 1_000_000, 6), [(2, 6), (3, 9), (4, 18), (6, 20)]);
        assert_eq!(cut([0, 0].into_iter(), 1, 1), []);
        assert_eq!(cut([u64::MAX, 1].into_iter(), 1, 1), [(1, u64::MAX)]);
    }
}
