//! Where each wanted segment comes from, and when.
//!
//! For every segment ahead of the playhead it is known when playback needs it, and about how long the origin would take. The difference,
//! less a margin, is the *slack*: the time for which better sources than the origin may be waited for.
//!
//! 1. No slack: the origin, at once, from the byte reached; a peer only when it is surely faster. What is needed later waits meanwhile, so
//!    that it takes no bandwidth from what is needed first.
//! 2. Slack, and a peer has it: that peer, chosen by expected arrival, watched until the slack is used up.
//! 3. Slack, and a peer of ours is loading it: its bytes as they arrive (`relays`).
//! 4. Slack, and nobody has it: one peer should fetch it. Peers rank themselves by a hash; the first fetches at once, each further one waits
//!    a little longer for the announcement of another.
//! 5. Beyond the near window: from peers only, as far as storage has room.

use super::Engine;
use super::announces::SwarmSize;
use super::deadlines::Deadline;
use super::downloads::{Download, Source};
use super::input::ConnectionId;
use super::peers::{Peer, PeerDownload};
use super::random::spread;
use super::relays::Relay;
use super::streams::options;
use crate::config::StreamConfig;
use crate::error::SegmentError;
use crate::media::{SegmentForm, SegmentKey, StreamKey};
use crate::sort::sort_by;
use crate::timestamp::Timestamp;

/// Segments looked at in the near window; more are nearer than any deadline only with tiny segments.
const MOST_NEAR_SEGMENTS: usize = 64;
/// A fetch from the origin is taken to need this share of the segment's duration until the origin has been measured.
const UNMEASURED_ORIGIN_SHARE: f64 = 0.5;
/// The margin: this many times what the origin needs, within these limits (the upper one is an option).
const MARGIN_TIMES_ESTIMATE: f64 = 3.0;
const SMALLEST_MARGIN_S: f64 = 0.5;
/// A peer's transfer that has used up its slack but arrives in time is looked at again after this.
const LATE_TRANSFER_CHECK_S: f64 = 0.1;
/// Something that comes at the pace at which it is made has failed if no byte comes for this long and playback needs it.
const LONGEST_PACED_SILENCE_S: f64 = 0.5;
/// Something that comes slower than this share of the pace at which it is played is held up by the peer that sends it.
const SLOWEST_PACE: f64 = 0.8;
/// A peer that is loading the segment itself and gives nothing for this long is left for one that has it whole.
const RELAY_PATIENCE_S: f64 = 0.3;
/// The origin's first byte is taken to need this long until it has been measured.
const UNMEASURED_RESPONSE_S: f64 = 0.3;
/// A fetch from the origin that a peer could take over is looked at again after this.
const ORIGIN_CHECK_S: f64 = 0.25;
/// The origin is left for a peer only if playback would wait for it at least this long: estimates are not exact.
const LATE_ORIGIN_S: f64 = 1.0;
/// A source must be expected this many times sooner than another to be preferred where playback waits.
const SURELY_FASTER: f64 = 1.5;
/// A segment that the origin failed to give is asked for again, unbidden, only after this.
const FAILED_SEGMENT_REST_S: f64 = 10.0;
/// Expected arrival is varied by up to this share, so that viewers with equal measurements choose different peers.
const CHOICE_SPREAD: f64 = 0.5;

impl Engine {
    /// Decides about every wanted segment of a stream.
    pub(super) fn schedule(&mut self, stream: StreamKey) {
        let Some(state) = self.streams.get(&stream) else { return };
        let stream_options = options(&self.config, state.stream.kind).clone();
        self.drop_unwanted(stream, &stream_options);
        let mut wake = Timestamp::FAR_FUTURE;
        for key in self.demanded(stream, &stream_options) {
            wake = wake.min(self.decide(key, &stream_options));
        }
        self.prefetch(stream, &stream_options);
        if wake == Timestamp::FAR_FUTURE {
            self.deadlines.cancel(Deadline::Schedule(stream));
        } else {
            // A millisecond of rest, so that rounding cannot make the timer spin.
            self.deadlines.set(Deadline::Schedule(stream), wake.max(self.now.offset_secs(0.001)));
        }
    }

    /// Ends transfers that nobody waits for and that playback has passed, and forgets entries that are neither waited for nor near.
    fn drop_unwanted(&mut self, stream: StreamKey, stream_options: &StreamConfig) {
        let Some(state) = self.streams.get(&stream) else { return };
        let position = self.playhead.position(self.now);
        let near = position + stream_options.high_demand_time_window.as_secs_f64();
        let unwanted = self.downloads.of_stream(stream).filter(|(_, download)| {
            let segment = &download.segment;
            let has_passed = !state.active || segment.end() <= position;
            let is_far = segment.start > near;
            let is_useless = match download.source {
                Source::None | Source::Http(_) => has_passed || is_far,
                Source::Peer(_) => has_passed,
                Source::Validation(..) => false,
            };
            download.players.is_empty() && is_useless
        });
        for key in unwanted.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.drop_download(key);
        }
    }

    /// What players wait for and, when there are peers to share with, what is in the near window; by the time it is needed.
    fn demanded(&self, stream: StreamKey, stream_options: &StreamConfig) -> Vec<SegmentKey> {
        let Some(state) = self.streams.get(&stream) else { return Vec::new() };
        let waited_for = self.downloads.of_stream(stream).filter(|(_, download)| !download.players.is_empty());
        let mut demanded: Vec<_> = waited_for.map(|(key, download)| (download.segment.start, *key)).collect();
        if state.active && self.playhead.is_known() && self.has_sharing_peers(stream, stream_options) {
            let position = self.playhead.position(self.now);
            let until = position + stream_options.high_demand_time_window.as_secs_f64();
            let near = state.segments.between(position, until, state.in_parts);
            let near = near.take(MOST_NEAR_SEGMENTS).map(|segment| (segment.start, SegmentKey { stream, id: segment.id }));
            demanded.extend(near.filter(|(_, key)| !self.stored.contains(*key)));
        }
        sort_by(&mut demanded, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        demanded.dedup();
        demanded.into_iter().map(|(_, key)| key).collect()
    }

    /// Decides about one segment; gives the time at which to decide again if nothing happens until then.
    fn decide(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Timestamp {
        if !self.downloads.by_segment.contains_key(&key) {
            let Some(segment) = self.streams.get(&key.stream).and_then(|state| state.segments.get(key.id)).cloned() else {
                return Timestamp::FAR_FUTURE;
            };
            self.want(key, segment);
        }
        match self.downloads.by_segment.get(&key).map(|download| &download.source) {
            Some(Source::None) => self.choose_source(key, stream_options),
            Some(Source::Peer(connection)) => self.watch_peer(key, *connection, stream_options),
            Some(Source::Http(_)) => self.watch_origin(key, stream_options),
            _ => Timestamp::FAR_FUTURE,
        }
        .min(self.watch_later_stretches(key, stream_options))
    }

    fn choose_source(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Timestamp {
        let slack_s = self.slack_s(key);
        let is_urgent = slack_s <= 0.0;
        let Some(download) = self.downloads.by_segment.get(&key) else { return Timestamp::FAR_FUTURE };
        let origin_has_failed = download.http_failures > 0;
        let peer = if stream_options.p2p_download_disabled { None } else { self.best_peer(key) };
        let peer_is_better = peer.is_some_and(|peer| origin_has_failed || self.is_faster_than(key, peer, self.origin_estimate_s(key)));

        if self.is_short_before(key.stream, download.segment.start) {
            return Timestamp::FAR_FUTURE;
        }
        if is_urgent && !peer_is_better && self.origin_may_be_asked(key, stream_options, true) {
            self.start_http(key);
            return Timestamp::FAR_FUTURE;
        }
        if let Some(peer) = peer
            && self.p2p_downloads(key.stream) < stream_options.simultaneous_p2p_downloads
        {
            self.start_p2p(key, peer);
            return self.watch_peer(key, peer, stream_options);
        }
        let at_slack_end = self.now.offset_secs(slack_s.max(LATE_TRANSFER_CHECK_S));
        if (!is_urgent || origin_has_failed) && self.p2p_downloads(key.stream) < stream_options.simultaneous_p2p_downloads {
            match self.choose_relay(key, stream_options) {
                Relay::Ask(peer) => {
                    self.start_p2p(key, peer);
                    self.announcements_due.insert(key.stream);
                    return self.watch_peer(key, peer, stream_options);
                }
                Relay::Wait(until) => return until.min(at_slack_end),
                Relay::None => {}
            }
        }
        if self.somebody_has_or_loads(key, stream_options) {
            return at_slack_end;
        }
        if download_is_exhausted(self, key, stream_options) {
            return self.give_up(key);
        }
        if !is_urgent {
            let wait_until = if self.has_sharing_peers(key.stream, stream_options) {
                self.turn_to_fetch(key, slack_s, stream_options)
            } else {
                self.peers_expected_until(key.stream, stream_options)
            };
            if wait_until > self.now {
                return wait_until.min(at_slack_end);
            }
        }
        if self.origin_may_be_asked(key, stream_options, is_urgent) {
            self.start_http(key);
            return Timestamp::FAR_FUTURE;
        }
        let retry_at = self.downloads.by_segment.get(&key).map_or(self.now, |download| download.http_retry_at);
        if retry_at > self.now { retry_at } else { at_slack_end }
    }

    /// A peer sends. When the slack is used up and it will not be in time, the origin takes over at the byte reached.
    fn watch_peer(&mut self, key: SegmentKey, connection: ConnectionId, stream_options: &StreamConfig) -> Timestamp {
        let better = self.better_than_relay(key, connection);
        if let Some((peer, at)) = better
            && at <= self.now
        {
            self.abort_source(key);
            self.start_p2p(key, peer);
            return self.watch_peer(key, peer, stream_options);
        }
        let slack_s = self.slack_s(key);
        if slack_s > 0.0 {
            self.divide(key);
            return better.map_or(Timestamp::FAR_FUTURE, |(_, at)| at).min(self.now.offset_secs(slack_s));
        }
        let need_s = self.need_s(key);
        let Some(download) = self.downloads.by_segment.get(&key) else { return Timestamp::FAR_FUTURE };
        let Some(peer) = self.peers.get(&connection) else { return Timestamp::FAR_FUTURE };
        let Some(transfer) = peer.download.as_ref() else { return Timestamp::FAR_FUTURE };
        if transfer.is_relay && transfer.first_byte_at.is_some() && self.keeps_pace(key, download, transfer) {
            // The origin has no more of it either, as long as bytes come now and then.
            let silent_at = transfer.last_byte_at.offset_secs(LONGEST_PACED_SILENCE_S);
            if silent_at > self.now {
                return silent_at;
            }
        }
        let missing = if transfer.is_relay { self.missing_bytes(key).map(|bytes| bytes as u64) } else { download.remaining() };
        let arrival_s = peer.arrival_s(missing, self.now);
        let origin_s = self.origin_estimate_s(key);
        // While the origin could still rescue it, the peer may go on; after that only if the origin would surely be later still.
        let may_go_on =
            |arrival_s: f64| if need_s > origin_s * 2.0 { arrival_s < need_s * 0.5 } else { arrival_s * SURELY_FASTER < origin_s };
        let in_time = arrival_s.is_some_and(may_go_on);
        // An origin that has just failed, or was left for its slowness, is no rescue; a peer that sends nothing has its own timeout.
        let is_no_rescue = (download.http_failures > 0 && !transfer.is_relay) || (download.left_origin && arrival_s.is_some());
        if in_time || is_no_rescue || !self.origin_may_be_asked(key, stream_options, true) {
            return self.now.offset_secs(LATE_TRANSFER_CHECK_S);
        }
        let answer_time = stream_options.p2p_not_receiving_bytes_timeout / 2;
        let is_relay = transfer.is_relay;
        let has_answered = if is_relay { transfer.bytes > 0 } else { transfer.first_byte_at.is_some() };
        let is_unanswered = !has_answered && self.now >= transfer.asked_at + answer_time;
        if self.leave_the_end_to_the_origin(key, 0, connection) {
            return self.now.offset_secs(LATE_TRANSFER_CHECK_S);
        }
        self.abort_source(key);
        if is_unanswered {
            self.note_unanswered_request(connection, is_relay);
        }
        self.start_http(key);
        Timestamp::FAR_FUTURE
    }

    /// True while what comes from a peer that is loading it itself may come as fast as it is made.
    fn keeps_pace(&self, key: SegmentKey, download: &Download, transfer: &PeerDownload) -> bool {
        match download.segment.form {
            SegmentForm::Whole => false,
            // The origin sends a part at once when it is made.
            SegmentForm::Part => transfer.bytes == 0,
            SegmentForm::Unfinished => {
                let expected = self.streams.get(&key.stream).and_then(|state| state.expected_size(&download.segment));
                let pace = expected.map(|bytes| bytes / download.segment.duration * SLOWEST_PACE);
                transfer.rate(self.now).is_none_or(|rate| pace.is_none_or(|pace| rate >= pace))
            }
        }
    }

    /// A peer that has whole what another, which is loading it, is to give; and when that one may be left for it unless it sends something.
    fn better_than_relay(&mut self, key: SegmentKey, connection: ConnectionId) -> Option<(ConnectionId, Timestamp)> {
        let transfer = self.peers.get(&connection)?.download.as_ref().filter(|transfer| transfer.is_relay)?;
        let last_byte_at = transfer.last_byte_at;
        let peer = self.best_peer(key)?;
        let seen_at = *self.downloads.by_segment.get_mut(&key)?.whole_seen_at.get_or_insert(self.now);
        Some((peer, last_byte_at.max(seen_at).offset_secs(RELAY_PATIENCE_S)))
    }

    /// The origin sends. When playback will have to wait for it and a peer would be much faster, the peer goes on at the byte reached.
    fn watch_origin(&mut self, key: SegmentKey, stream_options: &StreamConfig) -> Timestamp {
        let Some(peer) = self.best_peer(key).filter(|_| !stream_options.p2p_download_disabled) else { return Timestamp::FAR_FUTURE };
        let Some(download) = self.downloads.by_segment.get(&key) else { return Timestamp::FAR_FUTURE };
        let Source::Http(transfer) = &download.source else { return Timestamp::FAR_FUTURE };
        // An origin that shares the link with peers says nothing about itself.
        if download.left_origin || transfer.is_paced || self.transfers(key.stream) > 1 {
            return Timestamp::FAR_FUTURE;
        }
        let arrival_s = transfer.arrival_s(download.remaining(), self.now);
        let is_late =
            arrival_s.is_some_and(|arrival_s| arrival_s > self.need_s(key) + LATE_ORIGIN_S && self.is_faster_than(key, peer, arrival_s));
        if !is_late {
            return self.now.offset_secs(ORIGIN_CHECK_S);
        }
        let (kind, received, asked_at) = (download.kind, transfer.received, transfer.asked_at);
        let first_byte_at = transfer.first_byte_at.unwrap_or(self.now);
        let speed = self.origin_speed.of(kind);
        speed.response_s.add(first_byte_at.since(asked_at).as_secs_f64());
        speed.add_transfer(received, self.now.since(first_byte_at));
        self.abort_source(key);
        if let Some(download) = self.downloads.by_segment.get_mut(&key) {
            download.left_origin = true;
        }
        self.start_p2p(key, peer);
        self.watch_peer(key, peer, stream_options)
    }

    /// True when a peer would surely bring what is missing sooner than in so many seconds.
    fn is_faster_than(&self, key: SegmentKey, peer: ConnectionId, seconds: f64) -> bool {
        let bytes = self.missing_bytes(key);
        let estimate_s = self.peers.get(&peer).zip(bytes).map(|(peer, bytes)| peer.estimate_s(bytes));
        estimate_s.is_some_and(|estimate_s| estimate_s * SURELY_FASTER < seconds)
    }

    /// True while what playback needs before a time of the stream may come late if the bandwidth is shared with another transfer.
    pub(super) fn is_short_before(&self, stream: StreamKey, start: f64) -> bool {
        let position = self.playhead.position(self.now);
        let mut earlier = self.downloads.of_stream(stream).filter(|(_, download)| {
            // What failed and rests must not hold up what comes after it.
            let is_to_come = download.segment.end() > position && download.last_failure.is_none();
            // What comes at the pace at which it is made takes little bandwidth and would come no sooner.
            let is_running_its_pace = download.is_paced() && !matches!(download.source, Source::None);
            download.segment.start < start && (is_to_come || !download.players.is_empty()) && !is_running_its_pace
        });
        let sharers = self.transfers(stream).max(1) as f64;
        earlier.any(|(other, _)| self.slack_s(*other) < self.origin_estimate_s(*other) * sharers)
    }

    /// Seconds until playback needs a segment; of one that is not finished, the bytes after those that are here.
    pub(super) fn need_s(&self, key: SegmentKey) -> f64 {
        let Some(download) = self.downloads.by_segment.get(&key).filter(|_| self.playhead.is_known()) else { return 0.0 };
        let segment = &download.segment;
        let is_here = if segment.form == SegmentForm::Unfinished { self.share_here(key, download) } else { 0.0 };
        self.playhead.seconds_until(segment.start + segment.duration * is_here, self.now)
    }

    /// The share of a segment that is here, or probably is.
    fn share_here(&self, key: SegmentKey, download: &Download) -> f64 {
        let total = download.total.map(|total| total as f64).or_else(|| self.streams.get(&key.stream)?.expected_size(&download.segment));
        total.map_or(0.0, |total| (download.bytes.len() as f64 / total.max(1.0)).min(1.0))
    }

    /// Seconds for which something better than the origin may be waited for.
    fn slack_s(&self, key: SegmentKey) -> f64 {
        self.slack_of_s(key, self.missing_bytes(key))
    }

    /// The same for some of its bytes.
    pub(super) fn slack_of_s(&self, key: SegmentKey, missing: Option<f64>) -> f64 {
        let estimate_s = self.origin_estimate_of_s(key, missing);
        let largest_margin_s = self.config.playback_safety_margin.as_secs_f64();
        let margin_s = (estimate_s * MARGIN_TIMES_ESTIMATE).max(SMALLEST_MARGIN_S).min(largest_margin_s);
        self.need_s(key) - estimate_s - margin_s
    }

    /// Seconds that the origin would probably take for what is missing.
    fn origin_estimate_s(&self, key: SegmentKey) -> f64 {
        self.origin_estimate_of_s(key, self.missing_bytes(key))
    }

    fn origin_estimate_of_s(&self, key: SegmentKey, missing: Option<f64>) -> f64 {
        let Some(download) = self.downloads.by_segment.get(&key) else { return 0.0 };
        if download.segment.form == SegmentForm::Unfinished {
            // The rest of it comes when it is made, from wherever.
            return self.origin_speed.response_s(download.kind).unwrap_or(UNMEASURED_RESPONSE_S);
        }
        let measured = missing.and_then(|bytes| self.origin_speed.estimate_s(download.kind, bytes));
        measured.unwrap_or(download.segment.duration * UNMEASURED_ORIGIN_SHARE)
    }

    /// Bytes that are missing of a segment, or probably are.
    pub(super) fn missing_bytes(&self, key: SegmentKey) -> Option<f64> {
        let download = self.downloads.by_segment.get(&key)?;
        let expected = || Some((self.streams.get(&key.stream)?.expected_size(&download.segment)? - download.bytes.len() as f64).max(1.0));
        download.remaining().map(|bytes| bytes as f64).or_else(expected)
    }

    /// The free peer that has it whole and would have it here first.
    pub(super) fn best_peer(&self, key: SegmentKey) -> Option<ConnectionId> {
        let download = self.downloads.by_segment.get(&key)?;
        let bytes = self.missing_bytes(key).unwrap_or(0.0);
        let candidates = self.peers_of(key.stream).filter(|(connection, peer)| {
            let is_free_with_it = peer.download.is_none() && peer.has(key.id);
            is_free_with_it
                && download.may_be_asked(**connection, true)
                && may_go_on(download, peer)
                && self.may_join(download, **connection)
        });
        let candidates = candidates.map(|(connection, peer)| (self.varied_estimate_s(peer, key, bytes), *connection));
        candidates.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, connection)| connection)
    }

    /// Seconds in which a peer would send so many bytes, varied so that viewers with equal measurements choose different peers.
    pub(super) fn varied_estimate_s(&self, peer: &Peer, key: SegmentKey, bytes: f64) -> f64 {
        let spread = spread(&peer.id.0, key.id.0 as u64 ^ self.own_number) as f64 / u64::MAX as f64;
        peer.estimate_s(bytes) * (1.0 + CHOICE_SPREAD * spread)
    }

    fn somebody_has_or_loads(&self, key: SegmentKey, stream_options: &StreamConfig) -> bool {
        let Some(download) = self.downloads.by_segment.get(&key) else { return false };
        // Who loads it will have it whole soon, also where we may not follow; but who follows us waits for what we do.
        let may_wait_for_whole = download.followers.is_empty() && !download.is_paced();
        let mut peers = self.sharing_peers(key.stream, stream_options);
        peers.any(|(connection, peer)| {
            let Some(announced) = peer.announced.as_ref().filter(|_| may_go_on(download, peer)) else { return false };
            let loads = announced.is_loading(key.id) || announced.is_relaying(key.id);
            let will_have_it = announced.has(key.id) || (loads && may_wait_for_whole);
            let may_follow = announced.is_loading(key.id) || self.may_pass_on(*connection, peer, download, key);
            (will_have_it && download.may_be_asked(*connection, true)) || (may_follow && download.may_be_asked(*connection, false))
        })
    }

    /// Connected peers that have said what they have.
    pub(super) fn sharing_peers<'a>(
        &'a self,
        stream: StreamKey,
        stream_options: &StreamConfig,
    ) -> impl Iterator<Item = (&'a ConnectionId, &'a Peer)> + use<'a> {
        let may_download = !stream_options.p2p_download_disabled;
        self.peers_of(stream).filter(move |(_, peer)| peer.announced.is_some() && may_download)
    }

    fn has_sharing_peers(&self, stream: StreamKey, stream_options: &StreamConfig) -> bool {
        self.sharing_peers(stream, stream_options).next().is_some()
    }

    /// Until when peers may still turn up in a swarm just joined; not later than now when they need not be waited for.
    fn peers_expected_until(&self, stream: StreamKey, stream_options: &StreamConfig) -> Timestamp {
        let swarm = self.streams.get(&stream).and_then(|state| state.swarm.as_ref());
        match swarm {
            Some(swarm) if !stream_options.p2p_download_disabled && self.swarm_size(stream) != SwarmSize::Alone => {
                swarm.joined_at + self.config.peer_discovery_time
            }
            _ => self.now,
        }
    }

    pub(super) fn origin_may_be_asked(&self, key: SegmentKey, stream_options: &StreamConfig, is_urgent: bool) -> bool {
        let (Some(download), Some(state)) = (self.downloads.by_segment.get(&key), self.streams.get(&key.stream)) else { return false };
        let fetches = self.downloads.of_stream(key.stream).filter(|(_, download)| matches!(download.source, Source::Http(_))).count();
        // What playback needs now does not queue behind what it needs later.
        let slots = stream_options.simultaneous_http_downloads.max(1) * if is_urgent { 2 } else { 1 };
        let too_early = !is_urgent && self.now < state.active_since + stream_options.http_download_initial_timeout;
        fetches < slots
            && !too_early
            && download.http_failures <= stream_options.http_error_retries
            && download.http_retry_at <= self.now
            && self.need_s(key) <= stream_options.http_download_time_window.as_secs_f64()
    }

    /// No source is left: the players are told, and nobody asks again for a while.
    fn give_up(&mut self, key: SegmentKey) -> Timestamp {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return Timestamp::FAR_FUTURE };
        let error = download.last_failure.clone().unwrap_or(SegmentError::Removed);
        download.http_failures = 0;
        download.http_retry_at = self.now.offset_secs(FAILED_SEGMENT_REST_S);
        download.refused_by.clear();
        let retry_at = download.http_retry_at;
        self.end_followers(key);
        self.fail_players(key, &error);
        retry_at
    }

    fn transfers(&self, stream: StreamKey) -> usize {
        self.downloads.of_stream(stream).filter(|(_, download)| !matches!(download.source, Source::None)).count()
    }

    pub(super) fn p2p_downloads(&self, stream: StreamKey) -> usize {
        self.downloads.of_stream(stream).filter(|(_, download)| matches!(download.source, Source::Peer(_))).count()
    }
}

/// True when a peer can give what is missing, whatever it has.
pub(super) fn may_go_on(download: &Download, peer: &Peer) -> bool {
    download.any_peer_may_go_on() || peer.passes_on()
}

fn download_is_exhausted(engine: &Engine, key: SegmentKey, stream_options: &StreamConfig) -> bool {
    engine.downloads.by_segment.get(&key).is_some_and(|download| download.http_failures > stream_options.http_error_retries)
}
