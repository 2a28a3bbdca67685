//! What the TypeScript around the engine calls.

use std::time::Duration;

use bytes::Bytes;
use js_sys::{Object, Reflect};
use p2p_media_core::driver::drive;
use p2p_media_core::identity::{self, PROTOCOL_LABEL};
use p2p_media_core::media::{FetchTimes, Playhead, SegmentId, SegmentKey, StreamKey, StreamKind};
use p2p_media_core::session::{Session, SessionError, session};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::BrowserBackend;
use super::events;
use super::host::Host;
use super::options::{change_to, config_of};
use super::segment_request::SegmentRequest;
use super::stream_update::SegmentChanges;
use super::validator::HostValidator;

/// A running engine. It ends, and leaves its swarms, by [`Engine::shutdown`] or when it is freed.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Engine {
    session: Session,
}

#[wasm_bindgen]
impl Engine {
    /// Starts an engine. `options` is an object of options by name, the official library's or ours; `rtc_configuration` is given to every
    /// `RTCPeerConnection`; `host` hears what happens and keeps segments.
    ///
    /// # Errors
    /// A text that names the option that is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue, rtc_configuration: JsValue, host: Host) -> Result<Engine, JsValue> {
        let config = config_of(options).map_err(|error| JsValue::from_str(&error.to_string()))?;
        let (session, input) = session(config, random_seed());
        let backend = BrowserBackend::new(&host, rtc_configuration);
        spawn_local(events::tell(host.clone(), session.events()));
        spawn_local(drive(backend, input.with_validator(HostValidator(host))));
        Ok(Self { session })
    }

    /// Shares a stream. `swarm_base` is the configured swarm id or the manifest's URL without its query. Gives the stream's number.
    ///
    /// # Errors
    /// When the engine has ended.
    #[wasm_bindgen(js_name = addStream)]
    pub fn add_stream(&self, secondary: bool, swarm_base: &str, stream_id: &str) -> Result<u32, JsValue> {
        let kind = kind_of(secondary);
        let swarm_id = identity::stream_swarm_id(PROTOCOL_LABEL, swarm_base, kind, stream_id);
        self.session.add_stream(kind, swarm_id).map(|key| key.0).map_err(ended)
    }

    /// Takes in what changed in a stream.
    ///
    /// # Errors
    /// When the engine has ended.
    #[wasm_bindgen(js_name = updateStream)]
    pub fn update_stream(&self, stream: u32, changes: SegmentChanges) -> Result<(), JsValue> {
        self.session.update_stream(StreamKey(stream), changes.into_update()).map_err(ended)
    }

    /// Says where playback stands (seconds) and how fast it goes (0 paused, 1 normal).
    ///
    /// # Errors
    /// When the engine has ended.
    #[wasm_bindgen(js_name = setPlayhead)]
    pub fn set_playhead(&self, position: f64, rate: f64) -> Result<(), JsValue> {
        self.session.set_playhead(Playhead { position, rate }).map_err(ended)
    }

    /// Asks for a segment of a stream.
    #[wasm_bindgen(js_name = requestSegment)]
    pub fn request_segment(&self, stream: u32, id: f64) -> SegmentRequest {
        SegmentRequest::new(self.session.segment(SegmentKey { stream: StreamKey(stream), id: SegmentId(id as i64) }))
    }

    /// Gives a segment that the page has fetched from the origin itself. Times in milliseconds: to the first byte, and from there to the last.
    ///
    /// # Errors
    /// When the engine has ended.
    #[wasm_bindgen(js_name = takeFetched)]
    pub fn take_fetched(&self, stream: u32, id: f64, bytes: Vec<u8>, response_ms: f64, body_ms: f64) -> Result<(), JsValue> {
        let key = SegmentKey { stream: StreamKey(stream), id: SegmentId(id as i64) };
        let times = FetchTimes { response: Duration::from_millis(response_ms as u64), body: Duration::from_millis(body_ms as u64) };
        self.session.take_fetched(key, Bytes::from(bytes), times).map_err(ended)
    }

    /// Changes options while running; those that cannot change are left as they are.
    ///
    /// # Errors
    /// A text that names the option that is wrong.
    #[wasm_bindgen(js_name = applyOptions)]
    pub fn apply_options(&self, options: &JsValue) -> Result<(), JsValue> {
        let config = config_of(options).map_err(|error| JsValue::from_str(&error.to_string()))?;
        self.session.apply_config(change_to(config)).map_err(ended)
    }

    /// Figures since the engine began, as an object of numbers.
    pub async fn stats(&self) -> Object {
        let stats = self.session.stats().await;
        let figures = [
            ("httpBytes", stats.http_bytes as f64),
            ("p2pBytes", stats.p2p_bytes as f64),
            ("uploadedBytes", stats.uploaded_bytes as f64),
            ("deliveredBytes", stats.delivered_bytes as f64),
            ("segmentsLoaded", stats.segments_loaded as f64),
            ("httpRequests", stats.http_requests as f64),
            ("p2pRequests", stats.p2p_requests as f64),
            ("peers", stats.peers as f64),
            ("peersMax", stats.peers_max as f64),
            ("peersMisbehaved", stats.peers_misbehaved as f64),
            ("storedSegments", stats.stored_segments as f64),
            ("storedBytes", stats.stored_bytes as f64),
            ("trackersConnected", stats.trackers_connected as f64),
        ];
        let object = Object::new();
        for (name, value) in figures {
            // A plain new object takes any property.
            let _ = Reflect::set(&object, &JsValue::from_str(name), &JsValue::from_f64(value));
        }
        object
    }

    /// Leaves the swarms; trackers hear of it. Resolves when that is done, after a second at most.
    pub async fn shutdown(&self) {
        self.session.shutdown().await;
    }
}

/// The id of a stream by its normalised properties, see `js/src/core/stream_id.ts`.
#[wasm_bindgen(js_name = streamIdOf)]
pub fn stream_id_of(normalised: &str) -> String {
    identity::stream_id_of_text(normalised)
}

const fn kind_of(secondary: bool) -> StreamKind {
    if secondary { StreamKind::Secondary } else { StreamKind::Main }
}

fn ended(error: SessionError) -> JsValue {
    JsValue::from_str(&error.to_string())
}

/// Two engines with equal seeds would have equal peer ids.
fn random_seed() -> u64 {
    let bits = |count: i32| (js_sys::Math::random() * 2_f64.powi(count)) as u64;
    bits(32) << 32 | bits(32)
}
