//! The addresses of this machine that connections are bound to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rtc::shared::ifaces::ifaces;

/// Most IPv4 addresses used; container hosts have dozens, and every pair with a peer's address is checked.
const MAX_IPV4_ADDRESSES: usize = 4;

/// Most IPv6 addresses used; one interface often has several.
const MAX_IPV6_ADDRESSES: usize = 2;

/// Where sockets are bound, each with a port of the system's choice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LocalAddresses {
    /// Addresses with port 0.
    pub(super) addresses: Vec<SocketAddr>,
    /// The machine has no network.
    pub(super) only_loopback: bool,
}

/// The addresses of this machine's interfaces; with those of the loopback interface when wanted, or when there are no others.
pub(super) fn local_addresses(with_loopback: bool) -> LocalAddresses {
    let interfaces = ifaces().unwrap_or_else(|error| {
        tracing::warn!("the network interfaces cannot be listed: {error}");
        Vec::new()
    });
    choose(interfaces.into_iter().filter_map(|interface| interface.addr).map(|address| address.ip()), with_loopback)
}

fn choose(all: impl Iterator<Item = IpAddr>, with_loopback: bool) -> LocalAddresses {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for address in all.filter(is_usable) {
        let (chosen, limit) = if address.is_ipv4() { (&mut ipv4, MAX_IPV4_ADDRESSES) } else { (&mut ipv6, MAX_IPV6_ADDRESSES) };
        if chosen.len() < limit && !chosen.contains(&address) {
            chosen.push(address);
        }
    }
    let mut addresses = ipv4;
    addresses.append(&mut ipv6);
    let only_loopback = addresses.is_empty();
    if with_loopback || only_loopback {
        addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    LocalAddresses { addresses: addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect(), only_loopback }
}

/// Whether a peer elsewhere might reach it. Link-local addresses mean nothing without the interface's name.
fn is_usable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_unspecified() && !address.is_link_local(),
        IpAddr::V6(address) => *address != Ipv6Addr::LOCALHOST && !address.is_unspecified() && !address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(all: &[&str], with_loopback: bool) -> (Vec<String>, bool) {
        let chosen = choose(all.iter().map(|address| address.parse().unwrap()), with_loopback);
        (chosen.addresses.iter().map(|address| address.ip().to_string()).collect(), chosen.only_loopback)
    }

    #[test]
    fn loopback_is_used_when_wanted_or_alone() {
        let all = ["127.0.0.1", "::1", "10.0.0.7", "10.0.0.7", "fe80::1", "169.254.1.1", "2001:db8::5"];
        assert_eq!(chosen(&all, false), (vec!["10.0.0.7".into(), "2001:db8::5".into()], false));
        assert_eq!(chosen(&all, true), (vec!["10.0.0.7".into(), "2001:db8::5".into(), "127.0.0.1".into()], false));
        assert_eq!(chosen(&["127.0.0.1", "::1"], false), (vec!["127.0.0.1".into()], true));
        assert_eq!(chosen(&[], false), (vec!["127.0.0.1".into()], true));
    }

    #[test]
    fn a_host_of_many_addresses_uses_a_few() {
        let many: Vec<String> = (1..40).map(|n| format!("10.0.0.{n}")).chain((1..40).map(|n| format!("2001:db8::{n}"))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(chosen(&many, true).0.len(), MAX_IPV4_ADDRESSES + MAX_IPV6_ADDRESSES + 1);
    }
}
