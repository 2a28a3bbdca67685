//! Replays VOD playlists as endless live ones: which segments and parts there are is a function of the time alone.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    parts::Part,
    passes::{Passes, Position},
    playlist::{VodPlaylist, VodSegment},
};

/// When the replay began, and how much of it a playlist shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveClock {
    /// The moment at which the first segment began.
    pub(super) epoch: SystemTime,
    /// Length of the sliding window.
    pub(super) window: Duration,
}

/// One media playlist that is replayed.
#[derive(Clone, Debug)]
pub(super) struct LivePlaylist {
    pub(super) vod: VodPlaylist,
    pub(super) passes: Passes,
    /// For each segment, how many discontinuities one pass has had, its own included.
    discontinuities: Vec<u64>,
    pub(super) low_latency: Option<PlaylistParts>,
}

/// What a playlist offers of segments that have not ended.
#[derive(Clone, Debug)]
pub(super) struct PlaylistParts {
    /// No part is longer.
    pub(super) target_us: u64,
    /// Parts are byte ranges of their segment.
    pub(super) byte_ranges: bool,
    /// Of each segment; empty where it is offered whole only.
    pub(super) segments: Vec<Arc<[Part]>>,
    /// The other renditions of the presentation: how this playlist names them, and their paths.
    pub(super) renditions: Vec<(String, String)>,
}

impl LivePlaylist {
    /// `loop_us` is raised to the length of the playlist.
    pub(super) fn new(vod: VodPlaylist, loop_us: u64) -> Self {
        let passes = Passes::new(vod.segments.iter().map(|segment| segment.end_us).collect(), loop_us);
        let count = |total: &mut u64, segment: &VodSegment| {
            *total += u64::from(segment.discontinuity);
            Some(*total)
        };
        let discontinuities = vod.segments.iter().scan(0, count).collect();
        Self { vod, passes, discontinuities, low_latency: None }
    }

    pub(super) fn target_duration(&self) -> Duration {
        Duration::from_secs(self.vod.target_duration_seconds)
    }

    pub(super) fn parts(&self, at: Position) -> &[Part] {
        self.low_latency.as_ref().map_or(&[], |low_latency| &low_latency.segments[at.index])
    }

    /// How many parts of a segment there are by then.
    pub(super) fn ended_parts(&self, at: Position, now_us: u64) -> usize {
        let start_us = self.passes.start_us(at);
        self.parts(at).partition_point(|part| start_us + part.end_us <= now_us)
    }

    /// The last segment listed, and its last part where it has parts.
    pub(super) fn edge(&self, now_us: u64) -> Option<(u64, Option<usize>)> {
        let open = self.passes.first_ending_after(now_us);
        let sequence = self.passes.sequence(open);
        let last_part = |count: usize| count.checked_sub(1);
        match last_part(self.ended_parts(open, now_us)) {
            Some(part) => Some((sequence, Some(part))),
            None => sequence.checked_sub(1).map(|before| (before, last_part(self.parts(self.passes.position(before)).len()))),
        }
    }

    /// When the playlist lists that segment, or that part of it or the one after it (RFC 8216bis, section 6.2.5.2). `None` when that is
    /// too far ahead to be waited for.
    pub(super) fn listed_at_us(&self, media_sequence: u64, part: Option<u64>, now_us: u64) -> Option<u64> {
        if media_sequence > self.passes.sequence(self.passes.first_ending_after(now_us)).saturating_add(1) {
            return None;
        }
        let at = self.passes.position(media_sequence);
        let first_listed_us =
            |at: Position| self.parts(at).first().map_or(self.passes.end_us(at), |part| self.passes.start_us(at) + part.end_us);
        let Some(part) = part else { return Some(self.passes.end_us(at)) };
        let parts = self.parts(at);
        match usize::try_from(part).ok().and_then(|part| parts.get(part)) {
            Some(part) => Some(self.passes.start_us(at) + part.end_us),
            None if parts.is_empty() => Some(self.passes.end_us(at)),
            None => Some(first_listed_us(self.passes.next(at))),
        }
    }

    /// Whether the segment begins a new timeline: every pass after the first does.
    pub(super) fn has_discontinuity(&self, at: Position) -> bool {
        if at.index == 0 { at.pass > 0 } else { self.vod.segments[at.index].discontinuity }
    }

    pub(super) fn discontinuities_before(&self, at: Position) -> u64 {
        let per_loop = self.discontinuities.last().copied().unwrap_or(0);
        at.pass + at.pass * per_loop + self.discontinuities[at.index] - u64::from(self.has_discontinuity(at))
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_parts() -> LivePlaylist {
        let vod = "#EXTM3U\n#EXTINF:2,\na\n#EXTINF:2,\nb\n#EXTINF:1,\nc\n";
        let mut playlist = LivePlaylist::new(VodPlaylist::parse(vod).unwrap(), 5_500_000);
        let part = |end_us| Part { bytes: 0..0, end_us, is_independent: false };
        let segments = vec![[part(1_000_000), part(2_000_000)].into(), [].into(), [part(1_000_000)].into()];
        playlist.low_latency = Some(PlaylistParts { target_us: 1_000_000, byte_ranges: false, segments, renditions: Vec::new() });
        playlist
    }

    #[test]
    fn parts_end_one_after_the_other() {
        let playlist = with_parts();
        let edges = [
            (999_999, None),
            (1_000_000, Some((0, Some(0)))),
            (2_000_000, Some((0, Some(1)))),
            (3_999_999, Some((0, Some(1)))),
            (4_000_000, Some((1, None))),
            (5_000_000, Some((2, Some(0)))),
            (6_499_999, Some((2, Some(0)))),
            (6_500_000, Some((3, Some(0)))),
        ];
        for (now_us, edge) in edges {
            assert_eq!(playlist.edge(now_us), edge, "{now_us}");
        }
    }

    #[test]
    fn knows_when_parts_will_be_listed() {
        let playlist = with_parts();
        let listed = |sequence, part, now_us| playlist.listed_at_us(sequence, part, now_us);
        assert_eq!(listed(0, Some(0), 0), Some(1_000_000));
        assert_eq!(listed(0, None, 0), Some(2_000_000));
        assert_eq!(listed(0, Some(2), 0), Some(4_000_000), "the first part of the next segment, which comes whole");
        assert_eq!(listed(1, Some(0), 0), Some(4_000_000));
        assert_eq!(listed(2, Some(7), 4_000_000), Some(6_500_000));
        assert_eq!(listed(2, None, 0), None);
        assert_eq!(listed(u64::MAX, Some(u64::MAX), 0), None);
        assert_eq!(listed(2, None, 2_000_000), Some(5_000_000));
    }
}
