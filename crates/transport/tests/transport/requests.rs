//! The transport's limits, its timeouts and its drain.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use evenkeel_testing::until::{NEVER, until, within};
use evenkeel_transport::{SendProgress, Settings};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::running::{self, Running};

/// A response that no window has room for.
const LARGE: usize = 4 << 20;

/// Answers `/small`, `/large` and, when it is told to, `/late`.
#[derive(Clone, Debug, Default)]
struct Answers {
    go: Arc<Notify>,
    given_up: Arc<AtomicBool>,
}

impl Answers {
    async fn answer(self, request: Request<Incoming>) -> Bytes {
        let Self { go, given_up } = self;
        match request.uri().path() {
            "/late" => {
                go.notified().await;
                Bytes::from_static(b"late")
            }
            "/large" => {
                Bytes::from_owner(Watched { bytes: vec![7; LARGE], progress: SendProgress::current(), given_up })
            }
            _ => Bytes::from_static(b"small"),
        }
    }
}

/// Bytes of a response that note, when they are dropped, whether the client was given up.
struct Watched {
    bytes: Vec<u8>,
    progress: Arc<SendProgress>,
    given_up: Arc<AtomicBool>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.given_up.store(self.progress.is_given_up(), Ordering::Relaxed);
    }
}

fn start(settings: Settings, drain: Duration) -> (Running, Answers) {
    let answers = Answers::default();
    let answering = answers.clone();
    (running::start(settings, drain, move |request| answering.clone().answer(request)), answers)
}

/// A client with this window.
async fn client(address: SocketAddr, window: u32) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let mut client = http2::Builder::new(TokioExecutor::new());
    let (requests, connection) = client
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .expect("the server speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

async fn get(client: &mut SendRequest<Full<Bytes>>, path: &str) -> hyper::Result<Response<Incoming>> {
    let request = Request::get(format!("http://localhost{path}")).body(Full::default()).expect("a request");
    within("a response, or a failure", client.send_request(request)).await
}

async fn read(response: Response<Incoming>) -> hyper::Result<Bytes> {
    Ok(within("the end of a response", response.into_body().collect()).await?.to_bytes())
}

#[tokio::test]
async fn requests_are_answered_and_counted() {
    let (running, _) = start(Settings::default(), NEVER);
    let mut client = client(running.address, 1 << 20).await;
    assert_eq!(read(get(&mut client, "/small").await.expect("headers")).await.expect("a body"), "small");
    assert_eq!(read(get(&mut client, "/large").await.expect("headers")).await.expect("a body").len(), LARGE);
    until("no request is open", async || running.metrics.requests_open.get() == 0).await;
    assert_eq!(running.metrics.connections_open.get(), 1);
    drop(client);
    until("no connection is open", async || running.metrics.connections_open.get() == 0).await;
    assert_eq!(running.metrics.connections_accepted.get(), 1);
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed_at_once() {
    let (running, _) = start(Settings { max_connections: 1, ..Settings::default() }, NEVER);
    let mut first = client(running.address, 1 << 20).await;
    read(get(&mut first, "/small").await.expect("headers")).await.expect("a body");
    let mut second = TcpStream::connect(running.address).await.expect("the kernel accepts it");
    let mut rest = Vec::new();
    // An error means that the connection was reset, which happens when it is closed with unread bytes.
    let _ = within("the connection is closed", second.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(running.metrics.connections_refused_total.get(), 1);
}

#[tokio::test]
async fn a_client_that_sends_no_preface_is_closed() {
    let (running, _) = start(Settings { handshake_timeout: Duration::from_millis(100), ..Settings::default() }, NEVER);
    let mut stream = TcpStream::connect(running.address).await.expect("the server listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.expect("the server reads");
    let mut rest = Vec::new();
    let _ = within("the connection is closed", stream.read_to_end(&mut rest)).await;
    assert_eq!(running.metrics.handshakes_timed_out.get(), 1);
}

#[tokio::test]
async fn a_response_that_is_not_taken_is_given_up_and_its_bytes_are_dropped() {
    let (running, answers) = start(Settings { send_timeout: Duration::from_millis(100), ..Settings::default() }, NEVER);
    let mut client = client(running.address, 100).await;
    let response = get(&mut client, "/large").await.expect("headers");
    until("the response is given up", async || answers.given_up.load(Ordering::Relaxed)).await;
    assert_eq!(running.metrics.sends_timed_out.get(), 1);
    read(response).await.expect_err("its stream was reset");
    // The connection is as good as before.
    assert_eq!(read(get(&mut client, "/small").await.expect("headers")).await.expect("a body"), "small");
}

#[tokio::test]
async fn a_drain_waits_for_what_is_open_and_no_longer_than_it_may() {
    for (drain, is_answered) in [(NEVER, true), (Duration::from_millis(100), false)] {
        let (running, answers) = start(Settings::default(), drain);
        let mut client = client(running.address, 1 << 20).await;
        let late = tokio::spawn(async move { get(&mut client, "/late").await });
        until("the request is open", async || running.metrics.requests_open.get() == 1).await;
        running.shutdown.send(()).expect("it serves");
        if is_answered {
            until("nobody is accepted", async || std::net::TcpStream::connect(running.address).is_err()).await;
            answers.go.notify_one();
        }
        let drained = within("the transport has ended", running.served).await.expect("no panic");
        assert_eq!(drained, if is_answered { Ok(()) } else { Err(1) });
        assert_eq!(late.await.expect("no panic").is_ok(), is_answered);
    }
}
