//! Answers requests for what a live replay makes: playlists, segments of later passes, parts; what is about to come is waited for.

use std::{
    convert::Infallible,
    ops::Range,
    time::{Duration, SystemTime},
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::{
    fmp4_time::delay as delay_fragments,
    live::{LiveClock, LivePlaylist, micros},
    live_text::TextOptions,
    parts::{Part, PartedSegment},
    production::{Delay, LiveSegment, Wanted, is_of_playlist, parameter},
    replay::{MAX_CHANGED_FILE_BYTES, Replay},
    respond::{
        CHUNK_BYTES, DASH_TYPE, FILE_CACHING, HLS_TYPE, MANIFEST_CACHING, Origin, media_type, not_found, requested_range, until_closed,
    },
    stats::FileKind,
};

/// How long a playlist request is held, in target durations (draft-pantos-hls-rfc8216bis, section 6.2.5.2).
const MAX_HOLD_TARGET_DURATIONS: u32 = 3;

/// Clients know the time in milliseconds only.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(1);

/// A replay that has begun.
#[derive(Debug)]
pub(super) struct LiveReplay {
    pub(super) replay: Replay,
    pub(super) clock: LiveClock,
    /// When the replay had run for one window.
    pub(super) started: Instant,
}

impl LiveReplay {
    /// Begins one window ago, at a whole millisecond: manifests tell no finer.
    pub(super) fn begin(replay: Replay) -> Self {
        let (now, started) = (SystemTime::now(), Instant::now());
        let fraction =
            Duration::from_nanos(now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos() % 1_000_000).into());
        let clock = LiveClock { epoch: now - fraction - replay.window, window: replay.window };
        Self { clock, started: started - fraction, replay }
    }

    fn elapsed(&self) -> Duration {
        self.clock.window + self.started.elapsed()
    }

    fn part(&self) -> Duration {
        self.replay.low_latency.unwrap_or_default().part
    }

    /// The moment at which the replay has run for so long.
    fn moment(&self, us: u64) -> Instant {
        self.started + Duration::from_micros(us).saturating_sub(self.clock.window)
    }
}

/// What a request names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Below the folder.
    pub(super) path: &'a str,
    /// The same as it was written.
    pub(super) raw_path: &'a str,
    pub(super) kind: FileKind,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

/// Answers when the file is part of the replay and differs from what is in the folder.
pub(super) async fn respond(origin: &Origin, live: &LiveReplay, asked: Asked<'_>) -> Option<Response> {
    let Asked { path, query, headers, .. } = asked;
    let Replay { playlists, mpds, production, .. } = &live.replay;
    if let Some(playlist) = playlists.get(path) {
        return Some(respond_playlist(origin, live, path, playlist, query).await);
    }
    if let Some(mpd) = mpds.get(path) {
        return Some(respond_text(origin, path, mpd.text(path, &live.clock, live.elapsed()), DASH_TYPE));
    }
    if let Some(segment) = segment_of_mpd(live, asked).or_else(|| production.live_segment(path, query)) {
        return Some(if segment.parts.is_empty() {
            respond_whole(origin, live, asked, segment).await
        } else {
            respond_parted(origin, live, asked, segment).await
        });
    }
    if !production.exists(path, query, requested_range(headers), live.elapsed()) {
        return Some(not_found("this segment is still to come\n"));
    }
    let delay = production.delay(path, query)?;
    let mut bytes = read(origin, path).await?;
    delay_fragments(&mut bytes, &delay.init.timescales, delay.microseconds);
    Some(respond_bytes(origin, asked, bytes.into()))
}

/// The segment that a DASH manifest gives that name, unless a playlist does as well and adds to it.
fn segment_of_mpd(live: &LiveReplay, asked: Asked<'_>) -> Option<LiveSegment> {
    if is_of_playlist(asked.query) {
        return None;
    }
    let question_mark = if asked.query.is_empty() { "" } else { "?" };
    let path_and_query = [asked.raw_path, question_mark, asked.query].concat();
    live.replay.mpds.values().find_map(|mpd| mpd.segment(&path_and_query))
}

/// A segment that is offered when it has ended.
async fn respond_whole(origin: &Origin, live: &LiveReplay, asked: Asked<'_>, segment: LiveSegment) -> Response {
    if segment.end_us() > micros(live.elapsed() + CLOCK_TOLERANCE) {
        return not_found("this segment is still to come\n");
    }
    let Some(mut bytes) = read(origin, &segment.file).await else { return not_found("this segment cannot be read\n") };
    delay_fragments(&mut bytes, &segment.delay.init.timescales, segment.delay.microseconds);
    respond_bytes(origin, asked, bytes.into())
}

/// Waits until the replay has run for so long. False when the server closes before.
async fn wait(origin: &Origin, live: &LiveReplay, us: u64) -> bool {
    origin.counters.held();
    tokio::select! {
        () = sleep_until(live.moment(us)) => true,
        () = until_closed(origin.closed.clone()) => false,
    }
}

/// What a client asks of a low-latency playlist (section 6.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Directives {
    media_sequence: Option<u64>,
    part: Option<u64>,
    skip: bool,
}

impl Directives {
    fn of(query: &str) -> Result<Self, &'static str> {
        let number = |name, error| parameter(query, name).map(|value| value.parse().map_err(|_| error)).transpose();
        let directives = Self {
            media_sequence: number("_HLS_msn", "_HLS_msn is not a number\n")?,
            part: number("_HLS_part", "_HLS_part is not a number\n")?,
            skip: match parameter(query, "_HLS_skip") {
                None => false,
                Some("YES" | "v2") => true,
                Some(_) => return Err("_HLS_skip is neither YES nor v2\n"),
            },
        };
        match directives {
            Self { media_sequence: None, part: Some(_), .. } => Err("_HLS_part without _HLS_msn\n"),
            _ => Ok(directives),
        }
    }
}

async fn respond_playlist(origin: &Origin, live: &LiveReplay, path: &str, playlist: &LivePlaylist, query: &str) -> Response {
    let mut options = TextOptions::default();
    if playlist.low_latency.is_some() {
        let directives = match Directives::of(query) {
            Ok(directives) => directives,
            Err(error) => return (StatusCode::BAD_REQUEST, error).into_response(),
        };
        options.is_delta = directives.skip;
        if let Some(media_sequence) = directives.media_sequence {
            let now_us = micros(live.elapsed());
            let Some(listed_at_us) = playlist.listed_at_us(media_sequence, directives.part, now_us) else {
                return (StatusCode::BAD_REQUEST, "_HLS_msn is too far ahead\n").into_response();
            };
            if listed_at_us > now_us {
                let until_us = listed_at_us.min(now_us + micros(playlist.target_duration() * MAX_HOLD_TARGET_DURATIONS));
                if !wait(origin, live, until_us).await || until_us < listed_at_us {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
            }
        }
    }
    let elapsed = live.elapsed();
    options.rendition_reports = live.replay.rendition_reports(playlist, micros(elapsed));
    respond_text(origin, path, playlist.text(&live.clock, elapsed, &options), HLS_TYPE)
}

fn respond_text(origin: &Origin, path: &str, text: String, media_type: HeaderValue) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, MANIFEST_CACHING), (CONTENT_LENGTH, HeaderValue::from(text.len()))];
    (headers, origin.send(Body::from(text), origin.counters.request(path, FileKind::Manifest))).into_response()
}

/// A segment that is offered in parts, or some of it.
async fn respond_parted(origin: &Origin, live: &LiveReplay, asked: Asked<'_>, segment: LiveSegment) -> Response {
    let Asked { path, kind, .. } = asked;
    let Some(wanted) = Wanted::of(asked.query, requested_range(asked.headers)) else {
        return not_found("no such part\n");
    };
    let Some((begins_us, available_us)) = segment.available_us(&wanted) else {
        return match wanted {
            Wanted::Bytes(_) => range_not_satisfiable(segment.size()),
            _ => not_found("no such part\n"),
        };
    };
    let now_us = micros(live.elapsed());
    if available_us > now_us {
        // What is hinted at is being recorded; a client whose clock is a little fast may ask for the part after it. A DASH manifest has one
        // availabilityTimeOffset for all segments, the short ones as well.
        let early_us = micros(live.part()).max(segment.streamed_early_us.unwrap_or(0));
        if begins_us > now_us + early_us || wanted == Wanted::Whole && segment.streamed_early_us.is_none() {
            return not_found("this segment is still to come\n");
        }
        if !wait(origin, live, available_us).await {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let Some(parted) = read_parted(origin, live, &segment).await else {
        return not_found("this segment cannot be read\n");
    };
    let bytes = Bytes::from(parted.bytes);
    match wanted {
        Wanted::Part(index) => match parted.parts.get(index) {
            Some(part) => respond_bytes(origin, asked, bytes.slice(part.bytes.clone())),
            None => not_found("no such part\n"),
        },
        Wanted::Whole if segment.end_us() > micros(live.elapsed()) => {
            let body = origin.send(Body::from_stream(as_produced(live, &segment, bytes, 0)), origin.counters.request(path, kind));
            (segment_headers(path), body).into_response()
        }
        Wanted::Bytes(range) if *range.end() == u64::MAX && segment.end_us() > micros(live.elapsed()) => {
            let (first, size) = (*range.start(), bytes.len());
            let Some(first_byte) = usize::try_from(first).ok().filter(|first| *first < size) else {
                return range_not_satisfiable(size as u64);
            };
            let body = origin.send(Body::from_stream(as_produced(live, &segment, bytes, first_byte)), origin.counters.request(path, kind));
            let range = [
                (CONTENT_RANGE, HeaderValue::from_str(&format!("bytes {first}-{}/{size}", size - 1)).ok()),
                (CONTENT_LENGTH, Some(HeaderValue::from(size - first_byte))),
            ];
            let mut response = (StatusCode::PARTIAL_CONTENT, segment_headers(path), body).into_response();
            response.headers_mut().extend(range.into_iter().filter_map(|(name, value)| Some((name, value?))));
            response
        }
        Wanted::Whole | Wanted::Bytes(_) => respond_bytes(origin, asked, bytes),
    }
}

/// The bytes from there on, each part when it has ended.
fn as_produced(
    live: &LiveReplay,
    segment: &LiveSegment,
    bytes: Bytes,
    first_byte: usize,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let parts: Vec<(Instant, Range<usize>)> = segment
        .parts
        .iter()
        .filter(|part| part.bytes.end > first_byte)
        .map(|part| (live.moment(segment.start_us + part.end_us), part.bytes.start.max(first_byte)..part.bytes.end.min(bytes.len())))
        .collect();
    stream::iter(parts)
        .then(move |(moment, range)| {
            let part = bytes.slice(range.start.min(range.end)..range.end);
            async move {
                sleep_until(moment).await;
                chunks(part)
            }
        })
        .flatten()
}

async fn read(origin: &Origin, path: &str) -> Option<Vec<u8>> {
    let file = origin.dir.join(path);
    let size = tokio::fs::metadata(&file).await.ok()?.len();
    if size == 0 || size > MAX_CHANGED_FILE_BYTES {
        return None;
    }
    tokio::fs::read(&file).await.ok()
}

async fn read_parted(origin: &Origin, live: &LiveReplay, segment: &LiveSegment) -> Option<PartedSegment> {
    let bytes = read(origin, &segment.file).await?;
    let Delay { init, microseconds } = &segment.delay;
    let whole = Part { bytes: 0..bytes.len(), end_us: segment.duration_us, is_independent: true };
    let mut parted = match PartedSegment::of(bytes, init, segment.duration_us, micros(live.part())) {
        Ok(parted) => parted,
        Err(bytes) => PartedSegment { bytes, parts: vec![whole] },
    };
    if *microseconds > 0 {
        delay_fragments(&mut parted.bytes, &init.timescales, *microseconds);
    }
    Some(parted)
}

/// A resource, or the range of it that is asked for.
fn respond_bytes(origin: &Origin, Asked { path, kind, headers, .. }: Asked<'_>, mut body: Bytes) -> Response {
    let (mut status, mut content_range) = (StatusCode::OK, None);
    let size = body.len() as u64;
    if let Some(range) = requested_range(headers) {
        let last = (*range.end()).min(size.saturating_sub(1));
        let (Ok(first_byte), Ok(last_byte)) = (usize::try_from(*range.start()), usize::try_from(last)) else {
            return range_not_satisfiable(size);
        };
        if first_byte > last_byte || last_byte >= body.len() {
            return range_not_satisfiable(size);
        }
        body = body.slice(first_byte..=last_byte);
        (status, content_range) = (StatusCode::PARTIAL_CONTENT, Some([(CONTENT_RANGE, format!("bytes {first_byte}-{last_byte}/{size}"))]));
    }
    let length = [(CONTENT_LENGTH, HeaderValue::from(body.len()))];
    let body = origin.send(Body::from_stream(chunks(body)), origin.counters.request(path, kind));
    (status, segment_headers(path), length, content_range, body).into_response()
}

fn segment_headers(path: &str) -> impl axum::response::IntoResponseParts {
    [
        (CONTENT_TYPE, media_type(path).unwrap_or(HeaderValue::from_static("application/octet-stream"))),
        (CACHE_CONTROL, FILE_CACHING),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ]
}

fn range_not_satisfiable(size: u64) -> Response {
    (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
}

fn chunks(bytes: Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let starts = (0..bytes.len()).step_by(CHUNK_BYTES);
    stream::iter(starts).map(move |at| Ok(bytes.slice(at..bytes.len().min(at + CHUNK_BYTES))))
}
