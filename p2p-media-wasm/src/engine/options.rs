//! Options as the page gives them: an object by the official library's names and in its units. Read one by one, for the reader by name of the
//! core takes texts such as "250 ms" too, and would be a tenth of a page's download.

use std::time::Duration;

use js_sys::{Array, Reflect};
use p2p_media_core::config::{Config, ConfigError, DynamicConfig, StreamConfig};
use wasm_bindgen::prelude::*;

/// Bytes in the unit of `segmentMemoryStorageLimit`.
const MIB: f64 = 1_048_576.0;

/// The configuration that an object of options stands for. What is absent keeps its default. STUN and TURN servers are the browser's business.
///
/// # Errors
/// When an option is out of range.
pub(super) fn config_of(options: &JsValue) -> Result<Config, ConfigError> {
    let mut config = Config { ice_servers: Vec::new(), ..Config::default() };
    let options = Options(options);
    options.number("segmentMemoryStorageLimit", |limit| config.segment_storage_limit_bytes = (limit * MIB) as u64);
    options.number("maxPeersPerSwarm", |peers| config.max_peers_per_swarm = peers as usize);
    options.number("uploadSlots", |slots| config.upload_slots = slots as usize);
    options.number("uploadRateLimit", |rate| config.upload_rate_limit = Some(rate as u64));
    if let Ok(trackers) = options.get("announceTrackers").dyn_into::<Array>() {
        config.announce_trackers = trackers.iter().filter_map(|url| url.as_string()).collect();
    }
    if let Some(prefix) = options.get("trackerClientVersionPrefix").as_string() {
        config.tracker_client_version_prefix = prefix;
    }
    for (name, stream) in [("mainStream", &mut config.main), ("secondaryStream", &mut config.secondary)] {
        Options(&options.get(name)).apply_to(stream);
    }
    config.validate()?;
    Ok(config)
}

/// The change that makes a running engine follow this configuration, as far as it can.
pub(super) fn change_to(config: Config) -> DynamicConfig {
    DynamicConfig {
        main: Some(config.main),
        secondary: Some(config.secondary),
        segment_storage_limit_bytes: Some(config.segment_storage_limit_bytes),
        upload_rate_limit: Some(config.upload_rate_limit),
        upload_slots: Some(config.upload_slots),
        max_peers_per_swarm: Some(config.max_peers_per_swarm),
        playback_safety_margin: Some(config.playback_safety_margin),
    }
}

struct Options<'a>(&'a JsValue);

impl Options<'_> {
    fn apply_to(&self, stream: &mut StreamConfig) {
        self.flag("isP2PUploadDisabled", &mut stream.p2p_upload_disabled);
        self.flag("isP2PDisabled", &mut stream.p2p_disabled);
        self.flag("validateP2PSegment", &mut stream.validate_p2p_segment);
        self.flag("validateHTTPSegment", &mut stream.validate_http_segment);
        for (name, count) in [
            ("simultaneousHttpDownloads", &mut stream.simultaneous_http_downloads),
            ("simultaneousP2PDownloads", &mut stream.simultaneous_p2p_downloads),
            ("webRtcMaxMessageSize", &mut stream.webrtc_max_message_size),
        ] {
            self.number(name, |value| *count = value as usize);
        }
        for (name, count) in [("httpErrorRetries", &mut stream.http_error_retries), ("p2pErrorRetries", &mut stream.p2p_error_retries)] {
            self.number(name, |value| *count = value as u32);
        }
        for (name, unit_ms, time) in [
            ("highDemandTimeWindow", 1000.0, &mut stream.high_demand_time_window),
            ("httpDownloadTimeWindow", 1000.0, &mut stream.http_download_time_window),
            ("p2pDownloadTimeWindow", 1000.0, &mut stream.p2p_download_time_window),
            ("httpDownloadInitialTimeoutMs", 1.0, &mut stream.http_download_initial_timeout),
            ("httpNotReceivingBytesTimeoutMs", 1.0, &mut stream.http_not_receiving_bytes_timeout),
            ("p2pNotReceivingBytesTimeoutMs", 1.0, &mut stream.p2p_not_receiving_bytes_timeout),
            ("p2pInactiveLoaderDestroyTimeoutMs", 1.0, &mut stream.p2p_inactive_loader_destroy_timeout),
        ] {
            self.number(name, |value| *time = Duration::from_millis((value * unit_ms) as u64));
        }
    }

    fn flag(&self, name: &str, flag: &mut bool) {
        if let Some(value) = self.get(name).as_bool() {
            *flag = value;
        }
    }

    /// Numbers that are negative or none at all become 0, and where that is not allowed the check says so.
    fn number(&self, name: &str, take: impl FnOnce(f64)) {
        if let Some(value) = self.get(name).as_f64() {
            take(value);
        }
    }

    fn get(&self, name: &str) -> JsValue {
        Reflect::get(self.0, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
    }
}
