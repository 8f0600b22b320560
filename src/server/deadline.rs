//! The status of a call whose time is over: DEADLINE_EXCEEDED, as gRPC says.

use std::{
    convert::Infallible,
    future::ready,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::Service;

use super::BoxedAnswer;
use crate::{direct::trailers, error::Error, observe::CallRecord};

/// Ends calls at the deadline their client gave them. What they wait for is dropped, and so told to stop.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    service: S,
}

impl<S> Deadline<S> {
    pub(super) fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = BoxedAnswer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxedAnswer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(timeout) = timeout(request.headers()) else { return self.service.call(request) };
        if timeout.is_zero() {
            // A short call could still be done when its clock is first looked at.
            return Box::pin(ready(Ok(out_of_time())));
        }
        let record = CallRecord::of(request.extensions());
        let call = self.service.call(request);
        Box::pin(async move {
            let end = Instant::now() + timeout;
            match tokio::time::timeout_at(end, call).await {
                Ok(Ok(answer)) if answer.extensions().get::<Unfinished>().is_some() => {
                    Ok(answer.map(|body| Body::new(Until { body, end: Box::pin(sleep_until(end)), record })))
                }
                Ok(answer) => answer,
                Err(_) => Ok(out_of_time()),
            }
        })
    }
}

/// Marks a response whose body is still being computed: the deadline holds for it, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished;

/// A body that must end in time; what there is of it then is dropped, and trailers say why.
struct Until {
    body: Body,
    end: Pin<Box<Sleep>>,
    record: CallRecord,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() || self.end.as_mut().poll(cx).is_pending() {
            return frame;
        }
        self.body = Body::empty();
        self.record.fail(Error::DeadlineExceeded);
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&Err(Error::DeadlineExceeded.into()))))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn out_of_time() -> Response<Body> {
    Status::from(Error::DeadlineExceeded).into_http()
}

/// The `grpc-timeout` of a call: up to eight digits and a unit. What is not one is no timeout, as in tonic.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header's value"));
            timeout(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("0S"), Some(Duration::ZERO));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("5n"), Some(Duration::from_nanos(5)));
        for wrong in ["", "S", "5", "5s", "-1S", "+1S", "123456789S", "1.5S", "µ"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
