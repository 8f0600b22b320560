//! Which service answers a call.

use std::{
    convert::Infallible,
    task::{Context, Poll, ready},
};

use evenkeel_proto::v1::tensor_ops_service_server::SERVICE_NAME;
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
};
use tower::Service;

use crate::grpc::BoxedResponse;

/// Sends the calls of the tensor service straight to it, the others through tonic's router, whose way costs as much as
/// the shortest calls do.
#[derive(Clone, Debug)]
pub(super) struct Front<T> {
    tensors: T,
    others: Routes,
}

impl<T> Front<T> {
    pub(super) fn new(tensors: T, others: Routes) -> Self {
        Self { tensors, others }
    }
}

impl<T> Service<Request<Body>> for Front<T>
where
    T: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = BoxedResponse>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        ready!(self.tensors.poll_ready(cx))?;
        Service::<Request<Body>>::poll_ready(&mut self.others, cx)
    }

    fn call(&mut self, request: Request<Body>) -> BoxedResponse {
        if is_of(SERVICE_NAME, request.uri().path()) {
            self.tensors.call(request)
        } else {
            Box::pin(self.others.call(request))
        }
    }
}

/// Whether a path is that of a method of a service.
fn is_of(service: &str, path: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(service)).is_some_and(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_the_methods_below_its_name() {
        assert!(is_of("a.b.C", "/a.b.C/D"));
        for other in ["/a.b.C", "/a.b.Cc/D", "/a.b/D", "a.b.C/D", "/x/a.b.C/D", "", "/"] {
            assert!(!is_of("a.b.C", other), "{other}");
        }
    }
}
