//! What an MPD says, as data: inheritance filled in, every URL absolute, times in seconds. Segments are not expanded.

use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Resource};

/// A Media Presentation Description (ISO/IEC 23009-1, section 5.3.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mpd {
    /// MPD@id.
    pub id: Option<Arc<str>>,
    /// MPD@type is `dynamic`.
    pub live: bool,
    /// MPD@mediaPresentationDuration, seconds.
    pub duration: Option<f64>,
    /// MPD@availabilityStartTime in seconds since 1970; 0 when absent. Zero of the presentation timeline of a dynamic MPD.
    pub availability_start: f64,
    /// MPD@availabilityEndTime in seconds since 1970.
    pub availability_end: Option<f64>,
    /// MPD@publishTime in seconds since 1970.
    pub publish_time: Option<f64>,
    /// MPD@minimumUpdatePeriod, seconds; absent when the MPD does not change (dynamic ones too).
    pub minimum_update_period: Option<f64>,
    /// MPD@timeShiftBufferDepth, seconds.
    pub time_shift_buffer_depth: Option<f64>,
    /// MPD@suggestedPresentationDelay, seconds.
    pub suggested_presentation_delay: Option<f64>,
    /// MPD@maxSegmentDuration, seconds.
    pub max_segment_duration: Option<f64>,
    /// ServiceDescription/Latency@target, seconds.
    pub target_latency: Option<f64>,
    /// UTCTiming in order of preference.
    pub utc_timings: Vec<UtcTiming>,
    /// Location: where the next version is, in order.
    pub locations: Vec<Arc<str>>,
    /// PatchLocation: where the difference to the next version is.
    pub patch_location: Option<PatchLocation>,
    /// Periods in order; those that cannot be placed in time are left out.
    pub periods: Vec<Period>,
    /// What was seen and is not acted upon, once each: `xlink`, `ContentSteering`, `EventStream`…
    pub remarks: Vec<Remark>,
}

/// How clients learn the time of the server (ISO/IEC 23009-1, section 5.8.4.11).
#[derive(Clone, Debug, PartialEq)]
pub enum UtcTiming {
    /// `urn:mpeg:dash:utc:direct:2014`: seconds since 1970 when the MPD was made.
    Direct(f64),
    /// `urn:mpeg:dash:utc:http-xsdate:2014` and `http-iso`: the body is the time.
    HttpBody(Arc<str>),
    /// `urn:mpeg:dash:utc:http-head:2014`: the `Date` header is the time.
    HttpHead(Arc<str>),
}

/// PatchLocation (ISO/IEC 23009-1, section 5.15).
#[derive(Clone, Debug, PartialEq)]
pub struct PatchLocation {
    /// Where the patch is.
    pub url: Arc<str>,
    /// PatchLocation@ttl: seconds after MPD@publishTime for which the patch is kept.
    pub ttl: Option<f64>,
}

/// Something that the MPD contains and that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The element or attribute: `Period@xlink:href`.
    pub what: Arc<str>,
    /// Its URL or scheme, where it has one.
    pub value: Option<Arc<str>>,
}

/// A period.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Period@id.
    pub id: Option<Arc<str>>,
    /// When it begins, in seconds on the presentation timeline, by the rules of section 5.3.2.1.
    pub start: f64,
    /// How long it lasts: up to the next period or the end of the presentation, by its own @duration where that is not known; absent while
    /// that is open.
    pub duration: Option<f64>,
    /// Every Representation of every AdaptationSet, in document order.
    pub representations: Vec<Representation>,
}

/// What kind of media a representation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Video, with or without sound.
    Video,
    /// Audio.
    Audio,
    /// Subtitles, also in MP4.
    Text,
    /// Thumbnails.
    Image,
    /// Something else.
    Other,
}

impl MediaKind {
    /// Its name in lower case: `video`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Image => "image",
            Self::Other => "other",
        }
    }
}

/// A Representation with everything that it inherits (ISO/IEC 23009-1, sections 5.3.3 to 5.3.7).
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    /// Representation@id.
    pub id: Option<Arc<str>>,
    /// What it holds.
    pub kind: MediaKind,
    /// Index of its AdaptationSet in the period.
    pub adaptation_set: usize,
    /// Representation@bandwidth, bits per second.
    pub bandwidth: Option<u64>,
    /// Codecs as RFC 6381 lists them.
    pub codecs: Option<Arc<str>>,
    /// MIME type.
    pub mime_type: Option<Arc<str>>,
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// Frames per second as written: `30000/1001`.
    pub frame_rate: Option<Arc<str>>,
    /// Language tag (RFC 5646).
    pub language: Option<Arc<str>>,
    /// Label, or AdaptationSet@label: a name to show.
    pub label: Option<Arc<str>>,
    /// AudioChannelConfiguration as a count, where its scheme is one of the known.
    pub channels: Option<u32>,
    /// `PQ`, `HLG` or `SDR`, from the transfer characteristics (CICP) that it declares.
    pub video_range: Option<&'static str>,
    /// Role@value: `main`, `alternate`, `caption`…
    pub roles: Vec<Arc<str>>,
    /// ContentProtection is declared. Encrypted media is shared as it is.
    pub is_protected: bool,
    /// A trick mode or other special track (EssentialProperty) that normal playback does not use.
    pub is_trick_mode: bool,
    /// Initialization segment as given; `None` for self-initialising media without a range.
    pub init: Option<Arc<Resource>>,
    /// Where its segments are.
    pub addressing: Addressing,
    /// availabilityTimeOffset, summed over BaseURL and segment information: seconds by which segments are available early; may be infinite.
    pub availability_time_offset: f64,
    /// availabilityTimeComplete="false": segments can be had before they are finished.
    pub is_chunked: bool,
    /// Absolute BaseURLs to choose of, in order; the first one is what `init` and `addressing` use.
    pub base_urls: Vec<Arc<str>>,
}

/// Where the segments of a representation are.
#[derive(Clone, Debug, PartialEq)]
pub enum Addressing {
    /// SegmentTemplate (ISO/IEC 23009-1, section 5.3.9.4).
    Template(SegmentTemplate),
    /// SegmentList (section 5.3.9.3).
    List(SegmentList),
    /// SegmentBase (section 5.3.9.2), or SegmentTemplate@index: segments are listed in a `sidx` box that has yet to be fetched.
    Indexed(SegmentIndex),
    /// The resource is one segment over the whole period: a BaseURL and nothing else.
    Whole(Arc<str>),
    /// Nothing that leads to a segment.
    None,
}

/// SegmentTemplate.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentTemplate {
    /// @media, absolute, `$RepresentationID$` and `$Bandwidth$` replaced; `$Number$`, `$Time$` (with widths) and `$$` are left. Absent when
    /// there is none.
    pub media: Option<Arc<str>>,
    /// @timescale: ticks per second; never 0.
    pub timescale: u64,
    /// @presentationTimeOffset in ticks: the media time at which the period begins. Some packagers write negative ones.
    pub presentation_time_offset: i64,
    /// @startNumber; 1 when absent.
    pub start_number: u64,
    /// @endNumber.
    pub end_number: Option<u64>,
    /// When segments begin and end.
    pub times: SegmentTimes,
}

/// How a template or list says when its segments begin and end.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentTimes {
    /// @duration in ticks (not 0): all alike.
    Duration(f64),
    /// SegmentTimeline.
    Timeline(Arc<[TimelineEntry]>),
    /// Neither.
    Unknown,
}

/// One `S` of a SegmentTimeline (section 5.3.9.6); patterns are written out as entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// @t in ticks; absent when it follows on the entry before it.
    pub time: Option<u64>,
    /// @n: its number, where given.
    pub number: Option<u64>,
    /// @d in ticks.
    pub duration: u64,
    /// @r: how often it is repeated; negative: up to the next entry's @t, or the end of the period.
    pub repeat: i64,
}

/// SegmentList.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentList {
    /// SegmentURLs in order: @media (or the BaseURL) with @mediaRange.
    pub segments: Arc<[Resource]>,
    /// @timescale: ticks per second; never 0.
    pub timescale: u64,
    /// @presentationTimeOffset in ticks.
    pub presentation_time_offset: i64,
    /// @startNumber; 1 when absent.
    pub start_number: u64,
    /// When segments begin and end.
    pub times: SegmentTimes,
}

/// Segments that a `sidx` lists.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentIndex {
    /// The resource with the media.
    pub media: Arc<str>,
    /// Where the `sidx` is; without a range: somewhere in the head of the file, or the whole resource when its URL is not that of the media.
    pub index: Resource,
    /// @timescale: ticks per second; never 0. Of the presentation time offset: the `sidx` has its own.
    pub timescale: u64,
    /// @presentationTimeOffset in ticks of `timescale`.
    pub presentation_time_offset: i64,
}

impl SegmentIndex {
    /// The part of the resource that surely contains the `sidx`, when the MPD says.
    pub const fn range(&self) -> Option<ByteRange> {
        self.index.byte_range
    }
}
