//! The errors of tonic's codec, for messages that it cannot read, as this server's own errors.

use std::sync::Arc;

use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
};

use crate::{
    error::Error,
    grpc::{BoxedResponse, GrpcService, Middleware, unknown_encoding},
};

/// Gives the codec's statuses an [`Error`] as their source, and a message above the limit the status
/// RESOURCE_EXHAUSTED, as gRPC wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodecErrors {
    limit: usize,
}

impl CodecErrors {
    /// `limit`: the largest message, in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl<S: GrpcService<Future: Send + 'static>> Middleware<S> for CodecErrors {
    fn call(&self, request: Request<Body>, codec: &mut S) -> BoxedResponse {
        let unknown_encoding = unknown_encoding(&request);
        let answer = codec.call(request);
        let limit = self.limit;
        Box::pin(async move { Ok(typed(answer.await?, unknown_encoding, limit)) })
    }
}

/// The response, with an error as the source of its status if the status is tonic's own.
fn typed(mut response: Response<Body>, unknown_encoding: Option<&'static str>, limit: usize) -> Response<Body> {
    // A response without a status is a success, or that of an unknown method.
    let Some(status) = response.extensions().get::<Status>().filter(|status| Error::of(status).is_none()) else {
        return response;
    };
    // tonic checks the encoding first, so this status is about the encoding.
    let error = match unknown_encoding.filter(|_| status.code() == Code::Unimplemented) {
        Some(header) => Error::UnknownEncoding { header },
        None => Error::receiving(status, limit),
    };
    // tonic's status names gRPC's header.
    let is_of_another = matches!(error, Error::UnknownEncoding { header } if header != "grpc-encoding");
    // tonic's status is OUT_OF_RANGE, without details.
    if is_of_another || matches!(error, Error::RequestTooLarge { .. }) {
        return Status::from(error).into_http();
    }
    let mut status = status.clone();
    status.set_source(Arc::new(error));
    response.extensions_mut().insert(status);
    response
}
