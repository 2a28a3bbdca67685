//! Who may be asked for what: the origins that the gateway serves, and the names that it answers to.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use axum::http::uri::Authority;
use url::{Origin, Url};

/// Origins that manifests may add; real ones name a handful.
const MAX_ORIGINS: usize = 4096;

/// The origins (scheme, host and port) that may be fetched from. Without such a list the gateway would be an open proxy.
#[derive(Debug)]
pub(super) struct AllowedOrigins {
    /// `None` when every origin is allowed.
    origins: Option<RwLock<HashSet<Origin>>>,
}

impl AllowedOrigins {
    /// The origins of these URLs.
    pub(super) fn of<'u>(urls: impl Iterator<Item = &'u Url>) -> Self {
        Self { origins: Some(RwLock::new(urls.map(Url::origin).collect())) }
    }

    /// Every origin.
    pub(super) const fn any() -> Self {
        Self { origins: None }
    }

    pub(super) fn contains(&self, url: &Url) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.read().unwrap_or_else(PoisonError::into_inner).contains(&url.origin()))
    }

    /// Allows the origin of a URL that stands in a manifest of an allowed one.
    pub(super) fn add(&self, url: &Url) {
        let Some(origins) = self.origins.as_ref().filter(|_| matches!(url.scheme(), "http" | "https") && !self.contains(url)) else {
            return;
        };
        let mut origins = origins.write().unwrap_or_else(PoisonError::into_inner);
        if origins.len() < MAX_ORIGINS {
            tracing::info!(origin = %url.origin().ascii_serialization(), "a manifest names this origin: it is served too");
            origins.insert(url.origin());
        } else {
            tracing::warn!(limit = MAX_ORIGINS, "manifests name too many origins");
        }
    }
}

/// The names by which the gateway may be asked for. A page whose own name was made to point here (DNS rebinding) is refused by them.
#[derive(Clone, Debug)]
pub(super) struct OwnNames {
    listens_on: IpAddr,
    names: Vec<String>,
}

impl OwnNames {
    /// Those of a listener on `listens_on`, and `names`.
    pub(super) fn new(listens_on: IpAddr, names: &[String]) -> Self {
        Self { listens_on, names: names.iter().map(|name| normal(name)).collect() }
    }

    /// True for the names of this machine's loopback, for names given by the user and, when the gateway listens for others, for addresses:
    /// an address cannot be rebound.
    pub(super) fn contain(&self, host_header: &str) -> bool {
        let Ok(authority) = host_header.parse::<Authority>() else { return false };
        let host = normal(authority.host());
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => true,
            Ok(_) if !self.listens_on.is_loopback() => true,
            _ => host == "localhost" || host.ends_with(".localhost") || self.names.contains(&host),
        }
    }
}

fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let url = |url: &str| Url::parse(url).unwrap();
        let allowed = AllowedOrigins::of([url("https://a.example/x")].iter());
        assert!(allowed.contains(&url("https://a.example:443/other")));
        for other in ["http://a.example/x", "https://a.example:444/x", "https://b.a.example/x"] {
            assert!(!allowed.contains(&url(other)), "{other}");
            assert!(AllowedOrigins::any().contains(&url(other)));
        }
        allowed.add(&url("http://b.example:1/"));
        allowed.add(&url("data:text/plain,x"));
        assert!(allowed.contains(&url("http://b.example:1/y")) && !allowed.contains(&url("data:text/plain,x")));
    }

    #[test]
    fn names_that_are_ours() {
        let local = OwnNames::new([127, 0, 0, 1].into(), &["TV.example".to_owned()]);
        for host in ["127.0.0.1:8091", "localhost", "LOCALHOST.:80", "[::1]:80", "a.localhost", "tv.example:1", "127.9.9.9"] {
            assert!(local.contain(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8091", "192.168.0.2", "localhost.evil.example", "", "a b", "127.0.0.1.evil.example"] {
            assert!(!local.contain(host), "{host}");
        }
        let open = OwnNames::new([0, 0, 0, 0].into(), &[]);
        assert!(open.contain("192.168.0.2:8091") && open.contain("[fe80::1]") && !open.contain("evil.example"));
    }
}
