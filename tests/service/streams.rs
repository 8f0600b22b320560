//! Rows 42 and 43: thousands of streams, each with as many headers as are allowed, which send nothing more; and
//! thousands of watches of the health.

use bytes::Bytes;
use evenkeel_proto::v1::tensor_ops_service_server::SERVICE_NAME;
use h2::{
    Reason, SendStream,
    client::{Builder, ResponseFuture},
};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::{Code, codegen::http::Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

use crate::{
    beside::{MIB, beside},
    harness::error_info,
    peer::{Peer, framed, status},
    process::Process,
};

const HEALTH: &str = "grpc.health.v1.Health/Check";
const WATCH: &str = "grpc.health.v1.Health/Watch";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The number of connections that open streams: an eighth of the 256 that one address may have. The server has memory for the
/// headers of less than half of their streams.
const CONNECTIONS: usize = 32;
/// As many streams as one connection may have.
const STREAMS: usize = 256;
/// The number of headers for 16 KiB as HTTP/2 counts them: each is one byte on the wire, and all take some 60 KiB in
/// memory.
const REFERENCES: usize = 450;
/// The most that the process may grow: for the headers of calls and of questions (SECURITY.md), and for connections and
/// the allocator. The usual growth is 15 to 33 MiB.
const MOST: usize = (32 + 8 + 60) * MIB;

fn start() -> Process {
    Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=error",
            "--max-bytes-in-flight=67108864",
            "--max-message-bytes=16777216",
        ],
        &[],
    )
}

fn request(path: &str, references: usize) -> Request<()> {
    let mut request = Request::post(format!("http://evenkeel/{path}")).header("content-type", "application/grpc");
    for _ in 0..references {
        request = request.header("x", "y");
    }
    request.body(()).expect("a request")
}

/// Opens streams that send nothing after their headers, on connections that stay open.
async fn half_open(process: &Process, path: &str) -> Vec<(Peer, Vec<(ResponseFuture, SendStream<Bytes>)>)> {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let peer = Peer::connect(process.address()).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(peer.send(request(path, REFERENCES)).await.expect("the connection is open"));
        }
        open.push((peer, streams));
    }
    open
}

/// Checks on a new connection that the health of the server, and of the tensor service, is answered.
pub(crate) async fn health_answers(process: &Process) {
    let peer = Peer::connect(process.address()).await;
    for service in ["", SERVICE_NAME] {
        let (answer, mut body) = peer.send(request(HEALTH, 0)).await.expect("the connection is open");
        let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
        body.send_data(framed(&message), true).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_take_no_more_than_all_streams_may_hold() {
    for (path, memory) in [
        (HEALTH, "health and reflection"),
        (REFLECTION, "health and reflection"),
        ("evenkeel.v1.TensorOpsService/Dropout", "open streams"),
        ("evenkeel.v1.TensorOpsService/Unknown", "open streams"),
    ] {
        let process = start();
        let attack = async {
            let mut open = half_open(&process, path).await;
            health_answers(&process).await;
            // The last stream came when all memory for streams was taken.
            let (answer, _body) = open[CONNECTIONS - 1].1.pop().expect("there is one");
            let refused = status(answer).await.expect("an answer");
            let is_unknown = path.ends_with("Unknown") && refused.code() == Code::Unimplemented;
            assert!(refused.code() == Code::ResourceExhausted || is_unknown, "{path}: {refused:?}");
            if !is_unknown {
                assert_eq!(error_info(&refused).reason, "OVERLOADED");
                assert!(refused.message().contains(memory), "{path}: {refused:?}");
            }
        };
        beside(&process, MOST, attack).await;
        // All of the memory is given back.
        health_answers(&process).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_by_the_thousand_are_bounded_and_health_answers() {
    let process = start();
    let message = framed(&HealthCheckRequest::default().encode_to_vec());
    let attack = async {
        let (mut peers, mut watches, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..CONNECTIONS {
            let peer = Peer::connect(process.address()).await;
            for _ in 0..STREAMS {
                let (answer, mut body) = peer.send(request(WATCH, 0)).await.expect("the connection is open");
                // An error means that the call has been refused already.
                let _ = body.send_data(message.clone(), true);
                let answer = answer.await.expect("headers");
                if answer.headers().contains_key("grpc-status") {
                    refused += 1;
                } else {
                    let mut answer = answer.into_body();
                    assert!(answer.data().await.expect("it says SERVING").is_ok());
                    watches.push(answer);
                }
            }
            peers.push(peer);
        }
        health_answers(&process).await;
        (watches.len(), refused)
    };
    let (watched, refused) = beside(&process, MOST, attack).await;
    assert!(watched >= 4 * CONNECTIONS && refused > CONNECTIONS * STREAMS / 2, "{watched} {refused}");
}

/// A frame of one byte takes some 300 bytes of memory until it is read. The HTTP/2 library limits what small frames
/// take beside their bytes, to half of the connection's window, and ends the connection beyond it.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_one_byte_that_nobody_reads_are_bounded() {
    const FLOODS: usize = 4;
    const FRAMES: usize = 400_000;
    let process = start();
    let attack = async {
        let address = process.address();
        let flood = || async move {
            let peer = Peer::with(Builder::new().initial_window_size(0), address).await;
            let (answer, mut body) = peer.send(request(REFLECTION, 0)).await.expect("the connection is open");
            // The answers to these questions are not taken, so at some point the server reads no further question.
            let symbol = MessageRequest::FileContainingSymbol(SERVICE_NAME.to_owned());
            let question = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
            let question = framed(&question.encode_to_vec());
            for _ in 0..100 {
                body.send_data(question.clone(), false).expect("the connection is open");
            }
            let answer = answer.await.expect("headers");
            for _ in 0..FRAMES {
                if body.send_data(Bytes::from_static(&[0]), false).is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let ended = peer.connection.await.expect("no panic").expect_err("the server ends it");
            drop(answer);
            ended.reason()
        };
        let floods: JoinSet<_> = (0..FLOODS).map(|_| flood()).collect();
        for reason in floods.join_all().await {
            assert_eq!(reason, Some(Reason::ENHANCE_YOUR_CALM));
        }
        health_answers(&process).await;
    };
    // Unread frames of each flood: half of its window, for their bytes and for the memory beside them. The usual growth is 62 MiB;
    // if all frames were kept, it would be 480 MB.
    beside(&process, (FLOODS * 16 + 96) * MIB, attack).await;
}
