//! Requests that are no calls of gRPC: answered by HTTP's means, before anything of them is read.

use std::{
    convert::Infallible,
    future::ready,
    task::{Context, Poll},
};

use tonic::{
    body::Body,
    codegen::http::{Method, Request, Response, StatusCode, header},
};
use tower::Service;

use super::BoxedAnswer;

/// Lets calls of gRPC through to `service`.
#[derive(Clone, Debug)]
pub(super) struct OnlyGrpc<S>(S);

impl<S> OnlyGrpc<S> {
    pub(super) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S> Service<Request<Body>> for OnlyGrpc<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = BoxedAnswer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedAnswer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> BoxedAnswer {
        match refusal(&request) {
            Some(status) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
                }
                Box::pin(ready(Ok(response)))
            }
            None => self.0.call(request),
        }
    }
}

/// What gRPC says that a request is answered with which does not have its method or its type.
fn refusal<B>(request: &Request<B>) -> Option<StatusCode> {
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    // `application/grpc-web` is another protocol.
    match rest {
        Some([] | [b'+' | b';' | b' ', ..]) => None,
        Some(_) | None => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_other_requests() {
        let refused = |method: &str, content_type: Option<&str>| {
            let mut request = Request::builder().method(method);
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            refusal(&request.body(()).expect("a request")).map(|status| status.as_u16())
        };
        for content_type in ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"] {
            assert_eq!(refused("POST", Some(content_type)), None, "{content_type}");
        }
        for other in [None, Some("application/json"), Some("application/grpc-web"), Some("text/application/grpc")] {
            assert_eq!(refused("POST", other), Some(415), "{other:?}");
        }
        for method in ["GET", "PUT", "HEAD", "CONNECT", "BREW"] {
            assert_eq!(refused(method, Some("application/grpc")), Some(405), "{method}");
        }
    }
}
