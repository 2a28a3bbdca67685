//! A simple player: asks for one segment after another on each of its tracks, keeps a buffer, plays it, and stalls when it is empty.

use std::collections::BTreeMap;

use bytes::Bytes;
use p2p_media_core::engine::input::{Input, PlayerRequestId};
use p2p_media_core::media::{Playhead, SegmentKey, StreamKey};
use p2p_media_core::timestamp::Timestamp;

use crate::content::{Latency, Presentation, Window};

/// Seconds until a segment that failed is asked for again, as players do.
const RETRY_S: f64 = 1.0;
/// Failures in a row after which a segment is left out.
const MOST_FAILURES: u32 = 4;
/// Nearer than this to the end of the buffer is at its end: rounding.
const END_S: f64 = 1e-4;

/// Throughput is not measured over less: the segment was there already.
const SHORTEST_MEASURED_S: f64 = 0.05;
/// Share of the newest segment in the throughput.
const NEWEST_SHARE: f64 = 0.3;
/// Share of the throughput that a rendition may need, and that a higher one may need to be chosen.
const USED_AT_MOST: f64 = 0.9;
const USED_TO_GO_UP: f64 = 0.7;
/// Media that must be there before a segment is played while it comes.
const START_S: f64 = 0.25;

/// How a player behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayerOptions {
    /// Seconds of media that it keeps ahead.
    pub buffer_goal_s: f64,
    /// Where it begins: seconds from the start of a VOD stream, or behind the newest segment's end of a live one.
    pub start_s: f64,
    /// Renditions of its first track with their bits per second, rising, among which it chooses by throughput; none when it stays.
    pub ladder: Vec<(StreamKey, f64)>,
}

/// What the player saw.
#[derive(Clone, Debug, Default)]
pub struct Playback {
    /// Milliseconds from joining to the first picture.
    pub startup_ms: Option<f64>,
    /// Interruptions, those after a seek not counted.
    pub stalls: u32,
    /// When each began, in seconds since the simulation began.
    pub stalled_at_s: Vec<f64>,
    /// Milliseconds that they lasted.
    pub stall_ms: f64,
    /// Milliseconds from each seek to the next picture.
    pub seek_ms: Vec<f64>,
    /// Segments received.
    pub segments: u64,
    /// Bytes received.
    pub delivered_bytes: u64,
    /// Pieces, sizes and ends that were not as at the origin.
    pub wrong_deliveries: u64,
    /// Requests that failed.
    pub failed_requests: u64,
    /// Segments left out after too many failures.
    pub skipped_segments: u64,
    /// Times that a live player found what it wanted gone and jumped ahead.
    pub resyncs: u32,
    /// Changes of the rendition.
    pub switches: u32,
    /// Where it stands.
    pub position_s: f64,
    /// It has played to the end.
    pub has_ended: bool,
}

#[derive(Debug)]
pub(crate) struct Player {
    options: PlayerOptions,
    tracks: Vec<Track>,
    state: State,
    position_s: f64,
    /// The time at which it stood there.
    position_at: Timestamp,
    requests: BTreeMap<PlayerRequestId, Wanted>,
    next_request: u64,
    /// Bits per second that segments came at.
    throughput: Option<f64>,
    /// What each stream's playlist had as last read.
    playlists: BTreeMap<StreamKey, Window>,
    pub(crate) playback: Playback,
}

#[derive(Debug)]
struct Track {
    stream: StreamKey,
    /// A segment's number, or a part's.
    next: i64,
    pending: Option<PlayerRequestId>,
    buffered_until_s: f64,
    failures: u32,
    retry_at: Timestamp,
}

#[derive(Debug)]
struct Wanted {
    key: SegmentKey,
    expected: Bytes,
    received: usize,
    asked_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing played yet.
    Starting(Timestamp),
    Playing,
    Stalled(Timestamp),
    /// Waiting for media after a seek.
    Seeking(Timestamp),
    Paused,
    Ended,
}

impl Player {
    pub(crate) fn new(options: &PlayerOptions, streams: &[StreamKey], joined_at: Timestamp) -> Self {
        let track = |stream: &StreamKey| Track {
            stream: *stream,
            next: 0,
            pending: None,
            buffered_until_s: 0.0,
            failures: 0,
            retry_at: Timestamp::ZERO,
        };
        Self {
            options: options.clone(),
            tracks: streams.iter().map(track).collect(),
            state: State::Starting(joined_at),
            position_s: 0.0,
            position_at: joined_at,
            requests: BTreeMap::new(),
            next_request: 0,
            throughput: None,
            playlists: BTreeMap::new(),
            playback: Playback::default(),
        }
    }

    /// A playlist was read: the first one tells where to begin.
    pub(crate) fn read_playlist(&mut self, presentation: &Presentation, stream: StreamKey, playlist: Window) {
        let is_first = self.playlists.is_empty();
        self.playlists.insert(stream, playlist);
        if is_first {
            let model = presentation.stream(stream);
            self.position_s = if model.is_vod() { self.options.start_s } else { self.live_start_s(playlist) };
            self.flush(presentation);
        }
    }

    fn live_start_s(&self, playlist: Window) -> f64 {
        (playlist.edge_s - self.options.start_s).max(0.0)
    }

    /// Drops the buffer and goes on at the position.
    fn flush(&mut self, presentation: &Presentation) -> Vec<Input> {
        let cancelled = std::mem::take(&mut self.requests);
        for track in &mut self.tracks {
            let unit_s = presentation.stream(track.stream).unit_s();
            track.next = (self.position_s / unit_s + END_S).floor() as i64;
            track.buffered_until_s = track.next as f64 * unit_s;
            track.pending = None;
            track.failures = 0;
        }
        cancelled.into_keys().map(Input::RequestCancelled).collect()
    }

    pub(crate) fn playhead(&self) -> Playhead {
        let rate = if matches!(self.state, State::Paused | State::Ended) { 0.0 } else { 1.0 };
        Playhead { position: self.position_s, rate }
    }

    fn buffered_until_s(&self) -> f64 {
        self.tracks.iter().map(|track| track.buffered_until_s).fold(f64::INFINITY, f64::min)
    }

    /// Carries playback on to `now` and asks for what is wanted next; gives the inputs for the engine and the time to come back.
    pub(crate) fn step(&mut self, now: Timestamp, presentation: &Presentation) -> (Vec<Input>, Timestamp) {
        let mut inputs = Vec::new();
        if self.playlists.is_empty() {
            return (inputs, Timestamp::FAR_FUTURE);
        }
        let before = self.state;
        self.play_until(now, presentation);
        inputs.extend(self.resync_if_gone(now, presentation));
        self.begin_if_buffered(now, presentation);
        if self.state != before {
            inputs.push(Input::PlayheadMoved(self.playhead()));
        }
        let mut wake = Timestamp::FAR_FUTURE;
        for index in 0..self.tracks.len() {
            wake = wake.min(self.ask(index, now, presentation, &mut inputs));
        }
        if self.state == State::Playing {
            wake = wake.min(now.offset_secs((self.buffered_until_s() - self.position_s).max(0.0) + END_S / 2.0));
        }
        self.playback.position_s = self.position_s;
        self.playback.has_ended = self.state == State::Ended;
        (inputs, wake)
    }

    fn play_until(&mut self, now: Timestamp, presentation: &Presentation) {
        let elapsed_s = now.since(self.position_at).as_secs_f64();
        self.position_at = now;
        if self.state != State::Playing {
            return;
        }
        let end_s = self.buffered_until_s();
        self.position_s = (self.position_s + elapsed_s).min(end_s);
        if self.position_s < end_s - END_S {
            return;
        }
        let stream_end_s = self.tracks.iter().filter_map(|track| presentation.stream(track.stream).end_s()).fold(f64::INFINITY, f64::min);
        if end_s >= stream_end_s - END_S {
            self.state = State::Ended;
        } else {
            self.state = State::Stalled(now);
            self.playback.stalls += 1;
            self.playback.stalled_at_s.push(now.as_secs_f64());
        }
    }

    /// A live player that fell behind the playlist begins anew near its end.
    fn resync_if_gone(&mut self, _now: Timestamp, presentation: &Presentation) -> Vec<Input> {
        let gone = |track: &Track| self.playlists.get(&track.stream).is_some_and(|playlist| track.next < playlist.first);
        let Some(track) = self.tracks.iter().find(|track| gone(track)) else { return Vec::new() };
        let stream = track.stream;
        let playlist = self.playlists[&stream];
        self.position_s = self.live_start_s(playlist);
        self.playback.resyncs += 1;
        let mut inputs = self.flush(presentation);
        inputs.push(Input::PlayheadMoved(self.playhead()));
        inputs
    }

    fn begin_if_buffered(&mut self, now: Timestamp, presentation: &Presentation) {
        let comes_in_pieces = |track: &Track| matches!(presentation.stream(track.stream).latency, Latency::Chunks(_));
        let least_s = if self.tracks.iter().any(comes_in_pieces) { START_S } else { END_S };
        if self.buffered_until_s() <= self.position_s + least_s {
            return;
        }
        match self.state {
            State::Starting(since) => self.playback.startup_ms = Some(milliseconds(since, now)),
            State::Stalled(since) => self.playback.stall_ms += milliseconds(since, now),
            State::Seeking(since) => self.playback.seek_ms.push(milliseconds(since, now)),
            State::Playing | State::Paused | State::Ended => return,
        }
        self.state = State::Playing;
    }

    fn ask(&mut self, index: usize, now: Timestamp, presentation: &Presentation, inputs: &mut Vec<Input>) -> Timestamp {
        let track = &mut self.tracks[index];
        let Some(playlist) = self.playlists.get(&track.stream).copied() else { return Timestamp::FAR_FUTURE };
        if track.pending.is_some() || self.state == State::Ended || !(playlist.first..=playlist.last).contains(&track.next) {
            return Timestamp::FAR_FUTURE;
        }
        if now < track.retry_at {
            return track.retry_at;
        }
        let too_much_s = track.buffered_until_s - self.position_s - self.options.buffer_goal_s;
        if too_much_s >= 0.0 {
            return if self.state == State::Playing { now.offset_secs(too_much_s + END_S) } else { Timestamp::FAR_FUTURE };
        }
        let key = SegmentKey { stream: track.stream, id: presentation.stream(track.stream).id_of(track.next) };
        let request = PlayerRequestId(self.next_request);
        self.next_request += 1;
        track.pending = Some(request);
        self.requests.insert(request, Wanted { key, expected: presentation.bytes_of(key), received: 0, asked_at: now });
        inputs.push(Input::SegmentRequested { request, segment: key });
        Timestamp::FAR_FUTURE
    }

    pub(crate) fn size_told(&mut self, request: PlayerRequestId, size: u64) {
        if self.requests.get(&request).is_some_and(|wanted| wanted.expected.len() as u64 != size) {
            self.playback.wrong_deliveries += 1;
        }
    }

    /// Bytes of a segment came; true when they may be played at once.
    pub(crate) fn deliver(&mut self, request: PlayerRequestId, bytes: &Bytes, presentation: &Presentation) -> bool {
        let Some(wanted) = self.requests.get_mut(&request) else { return false };
        let expected = wanted.expected.get(wanted.received..wanted.received + bytes.len());
        // Most pieces are slices of the origin's own bytes: then there is nothing to compare.
        if expected.is_none_or(|expected| expected.as_ptr() != bytes.as_ptr() && expected != bytes) {
            self.playback.wrong_deliveries += 1;
        }
        wanted.received += bytes.len();
        self.playback.delivered_bytes += bytes.len() as u64;
        let model = presentation.stream(wanted.key.stream);
        if !matches!(model.latency, Latency::Chunks(_)) {
            return false;
        }
        let share = wanted.received as f64 / wanted.expected.len() as f64;
        let until_s = (wanted.key.id.0 as f64 + share.min(1.0)) * model.segment_s;
        let track = self.tracks.iter_mut().find(|track| track.pending == Some(request));
        track.map(|track| track.buffered_until_s = until_s).is_some()
    }

    pub(crate) fn delivered(&mut self, request: PlayerRequestId, now: Timestamp, presentation: &Presentation) {
        let Some(wanted) = self.requests.remove(&request) else { return };
        if wanted.received != wanted.expected.len() {
            self.playback.wrong_deliveries += 1;
        }
        self.playback.segments += 1;
        self.choose_rendition(&wanted, now);
        self.go_on_after(request, wanted.key, presentation);
    }

    /// The highest rendition that needs no more than most of the measured throughput, as players without an estimate of their own do.
    fn choose_rendition(&mut self, wanted: &Wanted, now: Timestamp) {
        let Some((_, current)) = self.options.ladder.iter().find(|(stream, _)| *stream == wanted.key.stream) else { return };
        let seconds = now.since(wanted.asked_at).as_secs_f64().max(SHORTEST_MEASURED_S);
        let sample = wanted.received as f64 * 8.0 / seconds;
        let throughput = self.throughput.map_or(sample, |average| average + (sample - average) * NEWEST_SHARE);
        self.throughput = Some(throughput);
        let affordable = |share: f64| self.options.ladder.iter().rev().find(|(_, bits)| *bits <= throughput * share);
        let up = affordable(USED_TO_GO_UP).filter(|(_, bits)| bits > current);
        let down = (*current > throughput * USED_AT_MOST).then(|| affordable(USED_AT_MOST).or(self.options.ladder.first())).flatten();
        if let Some((stream, _)) = up.or(down).copied().filter(|(stream, _)| *stream != wanted.key.stream) {
            self.playback.switches += 1;
            self.switch(wanted.key.stream, stream);
        }
    }

    /// What the player saw, what it waits for just now included.
    pub(crate) fn playback_until(&self, now: Timestamp) -> Playback {
        let mut playback = self.playback.clone();
        if let State::Stalled(since) = self.state {
            playback.stall_ms += milliseconds(since, now);
        }
        playback
    }

    pub(crate) fn failed(&mut self, request: PlayerRequestId, now: Timestamp, presentation: &Presentation) {
        let Some(wanted) = self.requests.remove(&request) else { return };
        self.playback.failed_requests += 1;
        let Some(track) = self.tracks.iter_mut().find(|track| track.pending == Some(request)) else { return };
        track.failures += 1;
        track.retry_at = now.offset_secs(RETRY_S);
        if track.failures < MOST_FAILURES {
            track.pending = None;
        } else {
            self.playback.skipped_segments += 1;
            self.go_on_after(request, wanted.key, presentation);
        }
    }

    fn go_on_after(&mut self, request: PlayerRequestId, key: SegmentKey, presentation: &Presentation) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.pending == Some(request)) {
            // Renditions of one stream are cut alike.
            let model = presentation.stream(track.stream);
            track.pending = None;
            track.failures = 0;
            track.next = model.unit_of(key.id) + 1;
            track.buffered_until_s = track.next as f64 * model.unit_s();
        }
    }

    /// The user seeks; what is buffered is dropped.
    pub(crate) fn seek(&mut self, now: Timestamp, position_s: f64, presentation: &Presentation) -> Vec<Input> {
        self.play_until(now, presentation);
        self.position_s = position_s;
        if !matches!(self.state, State::Starting(_) | State::Paused) {
            self.state = State::Seeking(now);
        }
        let mut inputs = self.flush(presentation);
        inputs.push(Input::PlayheadMoved(self.playhead()));
        inputs
    }

    pub(crate) fn pause(&mut self, now: Timestamp, presentation: &Presentation) -> Vec<Input> {
        self.play_until(now, presentation);
        self.state = State::Paused;
        vec![Input::PlayheadMoved(self.playhead())]
    }

    pub(crate) fn resume(&mut self, now: Timestamp) -> Vec<Input> {
        if self.state == State::Paused {
            self.state = State::Playing;
            self.position_at = now;
        }
        vec![Input::PlayheadMoved(self.playhead())]
    }

    /// Time passed that the player did not notice: the whole machine slept.
    pub(crate) fn skip_time(&mut self, now: Timestamp) {
        self.position_at = now;
    }

    /// From the next segment on the track that played `from` plays `to`.
    pub(crate) fn switch(&mut self, from: StreamKey, to: StreamKey) {
        self.tracks.iter_mut().filter(|track| track.stream == from).for_each(|track| track.stream = to);
    }
}

fn milliseconds(since: Timestamp, now: Timestamp) -> f64 {
    now.since(since).as_secs_f64() * 1000.0
}
