//! The HTTP side of the tracker's port: websocket handshakes, `/stats.json` and `/metrics`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::admission::{Admitted, Full as Limit};
use super::connection;
use super::tracker::Tracker;

/// How long a connection may take to ask for something, and again to receive it or to become a websocket.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Answers one HTTP request, and runs the websocket if it asked for one.
pub(super) async fn serve<S>(tracker: Arc<Tracker>, stream: S, mut admitted: Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Boxed, so that the memory of the HTTP part is free while the websocket runs.
    let handshake = Box::pin(handshake(&tracker, stream, &mut admitted));
    if let Ok(Some((stream, already_read))) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        connection::run(tracker, stream, already_read, admitted.address()).await;
    }
    drop(admitted);
}

/// What the answer to a request leaves behind.
struct Outcome<'a> {
    admitted: &'a mut Admitted,
    upgrade: Option<OnUpgrade>,
}

/// The stream, and what was read of it beyond the request, if it is a websocket now.
async fn handshake<S>(tracker: &Tracker, stream: S, admitted: &mut Admitted) -> Option<(S, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let outcome = Mutex::new(Outcome { admitted, upgrade: None });
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(tracker, request, &mut outcome.lock().unwrap_or_else(PoisonError::into_inner));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if let Err(error) = served {
        tracing::debug!(%error, "not HTTP");
    }
    let upgrade = outcome.into_inner().unwrap_or_else(PoisonError::into_inner).upgrade?;
    let parts = upgrade.await.ok()?.downcast::<TokioIo<S>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.into()))
}

fn respond(tracker: &Tracker, mut request: Request<Incoming>, outcome: &mut Outcome<'_>) -> Response<Full<Bytes>> {
    if request.headers().contains_key(UPGRADE) {
        return match create_response_with_body(&request, || Full::new(Bytes::new())) {
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            Ok(response) => match outcome.admitted.welcome(forwarded_for(&request)) {
                Ok(()) => {
                    outcome.upgrade = Some(hyper::upgrade::on(&mut request));
                    response
                }
                Err(full) => {
                    tracker.counters().refused_connections.add(1);
                    refusal(full)
                }
            },
        };
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/stats.json") => match serde_json::to_vec_pretty(&tracker.stats()) {
            Ok(json) => page(StatusCode::OK, "application/json", json),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        (&Method::GET | &Method::HEAD, "/metrics") => {
            page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", tracker.stats().prometheus().into_bytes())
        }
        (&Method::GET | &Method::HEAD, _) => {
            let hint = "This is a WebTorrent tracker: connect with a websocket. See also /stats.json and /metrics.\n";
            let mut response = text(StatusCode::UPGRADE_REQUIRED, hint.to_owned());
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            response
        }
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
    }
}

fn refusal(full: Limit) -> Response<Full<Bytes>> {
    match full {
        Limit::Visitor => text(StatusCode::TOO_MANY_REQUESTS, "too many connections from this address\n".to_owned()),
        Limit::Tracker => text(StatusCode::SERVICE_UNAVAILABLE, "the tracker has no room for another connection\n".to_owned()),
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", text.into_bytes())
}

fn page(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // One page a connection: only websockets may stay.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The visitor as the nearest proxy saw it: the last address it put into `X-Forwarded-For`. What stands before that anyone can write.
fn forwarded_for<B>(request: &Request<B>) -> Option<IpAddr> {
    request.headers().get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_proxy_is_believed() {
        let forwarded = |values: &[&str]| {
            let mut request = Request::builder();
            for value in values {
                request = request.header("X-Forwarded-For", *value);
            }
            forwarded_for(&request.body(()).unwrap()).map(|address| address.to_string())
        };
        assert_eq!(forwarded(&[]), None);
        assert_eq!(forwarded(&["1.1.1.1"]).as_deref(), Some("1.1.1.1"));
        assert_eq!(forwarded(&["1.1.1.1, 2.2.2.2", "9.9.9.9,::1"]).as_deref(), Some("::1"));
        assert_eq!(forwarded(&["1.1.1.1, unknown"]), None);
    }
}
