//! Rows 42 and 43: streams by the thousand, each with as many headers as may be, which send nothing more; and watches of
//! health.

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

/// As many as one address may have, but for those of the callers beside them.
const CONNECTIONS: usize = 32;
/// As many as one connection may have.
const STREAMS: usize = 256;
/// Sixteen KiB of headers as HTTP/2 counts them: a byte each on the wire, and some 60 KiB in memory.
const REFERENCES: usize = 450;
/// What all streams may hold (SECURITY.md), of calls and of questions, and with what connections and the allocator take.
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

/// Streams that are begun and send nothing more, on connections that stay.
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

/// A new connection on which health answers, and says so of the tensor service, too.
async fn health_answers(process: &Process) {
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
    for path in [HEALTH, REFLECTION, "evenkeel.v1.TensorOpsService/Dropout", "evenkeel.v1.TensorOpsService/Unknown"] {
        let process = start();
        let attack = async {
            let mut open = half_open(&process, path).await;
            health_answers(&process).await;
            // The last one has come when all places were taken.
            let (answer, _body) = open[CONNECTIONS - 1].1.pop().expect("there is one");
            let refused = status(answer).await.expect("an answer");
            let is_unknown = path.ends_with("Unknown") && refused.code() == Code::Unimplemented;
            assert!(refused.code() == Code::ResourceExhausted || is_unknown, "{path}: {refused:?}");
            if !is_unknown {
                assert_eq!(error_info(&refused).reason, "OVERLOADED");
            }
        };
        beside(&process, MOST, attack).await;
        // All of it comes back.
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
                // An error says that it is refused already.
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

/// A frame of one byte takes some 300 bytes while nobody has read it. The HTTP/2 library has a budget for what small frames
/// take beside their bytes, half of the connection's window, and ends the connection beyond it.
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
            // Questions whose answers are not taken: at some point nobody reads the next one.
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
    // What is unread of each: half of its window, for bytes and for what they take.
    beside(&process, (FLOODS * 16 + 8 + 60) * MIB, attack).await;
}
