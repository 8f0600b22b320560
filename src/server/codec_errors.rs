//! What tonic's codec says of a message that it cannot read, as one of this server's own errors.

use std::sync::Arc;

use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
};

use crate::{
    error::Error,
    grpc::{BoxedResponse, GrpcService, Middleware, is_compressed},
};

/// Gives the errors of the codec inside their reason, and answers a message above the limit by gRPC's book.
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
        // What is understood the headers do not say any more.
        let is_compressed = is_compressed(request.headers());
        let answer = codec.call(request);
        let limit = self.limit;
        Box::pin(async move { Ok(typed(answer.await?, is_compressed, limit)) })
    }
}

/// The response with the error that it stands for beside its status, where only tonic has spoken so far.
fn typed(mut response: Response<Body>, is_compressed: bool, limit: usize) -> Response<Body> {
    // What has no status is answered well, or asks for a method that there is not.
    let Some(status) = response.extensions().get::<Status>().filter(|status| Error::of(status).is_none()) else {
        return response;
    };
    // tonic looks at the encoding before anything else.
    let error = if is_compressed && status.code() == Code::Unimplemented {
        Error::UnknownEncoding
    } else {
        Error::receiving(status, limit)
    };
    if let Error::RequestTooLarge { .. } = error {
        // tonic says OUT_OF_RANGE, and gives no details.
        return Status::from(error).into_http();
    }
    let mut status = status.clone();
    status.set_source(Arc::new(error));
    response.extensions_mut().insert(status);
    response
}
