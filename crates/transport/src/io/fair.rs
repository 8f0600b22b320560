//! Connections that let the others of their thread go on.
//!
//! The task of a connection goes on for as long as there is something to read, or room to write. A client that sends or
//! takes tensors without a pause would keep the thread for milliseconds, while the calls of others wait. So a connection
//! that has moved many bytes lets the others of its thread go first.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::socket::Socket;
use crate::turn::Turn;

/// The bytes that a connection moves in its turn. A [`Turn`] is bounded in time as well, and usually ends by its time. Shorter
/// turns are slower: bytes that wait for the next turn leave the core's cache meanwhile. With 512 KiB, eight calls of 4 MiB on one
/// connection are served a fifth slower, and small calls beside them no faster.
const TURN_BYTES: usize = 4 << 20;

/// A stream that is pending once after each turn.
#[derive(Debug)]
pub(crate) struct FairIo<T> {
    io: T,
    turn: Turn,
    last_read: Option<Instant>,
}

impl<T> FairIo<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, turn: Turn::new(TURN_BYTES), last_read: None }
    }

    /// Counts the bytes of a read or a write towards the turn. `bytes`: how many a result has moved.
    fn note<R>(&mut self, polled: Poll<R>, bytes: impl FnOnce(&R) -> usize) -> Poll<R> {
        match &polled {
            Poll::Ready(result) => self.turn.did(bytes(result)),
            Poll::Pending => self.turn.waits(),
        }
        polled
    }
}

impl<T: Socket> Socket for FairIo<T> {
    fn has_unsent(&self) -> bool {
        self.io.has_unsent()
    }

    fn taken(&self) -> u64 {
        self.io.taken()
    }

    fn last_read(&self) -> Option<Instant> {
        self.last_read
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FairIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.turn.poll(cx));
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.last_read = self.turn.polled();
        }
        self.note(polled, |_| buf.filled().len() - before)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FairIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.turn.poll(cx));
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(polled, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.turn.poll(cx));
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note(polled, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

fn written(result: &io::Result<usize>) -> usize {
    result.as_ref().map_or(0, |written| *written)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::yield_now,
    };

    use super::*;

    /// A stream that can always be read and written.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let len = buf.remaining();
            buf.initialize_unfilled();
            buf.advance(len);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// How often another task has its turn while `busy` runs on the same thread.
    async fn turns_of_others(busy: impl Future<Output = ()>) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        busy.await;
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn others_have_their_turn_beside_one_that_always_can() {
        let reads = async {
            let (mut stream, mut bytes) = (FairIo::new(Endless), vec![0; TURN_BYTES]);
            for _ in 0..10 {
                stream.read_exact(&mut bytes).await.expect("it has no end");
            }
        };
        assert!(turns_of_others(reads).await >= 9);
        let writes = async {
            let (mut stream, bytes) = (FairIo::new(Endless), vec![0; TURN_BYTES]);
            for _ in 0..10 {
                stream.write_all(&bytes).await.expect("it takes everything");
            }
        };
        assert!(turns_of_others(writes).await >= 9);
    }

    #[tokio::test]
    async fn what_is_small_is_not_held_up() {
        let small = async {
            let mut stream = FairIo::new(Endless);
            stream.write_all(&vec![0; TURN_BYTES]).await.expect("it takes everything");
        };
        assert_eq!(turns_of_others(small).await, 0);
    }

    /// A client each of whose bytes takes the task long: their number alone would not end a turn.
    #[tokio::test]
    async fn little_that_takes_long_is_a_turn_as_well() {
        let slow = async {
            let (mut stream, mut bytes) = (FairIo::new(Endless), [0; 10]);
            for _ in 0..100 {
                stream.read_exact(&mut bytes).await.expect("it has no end");
                // The task works on the bytes that it has read.
                let began = std::time::Instant::now();
                while began.elapsed() < Duration::from_micros(1100) {
                    std::hint::spin_loop();
                }
            }
        };
        assert!(turns_of_others(slow).await >= 99);
    }
}
