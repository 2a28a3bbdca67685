//! Answers requests: files by tower-http, live playlists, the page of manifests, the figures.

use std::{
    fmt::Write,
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, RANGE},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use futures::{StreamExt, future::ready, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::watch;
use tower_http::{
    cors::{Any, CorsLayer},
    services::ServeDir,
};

use super::{
    NotReplayed,
    catalogue::{Catalogue, path_in_folder},
    live_response::{self, Asked, LiveReplay},
    stats::{Counter, Counters, FileKind, OriginStats},
};
use crate::pacer::Pacer;

/// Bytes of a file sent at once: small, so that a rate limit gives a steady stream.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;
/// Manifests that the page lists.
const MAX_LISTED_MANIFESTS: usize = 1000;
/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

pub(super) const MANIFEST_CACHING: HeaderValue = HeaderValue::from_static("no-cache");
pub(super) const FILE_CACHING: HeaderValue = HeaderValue::from_static("public, max-age=86400");
const EXPOSED_HEADERS: [HeaderName; 6] = [ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED];
pub(super) const DASH_TYPE: HeaderValue = HeaderValue::from_static("application/dash+xml");
pub(super) const HLS_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const PATH_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What every request needs.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) dir: PathBuf,
    catalogue: Catalogue,
    live: Option<LiveReplay>,
    files: ServeDir,
    pub(super) counters: Counters,
    pacer: Option<Arc<Pacer>>,
    latency: Duration,
    pub(super) closed: watch::Receiver<bool>,
}

pub(super) fn router(origin: Arc<Origin>) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(Any)
        .allow_private_network(true)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(PREFLIGHT_MAX_AGE);
    Router::new().route("/", get(index)).route("/stats.json", get(stats)).fallback(resource).layer(cors).with_state(origin)
}

/// Completes when the server is shut down or gone.
pub(super) async fn until_closed(mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await; // an error says that the sender is gone
}

pub(super) fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, PATH_CHARACTERS).to_string()
}

impl Origin {
    pub(super) fn new(
        dir: &Path,
        catalogue: Catalogue,
        live: Option<LiveReplay>,
        pacer: Option<Pacer>,
        latency: Duration,
        closed: watch::Receiver<bool>,
    ) -> Self {
        let files = ServeDir::new(dir).append_index_html_on_directories(false).with_buf_chunk_size(CHUNK_BYTES);
        Self { dir: dir.into(), catalogue, live, files, counters: Counters::default(), pacer: pacer.map(Arc::new), latency, closed }
    }

    pub(super) fn manifests(&self) -> &[String] {
        &self.catalogue.manifests
    }

    pub(super) fn not_replayed(&self) -> &[NotReplayed] {
        self.live.as_ref().map_or(&[], |live| &live.replay.not_replayed)
    }

    pub(super) fn stats(&self) -> OriginStats {
        self.counters.snapshot()
    }

    fn kind(&self, path: &str) -> FileKind {
        let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        match extension {
            "m3u8" | "m3u" | "mpd" => FileKind::Manifest,
            // Manifests may be elsewhere: then init segments are known by the names that packagers give them.
            "mp4" | "m4s" | "m4v" | "m4a" | "m4i" | "cmfv" | "cmfa"
                if self.catalogue.init_segments.contains(path) || stem.starts_with("init") || stem.ends_with("init") =>
            {
                FileKind::InitSegment
            }
            "ts" | "mp4" | "m4s" | "m4v" | "m4a" | "cmfv" | "cmfa" | "aac" | "mp3" | "ac3" | "ec3" | "webm" => FileKind::Segment,
            _ => FileKind::Other,
        }
    }

    /// Counts and paces what is sent, and breaks it off when the server closes.
    pub(super) fn send(&self, body: Body, counter: Arc<Counter>) -> Body {
        let pacer = self.pacer.clone();
        let paced = body.into_data_stream().then(move |chunk| {
            let (pacer, counter) = (pacer.clone(), counter.clone());
            async move {
                let chunk: Bytes = chunk?;
                if let Some(pacer) = pacer {
                    pacer.pass(chunk.len()).await;
                }
                counter.add_bytes(chunk.len());
                Ok::<_, axum::Error>(chunk)
            }
        });
        // A body that ends early must not look whole: one without a Content-Length would.
        let closed = self.closed.clone();
        let broken_off = stream::once(async move { *closed.borrow() }).filter(|closed| ready(*closed));
        let broken_off = broken_off.map(|_| Err(axum::Error::new(io::Error::from(io::ErrorKind::ConnectionAborted))));
        Body::from_stream(paced.take_until(until_closed(self.closed.clone())).chain(broken_off))
    }
}

async fn index(State(origin): State<Arc<Origin>>) -> impl IntoResponse {
    let mut page = String::from("<!doctype html><meta charset=utf-8><title>p2p-media origin</title><h1>Manifests</h1>\n<ul>\n");
    for path in origin.manifests().iter().take(MAX_LISTED_MANIFESTS) {
        let text = path.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(page, "<li><a href=\"/{}\">{text}</a>", encode_path(path)); // writing to a String cannot fail
    }
    page.push_str("</ul>\n<p><a href=\"/stats.json\">what was sent</a>\n");
    ([(CACHE_CONTROL, MANIFEST_CACHING)], Html(page))
}

async fn stats(State(origin): State<Arc<Origin>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(origin.stats()))
}

async fn resource(State(origin): State<Arc<Origin>>, request: Request) -> Response {
    let response = match path_in_folder(request.uri().path()) {
        _ if ![Method::GET, Method::HEAD].contains(request.method()) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response()
        }
        Some(path) => {
            tokio::time::sleep(origin.latency).await;
            file_or_playlist(&origin, &path, request).await
        }
        None => not_found("not found\n"),
    };
    if !response.status().is_success() {
        origin.counters.without_body();
    }
    response
}

async fn file_or_playlist(origin: &Origin, path: &str, request: Request) -> Response {
    let kind = origin.kind(path);
    if let Some(live) = &origin.live {
        let (raw_path, query, headers) = (request.uri().path(), request.uri().query().unwrap_or_default(), request.headers());
        if let Some(response) = live_response::respond(origin, live, Asked { path, raw_path, kind, query, headers }).await {
            return response;
        }
    }
    let response = match origin.files.clone().try_call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::warn!(%path, %error, "cannot read the file");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    if !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CACHE_CONTROL, if kind == FileKind::Manifest { MANIFEST_CACHING } else { FILE_CACHING });
    if let Some(media_type) = media_type(path) {
        parts.headers.insert(CONTENT_TYPE, media_type);
    }
    let body = origin.send(body, origin.counters.request(path, kind));
    Response::from_parts(parts, body)
}

pub(super) fn not_found(reason: &'static str) -> Response {
    (StatusCode::NOT_FOUND, [(CACHE_CONTROL, MANIFEST_CACHING)], reason).into_response()
}

/// The first and last byte asked for. `None` stands for the whole file, and for ranges that only the file's length makes clear.
pub(super) fn requested_range(headers: &HeaderMap) -> Option<RangeInclusive<u64>> {
    let (first, last) = headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    Some(first.parse().ok()?..=last)
}

/// The types that players expect where the usual tables know another or none.
pub(super) fn media_type(path: &str) -> Option<HeaderValue> {
    Some(match path.rsplit_once('.')?.1 {
        "m3u8" | "m3u" => HLS_TYPE,
        "mpd" => DASH_TYPE,
        "ts" => HeaderValue::from_static("video/mp2t"),
        "m4s" | "m4i" => HeaderValue::from_static("video/iso.segment"),
        "mp4" | "m4v" | "cmfv" => HeaderValue::from_static("video/mp4"),
        "m4a" | "cmfa" => HeaderValue::from_static("audio/mp4"),
        "aac" => HeaderValue::from_static("audio/aac"),
        "vtt" => HeaderValue::from_static("text/vtt"),
        _ => return None,
    })
}
