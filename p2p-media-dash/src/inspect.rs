//! An MPD as data to serialise: what `p2p-media inspect --json` shows.

use std::cell::Cell;
use std::collections::HashMap;

use p2p_media_core::identity::InfoHash;
use p2p_media_core::media::{ByteRange, Resource};
use serde::ser::{SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use crate::streams::{DashStream, StreamTable};
use crate::{Addressing, MediaSegment, Mpd, Period, Remark, Representation, SegmentPlace, Segments};

/// Segments that are shown of one representation: the first of a static MPD, the newest of a dynamic one.
pub const MAX_SHOWN_SEGMENTS: usize = 5_000;

/// Bytes of URLs that are shown over all representations, about: a report stays readable in seconds.
const MAX_SHOWN_URL_BYTES: usize = 64 * 1024 * 1024;

/// What one segment counts beside the letters of its URL.
const SEGMENT_BYTES: usize = 128;

/// What swarm ids are built of, see [`p2p_media_core::identity::stream_swarm_id`].
#[derive(Clone, Copy, Debug)]
pub struct SwarmNaming<'a> {
    /// The protocol label.
    pub label: &'a str,
    /// The configured swarm id, or what [`p2p_media_core::identity::manifest_swarm_base`] gives.
    pub base: &'a str,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The time for which segments are listed, in seconds since 1970.
    pub now: f64,
    /// Segments per representation; [`MAX_SHOWN_SEGMENTS`] at most.
    pub segments: usize,
}

/// The report on an MPD; serialise it. Segments are made while that goes on.
pub fn report<'m>(mpd: &'m Mpd, naming: SwarmNaming<'_>, view: View) -> MpdReport<'m> {
    let mut streams = Vec::new();
    let placements = StreamTable::default().place(mpd, &mut streams);
    let streams: Vec<_> = streams.iter().map(|stream| StreamReport::new(stream, naming)).collect();
    let stream_of: HashMap<_, _> = placements.iter().map(|placed| ((placed.period, placed.representation), placed.stream)).collect();
    let count: usize = mpd.periods.iter().map(|period| period.representations.len()).sum();
    let mut representations = Vec::with_capacity(count);
    for (number, period) in mpd.periods.iter().enumerate() {
        for (index, representation) in period.representations.iter().enumerate() {
            let stream = stream_of.get(&(number, index)).and_then(|&stream| streams.get(stream).cloned());
            let segments = SegmentsReport::new(mpd, period, representation, view, MAX_SHOWN_URL_BYTES / count.max(1));
            representations.push(RepresentationReport::new(number, representation, stream, segments));
        }
    }
    MpdReport {
        format: "dash",
        live: mpd.live,
        duration: mpd.duration.filter(|_| !mpd.live),
        error: None,
        availability_start: mpd.live.then_some(mpd.availability_start),
        publish_time: mpd.publish_time,
        minimum_update_period: mpd.minimum_update_period,
        time_shift_buffer_depth: mpd.time_shift_buffer_depth,
        suggested_presentation_delay: mpd.suggested_presentation_delay,
        remarks: mpd.remarks.iter().map(RemarkReport::from).collect(),
        periods: mpd.periods.iter().map(PeriodReport::from).collect(),
        representations,
    }
}

/// See [`report`].
#[derive(Debug, Serialize)]
pub struct MpdReport<'m> {
    format: &'static str,
    live: bool,
    duration: Option<f64>,
    error: Option<()>,
    availability_start: Option<f64>,
    publish_time: Option<f64>,
    minimum_update_period: Option<f64>,
    time_shift_buffer_depth: Option<f64>,
    suggested_presentation_delay: Option<f64>,
    remarks: Vec<RemarkReport<'m>>,
    periods: Vec<PeriodReport<'m>>,
    representations: Vec<RepresentationReport<'m>>,
}

#[derive(Debug, Serialize)]
struct RemarkReport<'m> {
    what: &'m str,
    value: Option<&'m str>,
}

#[derive(Debug, Serialize)]
struct PeriodReport<'m> {
    id: Option<&'m str>,
    start: f64,
    duration: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RepresentationReport<'m> {
    period: usize,
    id: Option<&'m str>,
    r#type: &'static str,
    adaptation_set: usize,
    bandwidth: Option<u64>,
    codecs: Option<&'m str>,
    mime_type: Option<&'m str>,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<&'m str>,
    video_range: Option<&'static str>,
    language: Option<&'m str>,
    label: Option<&'m str>,
    channels: Option<u32>,
    protected: bool,
    trick_mode: bool,
    stream: Option<StreamReport>,
    init: Option<ResourceReport<'m>>,
    index: Option<ResourceReport<'m>>,
    #[serde(flatten)]
    segments: SegmentsReport<'m>,
}

#[derive(Clone, Debug, Serialize)]
struct StreamReport {
    r#type: &'static str,
    id: String,
    swarm_id: String,
    info_hash: String,
}

#[derive(Debug, Serialize)]
struct ResourceReport<'m> {
    url: &'m str,
    range: Option<[u64; 2]>,
}

#[derive(Serialize)]
struct SegmentReport<'s> {
    number: Option<u64>,
    time: Option<u64>,
    url: &'s str,
    start: f64,
    duration: f64,
    range: Option<[u64; 2]>,
}

/// The segments that are shown, made when they are serialised.
#[derive(Debug)]
struct SegmentsReport<'m> {
    segments: Segments<'m>,
    /// How many there are, shown or not.
    count: u64,
    limit: usize,
    bytes_limit: usize,
}

impl<'m> RepresentationReport<'m> {
    fn new(period: usize, representation: &'m Representation, stream: Option<StreamReport>, segments: SegmentsReport<'m>) -> Self {
        let index = match &representation.addressing {
            Addressing::Indexed(index) => Some(ResourceReport::from(&index.index)),
            _ => None,
        };
        Self {
            period,
            id: representation.id.as_deref(),
            r#type: representation.kind.as_str(),
            adaptation_set: representation.adaptation_set,
            bandwidth: representation.bandwidth,
            codecs: representation.codecs.as_deref(),
            mime_type: representation.mime_type.as_deref(),
            width: representation.width,
            height: representation.height,
            frame_rate: representation.frame_rate.as_deref(),
            video_range: representation.video_range,
            language: representation.language.as_deref(),
            label: representation.label.as_deref(),
            channels: representation.channels,
            protected: representation.is_protected,
            trick_mode: representation.is_trick_mode,
            stream,
            init: representation.init.as_deref().map(ResourceReport::from),
            index,
            segments,
        }
    }
}

impl StreamReport {
    fn new(stream: &DashStream, naming: SwarmNaming<'_>) -> Self {
        let swarm_id = stream.swarm_id(naming.label, naming.base);
        let info_hash = InfoHash::of_swarm(&swarm_id).to_string();
        Self { r#type: stream.kind.as_str(), id: stream.id.clone(), swarm_id, info_hash }
    }
}

impl<'m> From<&'m Resource> for ResourceReport<'m> {
    fn from(resource: &'m Resource) -> Self {
        Self { url: &resource.url, range: resource.byte_range.map(pair) }
    }
}

impl<'m> From<&'m Remark> for RemarkReport<'m> {
    fn from(remark: &'m Remark) -> Self {
        Self { what: &remark.what, value: remark.value.as_deref() }
    }
}

impl<'m> From<&'m Period> for PeriodReport<'m> {
    fn from(period: &'m Period) -> Self {
        Self { id: period.id.as_deref(), start: period.start, duration: period.duration }
    }
}

impl<'s> From<&'s MediaSegment> for SegmentReport<'s> {
    fn from(segment: &'s MediaSegment) -> Self {
        let SegmentPlace { number, time, start, duration, .. } = segment.place;
        Self { number, time, url: &segment.url, start, duration, range: segment.byte_range.map(pair) }
    }
}

const fn pair(range: ByteRange) -> [u64; 2] {
    [range.first, range.last]
}

impl<'m> SegmentsReport<'m> {
    fn new(mpd: &Mpd, period: &Period, representation: &'m Representation, view: View, bytes_limit: usize) -> Self {
        let limit = view.segments.min(MAX_SHOWN_SEGMENTS).min(bytes_limit / SEGMENT_BYTES);
        let segments = representation.segments(mpd, period, view.now).finished(view.now);
        let count = segments.remaining();
        let segments = if mpd.live { segments.newest(limit) } else { segments };
        Self { segments, count, limit, bytes_limit }
    }
}

impl Serialize for SegmentsReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = ShownSegments { report: self, count: Cell::new(0) };
        let mut members = serializer.serialize_struct("segments", 3)?;
        members.serialize_field("segment_count", &self.count)?;
        members.serialize_field("segments", &shown)?;
        // Known only when they are written.
        members.serialize_field("truncated", &self.count.checked_sub(shown.count.get()).filter(|&left_out| left_out > 0))?;
        members.end()
    }
}

struct ShownSegments<'s, 'm> {
    report: &'s SegmentsReport<'m>,
    count: Cell<u64>,
}

impl Serialize for ShownSegments<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut bytes = 0;
        for segment in self.report.segments.clone().take(self.report.limit) {
            bytes += segment.url.len() + SEGMENT_BYTES;
            if bytes > self.report.bytes_limit {
                break;
            }
            list.serialize_element(&SegmentReport::from(&segment))?;
            self.count.set(self.count.get() + 1);
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use p2p_media_core::identity::PROTOCOL_LABEL;
    use serde_json::{Value, json};

    use super::*;
    use crate::parse;

    const NAMING: SwarmNaming<'_> = SwarmNaming { label: PROTOCOL_LABEL, base: "name" };

    fn inspect(text: &str, now: f64) -> Value {
        let mpd = parse(text.as_bytes(), "https://a.example/d/a.mpd").unwrap();
        serde_json::to_value(report(&mpd, NAMING, View { now, segments: MAX_SHOWN_SEGMENTS })).unwrap()
    }

    #[test]
    fn a_static_mpd() {
        let report = inspect(
            r#"<MPD mediaPresentationDuration="PT6S"><Period id="p"><AdaptationSet mimeType="video/mp4" lang="en"><Representation id="v"
            bandwidth="9" codecs="avc1.42c00c" width="2" height="1"><SegmentTemplate media="$Number$.m4s" initialization="i" duration="4"/>
            </Representation></AdaptationSet></Period></MPD>"#,
            0.0,
        );
        assert_eq!((&report["format"], &report["live"], &report["duration"]), (&json!("dash"), &json!(false), &json!(6.0)));
        assert_eq!(report["periods"], json!([{"id": "p", "start": 0.0, "duration": 6.0}]));
        let video = &report["representations"][0];
        assert_eq!((&video["period"], &video["id"], &video["type"]), (&json!(0), &json!("v"), &json!("video")));
        assert_eq!((&video["codecs"], &video["width"], &video["language"]), (&json!("avc1.42c00c"), &json!(2), &json!("en")));
        assert_eq!(video["init"], json!({"url": "https://a.example/d/i", "range": null}));
        let segment = |number: u64, time: u64, start: f64, duration: f64| {
            let url = format!("https://a.example/d/{number}.m4s");
            json!({"number": number, "time": time, "url": url, "start": start, "duration": duration, "range": null})
        };
        assert_eq!(video["segments"], json!([segment(1, 0, 0.0, 4.0), segment(2, 4, 4.0, 2.0)]));
        assert_eq!((&video["segment_count"], &video["truncated"], &video["index"]), (&json!(2), &Value::Null, &Value::Null));
        assert_eq!(video["stream"]["swarm_id"], json!(format!("v2-name-main-{}", video["stream"]["id"].as_str().unwrap())));
        assert_eq!(video["stream"]["info_hash"].as_str().map(str::len), Some(20));
    }

    #[test]
    fn an_index_is_yet_to_be_fetched() {
        let report = inspect(
            r#"<MPD mediaPresentationDuration="PT6S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="a"><BaseURL>a.mp4</BaseURL>
            <SegmentBase indexRange="100-199"/></Representation></AdaptationSet></Period></MPD>"#,
            0.0,
        );
        let audio = &report["representations"][0];
        assert_eq!(audio["index"], json!({"url": "https://a.example/d/a.mp4", "range": [100, 199]}));
        assert_eq!((&audio["segments"], &audio["init"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn long_lists_are_truncated() {
        let text = |kind: &str| {
            format!(
                r#"<MPD type="{kind}" availabilityStartTime="1970-01-01T00:00:00Z"><Period duration="PT20000S"><AdaptationSet mimeType="video/mp4">
                <Representation><SegmentTemplate media="$Number$" duration="2"/></Representation></AdaptationSet></Period></MPD>"#
            )
        };
        for (kind, first) in [("static", 1), ("dynamic", 1001)] {
            let video = &inspect(&text(kind), 12_000.0)["representations"][0];
            let count = if kind == "static" { 10_000 } else { 6_000 };
            assert_eq!((&video["truncated"], &video["segment_count"]), (&json!(count - 5_000), &json!(count)));
            assert_eq!((&video["segments"][0]["number"], video["segments"].as_array().map(Vec::len)), (&json!(first), Some(5_000)));
        }
    }

    #[test]
    fn unfinished_segments_are_not_shown() {
        let text = r#"<MPD type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z"><Period><AdaptationSet mimeType="video/mp4"><Representation>
            <SegmentTemplate media="$Number$" duration="2" availabilityTimeOffset="1.5" availabilityTimeComplete="false"/></Representation>
            </AdaptationSet></Period></MPD>"#;
        assert_eq!(inspect(text, 5.0)["representations"][0]["segment_count"], json!(2));
    }

    #[test]
    fn many_long_urls_are_cut_short() {
        let base = "x".repeat(100_000);
        let representations = "<Representation/>".repeat(50);
        let text = format!(
            r#"<MPD mediaPresentationDuration="PT10000S"><BaseURL>{base}/</BaseURL><Period><AdaptationSet mimeType="video/mp4">
            <SegmentTemplate media="$Number$" duration="1"/>{representations}</AdaptationSet></Period></MPD>"#
        );
        let mpd = parse(text.as_bytes(), "https://a.example/d/a.mpd").unwrap();
        let view = View { now: 0.0, segments: MAX_SHOWN_SEGMENTS };
        let shown = serde_json::to_string(&report(&mpd, NAMING, view)).unwrap();
        assert!(shown.len() < MAX_SHOWN_URL_BYTES + 50 * 200_000);
    }
}
