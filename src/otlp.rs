//! Traces and metrics for an OpenTelemetry collector, over OTLP.
//!
//! A call ends by putting its span in a bounded queue; a thread of the SDK sends what is in it. A collector that is slow or
//! not there costs spans, which are dropped when the queue is full, and never a call.

mod channel;
mod connector;
mod headers;
mod outcome;
#[cfg(test)]
mod tests;

use std::{
    env, thread,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    metrics::{Histogram, MeterProvider as _},
    propagation::{Extractor, TextMapPropagator as _},
    trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use tokio::sync::oneshot;
use tonic::{
    Code,
    codegen::http::{HeaderMap, HeaderName},
};

use self::{headers::CollectorHeaders, outcome::Outcomes};
use crate::{
    config::{self, OtlpConfig},
    grpc::Method,
    watched::Reloads,
};

/// The header of W3C's Trace Context.
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// How long the collector has for one request.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of the process waits for what is still to be sent.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The instrumentation scope of metrics and spans, and the default name of the service.
const SCOPE: &str = "evenkeel";
/// Upper bounds of the buckets, in milliseconds.
const BOUNDS: [f64; 16] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, 5000.0, 10_000.0];

/// The exporters of traces and metrics.
#[derive(Debug)]
pub(crate) struct Otlp {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

/// The reason why there are no exporters.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A setting, or the content of a file that it names, cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// OpenTelemetry's own settings cannot be used.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Otlp {
    /// Exporters that connect when there is something to send; `None` if no collector is set. The tasks that read files
    /// again are added to `reloads`. Must be called on the runtime.
    ///
    /// # Errors
    /// A file that cannot be read or used, by its setting, or a setting with which an exporter cannot be built. OpenTelemetry's SDK
    /// reads its own variables, such as `OTEL_TRACES_SAMPLER` and `OTEL_BSP_MAX_QUEUE_SIZE`, and ignores a value that it cannot use.
    pub(crate) fn new(config: &OtlpConfig, reloads: &mut Reloads) -> Result<Option<Self>, Error> {
        let Some(channel) = channel::connect(config, reloads)? else { return Ok(None) };
        let headers = CollectorHeaders::new(config, reloads)?;
        let spans = SpanExporter::builder().with_tonic().with_channel(channel.clone()).with_timeout(EXPORT_TIMEOUT);
        let numbers = MetricExporter::builder().with_tonic().with_channel(channel).with_timeout(EXPORT_TIMEOUT);
        let spans = Outcomes::of("traces", spans.with_interceptor(headers.clone()).build()?);
        let numbers = Outcomes::of("metrics", numbers.with_interceptor(headers).build()?);
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if !config.reads_environment || env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SCOPE);
        }
        let resource = resource.build();
        let mut traces = SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans);
        if !config.reads_environment {
            // The SDK's own default, which its variables would change.
            traces = traces.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        }
        let traces = traces.build();
        let metrics = SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(numbers).build();
        Ok(Some(Self { traces, metrics }))
    }

    /// The recorder of calls.
    pub(crate) fn recorder(&self) -> Recorder {
        let meter = self.metrics.meter(SCOPE);
        let duration = meter.f64_histogram("rpc.server.duration");
        let duration = duration.with_unit("ms").with_description("The duration of calls.");
        Recorder { tracer: self.traces.tracer(SCOPE), duration: duration.with_boundaries(BOUNDS.to_vec()).build() }
    }

    /// Sends what is left, for a few seconds at most.
    pub(crate) async fn flush(self) {
        let (done, flushed) = oneshot::channel();
        // The SDK blocks the thread that flushes; this thread of its own does not keep the process from ending.
        let flush = move || {
            let Self { traces, metrics } = self;
            let sent = metrics.shutdown().is_ok() & traces.shutdown_with_timeout(FLUSH_TIMEOUT).is_ok();
            // The receiver is gone after the timeout.
            let _ = done.send(sent);
        };
        // If the system gives no thread, nothing is sent, and the receiver hears of it.
        drop(thread::Builder::new().name("flush".to_owned()).spawn(flush));
        match tokio::time::timeout(FLUSH_TIMEOUT, flushed).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) | Err(_) => {
                tracing::warn!("the last traces and metrics did not reach the collector")
            }
        }
    }
}

/// Records calls. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    tracer: SdkTracer,
    duration: Histogram<f64>,
}

impl Recorder {
    /// A call has come; its span is a child of that which its headers name.
    pub(crate) fn begin(&self, method: Method, headers: &HeaderMap) -> Trace {
        let parent = parent(headers);
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", method.service()),
            KeyValue::new("rpc.method", method.name()),
        ];
        #[expect(clippy::disallowed_methods, reason = "a collector wants to know when a call came, beside others'")]
        let came = SystemTime::now();
        let span = self
            .tracer
            .span_builder(format!("{}/{}", method.service(), method.name()))
            .with_kind(SpanKind::Server)
            .with_start_time(came)
            .with_attributes(attributes.clone())
            .start_with_context(&self.tracer, &parent);
        Trace { span, came, attributes, duration: self.duration.clone() }
    }
}

/// The record of a call that has begun.
#[derive(Debug)]
pub(crate) struct Trace {
    span: Span,
    came: SystemTime,
    attributes: [KeyValue; 3],
    duration: Histogram<f64>,
}

/// How a call has ended, and what is known of it then.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Code,
    pub(crate) took: Duration,
    /// The kind, the dtype and the shape of what was computed; `None`: nothing was.
    pub(crate) described: Option<(&'static str, &'static str, String)>,
    pub(crate) queued: Option<Duration>,
    pub(crate) computed: Option<Duration>,
    /// Bytes of messages.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Trace {
    /// The trace that the call belongs to, in hexadecimal.
    pub(crate) fn trace_id(&self) -> Option<String> {
        let context = self.span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    }

    /// The call has ended. The span is as long as the call took, also if the machine's clock was set meanwhile.
    pub(crate) fn end(self, outcome: Outcome) {
        let Self { mut span, came, attributes: [system, service, method], duration } = self;
        let Outcome { code, took, described, queued, computed, received, sent } = outcome;
        if span.is_recording() {
            if let Some((kind, dtype, shape)) = described {
                span.set_attribute(KeyValue::new("evenkeel.kind", kind));
                span.set_attribute(KeyValue::new("evenkeel.dtype", dtype));
                span.set_attribute(KeyValue::new("evenkeel.shape", shape));
            }
            let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
            let numbers = [
                ("evenkeel.queue_us", queued.map(micros)),
                ("evenkeel.compute_us", computed.map(micros)),
                ("evenkeel.received_bytes", Some(bytes(received))),
                ("evenkeel.sent_bytes", Some(bytes(sent))),
            ];
            for (key, value) in numbers {
                if let Some(value) = value {
                    span.set_attribute(KeyValue::new(key, value));
                }
            }
        }
        let status = KeyValue::new("rpc.grpc.status_code", code as i64);
        span.set_attribute(status.clone());
        if is_error(code) {
            span.set_status(Status::error(code.description()));
        }
        span.end_with_timestamp(came + took);
        duration.record(took.as_secs_f64() * 1e3, &[system, service, method, status]);
    }
}

/// The codes that are the server's failure, by the semantic conventions for gRPC.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The trace that headers name, in hexadecimal; `None`: none.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    headers.get(&TRACE_PARENT)?;
    let parent = parent(headers);
    parent.has_active_span().then(|| parent.span().span_context().trace_id().to_string())
}

/// The span that headers name, as W3C's Trace Context has it.
pub(crate) fn parent(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&Headers(headers))
}

const TRACESTATE: &str = "tracestate";
/// The most characters of a state that are passed on: as many as W3C's Trace Context asks for. A longer one is left out.
const MAX_TRACESTATE: usize = 512;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // A span keeps the state until the collector has taken it.
        let value = self.0.get(key).filter(|value| key != TRACESTATE || value.len() <= MAX_TRACESTATE);
        value?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
