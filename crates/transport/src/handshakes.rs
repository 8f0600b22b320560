//! Turns of TLS handshakes.
//!
//! A handshake computes for up to eight milliseconds at once, with a key of RSA-4096. A thousand clients that begin one together
//! would hold up the threads that serve for seconds. So a few handshakes compute at a time, and of each address one.

use std::{
    collections::HashMap,
    future::poll_fn,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread::available_parallelism,
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The handshakes that are under way.
#[derive(Debug)]
pub(crate) struct Handshakes {
    at_once: Semaphore,
    /// One permit for each address with a handshake under way.
    of_peers: Mutex<HashMap<Option<IpAddr>, Arc<Semaphore>>>,
}

impl Default for Handshakes {
    /// Handshakes that take half of the machine's cores, or one.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { at_once: Semaphore::new((cores / 2).max(1)), of_peers: Mutex::default() }
    }
}

impl Handshakes {
    /// Runs a handshake with a client of this address. It is polled when it is its turn, and has no turn while it waits for the client.
    pub(crate) async fn run<F: Future>(&self, peer: Option<IpAddr>, handshake: F) -> F::Output {
        let of_peer = OfPeer::new(self, peer);
        let mut handshake = pin!(handshake);
        loop {
            let turns = (turn(&of_peer.semaphore).await, turn(&self.at_once).await);
            let polled = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
            drop(turns);
            match polled {
                Poll::Ready(output) => return output,
                Poll::Pending => woken().await,
            }
        }
    }

    fn of_peers(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Arc<Semaphore>>> {
        self.of_peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn turn(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("it is never closed")
}

/// Waits until the task is woken: what was polled before has taken its waker.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| if std::mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The turns of an address, which are forgotten with its last handshake.
struct OfPeer<'a> {
    handshakes: &'a Handshakes,
    peer: Option<IpAddr>,
    semaphore: Arc<Semaphore>,
}

impl<'a> OfPeer<'a> {
    fn new(handshakes: &'a Handshakes, peer: Option<IpAddr>) -> Self {
        let mut of_peers = handshakes.of_peers();
        let semaphore = Arc::clone(of_peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(1))));
        Self { handshakes, peer, semaphore }
    }
}

impl Drop for OfPeer<'_> {
    fn drop(&mut self) {
        let mut of_peers = self.handshakes.of_peers();
        // Its own and the map's.
        if Arc::strong_count(&self.semaphore) == 2 {
            of_peers.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    /// The handshake of one client comes after those of an address that has many begun, and gets its turn after one of them.
    #[tokio::test]
    async fn addresses_take_turns() {
        let handshakes = Handshakes { at_once: Semaphore::new(1), ..Handshakes::default() };
        let order = RefCell::new(Vec::new());
        let held = turn(&handshakes.at_once).await;
        let release = async { drop(held) };
        let of = |last| {
            let order = &order;
            handshakes.run(peer(last), async move { order.borrow_mut().push(last) })
        };
        tokio::join!(of(1), of(1), of(1), of(1), of(2), release);
        assert_eq!(*order.borrow(), [1, 2, 1, 1, 1]);
        assert!(handshakes.of_peers().is_empty(), "addresses that have left take no memory");
    }

    /// A client that sends nothing keeps no turn.
    #[tokio::test]
    async fn a_handshake_that_waits_has_no_turn() {
        let handshakes = Handshakes { at_once: Semaphore::new(1), ..Handshakes::default() };
        let (go, gone) = tokio::sync::oneshot::channel();
        let waits = handshakes.run(peer(1), gone);
        let other = async { handshakes.run(peer(1), async { go.send(7) }).await };
        let (waited, sent) = tokio::join!(waits, other);
        assert_eq!((waited, sent), (Ok(7), Ok(())));
    }
}
