//! Requests in frames of many sizes are normalized while they arrive; requests that are whole, small or wrong are left as they are.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use evenkeel_testing::frames;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use tonic::{Code, codegen::http::HeaderMap};

use super::*;
use crate::{CheckpointHook, buffers::Buffers, executor::Executor, grpc::Method, service::Limits, wire::Normalize};

const LIMIT: usize = 1 << 22;

fn service() -> Arc<Service> {
    let executor = Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started");
    Arc::new(Service::new(Arc::new(executor), limits(LIMIT), Vec::new()))
}

fn limits(limit: usize) -> Limits {
    Limits { message: limit, chunk: limit, frame: limit }
}

fn call() -> CallContext {
    CallContext::detached(Method::Normalize, 1 << 30)
}

/// With statistics the answer is sent when all of it is there, without them its parts are sent as they are computed.
fn request(rows: usize, return_statistics: bool) -> pb::NormalizeRequest {
    request_of([rows, 1000], return_statistics)
}

fn request_of([rows, columns]: [usize; 2], return_statistics: bool) -> pb::NormalizeRequest {
    let data: Vec<u8> = (0..rows * columns).flat_map(|i| ((i * i % 1013) as f32).to_le_bytes()).collect();
    pb::NormalizeRequest {
        kind: pb::NormKind::Layer.into(),
        return_statistics,
        input: Some(pb::Tensor {
            dtype: pb::DataType::Float32.into(),
            shape: vec![rows as i64, columns as i64],
            data: data.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn framed(request: &pb::NormalizeRequest) -> Bytes {
    frames::framed(&request.encode_to_vec())
}

fn incoming(frames: impl IntoIterator<Item = Result<Frame<Bytes>, Status>>) -> Incoming {
    let frames: Vec<_> = frames.into_iter().collect();
    Incoming::new(Body::new(StreamBody::new(tokio_stream::iter(frames))))
}

fn data(bytes: &[u8]) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

/// The message of a response that ended well, or else the code of its status.
async fn read(outcome: Outcome) -> Result<pb::NormalizeResponse, Code> {
    let Outcome::Answered(response) = outcome else { panic!("it was not answered") };
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body of ours does not fail");
    let code = |headers: &HeaderMap| headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    let code = body.trailers().and_then(code).or_else(|| code(&parts.headers)).expect("there is a status");
    if code == Code::Ok {
        Ok(pb::NormalizeResponse::decode(&body.to_bytes()[PREFIX..]).expect("a message"))
    } else {
        Err(code)
    }
}

#[tokio::test]
async fn a_tensor_of_several_parts_is_answered_as_it_arrives() {
    let service = service();
    // Parts of many rows, and rows that are long enough for the pool.
    let shapes = [[100, 1000], [3, 200_000]];
    for (shape, statistics) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let request = request_of(shape, statistics);
        let whole = service.unary::<Normalize>(call(), request.clone(), None).await.expect("it is right");
        for frame in [700, 1 << 12, 40_000, 131_072, 399_990] {
            let frames = incoming(framed(&request).chunks(frame).map(data));
            let answer = read(normalize(frames, &service, &call(), LIMIT).await).await;
            assert!(answer.as_ref() == Ok(&whole), "{shape:?}, {statistics}, frames of {frame} bytes");
        }
    }
}

#[tokio::test]
async fn parts_are_sent_before_all_has_come() {
    let service = service();
    let bytes = framed(&request(600, false));
    let (sender, frames) = tokio::sync::mpsc::unbounded_channel();
    let frames = tokio_stream::wrappers::UnboundedReceiverStream::new(frames);
    sender.send(data(&bytes[..1_300_000])).expect("it is read");
    let incoming = Incoming::new(Body::new(StreamBody::new(frames)));
    let Outcome::Answered(mut response) = normalize(incoming, &service, &call(), LIMIT).await else {
        panic!("not answered")
    };
    let mut received = 0;
    while received < 1_000_000 {
        let frame = response.body_mut().frame().await.expect("there is more").expect("a frame");
        received += frame.into_data().expect("of data").len();
    }
    sender.send(data(&bytes[1_300_000..])).expect("it is read");
    drop(sender);
    let rest = response.into_body().collect().await.expect("all of it");
    assert_eq!(rest.trailers().expect("an end")["grpc-status"], "0");
    assert!(received + rest.to_bytes().len() > 2_400_000);
}

#[tokio::test]
async fn what_is_whole_small_or_wrong_stays_as_it_came() {
    let service = service();
    let wrong = pb::NormalizeRequest { eps: Some(-1.0), ..request(100, true) };
    let cases = [(framed(&request(100, true)), usize::MAX), (framed(&request(3, true)), 999), (framed(&wrong), 9999)];
    for (bytes, frame) in cases {
        let frames = incoming(bytes.chunks(frame.min(bytes.len())).map(data));
        let Outcome::Untouched(rest) = normalize(frames, &service, &call(), LIMIT).await else {
            panic!("{} bytes in frames of {frame} were touched", bytes.len());
        };
        let read = rest.into_body([]).collect().await.expect("all of it").to_bytes();
        assert!(read == bytes, "{} bytes in frames of {frame} changed", bytes.len());
    }
}

/// With a hook, which may wait, nothing is computed on the thread that serves.
#[tokio::test]
async fn with_a_hook_a_request_stays_as_it_came() {
    let hook = CheckpointHook::new(|_| ());
    let executor = Executor::new(1, 0, Buffers::new(0), Some(hook)).expect("one thread can be started");
    let service = Arc::new(Service::new(Arc::new(executor), limits(LIMIT), Vec::new()));
    let frames = incoming(framed(&request(100, false)).chunks(1 << 12).map(data));
    assert!(matches!(normalize(frames, &service, &call(), LIMIT).await, Outcome::Untouched(_)));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused() {
    let bytes = framed(&request(100, false));
    let len = service().unary::<Normalize>(call(), request(100, false), None).await.expect("it is right").encoded_len();
    for (limit, refused) in [(len, None), (len - 1, Some(Code::ResourceExhausted))] {
        let executor = Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started");
        let service = Arc::new(Service::new(Arc::new(executor), limits(limit), Vec::new()));
        let outcome = normalize(incoming(bytes.chunks(1 << 14).map(data)), &service, &call(), LIMIT).await;
        assert_eq!(read(outcome).await.err(), refused, "{limit}");
    }
}

#[tokio::test]
async fn an_error_of_the_body_is_kept() {
    let service = service();
    let lost = || Err(Status::data_loss("on purpose"));
    for statistics in [false, true] {
        let bytes = framed(&request(600, statistics));
        // The body ends within the first part, and after it.
        for end in [60_000, 1_500_000] {
            let frames = incoming(bytes[..end].chunks(50_000).map(data).chain([lost()]));
            assert_eq!(read(normalize(frames, &service, &call(), LIMIT).await).await, Err(Code::DataLoss));
            let frames = incoming(bytes[..end].chunks(50_000).map(data));
            assert_eq!(read(normalize(frames, &service, &call(), LIMIT).await).await, Err(Code::Internal));
        }
        // An error after the message is the answer, as it is with tonic's codec.
        let frames = incoming(bytes.chunks(100_000).map(data).chain([lost()]));
        assert_eq!(read(normalize(frames, &service, &call(), LIMIT).await).await, Err(Code::DataLoss));
    }
}

#[tokio::test]
async fn dropping_the_answer_gives_up_the_call() {
    let service = service();
    let bytes = framed(&request(600, false));
    let (sender, frames) = tokio::sync::mpsc::unbounded_channel();
    let frames = tokio_stream::wrappers::UnboundedReceiverStream::new(frames);
    sender.send(data(&bytes[..1_300_000])).expect("it is read");
    let incoming = Incoming::new(Body::new(StreamBody::new(frames)));
    let Outcome::Answered(response) = normalize(incoming, &service, &call(), LIMIT).await else {
        panic!("not answered")
    };
    drop(response);
    // The body is dropped with the task that reads it.
    sender.closed().await;
}
