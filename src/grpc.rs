//! What all who speak gRPC know: the methods, responses that are waited for, and how they end.

mod middleware;

use std::{convert::Infallible, pin::Pin};

use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Response},
};

pub(crate) use evenkeel_proto::Method;

pub(crate) use self::middleware::{GrpcService, Middleware, layer};

/// An error of a body, whoever reads it.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response that is waited for.
pub(crate) type BoxedResponse = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Marks a response whose body is still being computed: the deadline holds for it, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished;

/// What ends a response.
pub(crate) fn trailers(outcome: &Result<(), Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match outcome {
        Ok(()) => _ = trailers.insert("grpc-status", HeaderValue::from_static("0")),
        Err(status) => status.add_header(&mut trailers).expect("our own messages and details fit into headers"),
    }
    trailers
}

/// Whether the client says that it compresses; the codec's path knows what to answer.
pub(crate) fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity")
}
