//! Requests that are no calls of gRPC, and bytes that are no HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::{
    config::{ConnectionConfig, ServerConfig, WebConfig},
    server::Running,
};
use h2::{Reason, RecvStream, client::ResponseFuture};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{
    Code,
    codegen::http::{Request, Response, request::Builder},
};

use crate::{
    harness::{dropout, f32s, start, start_with},
    hostile::{DATA, frame, goaway},
    metrics::{config, handled, scrape, value},
    peer::{PREFACE, Peer, address},
    until::within,
};

const DROPOUT: &str = "http://evenkeel/evenkeel.v1.TensorOpsService/Dropout";

/// Neither Connect nor HTTP/1.1 is spoken.
fn grpc_alone() -> WebConfig {
    WebConfig { connect: Some(false), ..WebConfig::default() }
}

/// An answer with the whole of its body.
async fn whole(answer: ResponseFuture) -> Result<Response<Vec<u8>>, h2::Error> {
    let (head, mut body): (_, RecvStream) = answer.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        bytes.extend_from_slice(&data?);
    }
    Ok(Response::from_parts(head, bytes))
}

/// Sends a request with this body, and ends it if `ends`; returns the answer.
async fn answer(peer: &Peer, request: Builder, body: Bytes, ends: bool) -> Result<Response<Vec<u8>>, h2::Error> {
    let (answer, mut sending) = peer.send(request.body(()).expect("a request")).await?;
    sending.send_data(body, ends)?;
    within("the answer ends", whole(answer)).await
}

/// Row 26: requests with another method or content type get an HTTP error, with a text unless it is HEAD, and hold no
/// memory.
#[tokio::test]
async fn what_is_no_call_gets_an_answer_of_http() {
    let server = Running::start(ServerConfig { web: grpc_alone(), ..config() }).await.expect("the server starts");
    let peer = Peer::connect(address(&server)).await;
    for (method, uri, content_type, status, words) in [
        ("GET", DROPOUT, "application/grpc", 405, "POST"),
        ("GET", "http://evenkeel/none", "", 405, "POST"),
        ("HEAD", DROPOUT, "application/grpc", 405, ""),
        ("POST", DROPOUT, "application/json", 415, "application/grpc"),
        ("POST", DROPOUT, "", 415, "application/grpc"),
        ("POST", DROPOUT, "application/grpc+json", 415, "application/grpc"),
    ] {
        // Bodies that a call would be refused for: no message, and two messages.
        for body in [Bytes::new(), Bytes::from_static(&[0; 10])] {
            let request = Request::builder().method(method).uri(uri).header("content-type", content_type);
            let answer = answer(&peer, request, body, true).await.expect("an answer");
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers().get("allow").map(|allowed| allowed == "POST"), (status == 405).then_some(true));
            assert_eq!(answer.headers()["content-type"], "text/plain");
            let text = std::str::from_utf8(answer.body()).expect("it is text");
            assert!(text.contains(words) && text.is_empty() == words.is_empty(), "{text:?}");
        }
    }
    let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    assert_eq!(peer.call("Dropout", &message).await.expect("an answer").code(), Code::Ok);
    let series = scrape(&server).await;
    assert_eq!(series[&handled("Dropout", "unary", "UNKNOWN")], 10.0);
    assert_eq!(value(&series, "evenkeel_refused_total", &[("reason", "NOT_ONE_MESSAGE")]), 0.0);
}

/// The body is read before the HTTP error is sent: a violation of HTTP/2 in it is answered with its own error.
#[tokio::test]
async fn what_is_no_call_is_read_before_it_is_answered() {
    let (server, _client) = start().await;
    let peer = Peer::connect(address(&server)).await;
    for request in [Request::get("http://evenkeel/"), Request::post(DROPOUT)] {
        let request = request.header("content-length", "1");
        let error = answer(&peer, request, Bytes::from_static(b"four"), true).await.expect_err("these are four bytes");
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "{error:?}");
    }
}

/// A body that goes on for ever is answered after 16 KiB, and one that stops in the middle after the body timeout.
#[tokio::test]
async fn what_is_no_call_and_does_not_end_is_answered() {
    let connections = ConnectionConfig { body_timeout: Duration::from_millis(100), ..Default::default() };
    let config = ServerConfig { connections, ..ServerConfig::on_free_port() };
    let in_time = Running::start(config).await.expect("the server starts");
    let (patient, _client) = start().await;
    for (server, sent) in [(&in_time, 0), (&in_time, 1000), (&patient, 16 << 10)] {
        let peer = Peer::connect(address(server)).await;
        let answer = answer(&peer, Request::post(DROPOUT), vec![b' '; sent].into(), false).await;
        assert_eq!(answer.expect("an answer").status(), 415, "after {sent} bytes");
    }
}

/// The server does not reset the connection because of bytes that the client still sends, so that the client can read
/// the answer to its end.
#[tokio::test]
async fn who_speaks_no_http_2_can_read_to_the_end() {
    const PROTOCOL_ERROR: u32 = 1;
    let (server, _client) = start_with(ServerConfig { web: grpc_alone(), ..ServerConfig::on_free_port() }).await;
    let much = vec![b'.'; 1 << 20];
    let of_nothing = [PREFACE, &frame(DATA, 0, 0, b"data of no stream")].concat();
    for (begins, reason) in
        [(&b"GET / HTTP/1.1\r\nhost: evenkeel\r\n\r\n"[..], None), (&of_nothing, Some(PROTOCOL_ERROR))]
    {
        let mut stream = TcpStream::connect(address(&server)).await.expect("the server listens");
        stream.write_all(begins).await.expect("the server reads");
        stream.write_all(&much).await.expect("the server reads on");
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        within("the connection ends", read).await.expect("it is not reset");
        assert_eq!(goaway(&said), reason, "{said:?}");
    }
}
