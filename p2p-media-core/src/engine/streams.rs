//! The streams of the session: their segments, whether they are played, and the swarm each is shared in.

use bytes::Bytes;

use super::segment_list::SegmentList;
use super::throughput::{Average, SourceSpeed};
use crate::config::{Config, StreamConfig};
use crate::identity::InfoHash;
use crate::media::{Playhead, Segment, Stream, StreamKind};
use crate::timestamp::Timestamp;

/// One registered stream.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) stream: Stream,
    pub(super) info_hash: InfoHash,
    pub(super) segments: SegmentList,
    /// True from the first request for one of its segments until another stream of its kind is asked for.
    pub(super) active: bool,
    /// When it became active.
    pub(super) active_since: Timestamp,
    /// Its player last asked for a part: it is read in parts where there are any.
    pub(super) in_parts: bool,
    /// Media bytes per second of playing time, from the segments loaded so far.
    pub(super) bytes_per_media_s: Average,
    /// The last search for something to prefetch found nothing, and nothing has changed since.
    pub(super) prefetch_is_idle: bool,
    pub(super) swarm: Option<Swarm>,
}

/// Our membership in a stream's swarm.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) joined_at: Timestamp,
    /// What all official peers among them were told last.
    pub(super) official_announcement: Vec<Bytes>,
}

impl StreamState {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            info_hash: InfoHash::of_swarm(&stream.swarm_id),
            stream,
            segments: SegmentList::default(),
            active: false,
            active_since: Timestamp::ZERO,
            in_parts: false,
            bytes_per_media_s: Average::default(),
            prefetch_is_idle: false,
            swarm: None,
        }
    }

    /// Bytes that a segment probably has.
    pub(super) fn expected_size(&self, segment: &Segment) -> Option<f64> {
        match segment.byte_range {
            Some(range) => Some(range.len() as f64),
            None => Some(self.bytes_per_media_s.get()? * segment.duration),
        }
    }
}

/// The options of a stream's kind.
pub(super) const fn options(config: &Config, kind: StreamKind) -> &StreamConfig {
    match kind {
        StreamKind::Main => &config.main,
        StreamKind::Secondary => &config.secondary,
    }
}

/// How fast the origin serves, per kind of stream: audio segments are too small to say much about video.
#[derive(Debug, Default)]
pub(super) struct OriginSpeed {
    main: SourceSpeed,
    secondary: SourceSpeed,
}

impl OriginSpeed {
    pub(super) const fn of(&mut self, kind: StreamKind) -> &mut SourceSpeed {
        match kind {
            StreamKind::Main => &mut self.main,
            StreamKind::Secondary => &mut self.secondary,
        }
    }

    /// Seconds until the first byte of a transfer.
    pub(super) fn response_s(&self, kind: StreamKind) -> Option<f64> {
        match kind {
            StreamKind::Main => self.main.response_s.get(),
            StreamKind::Secondary => self.secondary.response_s.get(),
        }
    }

    /// Bytes per second while a transfer runs.
    pub(super) fn bytes_per_s(&self, kind: StreamKind) -> Option<f64> {
        match kind {
            StreamKind::Main => self.main.bytes_per_s.get(),
            StreamKind::Secondary => self.secondary.bytes_per_s.get(),
        }
    }

    /// Seconds that a transfer takes; from the other kind of stream where this one has not been measured.
    pub(super) fn estimate_s(&self, kind: StreamKind, bytes: f64) -> Option<f64> {
        let (own, other) = match kind {
            StreamKind::Main => (&self.main, &self.secondary),
            StreamKind::Secondary => (&self.secondary, &self.main),
        };
        own.estimate_s(bytes).or_else(|| other.estimate_s(bytes))
    }
}

/// The playhead as last reported, carried on with time.
#[derive(Debug, Default)]
pub(super) struct PlayheadTrack {
    last: Option<(Playhead, Timestamp)>,
}

/// A playhead that is not reported for this long is taken to have stopped.
const LONGEST_EXTRAPOLATION_S: f64 = 10.0;
/// A playhead nearer than this to where it was expected has not jumped.
const STEADY_WITHIN_S: f64 = 0.1;

impl PlayheadTrack {
    pub(super) const fn set(&mut self, playhead: Playhead, now: Timestamp) {
        self.last = Some((playhead, now));
    }

    /// True when a report says about what was expected.
    pub(super) fn goes_on_as(&self, playhead: Playhead, now: Timestamp) -> bool {
        let has_rate = self.last.is_some_and(|(last, _)| last.rate == playhead.rate);
        has_rate && (playhead.position - self.position(now)).abs() < STEADY_WITHIN_S
    }

    pub(super) const fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// Where playback stands, in seconds.
    pub(super) fn position(&self, now: Timestamp) -> f64 {
        self.last.map_or(0.0, |(playhead, at)| {
            playhead.position + playhead.rate.max(0.0) * now.since(at).as_secs_f64().min(LONGEST_EXTRAPOLATION_S)
        })
    }

    /// Seconds until playback needs what begins at `start`; a paused player is taken to go on at any moment.
    pub(super) fn seconds_until(&self, start: f64, now: Timestamp) -> f64 {
        let rate = self.last.map_or(1.0, |(playhead, _)| if playhead.rate > 0.0 { playhead.rate } else { 1.0 });
        ((start - self.position(now)) / rate).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playhead_moves_on_with_time_but_not_for_ever() {
        let mut track = PlayheadTrack::default();
        assert_eq!((track.position(Timestamp::ZERO), track.seconds_until(3.0, Timestamp::ZERO)), (0.0, 3.0));
        let went_on = |track: &PlayheadTrack, position, rate, seconds| {
            track.goes_on_as(Playhead { position, rate }, Timestamp::ZERO.offset_secs(seconds))
        };
        assert!(!went_on(&track, 0.0, 1.0, 0.0), "the first report is news");
        track.set(Playhead { position: 10.0, rate: 2.0 }, Timestamp::ZERO);
        assert!(went_on(&track, 12.05, 2.0, 1.0) && !went_on(&track, 12.2, 2.0, 1.0) && !went_on(&track, 12.0, 0.0, 1.0));
        let at = |seconds: f64| Timestamp::ZERO.offset_secs(seconds);
        assert_eq!((track.position(at(1.0)), track.seconds_until(16.0, at(1.0))), (12.0, 2.0));
        assert_eq!(track.position(at(100.0)), 30.0);
        track.set(Playhead { position: 10.0, rate: 0.0 }, at(1.0));
        assert_eq!((track.position(at(9.0)), track.seconds_until(16.0, at(9.0))), (10.0, 6.0));
    }
}
