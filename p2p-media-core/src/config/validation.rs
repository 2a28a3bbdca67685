//! Which values options may have.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Config, DynamicConfig, IceServer, StreamConfig};

/// Most trackers, and most STUN and TURN servers.
const MAX_SERVERS: usize = 32;
/// Longest URL, or id, in bytes.
const MAX_TEXT_LEN: usize = 2048;
/// A peer id has 20 bytes; at least this many stay random.
const PEER_ID_PREFIX_LENGTHS: RangeInclusive<usize> = 1..=12;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TIME_WINDOWS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// An option that cannot be used. The text names the option and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value lies outside of what is allowed.
    #[error("option `{option}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Its name, with `main.` or `secondary.` before it for an option of a stream.
        option: String,
        /// The value, as text.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The value is of the wrong kind.
    #[error("option `{option}` must be {expected}")]
    WrongKind {
        /// Its name, as it was given.
        option: String,
        /// What it must be.
        expected: &'static str,
    },
    /// There is no such option.
    #[error("there is no option `{option}`")]
    UnknownOption {
        /// The name, as it was given.
        option: String,
    },
}

impl Config {
    /// Checks every option.
    ///
    /// # Errors
    /// The first option found that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.main.validate("main")?;
        self.secondary.validate("secondary")?;
        storage_limit(self.segment_storage_limit_bytes)?;
        number("announce_trackers (their number)", self.announce_trackers.len(), 0..=MAX_SERVERS)?;
        for url in &self.announce_trackers {
            text("announce_trackers", url, has_scheme(url, &["ws://", "wss://"]), "a ws:// or wss:// URL")?;
        }
        number("ice_servers (their number)", self.ice_servers.len(), 0..=MAX_SERVERS)?;
        self.ice_servers.iter().try_for_each(IceServer::validate)?;
        let prefix = &self.tracker_client_version_prefix;
        let allowed = prefix.bytes().all(|byte| byte.is_ascii_graphic()) && PEER_ID_PREFIX_LENGTHS.contains(&prefix.len());
        text("tracker_client_version_prefix", prefix, allowed, "1 to 12 printable ASCII characters")?;
        text("protocol_version_label", &self.protocol_version_label, !self.protocol_version_label.is_empty(), "not empty")?;
        if let Some(swarm_id) = &self.swarm_id {
            text("swarm_id", swarm_id, !swarm_id.is_empty(), "not empty")?;
        }
        peers(self.max_peers_per_swarm)?;
        upload_slots(self.upload_slots)?;
        upload_rate(self.upload_rate_limit)?;
        safety_margin(self.playback_safety_margin)?;
        time("peer_discovery_time", self.peer_discovery_time, Duration::ZERO..=Duration::from_secs(60))?;
        number("offers_per_announce", self.offers_per_announce, 0..=5)?;
        time("offer_timeout", self.offer_timeout, Duration::from_secs(1)..=Duration::from_secs(600))?;
        time("tracker_reconnect_min", self.tracker_reconnect_min, Duration::from_millis(100)..=DAY)?;
        time("tracker_reconnect_max", self.tracker_reconnect_max, self.tracker_reconnect_min..=DAY)
    }
}

impl DynamicConfig {
    /// Checks every option that is given.
    ///
    /// # Errors
    /// The first option found that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.main.iter().try_for_each(|main| main.validate("main"))?;
        self.secondary.iter().try_for_each(|secondary| secondary.validate("secondary"))?;
        self.segment_storage_limit_bytes.map_or(Ok(()), storage_limit)?;
        self.max_peers_per_swarm.map_or(Ok(()), peers)?;
        self.upload_slots.map_or(Ok(()), upload_slots)?;
        self.upload_rate_limit.map_or(Ok(()), upload_rate)?;
        self.playback_safety_margin.map_or(Ok(()), safety_margin)
    }
}

impl StreamConfig {
    fn validate(&self, stream: &str) -> Result<(), ConfigError> {
        self.validate_options().map_err(|error| match error {
            ConfigError::OutOfRange { option, value, allowed } => {
                ConfigError::OutOfRange { option: format!("{stream}.{option}"), value, allowed }
            }
            other => other,
        })
    }

    fn validate_options(&self) -> Result<(), ConfigError> {
        number("simultaneous_http_downloads", self.simultaneous_http_downloads, 1..=64)?;
        number("simultaneous_p2p_downloads", self.simultaneous_p2p_downloads, 1..=64)?;
        time("high_demand_time_window", self.high_demand_time_window, TIME_WINDOWS)?;
        time("http_download_initial_timeout", self.http_download_initial_timeout, TIME_WINDOWS)?;
        time("http_download_time_window", self.http_download_time_window, TIME_WINDOWS)?;
        time("p2p_download_time_window", self.p2p_download_time_window, TIME_WINDOWS)?;
        // Browsers announce 262144 as the longest message they take.
        number("webrtc_max_message_size", self.webrtc_max_message_size, 1024..=262_144)?;
        time("p2p_not_receiving_bytes_timeout", self.p2p_not_receiving_bytes_timeout, TIMEOUTS)?;
        time("p2p_inactive_loader_destroy_timeout", self.p2p_inactive_loader_destroy_timeout, TIME_WINDOWS)?;
        time("http_not_receiving_bytes_timeout", self.http_not_receiving_bytes_timeout, TIMEOUTS)?;
        number("http_error_retries", self.http_error_retries, 0..=100)?;
        number("p2p_error_retries", self.p2p_error_retries, 0..=100)
    }
}

impl IceServer {
    fn validate(&self) -> Result<(), ConfigError> {
        let Self { url, username, credential } = self;
        text("ice_servers", url, has_scheme(url, &["stun:", "stuns:", "turn:", "turns:"]), "a stun: or turn: URL")?;
        let complete = !has_scheme(url, &["turn:", "turns:"]) || (username.is_some() && credential.is_some());
        text("ice_servers", url, complete, "given a username and a credential, as TURN asks for both")
    }
}

fn storage_limit(bytes: u64) -> Result<(), ConfigError> {
    number("segment_storage_limit_bytes", bytes, 1 << 20..=1 << 40)
}

fn peers(peers: usize) -> Result<(), ConfigError> {
    number("max_peers_per_swarm", peers, 1..=1000)
}

fn upload_slots(slots: usize) -> Result<(), ConfigError> {
    number("upload_slots", slots, 1..=1000)
}

fn upload_rate(bytes_per_second: Option<u64>) -> Result<(), ConfigError> {
    // A slower uploader only makes others wait; `p2p_upload_disabled` is for those who send nothing.
    bytes_per_second.map_or(Ok(()), |rate| number("upload_rate_limit", rate, 1000..=u64::MAX))
}

fn safety_margin(margin: Duration) -> Result<(), ConfigError> {
    time("playback_safety_margin", margin, Duration::ZERO..=Duration::from_secs(60))
}

fn number<T: PartialOrd + fmt::Display>(option: &str, value: T, allowed: RangeInclusive<T>) -> Result<(), ConfigError> {
    check(allowed.contains(&value), option, &value, || format!("from {} to {}", allowed.start(), allowed.end()))
}

fn time(option: &str, value: Duration, allowed: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    check(allowed.contains(&value), option, &seconds(&value), || format!("from {} to {}", seconds(allowed.start()), seconds(allowed.end())))
}

/// Without floating-point numbers, whose printing is large for a page.
fn seconds(time: &Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        millis => format!("{}.{} s", time.as_secs(), format!("{millis:03}").trim_end_matches('0')),
    }
}

fn text(option: &str, value: &str, right: bool, allowed: &str) -> Result<(), ConfigError> {
    check(right && value.len() <= MAX_TEXT_LEN, option, &format_args!("`{value}`"), || format!("{allowed}, at most {MAX_TEXT_LEN} bytes"))
}

fn check(right: bool, option: &str, value: &dyn fmt::Display, allowed: impl FnOnce() -> String) -> Result<(), ConfigError> {
    match right {
        true => Ok(()),
        false => Err(ConfigError::OutOfRange { option: option.to_owned(), value: value.to_string(), allowed: allowed() }),
    }
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.len() > scheme.len() && url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}
