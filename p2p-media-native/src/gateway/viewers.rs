//! Where playback stands, inferred from what players ask for.
//!
//! A player behind the gateway says nothing of its playhead, and it fetches ahead of it. Requests are taken to come from one *viewer* while
//! each is near the one before it on the timeline; a request elsewhere (a seek, another player) begins a new viewer. Of each viewer is known:
//!
//! - *The clock*: it stands at the start of the first segment asked for until its first byte is delivered, then runs with real time. No
//!   player that plays at normal speed is ahead of it.
//! - *The lead*: how far the segment asked for is ahead of the clock. That much the player has buffered, at least. A player that pauses
//!   between requests has all it wants, so the engine may use the lead up to [`LONGEST_LEAD_S`]. One that asks for the next segment
//!   whenever the last one has come (filling its buffer, decoding as fast as it can, downloading) is given a playhead closely behind its
//!   request ([`SHORT_LEAD_S`]): its requests never wait much longer than that for a peer.
//! - When the clock has run past all that was asked for, the viewer had stopped. If it asked for nothing although nothing was under way, it
//!   had enough: it is taken to have half of its former lead. Otherwise it has been waiting: it needs the segment now.
//!
//! The engine has one playhead: that of the foremost viewer that asked lately. For those behind it everything is urgent, so that none
//! waits for peers on behalf of another; they find most of it in the cache.

use p2p_media_core::media::{Playhead, StreamKind};
use tokio::time::Instant;

/// Longest lead that the engine may use up, in seconds of media.
const LONGEST_LEAD_S: f64 = 15.0;
/// The same for a viewer that asks without a pause; one segment if that is longer.
const SHORT_LEAD_S: f64 = 3.0;
/// A silence of this share of the last segment's duration is a pause.
const PAUSE_SHARE: f64 = 0.5;
/// A request within this many segment durations of where the last one ended continues it.
const NEAR_DURATIONS: f64 = 2.5;
/// Segments are taken for at least this long when nearness is judged, in seconds.
const SHORTEST_SEGMENT_S: f64 = 1.0;
/// A viewer that has asked for nothing for this long, and twice the duration of a segment, no longer holds the playhead.
const QUIET_S: f64 = 4.0;
/// Viewers remembered for one presentation.
const MAX_VIEWERS: usize = 32;

/// Those who play one presentation.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    viewers: Vec<Viewer>,
    next_id: u64,
}

/// Names a request until it has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViewerRequest {
    viewer: u64,
    kind: StreamKind,
}

#[derive(Debug)]
struct Viewer {
    id: u64,
    clock: Clock,
    main: Option<Requests>,
    secondary: Option<Requests>,
    last_request: Instant,
    /// What the engine was told last, and when.
    told: (f64, Instant),
}

/// Stands at `position` until `since`, if it runs at all.
#[derive(Clone, Copy, Debug)]
struct Clock {
    position: f64,
    since: Option<Instant>,
}

/// The requests of one kind of stream.
#[derive(Clone, Copy, Debug)]
struct Requests {
    last_end: f64,
    last_duration: f64,
    last_lead: f64,
    under_way: usize,
    answered: Instant,
}

impl Viewers {
    /// Takes in a request for the segment that begins at `start`, and tells where playback stands.
    pub(super) fn asks(&mut self, kind: StreamKind, start: f64, duration: f64, now: Instant) -> (ViewerRequest, Playhead) {
        let index = self.nearest(kind, start, duration, now).unwrap_or_else(|| self.begin(start, now));
        let viewer = &mut self.viewers[index];
        let before = *viewer.of(kind);
        let has_paused = before.is_some_and(|before| {
            before.under_way == 0 && now.duration_since(before.answered).as_secs_f64() >= PAUSE_SHARE * before.last_duration
        });
        let asked_for = viewer.end().unwrap_or(f64::INFINITY);
        if viewer.clock.at(now) > asked_for {
            let former_lead = before.map_or(0.0, |before| before.last_lead);
            let position = if has_paused { start - former_lead / 2.0 } else { asked_for.min(start) };
            viewer.clock = Clock { position, since: Some(now) };
        }
        let lead = (start - viewer.clock.at(now)).max(0.0);
        let usable = if has_paused { LONGEST_LEAD_S } else { SHORT_LEAD_S.max(duration) };
        *viewer.of(kind) = Some(Requests {
            last_end: start + duration,
            last_duration: duration,
            last_lead: lead,
            under_way: before.map_or(0, |before| before.under_way) + 1,
            answered: now,
        });
        viewer.last_request = now;
        viewer.told = (start - lead.min(usable), now);
        (ViewerRequest { viewer: viewer.id, kind }, self.playhead(now))
    }

    /// The first byte of an answer went to the player: it may begin to play.
    pub(super) fn begins_to_receive(&mut self, request: ViewerRequest, now: Instant) {
        if let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.id == request.viewer) {
            viewer.clock.since.get_or_insert(now);
        }
    }

    /// The answer is complete, or the player does not want it any more.
    pub(super) fn is_answered(&mut self, request: ViewerRequest, now: Instant) {
        let viewer = self.viewers.iter_mut().find(|viewer| viewer.id == request.viewer);
        if let Some(requests) = viewer.and_then(|viewer| viewer.of(request.kind).as_mut()) {
            requests.under_way = requests.under_way.saturating_sub(1);
            requests.answered = now;
        }
    }

    /// How many asked for something lately.
    pub(super) fn active(&self, now: Instant) -> usize {
        self.viewers.iter().filter(|viewer| !viewer.is_quiet(now)).count()
    }

    /// Where in the timeline a request would go on: the end of the last request for this kind.
    pub(super) fn expected(&self, kind: StreamKind) -> f64 {
        let last = self.viewers.iter().max_by_key(|viewer| viewer.last_request);
        let requests = last.and_then(|viewer| match kind {
            StreamKind::Main => viewer.main,
            StreamKind::Secondary => viewer.secondary,
        });
        requests.map_or(0.0, |requests| requests.last_end)
    }

    fn playhead(&self, now: Instant) -> Playhead {
        let told = self.viewers.iter().filter(|viewer| !viewer.is_quiet(now)).map(|viewer| {
            let (position, at) = viewer.told;
            let runs = if viewer.clock.since.is_some() { now.duration_since(at).as_secs_f64() } else { 0.0 };
            (position + runs, if viewer.clock.since.is_some() { 1.0 } else { 0.0 })
        });
        let foremost = told.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0));
        Playhead { position: foremost.0, rate: foremost.1 }
    }

    fn nearest(&self, kind: StreamKind, start: f64, duration: f64, now: Instant) -> Option<usize> {
        let distances = self.viewers.iter().enumerate().filter_map(|(index, viewer)| {
            let (distance, reach) = viewer.distance(kind, start, duration, now)?;
            (distance <= reach).then_some((distance, index))
        });
        distances.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
    }

    fn begin(&mut self, start: f64, now: Instant) -> usize {
        if self.viewers.len() >= MAX_VIEWERS
            && let Some((oldest, _)) = self.viewers.iter().enumerate().min_by_key(|(_, viewer)| viewer.last_request)
        {
            self.viewers.swap_remove(oldest);
        }
        let clock = Clock { position: start, since: None };
        self.viewers.push(Viewer { id: self.next_id, clock, main: None, secondary: None, last_request: now, told: (start, now) });
        self.next_id += 1;
        self.viewers.len() - 1
    }
}

impl Viewer {
    const fn of(&mut self, kind: StreamKind) -> &mut Option<Requests> {
        match kind {
            StreamKind::Main => &mut self.main,
            StreamKind::Secondary => &mut self.secondary,
        }
    }

    /// The end of what was asked for, of whichever kind got further.
    fn end(&self) -> Option<f64> {
        [self.main, self.secondary].into_iter().flatten().map(|requests| requests.last_end).max_by(f64::total_cmp)
    }

    /// How far a request is from where this viewer would go on, and how far it may be.
    fn distance(&self, kind: StreamKind, start: f64, duration: f64, now: Instant) -> Option<(f64, f64)> {
        let (own, other) = match kind {
            StreamKind::Main => (self.main, self.secondary),
            StreamKind::Secondary => (self.secondary, self.main),
        };
        let requests = own.or(other)?;
        let reach = NEAR_DURATIONS * duration.max(requests.last_duration).max(SHORTEST_SEGMENT_S);
        let distance = match own {
            Some(own) => (start - own.last_end).abs(),
            // The first request of this kind is for anything between the playhead and what was fetched of the other.
            None => (self.clock.at(now).min(requests.last_end) - start).max(start - requests.last_end).max(0.0),
        };
        Some((distance, reach))
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let longest = [self.main, self.secondary].into_iter().flatten().map(|requests| requests.last_duration).fold(0.0, f64::max);
        let under_way = [self.main, self.secondary].into_iter().flatten().any(|requests| requests.under_way > 0);
        !under_way && now.duration_since(self.last_request).as_secs_f64() > QUIET_S + 2.0 * longest
    }
}

impl Clock {
    fn at(self, now: Instant) -> f64 {
        self.position + self.since.map_or(0.0, |since| now.duration_since(since).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MAIN: StreamKind = StreamKind::Main;
    const AUDIO: StreamKind = StreamKind::Secondary;

    /// Asks for two-second segments by number, each answered within a tenth of a second.
    struct Player {
        viewers: Viewers,
        begun: Instant,
    }

    impl Player {
        fn new() -> Self {
            Self { viewers: Viewers::default(), begun: Instant::now() }
        }

        fn at(&self, seconds: f64) -> Instant {
            self.begun + Duration::from_secs_f64(seconds)
        }

        /// The lead that the engine sees for the segment asked for.
        fn asks(&mut self, kind: StreamKind, segment: u32, seconds: f64) -> f64 {
            let start = f64::from(segment) * 2.0;
            let (request, playhead) = self.viewers.asks(kind, start, 2.0, self.at(seconds));
            self.viewers.begins_to_receive(request, self.at(seconds + 0.05));
            self.viewers.is_answered(request, self.at(seconds + 0.1));
            start - playhead.position
        }

        /// Ten segments within a second.
        fn fills_its_buffer(&mut self) {
            for segment in 0..10 {
                self.asks(MAIN, segment, f64::from(segment) * 0.1);
            }
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.2
    }

    #[test]
    fn the_first_segments_are_needed_at_once() {
        let mut player = Player::new();
        assert_eq!(player.asks(MAIN, 10, 0.0), 0.0);
        assert_eq!(player.asks(AUDIO, 10, 0.1), 0.0);
        assert!(near(player.asks(MAIN, 11, 0.2), 1.85));
        assert_eq!(player.viewers.active(player.at(1.0)), 1);
    }

    #[test]
    fn a_player_with_a_full_buffer_has_its_lead() {
        let mut player = Player::new();
        // Ten segments at once, then one whenever one was played.
        let filling: Vec<_> = (0..10).map(|segment| player.asks(MAIN, segment, f64::from(segment) * 0.1)).collect();
        assert!(filling.iter().all(|lead| *lead <= 3.0), "{filling:?}");
        for segment in 10..40 {
            let lead = player.asks(MAIN, segment, f64::from(segment - 9) * 2.0);
            assert!(near(lead, 15.0), "{lead} at segment {segment}");
        }
    }

    #[test]
    fn a_player_without_a_buffer_is_never_kept_waiting() {
        let mut player = Player::new();
        for segment in 0..20 {
            let lead = player.asks(MAIN, segment, f64::from(segment) * 2.0);
            assert!(lead < 0.2, "{lead} at segment {segment}");
        }
    }

    #[test]
    fn a_bulk_reader_is_followed_closely() {
        let mut player = Player::new();
        for segment in 0..1000 {
            let lead = player.asks(MAIN, segment, f64::from(segment) * 0.15);
            assert!((0.0..=SHORT_LEAD_S).contains(&lead), "{lead} at segment {segment}");
        }
    }

    #[test]
    fn a_seek_begins_anew_in_both_directions() {
        let mut player = Player::new();
        player.fills_its_buffer();
        assert_eq!(player.asks(MAIN, 100, 2.0), 0.0);
        assert!(player.asks(MAIN, 101, 2.1) < 2.0);
        assert!(player.asks(MAIN, 3, 4.0) <= 0.0, "needed now");
        assert!(player.asks(MAIN, 4, 5.0) <= 0.0);
        // Once the old place is out of use the playhead is at the new one.
        assert!(near(player.asks(MAIN, 5, 13.0), 0.5) && near(player.asks(MAIN, 6, 13.5), 2.0));
    }

    #[test]
    fn a_pause_costs_no_more_than_half_of_the_lead() {
        let mut player = Player::new();
        player.fills_its_buffer();
        assert!(near(player.asks(MAIN, 10, 2.0), 15.0));
        assert!(near(player.asks(MAIN, 11, 600.0), 9.0), "the lead was 18 s");
        assert!(near(player.asks(MAIN, 12, 602.0), 9.0));
    }

    #[test]
    fn a_player_that_was_starved_needs_everything_now() {
        let mut player = Player::new();
        let (request, _) = player.viewers.asks(MAIN, 0.0, 2.0, player.at(0.0));
        player.viewers.begins_to_receive(request, player.at(0.1));
        player.viewers.is_answered(request, player.at(30.0));
        let (_, playhead) = player.viewers.asks(MAIN, 2.0, 2.0, player.at(30.0));
        assert_eq!(playhead.position, 2.0);
    }

    #[test]
    fn two_players_apart_are_told_apart() {
        let mut player = Player::new();
        for step in 0..10 {
            let seconds = f64::from(step) * 2.0;
            let ahead = player.asks(MAIN, 100 + step, seconds);
            let behind = player.asks(MAIN, step, seconds + 0.5);
            assert!(ahead < 0.2 && behind < 0.0, "{ahead} {behind}");
        }
        assert_eq!(player.viewers.active(player.at(20.0)), 2);
    }

    #[test]
    fn sound_and_picture_cut_differently_are_one_viewers() {
        // A live DASH timeline that counts from 1970, over the border of a period, where both are cut anew.
        const ZERO: f64 = 1_700_000_000.0;
        let mut player = Player::new();
        for step in 0..60 {
            let seconds = f64::from(step) * 2.0;
            let (border, sound) = if step < 30 { (0.0, 1.984) } else { (60.0, 2.016) };
            for (kind, start, duration) in [(MAIN, seconds, 2.0), (AUDIO, border + (seconds - border) * sound / 2.0, sound)] {
                let (request, playhead) = player.viewers.asks(kind, ZERO + start, duration, player.at(seconds));
                player.viewers.begins_to_receive(request, player.at(seconds + 0.05));
                player.viewers.is_answered(request, player.at(seconds + 0.1));
                assert!(near(playhead.position - ZERO, start) || playhead.position - ZERO - start < 1.0, "{playhead:?} at {seconds}");
            }
            assert_eq!(player.viewers.active(player.at(seconds + 0.2)), 1, "at {seconds}");
        }
        assert!(near(player.viewers.expected(MAIN) - ZERO, 120.0));
    }

    #[test]
    fn viewers_are_few_and_requests_of_forgotten_ones_do_no_harm() {
        let mut player = Player::new();
        let (request, _) = player.viewers.asks(MAIN, 0.0, 2.0, player.at(0.0));
        for step in 1..100 {
            player.asks(MAIN, step * 50, f64::from(step));
        }
        assert_eq!(player.viewers.viewers.len(), MAX_VIEWERS);
        player.viewers.is_answered(request, player.at(100.0));
        assert_eq!(player.viewers.active(player.at(1000.0)), 0);
    }
}
