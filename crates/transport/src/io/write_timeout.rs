//! Connections whose client does not read.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::socket::{Socket, forward_socket};
use crate::{
    handle::ConnectionHandle,
    min_rate::{MinRateTimeout, Taken},
};

/// How long a connection waits until it looks again whether the system has sent all. Nothing tells it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A stream that fails when its client, for too long, takes fewer bytes than it must. It says in the connection's handle whether
/// bytes wait for the socket.
#[derive(Debug)]
pub(crate) struct WriteTimeout<T> {
    io: T,
    pause: Duration,
    /// Of writes.
    timeout: MinRateTimeout,
    connection: Arc<ConnectionHandle>,
    shutdown: Option<Shutdown>,
}

/// A shutdown that has begun.
#[derive(Debug)]
struct Shutdown {
    timeout: MinRateTimeout,
    /// The wait until the next look at the bytes that the system has not sent.
    look: Pin<Box<Sleep>>,
    taken: Taken,
}

impl<T> WriteTimeout<T> {
    /// `pause`: how long the client may take nothing; zero: for ever.
    pub(crate) fn new(io: T, pause: Duration, connection: Arc<ConnectionHandle>) -> Self {
        Self { io, pause, timeout: MinRateTimeout::new(pause), connection, shutdown: None }
    }

    /// Returns the result of an attempt to write, or an error if the client takes too long.
    fn watch_write(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = polled {
            self.timeout.progressed(written);
        }
        watch(polled, &mut self.timeout, &self.connection, cx)
    }
}

/// Returns the result of something that waits for the client, or an error if the client takes longer than the timeout.
fn watch<R>(
    polled: Poll<io::Result<R>>,
    timeout: &mut MinRateTimeout,
    connection: &ConnectionHandle,
    cx: &mut Context<'_>,
) -> Poll<io::Result<R>> {
    if polled.is_pending() {
        connection.blocked();
        if timeout.poll_elapsed(cx).is_ready() {
            connection.stall();
            tracing::debug!("a client did not read from its connection in time");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
    }
    polled
}

forward_socket!(WriteTimeout, this => this.io);

impl<T: AsyncRead + Unpin> AsyncRead for WriteTimeout<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Socket + Unpin> AsyncWrite for WriteTimeout<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch_write(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if polled.is_ready() {
            self.connection.unblocked();
            // The socket has all that there was, and what comes next has the whole time. `SendTimeout` and `EndedResponses` see to it
            // that each response is taken fast enough.
            self.timeout.restart();
        }
        let Self { timeout, connection, .. } = &mut *self;
        watch(polled, timeout, connection, cx)
    }

    /// Waits until the system has sent all, since the client can lose the rest when the socket is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, pause, timeout: _, connection, shutdown } = &mut *self;
        // It has a time of its own: HTTP flushes again while it waits.
        let Shutdown { timeout, look, taken } = shutdown.get_or_insert_with(|| Shutdown {
            timeout: MinRateTimeout::new(*pause),
            look: Box::pin(sleep(LOOK_AGAIN)),
            taken: Taken::since(io.taken()),
        });
        while io.has_unsent() {
            if look.as_mut().poll(cx).is_pending() {
                return watch(Poll::Pending, timeout, connection, cx);
            }
            timeout.progressed(taken.more(io.taken()));
            look.as_mut().reset(Instant::now() + LOOK_AGAIN);
        }
        let polled = Pin::new(io).poll_shutdown(cx);
        watch(polled, timeout, connection, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch_write(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::{Instant, sleep, timeout},
    };

    use super::*;
    use crate::{metrics::Metrics, min_rate::BYTES_PER_SECOND};

    const PAUSE: Duration = Duration::from_secs(30);

    /// Writes a MiB to a client that reads so many bytes each second. Returns how long that took, and whether all was written.
    async fn written(each_second: usize) -> (Duration, bool) {
        let metrics = Arc::<Metrics>::default();
        let (mut client, server) = duplex(1 << 12);
        tokio::spawn(async move {
            let mut bytes = vec![0; each_second];
            while each_second == 0 || client.read_exact(&mut bytes).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let began = Instant::now();
        let mut stream = WriteTimeout::new(server, PAUSE, ConnectionHandle::new(Arc::clone(&metrics)));
        let done = stream.write_all(&vec![0; 1 << 20]).await;
        assert_eq!(metrics.sends_timed_out.get(), u64::from(done.is_err()));
        assert!(done.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::TimedOut), "{done:?}");
        (began.elapsed(), done.is_ok())
    }

    /// A stream that takes all bytes into a buffer, as TLS does, and cannot write the buffer while this is true.
    struct Buffer(bool);

    impl Socket for Buffer {
        fn has_unsent(&self) -> bool {
            false
        }

        fn taken(&self) -> u64 {
            0
        }
    }

    impl AsyncWrite for Buffer {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.0 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[tokio::test]
    async fn bytes_in_a_buffer_wait_for_the_socket() {
        let connection = ConnectionHandle::new(Arc::default());
        let mut stream = WriteTimeout::new(Buffer(true), PAUSE, Arc::clone(&connection));
        stream.write_all(b"bytes").await.expect("the buffer has room");
        let mut flush = Box::pin(stream.flush());
        assert!(futures_util::poll!(&mut flush).is_pending());
        drop(flush);
        assert_eq!(connection.quiet_since(), None);
        stream.io.0 = false;
        stream.flush().await.expect("the socket has room");
        assert!(connection.quiet_since().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_counts_once() {
        let metrics = Arc::<Metrics>::default();
        let mut stream = WriteTimeout::new(Buffer(true), PAUSE, ConnectionHandle::new(Arc::clone(&metrics)));
        stream.flush().await.expect_err("the client takes nothing");
        stream.shutdown().await.expect_err("nor does it later");
        assert_eq!(metrics.sends_timed_out.get(), 1);
    }

    /// The client needs nearly the whole pause for each response, and asks for the next at once, or after long.
    #[tokio::test(start_paused = true)]
    async fn each_response_has_the_whole_time() {
        let almost = PAUSE - Duration::from_secs(1);
        for rest in [Duration::ZERO, 2 * PAUSE] {
            let mut stream = WriteTimeout::new(Buffer(true), PAUSE, ConnectionHandle::new(Arc::default()));
            for _ in 0..3 {
                stream.io.0 = true;
                assert!(timeout(almost, stream.flush()).await.is_err(), "it waits for the client");
                stream.io.0 = false;
                stream.flush().await.expect("the client takes all");
                sleep(rest).await;
            }
        }
    }

    /// A stream that has given all to the system, which has bytes to send for so long.
    struct Unsent {
        until: Instant,
        /// What the client takes before each look.
        each: u64,
        taken: AtomicU64,
    }

    impl Socket for Unsent {
        fn has_unsent(&self) -> bool {
            Instant::now() < self.until
        }

        fn taken(&self) -> u64 {
            self.taken.fetch_add(self.each, Ordering::Relaxed)
        }
    }

    impl AsyncWrite for Unsent {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_for_a_client_that_takes_what_the_system_holds() {
        let least = u64::try_from(LOOK_AGAIN.as_millis()).expect("it is short") * BYTES_PER_SECOND / 1000;
        for (each, done) in [(least + 1, true), (0, false)] {
            let began = Instant::now();
            let socket = Unsent { until: began + 3 * PAUSE, each, taken: AtomicU64::new(0) };
            let mut stream = WriteTimeout::new(socket, PAUSE, ConnectionHandle::new(Arc::default()));
            assert_eq!(stream.shutdown().await.is_ok(), done);
            let expected = if done { 3 * PAUSE } else { PAUSE };
            assert!((expected..expected + Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_or_too_slowly_is_given_up_and_another_is_not() {
        let (after, done) = written(0).await;
        assert!(!done && (PAUSE..PAUSE + Duration::from_secs(1)).contains(&after), "{after:?}");
        let (after, done) = written(1 << 10).await;
        assert!(!done && (PAUSE..3 * PAUSE).contains(&after), "{after:?}");
        let (after, done) = written(1 << 15).await;
        assert!(done && after > Duration::from_secs(20), "{after:?}");
    }
}
