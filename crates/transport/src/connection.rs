//! One connection, from its first byte to its last.

mod driver;

use std::{convert::Infallible, io, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use self::driver::{Driver, End};
pub use crate::io::Version;
use crate::{
    backlog::{Backlog, ReadTurn},
    chunk::Offer,
    ended::EndedResponses,
    handle::ConnectionHandle,
    handshakes::Handshakes,
    io::{FairIo, Keeps, Outbox, ProbingTcp, ReceivedFrames, Rewind, SharedIo, Socket, Stream, WriteTimeout, detect},
    limits::network,
    metrics::Metrics,
    ping_timer::PingTimer,
    response_body::Respond,
    send_timeout::SendTimeout,
    settings::Settings,
    tls::{self, TlsSettings},
};

/// How long a client may take to read the last bytes that were sent, and to close.
const LINGER: Duration = Duration::from_secs(1);

/// Makes the service that answers the requests of one connection.
pub trait MakeService: Send + Sync + 'static {
    /// A [`hyper::service::Service`] of [`Request`]s, whose [`Response`]s have a body of [`Bytes`].
    type Service;

    /// The service of this connection, whose client speaks this version of HTTP.
    fn make_service(&self, connection: &Arc<ConnectionHandle>, version: Version) -> Self::Service;
}

/// The state that all connections share.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    make_service: M,
    pub(crate) metrics: Arc<Metrics>,
    settings: Arc<Settings>,
    backlog: Arc<Backlog>,
    http2: http2::Builder<SendTimeout>,
    /// `None`: only HTTP/2 is spoken.
    http1: Option<http1::Builder>,
    /// `None`: connections are plain text.
    tls: Option<Arc<dyn TlsSettings>>,
    handshakes: Handshakes,
    /// True: the server drains, and connections get no further requests.
    draining: watch::Receiver<bool>,
}

impl<M> Shared<M> {
    pub(crate) fn new(
        make_service: M,
        settings: Settings,
        tls: Option<Arc<dyn TlsSettings>>,
        metrics: Arc<Metrics>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let backlog = Backlog::new();
        let send_timeout = SendTimeout::new(settings.send_timeout, Arc::clone(&metrics), Arc::clone(&backlog));
        let (http2, http1) = (settings.http2(send_timeout), settings.http1());
        let (settings, handshakes) = (Arc::new(settings), Handshakes::default());
        Self { make_service, metrics, settings, backlog, http2, http1, tls, handshakes, draining }
    }
}

/// Serves the connection until either side ends it, and then drops `permit`.
///
/// A connection takes memory only for the step that it has reached: no buffer, no TLS session and no state of HTTP is made
/// before the client has sent something. Each step is boxed, and dropped before the next, so that the task of a connection is
/// small.
pub(crate) async fn serve<M, S, B>(stream: Stream, shared: Arc<Shared<M>>, permit: impl Send)
where
    M: MakeService<Service = S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let began = Instant::now();
    let limit = began + shared.settings.handshake_timeout;
    let mut draining = shared.draining.clone();
    let spoken = tokio::select! {
        biased;
        spoken = timeout_at(limit, stream.readable()) => Some(spoken),
        // An error means that the `Transport` was dropped.
        _ = draining.wait_for(|&draining| draining) => None,
    };
    match spoken {
        Some(Ok(Ok(()))) => {
            if let Some((version, stream)) = Box::pin(open(stream, &shared, limit)).await {
                speak(version, stream, &shared, began).await;
            }
        }
        Some(Ok(Err(error))) => tracing::debug!(%error, "a connection failed"),
        Some(Err(_)) => shared.metrics.handshakes_timed_out.add_one(),
        None => (),
    }
    drop(permit);
}

/// Shakes hands and detects the version of HTTP by `limit`; `None`: the connection has ended.
async fn open<M>(stream: Stream, shared: &Shared<M>, limit: Instant) -> Option<(Version, Rewind<Stream>)> {
    let mut draining = shared.draining.clone();
    let detected = tokio::select! {
        biased;
        detected = timeout_at(limit, secure_and_detect(stream, shared)) => detected,
        _ = draining.wait_for(|&draining| draining) => return None,
    };
    match detected {
        Ok(Ok(detected)) => return Some(detected),
        // The client may not have read the alert with the reason, and may be sending its first request: closing the socket now
        // would lose the alert.
        Ok(Err(Unopened::Refused(tcp))) => tokio::select! {
            () = linger(tcp, shared.settings.linger_bytes()) => (),
            _ = draining.wait_for(|&draining| draining) => (),
        },
        Ok(Err(Unopened::Ended)) => (),
        Err(_) => shared.metrics.handshakes_timed_out.add_one(),
    }
    None
}

/// Why a connection was not opened.
enum Unopened {
    /// The TLS handshake failed.
    Refused(ProbingTcp),
    /// The client closed the connection before the version of HTTP was certain.
    Ended,
}

/// Shakes hands, if there is TLS, and reads which version of HTTP the client speaks.
async fn secure_and_detect<M>(stream: Stream, shared: &Shared<M>) -> Result<(Version, Rewind<Stream>), Unopened> {
    let stream = match (stream, &shared.tls) {
        (Stream::Tcp(tcp), Some(tls)) => {
            // An error means that the client has left.
            let peer = tcp.get_ref().peer_addr().ok().map(|address| network(address.ip()));
            match Box::pin(shared.handshakes.run(peer, tls::accept(&**tls, tcp))).await {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err((error, tcp)) => {
                    shared.metrics.handshakes_failed.add_one();
                    tracing::debug!(%error, "a handshake failed");
                    return Err(Unopened::Refused(tcp));
                }
            }
        }
        // A Unix domain socket does not leave the machine.
        (stream, _) => stream,
    };
    detect(stream).await.map_err(|_| Unopened::Ended)
}

/// Serves requests by this version of HTTP until the connection ends.
fn speak<T, M, S, B>(
    version: Version,
    stream: T,
    shared: &Shared<M>,
    began: Instant,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    T: AsyncRead + AsyncWrite + Send + Socket + Unpin + 'static,
    M: MakeService<Service = S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let Shared { make_service, metrics, settings, backlog, http2, http1, tls: _, handshakes: _, draining } = shared;
    let connection = ConnectionHandle::new(Arc::clone(metrics));
    let ended = Arc::new(EndedResponses::new(Arc::clone(&connection), settings.send_timeout));
    let service = make_service.make_service(&connection, version);
    let stream = FairIo::new(WriteTimeout::new(stream, settings.send_timeout, Arc::clone(&connection)));
    let (settings, metrics, draining) = (Arc::clone(settings), Arc::clone(metrics), draining.clone());
    let driver = Driver {
        connection: Arc::clone(&connection),
        ended: Arc::clone(&ended),
        settings,
        metrics,
        draining,
        began,
        version,
    };
    match (version, http1) {
        // Where HTTP/1.1 is not spoken, HTTP/2's library refuses its first bytes, as it refuses every wrong preface.
        (Version::Http2, _) | (Version::Http1, None) => {
            let offer = Arc::<Offer>::default();
            let stream = ReceivedFrames::new(stream, Arc::clone(&connection), ReadTurn::new(backlog));
            let stream = SharedIo::new(Outbox::new(stream, Arc::clone(&offer), Arc::clone(&connection)));
            let service = Respond::new(service, ended, Some(offer));
            let mut http2 = http2.clone();
            let windows = driver.settings.windows(driver.metrics.connections_open.get());
            http2
                .timer(PingTimer::new(stream.clone()))
                .initial_connection_window_size(windows.connection)
                .initial_stream_window_size(windows.stream);
            let http = http2.serve_connection(TokioIo::new(stream.clone()), service);
            Box::pin(drive(driver, Box::pin(http), stream))
        }
        (Version::Http1, Some(http1)) => {
            // HTTP/1.1's library has a timeout of its own for headers.
            connection.preface().came();
            // The responses of HTTP/1.1 come one after another: there is nothing to send together.
            let stream = SharedIo::new(stream);
            let http = http1.serve_connection(TokioIo::new(stream.clone()), Respond::new(service, ended, None));
            Box::pin(drive(driver, Box::pin(http), stream))
        }
    }
}

/// Runs HTTP to its end. If HTTP has written all that it had to, the client then has [`LINGER`] to read it.
async fn drive<C, T>(driver: Driver, http: Pin<Box<C>>, stream: SharedIo<T>)
where
    C: GracefulConnection<Error = hyper::Error>,
    T: Keeps + AsyncRead + AsyncWrite + Socket + Unpin,
{
    let most = driver.settings.linger_bytes();
    // The client may not have read all that was sent. Closing a socket while the client writes to it, or while it has bytes
    // that the server has not read, resets the connection, and the client loses the bytes that it has not read.
    if driver.drive(http, &stream).await == End::Finished {
        stream.lock().http_ended();
        Box::pin(linger(stream, most)).await;
    }
}

/// Closes the sending side, and reads until the client closes as well or has sent `most` bytes.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, most: usize) {
    let closed = async {
        // HTTP has closed the sending side itself unless it has failed.
        stream.shutdown().await?;
        // On the heap: in the future itself, the buffer would take memory as soon as the future is made.
        let mut bytes = vec![0; 4096];
        let mut read = 0;
        while read < most {
            match stream.read(&mut bytes).await? {
                0 => break,
                more => read += more,
            }
        }
        Ok::<_, io::Error>(())
    };
    // A client that does not close has had the time to read; after an error of the connection there is nothing to read.
    let _ = timeout(LINGER, closed).await;
}

#[cfg(test)]
mod tests;
