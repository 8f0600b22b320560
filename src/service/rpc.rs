//! What the logs say of a call: one span with what it was asked, one event with how it ended.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use evenkeel_kernels::{DType, TensorRef};
use tonic::{Code, Status};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use crate::{
    error::Error,
    metrics::{Kind, Method, Metrics},
};

/// Runs a call in a span of its own and turns its outcome into gRPC's. [`describe`] and the executor fill the span.
pub(super) async fn observe<T>(
    metrics: &Arc<Metrics>,
    method: Method,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Status> {
    Observed::begin(metrics, method).end(call).await
}

/// A call that has begun.
pub(super) struct Observed {
    method: Method,
    ending: Ending,
}

impl Observed {
    pub(super) fn begin(metrics: &Arc<Metrics>, method: Method) -> Self {
        let name = method.name();
        let span = info_span!(
            "rpc",
            method = name,
            kind = Empty,
            dtype = Empty,
            shape = Empty,
            queue_us = Empty,
            compute_us = Empty
        );
        let metrics = Arc::clone(metrics);
        let ending = Ending { metrics, span, began: Instant::now(), outcome: Err(Error::Cancelled) };
        Self { method, ending }
    }

    pub(super) fn span(&self) -> &Span {
        &self.ending.span
    }

    /// Puts what is computed, on what, into the span.
    pub(super) fn describe(&self, kind: impl Debug + Copy + Into<Kind>, dtype: DType, shape: &[usize]) {
        self.ending.metrics.operation(self.method, kind.into(), dtype.into());
        describe_one(&self.ending.span, kind, dtype, shape);
    }

    /// How long the call waited for a thread, and how long it computed, where the executor does not say so.
    pub(super) fn times(&self, queued: Duration, computed: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.ending.span.record("queue_us", micros(queued)).record("compute_us", micros(computed));
    }

    /// Runs the rest of the call and turns its outcome into gRPC's.
    pub(super) async fn end<T>(self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Status> {
        let Self { method: _, ending } = self;
        let span = ending.span.clone();
        async move {
            let mut ending = ending;
            let result = call.await;
            ending.outcome = result.as_ref().map(|_| ()).map_err(Clone::clone);
            Ok(result?)
        }
        .instrument(span)
        .await
    }
}

fn describe_one(span: &Span, kind: impl Debug, dtype: DType, shape: &[usize]) {
    if !span.is_disabled() {
        span.record("kind", tracing::field::debug(kind))
            .record("shape", tracing::field::debug(shape))
            .record("dtype", dtype.name());
    }
}

/// Puts what is computed, on what, into the current span. Several tensors have a number and a sum instead of a shape.
pub(super) fn describe(kind: impl Debug, tensors: &[TensorRef<'_>]) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    if let [tensor] = tensors {
        return describe_one(&span, kind, tensor.dtype(), tensor.shape());
    }
    span.record("kind", tracing::field::debug(kind));
    match tensors {
        [] => &span,
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
    metrics: Arc<Metrics>,
    span: Span,
    began: Instant,
    outcome: Result<(), Error>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Err(error) = &self.outcome
            && !error.is_of_the_body()
        {
            self.metrics.failed(error);
        }
        let _in_span = self.span.enter();
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
