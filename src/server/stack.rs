//! The layers around the calls, in one list.
//!
//! A request passes them from the outside in, and its response from the inside out:
//!
//! 1. the transport (`crates/transport`), which has read the request's headers,
//! 2. for a server with gRPC-Web or Connect, the layers of [`MakeWebService`], once for each connection, which plain calls of gRPC
//!    pass by: they become calls of gRPC there, Connect's with their messages in JSON, if those are,
//! 3. [`CallService`](super::calls::CallService), once for each connection: the call's record, then its charge and its
//!    reservation, then its frames, which are timed and admitted, then compression. Every call
//!    that a layer further in refuses has a record by then, and all memory further in is taken from a reservation,
//! 4. the layers of [`calls`], which see plain messages alone; messages in JSON become those of protobuf in [`Json`], which is
//!    here because it needs the call's reservation, token and deadline,
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
use tower::{
    ServiceBuilder,
    layer::layer_fn,
    util::{MapRequest, MapResponse},
};
use tower_http::cors::{Cors, CorsLayer};

use super::{
    body_error::{Telling, telling},
    calls::{CallService, HeldBody, MakeCallService},
    codec_errors::CodecErrors,
    deadline::Deadline,
    front::Front,
    json::Json,
    page::Page,
    plain::PlainOr,
    protocol::OnlyGrpc,
    tokens::{Authorize, Tokens},
    web::{Dispatch, Spoken, Translated, held},
};
use crate::{
    direct::Direct,
    grpc::{BoxedResponse, GrpcService, layer},
};

/// The services beside the tensor service.
#[derive(Debug)]
pub(super) struct Others {
    /// Health and reflection.
    pub(super) own: Routes,
    /// A guest; `None`: there is none.
    pub(super) guest: Option<Routes>,
}

/// The service that answers calls: `codec` answers those of the tensor service that `direct` leaves to it, `others`
/// those of all other services. `limit` is the largest message, in bytes. `json`: converts the messages of Connect. `page`: is served
/// at `/`.
pub(super) fn calls<C>(
    tokens: Option<Tokens>,
    direct: Direct,
    codec: C,
    limit: usize,
    others: Others,
    json: Json,
    page: Option<Page>,
) -> impl GrpcService<Future = BoxedResponse> + Clone + Send + Sync + 'static
where
    C: GrpcService<Future: Send + 'static> + Clone + Send + Sync + 'static,
{
    let tensors = ServiceBuilder::new()
        // Around the codec: `direct` answers plain unary calls without it, and passes all others on to it as they came.
        .layer(layer(direct))
        // Around the codec alone: the statuses of this server's own code have their errors already.
        .layer(layer(CodecErrors::new(limit)))
        .service(codec);
    // As the tensor service's codec.
    let guest = others.guest.map(|guest| ServiceBuilder::new().layer(layer(CodecErrors::new(limit))).service(guest));
    ServiceBuilder::new()
        // First: a request that is no call of gRPC gets a status of HTTP, with or without a token; and a call that is
        // refused for its headers has none that the layers below could read.
        .layer(layer(OnlyGrpc::new(page)))
        // Before the layers that read the request or compute: no work is done for a client without a token.
        .layer(layer(Authorize::new(tokens)))
        // Around all waits: for the request's body, the queue, the computation, and a response in parts.
        .layer(layer(Deadline))
        // Within the deadline, which a long conversion must not outlive.
        .layer(layer(json))
        .service(Front::new(tensors, others.own, guest))
}

/// Makes the service that answers the requests of one connection, including those of browsers and of Connect.
#[derive(Debug)]
pub(super) struct MakeWebService<S> {
    calls: MakeCallService<S>,
    cors: CorsLayer,
    spoken: Spoken,
}

impl<S> MakeWebService<S> {
    pub(super) fn new(calls: MakeCallService<S>, cors: CorsLayer, spoken: Spoken) -> Self {
        Self { calls, cors, spoken }
    }
}

/// The service that answers browsers and other clients.
type FromBrowsers<S> = MapResponse<
    MapRequest<Cors<Dispatch<Translated<S>>>, fn(Request<Incoming>) -> Request<Telling<Incoming>>>,
    fn(Response<Body>) -> Response<HeldBody<Body>>,
>;

impl<S> MakeService for MakeWebService<S>
where
    S: GrpcService<Future: Unpin + Send + 'static> + Clone + Send + Sync + 'static,
{
    type Service = PlainOr<CallService<S>, TowerToHyperService<FromBrowsers<S>>>;

    fn make_service(&self, connection: &Arc<ConnectionHandle>, version: Version) -> Self::Service {
        let calls = self.calls.make_service(connection, version);
        let translated = ServiceBuilder::new()
            // The last layer that changes a response: the bytes that leave the server keep the call's guard.
            .map_response(held as fn(_) -> _)
            // Before tonic-web, which turns the transport's errors into text: the calls still get the error of a body.
            .map_request(telling as fn(_) -> _)
            // Answers preflights, which are no calls, and adds its headers to all responses, also to those of errors.
            .layer(self.cors.clone())
            // Translates gRPC-Web and Connect to gRPC before bytes are counted, admitted and timed.
            .layer(layer_fn(|calls: Translated<S>| Dispatch::new(self.spoken.clone(), calls)))
            .service(Translated::new(calls.clone()));
        PlainOr::new(calls, TowerToHyperService::new(translated))
    }
}
