//! Answers as segments: what describes a tensor is written, its elements go as they are.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use evenkeel_proto::v1 as pb;
use http_body::{Body as HttpBody, Frame};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE},
};

/// Elements of less are copied: a frame of their own costs more.
const SEGMENT: usize = 1 << 14;

/// The number of `Tensor.data`.
pub(crate) const DATA: u32 = 15;

/// A message that ends in one field of tensors.
pub(super) trait Answer: Message {
    /// The number of that field, the message's highest.
    const TENSORS: u32;

    /// Takes the tensors out of it.
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

answer! {
    NormalizeResponse.output = 14,
    NormalizeBackwardResponse.grad_input = 12,
    DropoutResponse.output = 15,
    DropoutBackwardResponse.grad_input = 15,
    ClipGradientsResponse.gradients = 15,
}

/// The response that carries this answer: the bytes are those of prost's encoding.
pub(super) fn respond(answer: impl Answer) -> Response<Body> {
    into_response(Segments { segments: segments(answer).into(), ended: false })
}

/// A gRPC response with this body.
pub(super) fn into_response(body: impl HttpBody<Data = Bytes, Error = Status> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The response that carries this answer, whose one tensor has `parts` for elements.
pub(super) fn respond_in_parts(answer: impl Answer, parts: Vec<Bytes>) -> Response<Body> {
    let mut segments = VecDeque::from(parts);
    segments.push_front(opening(answer, segments.iter().map(Bytes::len).sum()));
    into_response(Segments { segments, ended: false })
}

/// What comes before the elements, `data_len` bytes and not none, of an answer whose one tensor is here without them.
pub(super) fn opening<A: Answer>(mut answer: A, data_len: usize) -> Bytes {
    let tensors = answer.take_tensors();
    let tensor_len = |tensor: &pb::Tensor| tensor.encoded_len() + field_len(DATA, data_len);
    let body: usize = tensors.iter().map(|tensor| nested_len(A::TENSORS, tensor_len(tensor))).sum();
    let total = answer.encoded_len() + body;
    let mut text = begin_message(total, total - data_len);
    answer.encode(&mut text).expect("the buffer grows");
    for tensor in &tensors {
        begin_tensor::<A>(tensor, data_len, &mut text);
    }
    text.freeze()
}

/// A buffer that begins with the prefix of a message of `len` bytes, with room for `here` of them.
fn begin_message(len: usize, here: usize) -> BytesMut {
    let mut text = BytesMut::with_capacity(5 + here);
    text.put_u8(0);
    text.put_u32(u32::try_from(len).expect("the service holds answers to its limit, which fits"));
    text
}

/// Writes a tensor up to its data, which are `data_len` bytes.
fn begin_tensor<A: Answer>(tensor: &pb::Tensor, data_len: usize, text: &mut BytesMut) {
    encode_key(A::TENSORS, WireType::LengthDelimited, text);
    encode_varint((tensor.encoded_len() + field_len(DATA, data_len)) as u64, text);
    tensor.encode(text).expect("the buffer grows");
    // No data, no field, as with any field that has its default.
    if data_len > 0 {
        encode_key(DATA, WireType::LengthDelimited, text);
        encode_varint(data_len as u64, text);
    }
}

/// The length of a message of `len` bytes as a field.
fn nested_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

fn segments<A: Answer>(mut answer: A) -> Vec<Bytes> {
    let tensors: Vec<(pb::Tensor, Bytes)> = answer
        .take_tensors()
        .into_iter()
        .map(|mut tensor| {
            let data = std::mem::take(&mut tensor.data);
            (tensor, data)
        })
        .collect();
    let tensor_len = |tensor: &pb::Tensor, data: &Bytes| tensor.encoded_len() + field_len(DATA, data.len());
    let body: usize = tensors.iter().map(|(tensor, data)| nested_len(A::TENSORS, tensor_len(tensor, data))).sum();
    let total = answer.encoded_len() + body;

    let mut done = Vec::new();
    let copied: usize = tensors.iter().map(|(_, data)| data.len()).filter(|&len| len < SEGMENT).sum();
    let headers = total - tensors.iter().map(|(_, data)| data.len()).sum::<usize>();
    let mut text = begin_message(total, headers + copied);
    answer.encode(&mut text).expect("the buffer grows");
    for (tensor, data) in tensors {
        begin_tensor::<A>(&tensor, data.len(), &mut text);
        if data.len() < SEGMENT {
            text.put(data);
        } else {
            done.push(text.split().freeze());
            done.push(data);
        }
    }
    if !text.is_empty() {
        done.push(text.freeze());
    }
    done
}

/// What ends a response.
pub(crate) fn trailers(outcome: &Result<(), Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match outcome {
        Ok(()) => _ = trailers.insert("grpc-status", HeaderValue::from_static("0")),
        Err(status) => status.add_header(&mut trailers).expect("our own messages and details fit into headers"),
    }
    trailers
}

/// The length of a field of bytes; a field without bytes is left out.
fn field_len(number: u32, len: usize) -> usize {
    if len == 0 { 0 } else { nested_len(number, len) }
}

/// A body of these segments that ends well.
struct Segments {
    segments: VecDeque<Bytes>,
    ended: bool,
}

impl HttpBody for Segments {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(segment) = self.segments.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(segment))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&Ok(()))))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
