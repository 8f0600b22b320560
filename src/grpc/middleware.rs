//! Layers of gRPC: each implements one function, and the rest of tower's traits, which is the same for all, is here.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service, layer::layer_fn};

use super::BoxedResponse;

/// A service of tonic's bodies. Its errors are responses.
pub(crate) trait GrpcService: Service<Request<Body>, Response = Response<Body>, Error = Infallible> {}

impl<S> GrpcService for S where S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> {}

/// The function of a layer.
pub(crate) trait Middleware<S> {
    /// Answers a request, or passes it on to `inner`, which is ready for it.
    fn call(&self, request: Request<Body>, inner: &mut S) -> BoxedResponse;
}

/// The layer that puts `middleware` around a service.
pub(crate) fn layer<M: Clone, S>(middleware: M) -> impl Layer<S, Service = Layered<M, S>> {
    layer_fn(move |inner| Layered { middleware: middleware.clone(), inner })
}

/// A service with a middleware around it.
#[derive(Clone, Debug)]
pub(crate) struct Layered<M, S> {
    middleware: M,
    inner: S,
}

impl<M: Middleware<S>, S: GrpcService> Service<Request<Body>> for Layered<M, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> BoxedResponse {
        self.middleware.call(request, &mut self.inner)
    }
}
