//! Sees every call begin and end: those of the tensor service on either way, health, reflection, and what nobody knows.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response, StatusCode},
};
use tower::Service;

use super::{Call, Method, Metrics};
use crate::otlp::Recorder;

/// Counts the calls of the service inside.
#[derive(Clone, Debug)]
pub(crate) struct Observe<S> {
    service: S,
    metrics: Arc<Metrics>,
    recorder: Option<Recorder>,
}

impl<S> Observe<S> {
    pub(crate) fn new(service: S, metrics: Arc<Metrics>, recorder: Option<Recorder>) -> Self {
        Self { service, metrics, recorder }
    }
}

impl<S> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method::of_path(request.uri().path());
        let trace = self.recorder.as_ref().map(|recorder| recorder.begin(method, request.headers()));
        let call = self.metrics.begin_call(method).trace(trace);
        let metrics = Arc::clone(&self.metrics);
        let answer = self.service.call(request.map(|body| Body::new(Received { body, metrics, method })));
        Answering { answer, call: Some(call) }
    }
}

/// A request's body, whose bytes are counted as they come.
#[derive(Debug)]
struct Received {
    body: Body,
    metrics: Arc<Metrics>,
    method: Method,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.metrics.calls[self.method.index()].received_bytes.add(data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// An answer that is waited for.
    pub(crate) struct Answering<F> {
        #[pin]
        answer: F,
        call: Option<Call>,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Answering<F> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.answer.poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // An error without a body has its status in the headers; without both there is none, nor in an answer of HTTP.
        let has_none = || response.status() != StatusCode::OK || response.body().is_end_stream();
        if let Some(code) = code(response.headers()).or_else(|| has_none().then_some(Code::Unknown))
            && let Some(call) = this.call.take()
        {
            call.end(code);
        }
        // A call that has ended has a body without anything in it.
        Poll::Ready(Ok(match this.call.take() {
            Some(call) => response.map(|body| Body::new(Sent { body, call: Some(call) })),
            None => response,
        }))
    }
}

/// An answer's body, which ends with the call's status.
#[derive(Debug)]
struct Sent {
    body: Body,
    /// `None`: the call has ended.
    call: Option<Call>,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let code = match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => {
                    if let Some(call) = &self.call {
                        call.sent(data.len());
                    }
                    None
                }
                (None, trailers) => trailers.and_then(code),
            },
            Some(Err(status)) => Some(status.code()),
            // It ended without a status: what a client makes of that.
            None => Some(Code::Unknown),
        };
        if let Some(code) = code
            && let Some(call) = self.call.take()
        {
            call.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The status in headers or trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}
