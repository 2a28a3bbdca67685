//! Options as the page gives them.

use js_sys::{Array, Object};
use p2p_media_core::config::{Config, ConfigError, DynamicConfig, OptionValue};
use wasm_bindgen::prelude::*;

/// The configuration that an object of options stands for. What is `undefined`, `null` or a function is not given.
///
/// # Errors
/// When an option is not known, has a value of the wrong kind, or is out of range.
pub(super) fn config_of(options: &JsValue) -> Result<Config, ConfigError> {
    Config::from_options(&entries(options))
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

fn entries(object: &JsValue) -> Vec<(String, OptionValue)> {
    let Some(object) = object.dyn_ref::<Object>() else { return Vec::new() };
    let pair = |entry: JsValue| {
        let entry: Array = entry.unchecked_into();
        Some((entry.get(0).as_string()?, option_value(&entry.get(1))?))
    };
    Object::entries(object).iter().filter_map(pair).collect()
}

fn option_value(value: &JsValue) -> Option<OptionValue> {
    if let Some(value) = value.as_bool() {
        return Some(OptionValue::Bool(value));
    }
    if let Some(value) = value.as_f64() {
        return Some(OptionValue::Number(value));
    }
    if let Some(value) = value.as_string() {
        return Some(OptionValue::Text(value));
    }
    if let Some(values) = value.dyn_ref::<Array>() {
        return Some(OptionValue::List(values.iter().filter_map(|value| option_value(&value)).collect()));
    }
    (value.is_object() && !value.is_function()).then(|| OptionValue::Table(entries(value)))
}
