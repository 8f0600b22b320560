//! The status of a call whose time is over.
//!
//! tonic reads `grpc-timeout` too, but answers CANCELLED, where gRPC says DEADLINE_EXCEEDED. It looks at its own clock
//! only after the service inside has said that it is not ready, so a clock in here that is a little ahead answers first.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::Service;

use crate::error::Error;

/// How much earlier this clock ends, at most; shorter timeouts are cut by an eighth.
const AHEAD: Duration = Duration::from_millis(1);

/// Ends calls at the deadline their client gave them. What they wait for is dropped, and so told to stop.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S>(S);

impl<S> Deadline<S> {
    pub(super) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(timeout) = timeout(request.headers()) else { return Box::pin(self.0.call(request)) };
        if timeout.is_zero() {
            // A short call could still be done when its clock is first looked at.
            return Box::pin(async move { Ok(out_of_time(timeout)) });
        }
        let call = self.0.call(request);
        Box::pin(async move {
            let answer = tokio::time::timeout(timeout - AHEAD.min(timeout / 8), call).await;
            answer.unwrap_or_else(|_| Ok(out_of_time(timeout)))
        })
    }
}

fn out_of_time(timeout: Duration) -> Response<Body> {
    tracing::info!(status = ?Error::DeadlineExceeded.code(), ?timeout, "call out of time");
    Status::from(Error::DeadlineExceeded).into_http()
}

/// The `grpc-timeout` of a call: up to eight digits and a unit. What is not one is no timeout, as in tonic.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
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
