//! Calls from browsers: gRPC-Web and Connect, in front of all layers of gRPC, and CORS, in front of that (`server/stack.rs`).
//!
//! `server/connect.rs` translates Connect. tonic-web translates a request to gRPC before its bytes are counted, admitted and timed, so that all limits hold for
//! it, too. It decodes a body in base64 frame by frame.

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

use self::pieces::Pieces;
pub(super) use self::{
    dispatch::{Dispatch, Spoken},
    pieces::KeptFrame,
};
use super::{
    MAX_HEADER_BYTES,
    calls::{CallGuard, CallService, HeldBody},
};
use crate::{
    config::{ANY_ORIGIN, WebConfig},
    grpc::{BoxedResponse, GrpcService},
};

/// The first part of the content types of messages in base64.
const TEXT: &[u8] = b"application/grpc-web-text";
/// The headers that a page may send: those that clients of gRPC-Web and of Connect send, tokens, and the context of traces.
const REQUEST_HEADERS: [&str; 14] = [
    "authorization",
    "connect-accept-encoding",
    "connect-content-encoding",
    "connect-protocol-version",
    "connect-timeout-ms",
    "content-encoding",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "traceparent",
    "tracestate",
    "x-grpc-web",
    "x-user-agent",
];
/// The headers that a page may read: the status of a call that has no body, the encodings, and when to retry.
const ANSWER_HEADERS: [&str; 9] = [
    "accept-encoding",
    "connect-accept-encoding",
    "connect-content-encoding",
    "content-encoding",
    "grpc-encoding",
    "grpc-message",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-status-details-bin",
];
/// How long a browser may keep the answer to a preflight: the longest time that any browser keeps one.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// The settings of HTTP/1.1. A connection keeps its buffers while it is idle, so they are not much longer than the headers that must
/// fit.
pub(super) const HTTP1: Http1Settings =
    Http1Settings { max_buffer_bytes: 48 << 10, max_header_bytes: MAX_HEADER_BYTES as usize };

/// Makes the bytes of a translated response keep the call's guard, which is among its extensions.
pub(super) fn held(mut response: Response<Body>) -> Response<HeldBody<Body>> {
    let guard = response.extensions_mut().remove::<Arc<CallGuard>>();
    response.map(|body| HeldBody::new(body, guard))
}

/// The CORS layer, which tells browsers the origins whose pages may call.
pub(super) fn cors(config: &WebConfig) -> CorsLayer {
    let WebConfig { grpc_web: _, connect: _, cors_origins: origins } = config;
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let cors = CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers(names(&REQUEST_HEADERS))
        .expose_headers(names(&ANSWER_HEADERS))
        .max_age(MAX_AGE);
    if origins.iter().any(|origin| origin == ANY_ORIGIN) {
        return cors.allow_origin(Any);
    }
    let origins = origins.iter().map(|origin| HeaderValue::from_str(origin).expect("the configuration is checked"));
    cors.allow_origin(AllowOrigin::list(origins))
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
            // The translated bytes keep the guard (`held`), not these.
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
    accept.is_some_and(|accept| accept.starts_with(TEXT))
}
