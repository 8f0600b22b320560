//! The recorder, which makes the records of a server's calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};
use tonic::codegen::http::HeaderMap;

use crate::{grpc::Method, metrics::Metrics, otlp};

/// Makes the records of calls. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    metrics: Arc<Metrics>,
    /// `None`: there is no collector.
    otlp: Option<otlp::Recorder>,
    /// Whether the time to drain is over: the server then ends the calls that are left.
    is_closing: AtomicBool,
    /// Notified at the end of each call once `is_closing` is set.
    ended: Notify,
}

impl Recorder {
    pub(crate) fn new(metrics: Arc<Metrics>, otlp: Option<otlp::Recorder>) -> Self {
        Self(Arc::new(Shared { metrics, otlp, is_closing: AtomicBool::new(false), ended: Notify::new() }))
    }

    /// Begins the span of a call, if there is a collector.
    pub(super) fn span(&self, method: Method, headers: &HeaderMap) -> Option<otlp::Trace> {
        self.0.otlp.as_ref().map(|recorder| recorder.begin(method, headers))
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// From here on a call that is dropped without a status was cut off by the server.
    pub(crate) fn close(&self) {
        self.0.is_closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.is_closing.load(Ordering::Relaxed)
    }

    /// A call has ended, and all of its numbers are written.
    pub(super) fn ended(&self) {
        if self.is_closing() {
            self.0.ended.notify_one();
        }
    }

    /// Completes when no call is open any more, or when `limit` is over.
    pub(crate) async fn all_ended(&self, limit: Duration) {
        let all = async {
            while self.metrics().calls_in_flight() > 0 {
                self.0.ended.notified().await;
            }
        };
        // Calls that have not ended by then end with the process, without a span.
        let _ = timeout(limit, all).await;
    }
}
