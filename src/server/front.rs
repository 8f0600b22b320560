//! The choice of the service that answers a call.

use std::{
    convert::Infallible,
    future::ready,
    task::{self, Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
};
use tower::Service;

use crate::{
    grpc::{BoxedResponse, GrpcService, Method},
    observe::CallRecord,
};

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

impl<T: GrpcService<Future = BoxedResponse>> Service<Request<Body>> for Front<T> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        task::ready!(self.tensors.poll_ready(cx))?;
        Service::<Request<Body>>::poll_ready(&mut self.others, cx)
    }

    fn call(&mut self, request: Request<Body>) -> BoxedResponse {
        match CallRecord::method_of(request.extensions()) {
            Method::Normalize
            | Method::NormalizeBackward
            | Method::Dropout
            | Method::DropoutBackward
            | Method::ClipGradients
            | Method::MeasureGradients
            | Method::MeasureStatistics
            | Method::MeasureGradientsUnary
            | Method::MeasureStatisticsUnary
            | Method::NormalizeStream
            | Method::DropoutStream
            | Method::ClipGradientsStream
            | Method::GetServerInfo => self.tensors.call(request),
            Method::HealthCheck | Method::HealthWatch | Method::ReflectionV1 | Method::ReflectionV1Alpha => {
                Box::pin(self.others.call(request))
            }
            // The same status that the services give an unknown method.
            Method::Other => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        }
    }
}
