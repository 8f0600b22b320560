//! One connection, from its first byte to its last.

mod driver;

use std::{convert::Infallible, io, pin::Pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{oneshot, watch},
    time::{Instant, timeout, timeout_at},
};
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};
use tower::Service;

use self::driver::{Driver, End};
use super::{
    batched::Batched,
    calls::{Activity, Calls},
    compression::Compression,
    response_body::Respond,
    send_timeout::SendTimeout,
    stream::{Spoken, Stream},
    tls::Tls,
    turns::Turns,
    version::{Rewound, Version, recognize},
    web::Web,
    write_timeout::WriteTimeout,
};
use crate::{
    budget::Budget,
    config::{ConnectionConfig, transport::DEFAULT_CONNECTION_WINDOW_BYTES},
    counters::Counters,
    observe::Recorder,
};

/// How long a client may take to read the last of what was sent, and how much it may send meanwhile: as much as may be on
/// its way when it is told to stop.
const LINGERING: Duration = Duration::from_secs(1);
const LINGERING_BYTES: usize = DEFAULT_CONNECTION_WINDOW_BYTES as usize;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) http2: http2::Builder<SendTimeout>,
    /// `None`: nothing but gRPC is spoken.
    pub(super) web: Option<Web>,
    pub(super) config: Arc<ConnectionConfig>,
    pub(super) counters: Arc<Counters>,
    /// Makes the record of each call.
    pub(super) recorder: Recorder,
    pub(super) budget: Budget,
    /// `None`: messages are plain.
    pub(super) compression: Option<Compression>,
    /// `None`: nothing is encrypted.
    pub(super) tls: Option<Tls>,
    /// True: calls in flight are the last ones.
    pub(super) draining: watch::Receiver<bool>,
}

/// Serves the connection until either side ends it, and then drops `permit`.
///
/// A connection costs what it has got to: no buffer, no session of TLS and no state of HTTP is made before the client has
/// sent something. Each step is boxed and gone before the next, so that the task of a connection is small.
pub(super) async fn serve<S>(stream: Stream, shared: Arc<Shared<S>>, permit: impl Send)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Unpin + Send + 'static,
{
    let began = Instant::now();
    let limit = began + shared.config.handshake_timeout;
    let mut draining = shared.draining.clone();
    let spoken = tokio::select! {
        biased;
        spoken = timeout_at(limit, stream.readable()) => Some(spoken),
        // An error says that the server is gone altogether.
        _ = draining.wait_for(|&draining| draining) => None,
    };
    match spoken {
        Some(Ok(Ok(()))) => {
            if let Some((version, stream)) = Box::pin(open(stream, &shared, limit)).await {
                speak(version, stream, &shared, began).await;
            }
        }
        Some(Ok(Err(error))) => tracing::debug!(%error, "a connection failed"),
        Some(Err(_)) => shared.counters.handshakes_timed_out.add_one(),
        None => (),
    }
    drop(permit);
}

/// Finds out what the client speaks, by `limit`; `None`: the connection has ended.
async fn open<S>(stream: Stream, shared: &Shared<S>, limit: Instant) -> Option<(Version, Rewound<Stream>)> {
    let mut draining = shared.draining.clone();
    let detected = tokio::select! {
        biased;
        detected = timeout_at(limit, secure_and_detect(stream, shared)) => detected,
        _ = draining.wait_for(|&draining| draining) => return None,
    };
    match detected {
        Ok(Ok(detected)) => return Some(detected),
        // The alert that says why is on its way, and perhaps the client's first call.
        Ok(Err(Unopened::Refused(tcp))) => tokio::select! {
            () = linger(tcp) => (),
            _ = draining.wait_for(|&draining| draining) => (),
        },
        Ok(Err(Unopened::Ended)) => (),
        Err(_) => shared.counters.handshakes_timed_out.add_one(),
    }
    None
}

/// Why a connection was not opened.
enum Unopened {
    /// There was no agreement on TLS.
    Refused(TcpStream),
    /// The client closed it before it had said which HTTP it speaks.
    Ended,
}

/// Shakes hands, if there is TLS, and reads which version of HTTP the client speaks.
async fn secure_and_detect<S>(stream: Stream, shared: &Shared<S>) -> Result<(Version, Rewound<Stream>), Unopened> {
    let stream = match (stream, &shared.tls) {
        (Stream::Tcp(tcp), Some(tls)) => match Box::pin(tls.accept(tcp)).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            Err((error, tcp)) => {
                shared.counters.handshakes_failed.add_one();
                tracing::debug!(%error, "a handshake failed");
                return Err(Unopened::Refused(tcp));
            }
        },
        // A Unix domain socket does not leave the machine.
        (stream, _) => stream,
    };
    recognize(stream).await.map_err(|_| Unopened::Ended)
}

/// Speaks HTTP.
fn speak<S>(
    version: Version,
    stream: Rewound<Stream>,
    shared: &Shared<S>,
    began: Instant,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send + 'static,
{
    let Shared { service, http2, web, config, counters, recorder, budget, compression, tls: _, draining } = shared;
    let activity = Activity::new();
    let beginning = Arc::clone(&activity.beginning);
    let calls = Calls::new(
        service.clone(),
        Arc::clone(&activity),
        Arc::clone(counters),
        recorder.clone(),
        *budget,
        compression.clone(),
        config.body_timeout,
    );
    let stream = WriteTimeout::new(stream, config.body_timeout, Arc::clone(&activity), Arc::clone(counters));
    let (config, counters, draining) = (Arc::clone(config), Arc::clone(counters), draining.clone());
    let driver = Driver { activity, config, counters, draining, began };
    match (version, web) {
        // Without gRPC-Web nothing but HTTP/2 is spoken, whose library refuses any other beginning.
        (Version::Http2 | Version::Http1, None) => {
            let (stream, given_back) = Spoken::new(Batched::new(Turns::new(stream)), beginning);
            let connection = http2.serve_connection(TokioIo::new(stream), Respond::of_calls(calls));
            Box::pin(drive(driver, Box::pin(connection), given_back))
        }
        (Version::Http2, Some(web)) => {
            let (stream, given_back) = Spoken::new(Batched::new(Turns::new(stream)), beginning);
            let connection = http2.serve_connection(TokioIo::new(stream), Respond::of_others(web.around(calls)));
            Box::pin(drive(driver, Box::pin(connection), given_back))
        }
        (Version::Http1, Some(web)) => {
            // How long the headers may take is HTTP/1.1's own to watch.
            beginning.see();
            // Its answers come one after another: there is nothing to send together.
            let (stream, given_back) = Spoken::new(Turns::new(stream), beginning);
            let connection = web.http1().serve_connection(TokioIo::new(stream), Respond::of_others(web.around(calls)));
            Box::pin(drive(driver, Box::pin(connection), given_back))
        }
    }
}

/// Lets HTTP run to its end, and the client read the last of it.
async fn drive<C, T>(driver: Driver, connection: Pin<Box<C>>, given_back: oneshot::Receiver<T>)
where
    C: GracefulConnection<Error = hyper::Error>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let end = driver.drive(connection).await;
    Box::pin(finish(end, given_back)).await;
}

/// Waits a moment for a client that was told all there is to say to read it, and closes its connection.
async fn finish<T: AsyncRead + AsyncWrite + Unpin>(end: End, given_back: oneshot::Receiver<T>) {
    // The client has all that was sent, but may not have read it: a socket that is closed while the client writes to it,
    // or with something in it that nobody has read, resets the connection, and what the client has not read is lost.
    if end == End::Said
        && let Ok(stream) = given_back.await
    {
        linger(stream).await;
    }
}

/// Ends what is sent, and reads until the client closes as well.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let closed = async {
        // Not all that has failed has ended this.
        stream.shutdown().await?;
        // Not in the future itself, which each connection would carry from its beginning.
        let mut bytes = vec![0; 4096];
        let mut read = 0;
        while read < LINGERING_BYTES {
            match stream.read(&mut bytes).await? {
                0 => break,
                more => read += more,
            }
        }
        Ok::<_, io::Error>(())
    };
    // Whoever does not close has had the time to read; where the connection has failed nobody does.
    let _ = timeout(LINGERING, closed).await;
}
