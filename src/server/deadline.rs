//! The deadlines of calls: a call that is not answered in time ends with DEADLINE_EXCEEDED.

use std::{
    future::ready,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::{
    task::AbortHandle,
    time::{Instant, Sleep, sleep_until},
};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};

use super::admission::Kind;
use crate::{
    error::Error,
    grpc::{BoxedResponse, GrpcService, Middleware, TIMEOUT, Unfinished, trailers},
    observe::CallRecord,
};

/// Ends calls at the deadline that their client has given. Dropping the call's future stops its work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline;

impl<S: GrpcService<Future = BoxedResponse>> Middleware<S> for Deadline {
    fn call(&self, request: Request<Body>, inner: &mut S) -> BoxedResponse {
        let timeout = match timeout(request.headers()) {
            Ok(Some(timeout)) => timeout,
            Ok(None) => return inner.call(request),
            Err(error) => return Box::pin(ready(Ok(Status::from(error).into_http()))),
        };
        let end = Instant::now() + timeout;
        let record = CallRecord::of(request.extensions());
        let is_question = Kind::of_call(request.extensions()).is_question();
        let call = inner.call(request);
        Box::pin(async move {
            // `timeout_at` polls the call first: a short call would be answered even after its deadline.
            if Instant::now() >= end {
                return Ok(out_of_time());
            }
            let Ok(response) = tokio::time::timeout_at(end, call).await else { return Ok(out_of_time()) };
            let mut response = response?;
            // The bodies of other responses are complete already.
            if is_question || response.extensions_mut().remove::<Unfinished>().is_some() {
                response = response.map(|body| Body::new(Until::new(body, end, record)));
            }
            Ok(response)
        })
    }
}

/// A body that must end in time. At the deadline the rest of it is dropped, and the trailers have DEADLINE_EXCEEDED.
struct Until {
    rest: Arc<Mutex<Rest>>,
    end: Pin<Box<Sleep>>,
    /// The task that drops the body at the deadline if the client does not take it: nothing polls the body then.
    watch: AbortHandle,
    is_over: bool,
}

/// The rest of a body, which its watch can drop, too.
struct Rest {
    /// `None`: the deadline has passed.
    body: Option<Body>,
    record: CallRecord,
}

impl Rest {
    /// Drops the body, which ends the computation behind it.
    fn give_up(&mut self) {
        if self.body.take().is_some() {
            self.record.fail(Error::DeadlineExceeded);
        }
    }
}

impl Until {
    fn new(body: Body, end: Instant, record: CallRecord) -> Self {
        let rest = Arc::new(Mutex::new(Rest { body: Some(body), record }));
        let watched = Arc::clone(&rest);
        let watch = tokio::spawn(async move {
            sleep_until(end).await;
            lock(&watched).give_up();
        });
        Self { rest, end: Box::pin(sleep_until(end)), watch: watch.abort_handle(), is_over: false }
    }
}

fn lock(rest: &Mutex<Rest>) -> MutexGuard<'_, Rest> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Until {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // The clock comes first: a client that takes frame after frame would otherwise have no deadline.
        let is_late = self.end.as_mut().poll(cx).is_ready();
        let mut rest = lock(&self.rest);
        if is_late {
            rest.give_up();
        }
        if let Some(body) = &mut rest.body {
            return Pin::new(body).poll_frame(cx);
        }
        drop(rest);
        self.is_over = true;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&Err(Error::DeadlineExceeded.into()))))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || lock(&self.rest).body.as_ref().is_some_and(HttpBody::is_end_stream)
    }
}

fn out_of_time() -> Response<Body> {
    Status::from(Error::DeadlineExceeded).into_http()
}

/// The `grpc-timeout` of a call: up to eight digits and a unit.
///
/// # Errors
/// [`Error::Invalid`] for anything else: running the call without a deadline would not be what its client has asked
/// for.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(&TIMEOUT) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse);
    timeout
        .map(Some)
        .ok_or_else(|| Error::invalid(TIMEOUT.as_str(), "it must be one to eight digits and one of H, M, S, m, u, n"))
}

fn parse(text: &str) -> Option<Duration> {
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
    use tonic::Code;

    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header's value"));
            timeout(&headers)
        };
        assert_eq!(read("2H"), Ok(Some(Duration::from_secs(7200))));
        assert_eq!(read("3M"), Ok(Some(Duration::from_secs(180))));
        assert_eq!(read("0S"), Ok(Some(Duration::ZERO)));
        assert_eq!(read("250m"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(read("99999999u"), Ok(Some(Duration::from_micros(99_999_999))));
        assert_eq!(read("5n"), Ok(Some(Duration::from_nanos(5))));
        for wrong in ["", "S", "5", "5s", "-1S", "+1S", "123456789S", "1.5S", "µ"] {
            let error = read(wrong).expect_err(wrong);
            assert_eq!(error.code(), Code::InvalidArgument, "{wrong}");
        }
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
    }
}
