//! The layers around the calls, in one list.
//!
//! A request passes them from the outside in, and its response from the inside out:
//!
//! 1. the transport (`crates/transport`), which has read the request's headers,
//! 2. for a server that speaks with browsers, the layers of [`MakeWebService`], once for each connection,
//! 3. [`CallService`](super::calls::CallService), once for each connection: the call's record, then its charge and its
//!    reservation, then its frames, which are timed and admitted, then compression. Everything that is
//!    refused further in has a record by then, and everything that is held further in has a reservation to be taken from,
//! 4. the layers of [`calls`], which see plain messages alone,
//! 5. the services.

use std::sync::Arc;

use evenkeel_transport::{ConnectionHandle, MakeService, Version};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
};
use tonic_web::GrpcWebLayer;
use tower::{
    Layer as _, ServiceBuilder,
    layer::layer_fn,
    util::{MapRequest, MapResponse},
};
use tower_http::cors::{Cors, CorsLayer};

use super::{
    body_error::{Telling, telling},
    calls::{HeldBody, MakeCallService},
    codec_errors::CodecErrors,
    deadline::Deadline,
    front::Front,
    protocol::OnlyGrpc,
    tokens::{Authorize, Tokens},
    web::{Dispatch, Translated, held},
};
use crate::{
    direct::Direct,
    grpc::{BoxedResponse, GrpcService, layer},
};

/// What answers calls: `codec` those of the tensor service that `direct` leaves to it, `others` those of all other services.
/// `limit` is the largest message, in bytes.
pub(super) fn calls<C>(
    tokens: Option<Tokens>,
    direct: Direct,
    codec: C,
    limit: usize,
    others: Routes,
) -> impl GrpcService<Future = BoxedResponse> + Clone + Send + Sync + 'static
where
    C: GrpcService<Future: Send + 'static> + Clone + Send + Sync + 'static,
{
    let tensors = ServiceBuilder::new()
        // Around the codec: it answers plain unary calls without it, and gives it all others as they came.
        .layer(layer(direct))
        // Around the codec alone: the errors of all other services have their reasons already.
        .layer(layer(CodecErrors::new(limit)))
        .service(codec);
    ServiceBuilder::new()
        // First: what is no call of gRPC is answered by HTTP's means, with or without a token, and what is refused for its
        // size has no headers that the layers below could read.
        .layer(layer(OnlyGrpc))
        // Before all that reads the request or computes: a client without a token gets nothing of it done.
        .layer(layer(Authorize::new(tokens)))
        // Around all that is waited for: the request's body, the queue, the computation, and a response in parts.
        .layer(layer(Deadline))
        .service(Front::new(tensors, others))
}

/// Makes what answers the requests of one connection, those of browsers, too.
#[derive(Debug)]
pub(super) struct MakeWebService<S> {
    calls: MakeCallService<S>,
    cors: CorsLayer,
}

impl<S> MakeWebService<S> {
    pub(super) fn new(calls: MakeCallService<S>, cors: CorsLayer) -> Self {
        Self { calls, cors }
    }
}

/// What answers browsers, and other clients.
type FromBrowsers<S> = MapResponse<
    MapRequest<Cors<Dispatch<Translated<S>>>, fn(Request<Incoming>) -> Request<Telling<Incoming>>>,
    fn(Response<Body>) -> Response<HeldBody<Body>>,
>;

impl<S> MakeService for MakeWebService<S>
where
    S: GrpcService<Future: Unpin + Send + 'static> + Clone + Send + Sync + 'static,
{
    type Service = TowerToHyperService<FromBrowsers<S>>;

    fn make_service(&self, connection: &Arc<ConnectionHandle>, version: Version) -> Self::Service {
        let service = ServiceBuilder::new()
            // Last of all that changes a response: whatever bytes the layers below have made of it, these hold the call.
            .map_response(held as fn(_) -> _)
            // Before tonic-web, which makes text of the transport's errors: the calls still learn why a body has failed.
            .map_request(telling as fn(_) -> _)
            // Answers preflights, which are no calls, and adds its headers to all responses, also to those of errors.
            .layer(self.cors.clone())
            // Makes a call of gRPC of a request before its bytes are counted, admitted and waited for.
            .layer(layer_fn(|calls: Translated<S>| Dispatch::new(GrpcWebLayer::new().layer(calls.clone()), calls)))
            .service(Translated::new(self.calls.make_service(connection, version)));
        TowerToHyperService::new(service)
    }
}
