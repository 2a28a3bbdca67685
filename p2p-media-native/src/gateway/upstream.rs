//! Requests that go on to the origin: manifests, init segments, keys, subtitles, and whatever else the engine does not share.

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

use super::manifest_kind::{ManifestKind, kind_of};
use super::manifests::ManifestAnswer;
use super::origin_path::manifest_name;
use super::server_clock::time_of_answer;
use super::{Gateway, headers};
use crate::error_chain::error_chain;
use crate::manifest_fetch::MAX_MANIFEST_BYTES;

/// Longest wait for an origin to begin its answer. Blocking reloads of live playlists take a few segment durations.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the rest of a manifest.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(30);
const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const MPD_TYPE: HeaderValue = HeaderValue::from_static("application/dash+xml");
const MPD_PATCH_TYPE: HeaderValue = HeaderValue::from_static("application/dash-patch+xml");

/// Headers that ask for less than the whole: a manifest is always read whole, so that its segments are known.
const CONDITIONS: [axum::http::HeaderName; 6] = [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];

/// Asks the origin, and passes its answer on.
pub(super) async fn pass_on(gateway: &Arc<Gateway>, method: &Method, url: &Url, player: &HeaderMap) -> Response {
    let is_manifest = has_manifest_name(url) || gateway.presentations.naming(&manifest_name(url)).is_some();
    let asked = if is_manifest { unconditional(player, gateway) } else { headers::to_origin(player, &gateway.own_names) };
    let answer = match ask(gateway, method, url, asked).await {
        Ok(answer) => answer,
        Err((status, problem)) => return gateway.origin_failed(status, url, &problem),
    };
    let own_url = answer.url().clone();
    let status = answer.status();
    let given = answer.headers().clone();
    let mut headers = headers::to_player(&given, &own_url);
    gateway.resources.note(url, &given);
    if method == Method::HEAD {
        if is_manifest {
            // The text may be rewritten, and is given as a whole.
            [CONTENT_LENGTH, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
        }
        return (status, headers, Body::empty()).into_response();
    }
    let mut body = answer.bytes_stream().map_err(|error| std::io::Error::other(error_chain(&error.without_url()))).boxed();
    let may_be_manifest = (status == StatusCode::OK || is_whole(&given)) && !given.contains_key(CONTENT_ENCODING);
    let mut beginning = BytesMut::new();
    let mut known = (!may_be_manifest).then_some(None);
    while known.is_none() {
        let chunk = match body.next().await {
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(error)) => return gateway.origin_failed(StatusCode::BAD_GATEWAY, url, &error.to_string()),
            None => None,
        };
        chunk.iter().for_each(|chunk| beginning.extend_from_slice(chunk));
        known = kind_of(&beginning, chunk.is_none());
    }
    if let Some(Some(kind)) = known {
        return match rest_of_manifest(beginning, body).await {
            Ok(text) => {
                let answer = ManifestAnswer { kind, asked: url, own_url: &own_url, text, sent_at: time_of_answer(&given) };
                manifest(gateway, answer, headers).await
            }
            Err((status, problem)) => gateway.origin_failed(status, url, &problem),
        };
    }
    gateway.counters.passed_on.add();
    // A beginning that was looked at was taken off the stream.
    let beginning = (!beginning.is_empty()).then(|| Ok(beginning.freeze()));
    (status, headers, gateway.body(stream::iter(beginning).chain(body))).into_response()
}

/// Asks the origin; what it answers is for the caller to judge.
pub(super) async fn ask(
    gateway: &Gateway,
    method: &Method,
    url: &Url,
    headers: HeaderMap,
) -> Result<reqwest::Response, (StatusCode, String)> {
    let request = gateway.http.client_for(url.as_str()).request(method.clone(), url.clone()).headers(headers);
    match tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err((StatusCode::BAD_GATEWAY, error_chain(&error.without_url()))),
        Err(_) => Err((StatusCode::GATEWAY_TIMEOUT, format!("the origin did not answer within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

/// The headers of a player's request that go to the origin, but those that ask for less than the whole.
pub(super) fn unconditional(player: &HeaderMap, gateway: &Gateway) -> HeaderMap {
    let mut headers = headers::to_origin(player, &gateway.own_names);
    CONDITIONS.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

async fn manifest(gateway: &Gateway, answer: ManifestAnswer<'_>, mut headers: HeaderMap) -> Response {
    gateway.counters.manifests.add();
    if answer.asked.origin() != answer.own_url.origin() {
        gateway.origins.add(answer.own_url);
    }
    let (kind, text) = (answer.kind, answer.text.clone());
    let for_player = answer.take_in(gateway).await;
    if for_player != text {
        [ETAG, LAST_MODIFIED].iter().for_each(|name| drop(headers.remove(name)));
    }
    [CONTENT_RANGE, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(for_player.len()));
    headers.entry(CONTENT_TYPE).or_insert(match kind {
        ManifestKind::Playlist => PLAYLIST_TYPE,
        ManifestKind::Mpd => MPD_TYPE,
        ManifestKind::MpdPatch => MPD_PATCH_TYPE,
    });
    gateway.counters.sent_bytes.add_bytes(for_player.len());
    (StatusCode::OK, headers, Body::from(for_player)).into_response()
}

async fn rest_of_manifest(
    mut text: BytesMut,
    mut body: impl futures::Stream<Item = std::io::Result<Bytes>> + Unpin,
) -> Result<Bytes, (StatusCode, String)> {
    let rest = async {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
            if text.len() + chunk.len() > MAX_MANIFEST_BYTES {
                return Err((StatusCode::BAD_GATEWAY, format!("a manifest of more than {MAX_MANIFEST_BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text.freeze())
    };
    let timed_out = |_| (StatusCode::GATEWAY_TIMEOUT, format!("the manifest was not complete within {} s", MANIFEST_TIMEOUT.as_secs()));
    tokio::time::timeout(MANIFEST_TIMEOUT, rest).await.map_err(timed_out)?
}

fn has_manifest_name(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| matches!(extension.as_str(), "m3u8" | "m3u" | "mpd"))
}

/// First position, last position and complete length of `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let (range, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// First position of a range that was given.
pub(super) fn first_of(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

/// Complete length of the resource of which a range was given.
pub(super) fn total_of(headers: &HeaderMap) -> Option<u64> {
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
    fn manifests_are_known_by_name() {
        let named = |url: &str| has_manifest_name(&Url::parse(url).unwrap());
        assert!(named("https://a.example/b.M3U8?x") && named("https://a.example/b.m3u") && named("https://a.example/b.mpd"));
        assert!(!named("https://a.m3u8/b.ts?c.m3u8") && !named("https://a.example/mpd"));
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
