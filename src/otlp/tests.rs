use std::sync::{Arc, Mutex};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::*;

/// Keeps what it gets.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("nobody panics").append(&mut batch);
        Ok(())
    }
}

/// The length of a span does not depend on a clock that can be set.
#[test]
fn a_span_is_as_long_as_the_call_took() {
    let kept = Kept::default();
    let traces = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let metrics = SdkMeterProvider::default();
    let recorder = Otlp { traces, metrics }.recorder();
    let method = Method::of_path("/evenkeel.v1.TensorOpsService/Normalize");
    for took in [Duration::ZERO, Duration::from_micros(17), Duration::from_secs(3600)] {
        let outcome =
            Outcome { code: Code::Ok, took, described: None, queued: None, computed: None, received: 0, sent: 0 };
        recorder.begin(method, &HeaderMap::new()).end(outcome);
        let span = kept.0.lock().expect("nobody panics").pop().expect("it is recorded");
        assert_eq!(span.end_time, span.start_time + took);
    }
}

/// A span keeps its parent's state until the collector has it, so a long state is left out. The parent stays.
#[test]
fn a_long_state_is_left_out() {
    let state = |last: usize| format!("a={},b={},c={}", "x".repeat(248), "x".repeat(248), "x".repeat(last));
    for (state, is_kept) in [(state(8), true), (state(9), false)] {
        assert_eq!(state.len() <= MAX_TRACESTATE, is_kept);
        let mut headers = HeaderMap::new();
        let id = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", id.parse().expect("a header's value"));
        headers.insert(TRACESTATE, state.parse().expect("a header's value"));
        let context = parent(&headers);
        let parent = context.span().span_context().clone();
        assert_eq!(parent.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        let kept = parent.trace_state().header();
        assert_eq!(kept, if is_kept { state } else { String::new() });
    }
}
