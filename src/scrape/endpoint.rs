//! The HTTP endpoint for Prometheus: `GET /metrics`, and nothing else.
//!
//! A client has a few seconds for a request and its answer; then the connection is closed. At the limit on connections
//! the oldest is closed for the next one: a scraper has its answer in milliseconds, however many other clients connect
//! and send nothing.

use std::{collections::VecDeque, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
};

use super::{Exposition, exposition};

/// The time for a request's headers: a scraper sends all of them in the first segment.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time from the connection to the end of the answer: less than Prometheus' own default of 10 seconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a request: a scraper sends a few headers.
const BUFFER_BYTES: usize = 16 << 10;
/// Answers that are written at a time, each by a thread of its own; others wait.
const WRITERS: usize = 2;
/// The most connections at the same time.
const CONNECTIONS: usize = 16;
/// After an error of `accept`, which is mostly that there are no descriptors left: time for some to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is listened on.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that was taken if 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped, which closes all connections.
    pub(crate) async fn serve(self, exposition: Arc<Exposition>) {
        let exposition = (exposition, Arc::new(Semaphore::new(WRITERS)));
        let (mut answering, mut oldest_first) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection to the metrics");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let exposition = exposition.clone();
            while answering.try_join_next().is_some() {}
            oldest_first.retain(|connection| !connection.is_finished());
            if oldest_first.len() == CONNECTIONS
                && let Some(oldest) = oldest_first.pop_front()
            {
                oldest.abort();
            }
            oldest_first.push_back(answering.spawn(async move {
                if tokio::time::timeout(CONNECTION_TIMEOUT, answer(stream, exposition)).await.is_err() {
                    tracing::debug!("a connection to the metrics took too long");
                }
            }));
        }
    }
}

/// The exposition, which writes answers, and the permits to write at the same time.
type Writing = (Arc<Exposition>, Arc<Semaphore>);

async fn answer(stream: TcpStream, exposition: Writing) {
    let service = service_fn(|request| {
        let exposition = exposition.clone();
        async move { Ok::<_, Infallible>(respond(&request, exposition).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the metrics broke");
    }
}

async fn respond(request: &Request<Incoming>, (exposition, writers): Writing) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return refuse(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    // To HEAD, hyper sends the headers alone.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let writer = writers.acquire_owned().await;
    // Off the threads that serve, since the system counts open files one by one. The permit goes with the thread: the thread goes
    // on when its connection is closed.
    let write = move || {
        let _writer = writer;
        exposition.text()
    };
    let Ok(text) = tokio::task::spawn_blocking(write).await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n");
    };
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE));
    response
}

fn refuse(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
