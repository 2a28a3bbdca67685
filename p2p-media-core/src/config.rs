//! Every option of the engine, with units, defaults and limits. The names and defaults of the official library carry over.

mod options;
mod units;
mod validation;

use std::time::Duration;

pub use options::OptionValue;
pub use units::{parse_bytes, parse_duration};
pub use validation::ConfigError;

use crate::identity::{PEER_ID_PREFIX, PROTOCOL_LABEL};

/// Options of the whole session.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Options of the main stream (video, or the only stream).
    pub main: StreamConfig,
    /// Options of the secondary stream (separate audio).
    pub secondary: StreamConfig,
    /// Most bytes of segments held in storage (`segmentMemoryStorageLimit`). Default: 512 MiB.
    pub segment_storage_limit_bytes: u64,
    /// Websocket URLs of the trackers (`announceTrackers`).
    pub announce_trackers: Vec<String>,
    /// STUN and TURN servers (`rtcConfig.iceServers`).
    pub ice_servers: Vec<IceServer>,
    /// First characters of our peer id (`trackerClientVersionPrefix`). Default: [`PEER_ID_PREFIX`].
    pub tracker_client_version_prefix: String,
    /// First word of the swarm ids of streams. Default [`PROTOCOL_LABEL`], which the official 2.3 uses.
    pub protocol_version_label: String,
    /// What swarm ids begin with in place of the manifest's URL (`swarmId`).
    pub swarm_id: Option<String>,
    /// Most peers connected in one swarm. Default 50.
    pub max_peers_per_swarm: usize,
    /// Segments uploaded at one time over all peers; further requests wait their turn. Default 16.
    pub upload_slots: usize,
    /// Most media bytes sent per second; unlimited when absent.
    pub upload_rate_limit: Option<u64>,
    /// How long before playback needs it a segment must be here: HTTP begins no later than this plus the time it takes. Default 1.5 s.
    pub playback_safety_margin: Duration,
    /// How long after joining a swarm peers are waited for while nothing is known of it, where playback allows. Default 2 s.
    pub peer_discovery_time: Duration,
    /// Offers sent with one announce; trackers relay at most 5. Default 5.
    pub offers_per_announce: usize,
    /// How long an offer may wait for its answer. Default 50 s.
    pub offer_timeout: Duration,
    /// First wait before a tracker is tried again; doubles to `tracker_reconnect_max`. Default 1 s.
    pub tracker_reconnect_min: Duration,
    /// Longest wait before a tracker is tried again. Default 60 s.
    pub tracker_reconnect_max: Duration,
}

/// Options of one kind of stream. `From` the official `StreamConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// `isP2PUploadDisabled`: send nothing to peers. Default false.
    pub p2p_upload_disabled: bool,
    /// `isP2PDisabled`: neither send to peers nor receive from them. Default false.
    pub p2p_disabled: bool,
    /// Receive nothing from peers, but go on sending. Default false.
    pub p2p_download_disabled: bool,
    /// `simultaneousHttpDownloads`. Default 2.
    pub simultaneous_http_downloads: usize,
    /// `simultaneousP2PDownloads`. Default 3.
    pub simultaneous_p2p_downloads: usize,
    /// `highDemandTimeWindow`: media this far ahead of the playhead is fetched from the origin when no peer has it. Default 15 s.
    pub high_demand_time_window: Duration,
    /// `httpDownloadInitialTimeoutMs`: no HTTP this long after the start of a stream, except for what playback needs now. Default 0.
    pub http_download_initial_timeout: Duration,
    /// `httpDownloadTimeWindow`: media further ahead than this is never fetched over HTTP. Default 3000 s.
    pub http_download_time_window: Duration,
    /// `p2pDownloadTimeWindow`: media further ahead than this is never fetched from peers. Default 6000 s.
    pub p2p_download_time_window: Duration,
    /// `webRtcMaxMessageSize`: longest message sent to a peer, in bytes. Default 65535.
    pub webrtc_max_message_size: usize,
    /// `p2pNotReceivingBytesTimeoutMs`: a peer that sends nothing for this long has failed. Default 2 s.
    pub p2p_not_receiving_bytes_timeout: Duration,
    /// `p2pInactiveLoaderDestroyTimeoutMs`: the swarm of a stream that is no longer played lives on this long. Default 30 s.
    pub p2p_inactive_loader_destroy_timeout: Duration,
    /// `httpNotReceivingBytesTimeoutMs`: an origin that sends nothing for this long has failed. Default 3 s.
    pub http_not_receiving_bytes_timeout: Duration,
    /// `httpErrorRetries`: further attempts after a failed one. Default 3.
    pub http_error_retries: u32,
    /// `p2pErrorRetries`: timeouts after which a peer is dropped. Default 3.
    pub p2p_error_retries: u32,
    /// `validateP2PSegment`: bytes from peers go to the session's validator before they are played, stored or announced. Default false.
    pub validate_p2p_segment: bool,
    /// `validateHTTPSegment`: likewise for bytes from the origin. Default false.
    pub validate_http_segment: bool,
}

/// A STUN or TURN server (RFC 8489, RFC 8656).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URL.
    pub url: String,
    /// TURN user name.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}

/// Options that may change while running; absent ones stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DynamicConfig {
    /// Replaces the options of the main stream.
    pub main: Option<StreamConfig>,
    /// Replaces the options of the secondary stream.
    pub secondary: Option<StreamConfig>,
    /// Replaces the storage limit.
    pub segment_storage_limit_bytes: Option<u64>,
    /// Replaces the upload limit; `Some(None)` lifts it.
    pub upload_rate_limit: Option<Option<u64>>,
    /// Replaces the number of upload slots.
    pub upload_slots: Option<usize>,
    /// Replaces the limit of peers.
    pub max_peers_per_swarm: Option<usize>,
    /// Replaces the margin.
    pub playback_safety_margin: Option<Duration>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            p2p_upload_disabled: false,
            p2p_disabled: false,
            p2p_download_disabled: false,
            simultaneous_http_downloads: 2,
            simultaneous_p2p_downloads: 3,
            high_demand_time_window: Duration::from_secs(15),
            http_download_initial_timeout: Duration::ZERO,
            http_download_time_window: Duration::from_secs(3000),
            p2p_download_time_window: Duration::from_secs(6000),
            webrtc_max_message_size: 65535,
            p2p_not_receiving_bytes_timeout: Duration::from_millis(2000),
            p2p_inactive_loader_destroy_timeout: Duration::from_millis(30_000),
            http_not_receiving_bytes_timeout: Duration::from_millis(3000),
            http_error_retries: 3,
            p2p_error_retries: 3,
            validate_p2p_segment: false,
            validate_http_segment: false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            main: StreamConfig::default(),
            secondary: StreamConfig::default(),
            segment_storage_limit_bytes: 512 << 20,
            announce_trackers: ["wss://tracker.novage.com.ua", "wss://tracker.openwebtorrent.com"].map(String::from).to_vec(),
            ice_servers: ["stun:stun.l.google.com:19302", "stun:global.stun.twilio.com:3478"].map(IceServer::stun).to_vec(),
            tracker_client_version_prefix: PEER_ID_PREFIX.to_owned(),
            protocol_version_label: PROTOCOL_LABEL.to_owned(),
            swarm_id: None,
            max_peers_per_swarm: 50,
            upload_slots: 16,
            upload_rate_limit: None,
            playback_safety_margin: Duration::from_millis(1500),
            peer_discovery_time: Duration::from_secs(2),
            offers_per_announce: 5,
            offer_timeout: Duration::from_secs(50),
            tracker_reconnect_min: Duration::from_secs(1),
            tracker_reconnect_max: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Replaces the options that are given.
    pub fn apply(&mut self, change: DynamicConfig) {
        let DynamicConfig {
            main,
            secondary,
            segment_storage_limit_bytes,
            upload_rate_limit,
            upload_slots,
            max_peers_per_swarm,
            playback_safety_margin,
        } = change;
        replace(&mut self.main, main);
        replace(&mut self.secondary, secondary);
        replace(&mut self.segment_storage_limit_bytes, segment_storage_limit_bytes);
        replace(&mut self.upload_rate_limit, upload_rate_limit);
        replace(&mut self.upload_slots, upload_slots);
        replace(&mut self.max_peers_per_swarm, max_peers_per_swarm);
        replace(&mut self.playback_safety_margin, playback_safety_margin);
    }
}

fn replace<T>(option: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *option = given;
    }
}

impl IceServer {
    /// A server without credentials.
    pub fn stun(url: &str) -> Self {
        Self { url: url.to_owned(), username: None, credential: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The defaults of the official core 2.3.1, as it prints them.
    const OFFICIAL_DEFAULTS: &str = include_str!("../tests/fixtures/defaults.json");

    #[test]
    fn our_defaults_are_the_official_ones() {
        let official: Value = serde_json::from_str(OFFICIAL_DEFAULTS).unwrap();
        let defined = |name: &str| official[name].as_object().unwrap().iter().filter(|(_, value)| **value != "<undefined>");
        // The one that must differ: it names the client.
        let options: Vec<_> = defined("DEFAULT_COMMON_CORE_CONFIG")
            .chain(defined("DEFAULT_STREAM_CONFIG"))
            .filter(|(name, _)| *name != "trackerClientVersionPrefix")
            .map(|(name, value)| (name.clone(), option_value(value)))
            .collect();
        assert!(options.len() >= 16, "{options:?}");
        assert_eq!(Config::from_options(&options), Ok(Config::default()));
    }

    #[test]
    fn defaults_are_valid_and_bad_values_are_not() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(DynamicConfig::default().validate(), Ok(()));
        let turn = IceServer::stun("turn:turn.test");
        for (config, option) in [
            (Config { ice_servers: vec![turn], ..Config::default() }, "ice_servers"),
            (Config { upload_rate_limit: Some(0), ..Config::default() }, "upload_rate_limit"),
            (Config { tracker_client_version_prefix: "-TOO-LONG-001-".to_owned(), ..Config::default() }, "tracker_client_version_prefix"),
            (Config { swarm_id: Some(String::new()), ..Config::default() }, "swarm_id"),
        ] {
            assert!(config.validate().unwrap_err().to_string().starts_with(&format!("option `{option}` is ")));
        }
    }

    fn option_value(value: &Value) -> OptionValue {
        match value {
            Value::Bool(value) => OptionValue::Bool(*value),
            Value::Number(value) => OptionValue::Number(value.as_f64().unwrap()),
            Value::String(value) => OptionValue::Text(value.clone()),
            Value::Array(values) => OptionValue::List(values.iter().map(option_value).collect()),
            Value::Object(values) => OptionValue::Table(values.iter().map(|(name, value)| (name.clone(), option_value(value))).collect()),
            Value::Null => panic!("no default is null"),
        }
    }
}
