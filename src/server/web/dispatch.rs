//! Tells calls of gRPC-Web from other requests.
//!
//! tonic-web answers some requests that are not gRPC-Web with a bare status, which would not be counted. So it gets
//! calls of gRPC-Web only, and all other requests go to the calls, which also answer requests that are no calls.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body as HttpBody;
use tonic::{
    body::Body,
    codegen::http::{HeaderValue, Method, Request, Response, Version, header},
};
use tonic_web::GrpcWebService;
use tower::Service;

use crate::{
    grpc::{BoxError, BoxedResponse, GrpcService},
    server::protocol::NoCall,
};

/// Has calls of gRPC-Web translated, and sends other requests to `calls`.
#[derive(Clone, Debug)]
pub(in crate::server) struct Dispatch<S> {
    translated: GrpcWebService<S>,
    calls: S,
}

impl<S> Dispatch<S> {
    pub(in crate::server) fn new(translated: GrpcWebService<S>, calls: S) -> Self {
        Self { translated, calls }
    }
}

impl<S, B> Service<Request<B>> for Dispatch<S>
where
    S: GrpcService<Future = BoxedResponse>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError> + std::fmt::Display> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.calls.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> BoxedResponse {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_web = content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc-web"));
        if is_web && request.method() == Method::POST {
            return Box::pin(self.translated.call(request));
        }
        let mut request = request.map(Body::new);
        if request.version() < Version::HTTP_2 && NoCall::of(request.method(), request.headers()).is_none() {
            request.extensions_mut().insert(NoCall::Version);
        }
        self.calls.call(request)
    }
}
