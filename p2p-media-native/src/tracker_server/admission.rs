//! Counts connections, in all and per visitor, and turns away what is over the limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::config::TrackerLimits;

/// Connections beyond a limit that are still heard out, so that they can be told why they are refused.
const REFUSALS_IN_PROGRESS: usize = 16;

/// The open connections of a tracker.
pub(super) struct Admission {
    max_connections: usize,
    max_per_visitor: usize,
    /// Visitors' addresses come with connections, except behind a proxy: there they come with requests.
    behind_proxy: bool,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connections: usize,
    per_visitor: HashMap<IpAddr, usize>,
}

/// A connection that counts as open until this is dropped.
pub(super) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    /// Whether `address` is counted: not yet, while a proxy stands between.
    counted: bool,
}

/// Why a connection may not become a websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The tracker has as many connections as it may have.
    Tracker,
    /// This visitor has as many as one may have.
    Visitor,
}

impl Admission {
    pub(super) fn new(limits: &TrackerLimits, behind_proxy: bool) -> Self {
        let (max_connections, max_per_visitor) = (limits.connections, limits.connections_per_address);
        Self { max_connections, max_per_visitor, behind_proxy, open: Mutex::default() }
    }

    /// Counts a new connection; `None` if it is so far over a limit that it is not even worth an answer.
    pub(super) fn arrive(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let mut admitted = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.connections >= self.max_connections + REFUSALS_IN_PROGRESS {
                return None;
            }
            open.connections += 1;
            Admitted { admission: self.clone(), address, counted: false }
        };
        if !self.behind_proxy {
            admitted.count(address);
            if admitted.of_this_visitor() > self.max_per_visitor + REFUSALS_IN_PROGRESS {
                return None;
            }
        }
        Some(admitted)
    }

    /// Connections that are open now.
    pub(super) fn connections(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).connections
    }
}

impl Admitted {
    /// The visitor's address as far as it is known.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether the connection may become a websocket. `forwarded_for` is what the proxy says about the visitor, when there is one.
    pub(super) fn welcome(&mut self, forwarded_for: Option<IpAddr>) -> Result<(), Full> {
        if self.admission.behind_proxy && !self.counted {
            self.count(forwarded_for.unwrap_or(self.address));
        }
        if self.of_this_visitor() > self.admission.max_per_visitor {
            return Err(Full::Visitor);
        }
        if self.admission.connections() > self.admission.max_connections {
            return Err(Full::Tracker);
        }
        Ok(())
    }

    fn count(&mut self, address: IpAddr) {
        self.address = visitor(address);
        self.counted = true;
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open.per_visitor.entry(self.address).or_default() += 1;
    }

    fn of_this_visitor(&self) -> usize {
        let open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.per_visitor.get(&self.address).copied().unwrap_or(0)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.connections -= 1;
        if self.counted
            && let Some(count) = open.per_visitor.get_mut(&self.address)
        {
            *count -= 1;
            if *count == 0 {
                open.per_visitor.remove(&self.address);
            }
        }
    }
}

/// Which addresses count as one visitor: an IPv4 address, or the /64 that a household or a server gets of IPv6.
fn visitor(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize, behind_proxy: bool) -> Arc<Admission> {
        let limits = TrackerLimits { connections, connections_per_address, ..TrackerLimits::default() };
        Arc::new(Admission::new(&limits, behind_proxy))
    }

    #[test]
    fn a_visitor_may_have_so_many_connections() {
        let admission = admission(100, 2, false);
        let visitor = IpAddr::from([1, 2, 3, 4]);
        let mut open: Vec<_> = (0..2).map(|_| admission.arrive(visitor).unwrap()).collect();
        assert!(open.iter_mut().all(|one| one.welcome(None).is_ok()));
        assert_eq!(admission.arrive(visitor).unwrap().welcome(None), Err(Full::Visitor));
        assert!(admission.arrive(IpAddr::from([1, 2, 3, 5])).unwrap().welcome(None).is_ok());
        drop(open.pop());
        assert!(admission.arrive(visitor).unwrap().welcome(None).is_ok());
        open.extend((0..1 + REFUSALS_IN_PROGRESS).map(|_| admission.arrive(visitor).unwrap()));
        assert!(admission.arrive(visitor).is_none());
        drop(open);
        assert_eq!(admission.connections(), 0);
        assert!(admission.open.lock().unwrap().per_visitor.is_empty());
    }

    #[test]
    fn the_tracker_may_have_so_many_connections() {
        let admission = admission(1, 100, false);
        let mut first = admission.arrive(IpAddr::from([1, 1, 1, 1])).unwrap();
        assert!(first.welcome(None).is_ok());
        let refused: Vec<_> = (0..REFUSALS_IN_PROGRESS).map(|_| admission.arrive(IpAddr::from([2, 2, 2, 2])).unwrap()).collect();
        assert!(admission.arrive(IpAddr::from([3, 3, 3, 3])).is_none());
        drop(refused);
        assert_eq!(admission.arrive(IpAddr::from([3, 3, 3, 3])).unwrap().welcome(None), Err(Full::Tracker));
    }

    #[test]
    fn behind_a_proxy_visitors_are_those_it_names() {
        let admission = admission(100, 1, true);
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let mut open: Vec<_> = (0..40).map(|_| admission.arrive(proxy).unwrap()).collect();
        for (host, one) in (1..).zip(&mut open) {
            assert!(one.welcome(Some(IpAddr::from([1, 1, 1, host]))).is_ok());
        }
        assert_eq!(admission.arrive(proxy).unwrap().welcome(Some(IpAddr::from([1, 1, 1, 7]))), Err(Full::Visitor));
    }

    #[test]
    fn a_visitor_is_an_address_or_a_network() {
        let of = |text: &str| visitor(text.parse().unwrap()).to_string();
        assert_eq!(of("1.2.3.4"), "1.2.3.4");
        assert_eq!(of("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
