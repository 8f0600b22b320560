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

use super::admission::Kind;
use crate::{
    grpc::{BoxedResponse, GrpcService, Method, Unfinished},
    observe::CallRecord,
};

/// Sends the calls of the tensor service straight to it, the others through tonic's router, whose way costs as much as
/// the shortest calls do.
#[derive(Clone, Debug)]
pub(super) struct Front<T, G> {
    tensors: T,
    others: Routes,
    /// `None`: there is no guest.
    guest: Option<G>,
}

impl<T, G> Front<T, G> {
    pub(super) fn new(tensors: T, others: Routes, guest: Option<G>) -> Self {
        Self { tensors, others, guest }
    }
}

impl<T, G> Service<Request<Body>> for Front<T, G>
where
    T: GrpcService<Future = BoxedResponse>,
    G: GrpcService<Future = BoxedResponse>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        task::ready!(self.tensors.poll_ready(cx))?;
        if let Some(guest) = &mut self.guest {
            task::ready!(guest.poll_ready(cx))?;
        }
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
            Method::Other => match &mut self.guest {
                Some(guest) if request.extensions().get::<Kind>().is_some() => {
                    let answer = guest.call(request);
                    Box::pin(async move {
                        let mut response = answer.await?;
                        // It may be a stream, for which the deadline holds, too.
                        response.extensions_mut().insert(Unfinished);
                        Ok(response)
                    })
                }
                // The same status that the services give an unknown method.
                Some(_) | None => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
            },
        }
    }
}
