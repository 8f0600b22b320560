//! The answers of streams: messages as gRPC has them, and the call's status in a last one.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use evenkeel_frames::Announced;
use http_body::{Body as HttpBody, Frame};
use serde::Serialize;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Response, header},
};

use super::{
    Errors, Protocol,
    error::{Fault, status_of, text_of},
    response::{own, rename},
};
use crate::grpc;

/// The flag of the last message.
const END: u8 = 2;

/// The last message of a stream.
#[derive(Debug, Serialize)]
struct End<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Vec<&'a str>>,
}

/// The answer of Connect that means the same.
pub(super) fn translated(protocol: Protocol, response: Response<Body>, errors: Errors) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    // A call that has failed before its first message has its trailers in its headers.
    let ended = head.headers.contains_key(&grpc::STATUS).then(|| std::mem::take(&mut head.headers));
    let [encoding, _] = protocol.encodings();
    let accepted = ended.as_ref().and_then(|ended| ended.get("grpc-accept-encoding")).cloned();
    if let Some(accepted) = accepted {
        head.headers.insert("grpc-accept-encoding", accepted);
    }
    if let Some(value) = rename(protocol, &mut head.headers) {
        head.headers.insert(encoding, value);
    }
    head.headers.insert(header::CONTENT_TYPE, protocol.header());
    Response::from_parts(head, Body::new(Ending { body, errors, ended, is_over: false }))
}

/// A body whose trailers become a last message.
struct Ending {
    body: Body,
    errors: Errors,
    /// The trailers, if they are known from the beginning.
    ended: Option<HeaderMap>,
    is_over: bool,
}

impl Ending {
    fn end(&mut self, status: &Status, trailers: &HeaderMap) -> Frame<Bytes> {
        self.is_over = true;
        let error = (status.code() != Code::Ok).then(|| self.errors.of(status));
        let mut metadata = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in own(trailers) {
            metadata.entry(name.as_str()).or_default().extend(value.to_str());
        }
        let text = text_of(&End { error, metadata });
        let mut message = BytesMut::new();
        Announced { flag: END, ..Announced::plain(text.len()) }.put(&mut message);
        message.extend_from_slice(&text);
        Frame::data(message.freeze())
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let ended = match self.ended.take() {
            Some(trailers) => Ok(trailers),
            None => match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(frame) => Ok(frame.into_trailers().unwrap_or_default()),
                },
                Some(Err(status)) => Err(status),
                None => Ok(HeaderMap::new()),
            },
        };
        let frame = match ended {
            Ok(trailers) => self.end(&status_of(&trailers), &trailers),
            Err(status) => self.end(&status, &HeaderMap::new()),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}
