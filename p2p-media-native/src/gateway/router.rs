//! What each request is about: a resource of an origin, the gateway's own pages, or nothing that is served here.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HOST, HeaderName, HeaderValue,
    LAST_MODIFIED, RANGE,
};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use url::Url;

use super::origin_path::origin_url;
use super::presentation::{Found, Presentation};
use super::requested_range::RequestedRange;
use super::{Gateway, indexes, row, segments, until_closed, upstream};

/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);
const EXPOSED_HEADERS: [HeaderName; 6] = [ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED];
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PROMETHEUS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(PREFLIGHT_MAX_AGE);
    // Pages of other sites may read what is played, but not what else is.
    let own_pages = Router::new().route("/", get(index)).route("/stats", get(stats)).route("/metrics", get(metrics));
    let resources = Router::new().fallback(resource).layer(cors);
    own_pages
        .fallback_service(resources.with_state(Arc::clone(&gateway)))
        .layer(from_fn_with_state(Arc::clone(&gateway), own_name_only))
        .with_state(gateway)
}

/// Refuses requests made under a name that is not ours: a page elsewhere whose name was pointed here would otherwise read everything.
async fn own_name_only(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    match own_name(&gateway, &request) {
        Ok(()) => next.run(request).await,
        Err(name) => gateway
            .refused(StatusCode::FORBIDDEN, &format!("this gateway does not answer to the name `{name}`: allow it with --public-name")),
    }
}

/// The name under which a request was made, when it is none of ours. A request in absolute form names the host twice (RFC 9112, section
/// 3.2.2).
fn own_name(gateway: &Gateway, request: &Request) -> Result<(), String> {
    let header = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(Authority::as_str);
    let named: Vec<&str> = header.into_iter().chain(authority).collect();
    match named.iter().find(|name| !gateway.own_names.contain(name)) {
        None if !named.is_empty() => Ok(()),
        name => Err(name.copied().unwrap_or_default().to_owned()),
    }
}

async fn index(State(gateway): State<Arc<Gateway>>) -> Response {
    let sessions = gateway.presentations.by_use().len();
    let text = format!(
        "p2p-media gateway; streams in use: {sessions}\n\nOpen a stream in a player as /https/HOST/PATH: its URL with a slash in place of ://\n\n\
         /stats    figures as JSON\n/metrics  figures for Prometheus\n"
    );
    ([(CACHE_CONTROL, NO_STORE)], text).into_response()
}

async fn stats(State(gateway): State<Arc<Gateway>>) -> Response {
    ([(CACHE_CONTROL, NO_STORE)], axum::Json(gateway.figures().await.json())).into_response()
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    ([(CACHE_CONTROL, NO_STORE), (CONTENT_TYPE, PROMETHEUS_TYPE)], gateway.figures().await.prometheus()).into_response()
}

async fn resource(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (method, player) = (request.method(), request.headers());
    if ![Method::GET, Method::HEAD].contains(method) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], "only GET and HEAD\n").into_response();
    }
    let url = match origin_url(request.uri()) {
        Ok(url) => url,
        Err(error) => return gateway.refused(StatusCode::NOT_FOUND, &error.to_string()),
    };
    if !gateway.origins.contains(&url) {
        let origin = url.origin().ascii_serialization();
        return gateway.refused(
            StatusCode::FORBIDDEN,
            &format!(
                "{origin} is not served: it was not given on the command line, and no manifest served so far names it. \
                 Start the gateway with a URL of it, or with --allow-any-origin"
            ),
        );
    }
    let Ok(place) = Arc::clone(&gateway.places).try_acquire_owned() else {
        return gateway.refused(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being answered");
    };
    let range = RequestedRange::of(player).filter(|_| gateway.resources.may_give_range(&url, player));
    let found = if method == Method::GET { find(&gateway, &url, range).await } else { None };
    let response = match found {
        Some((presentation, Found::Segment(segment))) => segments::send(&gateway, presentation, segment, range, &url, player).await,
        // The origin knows better what to make of a range that is not ours to give than to send the whole file.
        Some((_, Found::Row)) if range.is_none() && player.contains_key(RANGE) => upstream::pass_on(&gateway, method, &url, player).await,
        Some((presentation, Found::Row)) => row::send(&gateway, presentation, range, &url, player).await,
        Some((_, Found::MissingIndex { .. })) | None => upstream::pass_on(&gateway, method, &url, player).await,
    };
    // The place is taken until the last byte.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &place;
            frame
        }))
    })
}

/// What answers a request, once the index of the file that it is for has come, or does not come.
async fn find(gateway: &Gateway, url: &Url, range: Option<RequestedRange>) -> Option<(Arc<Presentation>, Found)> {
    let (presentation, found) = gateway.presentations.find(url.as_str(), range)?;
    let Found::MissingIndex { stream, may_be_segment } = found else { return Some((presentation, found)) };
    indexes::load(&presentation, &gateway.http, stream, may_be_segment).await;
    if may_be_segment { gateway.presentations.find(url.as_str(), range) } else { None }
}

impl Gateway {
    /// A refusal with one line of reason.
    pub(super) fn refused(&self, status: StatusCode, reason: &str) -> Response {
        self.counters.refused.add();
        (status, [(CACHE_CONTROL, NO_STORE)], format!("p2p-media gateway: {reason}\n")).into_response()
    }

    /// The origin's fault, in one line.
    pub(super) fn origin_failed(&self, status: StatusCode, url: &Url, problem: &str) -> Response {
        self.counters.origin_failures.add();
        tracing::debug!(%url, %status, problem, "the origin failed");
        (status, [(CACHE_CONTROL, NO_STORE)], format!("p2p-media gateway: {url}: {problem}\n")).into_response()
    }

    /// A body that counts what it sends and is broken off when the gateway closes. A body that ends before its Content-Length makes the
    /// connection close, which is what a player should see.
    pub(super) fn body<E>(self: &Arc<Self>, bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Body
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let gateway = Arc::clone(self);
        let counted = bytes.inspect(move |bytes| {
            if let Ok(bytes) = bytes {
                gateway.counters.sent_bytes.add_bytes(bytes.len());
            }
        });
        Body::from_stream(counted.take_until(until_closed(self.closed.clone())))
    }
}
