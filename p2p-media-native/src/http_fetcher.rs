//! HTTP by reqwest: HTTP/1.1 and HTTP/2, rustls, streamed bodies, connections kept for the next request.

use bytes::Bytes;
use p2p_media_core::backend::{HttpBody, HttpError, HttpFetcher, HttpHead, HttpRequest};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use url::{Host, Url};

use crate::error_chain::error_chain;
use crate::tls;

/// How we name ourselves to origins.
const USER_AGENT: &str = concat!("p2p-media/", env!("CARGO_PKG_VERSION"));

/// Fetches over HTTP. Clones share the connections.
///
/// The proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`) are used, except for this machine itself.
#[derive(Clone, Debug)]
pub struct ReqwestFetcher {
    through_proxies: Client,
    direct: Client,
}

/// The body of a response as it streams in.
#[derive(Debug)]
pub struct ReqwestBody(Response);

impl ReqwestFetcher {
    /// A fetcher with connections of its own.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_tls(tls::client_config(&["h2", "http/1.1"]).map_err(|error| HttpError(format!("TLS: {error}")))?)
    }

    pub(crate) fn with_tls(tls: ClientConfig) -> Result<Self, HttpError> {
        // Bodies stay as they are: lengths and ranges count the bytes of the segment.
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .default_headers(headers.clone())
                .user_agent(USER_AGENT)
                .tcp_nodelay(true)
        };
        let build = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| HttpError(error_chain(&error)));
        Ok(Self { through_proxies: build(builder())?, direct: build(builder().no_proxy())? })
    }

    /// The client that reaches this URL: one that uses the environment's proxies, unless the URL names this machine.
    pub fn client_for(&self, url: &str) -> &Client {
        if Url::parse(url).is_ok_and(|url| names_this_machine(&url)) { &self.direct } else { &self.through_proxies }
    }
}

impl HttpFetcher for ReqwestFetcher {
    type Body = ReqwestBody;

    async fn fetch(&self, request: HttpRequest) -> Result<(HttpHead, ReqwestBody), HttpError> {
        let mut builder = self.client_for(&request.url).get(&*request.url);
        match (request.first, request.last) {
            (0, None) => {}
            (first, None) => builder = builder.header(RANGE, format!("bytes={first}-")),
            (first, Some(last)) => builder = builder.header(RANGE, format!("bytes={first}-{last}")),
        }
        let response = builder.send().await.map_err(|error| HttpError(error_chain(&error)))?;
        Ok((head_of(&response), ReqwestBody(response)))
    }
}

impl HttpBody for ReqwestBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.0.chunk().await.map_err(|error| HttpError(error_chain(&error)))
    }
}

/// True when the host is this machine.
pub(crate) fn names_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn head_of(response: &Response) -> HttpHead {
    let headers = response.headers();
    let (range_first, range_total) =
        headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).map_or((None, None), parse_content_range);
    let coded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let status = response.status();
    // reqwest takes a response without a body for one of length 0, which is right, and knows no length when it is chunked.
    let content_length = if coded || status == StatusCode::NOT_MODIFIED { None } else { response.content_length() };
    HttpHead { status: status.as_u16(), range_first, range_total, content_length }
}

/// First position and complete length of `bytes FIRST-LAST/TOTAL`, either part possibly `*` (RFC 9110, section 14.4).
fn parse_content_range(value: &str) -> (Option<u64>, Option<u64>) {
    let Some((range, total)) = value.trim().strip_prefix("bytes").and_then(|rest| rest.trim().split_once('/')) else {
        return (None, None);
    };
    (range.split_once('-').and_then(|(first, _)| first.trim().parse().ok()), total.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// An origin that answers one request per connection with the bytes that `answer` gives for the request's head, and then closes.
    async fn origin(answer: fn(&str) -> String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await;
                    stream.write_all(answer(&head).as_bytes()).await.unwrap();
                });
            }
        });
        base
    }

    async fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    async fn fetch(url: String, first: u64, last: Option<u64>) -> Result<(HttpHead, ReqwestBody), HttpError> {
        ReqwestFetcher::new().unwrap().fetch(HttpRequest { url: Arc::from(url), first, last }).await
    }

    async fn text(mut body: ReqwestBody) -> Result<String, HttpError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[tokio::test]
    async fn a_range_is_asked_for_and_its_head_understood() {
        let base = origin(|head| {
            assert!(head.contains("range: bytes=2-5\r\n") && head.contains("accept-encoding: identity\r\n"), "{head}");
            assert!(head.contains("user-agent: p2p-media/"), "{head}");
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\n2345".to_owned()
        })
        .await;
        let (head, body) = fetch(format!("{base}/a"), 2, Some(5)).await.unwrap();
        assert_eq!(head, HttpHead { status: 206, range_first: Some(2), range_total: Some(10), content_length: Some(4) });
        assert_eq!(text(body).await.unwrap(), "2345");
    }

    #[tokio::test]
    async fn the_whole_is_asked_for_without_a_range() {
        let base = origin(|head| {
            assert!(!head.contains("range:"), "{head}");
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned()
        })
        .await;
        let (head, body) = fetch(format!("{base}/a"), 0, None).await.unwrap();
        assert_eq!(head, HttpHead { status: 200, range_first: None, range_total: None, content_length: None });
        assert_eq!(text(body).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_range_may_be_answered_with_the_whole_or_an_error() {
        let base = origin(|head| match head.contains("get /whole") {
            true => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            false => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        })
        .await;
        let (head, body) = fetch(format!("{base}/whole"), 1, None).await.unwrap();
        assert_eq!((head.status, head.range_first, head.content_length), (200, None, Some(3)));
        assert_eq!(text(body).await.unwrap(), "abc");
        assert_eq!(fetch(format!("{base}/none"), 1, None).await.unwrap().0.status, 404);
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error_after_its_bytes() {
        let base = origin(|_| "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned()).await;
        let (_, mut body) = fetch(format!("{base}/a"), 0, None).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().as_deref(), Some(&b"abc"[..]));
        assert!(body.chunk().await.is_err());
    }

    #[tokio::test]
    async fn redirects_keep_the_range() {
        let base = origin(|head| match head.contains("get /old") {
            true => "HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            false => {
                assert!(head.contains("range: bytes=4-\r\n"), "{head}");
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-5/*\r\nContent-Length: 2\r\n\r\n45".to_owned()
            }
        })
        .await;
        let (head, body) = fetch(format!("{base}/old"), 4, None).await.unwrap();
        assert_eq!((head.status, head.range_first, head.range_total), (206, Some(4), None));
        assert_eq!(text(body).await.unwrap(), "45");
    }

    #[tokio::test]
    async fn an_origin_that_is_not_there_is_named() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = fetch(format!("http://{closed}/a"), 0, None).await.err().unwrap();
        assert!(error.0.contains(&closed.to_string()) && error.0.contains("refused"), "{error}");
        assert!(fetch("no url".to_owned(), 0, None).await.is_err());
    }

    #[test]
    fn content_ranges_of_any_kind_are_read() {
        assert_eq!(parse_content_range("bytes 2-5/10"), (Some(2), Some(10)));
        assert_eq!(parse_content_range("bytes */10"), (None, Some(10)));
        assert_eq!(parse_content_range("bytes 99999999999999999999-1/x"), (None, None));
        assert_eq!(parse_content_range("items 1-2/3"), (None, None));
    }
}
