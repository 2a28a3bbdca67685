//! The segments of DASH streams, as the player shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use p2p_media_core::media::{SegmentForm, SegmentKey, StreamKey, StreamUpdate};
use p2p_media_dash::{PresentationTimeline, SegmentDetails};
use tokio::time::Instant;

use crate::player::cursor::Place;
use crate::player::segments::SegmentInfo;
use crate::player::source::LiveOptions;
use crate::player::track_version::TrackVersion;

/// A stream that the engine knows.
#[derive(Debug)]
pub(super) struct SharedStream {
    key: StreamKey,
    /// In playing order.
    segments: Vec<Arc<SegmentInfo>>,
    live: bool,
}

impl SharedStream {
    /// A stream without segments.
    pub(super) const fn new(key: StreamKey) -> Self {
        Self { key, segments: Vec::new(), live: true }
    }

    /// When the segment after the last one will be finished, in seconds on the timeline, if it is as long.
    pub(super) fn next_end(&self) -> Option<f64> {
        self.segments.last().map(|last| last.end() + last.duration)
    }

    pub(super) const fn key(&self) -> StreamKey {
        self.key
    }

    /// Takes in an update of the timeline's stream with this index. False when it changes nothing.
    pub(super) fn apply(&mut self, update: &StreamUpdate, timeline: &PresentationTimeline, stream: usize) -> bool {
        let ended = std::mem::replace(&mut self.live, update.live) != update.live;
        if !self.segments.is_empty() {
            let changed: BTreeSet<_> = update.removed.iter().copied().chain(update.added.iter().map(|segment| segment.id)).collect();
            self.segments.retain(|segment| segment.key.is_none_or(|key| !changed.contains(&key.id)));
        }
        for segment in &update.added {
            let Some(details) = timeline.segment(stream, segment.id) else { continue };
            let info = Arc::new(self.describe(details, timeline));
            let index = self.segments.partition_point(|held| held.place < info.place);
            self.segments.insert(index, info);
        }
        ended || !update.added.is_empty() || !update.removed.is_empty()
    }

    fn describe(&self, details: SegmentDetails, timeline: &PresentationTimeline) -> SegmentInfo {
        let SegmentDetails { segment, number, init, period, is_protected, .. } = details;
        let mpd = timeline.mpd();
        SegmentInfo {
            key: Some(SegmentKey { stream: self.key, id: segment.id }),
            number,
            part: None,
            form: segment.form,
            is_independent: true,
            url: segment.url,
            byte_range: segment.byte_range,
            start: segment.start,
            duration: segment.duration,
            init,
            // The index of a period changes when earlier ones leave; when it begins does not.
            discontinuity_sequence: mpd.periods.get(period).map_or(0, |period| milliseconds(period.start).unsigned_abs()),
            gap: false,
            keys: Arc::new([]),
            is_protected,
            program_date_time: mpd.live.then_some(mpd.availability_start + segment.start),
            place: Place::of_whole(milliseconds(segment.start)),
        }
    }
}

/// What a track says that is made of these streams, one for each period.
pub(super) fn version(
    timeline: &PresentationTimeline,
    streams: &BTreeMap<usize, SharedStream>,
    by_period: &[Option<usize>],
    options: LiveOptions,
    now: f64,
) -> TrackVersion {
    let distinct: BTreeSet<_> = by_period.iter().flatten().copied().collect();
    let shared: Vec<_> = distinct.iter().filter_map(|stream| Some((*stream, streams.get(stream)?))).collect();
    let mut segments = match &shared[..] {
        [(_, only)] => only.segments.clone(),
        several => {
            let of_periods = || timeline.mpd().periods.iter().zip(by_period);
            let is_of = |stream: usize, segment: &SegmentInfo| {
                of_periods()
                    .any(|(period, of)| *of == Some(stream) && milliseconds(period.start).unsigned_abs() == segment.discontinuity_sequence)
            };
            let of_stream = |(stream, shared): &(usize, &SharedStream)| {
                shared.segments.iter().filter(|segment| is_of(*stream, segment)).cloned().collect::<Vec<_>>()
            };
            let mut segments: Vec<_> = several.iter().flat_map(of_stream).collect();
            segments.sort_by_key(|segment| segment.place);
            segments
        }
    };
    let live = shared.iter().any(|(_, shared)| shared.live);
    if options.low_latency == Some(false) {
        segments.retain(|segment| segment.form == SegmentForm::Whole);
    }
    let last_period = timeline.mpd().periods.last();
    let is_chunked = last_period.is_some_and(|period| period.representations.iter().any(|representation| representation.is_chunked));
    let has_parts = live && is_chunked && options.low_latency != Some(false);
    let edge = match segments.last() {
        // Unfinished segments are there as far as they are produced.
        Some(last) if has_parts => (now - timeline.mpd().availability_start).max(last.start).min(last.end()),
        Some(last) => last.end(),
        None => timeline.live_edge(now).unwrap_or_default(),
    };
    let start_playing_at = match options.latency {
        Some(latency) if live => edge - latency,
        _ => timeline.start_position(now),
    };
    TrackVersion { segments, live, has_parts, start_playing_at, edge, loaded_at: Instant::now(), failure: None }
}

/// Media times in whole milliseconds: the same segment's differ by rounding.
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
