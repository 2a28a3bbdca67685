//! The engine in a page: the browser as a [`Backend`], and what the TypeScript around it calls.

mod api;
#[cfg(all(test, target_arch = "wasm32"))]
mod browser_tests;
mod clock;
mod data_channel;
mod events;
mod host;
mod http_fetcher;
mod options;
mod peer_transport;
mod segment_request;
mod segment_storage;
mod stream_update;
mod tracker_socket;
mod validator;
mod watched;

use p2p_media_core::backend::Backend;
use wasm_bindgen::JsValue;

pub use api::{Engine, stream_id_of};
pub use clock::BrowserClock;
pub use data_channel::BrowserChannel;
pub use host::Host;
pub use http_fetcher::{FetchBody, FetchClient};
pub use peer_transport::{BrowserConnection, BrowserTransport};
pub use segment_request::SegmentRequest;
pub use segment_storage::HostStorage;
pub use stream_update::SegmentChanges;
pub use tracker_socket::{BrowserSocket, BrowserTracker};

/// The browser. Nothing of it may leave the page's thread, and so `drive()` over it is not `Send`.
#[derive(Debug)]
pub struct BrowserBackend {
    clock: BrowserClock,
    http: FetchClient,
    tracker: BrowserTracker,
    peers: BrowserTransport,
    storage: HostStorage,
}

impl BrowserBackend {
    /// A backend whose clock begins now. `rtc_configuration` is an `RTCConfiguration` of the WebRTC specification.
    pub fn new(host: &Host, rtc_configuration: JsValue) -> Self {
        Self {
            clock: BrowserClock::new(),
            http: FetchClient::new(host.clone()),
            tracker: BrowserTracker,
            peers: BrowserTransport::new(rtc_configuration),
            storage: HostStorage::new(host.clone()),
        }
    }
}

impl Backend for BrowserBackend {
    type Clock = BrowserClock;
    type Http = FetchClient;
    type Tracker = BrowserTracker;
    type Peers = BrowserTransport;
    type Storage = HostStorage;

    fn clock(&self) -> &BrowserClock {
        &self.clock
    }

    fn http(&self) -> &FetchClient {
        &self.http
    }

    fn tracker(&self) -> &BrowserTracker {
        &self.tracker
    }

    fn peers(&self) -> &BrowserTransport {
        &self.peers
    }

    fn storage(&self) -> &HostStorage {
        &self.storage
    }
}

/// What a thrown value says, for the texts of errors.
fn text_of(thrown: &JsValue) -> String {
    let message = js_sys::Reflect::get(thrown, &JsValue::from_str("message")).ok().and_then(|message| message.as_string());
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| "an error without a text".to_owned())
}
