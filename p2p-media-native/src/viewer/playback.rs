//! The clock of a player: where playback stands, what is buffered, when it stalls. No IO; time is given.

use std::time::Duration;

use p2p_media_core::media::Playhead;
use tokio::time::Instant;

/// Holes between segments that no player would notice.
const SMALLEST_HOLE_S: f64 = 0.1;
/// Rounding of times.
const SAME_TIME_S: f64 = 1e-6;

/// What playback does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaybackState {
    /// The first segment of every track is awaited.
    Starting,
    /// The picture moves.
    Playing,
    /// A track ran dry.
    Stalled,
    /// The last second was played.
    Ended,
}

/// The state of one viewer's playback.
#[derive(Debug)]
pub(super) struct Playback {
    opened: Instant,
    state: PlaybackState,
    position: f64,
    /// Media seconds per second while playing.
    rate: f64,
    /// The moment at which `position` was right.
    at: Instant,
    tracks: Vec<Track>,
    startup: Option<Duration>,
    stalls: u32,
    stalled: Duration,
    played_s: f64,
}

#[derive(Clone, Debug)]
struct Track {
    /// Everything from the position to here is there, but for the holes.
    buffered_to: f64,
    /// Stretches that will never come: gaps, and what was lost. In order.
    holes: Vec<(f64, f64)>,
    has_ended: bool,
    has_begun: bool,
}

impl Playback {
    /// Playback that will begin at `start`.
    pub(super) fn new(opened: Instant, tracks: usize, start: f64) -> Self {
        let track = Track { buffered_to: start, holes: Vec::new(), has_ended: false, has_begun: false };
        Self {
            opened,
            state: PlaybackState::Starting,
            position: start,
            rate: 1.0,
            at: opened,
            tracks: vec![track; tracks],
            startup: None,
            stalls: 0,
            stalled: Duration::ZERO,
            played_s: 0.0,
        }
    }

    /// A segment is whole. What lies between the one before and this one is lost.
    pub(super) fn segment_arrived(&mut self, now: Instant, track: usize, start: f64, end: f64) {
        self.advance(now);
        let track = &mut self.tracks[track];
        if start > track.buffered_to + SMALLEST_HOLE_S {
            track.holes.push((track.buffered_to, start));
        }
        track.buffered_to = track.buffered_to.max(end);
        track.has_begun = true;
        self.advance(now);
    }

    /// A segment will never come: playback jumps over it.
    pub(super) fn segment_lost(&mut self, now: Instant, track: usize, end: f64) {
        self.advance(now);
        let track = &mut self.tracks[track];
        if end > track.buffered_to {
            track.holes.push((track.buffered_to, end));
            track.buffered_to = end;
        }
        self.advance(now);
    }

    /// Nothing follows what a track has.
    pub(super) fn track_ended(&mut self, now: Instant, track: usize) {
        self.advance(now);
        self.tracks[track].has_ended = true;
        self.advance(now);
    }

    /// Carries playback on to `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        let mut left = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        if self.state == PlaybackState::Stalled {
            self.stalled += left;
        }
        // Each turn plays to a hole, or to the end of what is there.
        loop {
            if matches!(self.state, PlaybackState::Starting | PlaybackState::Stalled) {
                left = Duration::ZERO;
                self.try_to_begin();
            }
            if self.state != PlaybackState::Playing {
                return;
            }
            self.jump_over_holes();
            let until = self.playable_to().min(self.next_hole());
            let playable_s = (until - self.position).max(0.0);
            let played_s = left.as_secs_f64() * self.rate;
            if played_s < playable_s {
                self.position += played_s;
                self.played_s += played_s;
                return;
            }
            self.position = until.max(self.position);
            self.played_s += playable_s;
            left = left.saturating_sub(Duration::from_secs_f64(playable_s / self.rate));
            if self.next_hole() <= self.position + SAME_TIME_S {
                continue;
            }
            if self.tracks.iter().all(|track| track.has_ended && track.buffered_to <= self.position + SAME_TIME_S) {
                self.state = PlaybackState::Ended;
            } else if self.playable_to() <= self.position + SAME_TIME_S {
                self.state = PlaybackState::Stalled;
                self.stalls += 1;
                self.stalled += left;
            }
        }
    }

    /// When the state changes by itself if nothing arrives.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let playable = Duration::try_from_secs_f64((self.playable_to() - self.position) / self.rate).unwrap_or_default();
        (self.state == PlaybackState::Playing).then(|| self.at + playable)
    }

    /// From now on so many media seconds are played per second; more than 0.
    pub(super) const fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    pub(super) const fn state(&self) -> PlaybackState {
        self.state
    }

    /// Where playback stands; the rate is 0 unless the picture moves.
    pub(super) fn playhead(&self) -> Playhead {
        Playhead { position: self.position, rate: if self.state == PlaybackState::Playing { self.rate } else { 0.0 } }
    }

    /// Seconds that can be played without another byte.
    pub(super) fn buffer_s(&self) -> f64 {
        (self.playable_to() - self.position).max(0.0)
    }

    /// Seconds that a track is ahead of the picture.
    pub(super) fn ahead_s(&self, track: usize) -> f64 {
        self.tracks[track].buffered_to - self.position
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    /// From opening the stream to the first picture.
    pub(super) const fn startup(&self) -> Option<Duration> {
        self.startup
    }

    pub(super) const fn stalls(&self) -> u32 {
        self.stalls
    }

    pub(super) const fn stalled(&self) -> Duration {
        self.stalled
    }

    /// Seconds of media that were shown.
    pub(super) const fn played_s(&self) -> f64 {
        self.played_s
    }

    /// Goes on when every track has something to play here, or has nothing more at all.
    fn try_to_begin(&mut self) {
        self.jump_over_holes();
        let position = self.position;
        let is_ready = |track: &Track| track.buffered_to > position + SAME_TIME_S || track.has_ended;
        if !self.tracks.iter().all(is_ready) {
            return;
        }
        if self.startup.is_none() && self.tracks.iter().any(|track| track.has_begun) {
            self.startup = Some(self.at.saturating_duration_since(self.opened));
        }
        self.state = PlaybackState::Playing;
    }

    fn jump_over_holes(&mut self) {
        // A hole of one track is jumped by all. Each turn drops one hole.
        loop {
            let position = self.position;
            let hole = self.tracks.iter_mut().find_map(|track| {
                let index = track.holes.iter().position(|(start, _)| *start <= position + SAME_TIME_S)?;
                Some(track.holes.remove(index))
            });
            let Some((_, end)) = hole else { return };
            self.position = self.position.max(end);
        }
    }

    fn next_hole(&self) -> f64 {
        self.tracks.iter().filter_map(|track| track.holes.first()).map(|(start, _)| *start).fold(f64::INFINITY, f64::min)
    }

    /// Where the picture stops if nothing more arrives: at the end of the shortest track that has more to come, or of the longest one.
    fn playable_to(&self) -> f64 {
        let unfinished = self.tracks.iter().filter(|track| !track.has_ended).map(|track| track.buffered_to).reduce(f64::min);
        unfinished.unwrap_or_else(|| self.tracks.iter().map(|track| track.buffered_to).fold(self.position, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Viewer {
        opened: Instant,
        playback: Playback,
    }

    impl Viewer {
        fn new(tracks: usize) -> Self {
            let opened = Instant::now();
            Self { opened, playback: Playback::new(opened, tracks, 10.0) }
        }

        fn at(&self, seconds: f64) -> Instant {
            self.opened + Duration::from_secs_f64(seconds)
        }

        fn arrives(&mut self, seconds: f64, track: usize, start: f64) {
            self.playback.segment_arrived(self.at(seconds), track, start, start + 2.0);
        }

        fn state_at(&mut self, seconds: f64) -> (PlaybackState, f64) {
            self.playback.advance(self.at(seconds));
            (self.playback.state(), (self.playback.position * 1e6).round() / 1e6)
        }
    }

    use PlaybackState::*;

    #[test]
    fn starts_with_the_first_segment_of_every_track_and_stalls_when_one_runs_dry() {
        let mut viewer = Viewer::new(2);
        viewer.arrives(0.2, 0, 10.0);
        assert_eq!(viewer.state_at(0.3), (Starting, 10.0));
        viewer.arrives(0.5, 1, 10.0);
        viewer.arrives(0.6, 0, 12.0);
        assert_eq!(viewer.playback.startup(), Some(Duration::from_millis(500)));
        assert_eq!(viewer.state_at(1.5), (Playing, 11.0));
        assert_eq!(viewer.playback.next_change(), Some(viewer.at(2.5)));
        assert_eq!(viewer.state_at(4.0), (Stalled, 12.0));
        viewer.arrives(4.5, 1, 12.0);
        assert_eq!(viewer.state_at(5.0), (Playing, 12.5));
        assert_eq!((viewer.playback.stalls(), viewer.playback.stalled()), (1, Duration::from_secs(2)));
        assert_eq!(viewer.playback.buffer_s(), 1.5);
    }

    #[test]
    fn ends_when_the_longest_track_was_played() {
        let mut viewer = Viewer::new(2);
        viewer.arrives(0.0, 0, 10.0);
        viewer.arrives(0.0, 1, 10.0);
        viewer.playback.track_ended(viewer.at(0.0), 1);
        viewer.arrives(1.0, 0, 12.0);
        viewer.playback.track_ended(viewer.at(1.0), 0);
        assert_eq!(viewer.state_at(3.9), (Playing, 13.9));
        assert_eq!(viewer.state_at(9.0), (Ended, 14.0));
        assert_eq!(viewer.playback.stalls(), 0);
        assert!((viewer.playback.played_s() - 4.0).abs() < 1e-6);
    }

    #[test]
    fn jumps_over_what_never_comes_without_a_stall() {
        let mut viewer = Viewer::new(2);
        viewer.arrives(0.0, 0, 10.0);
        viewer.playback.segment_lost(viewer.at(0.0), 0, 14.0);
        viewer.arrives(0.0, 0, 14.0);
        for start in [10.0, 12.0, 14.0] {
            viewer.arrives(0.0, 1, start);
        }
        assert_eq!(viewer.state_at(1.0), (Playing, 11.0));
        assert_eq!(viewer.state_at(3.0), (Playing, 15.0));
        assert_eq!(viewer.playback.stalls(), 0);
    }

    #[test]
    fn a_viewer_that_fell_out_of_a_live_window_goes_on_where_it_begins() {
        let mut viewer = Viewer::new(1);
        viewer.arrives(0.0, 0, 10.0);
        assert_eq!(viewer.state_at(60.0), (Stalled, 12.0));
        viewer.arrives(61.0, 0, 40.0);
        assert_eq!(viewer.state_at(61.5), (Playing, 40.5));
        assert_eq!((viewer.playback.stalls(), viewer.playback.stalled()), (1, Duration::from_secs(59)));
    }

    #[test]
    fn a_higher_rate_plays_more_in_the_same_time() {
        let mut viewer = Viewer::new(1);
        viewer.arrives(0.0, 0, 10.0);
        viewer.playback.set_rate(1.25);
        assert_eq!(viewer.state_at(0.8), (Playing, 11.0));
        assert_eq!(viewer.playback.next_change(), Some(viewer.at(1.6)));
        assert_eq!(viewer.playback.playhead().rate, 1.25);
        assert_eq!(viewer.state_at(2.0), (Stalled, 12.0));
        assert_eq!(viewer.playback.stalled(), Duration::from_millis(400));
    }

    #[test]
    fn a_stream_without_any_segment_ends_without_having_started() {
        let mut viewer = Viewer::new(1);
        viewer.playback.segment_lost(viewer.at(0.0), 0, 12.0);
        viewer.playback.track_ended(viewer.at(0.0), 0);
        assert_eq!(viewer.state_at(1.0), (Ended, 12.0));
        assert_eq!(viewer.playback.startup(), None);
    }
}
