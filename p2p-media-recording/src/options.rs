//! The engine's options by name, as in configuration files.

use std::time::Duration;

use p2p_media_core::config::{Config, ConfigError, DynamicConfig, OptionValue, StreamConfig};
use serde_json::{Map, Value, json};

/// All options, but for STUN and TURN servers.
pub(crate) fn of_config(config: &Config) -> Map<String, Value> {
    let Config {
        main,
        secondary,
        segment_storage_limit_bytes,
        announce_trackers,
        ice_servers: _,
        tracker_client_version_prefix,
        protocol_version_label,
        swarm_id,
        max_peers_per_swarm,
        upload_slots,
        upload_rate_limit,
        playback_safety_margin,
        peer_discovery_time,
        offers_per_announce,
        offer_timeout,
        tracker_reconnect_min,
        tracker_reconnect_max,
    } = config;
    let options = json!({
        "main": of_stream(main),
        "secondary": of_stream(secondary),
        "segment_storage_limit_bytes": segment_storage_limit_bytes,
        "announce_trackers": announce_trackers,
        "tracker_client_version_prefix": tracker_client_version_prefix,
        "protocol_version_label": protocol_version_label,
        "swarm_id": swarm_id,
        "max_peers_per_swarm": max_peers_per_swarm,
        "upload_slots": upload_slots,
        "upload_rate_limit": upload_rate_limit,
        "playback_safety_margin": seconds(playback_safety_margin),
        "peer_discovery_time": seconds(peer_discovery_time),
        "offers_per_announce": offers_per_announce,
        "offer_timeout": seconds(offer_timeout),
        "tracker_reconnect_min": seconds(tracker_reconnect_min),
        "tracker_reconnect_max": seconds(tracker_reconnect_max),
    });
    let mut options = object(options);
    // An option that is absent is left out.
    options.retain(|_, value| !value.is_null());
    options
}

/// Those that change.
pub(crate) fn of_change(change: &DynamicConfig) -> Map<String, Value> {
    let DynamicConfig {
        main,
        secondary,
        segment_storage_limit_bytes,
        upload_rate_limit,
        upload_slots,
        max_peers_per_swarm,
        playback_safety_margin,
    } = change;
    let given = [
        ("main", main.as_ref().map(of_stream)),
        ("secondary", secondary.as_ref().map(of_stream)),
        ("segment_storage_limit_bytes", segment_storage_limit_bytes.map(Value::from)),
        // None lifts the limit.
        ("upload_rate_limit", upload_rate_limit.map(Value::from)),
        ("upload_slots", upload_slots.map(Value::from)),
        ("max_peers_per_swarm", max_peers_per_swarm.map(Value::from)),
        ("playback_safety_margin", playback_safety_margin.as_ref().map(seconds)),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn of_stream(stream: &StreamConfig) -> Value {
    let StreamConfig {
        p2p_upload_disabled,
        p2p_disabled,
        p2p_download_disabled,
        simultaneous_http_downloads,
        simultaneous_p2p_downloads,
        high_demand_time_window,
        http_download_initial_timeout,
        http_download_time_window,
        p2p_download_time_window,
        webrtc_max_message_size,
        p2p_not_receiving_bytes_timeout,
        p2p_inactive_loader_destroy_timeout,
        http_not_receiving_bytes_timeout,
        http_error_retries,
        p2p_error_retries,
        validate_p2p_segment,
        validate_http_segment,
    } = stream;
    json!({
        "p2p_upload_disabled": p2p_upload_disabled,
        "p2p_disabled": p2p_disabled,
        "p2p_download_disabled": p2p_download_disabled,
        "simultaneous_http_downloads": simultaneous_http_downloads,
        "simultaneous_p2p_downloads": simultaneous_p2p_downloads,
        "high_demand_time_window": seconds(high_demand_time_window),
        "http_download_initial_timeout": seconds(http_download_initial_timeout),
        "http_download_time_window": seconds(http_download_time_window),
        "p2p_download_time_window": seconds(p2p_download_time_window),
        "webrtc_max_message_size": webrtc_max_message_size,
        "p2p_not_receiving_bytes_timeout": seconds(p2p_not_receiving_bytes_timeout),
        "p2p_inactive_loader_destroy_timeout": seconds(p2p_inactive_loader_destroy_timeout),
        "http_not_receiving_bytes_timeout": seconds(http_not_receiving_bytes_timeout),
        "http_error_retries": http_error_retries,
        "p2p_error_retries": p2p_error_retries,
        "validate_p2p_segment": validate_p2p_segment,
        "validate_http_segment": validate_http_segment,
    })
}

/// The options that [`of_config`] gave.
pub(crate) fn to_config(options: Map<String, Value>) -> Result<Config, ConfigError> {
    Config::from_options(&values(options))
}

/// The change that [`of_change`] gave.
pub(crate) fn to_change(mut options: Map<String, Value>) -> Result<DynamicConfig, ConfigError> {
    let names: Vec<_> = options.keys().cloned().collect();
    options.retain(|name, value| name != "upload_rate_limit" || !value.is_null());
    let config = to_config(options)?;
    let mut change = DynamicConfig::default();
    for name in names {
        match name.as_str() {
            "main" => change.main = Some(config.main.clone()),
            "secondary" => change.secondary = Some(config.secondary.clone()),
            "segment_storage_limit_bytes" => change.segment_storage_limit_bytes = Some(config.segment_storage_limit_bytes),
            "upload_rate_limit" => change.upload_rate_limit = Some(config.upload_rate_limit),
            "upload_slots" => change.upload_slots = Some(config.upload_slots),
            "max_peers_per_swarm" => change.max_peers_per_swarm = Some(config.max_peers_per_swarm),
            "playback_safety_margin" => change.playback_safety_margin = Some(config.playback_safety_margin),
            _ => return Err(ConfigError::UnknownOption { option: name }),
        }
    }
    Ok(change)
}

fn seconds(duration: &Duration) -> Value {
    duration.as_secs_f64().into()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn values(options: Map<String, Value>) -> Vec<(String, OptionValue)> {
    options.into_iter().map(|(name, value)| (name, option_value(value))).collect()
}

fn option_value(value: Value) -> OptionValue {
    match value {
        Value::Bool(value) => OptionValue::Bool(value),
        Value::Number(number) => OptionValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => OptionValue::Text(text),
        Value::Array(values) => OptionValue::List(values.into_iter().map(option_value).collect()),
        Value::Object(object) => OptionValue::Table(values(object)),
        // No option takes it: the error names the option.
        Value::Null => OptionValue::Text(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_as_they_were() {
        let mut config = Config { ice_servers: Config::default().ice_servers, upload_rate_limit: Some(12_345), ..Config::default() };
        config.swarm_id = Some("a swarm".to_owned());
        config.main.http_not_receiving_bytes_timeout = Duration::from_nanos(1_234_567_891);
        config.secondary.p2p_disabled = true;
        assert_eq!(to_config(of_config(&config)), Ok(config));
        assert!(!of_config(&Config::default()).contains_key("ice_servers"));
        let change = DynamicConfig { upload_rate_limit: Some(None), upload_slots: Some(3), ..DynamicConfig::default() };
        assert_eq!(to_change(of_change(&change)), Ok(change));
        let change = DynamicConfig { main: Some(StreamConfig::default()), ..DynamicConfig::default() };
        assert_eq!(to_change(of_change(&change)), Ok(change));
    }

    #[test]
    fn what_cannot_change_is_refused() {
        for options in
            [json!({"swarm_id": "x"}), json!({"nonsense": 1}), json!({"upload_slots": null}), json!({"main": {"p2p_disabled": 3}})]
        {
            assert!(to_change(object(options.clone())).is_err(), "{options}");
        }
    }
}
