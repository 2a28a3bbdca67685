//! Segments from the engine, streamed to the player while they arrive.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Future as _, Stream};
use p2p_media_core::error::SegmentError;
use p2p_media_core::media::{ByteRange, SegmentForm};
use p2p_media_core::session::SegmentReader;
use url::Url;

use super::presentation::{Answer, Presentation};
use super::requested_range::RequestedRange;
use super::segment_table::ListedSegment;
use super::{Gateway, upstream};

/// Longest wait for the first byte. The engine needs less, also with all of its attempts; whatever keeps it, a player is not kept with it.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(20);
pub(super) const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// Answers a GET for a segment that a manifest lists. What the engine cannot get, but the origin might give to this player (it sends its own
/// credentials), is asked of the origin.
pub(super) async fn send(
    gateway: &Arc<Gateway>,
    presentation: Arc<Presentation>,
    segment: ListedSegment,
    range: Option<RequestedRange>,
    url: &Url,
    player: &HeaderMap,
) -> Response {
    // A range of what is still being produced would have to wait for the end of it.
    if segment.form == SegmentForm::Unfinished && range.is_some_and(|range| range != RequestedRange::From(0)) {
        return upstream::pass_on(gateway, &Method::GET, url, player).await;
    }
    let (mut reader, answer) = presentation.ask(segment);
    // Only the size makes sense of a range, except where the manifest has said it.
    let needs_size = range.is_some_and(|range| segment.byte_range.is_none() && range != RequestedRange::From(0));
    let beginning = match tokio::time::timeout(LONGEST_WAIT, beginning(&mut reader, needs_size)).await {
        Ok(Ok(beginning)) => beginning,
        Ok(Err(error)) => return failed(gateway, &error, url, player).await,
        Err(_) => {
            tracing::warn!(%url, "no byte within {} s: the origin is asked directly", LONGEST_WAIT.as_secs());
            drop((reader, answer));
            return upstream::pass_on(gateway, &Method::GET, url, player).await;
        }
    };
    let size = segment.byte_range.map(ByteRange::len).or(beginning.size);
    let mut headers = HeaderMap::from_iter([(ACCEPT_RANGES, BYTES), (CONTENT_TYPE, media_type(url.path()))]);
    let (status, part) = match (range, size, segment.byte_range) {
        // A size that becomes known only with the last byte: all of it, as it comes.
        (None, size, _) | (Some(RequestedRange::From(0)), size @ None, _) => {
            (StatusCode::OK, size.and_then(|size| RequestedRange::From(0).within(size)))
        }
        (Some(RequestedRange::Between(asked)), _, Some(place)) => {
            headers.insert(CONTENT_RANGE, content_range(asked, gateway.resources.size(url)));
            gateway.resources.add_validators(url, &mut headers);
            let part = ByteRange { first: asked.first - place.first, last: asked.last - place.first };
            (StatusCode::PARTIAL_CONTENT, Some(part))
        }
        (Some(range), Some(size), _) => match range.within(size) {
            Some(part) => {
                headers.insert(CONTENT_RANGE, content_range(part, Some(size)));
                (StatusCode::PARTIAL_CONTENT, Some(part))
            }
            None => {
                headers.insert(CONTENT_RANGE, HeaderValue::try_from(format!("bytes */{size}")).unwrap_or(BYTES));
                return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
            }
        },
        (Some(_), None, _) => return failed(gateway, &SegmentError::Removed, url, player).await,
    };
    if let Some(length) = part.map(ByteRange::len).or(size) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    gateway.counters.segments.add();
    let body = SegmentBody {
        reader: Some(reader),
        beginning: beginning.bytes,
        to_skip: part.map_or(0, |part| part.first),
        to_send: part.map(ByteRange::len),
        answer,
    };
    (status, headers, gateway.body(body)).into_response()
}

/// What is known when the answer begins.
struct Beginning {
    bytes: Option<Bytes>,
    size: Option<u64>,
}

/// Waits for the size or the first bytes, whichever comes first.
async fn beginning(reader: &mut SegmentReader, needs_size: bool) -> Result<Beginning, SegmentError> {
    if needs_size && let Some(size) = reader.size().await {
        return Ok(Beginning { bytes: None, size: Some(size) });
    }
    poll_fn(|context| {
        let size = match pin!(reader.size()).poll(context) {
            Poll::Ready(size) => size,
            Poll::Pending => None,
        };
        match (reader.poll_chunk(context), size) {
            (Poll::Ready(Ok(bytes)), size) => Poll::Ready(Ok(Beginning { bytes, size })),
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            (Poll::Pending, Some(size)) => Poll::Ready(Ok(Beginning { bytes: None, size: Some(size) })),
            (Poll::Pending, None) => Poll::Pending,
        }
    })
    .await
}

async fn failed(gateway: &Arc<Gateway>, error: &SegmentError, url: &Url, player: &HeaderMap) -> Response {
    match error {
        SegmentError::OriginStatus(status) if ![401, 403].contains(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            gateway.origin_failed(status, url, &error.to_string())
        }
        SegmentError::Origin(_) | SegmentError::Refused => gateway.origin_failed(StatusCode::BAD_GATEWAY, url, &error.to_string()),
        // Refused to us, or not the engine's any more.
        _ => upstream::pass_on(gateway, &Method::GET, url, player).await,
    }
}

pub(super) fn content_range(range: ByteRange, total: Option<u64>) -> HeaderValue {
    let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    // Digits and punctuation are always a valid header.
    HeaderValue::try_from(format!("bytes {}-{}/{total}", range.first, range.last)).unwrap_or(BYTES)
}

/// A segment's bytes, or a part of them, as a response body.
struct SegmentBody {
    /// Absent once it was left to [`read_on`].
    reader: Option<SegmentReader>,
    beginning: Option<Bytes>,
    to_skip: u64,
    /// Bytes still to be sent; all when absent.
    to_send: Option<u64>,
    answer: Answer,
}

impl Stream for SegmentBody {
    type Item = Result<Bytes, SegmentError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        loop {
            if body.to_send == Some(0) {
                if let Some(reader) = body.reader.take() {
                    tokio::spawn(read_on(reader));
                }
                return Poll::Ready(None);
            }
            let Some(reader) = &mut body.reader else { return Poll::Ready(None) };
            let chunk = match body.beginning.take() {
                Some(bytes) => Some(bytes),
                None => match ready!(reader.poll_chunk(context)) {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        body.reader = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            };
            let Some(mut chunk) = chunk else {
                body.reader = None;
                // Less than was promised: the connection must not be taken for good.
                return Poll::Ready(body.to_send.map(|_| Err(SegmentError::Removed)));
            };
            let skipped = body.to_skip.min(chunk.len() as u64);
            body.to_skip -= skipped;
            let _ = chunk.split_to(skipped as usize);
            if let Some(to_send) = &mut body.to_send {
                chunk.truncate((*to_send).min(chunk.len() as u64) as usize);
                *to_send -= chunk.len() as u64;
            }
            if !chunk.is_empty() {
                body.answer.sends();
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
    }
}

/// Lets the engine finish a segment of which a player wanted a part: other parts, and other players, are likely to follow.
pub(super) async fn read_on(mut reader: SegmentReader) {
    while let Ok(Some(_)) = reader.chunk().await {}
}

/// The type of a segment by its name: the engine does not keep what an origin said, and peers say nothing.
pub(super) fn media_type(path: &str) -> HeaderValue {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    HeaderValue::from_static(match extension.to_ascii_lowercase().as_str() {
        "ts" | "m2ts" | "mts" => "video/mp2t",
        "m4s" | "m4i" => "video/iso.segment",
        "mp4" | "m4v" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => "audio/mp4",
        "aac" => "audio/aac",
        "mp3" => "audio/mpeg",
        "ac3" => "audio/ac3",
        "ec3" => "audio/eac3",
        "webm" => "video/webm",
        "vtt" | "webvtt" => "text/vtt",
        _ => "application/octet-stream",
    })
}
