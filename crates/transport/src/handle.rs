//! The state of an open connection, as its requests, its streams and its driver share it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    metrics::{Counted, Metrics},
    preface::ClientPreface,
    send_window::SendWindow,
};

/// A connection, as the services of its requests see it.
#[derive(Debug)]
pub struct ConnectionHandle {
    metrics: Arc<Metrics>,
    began: Instant,
    preface: Arc<ClientPreface>,
    window: SendWindow,
    open: AtomicUsize,
    /// Of these, the requests whose response is not at its end: more of it may come.
    unanswered: AtomicUsize,
    /// HTTP was given a chunk so large that it is written before the connection reads more.
    has_much: AtomicBool,
    /// A response whose end HTTP has was written, or lost.
    has_written: AtomicBool,
    /// The socket does not take what is to be written.
    is_blocked: AtomicBool,
    /// When the last request ended, or the socket took the last byte that it had not taken before, or the system was seen with
    /// bytes to send, in milliseconds after `began`.
    quiet_since: AtomicU64,
    is_cut: AtomicBool,
    is_stalled: AtomicBool,
    stalled: Notify,
    is_worn_out: AtomicBool,
    worn_out: Notify,
}

impl ConnectionHandle {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            began: Instant::now(),
            preface: Arc::default(),
            window: SendWindow::default(),
            open: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            has_much: AtomicBool::new(false),
            has_written: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            quiet_since: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            stalled: Notify::new(),
            is_worn_out: AtomicBool::new(false),
            worn_out: Notify::new(),
        })
    }

    /// Whether the transport has cut off the connection: if so, it was not the client that ended the requests open then.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Whether the connection was closed because its client did not read from it.
    pub fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Called when the client has not read, or has not taken, for too long. A connection counts once.
    pub(crate) fn stall(&self) {
        if !self.is_stalled.swap(true, Ordering::Relaxed) {
            self.metrics.sends_timed_out.add_one();
            self.stalled.notify_one();
        }
    }

    /// Waits until the client has not read, or has not taken, for too long.
    pub(crate) async fn stalled(&self) {
        self.stalled.notified().await;
    }

    /// Called when so many requests were reset for errors of the client that it should open another connection.
    pub(crate) fn wear_out(&self) {
        if !self.is_worn_out.swap(true, Ordering::Relaxed) {
            self.worn_out.notify_one();
        }
    }

    pub(crate) fn is_worn_out(&self) -> bool {
        self.is_worn_out.load(Ordering::Relaxed)
    }

    /// Waits until the connection is worn out.
    pub(crate) async fn worn_out(&self) {
        self.worn_out.notified().await;
    }

    /// The windows that the client grants.
    pub(crate) fn window(&self) -> &SendWindow {
        &self.window
    }

    /// Called when HTTP was given a large chunk.
    pub(crate) fn gave_much(&self) {
        self.has_much.store(true, Ordering::Release);
    }

    /// Whether HTTP was given a large chunk since the last call of this.
    pub(crate) fn take_gave_much(&self) -> bool {
        self.has_much.load(Ordering::Relaxed) && self.has_much.swap(false, Ordering::Acquire)
    }

    /// Called when the last byte of a response whose end HTTP has is written, or lost.
    pub(crate) fn wrote_response(&self) {
        self.has_written.store(true, Ordering::Release);
    }

    /// Whether a response was written to its end, or lost, since the last call of this.
    pub(crate) fn take_wrote_response(&self) -> bool {
        self.has_written.load(Ordering::Relaxed) && self.has_written.swap(false, Ordering::Acquire)
    }

    /// Called when the socket does not take all that is to be written.
    pub(crate) fn blocked(&self) {
        self.is_blocked.store(true, Ordering::Release);
    }

    /// Called when the socket has taken all, or will never take the rest.
    pub(crate) fn unblocked(&self) {
        if self.is_blocked.load(Ordering::Relaxed) {
            self.quiet_from_now();
            self.is_blocked.store(false, Ordering::Release);
        }
    }

    /// Whether the responses to some requests are not at their end.
    pub(crate) fn is_responding(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) > 0
    }

    /// Whether the client has sent what a connection of HTTP begins with.
    pub(crate) fn preface(&self) -> &Arc<ClientPreface> {
        &self.preface
    }

    /// Called when something ends that kept the connection busy, or the system still has bytes to send.
    pub(crate) fn quiet_from_now(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.quiet_since.store(now, Ordering::Relaxed);
    }

    /// Since when no request is open and nothing waits for the socket; `None`: something is, or does. The end of a response may wait
    /// for the socket when its request is not open any more, since HTTP has copied it.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        (self.open.load(Ordering::Acquire) == 0 && !self.is_blocked.load(Ordering::Acquire))
            .then(|| self.began + Duration::from_millis(self.quiet_since.load(Ordering::Relaxed)))
    }
}

/// A request that is open, until its response is written to the end, or given up.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    connection: Arc<ConnectionHandle>,
    is_answered: bool,
    _counted: Counted,
}

impl OpenRequest {
    pub(crate) fn new(connection: &Arc<ConnectionHandle>) -> Self {
        connection.open.fetch_add(1, Ordering::Relaxed);
        connection.unanswered.fetch_add(1, Ordering::Relaxed);
        let counted = Counted::new(&connection.metrics, |metrics| &metrics.requests_open);
        Self { connection: Arc::clone(connection), is_answered: false, _counted: counted }
    }

    /// Called when HTTP was given all of the response.
    pub(crate) fn answered(&mut self) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.connection.unanswered.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.answered();
        self.connection.quiet_from_now();
        self.connection.open.fetch_sub(1, Ordering::Release);
    }
}
