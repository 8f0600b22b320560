//! How much of a response the transport has written.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use atomic_waker::AtomicWaker;

use crate::handle::ConnectionHandle;

/// How far a response is written, for its body, the transport that writes it, and the task that watches the timeout.
#[derive(Debug, Default)]
pub struct SendProgress {
    connection: OnceLock<Arc<ConnectionHandle>>,
    /// Bytes that HTTP was given, all told.
    given: AtomicUsize,
    /// Those of them that HTTP keeps: they wait for a window of the client, or for other streams.
    unsent: AtomicUsize,
    /// Those that are not written: HTTP keeps them, or they wait for the socket.
    unwritten: AtomicUsize,
    /// Bytes that were written since the last [`take_written`](Self::take_written).
    written: AtomicUsize,
    /// The body waits until fewer bytes than this are unwritten; 0: it does not wait for that.
    waits_below: AtomicUsize,
    /// The body waits until HTTP keeps nothing.
    waits_until_sent: AtomicBool,
    body: AtomicWaker,
    /// All was written at a moment when the service had no more to give.
    caught_up: AtomicBool,
    /// HTTP was given the end of the response.
    has_ended: AtomicBool,
    /// Something was dropped that was not written.
    is_lost: AtomicBool,
    /// The client did not take the response in time.
    is_given_up: AtomicBool,
    when_written: WhenWritten,
}

/// A closure that runs when all of a response is written.
#[derive(Default)]
struct WhenWritten(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for WhenWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenWritten")
    }
}

impl SendProgress {
    /// Sets the connection of the response. A progress is made without one, since HTTP/2's library starts tasks without it.
    pub(crate) fn set_connection(&self, connection: &Arc<ConnectionHandle>) {
        self.connection.get_or_init(|| Arc::clone(connection));
    }

    pub(crate) fn connection(&self) -> Option<&Arc<ConnectionHandle>> {
        self.connection.get()
    }

    /// The bytes that HTTP was given and that are not written. While there are any, the server waits for the client.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::SeqCst)
    }

    /// How many bytes were written since the last call of this.
    pub(crate) fn take_written(&self) -> usize {
        self.written.swap(0, Ordering::Relaxed)
    }

    /// Whether all that HTTP was given of the response is written: none of it waits, and none was dropped.
    pub(crate) fn is_written(&self) -> bool {
        self.unwritten() == 0 && !self.is_lost.load(Ordering::SeqCst)
    }

    /// Runs the closure `this` once, as soon as HTTP has all of the response and all of it is written. If that never happens, the
    /// closure is dropped with the progress. Call it before the response ends; a second closure replaces the first.
    pub fn when_written(&self, this: impl FnOnce() + Send + 'static) {
        *self.when_written.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(this));
    }

    fn check_written(&self) {
        if self.is_written() {
            let this = self.when_written.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(this) = this {
                this();
            }
        }
    }

    /// Ready when fewer than `limit` bytes are unwritten.
    pub(crate) fn poll_below(&self, limit: usize, cx: &Context<'_>) -> Poll<()> {
        if self.unwritten() < limit {
            return Poll::Ready(());
        }
        self.body.register(cx.waker());
        self.waits_below.store(limit, Ordering::SeqCst);
        // The last of them may have been written meanwhile.
        if self.unwritten() < limit { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when no byte waits for a window of the client: HTTP keeps none, or the windows are certain to have room.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<()> {
        let is_sent = || self.unsent.load(Ordering::SeqCst) == 0;
        let is_covered = || {
            let given = self.given.load(Ordering::Relaxed);
            self.connection().is_some_and(|connection| connection.window().covers(given))
        };
        if is_sent() || is_covered() {
            return Poll::Ready(());
        }
        self.body.register(cx.waker());
        self.waits_until_sent.store(true, Ordering::SeqCst);
        // The last of them may have been sent meanwhile.
        if is_sent() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Called when the service has no more to give for now.
    pub(crate) fn has_no_more(&self) {
        if self.unwritten() == 0 {
            self.caught_up.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the client had taken everything at some moment since the last call of this.
    pub(crate) fn take_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed) && self.caught_up.swap(false, Ordering::Relaxed)
    }

    /// HTTP was given the end of the response.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.check_written();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// The client did not take the response in time.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client did not take the response in time.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Called when HTTP was given so many bytes.
    pub(crate) fn gave(&self, bytes: usize) {
        self.given.fetch_add(bytes, Ordering::Relaxed);
        self.unsent.fetch_add(bytes, Ordering::SeqCst);
        self.unwritten.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Called when HTTP does not keep so many bytes any more: they wait for the socket, are written, or dropped.
    pub(crate) fn sent(&self, bytes: usize) {
        let left = self.unsent.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if left == 0 && self.waits_until_sent.load(Ordering::SeqCst) {
            self.waits_until_sent.store(false, Ordering::Relaxed);
            self.body.wake();
        }
    }

    /// Called when so many bytes are written.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.gone(bytes);
    }

    /// Called when so many bytes were dropped unwritten.
    pub(crate) fn lost(&self, bytes: usize) {
        if bytes > 0 {
            self.is_lost.store(true, Ordering::SeqCst);
            self.gone(bytes);
        }
    }

    fn gone(&self, bytes: usize) {
        let left = self.unwritten.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if left == 0 && self.has_ended() {
            self.check_written();
            if let Some(connection) = self.connection() {
                connection.wrote_response();
            }
        }
        if left < self.waits_below.load(Ordering::SeqCst) {
            self.waits_below.store(0, Ordering::Relaxed);
            self.body.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use super::*;
    use crate::metrics::Metrics;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_body_is_woken_when_enough_was_written_and_not_before() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let progress = SendProgress::default();
        progress.gave(6);
        progress.sent(6);
        assert_eq!(progress.unwritten(), 6);
        assert!(progress.poll_below(7, &cx).is_ready());
        assert!(progress.poll_below(3, &cx).is_pending());
        progress.wrote(3);
        assert_eq!(woken.times(), 0, "three are left");
        progress.wrote(1);
        assert_eq!(woken.times(), 1);
        assert!(progress.poll_below(3, &cx).is_ready());
        assert_eq!((progress.take_written(), progress.take_written()), (4, 0));
        assert!(progress.poll_below(1, &cx).is_pending());
        assert!(!progress.is_written());
        progress.lost(2);
        assert_eq!(woken.times(), 2, "what is dropped is waited for no longer");
        assert_eq!((progress.take_written(), progress.unwritten()), (0, 0), "nor was it written");
        assert!(!progress.is_written());
    }

    #[test]
    fn an_end_waits_for_what_waits_for_a_window() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let progress = SendProgress::default();
        assert!(progress.poll_sent(&cx).is_ready(), "there is nothing");
        progress.gave(2);
        assert!(progress.poll_sent(&cx).is_pending());
        progress.sent(1);
        assert_eq!(woken.times(), 0, "one is left");
        progress.sent(1);
        assert_eq!(woken.times(), 1);
        assert!(progress.poll_sent(&cx).is_ready(), "nothing waits for the client");
        assert_eq!(progress.unwritten(), 2, "it may wait for the socket");
    }

    #[test]
    fn an_end_does_not_wait_where_windows_have_room() {
        let cx = Context::from_waker(Waker::noop());
        let progress = SendProgress::default();
        let connection = ConnectionHandle::new(Arc::<Metrics>::default());
        progress.set_connection(&connection);
        progress.gave(100);
        assert!(progress.poll_sent(&cx).is_pending());
        connection.window().begin();
        assert!(progress.poll_sent(&cx).is_ready());
        connection.window().set_initial(99);
        assert!(progress.poll_sent(&cx).is_pending());
    }

    #[test]
    fn what_is_to_be_done_when_all_is_written_is_done_once_and_then() {
        let done = Arc::new(AtomicUsize::new(0));
        let begun = |bytes| {
            let (progress, done) = (SendProgress::default(), Arc::clone(&done));
            progress.gave(bytes);
            progress.when_written(move || {
                done.fetch_add(1, Ordering::Relaxed);
            });
            progress
        };
        let times = || done.swap(0, Ordering::Relaxed);
        let progress = begun(2);
        progress.end();
        progress.wrote(1);
        assert_eq!(times(), 0, "a byte is left");
        progress.wrote(1);
        assert_eq!(times(), 1);
        progress.end();
        assert_eq!(times(), 0, "it is done");
        let progress = begun(2);
        progress.wrote(2);
        assert_eq!(times(), 0, "there may be more");
        progress.end();
        assert_eq!(times(), 1);
        let progress = begun(2);
        progress.end();
        progress.lost(1);
        progress.wrote(1);
        drop(progress);
        assert_eq!((times(), Arc::strong_count(&done)), (0, 1), "a byte is lost");
    }

    #[test]
    fn a_client_has_caught_up_when_there_is_nothing_for_it() {
        let progress = SendProgress::default();
        progress.gave(1);
        progress.has_no_more();
        assert!(!progress.take_caught_up(), "it has yet to take this");
        progress.wrote(1);
        progress.has_no_more();
        assert!(progress.take_caught_up() && !progress.take_caught_up());
    }
}
