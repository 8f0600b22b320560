//! Answers as segments: the fields that describe a tensor are encoded, and its elements are sent without a copy.

use std::collections::VecDeque;

use bytes::Bytes;
use evenkeel_frames::{self as frames, SegmentBody, segments};
use evenkeel_proto::v1 as pb;
use http_body::Body as HttpBody;
use prost::Message;
use tonic::{
    body::Body,
    codegen::http::{HeaderValue, Response, header::CONTENT_TYPE},
};

use crate::grpc::{BoxError, trailers};

/// A message that ends in one field of tensors.
pub(super) trait Answer: Message {
    /// The number of that field, the message's highest.
    const TENSORS: u32;

    /// Takes the tensors out of the message.
    fn take_tensors(&mut self) -> Vec<pb::Tensor>;
}

macro_rules! answer {
    ($($message:ident.$field:ident = $number:literal),* $(,)?) => {$(
        impl Answer for pb::$message {
            const TENSORS: u32 = $number;

            fn take_tensors(&mut self) -> Vec<pb::Tensor> {
                std::mem::take(&mut self.$field).into_iter().collect()
            }
        }
    )*};
}

/// Implements [`Answer`] for messages without tensors. The number of their field is never used.
macro_rules! answer_without_tensors {
    ($($message:ident),* $(,)?) => {$(
        impl Answer for pb::$message {
            const TENSORS: u32 = u32::MAX;

            fn take_tensors(&mut self) -> Vec<pb::Tensor> {
                Vec::new()
            }
        }
    )*};
}

answer_without_tensors! { GetServerInfoResponse, MeasureGradientsResponse, StatisticsPartial }

answer! {
    NormalizeResponse.output = 14,
    NormalizeBackwardResponse.grad_input = 12,
    DropoutResponse.output = 15,
    DropoutBackwardResponse.grad_input = 15,
    ClipGradientsResponse.gradients = 15,
}

/// The response with this answer. The bytes are those of prost's encoding.
pub(super) fn respond<A: Answer>(mut answer: A) -> Response<Body> {
    let tensors = answer.take_tensors().into_iter().map(|tensor| (A::TENSORS, tensor));
    into_response(ended_well(segments(&answer, tensors)))
}

/// A gRPC response with this body.
pub(super) fn into_response(
    body: impl HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The response with this answer, whose one tensor is empty and gets the bytes of `parts` for its elements.
pub(super) fn respond_in_parts(answer: impl Answer, parts: Vec<Bytes>) -> Response<Body> {
    let mut segments = VecDeque::from(parts);
    segments.push_front(opening(answer, segments.iter().map(Bytes::len).sum()));
    into_response(ended_well(segments))
}

/// The bytes of an answer before its elements: gRPC's prefix, and the fields up to the length of the elements. `answer` has one
/// tensor, without its `data_len` bytes of elements.
pub(super) fn opening<A: Answer>(mut answer: A, data_len: usize) -> Bytes {
    let tensors = answer.take_tensors();
    let [tensor] = &tensors[..] else { unreachable!("an answer with elements to come has one tensor") };
    frames::opening(&answer, (A::TENSORS, tensor), data_len)
}

/// The body of a response whose call ended well.
fn ended_well(segments: impl Into<VecDeque<Bytes>>) -> SegmentBody {
    SegmentBody::with_trailers(segments, trailers(&Ok(())))
}
