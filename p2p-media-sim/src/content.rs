//! What is broadcast: streams cut into segments, and the bytes that the origin has for each, so that all that players get can be compared.

use std::sync::Arc;

use bytes::Bytes;
use p2p_media_core::identity::{PROTOCOL_LABEL, stream_swarm_id};
use p2p_media_core::media::{ByteRange, Segment, SegmentId, SegmentKey, Stream, StreamKey, StreamKind};
use p2p_media_core::timestamp::Timestamp;

/// Seconds of media that a live stream has behind it when the simulation begins.
const LIVE_HISTORY_S: f64 = 120.0;
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
        Self { kind: StreamKind::Main, segment_s, bytes_per_s: bits_per_s / 8.0, extent, byte_ranges: false }
    }

    /// A live stream with a playlist of 20 segments.
    pub fn live(segment_s: f64, bits_per_s: f64) -> Self {
        Self { kind: StreamKind::Main, segment_s, bytes_per_s: bits_per_s / 8.0, extent: Extent::Live(20), byte_ranges: false }
    }

    /// The same as separate audio.
    pub fn audio(self) -> Self {
        Self { kind: StreamKind::Secondary, ..self }
    }

    /// The same as byte ranges of one resource.
    pub fn in_one_resource(self) -> Self {
        Self { byte_ranges: true, ..self }
    }

    /// The numbers of the first and the last segment that the playlist has at a time; `None` when it is empty.
    pub fn playlist_at(&self, now: Timestamp) -> Option<(i64, i64)> {
        match self.extent {
            Extent::Vod(segments) => (segments > 0).then_some((0, segments - 1)),
            Extent::Live(window) => {
                let made = ((now.as_secs_f64() + LIVE_HISTORY_S) / self.segment_s).floor() as i64;
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
        match (name, model.extent) {
            ("all", Extent::Vod(segments)) => Some((0..segments).map(|id| SegmentKey { stream, id: SegmentId(id) }).collect()),
            _ => Some(vec![SegmentKey { stream, id: SegmentId(name.parse().ok()?) }]),
        }
    }
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
