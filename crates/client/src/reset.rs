//! Requests that end with a reset of their stream where they are not complete.
//!
//! The body of a request ends when its messages do, also where these end because nobody makes the call any more. The server
//! would take such a request for a complete one that is too short. An error of the body makes hyper reset the stream, and the
//! server counts a call that was cancelled.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    transport::Channel,
};

/// Says whether a request has all its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct IsComplete(Arc<AtomicBool>);

impl IsComplete {
    /// The messages may end now.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The channel of one call, whose stream it resets if the request ends before it is complete.
#[derive(Clone)]
pub(crate) struct ResetsIncomplete {
    channel: Channel,
    is_complete: IsComplete,
}

impl ResetsIncomplete {
    pub(crate) fn new(channel: Channel) -> (Self, IsComplete) {
        let is_complete = IsComplete::default();
        (Self { channel, is_complete: is_complete.clone() }, is_complete)
    }
}

impl Service<http::Request<Body>> for ResetsIncomplete {
    type Response = http::Response<Body>;
    type Error = <Channel as Service<http::Request<Body>>>::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_complete = self.is_complete.clone();
        self.channel.call(request.map(|body| Body::new(Request { body, is_complete })))
    }
}

/// A body that ends with an error if its request is not complete.
struct Request {
    body: Body,
    is_complete: IsComplete,
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) if !self.is_complete.get() => {
                Poll::Ready(Some(Err(Status::cancelled("the call was given up"))))
            }
            frame @ (Poll::Ready(_) | Poll::Pending) => frame,
        }
    }
}
