//! Calls, whoever answers them: what `grpc_server_*` says.

use std::{array, sync::Arc, time::Instant};

use tonic::Code;

use super::{Counter, Method, Metrics, histogram::Histogram};
use crate::otlp::Trace;

/// gRPC's status codes, 0 to 16.
pub(super) const CODES: usize = 17;

/// The calls of one method.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) started: Counter,
    pub(super) handled: [Counter; CODES],
    pub(super) handling: Histogram,
    pub(super) received_bytes: Counter,
    pub(super) sent_bytes: Counter,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            handled: array::from_fn(|_| Counter::default()),
            handling: Histogram::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
        }
    }
}

/// A call that has begun. Dropped without an end, it was given up on by its client.
#[derive(Debug)]
pub(crate) struct Call {
    metrics: Arc<Metrics>,
    method: Method,
    began: Instant,
    code: Code,
    trace: Option<Trace>,
}

impl Call {
    pub(super) fn begin(metrics: Arc<Metrics>, method: Method) -> Self {
        metrics.calls[method.index()].started.add(1);
        Self { metrics, method, began: Instant::now(), code: Code::Cancelled, trace: None }
    }

    /// Records the call elsewhere, too.
    pub(super) fn trace(mut self, trace: Option<Trace>) -> Self {
        self.trace = trace;
        self
    }

    /// The call was answered.
    pub(super) fn end(mut self, code: Code) {
        self.code = code;
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.calls().sent_bytes.add(bytes as u64);
    }

    fn calls(&self) -> &Calls {
        &self.metrics.calls[self.method.index()]
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let calls = self.calls();
        calls.handled[self.code as usize].add(1);
        calls.handling.observe(took);
        if let Some(trace) = self.trace.take() {
            trace.end(self.code, took);
        }
    }
}
