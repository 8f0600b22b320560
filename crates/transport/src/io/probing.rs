//! A TCP socket that now and then tries to write, although the system has not said that there is room.
//!
//! Linux says so only when a third of the socket's buffer is free, and the buffer grows to some MiB. A client that reads steadily, but
//! slowly, would look for up to a minute and a half like one that reads nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::socket::{Socket, has_unsent, taken};
use crate::min_rate::MinRateTimeout;

/// How long a write waits for the system before it is tried again.
const WAIT: Duration = Duration::from_secs(1);

/// The socket.
#[derive(Debug)]
pub(crate) struct ProbingTcp {
    stream: TcpStream,
    /// Runs while a write waits.
    wait: MinRateTimeout,
    written: u64,
}

impl ProbingTcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, wait: MinRateTimeout::new(WAIT), written: 0 }
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the result of a write. If it is pending for long enough, the result is that of `write`, which asks the system.
    fn probe(
        &mut self,
        mut polled: Poll<io::Result<usize>>,
        write: impl Fn(SockRef<'_>) -> io::Result<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while polled.is_pending() {
            ready!(self.wait.poll_elapsed(cx));
            self.wait.restart();
            polled = match write(SockRef::from(&self.stream)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    Poll::Pending
                }
                result => Poll::Ready(result),
            };
        }
        self.wait.restart();
        if let Poll::Ready(Ok(bytes)) = polled {
            self.written += bytes as u64;
        }
        polled
    }
}

impl Socket for ProbingTcp {
    fn has_unsent(&self) -> bool {
        has_unsent(&self.stream)
    }

    fn taken(&self) -> u64 {
        taken(&self.stream, self.written)
    }
}

impl AsyncRead for ProbingTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProbingTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.probe(polled, |socket| socket.send(buf), cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.probe(polled, |socket| socket.send_vectored(bufs), cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket},
        task::yield_now,
        time::timeout,
    };

    use super::*;

    /// Less than a third of the buffer is free, so that the system says nothing.
    #[tokio::test]
    async fn a_client_that_reads_a_little_is_seen() {
        const LITTLE: usize = 300 << 10;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let client = TcpSocket::new_v4().expect("a socket");
        client.set_recv_buffer_size(64 << 10).expect("a size");
        let (near, far) = tokio::join!(client.connect(listener.local_addr().expect("it is bound")), listener.accept());
        let (mut client, (server, _)) = (near.expect("it listens"), far.expect("a client came"));
        let mut server = ProbingTcp::new(server);
        let bytes = vec![0; 1 << 20];
        // Until the client has taken something, a probe finds no room either.
        while timeout(3 * WAIT, server.write(&bytes)).await.is_ok() {}
        client.read_exact(&mut vec![0; LITTLE]).await.expect("it is open");
        assert!(!is_announced(&server).await, "the system says that there is room: nothing is tested");
        assert!(server.taken() >= LITTLE as u64, "{} bytes", server.taken());
        let written = timeout(60 * WAIT, server.write_vectored(&[IoSlice::new(&bytes)])).await.expect("it is tried");
        assert!((1..=2 * LITTLE).contains(&written.expect("it is open")));
    }

    /// Whether the system has said, in the second before, that a write has room.
    async fn is_announced(server: &ProbingTcp) -> bool {
        yield_now().await;
        timeout(WAIT, server.get_ref().writable()).await.is_ok()
    }
}
