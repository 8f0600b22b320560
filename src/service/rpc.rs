//! What the logs say of a call: one span with what it was asked, one event with how it ended.

use std::{fmt::Debug, time::Instant};

use evenkeel_kernels::TensorRef;
use tonic::{Code, Status};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use crate::error::Error;

/// Runs a call in a span of its own and turns its outcome into gRPC's. [`describe`] and the executor fill the span.
pub(super) async fn observe<T>(
    method: &'static str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Status> {
    let span =
        info_span!("rpc", method, kind = Empty, dtype = Empty, shape = Empty, queue_us = Empty, compute_us = Empty);
    async {
        let mut ending = Ending { began: Instant::now(), outcome: Err(Error::Cancelled) };
        let result = call.await;
        ending.outcome = result.as_ref().map(|_| ()).map_err(Clone::clone);
        Ok(result?)
    }
    .instrument(span)
    .await
}

/// Puts what is computed, on what, into the current span. Several tensors have a number and a sum instead of a shape.
pub(super) fn describe(kind: impl Debug, tensors: &[TensorRef<'_>]) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("kind", tracing::field::debug(kind));
    match tensors {
        [] => &span,
        [tensor] => span.record("shape", tracing::field::debug(tensor.shape())).record("dtype", tensor.dtype().name()),
        [first, rest @ ..] => {
            let mixed = rest.iter().any(|tensor| tensor.dtype() != first.dtype());
            let elements: usize = tensors.iter().map(TensorRef::len).sum();
            span.record("dtype", if mixed { "mixed" } else { first.dtype().name() })
                .record("shape", format!("{} tensors, {elements} elements", tensors.len()))
        }
    };
}

/// The same where the tensors have come and gone one by one.
pub(super) fn describe_total(kind: impl Debug, elements: u64) {
    Span::current().record("kind", tracing::field::debug(kind)).record("shape", format!("{elements} elements"));
}

/// A span for one message of a stream, which has its own times of waiting and computing.
pub(super) fn message() -> Span {
    info_span!("message", queue_us = Empty, compute_us = Empty)
}

/// Logs the end of a call when it is dropped, so that a call that the client gave up on, and whose future is dropped
/// where it waits, is logged as well.
struct Ending {
    began: Instant,
    outcome: Result<(), Error>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let elapsed_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &self.outcome {
            Ok(()) => tracing::info!(status = ?Code::Ok, elapsed_us, "call ended"),
            Err(error) if error.is_ours() => {
                tracing::error!(status = ?error.code(), elapsed_us, %error, "call ended");
            }
            Err(error) => tracing::info!(status = ?error.code(), elapsed_us, %error, "call ended"),
        }
    }
}
