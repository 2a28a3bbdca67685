//! A playlist as data to serialise: what `p2p-media inspect --json` shows.

use p2p_media_core::date_time::format_date_time;
use p2p_media_core::identity::InfoHash;
use p2p_media_core::media::{ByteRange, Resource};
use serde::{Serialize, Serializer};

use crate::playlist::{Key, MediaPlaylist, MediaSegment, MultivariantPlaylist, Part, Playlist, Rendition, Variant};
use crate::streams::{PlaylistStream, StreamSource};

/// What swarm ids are built of, see [`p2p_media_core::identity::stream_swarm_id`].
#[derive(Clone, Copy, Debug)]
pub struct SwarmNaming<'a> {
    /// The protocol label.
    pub label: &'a str,
    /// The configured swarm id, or what [`p2p_media_core::identity::manifest_swarm_base`] gives.
    pub base: &'a str,
}

/// The report on a playlist; serialise it. `url` is the playlist's own, after redirects.
pub fn report<'p>(playlist: &'p Playlist, url: &str, naming: SwarmNaming<'_>) -> PlaylistReport<'p> {
    let contents = match playlist {
        Playlist::Multivariant(playlist) => Contents::Multivariant(MultivariantReport::new(playlist, naming)),
        Playlist::Media(playlist) => Contents::Media(Box::new(MediaReport::new(playlist, url, naming))),
    };
    PlaylistReport { format: "hls", error: None, contents }
}

/// See [`report`].
#[derive(Debug, Serialize)]
pub struct PlaylistReport<'p> {
    format: &'static str,
    error: Option<()>,
    #[serde(flatten)]
    contents: Contents<'p>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Contents<'p> {
    Multivariant(MultivariantReport<'p>),
    Media(Box<MediaReport<'p>>),
}

#[derive(Debug, Serialize)]
struct MultivariantReport<'p> {
    variants: Vec<VariantReport<'p>>,
    renditions: Vec<RenditionReport<'p>>,
}

#[derive(Debug, Serialize)]
struct VariantReport<'p> {
    url: &'p str,
    bandwidth: Option<u64>,
    average_bandwidth: Option<u64>,
    codecs: Option<&'p str>,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<f64>,
    video_range: Option<&'p str>,
    audio_group: Option<&'p str>,
    name: Option<&'p str>,
    stream: Option<StreamReport>,
}

#[derive(Debug, Serialize)]
struct RenditionReport<'p> {
    r#type: &'static str,
    group: &'p str,
    name: Option<&'p str>,
    language: Option<&'p str>,
    channels: Option<&'p str>,
    url: Option<&'p str>,
    default: bool,
    autoselect: bool,
    stream: Option<StreamReport>,
}

#[derive(Debug, Serialize)]
struct StreamReport {
    r#type: &'static str,
    id: String,
    swarm_id: String,
    info_hash: String,
}

#[derive(Debug, Serialize)]
struct MediaReport<'p> {
    live: bool,
    target_duration: Option<f64>,
    media_sequence: u64,
    skipped: u64,
    part_target: Option<f64>,
    can_block_reload: Option<bool>,
    can_skip_until: Option<f64>,
    hold_back: Option<f64>,
    part_hold_back: Option<f64>,
    stream: StreamReport,
    #[serde(serialize_with = "segments")]
    segments: &'p [MediaSegment],
    #[serde(serialize_with = "parts")]
    parts: &'p [Part],
    preload_hints: Vec<PreloadHintReport<'p>>,
    rendition_reports: Vec<RenditionReportReport<'p>>,
}

#[derive(Serialize)]
struct SegmentReport<'p> {
    sequence: u64,
    url: &'p str,
    start: f64,
    duration: f64,
    range: Option<[u64; 2]>,
    discontinuity_sequence: u64,
    gap: bool,
    init: Option<InitReport<'p>>,
    program_date_time: Option<String>,
    keys: Vec<KeyReport<'p>>,
}

#[derive(Serialize)]
struct InitReport<'p> {
    url: &'p str,
    range: Option<[u64; 2]>,
}

#[derive(Serialize)]
struct KeyReport<'p> {
    method: &'p str,
    url: Option<&'p str>,
    iv: Option<&'p str>,
    format: &'p str,
}

#[derive(Serialize)]
struct PartReport<'p> {
    sequence: u64,
    index: u32,
    url: &'p str,
    duration: f64,
    range: Option<[u64; 2]>,
    independent: bool,
    gap: bool,
}

#[derive(Debug, Serialize)]
struct PreloadHintReport<'p> {
    r#type: &'static str,
    url: &'p str,
    range: Option<(u64, Option<u64>)>,
}

#[derive(Debug, Serialize)]
struct RenditionReportReport<'p> {
    url: &'p str,
    last_sequence: Option<u64>,
    last_part: Option<u32>,
}

impl<'p> MultivariantReport<'p> {
    fn new(playlist: &'p MultivariantPlaylist, naming: SwarmNaming<'_>) -> Self {
        let streams = playlist.streams();
        let of = |source| streams.iter().find(|stream| stream.source == source).map(|stream| StreamReport::new(stream, naming));
        let variants = playlist.variants.iter().enumerate();
        let renditions = playlist.renditions.iter().enumerate();
        Self {
            variants: variants.map(|(index, variant)| VariantReport::new(variant, of(StreamSource::Variant(index)))).collect(),
            renditions: renditions.map(|(index, rendition)| RenditionReport::new(rendition, of(StreamSource::Rendition(index)))).collect(),
        }
    }
}

impl<'p> VariantReport<'p> {
    fn new(variant: &'p Variant, stream: Option<StreamReport>) -> Self {
        Self {
            url: &variant.url,
            bandwidth: variant.bandwidth,
            average_bandwidth: variant.average_bandwidth,
            codecs: variant.codecs.as_deref(),
            width: variant.resolution.map(|(width, _)| width),
            height: variant.resolution.map(|(_, height)| height),
            frame_rate: variant.frame_rate,
            video_range: variant.video_range.as_deref(),
            audio_group: variant.audio_group.as_deref(),
            name: variant.name.as_deref(),
            stream,
        }
    }
}

impl<'p> RenditionReport<'p> {
    fn new(rendition: &'p Rendition, stream: Option<StreamReport>) -> Self {
        Self {
            r#type: rendition.kind.as_str(),
            group: &rendition.group,
            name: rendition.name.as_deref(),
            language: rendition.language.as_deref(),
            channels: rendition.channels.as_deref(),
            url: rendition.url.as_deref(),
            default: rendition.default,
            autoselect: rendition.autoselect,
            stream,
        }
    }
}

impl StreamReport {
    fn new(stream: &PlaylistStream, naming: SwarmNaming<'_>) -> Self {
        let swarm_id = stream.swarm_id(naming.label, naming.base);
        let info_hash = InfoHash::of_swarm(&swarm_id).to_string();
        Self { r#type: stream.kind.as_str(), id: stream.id.clone(), swarm_id, info_hash }
    }
}

impl<'p> MediaReport<'p> {
    fn new(playlist: &'p MediaPlaylist, url: &str, naming: SwarmNaming<'_>) -> Self {
        let control = playlist.server_control;
        let hints = playlist.preload_hints.iter().map(|hint| PreloadHintReport {
            r#type: hint.kind.as_str(),
            url: &hint.url,
            range: hint.first.map(|first| (first, hint.last)),
        });
        let reports = playlist.rendition_reports.iter().map(|report| {
            let position = playlist.position_in(report);
            RenditionReportReport {
                url: &report.url,
                last_sequence: position.map(|position| position.sequence),
                last_part: position.and_then(|position| position.part),
            }
        });
        Self {
            live: playlist.live,
            target_duration: playlist.target_duration,
            media_sequence: playlist.media_sequence,
            skipped: playlist.skipped,
            part_target: playlist.part_target,
            can_block_reload: control.can_block_reload,
            can_skip_until: control.can_skip_until,
            hold_back: control.hold_back,
            part_hold_back: control.part_hold_back,
            stream: StreamReport::new(&PlaylistStream::of_media_playlist(url), naming),
            segments: &playlist.segments,
            parts: &playlist.parts,
            preload_hints: hints.collect(),
            rendition_reports: reports.collect(),
        }
    }
}

impl<'p> From<&'p MediaSegment> for SegmentReport<'p> {
    fn from(segment: &'p MediaSegment) -> Self {
        Self {
            sequence: segment.sequence,
            url: &segment.url,
            start: segment.start,
            duration: segment.duration,
            range: segment.byte_range.map(pair),
            discontinuity_sequence: segment.discontinuity_sequence,
            gap: segment.gap,
            init: segment.init.as_deref().map(InitReport::from),
            program_date_time: segment.program_date_time.and_then(format_date_time),
            keys: segment.keys.iter().map(KeyReport::from).collect(),
        }
    }
}

impl<'p> From<&'p Resource> for InitReport<'p> {
    fn from(init: &'p Resource) -> Self {
        Self { url: &init.url, range: init.byte_range.map(pair) }
    }
}

impl<'p> From<&'p Key> for KeyReport<'p> {
    fn from(key: &'p Key) -> Self {
        Self { method: &key.method, url: key.url.as_deref(), iv: key.iv.as_deref(), format: &key.format }
    }
}

impl<'p> From<&'p Part> for PartReport<'p> {
    fn from(part: &'p Part) -> Self {
        Self {
            sequence: part.sequence,
            index: part.index,
            url: &part.url,
            duration: part.duration,
            range: part.byte_range.map(pair),
            independent: part.independent,
            gap: part.gap,
        }
    }
}

const fn pair(range: ByteRange) -> [u64; 2] {
    [range.first, range.last]
}

/// One at a time: a report on the longest playlist needs no second copy of it in memory.
fn segments<S: Serializer>(segments: &[MediaSegment], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(segments.iter().map(SegmentReport::from))
}

fn parts<S: Serializer>(parts: &[Part], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parts.iter().map(PartReport::from))
}

#[cfg(test)]
mod tests {
    use p2p_media_core::identity::PROTOCOL_LABEL;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Variables, parse};

    fn inspect(text: &str) -> Value {
        let url = "https://a.example/d/list.m3u8";
        let playlist = parse(text.as_bytes(), url, &Variables::default()).unwrap();
        serde_json::to_value(report(&playlist, url, SwarmNaming { label: PROTOCOL_LABEL, base: "name" })).unwrap()
    }

    #[test]
    fn a_multivariant_playlist_shows_its_swarms() {
        let report = inspect(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"n\",URI=\"s\"\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=2x1\nv\n",
        );
        assert_eq!((&report["format"], &report["kind"], &report["error"]), (&json!("hls"), &json!("multivariant"), &Value::Null));
        let variant = &report["variants"][0];
        assert_eq!((&variant["url"], &variant["width"], &variant["height"]), (&json!("https://a.example/d/v"), &json!(2), &json!(1)));
        let stream = &variant["stream"];
        assert_eq!(stream["swarm_id"], json!(format!("v2-name-main-{}", stream["id"].as_str().unwrap())));
        assert_eq!(stream["info_hash"].as_str().map(str::len), Some(20));
        assert_eq!((&report["renditions"][0]["type"], &report["renditions"][0]["stream"]), (&json!("subtitles"), &Value::Null));
    }

    #[test]
    fn a_media_playlist_shows_its_segments() {
        let report = inspect(concat!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"i\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
            "#EXT-X-PROGRAM-DATE-TIME:2024-01-12T10:00:00Z\n#EXTINF:4,\n#EXT-X-BYTERANGE:5@2\ns\n",
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p\",BYTERANGE-START=7\n",
        ));
        assert_eq!((&report["kind"], &report["live"], &report["target_duration"]), (&json!("media"), &json!(true), &json!(4.0)));
        let expected = json!({
            "sequence": 0, "url": "https://a.example/d/s", "start": 0.0, "duration": 4.0, "range": [2, 6], "discontinuity_sequence": 0,
            "gap": false, "init": {"url": "https://a.example/d/i", "range": null}, "program_date_time": "2024-01-12T10:00:00.000Z",
            "keys": [{"method": "AES-128", "url": "https://a.example/d/k", "iv": null, "format": "identity"}],
        });
        assert_eq!(report["segments"], json!([expected]));
        assert_eq!(report["preload_hints"][0]["range"], json!([7, null]));
        assert_eq!(report["stream"]["type"], json!("main"));
    }

    #[test]
    fn what_a_rendition_report_leaves_out_is_as_in_its_playlist() {
        let reports = |text: &str| {
            let report = inspect(&format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-RENDITION-REPORT:URI=\"o\"\n{text}"));
            let reports = report["rendition_reports"].as_array().unwrap().clone();
            reports.iter().map(|report| (report["last_sequence"].as_u64(), report["last_part"].as_u64())).collect::<Vec<_>>()
        };
        let part = "#EXTINF:4,\na\n#EXT-X-PART:DURATION=2,URI=\"b0\"\n#EXT-X-PART:DURATION=2,URI=\"b1\"\n";
        let given = "#EXT-X-RENDITION-REPORT:URI=\"p\",LAST-MSN=7,LAST-PART=3\n";
        assert_eq!(reports(&format!("{part}{given}")), [(Some(8), Some(1)), (Some(7), Some(3))]);
        assert_eq!(reports("#EXTINF:4,\na\n"), [(Some(7), None)]);
        assert_eq!(reports("#EXT-X-TARGETDURATION:4\n"), [(None, None)]);
    }
}
