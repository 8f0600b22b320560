//! The parts of gRPC that several modules share: methods, middleware, boxed responses, and trailers.

mod middleware;

use std::{convert::Infallible, pin::Pin};

use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response},
};

pub(crate) use evenkeel_proto::Method;

pub(crate) use self::middleware::{GrpcService, Middleware, layer};

/// The trailer, or header, that has a call's status. A name in a `static` is not parsed for each call.
pub(crate) static STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The header that names the encoding of messages.
pub(crate) static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The header that has a call's timeout.
pub(crate) static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The error of a body, of any type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response that is waited for.
pub(crate) type BoxedResponse = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Marks a response whose body is still being computed: the deadline holds for it, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished;

/// The trailers that end a response with this outcome.
pub(crate) fn trailers(outcome: &Result<(), Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match outcome {
        Ok(()) => _ = trailers.insert(&STATUS, HeaderValue::from_static("0")),
        Err(status) => status.add_header(&mut trailers).expect("our own messages and details fit into headers"),
    }
    trailers
}

/// An extension of a request whose client names the encoding of its messages in this header, and not in gRPC's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedBy(pub(crate) &'static str);

/// The header in which a client names an encoding that the server does not accept; `None`: the messages are plain.
pub(crate) fn unknown_encoding<B>(request: &Request<B>) -> Option<&'static str> {
    let header = request.extensions().get().map_or(ENCODING.as_str(), |&EncodedBy(header)| header);
    // Decompression has removed the header of an encoding that is accepted.
    is_compressed(request.headers()).then_some(header)
}

/// Whether the client says that it compresses its messages; the codec's path answers such a call.
pub(crate) fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get(&ENCODING).is_some_and(|encoding| encoding != "identity")
}
