//! A file that is a row of segments (SegmentBase, SegmentList or byte ranges of a playlist), asked for as a file: some players know nothing
//! of what is in it and read it from end to end.
//!
//! Each segment is asked of the engine when its turn comes; what stands before, between and behind them comes from the origin.

use std::io;
use std::sync::Arc;

use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use p2p_media_core::media::ByteRange;
use p2p_media_core::session::SegmentReader;
use url::Url;

use super::presentation::{Answer, Presentation, RowBytes};
use super::requested_range::RequestedRange;
use super::segments::{self, BYTES, LONGEST_WAIT, content_range, media_type};
use super::{Gateway, upstream};
use crate::error_chain::error_chain;

/// Answers a GET for a file, or a range of it that is more than one segment.
pub(super) async fn send(
    gateway: &Arc<Gateway>,
    presentation: Arc<Presentation>,
    range: Option<RequestedRange>,
    url: &Url,
    player: &HeaderMap,
) -> Response {
    let mut row =
        Row { gateway: Arc::clone(gateway), presentation, url: url.clone(), player: player.clone(), position: 0, end: 0, source: None };
    let Some(size) = row.size(range).await else { return upstream::pass_on(gateway, &Method::GET, url, player).await };
    let mut headers = HeaderMap::from_iter([(ACCEPT_RANGES, BYTES), (CONTENT_TYPE, media_type(url.path()))]);
    gateway.resources.add_validators(url, &mut headers);
    let Some(part) = range.unwrap_or(RequestedRange::From(0)).within(size) else {
        headers.insert(CONTENT_RANGE, HeaderValue::try_from(format!("bytes */{size}")).unwrap_or(BYTES));
        return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
    let status = match range {
        None => StatusCode::OK,
        Some(_) => {
            headers.insert(CONTENT_RANGE, content_range(part, Some(size)));
            StatusCode::PARTIAL_CONTENT
        }
    };
    (row.position, row.end) = (part.first, part.last.saturating_add(1));
    let body = stream::try_unfold(row, |mut row| async move { Ok::<_, io::Error>(row.next().await?.map(|bytes| (bytes, row))) });
    (status, headers, gateway.body(body)).into_response()
}

/// A file on its way to a player.
struct Row {
    gateway: Arc<Gateway>,
    presentation: Arc<Presentation>,
    url: Url,
    /// Headers of the request: the origin may want them.
    player: HeaderMap,
    position: u64,
    /// Behind the last byte asked for.
    end: u64,
    source: Option<Source>,
}

/// Where the next bytes come from.
struct Source {
    /// Behind the last byte that it gives.
    end: u64,
    bytes: SourceBytes,
}

enum SourceBytes {
    Segment { reader: SegmentReader, answer: Answer, to_skip: u64 },
    Origin(BoxStream<'static, io::Result<Bytes>>),
}

impl Row {
    /// Size of the file, as an answer of the origin to a range tells it.
    async fn size(&mut self, range: Option<RequestedRange>) -> Option<u64> {
        if let Some(size) = self.gateway.resources.size(&self.url) {
            return Some(size);
        }
        let first = match range {
            Some(RequestedRange::Between(asked)) => asked.first,
            _ => 0,
        };
        let answer = self.ask_origin(ByteRange { first, last: first }).await.ok()?;
        self.gateway.resources.note(&self.url, answer.headers());
        upstream::total_of(answer.headers())
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.position < self.end {
            let mut source = match self.source.take() {
                Some(source) => source,
                None => self.open().await?,
            };
            let mut chunk = match source.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) if source.is_origin() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if source.is_origin() => return Err(error),
                // What the engine cannot get, the origin may give to this player.
                failed => {
                    tracing::debug!(url = %self.url, position = self.position, ?failed, "the rest of a segment comes from the origin");
                    self.source = Some(self.open_origin(source.end).await?);
                    continue;
                }
            };
            chunk.truncate((source.end.min(self.end) - self.position).min(chunk.len() as u64) as usize);
            self.position += chunk.len() as u64;
            if self.position < source.end.min(self.end) {
                self.source = Some(source);
            } else if let (true, SourceBytes::Segment { reader, .. }) = (self.position < source.end, source.bytes) {
                tokio::spawn(segments::read_on(reader));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    async fn open(&mut self) -> io::Result<Source> {
        match self.presentation.row_bytes(self.url.as_str(), self.position) {
            RowBytes::Segment(segment) if let Some(range) = segment.byte_range => {
                self.gateway.counters.segments.add();
                let (reader, answer) = self.presentation.ask(segment);
                let bytes = SourceBytes::Segment { reader, answer, to_skip: self.position - range.first };
                Ok(Source { end: range.last.saturating_add(1), bytes })
            }
            RowBytes::Between(Some(next)) => self.open_origin(next).await,
            _ => self.open_origin(self.end).await,
        }
    }

    async fn open_origin(&mut self, end: u64) -> io::Result<Source> {
        let end = end.min(self.end);
        let answer = self.ask_origin(ByteRange { first: self.position, last: end.saturating_sub(1) }).await?;
        let bytes = answer.bytes_stream().map_err(|error| io::Error::other(error_chain(&error.without_url()))).boxed();
        Ok(Source { end, bytes: SourceBytes::Origin(bytes) })
    }

    /// Asks the origin for a range, and for nothing else.
    async fn ask_origin(&mut self, range: ByteRange) -> io::Result<reqwest::Response> {
        let mut headers = upstream::unconditional(&self.player, &self.gateway);
        headers.insert(RANGE, HeaderValue::try_from(format!("bytes={}-{}", range.first, range.last)).unwrap_or(BYTES));
        let answer =
            upstream::ask(&self.gateway, &Method::GET, &self.url, headers).await.map_err(|(_, problem)| io::Error::other(problem))?;
        match upstream::first_of(answer.headers()) {
            Some(first) if first == range.first && answer.status() == StatusCode::PARTIAL_CONTENT => Ok(answer),
            _ => Err(io::Error::other("the origin does not serve ranges")),
        }
    }
}

impl Source {
    /// The next bytes from where the player is.
    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.bytes {
            SourceBytes::Segment { reader, answer, to_skip } => {
                let chunk = tokio::time::timeout(LONGEST_WAIT, reader.chunk()).await.map_err(io::Error::from)?;
                let Some(mut chunk) = chunk.map_err(io::Error::other)? else { return Ok(None) };
                let skipped = (*to_skip).min(chunk.len() as u64);
                *to_skip -= skipped;
                let _ = chunk.split_to(skipped as usize);
                answer.sends();
                Ok(Some(chunk))
            }
            SourceBytes::Origin(bytes) => bytes.try_next().await,
        }
    }

    const fn is_origin(&self) -> bool {
        matches!(self.bytes, SourceBytes::Origin(_))
    }
}
