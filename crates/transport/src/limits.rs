//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One of so many places for connections is left to addresses that have none: otherwise a few addresses could keep all others out,
/// also a health check.
const RESERVED: usize = 16;

/// Counts connections against two limits.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    /// The most in all. 0: any number.
    total: usize,
    /// The most from one address. 0: any number.
    per_peer: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitReached {
    /// There are as many connections as there may be.
    Total,
    /// The address has as many connections as it may have.
    Peer,
}

impl ConnectionLimits {
    pub(crate) fn new(total: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { total, per_peer, open: Mutex::default() })
    }

    /// A permit for a connection from this address. `None`: a Unix domain socket, which has no address; only the total limits these.
    pub(crate) fn permit(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<ConnectionPermit, LimitReached> {
        let peer = peer.filter(|_| self.per_peer > 0 || self.total > 0).map(network);
        let mut open = self.open();
        let of_peer = peer.and_then(|peer| open.by_peer.get(&peer).copied()).unwrap_or_default();
        if self.per_peer > 0 && of_peer >= self.per_peer {
            return Err(LimitReached::Peer);
        }
        let reserved = if of_peer > 0 { self.total.div_ceil(RESERVED) } else { 0 };
        if self.total > 0 && open.total >= self.total - reserved {
            return Err(LimitReached::Total);
        }
        if let Some(peer) = peer {
            open.by_peer.insert(peer, of_peer + 1);
        }
        open.total += 1;
        Ok(ConnectionPermit { limits: Arc::clone(self), peer })
    }

    /// A panic while the lock is held leaves nothing half done.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address by which connections are counted. A client with one IPv6 address usually has its whole network of 2^64.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Permits one connection to be open, until this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    peer: Option<IpAddr>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.limits.open();
        open.total -= 1;
        if let Some(peer) = self.peer
            && let Some(of_peer) = open.by_peer.get_mut(&peer)
        {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// Also where there are few places, and where an address may have any number, the last are for addresses that have none.
    #[test]
    fn the_last_places_are_reserved_whatever_the_limits() {
        for (total, per_peer) in [(8, 8), (8, 0), (100, 0), (2, 5)] {
            let limits = ConnectionLimits::new(total, per_peer);
            let one: Vec<_> = (0..total).filter_map(|_| limits.permit(peer("10.0.0.1")).ok()).collect();
            assert_eq!(one.len(), total - total.div_ceil(RESERVED), "{total} {per_peer}");
            limits.permit(peer("10.0.0.2")).expect("the last ones are for others");
        }
    }

    #[test]
    fn permits_are_given_and_come_back() {
        let limits = ConnectionLimits::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.1"].map(|text| limits.permit(peer(text)).expect("there is one"));
        assert_eq!(limits.permit(peer("::ffff:10.0.0.1")).expect_err("it has two"), LimitReached::Peer);
        let local = limits.permit(None).expect("there is one");
        assert_eq!(limits.permit(peer("10.0.0.2")).expect_err("there are three"), LimitReached::Total);
        drop(local);
        let other = limits.permit(peer("10.0.0.2")).expect("there is one again");
        drop([a, b, other]);
        assert_eq!(limits.open().total, 0);
        assert!(limits.open().by_peer.is_empty(), "addresses that have left take no memory");
    }

    #[test]
    fn some_places_are_left_to_addresses_without_a_connection() {
        let limits = ConnectionLimits::new(32, 100);
        let _of_one: Vec<_> = (0..30).map(|_| limits.permit(peer("10.0.0.1")).expect("there is a place")).collect();
        assert_eq!(limits.permit(peer("10.0.0.1")).expect_err("two are left to others"), LimitReached::Total);
        let _first = limits.permit(peer("10.0.0.2")).expect("it has none");
        assert_eq!(limits.permit(peer("10.0.0.2")).expect_err("it has one"), LimitReached::Total);
        let _second = limits.permit(peer("10.0.0.3")).expect("it has none");
        assert_eq!(limits.permit(peer("10.0.0.4")).expect_err("all are taken"), LimitReached::Total);
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let limits = ConnectionLimits::new(0, 1);
        let _one = limits.permit(peer("2001:db8::1")).expect("there is one");
        assert_eq!(limits.permit(peer("2001:db8::2")).expect_err("it is the same network"), LimitReached::Peer);
        limits.permit(peer("2001:db8:0:1::1")).expect("it is another");
    }

    #[test]
    fn zero_is_any_number() {
        let limits = ConnectionLimits::new(0, 0);
        let many: Vec<_> = (0..5000).map(|_| limits.permit(peer("10.0.0.1")).expect("there is one")).collect();
        assert_eq!(many.len(), 5000);
        assert!(limits.open().by_peer.is_empty(), "nobody asks");
    }
}
