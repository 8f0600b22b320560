//! What HTTP/1.1 lets a client do that HTTP/2 does not.

use std::time::Duration;

use evenkeel::{
    config::{ConnectionConfig, ServerConfig},
    server::Running,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{ONE, start};
use crate::{
    metrics::{config, handled, scrape},
    peer::address,
    until::{until, within},
};

const PATH: &str = "/evenkeel.v1.TensorOpsService/Dropout";

fn head(more: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nhost: evenkeel\r\ncontent-type: application/json\r\n{more}\r\n")
}

fn whole() -> String {
    format!("{}{ONE}", head(&format!("content-length: {}\r\n", ONE.len())))
}

async fn connected(server: &Running) -> TcpStream {
    TcpStream::connect(address(server)).await.expect("the server listens")
}

/// Reads until the answer ends with these bytes.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let read = async {
        while !said.ends_with(end.as_bytes()) {
            let byte = stream.read_u8().await.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&said));
            });
            said.push(byte);
        }
    };
    within("the end of an answer", read).await;
    String::from_utf8(said).expect("it is text")
}

/// The end of an answer whose length is not said before.
const END: &str = "0\r\n\r\n";

/// A connection goes on after an answer, after an error, and after a request that was no call; and requests may come before the
/// answers of those before them.
#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let server = start(config()).await;
    let mut stream = connected(&server).await;
    let wrong = head("content-length: 1\r\n") + "{";
    let no_call = format!("GET {PATH} HTTP/1.1\r\nhost: evenkeel\r\n\r\n");
    for (request, status, end) in [
        (whole(), "HTTP/1.1 200 OK", END),
        (wrong, "HTTP/1.1 400 Bad Request", END),
        (no_call, "HTTP/1.1 405 Method Not Allowed", "POST\n"),
        (whole(), "HTTP/1.1 200 OK", END),
    ] {
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let answer = read_until(&mut stream, end).await;
        assert!(answer.starts_with(status), "{answer}");
    }
    stream.write_all((whole() + &whole()).as_bytes()).await.expect("the server reads");
    for _ in 0..2 {
        assert!(read_until(&mut stream, END).await.contains(r#""kept":"1""#));
    }
    until("each call is counted", async || scrape(&server).await[&handled("Dropout", "unary", "OK")] == 4.0).await;
}

/// A body in chunks, each of a byte; and one that is sent when the server asks for it.
#[tokio::test]
async fn a_body_may_come_in_chunks_or_when_it_is_asked_for() {
    let server = start(ServerConfig::on_free_port()).await;
    let mut stream = connected(&server).await;
    let chunks: String = ONE.bytes().map(|byte| format!("1\r\n{}\r\n", char::from(byte))).collect();
    let request = head("transfer-encoding: chunked\r\n") + &chunks + "0\r\nx-trailer: ignored\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    assert!(read_until(&mut stream, END).await.contains(r#""kept":"1""#));
    let asks = head(&format!("content-length: {}\r\nexpect: 100-continue\r\n", ONE.len()));
    stream.write_all(asks.as_bytes()).await.expect("the server reads");
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(ONE.as_bytes()).await.expect("the server reads");
    assert!(read_until(&mut stream, END).await.contains(r#""kept":"1""#));
}

/// Chunks of a compressed body are not taken for the body.
#[tokio::test]
async fn a_transfer_encoding_beside_chunks_is_refused() {
    let server = start(ServerConfig::on_free_port()).await;
    let chunks = format!("{:x}\r\n{ONE}\r\n0\r\n\r\n", ONE.len());
    for encodings in
        ["transfer-encoding: gzip, chunked\r\n", "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n"]
    {
        for content_type in ["application/json", "application/proto", "application/grpc-web", "text/plain"] {
            let mut stream = connected(&server).await;
            let request = head(encodings).replace("application/json", content_type) + &chunks;
            stream.write_all((request + &whole()).as_bytes()).await.expect("the server reads");
            let answer = read_until(&mut stream, "alone\n").await;
            assert!(answer.starts_with("HTTP/1.1 501 Not Implemented"), "{content_type}: {answer}");
            assert!(answer.contains("transfer-encoding"), "{answer}");
            assert!(read_until(&mut stream, END).await.contains(r#""kept":"1""#), "the connection goes on");
        }
    }
}

/// A body that is shorter than its length, or no chunk: the call has ended, and is counted as what it was.
#[tokio::test]
async fn a_body_that_ends_too_early_is_a_client_that_left() {
    let server = start(config()).await;
    for request in [
        head("content-length: 1000\r\n") + ONE,
        head("transfer-encoding: chunked\r\n") + "5\r\n{\"p",
        head("content-length: 5\r\n"),
    ] {
        let mut stream = connected(&server).await;
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        stream.shutdown().await.expect("the connection is open");
        let mut said = Vec::new();
        within("the connection ends", stream.read_to_end(&mut said)).await.expect("it is closed");
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 499 ") && said.contains("\"canceled\""), "{said}");
    }
    until("the calls have ended", async || {
        let series = scrape(&server).await;
        series[&handled("Dropout", "unary", "CANCELLED")] == 3.0 && series["evenkeel_bytes_in_flight"] == 0.0
    })
    .await;
    let mut stream = connected(&server).await;
    let request = head("transfer-encoding: chunked\r\n") + "xyz\r\n";
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut said = Vec::new();
    within("the connection ends", stream.read_to_end(&mut said)).await.expect("it is closed");
    until("the call has ended", async || {
        let series = scrape(&server).await;
        series.iter().any(|(name, &calls)| name.contains("grpc_code=\"INTERNAL\"") && calls == 1.0)
            && series["evenkeel_bytes_in_flight"] == 0.0
    })
    .await;
}

/// A connection that is idle after a call ends with the time for the next request's headers, and is counted.
#[tokio::test]
async fn an_idle_connection_ends_and_is_counted() {
    let connections = ConnectionConfig { handshake_timeout: Duration::from_millis(300), ..Default::default() };
    let server = start(ServerConfig { connections, ..config() }).await;
    let mut stream = connected(&server).await;
    stream.write_all(whole().as_bytes()).await.expect("the server reads");
    read_until(&mut stream, END).await;
    let mut rest = Vec::new();
    within("the connection ends", stream.read_to_end(&mut rest)).await.expect("it is closed");
    let ended = "evenkeel_connections_ended_total{why=\"idle\"}";
    until("it is counted", async || scrape(&server).await[ended] == 1.0).await;
}

/// A body that is longer than its length is the next request, which is none.
#[tokio::test]
async fn bytes_behind_a_body_are_another_request() {
    let server = start(ServerConfig::on_free_port()).await;
    let mut stream = connected(&server).await;
    stream.write_all((whole() + "more of it\r\n\r\n").as_bytes()).await.expect("the server reads");
    assert!(read_until(&mut stream, END).await.contains(r#""kept":"1""#));
    let mut said = String::new();
    within("the connection ends", stream.read_to_string(&mut said)).await.expect("it is closed");
    assert!(said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{said}");
}
