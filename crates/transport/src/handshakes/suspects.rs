//! Addresses whose last handshake did not end well.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
};

/// The most addresses that are remembered: the latest.
const MOST: usize = 4096;

/// The addresses.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    addresses: HashSet<Option<IpAddr>>,
    /// The same, the latest last.
    order: VecDeque<Option<IpAddr>>,
}

impl Suspects {
    /// Whether the last handshake of this address failed or was given up.
    pub(super) fn contains(&self, peer: Option<IpAddr>) -> bool {
        self.addresses.contains(&peer)
    }

    /// Adds an address. The one that came first is forgotten if they are too many.
    pub(super) fn add(&mut self, peer: Option<IpAddr>) {
        if !self.addresses.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > MOST
            && let Some(first) = self.order.pop_front()
        {
            self.addresses.remove(&first);
        }
    }

    /// Forgets an address.
    pub(super) fn remove(&mut self, peer: Option<IpAddr>) {
        if self.addresses.remove(&peer) {
            self.order.retain(|&other| other != peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let peer = |index: usize| Some(IpAddr::from((index as u32).to_be_bytes()));
        let mut suspects = Suspects::default();
        (0..MOST + 10).for_each(|index| suspects.add(peer(index)));
        assert!((0..10).all(|index| !suspects.contains(peer(index))));
        assert!((10..MOST + 10).all(|index| suspects.contains(peer(index))));
        suspects.remove(peer(20));
        suspects.add(peer(MOST + 10));
        assert!(!suspects.contains(peer(20)) && suspects.contains(peer(10)), "there was room for one more");
        assert_eq!((suspects.addresses.len(), suspects.order.len()), (MOST, MOST));
    }
}
