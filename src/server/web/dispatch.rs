//! Tells calls of gRPC-Web and of Connect from other requests.
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
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, Service};

use super::{TEXT, pieces::Pieces};
use crate::{
    grpc::{BoxError, BoxedResponse, GrpcService},
    server::{
        connect::{Connect, Protocol},
        protocol::NoCall,
    },
};

/// The content types of gRPC-Web. tonic-web would answer others over HTTP/1.1 with a status that says nothing.
const TYPES: [&[u8]; 4] = [
    b"application/grpc-web",
    b"application/grpc-web+proto",
    b"application/grpc-web-text",
    b"application/grpc-web-text+proto",
];

/// The protocols that are spoken beside gRPC.
#[derive(Clone, Debug)]
pub(in crate::server) struct Spoken {
    pub(in crate::server) grpc_web: bool,
    /// `None`: Connect is not spoken.
    pub(in crate::server) connect: Option<Connect>,
}

/// Has calls of gRPC-Web and of Connect translated, and sends other requests to `calls`.
#[derive(Clone, Debug)]
pub(in crate::server) struct Dispatch<S> {
    spoken: Spoken,
    translated: GrpcWebService<S>,
    calls: S,
}

impl<S: Clone> Dispatch<S> {
    pub(in crate::server) fn new(spoken: Spoken, calls: S) -> Self {
        Self { spoken, translated: GrpcWebLayer::new().layer(calls.clone()), calls }
    }
}

impl<S, B> Service<Request<B>> for Dispatch<S>
where
    S: GrpcService<Future = BoxedResponse>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError> + std::fmt::Display> + Unpin + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.calls.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> BoxedResponse {
        if let Some(no_call) = NoCall::of_http1(request.version(), request.headers()) {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(no_call);
            return self.calls.call(request);
        }
        if let Some(connect) = &self.spoken.connect
            && let Some(protocol) = Protocol::of(request.method(), request.headers())
        {
            return connect.call(protocol, request, &mut self.calls);
        }
        let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_web = self.spoken.grpc_web && content_type.is_some_and(|content_type| TYPES.contains(&content_type));
        if is_web && request.method() == Method::POST {
            let is_text = content_type.is_some_and(|content_type| content_type.starts_with(TEXT));
            return Box::pin(if is_text {
                // tonic-web copies each frame of text, and keeps the copy's memory until the request has ended.
                let (mut head, body) = request.into_parts();
                let pieces = Pieces::new(Body::new(body));
                head.extensions.insert(pieces.kept());
                self.translated.call(Request::from_parts(head, Body::new(pieces)))
            } else {
                self.translated.call(request)
            });
        }
        let mut request = request.map(Body::new);
        let no_call = match NoCall::of(request.method(), request.headers()) {
            None if request.version() < Version::HTTP_2 => Some(NoCall::Version),
            Some(NoCall::ContentType) if self.spoken.connect.is_some() => Some(NoCall::ContentTypeOfConnect),
            other => other,
        };
        if let Some(no_call) = no_call {
            request.extensions_mut().insert(no_call);
        }
        self.calls.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::{BodyExt as _, Full};
    use tower::service_fn;

    use super::*;
    use crate::server::web::pieces::PIECE;

    /// tonic-web keeps as much memory as the longest frame of text that it was given.
    #[tokio::test]
    async fn text_is_translated_in_short_pieces() {
        static LENGTHS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        let calls = service_fn(|request: Request<Body>| -> BoxedResponse {
            Box::pin(async {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let data = frame.expect("it is base64").into_data().expect("it is data");
                    LENGTHS.lock().expect("no panic").push(data.len());
                }
                Ok(Response::new(Body::empty()))
            })
        });
        let mut dispatch = Dispatch::new(Spoken { grpc_web: true, connect: None }, calls);
        let text = Full::new(Bytes::from_static(&[b'A'; 1 << 20]));
        let request = Request::post("/S/M").header(header::CONTENT_TYPE, "application/grpc-web-text").body(text);
        dispatch.call(request.expect("a request")).await.expect("it cannot fail");
        let lengths = LENGTHS.lock().expect("no panic");
        assert_eq!(lengths.iter().sum::<usize>(), (3 << 20) / 4);
        assert!(lengths.iter().all(|&len| len <= PIECE), "{lengths:?}");
    }
}
