//! The metrics in Prometheus' text format.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use evenkeel_kernels::simd;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::process;
use crate::{
    buffers::BufferMetrics,
    counters::Counters,
    executor::Executor,
    grpc::Method,
    instruction_set,
    metrics::{Elements, Files, Histogram, Kind, Metrics, Reason, code_names},
    telemetry,
};

/// The `Content-Type` of the text.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// A certificate that is in use, and may be replaced.
pub(crate) trait Certificate: fmt::Debug + Send + Sync {
    /// When it expires, in seconds of Unix time; `None` if that is unknown.
    fn expiry(&self) -> Option<i64>;
}

/// Writes the metrics of a server.
#[derive(Debug)]
pub(crate) struct Exposition(Registry);

impl Exposition {
    /// `tls`: the server's certificate, if it has one.
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        counters: Arc<Counters>,
        executor: Arc<Executor>,
        tls: Option<Arc<dyn Certificate>>,
    ) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Server { metrics, counters, executor, tls }));
        Self(registry)
    }

    /// All metrics, as text in version 0.0.4 of the format.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0).expect("a string takes whatever is written");
        text
    }
}

#[derive(Debug)]
struct Server {
    metrics: Arc<Metrics>,
    counters: Arc<Counters>,
    executor: Arc<Executor>,
    tls: Option<Arc<dyn Certificate>>,
}

impl Collector for Server {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { metrics, counters, executor, tls } = self;
        calls(&mut encoder, metrics)?;
        work(&mut encoder, metrics)?;
        server(&mut encoder, metrics, executor)?;
        connections(&mut encoder, counters)?;
        files(&mut encoder, metrics, tls.as_deref())?;
        process::encode(&mut encoder)
    }
}

fn calls(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let methods = || Method::ALL.into_iter().zip(&metrics.calls);
    let mut family = counters(encoder, "grpc_server_started", "Calls that have started.")?;
    for (method, calls) in methods() {
        count(&mut family, &of(method), calls.started.get())?;
    }
    let mut family = counters(encoder, "grpc_server_handled", "Calls that have ended, by status.")?;
    for (method, calls) in methods() {
        let [service, name, kind] = of(method);
        for (code, handled) in code_names().zip(&calls.handled) {
            count(&mut family, &[service, name, kind, ("grpc_code", code)], handled.get())?;
        }
    }
    let help = "Time from a call's headers to the end of its response.";
    let mut family = encoder.encode_descriptor("grpc_server_handling_seconds", help, None, MetricType::Histogram)?;
    for (method, calls) in methods() {
        histogram(&mut family, &of(method), &calls.handling)?;
    }
    let help = "Bytes of requests that were read, with gRPC's prefix of five bytes before each message.";
    let mut family = counters(encoder, "evenkeel_received_bytes", help)?;
    for (method, calls) in methods() {
        count(&mut family, &called(method), calls.received_bytes.get())?;
    }
    let help = "Bytes of responses that were given to the transport.";
    let mut family = counters(encoder, "evenkeel_sent_bytes", help)?;
    for (method, calls) in methods() {
        count(&mut family, &called(method), calls.sent_bytes.get())?;
    }
    let in_flight = metrics.calls_in_flight();
    gauge(encoder, "evenkeel_calls_in_flight", "Calls that have started and not ended.", in_flight)
}

fn work(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let methods = || Method::ALL.into_iter().zip(&metrics.work);
    let help = "Calls whose request could be decoded, by operation and by the dtype of their tensors.";
    let mut family = counters(encoder, "evenkeel_operations", help)?;
    for (method, work) in methods() {
        for &kind in Kind::of_method(method) {
            for elements in Elements::ALL.into_iter().filter(|elements| elements.occurs_in(method)) {
                let labels = [("grpc_method", method.name()), ("kind", kind.name()), ("dtype", elements.name())];
                count(&mut family, &labels, work.operations[kind.index()][elements as usize].get())?;
            }
        }
    }
    let help = "Time that work waited for a thread.";
    let mut family = encoder.encode_descriptor("evenkeel_queue_seconds", help, None, MetricType::Histogram)?;
    for (method, work) in methods() {
        histogram(&mut family, &[("grpc_method", method.name())], &work.queue)?;
    }
    let help = "Time that the computation took.";
    let mut family = encoder.encode_descriptor("evenkeel_compute_seconds", help, None, MetricType::Histogram)?;
    for (method, work) in methods() {
        histogram(&mut family, &[("grpc_method", method.name())], &work.compute)?;
    }
    Ok(())
}

fn server(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics, executor: &Executor) -> fmt::Result {
    let mut family = counters(encoder, "evenkeel_refused", "Calls that were refused, by reason.")?;
    for (reason, refused) in Reason::ALL.into_iter().zip(&metrics.refused) {
        count(&mut family, &[("reason", reason.name())], refused.get())?;
    }
    let help = "Calls whose message was read, by the route of the message.";
    let mut family = counters(encoder, "evenkeel_routes", help)?;
    for (route, calls) in metrics.routes.get() {
        count(&mut family, &[("route", route.name())], calls)?;
    }
    let BufferMetrics { reused, made, dropped, kept_bytes } = executor.buffers().metrics();
    for (name, help, value) in [
        ("evenkeel_panics", "Panics while serving a call, which are bugs.", metrics.panics.get()),
        ("evenkeel_log_lines_lost", "Log lines that could not be written, or not in time.", telemetry::lost()),
        ("evenkeel_buffers_reused", "Buffers that were taken from the pool.", reused),
        ("evenkeel_buffers_made", "Buffers that were allocated because the pool had none.", made),
        ("evenkeel_buffers_dropped", "Buffers that were freed because the pool was full.", dropped),
    ] {
        ConstCounter::new(value).encode(counters(encoder, name, help)?)?;
    }
    for (name, help, value) in [
        ("evenkeel_buffers_kept_bytes", "Bytes of buffers that the pool keeps for further calls.", kept_bytes as u64),
        ("evenkeel_compute_threads", "Threads of the compute pool.", executor.threads() as u64),
        ("evenkeel_jobs_queued", "Jobs that wait for a compute thread.", metrics.queued.get() as u64),
        (
            "evenkeel_jobs_running",
            "Jobs that run, on compute threads and serving threads.",
            metrics.running.get() as u64,
        ),
        (
            "evenkeel_self_check_failed",
            "1 if the self-check has found other bits than every machine gives, or did not run.",
            metrics.self_check_failed.load(Ordering::Relaxed).into(),
        ),
    ] {
        gauge(encoder, name, help, value)?;
    }
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("instruction_set", instruction_set::name(simd::chosen()))];
    let help = "Always 1; the labels have the version and the instruction set.";
    let mut family = encoder.encode_descriptor("evenkeel_build_info", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_u64).encode(family.encode_family(&labels)?)
}

fn connections(encoder: &mut DescriptorEncoder<'_>, counted: &Counters) -> fmt::Result {
    let transport = &counted.transport;
    for (name, help, value) in [
        ("evenkeel_connections_accepted", "Connections that were accepted.", &transport.connections_accepted),
        ("evenkeel_accept_errors", "Failures to accept a connection.", &transport.accept_errors),
    ] {
        ConstCounter::new(value.get()).encode(counters(encoder, name, help)?)?;
    }
    let mut family =
        counters(encoder, "evenkeel_connections_refused", "Connections that were refused by a limit, by limit.")?;
    count(&mut family, &[("bound", "total")], transport.connections_refused_total.get())?;
    count(&mut family, &[("bound", "peer")], transport.connections_refused_peer.get())?;
    let mut family = counters(encoder, "evenkeel_connections_ended", "Connections that the server closed, by cause.")?;
    for (why, value) in [
        ("handshake_timeout", &transport.handshakes_timed_out),
        ("handshake_failed", &transport.handshakes_failed),
        ("idle", &transport.connections_idle),
        ("age", &transport.connections_aged),
        ("worn_out", &transport.connections_worn_out),
        ("cut", &transport.connections_cut),
    ] {
        count(&mut family, &[("why", why)], value.get())?;
    }
    let mut family =
        counters(encoder, "evenkeel_stalled", "Calls and connections whose client did not send or read in time.")?;
    count(&mut family, &[("way", "receive")], counted.receives_timed_out.get())?;
    count(&mut family, &[("way", "send")], transport.sends_timed_out.get())?;
    for (name, help, value) in [
        ("evenkeel_connections_open", "Connections that are open.", &transport.connections_open),
        ("evenkeel_calls_unanswered", "Calls whose response is not fully written.", &transport.requests_open),
        (
            "evenkeel_bytes_in_flight",
            "Bytes of the limit on bytes in flight that calls hold.",
            &counted.bytes_in_flight,
        ),
        ("evenkeel_stream_bytes", "Bytes that streams of calls hold in addition to messages.", &counted.stream_bytes),
        ("evenkeel_question_bytes", "Bytes that health and reflection hold.", &counted.question_bytes),
    ] {
        gauge(encoder, name, help, value.get() as u64)?;
    }
    Ok(())
}

fn files(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics, tls: Option<&dyn Certificate>) -> fmt::Result {
    let help = "1 while changed files cannot be used and the old content stays in use.";
    let mut family = encoder.encode_descriptor("evenkeel_files_unusable", help, None, MetricType::Gauge)?;
    for (files, unusable) in Files::ALL.into_iter().zip(&metrics.unusable) {
        let unusable = u64::from(unusable.load(Ordering::Relaxed));
        ConstGauge::new(unusable).encode(family.encode_family(&[("files", files.name())])?)?;
    }
    let Some(expiry) = tls.and_then(Certificate::expiry) else { return Ok(()) };
    let (name, help) =
        ("evenkeel_tls_certificate_expiry_timestamp_seconds", "When the certificate in use expires, in Unix time.");
    ConstGauge::new(expiry).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// The labels of a call.
fn of(method: Method) -> [(&'static str, &'static str); 3] {
    [("grpc_service", method.service()), ("grpc_method", method.name()), ("grpc_type", method.kind())]
}

/// The same without the type.
fn called(method: Method) -> [(&'static str, &'static str); 2] {
    [("grpc_service", method.service()), ("grpc_method", method.name())]
}

fn counters<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn count<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &'static str); N],
    value: u64,
) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn histogram<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &'static str); N],
    histogram: &Histogram,
) -> fmt::Result {
    let (sum, count, buckets) = histogram.read();
    family.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
