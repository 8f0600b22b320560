//! Row 63: readers that stop within a frame. The frame has left HTTP/2's window, and stays in memory until all of it was read.

use std::future::poll_fn;

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use bytes::Bytes;
use evenkeel::{
    config::{ServerConfig, WebConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use h2::{
    SendStream,
    client::{Builder, ResponseFuture},
};
use hyper::http::Request;
use pb::{ClipMode, NormKind};
use prost::Message as _;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

use crate::{
    harness::{f32s, normalize},
    metrics::{config, scrape},
    peer::{Peer, address, framed},
    taken,
    tensor_streams::described,
    until::until,
};

/// The bytes of a frame: fewer than h2's client keeps until a server has opened its window.
const FRAME: usize = 300_000;
/// The calls of a case.
const CALLS: usize = 4;
const BYTES: &str = "evenkeel_bytes_in_flight";
const QUESTIONS: &str = "evenkeel_question_bytes";

/// Sends these bytes as one frame.
async fn send(body: &mut SendStream<Bytes>, frame: Bytes) {
    body.reserve_capacity(frame.len());
    while body.capacity() < frame.len() {
        poll_fn(|cx| body.poll_capacity(cx)).await.expect("the call is open").expect("the connection is open");
    }
    body.send_data(frame, false).expect("the call is open");
}

/// Calls whose answers are not taken, and which stay open.
struct Held {
    _peer: Peer,
    _calls: Vec<(ResponseFuture, SendStream<Bytes>)>,
}

/// Sends one frame on each of [`CALLS`] calls, and waits until the frames are counted.
async fn expect_counted(server: &Running, path: &str, gauge: &str, frame: &Bytes) -> Held {
    expect_counted_of(server, "application/grpc", path, gauge, frame).await
}

async fn expect_counted_of(server: &Running, content: &str, path: &str, gauge: &str, frame: &Bytes) -> Held {
    let peer = Peer::with(Builder::new().initial_window_size(0), address(server)).await;
    let before = scrape(server).await[gauge];
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let request = Request::post(format!("http://evenkeel/{path}")).header("content-type", content);
        let (answer, mut body) = peer.send(request.body(()).expect("a request")).await.expect("the connection is open");
        send(&mut body, frame.clone()).await;
        calls.push((answer, body));
    }
    let all = before + (CALLS * frame.len()) as f64;
    until(&format!("the frames of {path} are counted"), async || scrape(server).await[gauge] >= all).await;
    Held { _peer: peer, _calls: calls }
}

/// Waits until nothing is counted.
async fn expect_nothing(server: &Running, gauge: &str) {
    until(&format!("{gauge} is 0"), async || scrape(server).await[gauge] == 0.0).await;
}

/// As many messages as a frame has room for.
fn repeated(header: &[u8], message: &[u8]) -> Bytes {
    let (header, message) = (if header.is_empty() { Bytes::new() } else { framed(header) }, framed(message));
    let count = (FRAME - header.len()) / message.len();
    [header, message.repeat(count).into()].concat().into()
}

/// The reader waits for a client that does not take its answer.
#[tokio::test(flavor = "multi_thread")]
async fn frames_are_reserved_while_answers_are_not_taken() {
    use pb::clip_gradients_stream_request::Part;
    let web = WebConfig { grpc_web: true, ..Default::default() };
    let server = Running::start(ServerConfig { web, ..config() }).await.expect("the server starts");
    let clip = |part| pb::ClipGradientsStreamRequest { part: Some(part) }.encode_to_vec();
    let header = pb::ClipGradientsRequest { mode: ClipMode::Value.into(), threshold: Some(1.0), ..Default::default() };
    let tensor = clip(Part::Tensor(described(pb::DataType::Float32, &[0])));
    let frame = repeated(&clip(Part::Header(header)), &tensor);
    let path = "evenkeel.v1.TensorOpsService/ClipGradientsStream";
    drop(expect_counted(&server, path, BYTES, &frame).await);
    expect_nothing(&server, BYTES).await;
    // gRPC-Web translates a frame of text piece by piece, and keeps all of it.
    let text = STANDARD.encode(&frame).into();
    drop(expect_counted_of(&server, "application/grpc-web-text", path, BYTES, &text).await);
    expect_nothing(&server, BYTES).await;
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let question = ServerReflectionRequest { host: String::new(), message_request }.encode_to_vec();
    let path = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    drop(expect_counted(&server, path, QUESTIONS, &repeated(&[], &question)).await);
    expect_nothing(&server, QUESTIONS).await;
}

/// The reader waits for the compute thread.
#[tokio::test(flavor = "multi_thread")]
async fn frames_are_reserved_while_no_thread_computes() {
    let (server, taken) = taken::start().await;
    let small = || f32s(&[2, 2500], &[1.0; 5000]);
    let gradients = pb::MeasureGradientsRequest { gradients: vec![small()], ..Default::default() }.encode_to_vec();
    let part = pb::measure_statistics_request::Part::Header(normalize(NormKind::Layer, small()));
    let statistics = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() }.encode_to_vec();
    let mut held = Vec::new();
    for (method, message) in [("MeasureGradients", gradients), ("MeasureStatistics", statistics)] {
        let path = format!("evenkeel.v1.TensorOpsService/{method}");
        held.push(expect_counted(&server, &path, BYTES, &repeated(&[], &message)).await);
    }
    drop(held);
    taken.release().await;
    expect_nothing(&server, BYTES).await;
}
