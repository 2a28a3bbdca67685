//! The options that all viewing subcommands share: trackers, ICE servers, swarm id, uploads, cache, configuration file.

use std::path::PathBuf;

use p2p_media_core::config::{Config, ConfigError, IceServer, parse_bytes};

use super::ProgramError;
use crate::config_file::read_config_file;
use crate::http_fetcher::names_this_machine;
use crate::segment_storage::{DiskStorage, StorageChoice};

/// How peers are found and what is given to them.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Peers and cache")]
pub struct SharedOptions {
    /// Tracker that introduces peers (ws: or wss:); may be given several times [default: the official public ones]
    #[arg(long, value_name = "URL")]
    pub tracker: Vec<String>,

    /// STUN or TURN server; may be given several times [default: the official ones, none when the stream is on this machine]
    #[arg(long, value_name = "URL[,USER,PASSWORD]", value_parser = parse_ice_server)]
    pub ice_server: Vec<IceServer>,

    /// Name of the swarm in place of the manifest's URL, for a stream that has several
    #[arg(long, value_name = "ID")]
    pub swarm_id: Option<String>,

    /// Most media bytes sent to peers per second, such as 500kB or 2MiB [default: no limit]
    #[arg(long, value_name = "BYTES/S", value_parser = parse_size)]
    pub upload_limit: Option<u64>,

    /// Take from peers, but send them nothing
    #[arg(long)]
    pub no_upload: bool,

    /// Everything from the origin: no tracker, no peers
    #[arg(long, conflicts_with_all = ["tracker", "no_upload", "upload_limit"])]
    pub no_p2p: bool,

    /// Keep segments in files below this folder, in place of memory
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Most bytes of segments kept, such as 256MiB [default: 512MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub cache_size: Option<u64>,

    /// Options of the engine, as TOML; what the command line says goes before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl SharedOptions {
    /// The engine's options. `is_local` is true when the stream comes from this machine, where no STUN server is needed.
    ///
    /// # Errors
    /// When the file cannot be used, or an option is out of range.
    pub fn config(&self, is_local: bool) -> Result<Config, ProgramError> {
        let mut config = match &self.config {
            Some(path) => read_config_file(path)?,
            None => Config { ice_servers: if is_local { Vec::new() } else { Config::default().ice_servers }, ..Config::default() },
        };
        if !self.tracker.is_empty() {
            config.announce_trackers.clone_from(&self.tracker);
        }
        if !self.ice_server.is_empty() {
            config.ice_servers.clone_from(&self.ice_server);
        }
        if self.swarm_id.is_some() {
            config.swarm_id.clone_from(&self.swarm_id);
        }
        if self.upload_limit.is_some() {
            config.upload_rate_limit = self.upload_limit;
        }
        if let Some(bytes) = self.cache_size {
            config.segment_storage_limit_bytes = bytes;
        }
        for stream in [&mut config.main, &mut config.secondary] {
            stream.p2p_upload_disabled |= self.no_upload;
            stream.p2p_disabled |= self.no_p2p;
        }
        config.validate().map_err(|error: ConfigError| ProgramError::Usage(error.to_string()))?;
        Ok(config)
    }

    /// Where segments are kept.
    ///
    /// # Errors
    /// When the cache folder cannot be used.
    pub fn storage(&self) -> Result<StorageChoice, ProgramError> {
        match &self.cache_dir {
            None => Ok(StorageChoice::default()),
            Some(dir) => match DiskStorage::open(dir) {
                Ok(storage) => Ok(StorageChoice::Disk(storage)),
                Err(error) => Err(ProgramError::Usage(format!("--cache-dir {}: {error}", dir.display()))),
            },
        }
    }
}

/// True when a URL's host is this machine.
pub(super) fn is_local(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| names_this_machine(&url))
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "expected a number of bytes such as 65536, 500kB or 256MiB".to_owned())
}

fn parse_ice_server(text: &str) -> Result<IceServer, String> {
    let mut parts = text.splitn(3, ',');
    let server = |url: &str, username, credential| IceServer { url: url.to_owned(), username, credential };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(url), None, None) => Ok(server(url, None, None)),
        (Some(url), Some(user), Some(password)) => Ok(server(url, Some(user.to_owned()), Some(password.to_owned()))),
        _ => Err("expected URL or URL,USER,PASSWORD".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_defaults() {
        let options = SharedOptions {
            tracker: vec!["ws://127.0.0.1:1".into()],
            ice_server: vec![parse_ice_server("turn:a.example:3478,me,se,cret").unwrap()],
            cache_size: Some(1 << 20),
            no_upload: true,
            ..SharedOptions::default()
        };
        let config = options.config(true).unwrap();
        assert_eq!(config.announce_trackers, ["ws://127.0.0.1:1"]);
        assert_eq!(config.ice_servers[0].credential.as_deref(), Some("se,cret"));
        assert!(config.main.p2p_upload_disabled && config.secondary.p2p_upload_disabled && !config.main.p2p_disabled);
        assert!(parse_ice_server("turn:a.example,me").is_err() && parse_size("lots").is_err());
        assert!(SharedOptions::default().config(true).unwrap().ice_servers.is_empty());
        assert!(!SharedOptions::default().config(false).unwrap().ice_servers.is_empty());
    }

    #[test]
    fn local_hosts_are_known() {
        assert!(is_local("http://127.0.0.1:80/a") && is_local("http://[::1]/a") && is_local("http://localhost:1/"));
        assert!(!is_local("https://a.example/") && !is_local("nonsense"));
    }
}
