//! The stream of a connection, over TCP, a Unix domain socket or TLS.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::{counted_unix::CountedUnix, probing::ProbingTcp, socket::Socket};

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(ProbingTcp),
    Unix(CountedUnix),
    Tls(Box<TlsStream<ProbingTcp>>),
}

impl Stream {
    /// The address of the client; a Unix domain socket has none.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.get_ref().peer_addr().ok().map(|address| address.ip()),
            Self::Tls(stream) => stream.get_ref().0.get_ref().peer_addr().ok().map(|address| address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// Waits until there is something to read, or the connection has ended.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.get_ref().readable().await,
            Self::Tls(stream) => stream.get_ref().0.get_ref().readable().await,
            Self::Unix(stream) => stream.get_ref().readable().await,
        }
    }
}

impl Socket for Stream {
    fn has_unsent(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.has_unsent(),
            Self::Tls(stream) => stream.get_ref().0.has_unsent(),
            Self::Unix(stream) => stream.has_unsent(),
        }
    }

    fn taken(&self) -> u64 {
        match self {
            Self::Tcp(stream) => stream.taken(),
            Self::Tls(stream) => stream.get_ref().0.taken(),
            Self::Unix(stream) => stream.taken(),
        }
    }
}

/// The same method of whichever stream it is.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
