//! TLS connections that keep the reason why they broke.
//!
//! tonic's own TLS would suffice but for one case: from TLS 1.3 on a server refuses a client's certificate after the handshake,
//! when HTTP/2 has begun, and most calls then fail with "connection closed". The connections here keep the alert of the server.

use std::{
    error::Error,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    codegen::{
        Service,
        http::{Uri, uri::Scheme},
    },
    transport::Endpoint,
};

use super::LastWords;

/// The protocol inside TLS, by its name in ALPN.
pub(super) const HTTP_2: &[u8] = b"h2";

/// Makes connections to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    uri: Uri,
    name: ServerName<'static>,
    last_words: LastWords,
}

impl Connector {
    pub(super) fn new(uri: Uri, name: ServerName<'static>, config: ClientConfig, last_words: LastWords) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        Self { tcp, tls: Arc::new(config).into(), uri, name, last_words }
    }

    /// Sets the options of TCP, as tonic sets them for its own connector.
    pub(super) fn tcp(mut self, nodelay: bool, connect_timeout: Option<Duration>) -> Self {
        self.tcp.set_nodelay(nodelay);
        self.tcp.set_connect_timeout(connect_timeout);
        self
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Told>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    /// Ignores the address that tonic gives, which is that of [`stand_in`]: the connector has its own.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.tcp.call(self.uri.clone());
        let (tls, name, last_words) = (self.tls.clone(), self.name.clone(), self.last_words.clone());
        Box::pin(async move {
            let stream = tls.connect(name, connecting.await?.into_inner()).await?;
            if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
                return Err("the server does not speak HTTP/2".into());
            }
            Ok(TokioIo::new(Told { stream, last_words, has_read: false, broken: None }))
        })
    }
}

/// The endpoint with http:// in the place of https://: if tonic is built with TLS of its own, it lets no other connector go to
/// https://. The origin keeps https as the scheme of requests.
pub(super) fn stand_in(endpoint: Endpoint) -> Endpoint {
    let uri = endpoint.uri().clone();
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    Uri::from_parts(parts).map_or(endpoint, Endpoint::from).origin(uri)
}

/// A connection that keeps the reason why it broke, if it did before the server sent any HTTP/2.
pub(crate) struct Told {
    stream: TlsStream<TcpStream>,
    last_words: LastWords,
    has_read: bool,
    /// The error of a write, while the server's reason for it is yet to be read.
    broken: Option<io::Error>,
}

impl Told {
    fn has_broken(&self, error: io::Error) -> io::Error {
        if !self.has_read {
            self.last_words.set(error.to_string());
        }
        error
    }

    /// Writes. If that fails because the server has closed the connection before it sent any HTTP/2, reads on until the alert or
    /// the end: the alert has arrived before the connection was closed, but the runtime may not have seen it yet.
    fn poll_writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TlsStream<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match self.broken.take() {
            Some(error) => error,
            None => match ready!(write(Pin::new(&mut self.stream), cx)) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(error) => error,
            },
        };
        let has_hung_up = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        if self.has_read || !has_hung_up {
            return Poll::Ready(Err(self.has_broken(error)));
        }
        loop {
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Err(self.has_broken(error))),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(self.has_broken(reason))),
                Poll::Pending => {
                    self.broken = Some(error);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf)).map_err(|error| self.has_broken(error))?;
        if !self.has_read && buf.filled().len() > before {
            self.has_read = true;
            self.last_words.clear();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Told {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writing(cx, TlsStream::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
