//! Clients of HTTP/1.1 that keep the server waiting, and the end of a server that has such clients.

use std::time::Duration;

use evenkeel::{
    config::{ConnectionConfig, ServerConfig},
    server::Running,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::interval,
};

use super::{any_origin, start};
use crate::{
    harness::{dropout, f32s},
    metrics::scrape,
    peer::{address, framed},
    until::{until, within},
};

/// A timeout that is short, and long enough for everything that must happen within it on a busy machine.
const SHORT: Duration = Duration::from_secs(2);

async fn with(connections: ConnectionConfig) -> Running {
    start(ServerConfig { connections, metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..any_origin() }).await
}

async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(address(server)).await.expect("the server listens")
}

fn head(length: usize) -> Vec<u8> {
    format!(
        "POST /evenkeel.v1.TensorOpsService/Dropout HTTP/1.1\r\nhost: evenkeel\r\n\
         content-type: application/grpc-web\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// A whole call.
fn call() -> Vec<u8> {
    let message = framed(&dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
    [&head(message.len())[..], &message].concat()
}

/// Reads until the answer has this text, which must be in its last bytes.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    loop {
        let so_far = String::from_utf8_lossy(&all).to_lowercase();
        if so_far.contains(text) {
            return so_far;
        }
        let read = within(text, stream.read_buf(&mut all)).await.expect("an answer");
        assert_ne!(read, 0, "{so_far:?} ends without {text}");
    }
}

/// Waits until the server closes the connection; returns what it sent.
async fn closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset also ends the connection.
    let _ = within("the server closes", stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).to_lowercase()
}

/// Row 29, and headers that trickle.
#[tokio::test]
async fn headers_that_do_not_come_are_not_waited_for() {
    let server = with(ConnectionConfig { handshake_timeout: SHORT, ..Default::default() }).await;
    let whole = head(0);
    let mut all = Vec::new();
    for begins in [0, 1, 5, 40, whole.len() - 2] {
        let mut stream = connect(&server).await;
        stream.write_all(&whole[..begins]).await.expect("the server reads");
        all.push(stream);
    }
    for stream in &mut all {
        closed(stream).await;
    }
    let (mut read, mut write) = connect(&server).await.into_split();
    let trickling = tokio::spawn(async move {
        let mut every = interval(Duration::from_millis(20));
        write.write_all(b"POST / HTTP/1.1\r\nx-slow: ").await.expect("the server reads");
        while write.write_all(b"x").await.is_ok() {
            every.tick().await;
        }
    });
    let mut said = Vec::new();
    let _ = within("the server closes", read.read_to_end(&mut said)).await;
    within("nothing can be sent any more", trickling).await.expect("it ends");

    // The same timeout applies to an idle connection after a call.
    let mut idle = connect(&server).await;
    idle.write_all(&call()).await.expect("the server reads");
    read_until(&mut idle, "grpc-status:0").await;
    closed(&mut idle).await;
}

#[tokio::test]
async fn headers_have_a_largest_size() {
    let server = with(ConnectionConfig::default()).await;
    let mut stream = connect(&server).await;
    let large = format!("POST / HTTP/1.1\r\nhost: evenkeel\r\nx-large: {}\r\n\r\n", "x".repeat(40 << 10));
    // An error means that the request has been answered already.
    let _ = stream.write_all(large.as_bytes()).await;
    assert!(closed(&mut stream).await.starts_with("http/1.1 431"));
}

/// Rows 21 and 22.
#[tokio::test]
async fn a_message_that_does_not_come_is_not_waited_for() {
    let server = with(ConnectionConfig { body_timeout: SHORT, ..Default::default() }).await;
    let whole = call();
    for missing in [1, 10] {
        let mut stream = connect(&server).await;
        stream.write_all(&whole[..whole.len() - missing]).await.expect("the server reads");
        // DEADLINE_EXCEEDED.
        read_until(&mut stream, "grpc-status: 4\r\n").await;
    }
}

/// Calls in flight are answered, idle connections are closed, and a connection that has sent nothing does not delay the
/// end.
#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_begun() {
    let server = with(ConnectionConfig::default()).await;
    let mut idle = connect(&server).await;
    idle.write_all(&call()).await.expect("the server reads");
    read_until(&mut idle, "grpc-status:0").await;
    let silent = connect(&server).await;
    let mut busy = connect(&server).await;
    let whole = call();
    busy.write_all(&whole[..whole.len() - 1]).await.expect("the server reads");
    until("the call is in flight", async || scrape(&server).await["evenkeel_calls_in_flight"] >= 1.0).await;
    let stopping = tokio::spawn(server.shutdown_and_wait());
    // The server has begun to stop.
    closed(&mut idle).await;
    busy.write_all(&whole[whole.len() - 1..]).await.expect("the server reads");
    let answer = closed(&mut busy).await;
    assert!(answer.contains("grpc-status:0") && answer.contains("connection: close"), "{answer}");
    drop(busy);
    within("the server ends", stopping).await.expect("no panic").expect("it ends well");
    drop(silent);
}
