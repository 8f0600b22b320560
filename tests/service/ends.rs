//! Every way a call can end, and what is recorded of it: one line in the log, one count in the metrics, one span, and
//! the same code in all of them.
//!
//! The server runs on the thread of the test alone, so that a log of this thread has all its lines.

mod calls;
pub(crate) mod log;
mod refusals;
mod streams;
mod table;

use evenkeel::{config::ServerConfig, server::Running};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, metrics::v1::metric::Data, trace::v1::Span};
use tonic::Code;

use self::{
    calls::Server,
    log::Log,
    refusals::{HOLDER, Refusal},
    streams::Stream,
    table::{End, Row},
};
use crate::{
    metrics::{config, scrape},
    otlp::{
        attribute,
        collector::{Collector, spans},
        sending_to, text,
    },
    until::{until_some, within},
};

/// What is recorded of a call.
#[derive(Debug, PartialEq)]
struct Said {
    method: String,
    code: i64,
}

/// The calls in the metrics of Prometheus, and how many there are of each. They can be read only until the server ends.
pub(crate) async fn counted(server: &Running) -> Vec<(String, f64)> {
    let all = scrape(server).await.into_iter();
    let handled = all.filter(|(series, calls)| series.starts_with("grpc_server_handled_total") && *calls > 0.0);
    handled.filter(|(series, _)| !series.contains(&format!("grpc_method=\"{HOLDER}\""))).collect()
}

/// The calls that the collector has durations of.
fn measured(collector: &mut Collector) -> Vec<Said> {
    let mut all = Vec::new();
    while let Ok(request) = collector.metrics.try_recv() {
        all.clear();
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let Some(Data::Histogram(histogram)) = metric.data else { continue };
            for point in histogram.data_points {
                let said = || Said { method: text(&point.attributes, "rpc.method"), code: code_of(&point.attributes) };
                all.extend((0..point.count).map(|_| said()));
            }
        }
    }
    all.retain(|said| said.method != HOLDER);
    all
}

pub(crate) fn code_of(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> i64 {
    match attribute(attributes, "rpc.grpc.status_code") {
        Some(Value::IntValue(code)) => *code,
        other => panic!("the status is {other:?}"),
    }
}

pub(crate) fn traced(collector: &mut Collector) -> Vec<Span> {
    let mut all = Vec::new();
    while let Ok(request) = collector.traces.try_recv() {
        all.extend(spans(request.into_inner()));
    }
    all.retain(|span| text(&span.attributes, "rpc.method") != HOLDER);
    all
}

/// The names that the log and the metrics use for a code.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss => panic!("no call of these ends with {code:?}"),
    }
}

/// Makes a call end in this way, and compares everything that is recorded of it.
async fn check(end: End) {
    let log = Log::begin();
    let mut collector = Collector::start(None).await;
    let with_all = ServerConfig { otlp: sending_to(collector.address).otlp, ..config() };
    let server = Server::start(end, with_all).await;
    within(&format!("the call of {end:?} ends"), end.make(&server)).await;
    let Server { running, held, .. } = server;
    let Row { method, code, refused, words } = end.row();
    if !end.is_of_the_drain() {
        // A client that leaves gets no answer; the test waits until the server has noticed.
        let found = async || Some(counted(&running).await).filter(|found| !found.is_empty());
        let found = until_some(&format!("{end:?} is counted"), found).await;
        let [(series, calls)] = &found[..] else { panic!("{end:?}: not one series: {found:?}") };
        assert!(series.contains(&format!("grpc_method=\"{method}\"")), "{end:?}: {series}");
        assert!(series.contains(&format!("grpc_code=\"{}\"", name(code))), "{end:?}: {series}");
        assert_eq!(*calls, 1.0, "{end:?}: {series}");
        let all = scrape(&running).await;
        let panics = f64::from(u8::from(end.is_a_panic()));
        assert_eq!(all["evenkeel_panics_total"], panics, "{end:?}");
        let reasons: Vec<_> = all
            .into_iter()
            .filter(|(series, calls)| series.starts_with("evenkeel_refused_total") && *calls > 0.0)
            .map(|(series, calls)| (series.split('"').nth(1).expect("a reason").to_owned(), calls))
            .collect();
        let expected = refused.map(|reason| (reason.to_owned(), 1.0));
        assert_eq!(reasons, expected.into_iter().collect::<Vec<_>>(), "{end:?}");
    }
    // For the end of a call by the drain timeout, this error is expected.
    let ended = within(&format!("the end after {end:?}"), running.shutdown_and_wait()).await;
    assert_eq!(ended.is_err(), end.is_of_the_drain(), "{end:?}: {ended:?}");
    drop(held);

    let mut lines = log.calls();
    lines.retain(|line| line["fields"]["method"] != HOLDER);
    let [line] = &lines[..] else { panic!("{end:?}: not one line: {lines:#?}") };
    let fields = &line["fields"];
    assert_eq!(fields["method"], method, "{end:?}: {line}");
    assert_eq!(fields["status"], name(code), "{end:?}: {line}");
    assert_eq!(line["level"], end.level(), "{end:?}: {line}");
    let error = fields["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{end:?}: {line}");
    assert_eq!(error.is_empty(), words.is_empty(), "{end:?}: {line}");
    if let Some(described) = end.described() {
        assert_eq!(["kind", "dtype", "shape"].map(|field| &fields[field]), described, "{end:?}: {line}");
    }

    let spans = traced(&mut collector);
    let [span] = &spans[..] else { panic!("{end:?}: not one span: {spans:#?}") };
    assert_eq!(text(&span.attributes, "rpc.method"), method, "{end:?}: {span:?}");
    assert_eq!(code_of(&span.attributes), code as i64, "{end:?}: {span:?}");
    let trace_id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fields["trace_id"], trace_id, "{end:?}: {line}");
    // The span has the same fields as the line.
    for field in ["kind", "dtype", "shape", "queue_us", "compute_us", "received_bytes", "sent_bytes"] {
        let in_span = match attribute(&span.attributes, &format!("evenkeel.{field}")) {
            Some(Value::StringValue(text)) => text.as_str().into(),
            Some(Value::IntValue(number)) => (*number).into(),
            None => serde_json::Value::Null,
            Some(other) => panic!("{end:?}: {field} is {other:?}"),
        };
        assert_eq!(fields[field], in_span, "{end:?}: {field}");
    }
    assert_eq!(measured(&mut collector), [Said { method: method.to_owned(), code: code as i64 }], "{end:?}");
}

macro_rules! ends {
    ($($test:ident: $end:ident $(($of:expr))?),* $(,)?) => {$(
        #[tokio::test]
        async fn $test() {
            check(End::$end $(($of))?).await;
        }
    )*};
}

ends! {
    a_call_that_is_answered: Answered,
    a_tensor_that_is_answered_as_it_arrives: AnsweredInPieces,
    a_stream_that_is_measured: Measured,
    a_wrong_argument: WrongArgument,
    too_many_parts: TooManyParts,
    no_token: NoToken,
    no_message: NoMessage,
    bytes_that_are_no_message: Unreadable,
    a_message_that_is_cut_off: CutOff,
    a_message_above_the_limit: TooLarge,
    metadata_above_the_limit: TooMuchMetadata,
    a_deadline_that_is_none: WrongDeadline,
    a_watch_that_lasts_to_its_deadline: WatchesTooLong,
    an_unknown_method: UnknownMethod,
    an_unknown_encoding: UnknownEncoding,
    a_request_that_is_no_call: NoCall,
    a_health_check: Health,
    a_question_to_reflection: Reflection,
    a_deadline_that_has_passed: LateFromTheStart,
    a_deadline_that_passes: Late,
    a_client_that_falls_silent: Silent,
    a_client_that_takes_nothing: TakesNothing,
    a_client_that_leaves_while_it_sends: LeavesSending,
    a_client_that_leaves_while_it_streams: LeavesStreaming,
    a_client_that_resets_its_statistics: Resets(Stream::Statistics),
    a_client_that_resets_a_stream_to_normalize: Resets(Stream::Normalize),
    a_client_that_resets_a_stream_to_drop: Resets(Stream::Dropout),
    a_client_that_resets_a_stream_to_clip: Resets(Stream::Clip),
    a_client_that_resets_a_stream_without_a_gradient: Resets(Stream::NoGradient),
    a_call_that_the_budget_has_no_room_for: Refused(Refusal::Budget),
    a_call_that_the_queue_has_no_place_for: Refused(Refusal::Queue),
    a_norm_that_is_not_finite: Refused(Refusal::NonfiniteNorm),
    a_stream_that_needs_two_passes: Refused(Refusal::TwoPasses),
    two_messages: Refused(Refusal::TwoMessages),
    statistics_of_half_a_part: EndsShort(Stream::Statistics),
    half_a_tensor_to_normalize: EndsShort(Stream::Normalize),
    half_a_tensor_to_drop: EndsShort(Stream::Dropout),
    half_a_tensor_to_clip: EndsShort(Stream::Clip),
    a_client_whose_connection_breaks_while_it_sends: BreaksSending,
    a_client_that_wants_calm_while_its_tensor_is_answered: LeavesInPieces,
    a_client_that_leaves_while_it_is_computed: LeavesComputing,
    a_client_that_leaves_while_it_is_answered: LeavesReading,
    a_connection_that_is_cut_for_its_age: CutForItsAge,
    a_panic: Panics,
    a_panic_on_the_thread_that_serves: PanicsInline,
    a_panic_in_a_stream: PanicsStreaming,
    a_panic_before_a_tensor_is_answered: PanicsFirst,
    a_panic_while_a_tensor_is_answered: PanicsInPieces,
    a_drain_that_ends_while_it_is_computed: DrainedComputing,
    a_drain_that_ends_while_it_is_sent: DrainedSending,
}

/// Without a collector, the line of a call still has the id of its trace.
#[tokio::test]
async fn a_trace_is_named_without_a_collector() {
    let log = Log::begin();
    let server = Server::start(End::Answered, config()).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    server.call_within(trace_id).await;
    let Server { running, held, .. } = server;
    running.shutdown_and_wait().await.expect("nothing is in flight");
    drop(held);
    let lines = log.calls();
    let [line] = &lines[..] else { panic!("not one line: {lines:#?}") };
    assert_eq!(line["fields"]["trace_id"], trace_id, "{line}");
}
