//! Logs when the collector begins to fail and when it takes data again, once for each change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};

/// An exporter whose outcomes are watched.
#[derive(Debug)]
pub(super) struct Outcomes<E> {
    /// The signal that it sends. A collector may take one and refuse the other.
    signal: &'static str,
    exporter: E,
    failing: AtomicBool,
}

impl<E> Outcomes<E> {
    pub(super) fn of(signal: &'static str, exporter: E) -> Self {
        Self { signal, exporter, failing: AtomicBool::new(false) }
    }

    fn seen(&self, outcome: OTelSdkResult) -> OTelSdkResult {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => tracing::warn!(
                signal = self.signal,
                %error,
                "the collector does not take what is sent, which is lost; nothing more is said until it does"
            ),
            Ok(()) if was_failing => tracing::info!(signal = self.signal, "the collector takes what is sent again"),
            Err(_) | Ok(()) => {}
        }
        outcome
    }
}

impl<E: SpanExporter> SpanExporter for Outcomes<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.seen(self.exporter.export(batch).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Outcomes<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.seen(self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
