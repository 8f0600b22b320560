//! Rows 37, 38 and 43: answers that are ready and that the client does not take, over HTTP/2 and HTTP/1.1, and from
//! every service.

mod streams;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use evenkeel::{
    config::{ConnectionConfig, ServerConfig, WebConfig},
    server::{Error, Running},
};
use evenkeel_proto::v1 as pb;
use h2::{Reason, RecvStream, client::Builder};
use pb::NormKind;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::sleep,
};
use tonic::{
    Code,
    codegen::http::{HeaderValue, Request},
};
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

use crate::{
    beside::{MIB, beside},
    harness::{dropout, f32s, normalize},
    metrics::{config, scrape},
    peer::{Peer, address, framed, request, request_to},
    process::Process,
    requests::{calls, streams},
    until::{until, within},
};

/// Windows that a client may grant for a stream: none, nearly none, and the default of HTTP/2.
const WINDOWS: [u32; 4] = [0, 1, 100, 65_535];
/// The elements of an answer, which has more bytes than any of these windows.
const ELEMENTS: usize = 100_000;
const ANSWER: usize = 4 * ELEMENTS;
/// How long a client may take nothing before it is cut off.
const PAUSE: Duration = Duration::from_millis(300);
/// The names of the gauges of bytes, of calls and of connections.
const BYTES: &str = "evenkeel_bytes_in_flight";
const CALLS: &str = "evenkeel_calls_unanswered";
const CONNECTIONS: &str = "evenkeel_connections_open";

/// A server on which a client may take nothing for this long; for ever if it is zero.
async fn start(body_timeout: Duration, codec_path: bool) -> Running {
    let connections = ConnectionConfig { body_timeout, ..Default::default() };
    let web = WebConfig { grpc_web: true, ..Default::default() };
    Running::start(ServerConfig { connections, codec_path, web, ..config() }).await.expect("the server starts")
}

/// A client that grants so many bytes for each stream, and any number for the connection.
fn granting(window: u32) -> Builder {
    let mut settings = Builder::new();
    settings.initial_window_size(window).initial_connection_window_size((1 << 31) - 1);
    settings
}

/// Begins a call, and returns its answer once the headers have arrived.
async fn ask(peer: &Peer, request: Request<()>, message: &[u8]) -> RecvStream {
    send(peer, request, framed(message)).await
}

/// The same for messages with their prefixes.
async fn send(peer: &Peer, request: Request<()>, messages: Bytes) -> RecvStream {
    let (answer, mut body) = peer.send(request).await.expect("the connection is open");
    body.send_data(messages, true).expect("the connection is open");
    answer.await.expect("headers are subject to no window").into_body()
}

/// The number of bytes that arrive until the stream is reset, and the reason of the reset.
async fn until_reset(mut answer: RecvStream) -> (usize, Option<Reason>) {
    let mut came = 0;
    loop {
        // The bytes are not released, so that the window does not grow.
        match within("the stream is reset", answer.data()).await.expect("the answer has no end") {
            Ok(data) => came += data.len(),
            Err(error) => return (came, error.reason()),
        }
    }
}

/// Waits until a gauge has this value.
async fn until_at(server: &Running, gauge: &str, value: f64) {
    until(&format!("{gauge} is {value}"), async || scrape(server).await[gauge] == value).await;
}

/// Makes a few calls on other connections; by then the transport has taken what it can of the earlier answers.
async fn others_are_served(server: &Running) {
    let small = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    for _ in 0..3 {
        let other = Peer::connect(address(server)).await;
        assert_eq!(other.call("Dropout", &small).await.expect("an answer").code(), Code::Ok);
    }
}

#[tokio::test]
async fn what_is_not_taken_is_in_the_budget_until_it_is_gone() {
    for codec_path in [false, true] {
        let server = start(Duration::ZERO, codec_path).await;
        for window in WINDOWS {
            let peer = Peer::with(&granting(window), address(&server)).await;
            let mut answers = Vec::new();
            for (name, message) in calls(ELEMENTS) {
                answers.push(ask(&peer, request(name), &message).await);
            }
            others_are_served(&server).await;
            until_at(&server, CALLS, 6.0).await;
            let held = scrape(&server).await[BYTES];
            assert!(held >= (6 * ANSWER) as f64, "{held} bytes with a window of {window}, {codec_path}");
            // Row 38: the client resets half of the streams, and then leaves.
            answers.truncate(3);
            until_at(&server, CALLS, 3.0).await;
            assert!(scrape(&server).await[BYTES] >= (3 * ANSWER) as f64);
            drop(answers);
            peer.connection.abort();
            until_at(&server, CALLS, 0.0).await;
            until_at(&server, BYTES, 0.0).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_taken_is_cut_off() {
    for codec_path in [false, true] {
        let server = start(PAUSE, codec_path).await;
        for window in WINDOWS {
            let peer = Peer::with(&granting(window), address(&server)).await;
            let mut calls = calls(ELEMENTS);
            // The statistics of 4000 sets have more bytes than the largest of these windows.
            let part = pb::measure_statistics_request::Part::Header(normalize(
                NormKind::Layer,
                f32s(&[4000, 2], &[1.5; 8000]),
            ));
            let measured = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
            let measured = measured.encode_to_vec();
            calls.extend(["MeasureStatistics", "MeasureStatisticsUnary"].map(|name| (name, measured.clone())));
            if window <= 1 {
                let gradients = vec![f32s(&[2], &[1.0, 2.0])];
                let measured = pb::MeasureGradientsRequest { gradients, ..Default::default() }.encode_to_vec();
                calls.extend([
                    ("MeasureGradients", measured.clone()),
                    ("MeasureGradientsUnary", measured),
                    ("Dropout", dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec()),
                    ("GetServerInfo", Vec::new()),
                ]);
            }
            let mut answers = Vec::new();
            for (name, message) in calls {
                answers.push((name, ask(&peer, request(name), &message).await));
            }
            for (name, messages) in streams(ELEMENTS) {
                answers.push((name, send(&peer, request(name), messages.into()).await));
            }
            for (name, answer) in answers {
                let (came, reason) = until_reset(answer).await;
                assert_eq!((came, reason), (window as usize, Some(Reason::CANCEL)), "{name} {codec_path}");
            }
        }
        until_at(&server, BYTES, 0.0).await;
        let timed_out = scrape(&server).await["evenkeel_stalled_total{way=\"send\"}"];
        assert_eq!(timed_out, (4 * (6 + 2 + 3) + 2 * 4) as f64);
    }
}

/// The answers of the other services, which can be called without a token.
#[tokio::test]
async fn answers_of_health_and_reflection_are_cut_off() {
    let server = start(PAUSE, false).await;
    let check = HealthCheckRequest::default().encode_to_vec();
    let list = MessageRequest::ListServices(String::new());
    let list = ServerReflectionRequest { host: String::new(), message_request: Some(list) }.encode_to_vec();
    for window in [0, 1] {
        let peer = Peer::with(&granting(window), address(&server)).await;
        for (path, message) in [
            ("grpc.health.v1.Health/Check", &check),
            ("grpc.health.v1.Health/Watch", &check),
            ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &list),
            ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &list),
        ] {
            let (came, reason) = until_reset(ask(&peer, request_to(path), message).await).await;
            assert_eq!((came, reason), (window as usize, Some(Reason::CANCEL)), "{path}");
        }
    }
}

/// A watch of the health sends nothing while nothing changes, and is not cut off for that.
#[tokio::test]
async fn a_watch_that_was_taken_goes_on() {
    let server = start(PAUSE, false).await;
    let peer = Peer::with(&granting(1 << 20), address(&server)).await;
    let check = HealthCheckRequest::default().encode_to_vec();
    let mut watch = ask(&peer, request_to("grpc.health.v1.Health/Watch"), &check).await;
    assert!(watch.data().await.expect("it says SERVING").is_ok());
    // Another client is cut off meanwhile, three times in a row.
    for _ in 0..3 {
        let other = Peer::with(&granting(0), address(&server)).await;
        until_reset(ask(&other, request_to("grpc.health.v1.Health/Check"), &check).await).await;
    }
    let stopping = tokio::spawn(server.shutdown_and_wait());
    assert!(watch.data().await.expect("it says NOT_SERVING").is_ok());
    drop((watch, peer));
    stopping.await.expect("no panic").expect("it ends well");
}

/// A connection that can stop reading.
struct Deaf {
    stream: TcpStream,
    is_deaf: Arc<AtomicBool>,
}

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection for which the kernel buffers only little.
pub(crate) async fn narrow(server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(1 << 16).expect("it may be small");
    socket.connect(address(server)).await.expect("the server listens")
}

/// A client that grants the largest window and does not read its socket: the answers wait for the socket.
#[tokio::test]
async fn a_connection_that_is_not_read_is_closed() {
    // More answers than the kernel buffers for a connection.
    const MANY: usize = 40;
    for body_timeout in [Duration::ZERO, PAUSE] {
        let server = start(body_timeout, false).await;
        let is_deaf = Arc::<AtomicBool>::default();
        let stream = Deaf { stream: narrow(&server).await, is_deaf: Arc::clone(&is_deaf) };
        let peer = Peer::over(&granting((1 << 31) - 1), stream).await.expect("the server speaks HTTP/2");
        let small = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
        assert_eq!(peer.call("Dropout", &small).await.expect("an answer").code(), Code::Ok);
        is_deaf.store(true, Ordering::Relaxed);
        let message = framed(&dropout(0.0, f32s(&[ELEMENTS as i64], &[1.0; ELEMENTS])).encode_to_vec());
        let mut begun = Vec::new();
        for _ in 0..MANY {
            // The server may have closed the connection already, if the pause was over.
            let Ok((answer, mut body)) = peer.send(request("Dropout")).await else { break };
            // The client does not read, so it gets no larger window for its requests.
            if body.send_data(message.clone(), true).is_err() {
                break;
            }
            begun.push(answer);
            sleep(Duration::from_millis(1)).await;
        }
        if body_timeout.is_zero() {
            until("several calls are not answered", async || scrape(&server).await[CALLS] > 1.0).await;
            others_are_served(&server).await;
            assert!(scrape(&server).await[CALLS] > 1.0);
            drop(begun);
            peer.connection.abort();
        }
        until_at(&server, CONNECTIONS, 0.0).await;
        until_at(&server, BYTES, 0.0).await;
        assert_eq!(scrape(&server).await[CALLS], 0.0);
    }
}

/// Nothing is left of a refused request while its client takes its time with the answer, which has a body in Connect.
#[tokio::test]
async fn an_error_that_is_not_taken_does_not_keep_its_request_in_the_budget() {
    let message = dropout(2.0, f32s(&[ELEMENTS as i64], &[1.0; ELEMENTS])).encode_to_vec();
    let server = start(Duration::ZERO, false).await;
    let peer = Peer::with(&granting(0), address(&server)).await;
    let mut request = request("Dropout");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/proto"));
    let answer = send(&peer, request, message.into()).await;
    until_at(&server, BYTES, 0.0).await;
    assert!(!answer.is_end_stream(), "the answer is still to be taken");
}

/// The same over HTTP/1.1. (gRPC-Web over HTTP/2 uses the same code as gRPC.)
#[tokio::test]
async fn an_answer_over_http_1_that_is_not_read_is_in_the_budget_until_it_is_cut_off() {
    const LARGE: usize = 4 * MIB;
    let message = framed(&dropout(0.0, f32s(&[LARGE as i64], &vec![1.0; LARGE])).encode_to_vec());
    for kind in ["application/grpc-web", "application/grpc-web-text"] {
        let body = if kind.ends_with("text") { base64(&message) } else { message.to_vec() };
        for body_timeout in [Duration::ZERO, PAUSE] {
            let server = start(body_timeout, false).await;
            let mut stream = narrow(&server).await;
            let head = format!(
                "POST /evenkeel.v1.TensorOpsService/Dropout HTTP/1.1\r\nhost: evenkeel\r\naccept: {kind}\r\n\
                 content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.expect("the server reads");
            stream.write_all(&body).await.expect("the server reads");
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.expect("an answer begins");
            assert_eq!(&first, b"HTTP/1.1 200");
            if body_timeout.is_zero() {
                others_are_served(&server).await;
                let series = scrape(&server).await;
                assert!(series[CALLS] == 1.0 && series[BYTES] >= (4 * LARGE) as f64, "{} {kind}", series[BYTES]);
                drop(stream);
            }
            until_at(&server, CONNECTIONS, 0.0).await;
            until_at(&server, BYTES, 0.0).await;
            assert_eq!(scrape(&server).await[CALLS], 0.0);
        }
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

/// A call whose answer is not taken is in flight: the server waits for it until the drain timeout, and no longer.
#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_them_beyond_its_time() {
    let connections = ConnectionConfig { body_timeout: Duration::ZERO, ..Default::default() };
    let server =
        Running::start(ServerConfig { connections, drain_timeout: PAUSE, ..config() }).await.expect("it starts");
    let peer = Peer::with(&granting(100), address(&server)).await;
    let (name, message) = calls(ELEMENTS).swap_remove(3);
    let _answer = ask(&peer, request(name), &message).await;
    let stopped = server.shutdown_and_wait().await;
    assert!(matches!(stopped, Err(Error::DrainTimeout { calls: 1, .. })), "{stopped:?}");
}

/// Sixty answers of 4 MiB on one connection; the budget has room for five, each with its request.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_taken_take_no_more_than_the_budget() {
    const LARGE: usize = MIB;
    const BUDGET: usize = 40 * MIB;
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=error",
            "--max-message-bytes=5242880",
            "--max-bytes-in-flight=41943040",
            "--buffer-pool-bytes=8388608",
        ],
        &[],
    );
    let message: Bytes = dropout(0.0, f32s(&[LARGE as i64], &vec![1.0; LARGE])).encode_to_vec().into();
    let attack = async {
        let peer = Peer::with(&granting(100), process.address()).await;
        let (mut kept, mut refused) = (Vec::new(), 0);
        for _ in 0..60 {
            let (answer, mut body) = peer.begin("Dropout").await;
            // An error means that the call was refused.
            let _ = body.send_data(framed(&message), true);
            let answer = answer.await.expect("headers");
            if answer.headers().contains_key("grpc-status") {
                refused += 1;
            } else {
                kept.push(answer);
            }
        }
        assert!(!kept.is_empty() && kept.len() <= BUDGET / (8 * LARGE) && refused > 0, "{} {refused}", kept.len());
    };
    // Usually it grows by 26 MiB.
    beside(&process, BUDGET + 40 * MIB, attack).await;
}
