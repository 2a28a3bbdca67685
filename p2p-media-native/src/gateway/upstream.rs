//! Requests that go on to the origin: playlists, init segments, keys, subtitles, and whatever else the engine does not share.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use url::Url;

use super::origin_path::playlist_name;
use super::{Gateway, headers, playlists};
use crate::error_chain::error_chain;
use crate::manifest_fetch::MAX_MANIFEST_BYTES;

/// Longest wait for an origin to begin its answer. Blocking reloads of live playlists take a few segment durations.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the rest of a playlist.
const PLAYLIST_TIMEOUT: Duration = Duration::from_secs(30);
/// What a playlist begins with (RFC 8216, section 4.3.1.1), possibly after a byte order mark.
const PLAYLIST_HEADER: &[u8] = b"#EXTM3U";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");

/// Headers that ask for less than the whole: a playlist is always read whole, so that its segments are known.
const CONDITIONS: [axum::http::HeaderName; 6] = [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];

/// Asks the origin, and passes its answer on.
pub(super) async fn pass_on(gateway: &Arc<Gateway>, method: &Method, url: &Url, player: &HeaderMap) -> Response {
    let is_playlist = has_playlist_name(url) || gateway.presentations.naming(&playlist_name(url)).is_some();
    let mut asked = headers::to_origin(player, &gateway.own_names);
    if is_playlist {
        CONDITIONS.iter().for_each(|name| drop(asked.remove(name)));
    }
    let request = gateway.http.client_for(url.as_str()).request(method.clone(), url.clone()).headers(asked);
    let answer = match tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return gateway.origin_failed(StatusCode::BAD_GATEWAY, url, &error_chain(&error.without_url())),
        Err(_) => {
            let problem = format!("the origin did not answer within {} s", ANSWER_TIMEOUT.as_secs());
            return gateway.origin_failed(StatusCode::GATEWAY_TIMEOUT, url, &problem);
        }
    };
    let own_url = answer.url().clone();
    let status = answer.status();
    let given = answer.headers().clone();
    let mut headers = headers::to_player(&given, &own_url);
    if let Some(size) = total_of(&given) {
        gateway.presentations.by_use().iter().for_each(|presentation| presentation.note_resource_size(url.as_str(), size));
    }
    if method == Method::HEAD {
        if is_playlist {
            // The text may be rewritten, and is given as a whole.
            [CONTENT_LENGTH, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
        }
        return (status, headers, Body::empty()).into_response();
    }
    let mut body = answer.bytes_stream().map_err(|error| std::io::Error::other(error_chain(&error.without_url()))).boxed();
    let may_be_playlist = (status == StatusCode::OK || is_whole(&given)) && !given.contains_key(CONTENT_ENCODING);
    let mut beginning = BytesMut::new();
    if may_be_playlist {
        while beginning.len() < BYTE_ORDER_MARK.len() + PLAYLIST_HEADER.len() {
            match body.next().await {
                Some(Ok(chunk)) => beginning.extend_from_slice(&chunk),
                Some(Err(error)) => return gateway.origin_failed(StatusCode::BAD_GATEWAY, url, &error.to_string()),
                None => break,
            }
        }
    }
    if may_be_playlist && begins_playlist(&beginning) {
        return match rest_of_playlist(beginning, body).await {
            Ok(text) => playlist(gateway, url, &own_url, text, headers).await,
            Err((status, problem)) => gateway.origin_failed(status, url, &problem),
        };
    }
    gateway.counters.passed_on.add();
    // A beginning that was looked at was taken off the stream.
    let beginning = (!beginning.is_empty()).then(|| Ok(beginning.freeze()));
    (status, headers, gateway.body(stream::iter(beginning).chain(body))).into_response()
}

async fn playlist(gateway: &Arc<Gateway>, url: &Url, own_url: &Url, text: Bytes, mut headers: HeaderMap) -> Response {
    gateway.counters.playlists.add();
    if url.origin() != own_url.origin() {
        gateway.origins.add(own_url);
    }
    let for_player = playlists::take_in(gateway, url, own_url, text.clone()).await;
    if for_player != text {
        [ETAG, LAST_MODIFIED].iter().for_each(|name| drop(headers.remove(name)));
    }
    [CONTENT_RANGE, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(for_player.len()));
    headers.entry(CONTENT_TYPE).or_insert(PLAYLIST_TYPE);
    gateway.counters.sent_bytes.add_bytes(for_player.len());
    (StatusCode::OK, headers, Body::from(for_player)).into_response()
}

async fn rest_of_playlist(
    mut text: BytesMut,
    mut body: impl futures::Stream<Item = std::io::Result<Bytes>> + Unpin,
) -> Result<Bytes, (StatusCode, String)> {
    let rest = async {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
            if text.len() + chunk.len() > MAX_MANIFEST_BYTES {
                return Err((StatusCode::BAD_GATEWAY, format!("a playlist of more than {MAX_MANIFEST_BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text.freeze())
    };
    let timed_out = |_| (StatusCode::GATEWAY_TIMEOUT, format!("the playlist was not complete within {} s", PLAYLIST_TIMEOUT.as_secs()));
    tokio::time::timeout(PLAYLIST_TIMEOUT, rest).await.map_err(timed_out)?
}

fn has_playlist_name(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("m3u8") || extension.eq_ignore_ascii_case("m3u"))
}

fn begins_playlist(bytes: &[u8]) -> bool {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start().starts_with(PLAYLIST_HEADER)
}

/// First position, last position and complete length of `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let (range, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?))
}

fn total_of(headers: &HeaderMap) -> Option<u64> {
    content_range(headers).map(|(_, _, total)| total)
}

/// True for the answer to `Range: bytes=0-`, which some players always ask for.
fn is_whole(headers: &HeaderMap) -> bool {
    content_range(headers).is_some_and(|(first, last, total)| first == 0 && last.checked_add(1) == Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_are_known_by_name_or_by_their_beginning() {
        let named = |url: &str| has_playlist_name(&Url::parse(url).unwrap());
        assert!(named("https://a.example/b.M3U8?x") && named("https://a.example/b.m3u") && !named("https://a.m3u8/b.ts?c.m3u8"));
        assert!(begins_playlist(b"#EXTM3U\n") && begins_playlist(b"\xef\xbb\xbf#EXTM3U") && begins_playlist(b"\r\n#EXTM3U"));
        assert!(!begins_playlist(b"#EXT") && !begins_playlist(b"") && !begins_playlist(b"x#EXTM3U"));
    }

    #[test]
    fn a_whole_resource_may_come_as_a_range() {
        let headers = |range| HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(range))]);
        assert!(is_whole(&headers("bytes 0-9/10")));
        assert!(!is_whole(&headers("bytes 1-9/10")) && !is_whole(&headers("bytes 0-8/10")) && !is_whole(&headers("bytes 0-9/*")));
        assert!(!is_whole(&headers("bytes 0-18446744073709551615/1")));
        assert_eq!(total_of(&headers("bytes 1-9/12")), Some(12));
    }
}
