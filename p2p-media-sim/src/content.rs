//! What is broadcast: streams cut into segments, and the bytes that the origin has for each, so that all that players get can be compared.

use std::sync::Arc;

use bytes::Bytes;
use p2p_media_core::identity::{PROTOCOL_LABEL, stream_swarm_id};
use p2p_media_core::media::{ByteRange, Segment, SegmentForm, SegmentId, SegmentKey, Stream, StreamKey, StreamKind};
use p2p_media_core::timestamp::Timestamp;

/// Seconds of media that a live stream has behind it when the simulation begins.
pub(crate) const LIVE_HISTORY_S: f64 = 120.0;
/// Parts of this many finished segments stay in the playlist.
const SEGMENTS_WITH_PARTS: i64 = 3;
/// Nearer than this to when something is made it is made: rounding.
const ROUNDING_S: f64 = 1e-6;
/// Segments differ in size by up to this share either way.
const SIZE_SPREAD: f64 = 0.2;

/// One stream of the broadcast.
#[derive(Clone, Debug)]
pub struct StreamModel {
    /// Main or secondary.
    pub kind: StreamKind,
    /// Seconds that a segment plays.
    pub segment_s: f64,
    /// Mean media bytes per second.
    pub bytes_per_s: f64,
    /// VOD or live.
    pub extent: Extent,
    /// All segments are byte ranges of one resource. VOD only.
    pub byte_ranges: bool,
    /// What there is of a segment before it is finished. Live only.
    pub latency: Latency,
}

/// What there is of a segment before it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Nothing.
    Ordinary,
    /// So many parts, each once it is made; the next one may be asked for before (low-latency HLS). The player plays parts.
    Parts(i64),
    /// So many chunks, each sent once it is made (low-latency DASH). The player plays a segment while it comes.
    Chunks(i64),
}

/// What of a stream a player may ask for at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Number of the first and the last unit: of segments, or of parts.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Where the newest media ends, in seconds.
    pub(crate) edge_s: f64,
}

/// How much of a stream there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it, from the beginning; this many segments.
    Vod(i64),
    /// A segment appears when its last frame was made, and leaves the playlist when this many newer ones are there.
    Live(i64),
}

/// All streams of the broadcast, with their bytes.
#[derive(Clone, Debug)]
pub struct Presentation {
    streams: Vec<StreamModel>,
    /// Every segment is a slice of this.
    pool: Bytes,
}

impl StreamModel {
    /// A film: `seconds` long.
    pub fn vod(seconds: f64, segment_s: f64, bits_per_s: f64) -> Self {
        let extent = Extent::Vod((seconds / segment_s).ceil() as i64);
        Self { kind: StreamKind::Main, segment_s, bytes_per_s: bits_per_s / 8.0, extent, byte_ranges: false, latency: Latency::Ordinary }
    }

    /// A live stream with a playlist of 20 segments.
    pub fn live(segment_s: f64, bits_per_s: f64) -> Self {
        Self {
            kind: StreamKind::Main,
            segment_s,
            bytes_per_s: bits_per_s / 8.0,
            extent: Extent::Live(20),
            byte_ranges: false,
            latency: Latency::Ordinary,
        }
    }

    /// The same as separate audio.
    pub fn audio(self) -> Self {
        Self { kind: StreamKind::Secondary, ..self }
    }

    /// The same as byte ranges of one resource.
    pub fn in_one_resource(self) -> Self {
        Self { byte_ranges: true, ..self }
    }

    /// The same in parts, so many a segment.
    pub fn in_parts(self, parts: i64) -> Self {
        Self { latency: Latency::Parts(parts), ..self }
    }

    /// The same in chunks, so many a segment.
    pub fn in_chunks(self, chunks: i64) -> Self {
        Self { latency: Latency::Chunks(chunks), ..self }
    }

    /// Seconds of the smallest thing that appears.
    pub(crate) fn step_s(&self) -> f64 {
        match self.latency {
            Latency::Ordinary => self.segment_s,
            Latency::Parts(steps) | Latency::Chunks(steps) => self.segment_s / steps as f64,
        }
    }

    /// How many of the smallest things are made.
    fn steps_made(&self, now: Timestamp) -> i64 {
        ((now.as_secs_f64() + LIVE_HISTORY_S + ROUNDING_S) / self.step_s()).floor() as i64
    }

    /// When the next of the smallest things appears.
    pub(crate) fn next_step_at(&self, now: Timestamp) -> Timestamp {
        self.time_of_step(self.steps_made(now))
    }

    /// When one of the smallest things is made.
    fn time_of_step(&self, step: i64) -> Timestamp {
        Timestamp::ZERO.offset_secs(((step + 1) as f64).mul_add(self.step_s(), -LIVE_HISTORY_S).max(0.0))
    }

    /// Seconds of what the player asks for at once.
    pub(crate) fn unit_s(&self) -> f64 {
        if matches!(self.latency, Latency::Parts(_)) { self.step_s() } else { self.segment_s }
    }

    /// A unit's number on the wire.
    pub(crate) fn id_of(&self, unit: i64) -> SegmentId {
        match self.latency {
            Latency::Parts(parts) => part_id(unit, parts),
            Latency::Ordinary | Latency::Chunks(_) => SegmentId(unit),
        }
    }

    /// The number of a unit.
    pub(crate) fn unit_of(&self, id: SegmentId) -> i64 {
        match (self.latency, id.sequence_and_index()) {
            (Latency::Parts(parts), Some((sequence, index))) => sequence as i64 * parts + i64::from(index),
            _ => id.0,
        }
    }

    /// What the player may ask for; `None` when there is nothing yet.
    pub(crate) fn window_at(&self, now: Timestamp) -> Option<Window> {
        let (first, last) = self.playlist_at(now)?;
        let step = self.steps_made(now);
        let edge_s = step as f64 * self.step_s();
        Some(match self.latency {
            Latency::Ordinary => Window { first, last, edge_s: (last + 1) as f64 * self.segment_s },
            Latency::Parts(parts) => Window { first: ((step / parts - SEGMENTS_WITH_PARTS) * parts).max(0), last: step, edge_s },
            Latency::Chunks(_) => Window { first, last, edge_s },
        })
    }

    /// The chunks of a segment with the time of each; `None` when it is finished, or not in chunks.
    pub(crate) fn chunk_times(&self, id: SegmentId, now: Timestamp) -> Option<Vec<Timestamp>> {
        let Latency::Chunks(chunks) = self.latency else { return None };
        let times: Vec<_> = (0..chunks).map(|chunk| self.time_of_step(id.0 * chunks + chunk)).collect();
        times.last().is_some_and(|last| *last > now).then_some(times)
    }

    /// When something was, or will be, wholly made.
    pub fn made_at(&self, id: SegmentId) -> Timestamp {
        let end_s = match id.sequence_and_index() {
            Some(_) => (self.unit_of(id) + 1) as f64 * self.unit_s(),
            None => (id.0 + 1) as f64 * self.segment_s,
        };
        Timestamp::ZERO.offset_secs((end_s - LIVE_HISTORY_S).max(0.0))
    }

    /// The numbers of the first and the last segment that the playlist has at a time; `None` when it is empty.
    pub fn playlist_at(&self, now: Timestamp) -> Option<(i64, i64)> {
        match self.extent {
            Extent::Vod(segments) => (segments > 0).then_some((0, segments - 1)),
            Extent::Live(window) => {
                let made = match self.latency {
                    Latency::Ordinary => ((now.as_secs_f64() + LIVE_HISTORY_S) / self.segment_s).floor() as i64,
                    Latency::Parts(parts) => self.steps_made(now) / parts,
                    // One that has begun is there.
                    Latency::Chunks(chunks) => (self.steps_made(now) + chunks - 1) / chunks,
                };
                (made > 0).then_some(((made - window).max(0), made - 1))
            }
        }
    }

    /// True when no segment will be added any more.
    pub const fn is_vod(&self) -> bool {
        matches!(self.extent, Extent::Vod(_))
    }

    /// Where the stream ends, in seconds; `None` for a live one.
    pub fn end_s(&self) -> Option<f64> {
        match self.extent {
            Extent::Vod(segments) => Some(segments as f64 * self.segment_s),
            Extent::Live(_) => None,
        }
    }

    /// Bytes of a segment.
    pub fn size_of(&self, id: SegmentId) -> u64 {
        if let (Some((sequence, index)), Latency::Parts(parts)) = (id.sequence_and_index(), self.latency) {
            let whole = self.size_of(SegmentId(sequence as i64));
            let end_of = |index: u64| whole * index / parts as u64;
            return end_of(u64::from(index) + 1) - end_of(u64::from(index));
        }
        let spread = 1.0 - SIZE_SPREAD + 2.0 * SIZE_SPREAD * (scatter(id.0 as u64) >> 11) as f64 / (1_u64 << 53) as f64;
        (self.bytes_per_s * self.segment_s * spread).max(1.0) as u64
    }

    /// Where a segment begins in the resource that holds all of them.
    pub fn offset_of(&self, id: SegmentId) -> u64 {
        (0..id.0).map(|id| self.size_of(SegmentId(id))).sum()
    }
}

impl Presentation {
    /// The streams, of which the first has the key 0.
    pub fn new(streams: Vec<StreamModel>) -> Self {
        let largest =
            streams.iter().map(|stream| (stream.bytes_per_s * stream.segment_s * (1.0 + SIZE_SPREAD)) as usize).max().unwrap_or(0);
        // Any two segments begin at other places of the pool, and no eight bytes of it are alike.
        let words = largest.div_ceil(8) as u64 + (1 << 17);
        let pool = (0..words).flat_map(|word| scatter(word).to_le_bytes()).collect::<Vec<_>>().into();
        Self { streams, pool }
    }

    /// The streams in the order of their keys.
    pub fn streams(&self) -> &[StreamModel] {
        &self.streams
    }

    /// One stream.
    ///
    /// # Panics
    /// When there is no such stream: the scenario is wrong.
    pub fn stream(&self, key: StreamKey) -> &StreamModel {
        &self.streams[key.0 as usize]
    }

    /// A stream as the engine wants it.
    pub fn registration(&self, key: StreamKey) -> Stream {
        let kind = self.stream(key).kind;
        let swarm_id = stream_swarm_id(PROTOCOL_LABEL, "https://origin.test/master.m3u8", kind, &key.0.to_string()).into();
        Stream { key, kind, swarm_id }
    }

    /// A segment as the engine wants it.
    pub fn segment(&self, key: SegmentKey) -> Segment {
        let stream = self.stream(key.stream);
        let byte_range = stream.byte_ranges.then(|| {
            let first = stream.offset_of(key.id);
            ByteRange { first, last: first + stream.size_of(key.id) - 1 }
        });
        if let Some((sequence, index)) = key.id.sequence_and_index() {
            return Segment {
                id: key.id,
                url: format!("https://origin.test/{}/{sequence}.{index}", key.stream.0).into(),
                byte_range: None,
                start: stream.unit_of(key.id) as f64 * stream.unit_s(),
                duration: stream.unit_s(),
                form: SegmentForm::Part,
            };
        }
        let name = if stream.byte_ranges { "all".to_owned() } else { key.id.0.to_string() };
        Segment {
            id: key.id,
            url: format!("https://origin.test/{}/{name}", key.stream.0).into(),
            byte_range,
            start: key.id.0 as f64 * stream.segment_s,
            duration: stream.segment_s,
            form: Default::default(),
        }
    }

    /// The right bytes of a segment.
    pub fn bytes_of(&self, key: SegmentKey) -> Bytes {
        if let (Some((sequence, index)), Latency::Parts(parts)) = (key.id.sequence_and_index(), self.stream(key.stream).latency) {
            let whole = self.bytes_of(SegmentKey { id: SegmentId(sequence as i64), ..key });
            let end_of = |index: usize| whole.len() * index / parts as usize;
            return whole.slice(end_of(index as usize)..end_of(index as usize + 1));
        }
        let size = self.stream(key.stream).size_of(key.id) as usize;
        let places = (self.pool.len() - size) as u64;
        let place = (scatter(u64::from(key.stream.0) << 48 ^ key.id.0 as u64) % places) as usize;
        self.pool.slice(place..place + size)
    }

    /// What a URL means: the segments of the resource, in order. `None` when there is no such resource.
    pub(crate) fn resource(&self, url: &Arc<str>) -> Option<Vec<SegmentKey>> {
        let (stream, name) = url.strip_prefix("https://origin.test/")?.split_once('/')?;
        let stream = StreamKey(stream.parse().ok()?);
        let model = self.streams.get(stream.0 as usize)?;
        if let (Some((sequence, index)), Latency::Parts(_)) = (name.split_once('.'), model.latency) {
            let id = SegmentId::of_part(sequence.parse().ok()?, index.parse().ok()?)?;
            return Some(vec![SegmentKey { stream, id }]);
        }
        match (name, model.extent) {
            ("all", Extent::Vod(segments)) => Some((0..segments).map(|id| SegmentKey { stream, id: SegmentId(id) }).collect()),
            _ => Some(vec![SegmentKey { stream, id: SegmentId(name.parse().ok()?) }]),
        }
    }
}

fn part_id(part: i64, parts: i64) -> SegmentId {
    // Numbers of simulated parts are small.
    SegmentId::of_part((part / parts) as u64, (part % parts) as u32).unwrap_or(SegmentId(part))
}

/// Spreads numbers evenly (the finaliser of SplitMix64).
const fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_playlist_moves_on_and_every_segment_has_its_own_bytes() {
        let presentation = Presentation::new(vec![StreamModel::live(2.0, 1e6), StreamModel::vod(60.0, 2.0, 1e5).in_one_resource()]);
        let live = presentation.stream(StreamKey(0));
        assert_eq!(live.playlist_at(Timestamp::ZERO), Some((40, 59)));
        assert_eq!(live.playlist_at(Timestamp::ZERO.offset_secs(4.5)), Some((42, 61)));
        let key = |stream, id| SegmentKey { stream: StreamKey(stream), id: SegmentId(id) };
        assert_ne!(presentation.bytes_of(key(0, 1))[..100], presentation.bytes_of(key(0, 2))[..100]);
        let range = presentation.segment(key(1, 1)).byte_range.unwrap();
        assert_eq!(
            (range.first, range.len()),
            (presentation.bytes_of(key(1, 0)).len() as u64, presentation.bytes_of(key(1, 1)).len() as u64)
        );
        assert_eq!(presentation.resource(&presentation.segment(key(1, 1)).url).map(|segments| segments.len()), Some(30));
    }
}
