//! The answers of unary calls: the bare message, or the error.
//!
//! The status of HTTP comes first, and the call's status last, so the bytes of the message wait for it. They are counted
//! already: the reservation of a call has its whole answer.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use evenkeel_frames::{Announced, PREFIX};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};

use super::{
    Errors, Protocol,
    error::{http_status, status_of, text_of},
};
use crate::grpc;

/// The headers of gRPC that have no meaning in Connect, or another name.
const OF_GRPC: [&str; 5] =
    ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "grpc-accept-encoding"];

/// The answer of Connect that means the same. `is_known`: there is such a method.
pub(super) async fn translated(
    protocol: Protocol,
    response: Response<Body>,
    errors: &Errors,
    is_known: bool,
) -> Response<Body> {
    let (mut head, mut body) = response.into_parts();
    let mut pieces = VecDeque::new();
    let status = if head.headers.contains_key(&grpc::STATUS) {
        status_of(&head.headers)
    } else {
        match gather(&mut body, &mut pieces).await {
            Ok(trailers) => {
                let status = status_of(&trailers);
                add_trailers(&mut head.headers, &trailers);
                status
            }
            Err(status) => status,
        }
    };
    let message = if status.code() == Code::Ok { message(pieces) } else { Err(status) };
    let encoding = rename(protocol, &mut head.headers);
    let pieces = match message {
        Ok((announced, message)) => {
            head.headers.insert(header::CONTENT_TYPE, protocol.header());
            if let Some(encoding) = encoding.filter(|_| announced.is_compressed()) {
                head.headers.insert(header::CONTENT_ENCODING, encoding);
            }
            message
        }
        Err(status) => {
            let is_unknown = !is_known && status.code() == Code::Unimplemented;
            head.status = if is_unknown { StatusCode::NOT_FOUND } else { http_status(status.code()) };
            head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            [Bytes::from(text_of(&errors.of(&status)))].into()
        }
    };
    Response::from_parts(head, Body::new(Gathered { pieces, _body: body }))
}

/// Takes all of a body; returns its trailers.
async fn gather(body: &mut Body, pieces: &mut VecDeque<Bytes>) -> Result<HeaderMap, Status> {
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => pieces.push_back(data),
            Err(frame) => return Ok(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(HeaderMap::new())
}

/// The one message of an answer, and its prefix.
fn message(mut pieces: VecDeque<Bytes>) -> Result<(Announced, VecDeque<Bytes>), Status> {
    let mut prefix = [0; PREFIX];
    let mut filled = 0;
    while let Some(first) = pieces.front_mut() {
        let here = first.len().min(PREFIX - filled);
        first.copy_to_slice(&mut prefix[filled..filled + here]);
        filled += here;
        if !first.is_empty() {
            break;
        }
        pieces.pop_front();
    }
    let len = pieces.iter().map(Bytes::len).sum::<usize>();
    match Announced::of(&prefix[..filled]) {
        Some(announced) if announced.len() == len => Ok((announced, pieces)),
        Some(_) | None => Err(Status::internal("the answer is not one message")),
    }
}

/// Gives the headers of an answer their names in Connect. Returns the encoding of compressed messages.
pub(super) fn rename(protocol: Protocol, headers: &mut HeaderMap) -> Option<HeaderValue> {
    let [_, accepted] = protocol.encodings();
    let [encoding, accepts] = ["grpc-encoding", "grpc-accept-encoding"].map(|name| headers.remove(name));
    for name in OF_GRPC {
        headers.remove(name);
    }
    if let Some(accepts) = accepts {
        headers.insert(accepted, accepts);
    }
    encoding
}

/// The trailers that are not gRPC's own.
pub(super) fn own(trailers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    trailers.iter().filter(|(name, _)| !OF_GRPC.contains(&name.as_str()) && *name != header::CONTENT_TYPE)
}

fn add_trailers(headers: &mut HeaderMap, trailers: &HeaderMap) {
    for (name, value) in own(trailers) {
        let name = HeaderName::try_from(format!("trailer-{name}")).expect("a longer name is a name");
        headers.append(name, value.clone());
    }
}

/// A body of these pieces.
///
/// It says neither its length nor when it ends: HTTP/1.1's library would then drop it before its end, and the transport would not
/// learn that all of it was written.
struct Gathered {
    pieces: VecDeque<Bytes>,
    /// The body that they are from. When it is dropped before the answer is sent, it tells the call's record why.
    _body: Body,
}

impl HttpBody for Gathered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_from_its_prefix_however_it_is_cut() {
        let all: Vec<u8> = [&[1, 0, 0, 0, 7][..], b"message"].concat();
        for cut in 1..=all.len() {
            let pieces = all.chunks(cut).map(Bytes::copy_from_slice).collect();
            let (announced, pieces) = message(pieces).expect("it is one");
            let bytes: Vec<u8> = pieces.into_iter().flatten().collect();
            assert_eq!((announced.flag, &bytes[..]), (1, &b"message"[..]), "{cut}");
        }
        for wrong in [&b""[..], b"\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\0a"] {
            let pieces = [Bytes::copy_from_slice(wrong)].into();
            assert_eq!(message(pieces).expect_err("it is none").code(), Code::Internal, "{wrong:?}");
        }
        let (announced, pieces) = message([Bytes::from_static(&[0; 5])].into()).expect("it is empty");
        assert_eq!((announced.len(), pieces.len()), (0, 0));
    }
}
