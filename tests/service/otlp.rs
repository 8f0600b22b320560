//! Traces and metrics as a collector gets them: the tests have a collector of their own, which decodes them.

pub(crate) mod collector;
mod renewed;
mod tls;
mod trouble;

use std::{env, net::SocketAddr};

use evenkeel::config::{OtlpConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::metric::Data,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tonic::{Code, Request};

use self::collector::{Collector, spans};
use crate::{
    environment::without_environment,
    harness::{f32s, normalize, refusal, start_with},
    process::Process,
};

pub(crate) fn sending_to(address: SocketAddr) -> ServerConfig {
    let otlp = OtlpConfig { endpoint: Some(format!("http://{address}")), ..Default::default() };
    ServerConfig { otlp, ..ServerConfig::on_free_port() }
}

pub(crate) fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

pub(crate) fn text(attributes: &[KeyValue], key: &str) -> String {
    match attribute(attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_spans_with_their_parents_and_the_durations() {
    let mut collector = Collector::start(None).await;
    let (server, mut client) = start_with(sending_to(collector.address)).await;
    let (trace_id, parent_id) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let mut request = Request::new(normalize(pb::NormKind::Layer, f32s(&[2], &[1.0, 2.0])));
    let parent = format!("00-{trace_id}-{parent_id}-01").parse().expect("a value");
    request.metadata_mut().insert("traceparent", parent);
    client.normalize(request).await.expect("it is right");
    refusal(client.dropout(pb::DropoutRequest::default()).await, Code::InvalidArgument);
    drop(client);
    // The server sends the rest before it ends.
    server.shutdown_and_wait().await.expect("it ends well");

    let mut all: Vec<Span> = Vec::new();
    while let Ok(request) = collector.traces.try_recv() {
        all.extend(spans(request.into_inner()));
    }
    assert_eq!(all.len(), 2, "{all:?}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let span = |name: &str| {
        let name = format!("evenkeel.v1.TensorOpsService/{name}");
        all.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
    };
    let child = span("Normalize");
    assert_eq!((hex(&child.trace_id).as_str(), hex(&child.parent_span_id).as_str()), (trace_id, parent_id));
    assert_eq!(child.kind(), SpanKind::Server);
    assert!(child.end_time_unix_nano >= child.start_time_unix_nano);
    assert_eq!(text(&child.attributes, "rpc.system"), "grpc");
    assert_eq!(text(&child.attributes, "rpc.service"), "evenkeel.v1.TensorOpsService");
    assert_eq!(text(&child.attributes, "rpc.method"), "Normalize");
    assert_eq!(attribute(&child.attributes, "rpc.grpc.status_code"), Some(&Value::IntValue(0)));
    let root = span("Dropout");
    assert!(root.parent_span_id.is_empty(), "nobody named a parent");
    assert_eq!(attribute(&root.attributes, "rpc.grpc.status_code"), Some(&Value::IntValue(3)));
    // The fault is the client's: the span is not marked as an error.
    assert!(root.status.as_ref().is_none_or(|status| status.code() == StatusCode::Unset), "{:?}", root.status);

    let numbers = collector.metrics.try_recv().expect("metrics were sent");
    let metrics = numbers.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let duration = metrics.flat_map(|scope| scope.metrics).find(|metric| metric.name == "rpc.server.duration");
    let duration = duration.expect("there is the duration");
    assert_eq!(duration.unit, "ms");
    let Some(Data::Histogram(histogram)) = duration.data else { panic!("{:?} is no histogram", duration.data) };
    let mut points: Vec<_> = histogram
        .data_points
        .iter()
        .map(|point| {
            assert!(point.sum.is_some_and(|sum| sum > 0.0), "{point:?}");
            (text(&point.attributes, "rpc.method"), attribute(&point.attributes, "rpc.grpc.status_code"), point.count)
        })
        .collect();
    points.sort_by(|one, another| one.0.cmp(&another.0));
    let (wrong, right) = (Value::IntValue(3), Value::IntValue(0));
    assert_eq!(points, [("Dropout".to_owned(), Some(&wrong), 1), ("Normalize".to_owned(), Some(&right), 1)]);
}

/// Runs two of these tests in another process, with variables that change what OpenTelemetry's SDK sends, and others: a
/// server within a program follows only the settings that it is given.
#[test]
fn variables_of_whoever_runs_the_tests_change_nothing() {
    let these = env::current_exe().expect("a test is a file");
    let of_otlp = "otlp::a_collector_gets_spans_with_their_parents_and_the_durations";
    let output = without_environment(these)
        .args(["--exact", of_otlp, "ends::a_call_that_is_answered"])
        .envs([("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_SERVICE_NAME", "another")])
        .envs([("EVENKEEL_LISTEN", "nowhere"), ("RUST_LOG", "trace"), ("http_proxy", "http://127.0.0.1:9")])
        .output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("2 passed"), "{said}");
}

/// The program itself follows the variables, as programs with OpenTelemetry do.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_its_name_from_the_variable() {
    let mut collector = Collector::start(None).await;
    let endpoint = format!("--otlp-endpoint=http://{}", collector.address);
    let variables = [tls::AT_ONCE, ("OTEL_SERVICE_NAME", "another")];
    let process = Process::start(&["--listen=127.0.0.1:0", &endpoint], &variables);
    tls::call(&mut process.client().await).await;
    let request = collector.next_spans().await.into_inner();
    let resource = request.resource_spans[0].resource.as_ref().expect("it says what it is from");
    assert_eq!(text(&resource.attributes, "service.name"), "another");
}
