//! What a tracker can be told: where to listen, how often peers announce, and the limit of everything a stranger can make grow.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of a [`TrackerServer`](super::TrackerServer).
#[derive(Debug, Clone)]
pub struct TrackerConfig {
    /// Address and port to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Certificate and key: with them the tracker speaks `wss` and `https`, without them `ws` and `http`.
    pub tls: Option<TlsFiles>,
    /// How often peers are asked to announce. A peer that stays silent for 2.5 to 3 of these is dropped from its swarm. The wire knows
    /// whole seconds: what peers are told is rounded up.
    pub announce_interval: Duration,
    /// A connection from which nothing came for this long is pinged; after as long again it is closed.
    pub ping_interval: Duration,
    /// Take a peer's address from the last entry of `X-Forwarded-For`. Only for a tracker that nobody can reach except through a proxy that
    /// writes that header: anyone else could put any address there.
    pub behind_proxy: bool,
    /// Limits against strangers.
    pub limits: TrackerLimits,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            tls: None,
            announce_interval: Duration::from_secs(120),
            ping_interval: Duration::from_secs(25),
            behind_proxy: false,
            limits: TrackerLimits::default(),
        }
    }
}

/// PEM files for `wss`.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Limits of a tracker; every one is at least 1.
#[derive(Debug, Clone)]
pub struct TrackerLimits {
    /// The largest message that is read, in bytes; a larger one closes the connection with code 1009.
    pub message_bytes: usize,
    /// Offers relayed per announce; more are ignored.
    pub offers_per_announce: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections from one IPv4 address or one IPv6 /64 network.
    pub connections_per_address: usize,
    /// Swarms that exist at a time.
    pub swarms: usize,
    /// Swarms (pairs of info hash and peer id) that one connection is in at a time.
    pub swarms_per_connection: usize,
    /// Bytes waiting to be written to one connection. Relayed messages beyond it are dropped; a connection that does not even read the
    /// replies to its own announces is closed.
    pub outbox_bytes: usize,
}

impl Default for TrackerLimits {
    fn default() -> Self {
        Self {
            message_bytes: 128 * 1024,
            offers_per_announce: 20,
            connections: 50_000,
            connections_per_address: 256,
            swarms: 100_000,
            swarms_per_connection: 64,
            outbox_bytes: 512 * 1024,
        }
    }
}

/// Why a tracker cannot start. Each names the option of `p2p-media tracker` at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackerServerError {
    /// The address cannot be listened on.
    #[error("--listen {address}: {}", listen_reason(source))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate or the key cannot be used.
    #[error("{option} {}: {reason}", file.display())]
    Tls {
        /// The option that named the file.
        option: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An option has a value that makes no sense.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with its value.
        reason: &'static str,
    },
}

impl TrackerConfig {
    pub(super) fn validate(&self) -> Result<(), TrackerServerError> {
        const AT_LEAST_ONE: &str = "must be at least 1";
        let limits = &self.limits;
        let at_least_one = [
            ("--max-message-bytes", limits.message_bytes),
            ("--max-offers", limits.offers_per_announce),
            ("--max-connections", limits.connections),
            ("--connections-per-address", limits.connections_per_address),
            ("--max-swarms", limits.swarms),
            ("--swarms-per-connection", limits.swarms_per_connection),
            ("--max-outbox-bytes", limits.outbox_bytes),
        ];
        if let Some((option, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(TrackerServerError::Option { option, reason: AT_LEAST_ONE });
        }
        for (option, value) in [("--interval", self.announce_interval), ("--ping-interval", self.ping_interval)] {
            if value.is_zero() {
                return Err(TrackerServerError::Option { option, reason: "must be longer than zero" });
            }
            if value > Duration::from_secs(86_400) {
                return Err(TrackerServerError::Option { option, reason: "must be at most a day" });
            }
        }
        Ok(())
    }
}

fn listen_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        std::io::ErrorKind::PermissionDenied => "not allowed; ports below 1024 need special rights".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_option() {
        let mut config = TrackerConfig::default();
        config.limits.swarms = 0;
        assert_eq!(config.validate().unwrap_err().to_string(), "--max-swarms: must be at least 1");
        let config = TrackerConfig { announce_interval: Duration::ZERO, ..TrackerConfig::default() };
        assert_eq!(config.validate().unwrap_err().to_string(), "--interval: must be longer than zero");
    }
}
