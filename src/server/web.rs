//! Calls from browsers: gRPC-Web, in front of everything that knows gRPC, and CORS, in front of that (`server/stack.rs`).
//!
//! tonic-web makes a call of gRPC of a request before its bytes are counted, admitted and waited for, so that all of that
//! holds for it, too: of a body in base64 a frame is decoded at a time.

mod dispatch;
mod pieces;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_transport::Http1Settings;
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header},
};
use tower::Service;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

pub(super) use self::dispatch::Dispatch;
use self::pieces::Pieces;
use super::{
    MAX_HEADER_BYTES,
    calls::{CallGuard, CallService, HeldBody},
};
use crate::{
    config::{ANY_ORIGIN, WebConfig},
    grpc::{BoxedResponse, GrpcService},
};

/// What a page may send: what clients of gRPC-Web do send, tokens, and the names of traces.
const REQUEST_HEADERS: [&str; 9] = [
    "authorization",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "traceparent",
    "tracestate",
    "x-grpc-web",
    "x-user-agent",
];
/// What a page may read: how a call ended, where it did so without a body.
const ANSWER_HEADERS: [&str; 4] = ["grpc-encoding", "grpc-message", "grpc-status", "grpc-status-details-bin"];
/// How long a browser need not ask again; none keeps it longer.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// How HTTP/1.1 is spoken.
pub(super) const HTTP1: Http1Settings =
    Http1Settings { max_buffer_bytes: 128 << 10, max_header_bytes: MAX_HEADER_BYTES as usize };

/// Has the bytes that were made of a call's keep it.
pub(super) fn held(mut response: Response<Body>) -> Response<HeldBody<Body>> {
    let guard = response.extensions_mut().remove::<Arc<CallGuard>>();
    response.map(|body| HeldBody::new(body, guard))
}

/// What browsers are told of whose pages may call. `None`: there is nothing for them.
pub(super) fn cors(config: &WebConfig) -> Option<CorsLayer> {
    let WebConfig { grpc_web, cors_origins: origins } = config;
    if !grpc_web {
        return None;
    }
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let cors = CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers(names(&REQUEST_HEADERS))
        .expose_headers(names(&ANSWER_HEADERS))
        .max_age(MAX_AGE);
    if origins.iter().any(|origin| origin == ANY_ORIGIN) {
        return Some(cors.allow_origin(Any));
    }
    let origins = origins.iter().map(|origin| HeaderValue::from_str(origin).expect("the configuration is checked"));
    Some(cors.allow_origin(AllowOrigin::list(origins)))
}

/// The calls behind gRPC-Web.
#[derive(Debug)]
pub(super) struct Translated<S>(CallService<S>);

impl<S> Translated<S> {
    pub(super) fn new(calls: CallService<S>) -> Self {
        Self(calls)
    }
}

impl<S> Clone for Translated<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Service<Request<Body>> for Translated<S>
where
    S: GrpcService<Future: Unpin + Send + 'static> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wants_text = wants_text(request.headers());
        let answer = self.0.begin(request);
        Box::pin(async move {
            let (mut head, body) = answer.await?.into_parts();
            // The bytes that leave keep the call, and those may be others.
            let (body, guard) = body.into_unheld();
            head.extensions.insert(guard);
            let body = if wants_text { Body::new(Pieces::new(body)) } else { Body::new(body) };
            Ok(Response::from_parts(head, body))
        })
    }
}

/// Whether the answer is written in base64.
fn wants_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|accept| accept.starts_with(b"application/grpc-web-text"))
}
