//! The way of plain calls of gRPC past the layers of other protocols, which cost as much as the shortest calls do.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body_util::Either;
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;
use tonic::codegen::http::{Request, Response, Version};

use super::protocol::NoCall;

/// Sends calls of gRPC over HTTP/2 to `plain`, and all other requests to `others`.
#[derive(Clone, Debug)]
pub(super) struct PlainOr<P, O> {
    plain: P,
    others: O,
}

impl<P, O> PlainOr<P, O> {
    pub(super) fn new(plain: P, others: O) -> Self {
        Self { plain, others }
    }
}

impl<P, O, A, B> Service<Request<Incoming>> for PlainOr<P, O>
where
    P: Service<Request<Incoming>, Response = Response<A>>,
    O: Service<Request<Incoming>, Response = Response<B>, Error = P::Error>,
{
    type Response = Response<Either<A, B>>;
    type Error = P::Error;
    type Future = Answering<P::Future, O::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let is_plain =
            request.version() == Version::HTTP_2 && NoCall::of(request.method(), request.headers()).is_none();
        if is_plain {
            Answering::Plain { answer: self.plain.call(request) }
        } else {
            Answering::Other { answer: self.others.call(request) }
        }
    }
}

pin_project! {
    /// An answer that is waited for.
    #[project = Projected]
    pub(super) enum Answering<P, O> {
        Plain { #[pin] answer: P },
        Other { #[pin] answer: O },
    }
}

impl<P, O, A, B, E> Future for Answering<P, O>
where
    P: Future<Output = Result<Response<A>, E>>,
    O: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<A, B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            Projected::Plain { answer } => ready!(answer.poll(cx)).map(|response| response.map(Either::Left)),
            Projected::Other { answer } => ready!(answer.poll(cx)).map(|response| response.map(Either::Right)),
        })
    }
}
