//! Requests that were read and whose service has not begun.
//!
//! A client sends a request in a few bytes. In memory it takes kilobytes, and serving it takes some microseconds: a thousand
//! connections that send all the requests they may have open at once would bring a quarter of a million of them into memory
//! before the first is served, and every other request would wait behind them. So connections read on only while few requests
//! wait for their service, and the rest stays in the sockets. A connection never waits for a client here: a request leaves the
//! backlog as soon as its service was polled once, whatever the service waits for then, and a turn to read ends when the task of
//! its connection waits, even if it waits for a client that does not read.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, ready},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// While fewer requests wait for their service, connections read without turns.
const LOW_WATERMARK: usize = 128;
/// While so many requests wait, or may come from the turns that were given, no further turn is given.
pub(crate) const HIGH_WATERMARK: usize = 1024;
/// The requests that a connection opens in its turn. The bytes of the last read may hold some more.
pub(crate) const REQUESTS_IN_TURN: usize = 16;
/// The bytes of one read in a turn, without the data of requests. A request takes at least 15 of them, so one read holds hardly more
/// requests than a turn.
const BYTES_AT_ONCE: usize = 256;

/// The requests of all connections that wait for their service.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// The requests that wait.
    unbegun: AtomicUsize,
    /// The connections that wait for a turn.
    waiting: AtomicUsize,
    /// The turns that were given and not begun.
    given: AtomicUsize,
    /// The turns that were begun and not ended.
    begun: AtomicUsize,
    /// A permit is a turn; connections get them in the order in which they asked.
    turns: Arc<Semaphore>,
}

impl Backlog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            unbegun: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            turns: Arc::new(Semaphore::new(0)),
        })
    }

    /// A request was read.
    pub(crate) fn add(self: &Arc<Self>) -> Unbegun {
        self.unbegun.fetch_add(1, SeqCst);
        Unbegun(Arc::clone(self))
    }

    /// Gives turns to connections that wait, as many as there is room for. Two threads may give one too many, which the next
    /// connection that asks takes.
    fn give_turns(&self) {
        loop {
            let (given, begun) = (self.given.load(SeqCst), self.begun.load(SeqCst));
            let expected = self.unbegun.load(SeqCst) + (given + begun) * REQUESTS_IN_TURN;
            if expected >= HIGH_WATERMARK || given >= self.waiting.load(SeqCst) {
                return;
            }
            self.given.fetch_add(1, SeqCst);
            self.turns.add_permits(1);
        }
    }
}

/// A request that waits for its service, until this is dropped.
#[derive(Debug)]
pub(crate) struct Unbegun(Arc<Backlog>);

impl Drop for Unbegun {
    fn drop(&mut self) {
        self.0.unbegun.fetch_sub(1, SeqCst);
        self.0.give_turns();
    }
}

/// The turns of one connection, which reads beside others.
pub(crate) struct ReadTurn {
    backlog: Arc<Backlog>,
    state: State,
    /// Whether the connection has tried to read since its task waited last.
    asked: bool,
}

enum State {
    Free,
    Waiting(Waiting),
    InTurn {
        opened: usize,
        _turn: Begun,
    },
    /// The connection opens no more requests, and reads without turns.
    Left,
}

impl ReadTurn {
    pub(crate) fn new(backlog: &Arc<Backlog>) -> Self {
        Self { backlog: Arc::clone(backlog), state: State::Free, asked: false }
    }

    /// Waits until the connection may read. Returns how many bytes it may read, beside the data of requests; `None`: any number.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.asked = true;
        loop {
            match &mut self.state {
                State::Left => return Poll::Ready(None),
                State::InTurn { .. } => return Poll::Ready(Some(BYTES_AT_ONCE)),
                State::Waiting(waiting) => {
                    let turn = ready!(waiting.poll(cx));
                    self.state = State::InTurn { opened: 0, _turn: turn };
                }
                State::Free => {
                    let backlog = &self.backlog;
                    if backlog.unbegun.load(SeqCst) < LOW_WATERMARK && backlog.waiting.load(SeqCst) == 0 {
                        return Poll::Ready(None);
                    }
                    self.state = State::Waiting(Waiting::new(backlog));
                }
            }
        }
    }

    /// Called when the connection has read and so opened this number of requests.
    pub(crate) fn read(&mut self, requests: usize) {
        if let State::InTurn { opened, .. } = &mut self.state {
            *opened += requests;
            if *opened >= REQUESTS_IN_TURN {
                self.state = State::Free;
            }
        }
    }

    /// Called when the socket has nothing more to read: the turn ends.
    pub(crate) fn is_at_end(&mut self) {
        if let State::InTurn { .. } = self.state {
            self.state = State::Free;
        }
    }

    /// Called when the connection's task waits, whatever it waits for.
    ///
    /// HTTP does not read while it cannot write. Without this, a client that does not read would keep its connection's turn for as
    /// long as it likes, or its place among the connections that wait, for a turn that the connection would not use.
    pub(crate) fn task_waits(&mut self) {
        let asked = mem::take(&mut self.asked);
        match self.state {
            State::InTurn { .. } => self.state = State::Free,
            State::Waiting(_) if !asked => self.state = State::Free,
            State::Waiting(_) | State::Free | State::Left => (),
        }
    }

    /// Called when the bytes that the connection reads from now on open no request.
    pub(crate) fn leave(&mut self) {
        self.state = State::Left;
    }
}

impl std::fmt::Debug for ReadTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadTurn").field("backlog", &self.backlog).finish_non_exhaustive()
    }
}

/// A connection that waits for a turn.
struct Waiting {
    backlog: Arc<Backlog>,
    permit: Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>,
}

impl Waiting {
    fn new(backlog: &Arc<Backlog>) -> Self {
        backlog.waiting.fetch_add(1, SeqCst);
        // The backlog may have become short since the caller read its length.
        backlog.give_turns();
        Self { backlog: Arc::clone(backlog), permit: Box::pin(Arc::clone(&backlog.turns).acquire_owned()) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Begun> {
        let permit = ready!(self.permit.as_mut().poll(cx)).expect("the semaphore is never closed");
        permit.forget();
        self.backlog.begun.fetch_add(1, SeqCst);
        self.backlog.given.fetch_sub(1, SeqCst);
        Poll::Ready(Begun(Arc::clone(&self.backlog)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A permit that has come meanwhile is dropped with `permit`, and so goes back to the semaphore for the next connection.
        self.backlog.waiting.fetch_sub(1, SeqCst);
    }
}

/// A turn, until this is dropped.
struct Begun(Arc<Backlog>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.begun.fetch_sub(1, SeqCst);
        self.0.give_turns();
    }
}

#[cfg(test)]
mod tests;
