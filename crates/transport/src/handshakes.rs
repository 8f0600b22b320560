//! Turns of TLS handshakes.
//!
//! A handshake computes for up to eight milliseconds at once, with a key of RSA-4096. A thousand clients that begin one together
//! would hold up the threads that serve for seconds. So a few handshakes compute at a time, and of each address one. A host may
//! have hundreds of addresses, so those whose last handshake did not end well wait for each other first: a client that completes its
//! handshakes waits for one of them at most.

mod suspects;

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

use self::suspects::Suspects;

/// The handshakes that are under way.
#[derive(Debug)]
pub(crate) struct Handshakes {
    at_once: Semaphore,
    /// One permit for each address with a handshake under way.
    of_peers: Mutex<HashMap<Option<IpAddr>, Arc<Semaphore>>>,
    suspects: Mutex<Suspects>,
    /// One permit for all suspects: one of them at a time waits beside the others.
    of_suspects: Semaphore,
}

impl Default for Handshakes {
    /// Handshakes that take half of the machine's cores, or one.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            at_once: Semaphore::new((cores / 2).max(1)),
            of_peers: Mutex::default(),
            suspects: Mutex::default(),
            of_suspects: Semaphore::new(1),
        }
    }
}

impl Handshakes {
    /// Runs a handshake with a client of this address. It is polled when it is its turn, and has no turn while it waits for the client.
    /// A handshake that fails, or that is given up, makes the address a suspect, until another succeeds.
    ///
    /// # Errors
    /// The handshake's own.
    pub(crate) async fn run<T, E>(
        &self,
        peer: Option<IpAddr>,
        handshake: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut of_peer = OfPeer::new(self, peer);
        let mut handshake = pin!(handshake);
        loop {
            let of_address = turn(&of_peer.semaphore).await;
            let is_suspect = lock(&self.suspects).contains(peer);
            let of_suspect = if is_suspect { Some(turn(&self.of_suspects).await) } else { None };
            let turns = (of_address, of_suspect, turn(&self.at_once).await);
            let polled = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
            drop(turns);
            match polled {
                Poll::Ready(output) => {
                    of_peer.has_succeeded = output.is_ok();
                    return output;
                }
                Poll::Pending => woken().await,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    has_succeeded: bool,
}

impl<'a> OfPeer<'a> {
    fn new(handshakes: &'a Handshakes, peer: Option<IpAddr>) -> Self {
        let mut of_peers = lock(&handshakes.of_peers);
        let semaphore = Arc::clone(of_peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(1))));
        Self { handshakes, peer, semaphore, has_succeeded: false }
    }
}

impl Drop for OfPeer<'_> {
    fn drop(&mut self) {
        if self.has_succeeded {
            lock(&self.handshakes.suspects).remove(self.peer);
        } else {
            lock(&self.handshakes.suspects).add(self.peer);
        }
        let mut of_peers = lock(&self.handshakes.of_peers);
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

    fn one_at_once() -> Handshakes {
        Handshakes { at_once: Semaphore::new(1), ..Handshakes::default() }
    }

    /// The order in which handshakes of these addresses have their turns, if all begin before the first has its turn.
    async fn order_of<const N: usize>(handshakes: &Handshakes, peers: [u8; N]) -> Vec<u8> {
        let order = RefCell::new(Vec::new());
        let held = turn(&handshakes.at_once).await;
        let all = peers.map(|last| {
            let order = &order;
            handshakes.run(peer(last), async move {
                order.borrow_mut().push(last);
                Ok::<(), ()>(())
            })
        });
        let release = async { drop(held) };
        _ = tokio::join!(futures_util::future::join_all(all), release);
        order.into_inner()
    }

    /// The handshake of one client comes after those of an address that has many begun, and gets its turn after one of them.
    #[tokio::test]
    async fn addresses_take_turns() {
        let handshakes = one_at_once();
        assert_eq!(order_of(&handshakes, [1, 1, 1, 1, 2]).await, [1, 2, 1, 1, 1]);
        assert!(lock(&handshakes.of_peers).is_empty(), "addresses that have left take no memory");
    }

    /// Addresses whose handshakes failed or were given up wait for each other, and one of them beside the other addresses.
    #[tokio::test]
    async fn an_address_waits_for_one_suspect_at_most() {
        let handshakes = one_at_once();
        for last in [1, 2, 3, 4] {
            assert_eq!(handshakes.run(peer(last), async { Err::<(), ()>(()) }).await, Err(()));
        }
        let given_up = handshakes.run(peer(5), std::future::pending::<Result<(), ()>>());
        assert!(futures_util::FutureExt::now_or_never(given_up).is_none());
        assert_eq!(order_of(&handshakes, [1, 2, 3, 4, 5, 6, 7]).await, [1, 6, 7, 2, 3, 4, 5]);
        // All have succeeded, so that none is a suspect.
        assert_eq!(order_of(&handshakes, [1, 2, 3, 6]).await, [1, 2, 3, 6]);
    }

    /// A client that sends nothing keeps no turn.
    #[tokio::test]
    async fn a_handshake_that_waits_has_no_turn() {
        let handshakes = one_at_once();
        let (go, gone) = tokio::sync::oneshot::channel();
        let waits = handshakes.run(peer(1), gone);
        let other = async { handshakes.run(peer(1), async { go.send(7) }).await };
        let (waited, sent) = tokio::join!(waits, other);
        assert_eq!((waited, sent), (Ok(7), Ok(())));
    }
}
