//! The engine's options in a TOML file. Which names and values there are, [`p2p_media_core::config`] says.
//!
//! ```toml
//! segment_storage_limit_bytes = "256 MiB"
//! playback_safety_margin = "1.5 s"
//! simultaneous_http_downloads = 3       # of both streams
//!
//! [secondary]
//! p2p_disabled = true
//! ```

use std::io::Read as _;
use std::path::{Path, PathBuf};

use p2p_media_core::config::{Config, ConfigError, OptionValue};

/// Longest file that is read, in bytes: thousands of times what all options take.
const FILE_SIZE_LIMIT: u64 = 1 << 20;

/// A configuration file that cannot be used. The text says which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct ConfigFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub reason: ConfigFileReason,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileReason {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is too long to be one.
    #[error("longer than {FILE_SIZE_LIMIT} bytes")]
    TooLong,
    /// It is not TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the reader says.
        message: String,
    },
    /// An option cannot be used.
    #[error(transparent)]
    Option(#[from] ConfigError),
}

/// Reads a file: the defaults with its options changed.
///
/// # Errors
/// When it cannot be read, is not TOML, or has an option that is unknown or out of range.
pub fn read_config_file(path: &Path) -> Result<Config, ConfigFileError> {
    read_text(path).and_then(|text| config_from_toml(&text)).map_err(|reason| ConfigFileError { path: path.to_owned(), reason })
}

/// Reads the text of a file, as [`read_config_file`] does.
///
/// # Errors
/// When it is not TOML, or has an option that is unknown or out of range.
pub fn config_from_toml(text: &str) -> Result<Config, ConfigFileReason> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        ConfigFileReason::Syntax { line, message: error.message().to_owned() }
    })?;
    Ok(Config::from_options(&options(table))?)
}

fn read_text(path: &Path) -> Result<String, ConfigFileReason> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_SIZE_LIMIT + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_SIZE_LIMIT {
        true => Err(ConfigFileReason::TooLong),
        false => Ok(text),
    }
}

fn options(table: toml::Table) -> Vec<(String, OptionValue)> {
    table.into_iter().map(|(name, value)| (name, option_value(value))).collect()
}

fn option_value(value: toml::Value) -> OptionValue {
    match value {
        toml::Value::Boolean(value) => OptionValue::Bool(value),
        toml::Value::Integer(value) => OptionValue::Number(value as f64),
        toml::Value::Float(value) => OptionValue::Number(value),
        toml::Value::String(text) => OptionValue::Text(text),
        // No option is a date: the text is refused by each, with the name of the option.
        toml::Value::Datetime(date) => OptionValue::Text(date.to_string()),
        toml::Value::Array(values) => OptionValue::List(values.into_iter().map(option_value).collect()),
        toml::Value::Table(table) => OptionValue::Table(options(table)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_changes_what_it_names() {
        let config = config_from_toml(
            r#"
            segment_storage_limit_bytes = "256 MiB"
            simultaneous_http_downloads = 3
            announce_trackers = ["ws://127.0.0.1:8000"]
            ice_servers = [{ url = "turn:turn.test", username = "u", credential = "p" }]
            httpNotReceivingBytesTimeoutMs = 1500
            [secondary]
            p2p_disabled = true
            high_demand_time_window = 10.5
            "#,
        )
        .unwrap();
        assert_eq!(config.segment_storage_limit_bytes, 256 << 20);
        assert_eq!((config.main.simultaneous_http_downloads, config.secondary.simultaneous_http_downloads), (3, 3));
        assert_eq!((config.main.p2p_disabled, config.secondary.p2p_disabled), (false, true));
        assert_eq!(config.secondary.high_demand_time_window, Duration::from_millis(10_500));
        assert_eq!(config.main.http_not_receiving_bytes_timeout, Duration::from_millis(1500));
        assert_eq!(config.ice_servers[0].username.as_deref(), Some("u"));
        assert_eq!(config_from_toml("").unwrap(), Config::default());
    }

    #[test]
    fn errors_say_what_and_where() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("viewer.toml");
        for (text, expected) in [
            ("upload_slot = 3", "there is no option `upload_slot`"),
            ("[main]\nswarm_id = 'x'", "there is no option `main.swarm_id`"),
            ("upload_slots = 0", "option `upload_slots` is 0, but must be from 1 to 1000"),
            ("swarm_id = 2020-01-01\nupload_slots = true", "option `upload_slots` must be a whole number"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_config_file(&path).unwrap_err().to_string(), format!("{}: {expected}", path.display()));
        }
        let syntax = config_from_toml("upload_slots = 1\n= 3").unwrap_err().to_string();
        assert!(syntax.starts_with("line 2: "), "{syntax}");
        assert!(matches!(read_config_file(&directory.path().join("none.toml")).unwrap_err().reason, ConfigFileReason::Io(_)));
    }
}
