//! Options by name, as a configuration file or a web page gives them.
//!
//! Names are those of the fields of [`Config`] and [`StreamConfig`]; a time is a number of seconds or a text such as `"250 ms"`, a size a
//! number of bytes or a text such as `"512 MiB"`. The official library's names are taken too, with the official units. Options of a
//! stream may stand beside those of the session, for both streams, and in the tables `main` and `secondary`, which come last.

use std::time::Duration;

use super::units::{bytes_from_f64, duration_from_secs, parse_bytes, parse_duration};
use super::{Config, ConfigError, IceServer, StreamConfig};

/// Bytes in the unit of the official `segmentMemoryStorageLimit`.
const MIB: f64 = 1_048_576.0;

/// The value of an option, free of any file format.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// True or false.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A text.
    Text(String),
    /// Several values.
    List(Vec<OptionValue>),
    /// Named values.
    Table(Vec<(String, OptionValue)>),
}

impl Config {
    /// The defaults with these options changed, checked.
    ///
    /// # Errors
    /// When an option is not known, has a value of the wrong kind, or is out of range; the error names it.
    pub fn from_options(options: &[(String, OptionValue)]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let (streams, others): (Vec<_>, Vec<_>) = options.iter().partition(|(name, _)| stream_table(name).is_some());
        for (name, value) in others {
            config.set(name, value)?;
        }
        for (name, value) in streams {
            let (table, is_main) = stream_table(name).unwrap_or((name, true));
            let stream = if is_main { &mut config.main } else { &mut config.secondary };
            for (name, value) in value.table(table)? {
                let option = format!("{table}.{name}");
                if !stream.set(name, &option, value)? {
                    return Err(ConfigError::UnknownOption { option });
                }
            }
        }
        config.validate()?;
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &OptionValue) -> Result<(), ConfigError> {
        match name {
            "segment_storage_limit_bytes" => self.segment_storage_limit_bytes = value.bytes(name)?,
            "segmentMemoryStorageLimit" => self.segment_storage_limit_bytes = value.bytes_of(name, MIB)?,
            "announce_trackers" | "announceTrackers" => self.announce_trackers = value.texts(name)?,
            "ice_servers" => self.ice_servers = value.ice_servers(name)?,
            "rtcConfig" => {
                for (inner, value) in value.table(name)? {
                    let option = format!("{name}.{inner}");
                    match inner.as_str() {
                        "iceServers" => self.ice_servers = value.ice_servers(&option)?,
                        _ => return Err(ConfigError::UnknownOption { option }),
                    }
                }
            }
            "tracker_client_version_prefix" | "trackerClientVersionPrefix" => self.tracker_client_version_prefix = value.text(name)?,
            "protocol_version_label" => self.protocol_version_label = value.text(name)?,
            "swarm_id" | "swarmId" => self.swarm_id = Some(value.text(name)?),
            "max_peers_per_swarm" => self.max_peers_per_swarm = value.count(name)?,
            "upload_slots" => self.upload_slots = value.count(name)?,
            "upload_rate_limit" => self.upload_rate_limit = Some(value.bytes(name)?),
            "playback_safety_margin" => self.playback_safety_margin = value.time(name)?,
            "peer_discovery_time" => self.peer_discovery_time = value.time(name)?,
            "offers_per_announce" => self.offers_per_announce = value.count(name)?,
            "offer_timeout" => self.offer_timeout = value.time(name)?,
            "tracker_reconnect_min" => self.tracker_reconnect_min = value.time(name)?,
            "tracker_reconnect_max" => self.tracker_reconnect_max = value.time(name)?,
            _ if self.main.set(name, name, value)? => _ = self.secondary.set(name, name, value)?,
            _ => return Err(ConfigError::UnknownOption { option: name.to_owned() }),
        }
        Ok(())
    }
}

impl StreamConfig {
    /// Sets an option; false when there is none of this name. `option` is what errors call it.
    fn set(&mut self, name: &str, option: &str, value: &OptionValue) -> Result<bool, ConfigError> {
        match name {
            "p2p_upload_disabled" | "isP2PUploadDisabled" => self.p2p_upload_disabled = value.bool(option)?,
            "p2p_disabled" | "isP2PDisabled" => self.p2p_disabled = value.bool(option)?,
            "p2p_download_disabled" => self.p2p_download_disabled = value.bool(option)?,
            "simultaneous_http_downloads" | "simultaneousHttpDownloads" => self.simultaneous_http_downloads = value.count(option)?,
            "simultaneous_p2p_downloads" | "simultaneousP2PDownloads" => self.simultaneous_p2p_downloads = value.count(option)?,
            "high_demand_time_window" | "highDemandTimeWindow" => self.high_demand_time_window = value.time(option)?,
            "http_download_initial_timeout" => self.http_download_initial_timeout = value.time(option)?,
            "httpDownloadInitialTimeoutMs" => self.http_download_initial_timeout = value.milliseconds(option)?,
            "http_download_time_window" | "httpDownloadTimeWindow" => self.http_download_time_window = value.time(option)?,
            "p2p_download_time_window" | "p2pDownloadTimeWindow" => self.p2p_download_time_window = value.time(option)?,
            "webrtc_max_message_size" | "webRtcMaxMessageSize" => self.webrtc_max_message_size = value.count(option)?,
            "p2p_not_receiving_bytes_timeout" => self.p2p_not_receiving_bytes_timeout = value.time(option)?,
            "p2pNotReceivingBytesTimeoutMs" => self.p2p_not_receiving_bytes_timeout = value.milliseconds(option)?,
            "p2p_inactive_loader_destroy_timeout" => self.p2p_inactive_loader_destroy_timeout = value.time(option)?,
            "p2pInactiveLoaderDestroyTimeoutMs" => self.p2p_inactive_loader_destroy_timeout = value.milliseconds(option)?,
            "http_not_receiving_bytes_timeout" => self.http_not_receiving_bytes_timeout = value.time(option)?,
            "httpNotReceivingBytesTimeoutMs" => self.http_not_receiving_bytes_timeout = value.milliseconds(option)?,
            "http_error_retries" | "httpErrorRetries" => self.http_error_retries = value.count(option)?,
            "p2p_error_retries" | "p2pErrorRetries" => self.p2p_error_retries = value.count(option)?,
            "validate_p2p_segment" | "validateP2PSegment" => self.validate_p2p_segment = value.bool(option)?,
            "validate_http_segment" | "validateHTTPSegment" => self.validate_http_segment = value.bool(option)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl OptionValue {
    fn bool(&self, option: &str) -> Result<bool, ConfigError> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(wrong_kind(option, "true or false")),
        }
    }

    fn count<T: TryFrom<u64>>(&self, option: &str) -> Result<T, ConfigError> {
        match self {
            Self::Number(value) if value.fract() == 0.0 => bytes_from_f64(*value).and_then(|value| T::try_from(value).ok()),
            _ => None,
        }
        .ok_or_else(|| wrong_kind(option, "a whole number"))
    }

    fn time(&self, option: &str) -> Result<Duration, ConfigError> {
        match self {
            Self::Number(seconds) => duration_from_secs(*seconds),
            Self::Text(text) => parse_duration(text),
            _ => None,
        }
        .ok_or_else(|| wrong_kind(option, "a number of seconds or a text such as \"250 ms\", \"3 s\", \"2 min\""))
    }

    fn milliseconds(&self, option: &str) -> Result<Duration, ConfigError> {
        match self {
            Self::Number(milliseconds) => duration_from_secs(milliseconds / 1000.0),
            _ => None,
        }
        .ok_or_else(|| wrong_kind(option, "a number of milliseconds"))
    }

    fn bytes(&self, option: &str) -> Result<u64, ConfigError> {
        match self {
            Self::Text(text) => parse_bytes(text).ok_or_else(|| wrong_kind(option, "a number of bytes or a text such as \"512 MiB\"")),
            _ => self.bytes_of(option, 1.0),
        }
    }

    fn bytes_of(&self, option: &str, unit: f64) -> Result<u64, ConfigError> {
        match self {
            Self::Number(value) => bytes_from_f64(value * unit),
            _ => None,
        }
        .ok_or_else(|| wrong_kind(option, "a number"))
    }

    fn text(&self, option: &str) -> Result<String, ConfigError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            _ => Err(wrong_kind(option, "a text")),
        }
    }

    fn list(&self, option: &str) -> Result<&[Self], ConfigError> {
        match self {
            Self::List(values) => Ok(values),
            _ => Err(wrong_kind(option, "a list")),
        }
    }

    fn texts(&self, option: &str) -> Result<Vec<String>, ConfigError> {
        self.list(option)?.iter().map(|value| value.text(option)).collect()
    }

    fn table(&self, option: &str) -> Result<&[(String, Self)], ConfigError> {
        match self {
            Self::Table(values) => Ok(values),
            _ => Err(wrong_kind(option, "a table")),
        }
    }

    /// URLs, or tables as `RTCIceServer` of the WebRTC specification has them.
    fn ice_servers(&self, option: &str) -> Result<Vec<IceServer>, ConfigError> {
        let mut servers = Vec::new();
        for server in self.list(option)? {
            if let Self::Text(url) = server {
                servers.push(IceServer::stun(url));
                continue;
            }
            let (mut urls, mut username, mut credential) = (Vec::new(), None, None);
            for (name, value) in server.table(option)? {
                let inner = format!("{option}.{name}");
                match (name.as_str(), value) {
                    ("url" | "urls", Self::List(_)) => urls = value.texts(&inner)?,
                    ("url" | "urls", _) => urls = vec![value.text(&inner)?],
                    ("username", _) => username = Some(value.text(&inner)?),
                    ("credential", _) => credential = Some(value.text(&inner)?),
                    _ => return Err(ConfigError::UnknownOption { option: inner }),
                }
            }
            if urls.is_empty() {
                return Err(wrong_kind(option, "a list of servers, each with a `url`"));
            }
            servers.extend(urls.into_iter().map(|url| IceServer { url, username: username.clone(), credential: credential.clone() }));
        }
        Ok(servers)
    }
}

/// The name under which errors speak of a table of stream options, and whether it is that of the main stream.
fn stream_table(name: &str) -> Option<(&str, bool)> {
    match name {
        "main" | "mainStream" => Some((name, true)),
        "secondary" | "secondaryStream" => Some((name, false)),
        _ => None,
    }
}

fn wrong_kind(option: &str, expected: &'static str) -> ConfigError {
    ConfigError::WrongKind { option: option.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, value: f64) -> (String, OptionValue) {
        (name.to_owned(), OptionValue::Number(value))
    }

    fn table(name: &str, values: Vec<(String, OptionValue)>) -> (String, OptionValue) {
        (name.to_owned(), OptionValue::Table(values))
    }

    fn text(text: &str) -> OptionValue {
        OptionValue::Text(text.to_owned())
    }

    #[test]
    fn stream_options_hold_for_both_and_tables_override() {
        let options = [
            table("secondary", vec![number("simultaneousP2PDownloads", 7.0)]),
            number("simultaneous_p2p_downloads", 5.0),
            ("isP2PUploadDisabled".to_owned(), OptionValue::Bool(true)),
        ];
        let config = Config::from_options(&options).unwrap();
        assert_eq!((config.main.simultaneous_p2p_downloads, config.secondary.simultaneous_p2p_downloads), (5, 7));
        assert!(config.main.p2p_upload_disabled && config.secondary.p2p_upload_disabled);
    }

    #[test]
    fn official_names_have_official_units() {
        let ours = [
            ("segment_storage_limit_bytes".to_owned(), text("64 MiB")),
            ("http_not_receiving_bytes_timeout".to_owned(), text("1500 ms")),
            number("http_download_time_window", 90.0),
            ("ice_servers".to_owned(), OptionValue::List(vec![text("stun:a.test"), text("stun:b.test")])),
        ];
        let servers = vec![("urls".to_owned(), OptionValue::List(vec![text("stun:a.test"), text("stun:b.test")]))];
        let official = [
            number("segmentMemoryStorageLimit", 64.0),
            table("rtcConfig", vec![("iceServers".to_owned(), OptionValue::List(vec![OptionValue::Table(servers)]))]),
            table("mainStream", vec![number("httpNotReceivingBytesTimeoutMs", 1500.0), number("httpDownloadTimeWindow", 90.0)]),
            table("secondaryStream", vec![number("httpNotReceivingBytesTimeoutMs", 1500.0), number("httpDownloadTimeWindow", 90.0)]),
        ];
        assert_eq!(Config::from_options(&ours), Config::from_options(&official));
        assert_eq!(Config::from_options(&[]), Ok(Config::default()));
    }

    #[test]
    fn errors_name_the_option() {
        let error = |options: &[_]| Config::from_options(options).unwrap_err().to_string();
        assert_eq!(error(&[number("simultanous_http_downloads", 1.0)]), "there is no option `simultanous_http_downloads`");
        assert_eq!(error(&[table("main", vec![number("swarm_id", 1.0)])]), "there is no option `main.swarm_id`");
        assert_eq!(error(&[number("isP2PDisabled", 1.0)]), "option `isP2PDisabled` must be true or false");
        assert_eq!(error(&[number("upload_slots", 0.5)]), "option `upload_slots` must be a whole number");
        assert_eq!(
            error(&[table("secondary", vec![number("simultaneous_http_downloads", 65.0)])]),
            "option `secondary.simultaneous_http_downloads` is 65, but must be from 1 to 64"
        );
        assert_eq!(
            error(&[("tracker_reconnect_max".to_owned(), text("0.5 s"))]),
            "option `tracker_reconnect_max` is 0.5 s, but must be from 1 s to 86400 s"
        );
        assert_eq!(
            error(&[("announce_trackers".to_owned(), OptionValue::List(vec![text("http://tracker.test")]))]),
            "option `announce_trackers` is `http://tracker.test`, but must be a ws:// or wss:// URL, at most 2048 bytes"
        );
    }
}
