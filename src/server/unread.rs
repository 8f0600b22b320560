//! Calls whose message tonic's codec could not read: the service has not seen them.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::Service;

use super::BoxedAnswer;
use crate::{
    direct::is_compressed,
    error::Error,
    metrics::{Method, Metrics, Reason},
    service::Seen,
};

/// Counts what the codec inside cannot read, and answers a message above the limit by gRPC's book.
#[derive(Clone, Debug)]
pub(super) struct Unread<S> {
    codec: S,
    limit: usize,
    metrics: Arc<Metrics>,
}

impl<S> Unread<S> {
    /// `limit`: the largest message, in bytes.
    pub(super) fn new(codec: S, limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { codec, limit, metrics }
    }
}

impl<S> Service<Request<Body>> for Unread<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedAnswer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.codec.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> BoxedAnswer {
        let seen = Seen::default();
        // What is understood the headers do not say any more; another path has no codec.
        let unknown = is_compressed(request.headers()) && Method::of_path(request.uri().path()) != Method::Other;
        request.extensions_mut().insert(seen.clone());
        let answer = self.codec.call(request);
        let (limit, metrics) = (self.limit, Arc::clone(&self.metrics));
        Box::pin(async move {
            let response = answer.await?;
            if unknown {
                // tonic has looked at nothing else.
                metrics.refuse(Reason::UnknownEncoding);
                tracing::info!(status = ?Code::Unimplemented, "request not read: its encoding is not served");
                return Ok(response);
            }
            Ok(if seen.is_set() { response } else { unread(response, limit, &metrics) })
        })
    }
}

/// tonic answers a message above its limit with OUT_OF_RANGE, and with no details; gRPC says RESOURCE_EXHAUSTED. What is no
/// message, or none that is whole, tonic answers with INTERNAL.
///
/// Other codes are those of the request's body, which has counted them.
fn unread(response: Response<Body>, limit: usize, metrics: &Metrics) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    let Some(status) = status.filter(|status| [Code::OutOfRange, Code::Internal].contains(&status.code())) else {
        return response;
    };
    let error = Error::receiving(&status, limit);
    metrics.failed(&error);
    tracing::info!(status = ?error.code(), %error, "request not read");
    if status.code() == Code::OutOfRange { Status::from(error).into_http() } else { response }
}
