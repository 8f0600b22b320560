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
