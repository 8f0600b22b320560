//! The metrics of a real server, scraped over loopback as Prometheus does.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc as std_mpsc,
    },
    thread,
};

use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::{self, JoinSet},
};
use tonic::{Code, Request, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};

use crate::{
    deadlines::without_a_clock,
    harness::{Client, clip, connect, dropout, f32s, normalize, refusal, start_with, tensor},
    peer::{Peer, address, framed},
    tensor_streams::described,
    until::{until, until_some, within},
};

/// The settings of a server with metrics.
pub(crate) fn config() -> ServerConfig {
    ServerConfig { metrics_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..ServerConfig::on_free_port() }
}

/// The whole answer to a request.
pub(crate) async fn http(server: &Running, request: &str) -> String {
    http_at(server.metrics_addr().expect("metrics are served"), request).await
}

async fn http_at(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within("an answer of the metrics' port, and its end", read).await.expect("text");
    answer
}

/// Every series and its value.
pub(crate) async fn scrape(server: &Running) -> BTreeMap<String, f64> {
    scrape_at(server.metrics_addr().expect("metrics are served")).await
}

/// Every series and its value, from this port.
pub(crate) async fn scrape_at(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = http_at(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers end");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let series = body.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        (series.to_owned(), value.parse().expect("a number"))
    });
    let all: Vec<(String, f64)> = series.collect();
    let number = all.len();
    let map: BTreeMap<String, f64> = all.into_iter().collect();
    assert_eq!(map.len(), number, "no series is there twice");
    map
}

/// The name of the series that counts the calls that ended with this code.
pub(crate) fn handled(method: &str, kind: &str, code: &str) -> String {
    let service = "evenkeel.v1.TensorOpsService";
    format!(
        "grpc_server_handled_total{{grpc_service=\"{service}\",grpc_method=\"{method}\",grpc_type=\"{kind}\",grpc_code=\"{code}\"}}"
    )
}

/// The value of the one series of this name that has these labels, and perhaps others.
#[track_caller]
pub(crate) fn value(series: &BTreeMap<String, f64>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let found: Vec<f64> = series
        .iter()
        .filter(|(key, _)| {
            key.split('{').next() == Some(name) && labels.iter().all(|label| key.contains(label.as_str()))
        })
        .map(|(_, value)| *value)
        .collect();
    let [value] = found[..] else { panic!("{} series of {name} {labels:?}", found.len()) };
    value
}

#[tokio::test]
async fn calls_are_counted_whichever_way_they_take() {
    for codec_path in [false, true] {
        let (server, mut client) = start_with(ServerConfig { codec_path, ..config() }).await;
        let before = scrape(&server).await;
        let input = || f32s(&[2, 3], &[1.0; 6]);
        for _ in 0..2 {
            client.normalize(normalize(NormKind::Layer, input())).await.expect("it is right");
        }
        let wrong = pb::NormalizeRequest { axes: vec![7], ..normalize(NormKind::Rms, input()) };
        refusal(client.normalize(wrong).await, Code::InvalidArgument);
        let half = tensor(DataType::Float16, &[1], vec![0; 2]);
        client.clip_gradients(clip(ClipMode::Value, 1.0, vec![input(), half])).await.expect("it is right");
        let message = pb::MeasureGradientsRequest { gradients: vec![input()], ..Default::default() };
        client.measure_gradients(tokio_stream::iter([message.clone(), message])).await.expect("it is right");

        let after = scrape(&server).await;
        assert!(before.keys().eq(after.keys()), "calls make no series");
        for (method, kind, code, number) in [
            ("Normalize", "unary", "OK", 2.0),
            ("Normalize", "unary", "INVALID_ARGUMENT", 1.0),
            ("Normalize", "unary", "CANCELLED", 0.0),
            ("Dropout", "unary", "OK", 0.0),
            ("ClipGradients", "unary", "OK", 1.0),
            ("MeasureGradients", "client_stream", "OK", 1.0),
        ] {
            assert_eq!(after[&handled(method, kind, code)], number, "{method} {code} {codec_path}");
        }
        let (normalize, measure) = ([("grpc_method", "Normalize")], ("grpc_method", "MeasureGradients"));
        for (name, labels, number) in [
            ("grpc_server_started_total", &normalize[..], 3.0),
            ("grpc_server_handling_seconds_count", &normalize, 3.0),
            ("grpc_server_handling_seconds_bucket", &[normalize[0], ("le", "+Inf")], 3.0),
            // The wrong call is refused before it is queued.
            ("evenkeel_queue_seconds_count", &normalize, 2.0),
            ("evenkeel_compute_seconds_count", &normalize, 2.0),
            ("evenkeel_compute_seconds_count", &[measure], 2.0),
            ("evenkeel_operations_total", &[normalize[0], ("kind", "layer"), ("dtype", "float32")], 2.0),
            ("evenkeel_operations_total", &[normalize[0], ("kind", "rms"), ("dtype", "float32")], 1.0),
            (
                "evenkeel_operations_total",
                &[("grpc_method", "ClipGradients"), ("kind", "value"), ("dtype", "mixed")],
                1.0,
            ),
            ("evenkeel_operations_total", &[measure, ("kind", "2"), ("dtype", "float32")], 1.0),
            ("evenkeel_refused_total", &[("reason", "INVALID_ARGUMENT")], 1.0),
            ("evenkeel_panics_total", &[], 0.0),
            ("evenkeel_connections_open", &[], 1.0),
            ("evenkeel_calls_in_flight", &[], 0.0),
            ("evenkeel_jobs_queued", &[], 0.0),
            ("evenkeel_jobs_running", &[], 0.0),
            ("evenkeel_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        ] {
            assert_eq!(value(&after, name, labels), number, "{name} {labels:?} {codec_path}");
        }
        assert!(value(&after, "evenkeel_received_bytes_total", &normalize) > 3.0 * 24.0);
        assert!(value(&after, "evenkeel_sent_bytes_total", &normalize) > 2.0 * 24.0);
        assert!(value(&after, "process_resident_memory_bytes", &[]) > 1e6);
        assert!(value(&after, "process_open_fds", &[]) > 3.0);
    }
}

#[tokio::test]
async fn a_tensor_that_is_computed_as_it_arrives_is_counted() {
    // Without the hook, parts that take long, as they do on busy cores, would move to the pool: each is a job of its own there.
    let hook = CheckpointHook::that_never_waits(|_| ());
    let (server, mut client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config() }).await;
    let request = normalize(NormKind::Layer, f32s(&[1 << 10, 1 << 10], &vec![1.0; 1 << 20]));
    client.normalize(request).await.expect("it is right");
    let series = scrape(&server).await;
    let labels = [("grpc_method", "Normalize")];
    assert_eq!(value(&series, "evenkeel_compute_seconds_count", &labels), 1.0);
    assert_eq!(value(&series, "evenkeel_operations_total", &[labels[0], ("kind", "layer"), ("dtype", "float32")]), 1.0);
    assert!(value(&series, "evenkeel_compute_seconds_sum", &labels) > 0.0);
    for bytes in ["evenkeel_received_bytes_total", "evenkeel_sent_bytes_total"] {
        let number = value(&series, bytes, &labels);
        assert!((4_194_304.0..4_195_000.0).contains(&number), "{bytes} {number}");
    }
}

/// The runtime has several threads: one is held in the computation, and the others answer the scrapes.
#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_that_is_computed_as_it_arrives_is_a_running_job() {
    let (at_checkpoint, mut reached) = mpsc::unbounded_channel();
    let (release, released) = std_mpsc::channel::<()>();
    let released = Mutex::new(released);
    let asked = AtomicUsize::new(0);
    let hook = CheckpointHook::that_never_waits(move |_| {
        // The bridge passes the first checkpoint, before it starts the kernel.
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return;
        }
        let _ = at_checkpoint.send(());
        // Blocks until the sender is dropped, and never again after that. Another thread takes over what this one would serve:
        // the runtime may have left it the sockets of all connections.
        let released = released.lock().expect("no holder panics");
        task::block_in_place(|| released.recv().expect_err("nothing is ever sent"));
    });
    let (server, mut client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config() }).await;
    let running = async || value(&scrape(&server).await, "evenkeel_jobs_running", &[]);
    let request = normalize(NormKind::Layer, f32s(&[1 << 10, 1 << 10], &vec![1.0; 1 << 20]));
    let call = tokio::spawn(async move { client.normalize(request).await });
    reached.recv().await.expect("a part is computed");
    assert_eq!(running().await, 1.0);
    assert_eq!(value(&scrape(&server).await, "evenkeel_routes_total", &[("route", "streamed")]), 1.0);
    drop(release);
    call.await.expect("no panic").expect("it is right");
    assert_eq!(running().await, 0.0);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_tensor_arrives_has_had_it_computed() {
    // With a hook all parts run on the thread that serves, however busy the machine is. A part on the pool would count, too.
    let hook = CheckpointHook::that_never_waits(|_| ());
    let (server, _client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config() }).await;
    let peer = Peer::connect(address(&server)).await;
    let request = normalize(NormKind::Layer, f32s(&[1 << 10, 1 << 10], &vec![1.0; 1 << 20]));
    let message = framed(&request.encode_to_vec());
    let (answer, mut body) = peer.begin("Normalize").await;
    body.send_data(message[..message.len() / 2].to_vec().into(), false).expect("the connection is open");
    let compute = [("grpc_method", "Normalize")];
    let mut answer = answer.await.expect("it begins before the rest has come").into_body();
    assert!(answer.data().await.is_some());
    assert_eq!(value(&scrape(&server).await, "evenkeel_compute_seconds_count", &compute), 0.0);
    drop((answer, body));
    let computed = async || value(&scrape(&server).await, "evenkeel_compute_seconds_count", &compute) >= 1.0;
    until("what has arrived counts as computed", computed).await;
    assert_eq!(value(&scrape(&server).await, "evenkeel_queue_seconds_count", &compute), 1.0);
}

#[tokio::test]
async fn health_and_reflection_are_counted() {
    let (server, _client) = start_with(config()).await;
    let channel = connect(&server).await;
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("it serves");
    let nobody = HealthCheckRequest { service: "nobody".to_owned() };
    refusal(health.check(nobody).await, Code::NotFound);
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection.server_reflection_info(tokio_stream::iter([ServerReflectionRequest::default()])).await;
    let mut answers = answers.expect("it is served").into_inner();
    within("the answers of reflection end", async { while let Ok(Some(_)) = answers.message().await {} }).await;
    let series = scrape(&server).await;
    let check = ("grpc_method", "Check");
    assert_eq!(value(&series, "grpc_server_handled_total", &[check, ("grpc_code", "OK")]), 1.0);
    assert_eq!(value(&series, "grpc_server_handled_total", &[check, ("grpc_code", "NOT_FOUND")]), 1.0);
    let reflected = [("grpc_service", "grpc.reflection.v1.ServerReflection")];
    assert_eq!(value(&series, "grpc_server_started_total", &reflected), 1.0);
    assert_eq!(value(&series, "grpc_server_handling_seconds_count", &reflected), 1.0);
}

#[tokio::test]
async fn names_that_are_made_up_add_no_series() {
    const NAMES: u32 = 10_000;
    let (server, _client) = start_with(config()).await;
    let before = scrape(&server).await;
    let mut callers = JoinSet::new();
    for caller in 0..10 {
        let channel = connect(&server).await;
        callers.spawn(async move {
            let mut grpc = tonic::client::Grpc::new(channel);
            for name in (caller..NAMES).step_by(10) {
                let scrambled = name.wrapping_mul(2_654_435_761);
                let service = if name % 2 == 0 { "evenkeel.v1.TensorOpsService" } else { "made.Up" };
                let path = PathAndQuery::try_from(format!("/{service}/M{scrambled:x}")).expect("a path");
                let codec = ProstCodec::<pb::DropoutRequest, pb::DropoutResponse>::default();
                grpc.ready().await.expect("the server is there");
                let answer = grpc.unary(Request::new(pb::DropoutRequest::default()), path, codec).await;
                refusal(answer, Code::Unimplemented);
            }
        });
    }
    callers.join_all().await;
    let after = scrape(&server).await;
    assert!(before.keys().eq(after.keys()));
    let other = [("grpc_service", "_OTHER"), ("grpc_method", "_OTHER"), ("grpc_code", "UNIMPLEMENTED")];
    assert_eq!(value(&after, "grpc_server_handled_total", &other), f64::from(NAMES));
}

/// A server whose kernels wait at each checkpoint until their call is cancelled; the receiver gets a message for each
/// wait.
async fn held() -> (Running, Client, mpsc::UnboundedReceiver<()>) {
    let (at_checkpoint, reached) = mpsc::unbounded_channel();
    let hook = CheckpointHook::new(move |checkpoint| {
        let _ = at_checkpoint.send(());
        while checkpoint.check().is_ok() {
            thread::yield_now();
        }
    });
    let (server, client) = start_with(ServerConfig { on_checkpoint: Some(hook), threads: 1, ..config() }).await;
    (server, client, reached)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_has_cancelled() {
    let (server, mut client, mut reached) = held().await;
    let call = tokio::spawn(async move { client.dropout(dropout(0.5, f32s(&[1], &[1.0]))).await });
    reached.recv().await.expect("the kernel comes to its checkpoint");
    let during = scrape(&server).await;
    assert_eq!(value(&during, "evenkeel_calls_in_flight", &[]), 1.0);
    call.abort();
    let cancelled = handled("Dropout", "unary", "CANCELLED");
    // Waits until the server has noticed.
    let counted = async || Some(scrape(&server).await).filter(|series| series[&cancelled] > 0.0);
    let after = until_some("the call counts as cancelled", counted).await;
    assert_eq!((after[&cancelled], value(&after, "evenkeel_calls_in_flight", &[])), (1.0, 0.0));
    assert_eq!(after[&handled("Dropout", "unary", "OK")], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_has_its_code_and_its_reason() {
    let (server, _client, _reached) = held().await;
    let mut client = without_a_clock(&server);
    let mut request = Request::new(dropout(0.5, f32s(&[1], &[1.0])));
    request.metadata_mut().insert("grpc-timeout", "50m".parse().expect("a value"));
    refusal(within("the deadline's answer", client.dropout(request)).await, Code::DeadlineExceeded);
    let series = scrape(&server).await;
    assert_eq!(series[&handled("Dropout", "unary", "DEADLINE_EXCEEDED")], 1.0);
    assert_eq!(value(&series, "evenkeel_refused_total", &[("reason", "DEADLINE_EXCEEDED")]), 1.0);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_counted_as_a_panic() {
    let hook = CheckpointHook::new(|_| panic!("on purpose"));
    let (server, mut client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config() }).await;
    refusal(client.dropout(dropout(0.5, f32s(&[1], &[1.0]))).await, Code::Internal);
    let series = scrape(&server).await;
    assert_eq!(series[&handled("Dropout", "unary", "INTERNAL")], 1.0);
    assert_eq!(value(&series, "evenkeel_panics_total", &[]), 1.0);
    assert_eq!(value(&series, "evenkeel_jobs_running", &[]), 0.0);
}

#[tokio::test]
async fn a_message_above_the_limit_has_its_reason() {
    for codec_path in [false, true] {
        let limited = ServerConfig { codec_path, max_message_bytes: 2048, ..config() };
        let (server, mut client) = start_with(limited).await;
        let large = normalize(NormKind::Layer, f32s(&[1024], &[1.0; 1024]));
        refusal(client.normalize(large).await, Code::ResourceExhausted);
        let series = scrape(&server).await;
        assert_eq!(series[&handled("Normalize", "unary", "RESOURCE_EXHAUSTED")], 1.0, "{codec_path}");
        assert_eq!(value(&series, "evenkeel_refused_total", &[("reason", "MESSAGE_TOO_LARGE")]), 1.0, "{codec_path}");
    }
}

#[tokio::test]
async fn a_stream_that_needs_two_passes_has_its_reason() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
    let (server, mut client) = start_with(ServerConfig { admission, max_message_bytes: 1 << 20, ..config() }).await;
    // A channel's elements are in all samples, so a batch normalization would hold all 12 MB.
    let header = normalize(NormKind::Batch, described(DataType::Float32, &[1000, 3, 1000]));
    let part = Some(pb::normalize_stream_request::Part::Header(header));
    let messages = tokio_stream::iter([pb::NormalizeStreamRequest { part }]);
    refusal(client.normalize_stream(messages).await, Code::ResourceExhausted);
    let series = scrape(&server).await;
    assert_eq!(value(&series, "evenkeel_refused_total", &[("reason", "NEEDS_TWO_PASSES")]), 1.0);
    assert_eq!(value(&series, "evenkeel_refused_total", &[("reason", "MESSAGE_TOO_LARGE")]), 0.0);
}

#[tokio::test]
async fn nothing_but_the_metrics_is_served() {
    let (server, _client) = start_with(config()).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = http(&server, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
    let head = http(&server, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

/// More connections than the endpoint answers at a time, each of which sends nothing, or half a request.
#[tokio::test]
async fn clients_that_hang_do_not_keep_others_out() {
    let (server, _client) = start_with(config()).await;
    let address = server.metrics_addr().expect("metrics are served");
    let mut silent = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(address).await.expect("somebody listens");
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it is taken");
        }
        silent.push(stream);
    }
    assert_eq!(value(&scrape(&server).await, "evenkeel_connections_open", &[]), 1.0);
}

#[tokio::test]
async fn without_an_address_there_are_none() {
    let (server, _client) = start_with(ServerConfig::on_free_port()).await;
    assert_eq!(server.metrics_addr(), None);
}
