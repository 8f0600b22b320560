//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The places that connections take.
#[derive(Debug)]
pub(super) struct Places {
    /// 0: any number.
    total: usize,
    per_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many connections as there may be.
    Total,
    /// The address has as many as it may have.
    Peer,
}

impl Places {
    pub(super) fn new(total: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { total, per_peer, taken: Mutex::default() })
    }

    /// A place for a connection from this address; `None`: it has none, for it comes from the same machine.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Place, Full> {
        let peer = peer.filter(|_| self.per_peer > 0).map(network);
        let mut taken = self.taken();
        if self.total > 0 && taken.total >= self.total {
            return Err(Full::Total);
        }
        if let Some(peer) = peer {
            let of_peer = taken.by_peer.get(&peer).copied().unwrap_or_default();
            if of_peer >= self.per_peer {
                return Err(Full::Peer);
            }
            taken.by_peer.insert(peer, of_peer + 1);
        }
        taken.total += 1;
        Ok(Place { places: Arc::clone(self), peer })
    }

    /// A panic while the lock is held leaves nothing half done.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one address of IPv6 has a network of 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total -= 1;
        if let Some(peer) = self.peer
            && let Some(of_peer) = taken.by_peer.get_mut(&peer)
        {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&peer);
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

    #[test]
    fn places_are_taken_and_come_back() {
        let places = Places::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.1"].map(|text| places.take(peer(text)).expect("there is one"));
        assert_eq!(places.take(peer("::ffff:10.0.0.1")).expect_err("it has two"), Full::Peer);
        let local = places.take(None).expect("there is one");
        assert_eq!(places.take(peer("10.0.0.2")).expect_err("there are three"), Full::Total);
        drop(local);
        let other = places.take(peer("10.0.0.2")).expect("there is one again");
        drop([a, b, other]);
        assert_eq!(places.taken().total, 0);
        assert!(places.taken().by_peer.is_empty(), "addresses that have left take no memory");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let places = Places::new(0, 1);
        let _one = places.take(peer("2001:db8::1")).expect("there is one");
        assert_eq!(places.take(peer("2001:db8::2")).expect_err("it is the same network"), Full::Peer);
        places.take(peer("2001:db8:0:1::1")).expect("it is another");
    }

    #[test]
    fn zero_is_any_number() {
        let places = Places::new(0, 0);
        let many: Vec<_> = (0..5000).map(|_| places.take(peer("10.0.0.1")).expect("there is one")).collect();
        assert_eq!(many.len(), 5000);
        assert!(places.taken().by_peer.is_empty(), "nobody asks");
    }
}
