//! The limits on memory and time hold for Connect.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::{
    config::{AdmissionConfig, ConnectionConfig, Encoding, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use prost::Message as _;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::mpsc};
use tonic::codegen::http::Response;

use super::{
    client::{Answer, BOTH, JSON, JSON_STREAM, PROTO, SERVICE, Version},
    start,
};
use crate::{
    compression::compress,
    metrics::{config, handled, scrape},
    peer::{Peer, address, prefix, request_to},
    until::{until, within},
};

/// The settings of a server with little memory.
fn small() -> ServerConfig {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(3 << 20), ..AdmissionConfig::default() };
    ServerConfig { max_message_bytes: 1 << 20, admission, compression: vec![Encoding::Gzip], ..config() }
}

async fn holds_nothing(server: &Running) {
    until("no memory is held", async || scrape(server).await["evenkeel_bytes_in_flight"] == 0.0).await;
}

/// Texts that become more memory than there is: lists of short numbers, of empty objects, with escapes, of open lists; long and
/// compressed. Each is refused by its own error, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_become_too_much_are_refused() {
    let server = start(small()).await;
    let most = 1 << 20;
    let list = |of: &str, begin: &str, end: &str| format!("{begin}{}{end}", of.repeat((most - 100) / of.len()));
    let texts = [
        list("1,", r#"{"kind":1,"input":{"shape":[1],"floatData":["#, "1]}}"),
        list("-1,", r#"{"kind":1,"axes":["#, "1]}"),
        list(r"\u0041", r#"{"kind":1,"input":{"name":""#, r#""}}"#),
        list("[", r#"{"kind":1,"eps":"#, ""),
        list("{\"input\":", "", ""),
    ];
    for version in BOTH {
        for text in &texts {
            let plain = version.call(&server, "Normalize", JSON, &[], text.clone()).await;
            let packed = compress(Encoding::Gzip, text.as_bytes());
            let headers = [("content-type", JSON), ("content-encoding", "gzip")];
            let packed = version.call_in_frames(&server, "Normalize", &headers, &packed, 1000).await;
            for answer in [plain, packed] {
                let (code, message) = answer.error();
                let is_refused = answer.http == 429 && code == "resource_exhausted";
                assert!(is_refused || answer.http == 400 && code == "invalid_argument", "{message}");
                assert!(message.len() < 600, "{message}");
            }
        }
        let clip = list("{},", r#"{"mode":1,"threshold":1,"gradients":["#, "{}]}");
        let answer = version.call(&server, "ClipGradients", JSON, &[], clip).await;
        assert_eq!((answer.http, answer.error().0.as_str()), (429, "resource_exhausted"));
        // A message that decompresses to more than the limit.
        let bomb = compress(Encoding::Gzip, &vec![b' '; 2 << 20]);
        for (content_type, cut) in [(JSON, 100), (PROTO, 100), (JSON, 1 << 20)] {
            let headers = [("content-type", content_type), ("content-encoding", "gzip")];
            let answer = version.call_in_frames(&server, "Normalize", &headers, &bomb, cut).await;
            assert_eq!((answer.http, answer.error().0.as_str()), (429, "resource_exhausted"), "{content_type}");
        }
        // A message without its length, which is longer than the limit; the server does not read it to its end.
        for content_type in [JSON, PROTO] {
            let headers = [("content-type", content_type)];
            let answer = version.call_in_frames(&server, "Normalize", &headers, &vec![b' '; 2 << 20], 60_000).await;
            assert_eq!(answer.error().0, "resource_exhausted", "{content_type}");
        }
    }
    holds_nothing(&server).await;
    let answer = Version::Http2.call(&server, "Dropout", JSON, &[], super::ONE).await;
    assert_eq!(answer.http, 200);
}

/// A text is in the budget while it is read, and what a client has sent of it leaves the budget with the client.
#[tokio::test]
async fn a_client_that_leaves_leaves_no_memory() {
    let server = start(config()).await;
    for (index, framing) in ["content-length: 3000000", "transfer-encoding: chunked"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(address(&server)).await.expect("the server listens");
        let head = format!(
            "POST /{SERVICE}/Dropout HTTP/1.1\r\nhost: evenkeel\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
        );
        let part = " ".repeat(1_000_000);
        let body = if index == 0 { part } else { format!("{:x}\r\n{part}\r\n", part.len()) };
        stream.write_all((head + &body).as_bytes()).await.expect("the server reads");
        until("the text is held", async || scrape(&server).await["evenkeel_bytes_in_flight"] >= 1e6).await;
        drop(stream);
        let cancelled = handled("Dropout", "unary", "CANCELLED");
        until("the call has ended", async || scrape(&server).await.get(&cancelled) == Some(&(index as f64 + 1.0)))
            .await;
        holds_nothing(&server).await;
    }
}

/// A client that is silent within its body has as long as in gRPC.
#[tokio::test]
async fn a_silent_client_is_given_up() {
    let connections = ConnectionConfig { body_timeout: Duration::from_millis(100), ..ConnectionConfig::default() };
    let server = start(ServerConfig { connections, ..config() }).await;
    for version in BOTH {
        for content_type in [JSON, PROTO, JSON_STREAM] {
            let (sender, receiver) = mpsc::channel::<Result<_, std::convert::Infallible>>(1);
            let first = if content_type == JSON_STREAM {
                Bytes::from_static(b"\0\0\0\0\x09{")
            } else {
                Bytes::from_static(b"{")
            };
            sender.send(Ok(http_body::Frame::data(first))).await.expect("there is room");
            let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
            let method = if content_type == JSON_STREAM { "MeasureGradients" } else { "Dropout" };
            let path = format!("{SERVICE}/{method}");
            let response: Response<_> =
                version.send(&server, &path, &[("content-type", content_type)], BoxBody::new(body)).await;
            let answer = Answer::of(response).await;
            let code = if content_type == JSON_STREAM {
                answer.messages().1["error"]["code"].as_str().expect("text").to_owned()
            } else {
                assert_eq!(answer.http, 504);
                answer.error().0
            };
            assert_eq!(code, "deadline_exceeded", "{version:?} {content_type}");
            drop(sender);
        }
    }
    holds_nothing(&server).await;
}

/// An answer is held until its client takes it, with the text that it became.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_held_until_it_is_taken() {
    let server = start(config()).await;
    let tensor = pb::Tensor { dtype: 1, shape: vec![1 << 20], data: vec![0; 4 << 20].into(), ..Default::default() };
    let message = pb::DropoutRequest { p: Some(0.5), input: Some(tensor), ..Default::default() }.encode_to_vec();
    let text =
        format!(r#"{{"p":0.5,"input":{{"dtype":1,"shape":[1048576],"data":"{}"}}}}"#, super::base64(&vec![0; 4 << 20]));
    for (content_type, body, least) in [(PROTO, message, 4e6), (JSON, text.into_bytes(), 5.5e6)] {
        let body = BoxBody::new(Full::new(Bytes::from(body)));
        let path = format!("{SERVICE}/Dropout");
        let response = Version::Http2.send(&server, &path, &[("content-type", content_type)], body).await;
        assert_eq!(response.status(), 200);
        let held = scrape(&server).await["evenkeel_bytes_in_flight"];
        assert!(held >= least, "{content_type}: {held}");
        within("the answer ends", response.into_body().collect()).await.expect("the whole of it");
        holds_nothing(&server).await;
    }
}

/// A call whose deadline passes while it waits for its client ends, whatever its encoding.
#[tokio::test]
async fn a_deadline_ends_a_call_that_waits() {
    let server = start(config()).await;
    for version in BOTH {
        for content_type in [JSON, PROTO] {
            let (sender, receiver) = mpsc::channel::<Result<http_body::Frame<Bytes>, std::convert::Infallible>>(1);
            let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
            let headers = [("content-type", content_type), ("connect-timeout-ms", "50")];
            let response = version.send(&server, &format!("{SERVICE}/Dropout"), &headers, BoxBody::new(body)).await;
            let answer = Answer::of(response).await;
            assert_eq!((answer.http, answer.error().0.as_str()), (504, "deadline_exceeded"), "{version:?}");
            drop(sender);
        }
    }
    holds_nothing(&server).await;
}

/// Nothing is left of the memory for questions: health is answered in every protocol on a new connection.
#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_when_the_memory_for_questions_is_used_up() {
    const ALL: usize = 8 << 20;
    const LONGEST: usize = 12 << 10;
    // So much of a message is not counted.
    const FREE: usize = 4 << 10;
    // More than a stream takes.
    const STREAM: usize = 16 << 10;
    const CHECK: &str = "grpc.health.v1.Health/Check";
    let connections = ConnectionConfig { body_timeout: Duration::from_secs(3600), ..Default::default() };
    let server = start(ServerConfig { connections, ..config() }).await;
    let used = async || scrape(&server).await["evenkeel_question_bytes"] as usize;
    let (mut streams, mut messages, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    // Streams take most of it, and then messages on connections that have room for the stream take the rest.
    for _ in 0..4 {
        let peer = Peer::connect(address(&server)).await;
        for _ in 0..200 {
            streams.push(peer.send(request_to(CHECK)).await.expect("the connection is open"));
        }
        peers.push(peer);
    }
    until("streams take most of it", async || ALL - used().await < STREAM).await;
    for _ in 0..64 {
        let before = used().await;
        let takes = (ALL - before).min(LONGEST - FREE);
        if takes > 0 {
            let peer = Peer::connect(address(&server)).await;
            let (answer, mut body) = peer.send(request_to(CHECK)).await.expect("the connection is open");
            body.send_data(prefix((takes + FREE) as u32), false).expect("the connection is open");
            // It is refused if a stream came before it.
            let answer = tokio::spawn(answer);
            until("the message is counted or refused", async || used().await != before || answer.is_finished()).await;
            messages.push((answer, body));
            peers.push(peer);
        }
    }
    assert_eq!(used().await, ALL, "all is used");
    for version in BOTH {
        for content_type in [JSON, PROTO] {
            let text = Bytes::from(if content_type == JSON { "{}" } else { "" });
            let body = BoxBody::new(Full::new(text));
            let answer = Answer::of(version.send(&server, CHECK, &[("content-type", content_type)], body).await).await;
            assert_eq!(answer.http, 200, "{version:?} {content_type}: {answer:?}");
        }
    }
    assert_eq!(used().await, ALL, "all is used until the end");
    drop((streams, messages, peers));
}
