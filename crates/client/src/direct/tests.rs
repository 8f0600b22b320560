//! Every response, however its frames are cut and however it ends, gives the same result directly and through tonic's codec.

use std::{convert::Infallible, future::Ready};

use evenkeel_proto::v1 as pb;
use evenkeel_testing::frames::{self, framed};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;
use prost::Message as _;
use tonic::codegen::http::{HeaderMap, HeaderValue};

use super::*;

/// The largest response that is taken; some are larger.
const LIMIT: usize = 60_000;

/// A server's response as it is on the wire.
#[derive(Clone, Debug)]
struct Wired {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    frames: Vec<Bytes>,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Trailers(Vec<(&'static str, &'static str)>),
    Error(tonic::Code),
    Nothing,
}

impl Service<http::Request<Body>> for Wired {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let map = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            pairs.map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
        };
        let mut frames: Vec<Result<Frame<Bytes>, Status>> =
            self.frames.iter().cloned().map(Frame::data).map(Ok).collect();
        match &self.end {
            End::Trailers(trailers) => frames.push(Ok(Frame::trailers(map(trailers)))),
            End::Error(code) => frames.push(Err(Status::new(*code, "broken"))),
            End::Nothing => {}
        }
        let mut response = http::Response::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
        *response.status_mut() = self.status.try_into().expect("a status");
        let headers: HeaderMap = map(&self.headers);
        response.headers_mut().extend(headers);
        std::future::ready(Ok(response))
    }
}

/// The message of a response with its elements in their place, or everything in its status.
type Outcome<A> = Result<A, (tonic::Code, String, Vec<u8>, String, bool)>;

/// Gives an answer's last tensor its elements back.
trait Last {
    fn last(&mut self) -> Option<&mut pb::Tensor>;
}

impl Last for pb::NormalizeResponse {
    fn last(&mut self) -> Option<&mut pb::Tensor> {
        self.output.as_mut()
    }
}

impl Last for pb::ClipGradientsResponse {
    fn last(&mut self) -> Option<&mut pb::Tensor> {
        self.gradients.last_mut()
    }
}

fn outcome<A: Last>(result: Result<Answer<A>, Status>) -> (Outcome<A>, bool) {
    match result {
        Ok(Answer { mut message, landed }) => {
            let has_landed = landed.is_some();
            if let Some(landed) = landed {
                message.last().expect("what has landed belongs to one").data = landed.into_le_bytes();
            }
            (Ok(message), has_landed)
        }
        Err(status) => {
            let source = status.source().is_some();
            let metadata = format!("{:?}", status.metadata());
            (Err((status.code(), status.message().to_owned(), status.details().to_vec(), metadata, source)), false)
        }
    }
}

/// The results of a response directly and through the codec, and whether elements have landed directly.
fn both<M: Method<Answer: Last>>(wired: &Wired) -> (Outcome<M::Answer>, Outcome<M::Answer>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let direct = runtime.block_on(unary(wired.clone(), LIMIT, Request::new(M::default())));
    let codec = runtime.block_on(by_codec(wired.clone(), LIMIT, Request::new(M::default())));
    let ((direct, landed), (codec, _)) = (outcome(direct), outcome(codec));
    (direct, codec, landed)
}

fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Bytes> {
    frames::cut(bytes, places.iter().map(|place| place.index(bytes.len() + 1)))
}

fn tensors() -> impl Strategy<Value = pb::Tensor> {
    let bytes = prop_oneof![0usize..40, 0usize..70_000];
    (bytes, 0i32..6, any::<bool>(), any::<bool>()).prop_map(|(bytes, dtype, named, typed)| pb::Tensor {
        name: if named { "x".to_owned() } else { String::new() },
        dtype,
        shape: vec![bytes as i64, 1],
        float_data: if typed { vec![1.0; 2] } else { Vec::new() },
        // No NaN, which would not equal itself.
        data: (0..bytes).map(|i| if i % 2 == 1 { 0x3F } else { (i * i % 251) as u8 }).collect::<Vec<_>>().into(),
    })
}

fn ends() -> impl Strategy<Value = End> {
    let trailers = prop::sample::select(vec![
        vec![],
        vec![("grpc-status", "0")],
        vec![("grpc-status", "0"), ("x-end", "1")],
        vec![("grpc-status", "8"), ("grpc-message", "enough"), ("grpc-status-details-bin", "AAEC")],
        vec![("grpc-status", "nonsense")],
    ]);
    let code = prop::sample::select(vec![tonic::Code::Cancelled, tonic::Code::Unknown, tonic::Code::Internal]);
    prop_oneof![
        5 => Just(End::Trailers(vec![("grpc-status", "0")])),
        3 => trailers.prop_map(End::Trailers),
        1 => code.prop_map(End::Error),
        1 => Just(End::Nothing),
    ]
}

/// Places where bytes are changed, left out, added or repeated.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, usize)>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0usize..5);
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(change, 1..4)]
}

fn answers(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Wired> {
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
    let headers = prop::sample::select(vec![
        vec![],
        vec![],
        vec![],
        vec![("grpc-encoding", "identity")],
        vec![("grpc-encoding", "gzip")],
        vec![("grpc-status", "5"), ("grpc-message", "gone")],
        vec![("grpc-status", "0")],
    ]);
    let status = prop_oneof![9 => Just(200), 1 => Just(503)];
    (message, cuts, headers, status, ends(), changes()).prop_map(|(message, cuts, headers, status, end, changes)| {
        let mut bytes = framed(&message).to_vec();
        for (place, byte, change) in changes {
            let place = place.index(bytes.len().max(1));
            match change {
                0 if !bytes.is_empty() => bytes[place] = byte,
                1 => bytes.truncate(place),
                2 => bytes.insert(place.min(bytes.len()), byte),
                3 => bytes.insert(place.min(60).min(bytes.len()), byte),
                _ => bytes.extend_from_slice(&framed(&message)),
            }
        }
        Wired { status, headers, frames: cut(&bytes, &cuts), end }
    })
}

/// A message, and now and then its fields in another order or twice.
fn shuffled(answer: impl prost::Message + Default + Clone, first: impl prost::Message, order: u8) -> Vec<u8> {
    let (last, first) = (answer.encode_to_vec(), first.encode_to_vec());
    match order {
        0..=4 => [first, last].concat(),
        5 => [last, first].concat(),
        6 => [last.clone(), last].concat(),
        _ => [vec![0x1B, 0x1C], last].concat(), // a group, of which nothing is known
    }
}

fn normalized() -> impl Strategy<Value = Vec<u8>> {
    (prop::option::of(tensors()), prop::option::of(tensors()), 0u8..8).prop_map(|(output, mean, order)| {
        let answer = pb::NormalizeResponse { output, ..Default::default() };
        shuffled(answer, pb::NormalizeResponse { axes: vec![1], mean, ..Default::default() }, order)
    })
}

fn clipped() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(tensors(), 0..3), 0u8..8).prop_map(|(gradients, order)| {
        let answer = pb::ClipGradientsResponse { gradients, ..Default::default() };
        shuffled(answer, pb::ClipGradientsResponse { total_norm: 2.0, ..Default::default() }, order)
    })
}

/// Whether an answer was refused since it has more than one message.
fn has_several<A>(outcome: &Outcome<A>) -> bool {
    outcome.as_ref().is_err_and(|error| error.1 == several().message())
}

/// An answer of several messages is refused, however it is cut.
#[test]
fn an_answer_is_one_message() {
    let message = framed(&pb::NormalizeResponse { axes: vec![1], ..Default::default() }.encode_to_vec()).to_vec();
    for len in [1, 3, message.len(), 3 * message.len()] {
        let frames = message.repeat(3).chunks(len).map(Bytes::copy_from_slice).collect();
        let wired = Wired { status: 200, headers: vec![], frames, end: End::Trailers(vec![("grpc-status", "0")]) };
        let (direct, codec, _) = both::<pb::NormalizeRequest>(&wired);
        assert!(has_several(&direct) && codec.is_ok(), "{len}: {:?}", direct.err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn normalized_arrays_arrive_alike(wired in answers(normalized())) {
        let (direct, codec, _) = both::<pb::NormalizeRequest>(&wired);
        // The codec takes the first of several messages.
        prop_assume!(!has_several(&direct));
        prop_assert!(direct == codec, "{:?} and {:?}", direct.err(), codec.err());
    }

    #[test]
    fn clipped_gradients_arrive_alike(wired in answers(clipped())) {
        let (direct, codec, _) = both::<pb::ClipGradientsRequest>(&wired);
        // The codec takes the first of several messages.
        prop_assume!(!has_several(&direct));
        prop_assert!(direct == codec, "{:?} and {:?}", direct.err(), codec.err());
    }
}

/// The elements of a response as the server writes it land, unless it came in one frame.
#[test]
fn elements_land() {
    let tensor = pb::Tensor {
        dtype: pb::DataType::Float32.into(),
        shape: vec![10_000],
        data: vec![1; 40_000].into(),
        ..Default::default()
    };
    let answer = pb::NormalizeResponse { axes: vec![0], ..Default::default() };
    let segments = segments(&answer, [(14, tensor)]);
    assert_eq!(segments.len(), 2);
    let parts: Vec<Bytes> = segments.concat().chunks(9_999).map(Bytes::copy_from_slice).collect();
    let whole = vec![Bytes::from(segments.concat())];
    for (frames, lands) in [(segments, true), (parts, true), (whole, false)] {
        let wired = Wired { status: 200, headers: vec![], frames, end: End::Trailers(vec![("grpc-status", "0")]) };
        let (direct, codec, landed) = both::<pb::NormalizeRequest>(&wired);
        assert!(direct.is_ok() && direct == codec, "{:?}", direct.err());
        assert_eq!(landed, lands);
    }
}

/// The body of a request has the bytes that tonic would send, and large elements are not copied.
#[tokio::test]
async fn requests_are_sent_as_they_are() {
    let data = Bytes::from(vec![3; 1 << 15]);
    let tensor = pb::Tensor { data: data.clone(), ..Default::default() };
    let request = || pb::NormalizeBackwardRequest {
        groups: 2,
        weight: Some(tensor.clone()),
        input: Some(tensor.clone()),
        grad_output: Some(tensor.clone()),
        ..Default::default()
    };
    let mut sent = request();
    let tensors = sent.take_tensors();
    let mut body = SegmentBody::new(segments(&sent, tensors));
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame;
        frames.push(frame.into_data().expect("there are no trailers"));
    }
    assert!(body.is_end_stream());
    assert_eq!(frames.concat(), framed(&request().encode_to_vec()));
    assert_eq!(frames.iter().filter(|frame| frame.as_ptr() == data.as_ptr()).count(), 2);
}
