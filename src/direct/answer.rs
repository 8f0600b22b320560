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
pub(super) const DATA: u32 = 15;

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
    let body = Segments { segments: segments(answer).into(), ended: false };
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
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
    let lengths: Vec<usize> = tensors.iter().map(|(tensor, data)| tensor_len(tensor, data)).collect();
    let total = answer.encoded_len()
        + lengths.iter().map(|&len| key_len(A::TENSORS) + encoded_len_varint(len as u64) + len).sum::<usize>();

    let mut done = Vec::new();
    let copied: usize = tensors.iter().map(|(_, data)| data.len()).filter(|&len| len < SEGMENT).sum();
    let headers = total - tensors.iter().map(|(_, data)| data.len()).sum::<usize>();
    let mut text = BytesMut::with_capacity(5 + headers + copied);
    text.put_u8(0);
    text.put_u32(u32::try_from(total).expect("the service holds answers to its limit, which fits"));
    answer.encode(&mut text).expect("the buffer grows");
    for ((tensor, data), len) in tensors.into_iter().zip(lengths) {
        encode_key(A::TENSORS, WireType::LengthDelimited, &mut text);
        encode_varint(len as u64, &mut text);
        tensor.encode(&mut text).expect("the buffer grows");
        if data.is_empty() {
            continue; // as any field that has its default
        }
        encode_key(DATA, WireType::LengthDelimited, &mut text);
        encode_varint(data.len() as u64, &mut text);
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

/// The length of a field of bytes; a field without bytes is left out.
fn field_len(number: u32, len: usize) -> usize {
    if len == 0 { 0 } else { key_len(number) + encoded_len_varint(len as u64) + len }
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
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
