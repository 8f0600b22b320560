//! How much of a response the transport has written.
//!
//! HTTP/2 takes bytes of a response and keeps them until its client grants a window and the socket takes them. The library
//! says nothing of either; but it drops what it has written. So the bytes are given to it as [`Chunk`]s, which tell.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use atomic_waker::AtomicWaker;
use bytes::{Buf, Bytes};

/// What the body of a response, the transport that writes it, and the task that watches the time know of each other.
#[derive(Debug, Default)]
pub struct SendProgress {
    /// Bytes that the transport was given and has not written.
    unwritten: AtomicUsize,
    /// Bytes that it has written since the last [`take_written`](Self::take_written).
    written: AtomicUsize,
    /// The body waits until fewer bytes than that are unwritten; 0: it does not wait.
    waits_below: AtomicUsize,
    body: AtomicWaker,
    /// All was written, and the service had no more to give.
    caught_up: AtomicBool,
    /// The client did not take the response in time.
    is_given_up: AtomicBool,
}

impl SendProgress {
    /// The bytes that the transport was given and has not written: the client is waited for while there are any.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::SeqCst)
    }

    /// How many bytes were written since this was called before.
    pub(crate) fn take_written(&self) -> usize {
        self.written.swap(0, Ordering::Relaxed)
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

    /// The service has no more to give for now.
    pub(crate) fn has_no_more(&self) {
        if self.unwritten() == 0 {
            self.caught_up.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the client had taken everything at some moment since this was called before.
    pub(crate) fn take_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed) && self.caught_up.swap(false, Ordering::Relaxed)
    }

    /// The client did not take the response in time.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client did not take the response in time.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    fn gave(&self, bytes: usize) {
        self.unwritten.fetch_add(bytes, Ordering::SeqCst);
    }

    fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.gone(bytes);
    }

    fn gone(&self, bytes: usize) {
        let left = self.unwritten.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if left < self.waits_below.load(Ordering::SeqCst) {
            self.waits_below.store(0, Ordering::Relaxed);
            self.body.wake();
        }
    }
}

/// Bytes of a response that HTTP is to write.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Bytes,
    progress: Arc<SendProgress>,
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes, progress: &Arc<SendProgress>) -> Self {
        progress.gave(bytes.len());
        Self { bytes, progress: Arc::clone(progress) }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, len: usize) {
        self.bytes.advance(len);
        self.progress.wrote(len);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // The client has reset the stream, or the connection has ended.
        self.progress.gone(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_body_is_woken_when_enough_was_written_and_not_before() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let progress = Arc::<SendProgress>::default();
        let mut chunks = [4, 2].map(|len| Chunk::new(Bytes::from(vec![0; len]), &progress));
        assert_eq!(progress.unwritten(), 6);
        assert!(progress.poll_below(7, &cx).is_ready());
        assert!(progress.poll_below(3, &cx).is_pending());
        chunks[0].advance(3);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "three are left");
        chunks[0].advance(1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(progress.poll_below(3, &cx).is_ready());
        assert_eq!((progress.take_written(), progress.take_written()), (4, 0));
        assert!(progress.poll_below(1, &cx).is_pending());
        drop(chunks);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2, "what is dropped is waited for no longer");
        assert_eq!((progress.take_written(), progress.unwritten()), (0, 0), "nor was it written");
    }

    #[test]
    fn a_client_has_caught_up_when_there_is_nothing_for_it() {
        let progress = Arc::<SendProgress>::default();
        let mut chunk = Chunk::new(Bytes::from_static(b"x"), &progress);
        progress.has_no_more();
        assert!(!progress.take_caught_up(), "it has yet to take this");
        chunk.advance(1);
        progress.has_no_more();
        assert!(progress.take_caught_up() && !progress.take_caught_up());
    }
}
