//! HTTP by the browser's `fetch`, bodies as they stream in.

use bytes::Bytes;
use js_sys::{Promise, Reflect, Uint8Array};
use p2p_media_core::backend::{HttpBody, HttpError, HttpFetcher, HttpHead, HttpRequest};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, ReadableStreamDefaultReader, Request, RequestInit, Response};

use super::host::Host;
use super::text_of;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(request: &Request) -> Promise;
}

/// Fetches from the origin. The page may set up requests itself (`httpRequestSetup`).
#[derive(Clone, Debug)]
pub struct FetchClient {
    host: Host,
}

/// The body of a response as it streams in.
#[derive(Debug)]
pub struct FetchBody {
    reader: Option<ReadableStreamDefaultReader>,
    _abort: AbortOnDrop,
}

/// Ends the request when it is dropped. After the end of the body that does nothing.
#[derive(Debug)]
struct AbortOnDrop(AbortController);

impl FetchClient {
    pub(super) const fn new(host: Host) -> Self {
        Self { host }
    }

    async fn request(&self, request: &HttpRequest, controller: &AbortController) -> Result<Request, JsValue> {
        let (first, last) = (request.first as f64, request.last.map(|last| last as f64));
        let own = self.host.set_up_request(&request.url, first, last, &controller.signal())?;
        if !own.is_undefined() {
            let own = JsFuture::from(Promise::resolve(&own)).await?;
            if let Ok(own) = own.dyn_into::<Request>() {
                return Ok(own);
            }
        }
        let init = RequestInit::new();
        init.set_signal(Some(&controller.signal()));
        if request.first > 0 || request.last.is_some() {
            let headers = Headers::new()?;
            let last = request.last.map(|last| last.to_string()).unwrap_or_default();
            headers.set("Range", &format!("bytes={}-{last}", request.first))?;
            init.set_headers(&headers);
        }
        Request::new_with_str_and_init(&request.url, &init)
    }

    async fn begin(&self, request: &HttpRequest) -> Result<(HttpHead, FetchBody), JsValue> {
        let abort = AbortOnDrop(AbortController::new()?);
        let request = self.request(request, &abort.0).await?;
        let response: Response = JsFuture::from(global_fetch(&request)).await?.unchecked_into();
        let reader = response.body().map(|body| body.get_reader().unchecked_into());
        Ok((head_of(&response)?, FetchBody { reader, _abort: abort }))
    }
}

impl HttpFetcher for FetchClient {
    type Body = FetchBody;

    async fn fetch(&self, request: HttpRequest) -> Result<(HttpHead, FetchBody), HttpError> {
        self.begin(&request).await.map_err(http_error)
    }
}

impl HttpBody for FetchBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let read = JsFuture::from(reader.read()).await.map_err(http_error)?;
        let bytes = Reflect::get(&read, &JsValue::from_str("value")).map_err(http_error)?;
        Ok(bytes.dyn_into::<Uint8Array>().ok().map(|bytes| Bytes::from(bytes.to_vec())))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn head_of(response: &Response) -> Result<HttpHead, JsValue> {
    let headers = response.headers();
    let range = headers.get("Content-Range")?;
    let (range_first, range_total) = range.as_deref().map_or((None, None), content_range);
    // The browser has undone a content coding, whose length this was. Other origins must allow us to see that there was one.
    let coded = headers.get("Content-Encoding")?.is_some_and(|coding| coding != "identity");
    let content_length = headers.get("Content-Length")?.filter(|_| !coded).and_then(|length| length.parse().ok());
    Ok(HttpHead { status: response.status(), range_first, range_total, content_length })
}

fn http_error(thrown: JsValue) -> HttpError {
    HttpError(text_of(&thrown))
}

/// First position and complete length of `bytes FIRST-LAST/TOTAL`, either part possibly `*` (RFC 9110, section 14.4).
fn content_range(value: &str) -> (Option<u64>, Option<u64>) {
    let Some((range, total)) = value.trim().strip_prefix("bytes").and_then(|rest| rest.trim().split_once('/')) else {
        return (None, None);
    };
    (range.split_once('-').and_then(|(first, _)| first.trim().parse().ok()), total.trim().parse().ok())
}
