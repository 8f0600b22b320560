//! A Unix domain socket that counts what its client has read.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};

use super::socket::{Socket, taken};

/// The socket.
#[derive(Debug)]
pub(crate) struct CountedUnix {
    stream: UnixStream,
    written: u64,
}

impl CountedUnix {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, written: 0 }
    }

    pub(crate) fn get_ref(&self) -> &UnixStream {
        &self.stream
    }

    fn count(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.written += bytes as u64;
        }
        polled
    }
}

impl Socket for CountedUnix {
    /// What is written is at the client's end at once.
    fn has_unsent(&self) -> bool {
        false
    }

    /// The system counts the memory of what was not read, some of which is its own, so that the count is a little late.
    fn taken(&self) -> u64 {
        taken(&self.stream, self.written)
    }
}

impl AsyncRead for CountedUnix {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedUnix {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(polled)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::io::Stream;

    #[tokio::test]
    async fn what_the_client_reads_is_counted() {
        let (mut client, server) = UnixStream::pair().expect("there are descriptors");
        let mut server = Stream::Unix(CountedUnix::new(server));
        for _ in 0..10 {
            server.write_all(&[0; 1 << 12]).await.expect("there is room");
        }
        assert_eq!(server.taken(), 0);
        client.read_exact(&mut [0; 5 << 12]).await.expect("they have come");
        let half = server.taken();
        assert!((1..=5 << 12).contains(&half), "{half}");
        client.read_exact(&mut [0; 5 << 12]).await.expect("they have come");
        assert_eq!(server.taken(), 10 << 12);
    }
}
