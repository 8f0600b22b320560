//! Connect's protocol, in front of all layers of gRPC (`server/stack.rs`).
//!
//! A request becomes one of gRPC before its bytes are counted, admitted and timed, and the answer becomes one of Connect after the
//! call has its record: all bounds and numbers are those of gRPC. The message of a unary call gets gRPC's prefix in front of it,
//! and is not copied if it is long; streams have gRPC's prefixes already. A message in JSON stays in JSON up to the layer that
//! converts it (`server/json.rs`), which has the call's reservation.

mod error;
mod request;
mod response;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body as HttpBody;
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
};

use self::error::Errors;
use crate::{
    grpc::{BoxError, BoxedResponse, GrpcService},
    json::Schemas,
    server::protocol::NoCall,
};

/// The encoding of a call's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Json,
    Proto,
}

/// A call of Connect, as its content type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    codec: Codec,
    /// Whether each message has a prefix.
    streams: bool,
}

impl Protocol {
    /// The protocol of a request; `None`: it is no call of Connect.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let all = [Codec::Json, Codec::Proto]
            .into_iter()
            .flat_map(|codec| [false, true].map(|streams| Self { codec, streams }));
        all.into_iter().find(|protocol| protocol.content_type().eq_ignore_ascii_case(essence))
    }

    const fn content_type(self) -> &'static str {
        match (self.codec, self.streams) {
            (Codec::Json, false) => "application/json",
            (Codec::Proto, false) => "application/proto",
            (Codec::Json, true) => "application/connect+json",
            (Codec::Proto, true) => "application/connect+proto",
        }
    }

    /// The headers with the encoding of compressed messages, and with the encodings that are accepted.
    const fn encodings(self) -> [&'static str; 2] {
        if self.streams {
            ["connect-content-encoding", "connect-accept-encoding"]
        } else {
            ["content-encoding", "accept-encoding"]
        }
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.content_type())
    }
}

/// Calls of Connect, which are translated.
#[derive(Clone, Debug)]
pub(super) struct Connect {
    schemas: Arc<Schemas>,
    errors: Errors,
}

impl Connect {
    pub(super) fn new(schemas: Arc<Schemas>) -> Self {
        Self { errors: Errors::new(Arc::clone(&schemas)), schemas }
    }

    /// Has `calls`, which are ready, answer a call of Connect.
    pub(super) fn call<S, B>(&self, protocol: Protocol, mut request: Request<B>, calls: &mut S) -> BoxedResponse
    where
        S: GrpcService<Future = BoxedResponse>,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
    {
        let rpc = self.schemas.rpc(request.uri().path());
        if let Some(rpc) = rpc
            && rpc.streams != protocol.streams
        {
            let no_call = if rpc.streams { NoCall::ConnectStreams } else { NoCall::ConnectUnary };
            request.extensions_mut().insert(no_call);
            return calls.call(request.map(Body::new));
        }
        let is_known = rpc.is_some();
        let answer = calls.call(request::translated(protocol, request));
        let errors = self.errors.clone();
        Box::pin(async move {
            let response = answer.await?;
            // It was no call.
            if response.status() != StatusCode::OK {
                return Ok(response);
            }
            Ok(if protocol.streams {
                stream::translated(protocol, response, errors)
            } else {
                response::translated(protocol, response, &errors, is_known).await
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_content_type() {
        let of = |method: Method, content_type: &'static str| {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
            Protocol::of(&method, &headers)
        };
        let protocol = |codec, streams| Some(Protocol { codec, streams });
        for (content_type, expected) in [
            ("application/json", protocol(Codec::Json, false)),
            ("Application/JSON; charset=utf-8", protocol(Codec::Json, false)),
            ("application/proto", protocol(Codec::Proto, false)),
            ("application/connect+json", protocol(Codec::Json, true)),
            ("application/connect+proto;x=y", protocol(Codec::Proto, true)),
            ("application/jsonl", None),
            ("application/grpc", None),
            ("application/grpc+json", None),
            ("application/grpc-web", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(of(Method::POST, content_type), expected, "{content_type}");
            assert_eq!(of(Method::GET, content_type), None);
        }
        assert_eq!(Protocol::of(&Method::POST, &HeaderMap::new()), None);
    }
}
