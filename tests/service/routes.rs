//! The routes of a message (`src/direct.rs` has the table): by the metrics, each message takes the right one, and a panic on any
//! of them ends one call only.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use evenkeel::{
    CheckpointHook,
    config::{Encoding, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    compression::{compress, flagged},
    direct::{Answer, send},
    harness::{clip, dropout, f32s, normalize},
    metrics::{config, handled, scrape, value},
    peer::{Peer, address, framed},
    until::until,
};

/// Where the kernel of a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    /// On the thread that serves.
    Inline,
    OnThePool,
}

/// A call: its method, its headers and frames, and the route and the place that are expected.
struct Case {
    method: &'static str,
    headers: &'static [(&'static str, &'static str)],
    frames: Vec<Bytes>,
    route: &'static str,
    runs: Runs,
}

/// More elements than a frame holds, and more than are computed before the response begins.
const MANY: usize = 1_000_000;
/// The size of the frames into which a large message is cut.
const FRAME: usize = 16 << 10;

fn cut(message: &[u8]) -> Vec<Bytes> {
    framed(message).chunks(FRAME).map(Bytes::copy_from_slice).collect()
}

fn whole(message: &[u8]) -> Vec<Bytes> {
    vec![framed(message)]
}

fn tensor(elements: usize) -> pb::Tensor {
    let values: Vec<f32> = (0..elements).map(|i| (i * i % 1013) as f32).collect();
    let columns = elements.min(1000);
    f32s(&[(elements / columns) as i64, columns as i64], &values)
}

/// Every method on every route that it can take.
fn cases() -> Vec<Case> {
    use Runs::{Inline, OnThePool};
    let layer = |elements| normalize(pb::NormKind::Layer, tensor(elements));
    let backward = |elements| pb::NormalizeBackwardRequest {
        kind: pb::NormKind::Layer.into(),
        input: Some(tensor(elements)),
        grad_output: Some(tensor(elements)),
        ..Default::default()
    };
    let undrop = |elements| pb::DropoutBackwardRequest {
        p: Some(0.5),
        grad_output: Some(tensor(elements)),
        ..Default::default()
    };
    let unary = |elements| {
        [
            ("NormalizeBackward", backward(elements).encode_to_vec()),
            ("Dropout", dropout(0.5, tensor(elements)).encode_to_vec()),
            ("DropoutBackward", undrop(elements).encode_to_vec()),
            ("ClipGradients", clip(pb::ClipMode::Norm, 1.0, vec![tensor(elements)]).encode_to_vec()),
        ]
    };
    let mut cases = Vec::new();
    let mut add = |method, headers, frames, route, runs| cases.push(Case { method, headers, frames, route, runs });
    for (method, message) in unary(8).into_iter().chain([("Normalize", layer(8).encode_to_vec())]) {
        add(method, &[], whole(&message), "one_frame", Inline);
        let compressed = vec![flagged(&compress(Encoding::Gzip, &message)).into()];
        // A message is decompressed in pieces, so it is gathered.
        add(method, &[("grpc-encoding", "gzip")], compressed, "gathered", Inline);
    }
    for (method, message) in unary(MANY) {
        add(method, &[], cut(&message), "gathered", OnThePool);
    }
    // Batch statistics need all rows.
    let batch = normalize(pb::NormKind::Batch, tensor(MANY)).encode_to_vec();
    add("Normalize", &[], cut(&batch), "gathered", OnThePool);
    add("Normalize", &[], cut(&layer(MANY).encode_to_vec()), "streamed", Inline);
    // Each part is one row, too long to be computed on the thread that serves.
    let long = f32s(&[5, MANY as i64 / 5], &(0..MANY).map(|i| (i * i % 1013) as f32).collect::<Vec<_>>());
    let long = normalize(pb::NormKind::Layer, long).encode_to_vec();
    add("Normalize", &[], cut(&long), "streamed", OnThePool);
    let statistics = pb::NormalizeRequest { return_statistics: true, ..layer(MANY) };
    add("Normalize", &[], cut(&statistics.encode_to_vec()), "collected", Inline);
    for (elements, runs) in [(8, Inline), (MANY, OnThePool)] {
        let measure = pb::MeasureGradientsRequest { gradients: vec![tensor(elements)], ..Default::default() };
        add("MeasureGradients", &[], whole(&measure.encode_to_vec()), "codec", runs);
        let (frames, route) = if elements == 8 {
            (whole(&measure.encode_to_vec()), "one_frame")
        } else {
            (cut(&measure.encode_to_vec()), "gathered")
        };
        add("MeasureGradientsUnary", &[], frames, route, runs);
    }
    let part = Some(pb::measure_statistics_request::Part::Header(layer(MANY)));
    let measure = pb::MeasureStatisticsRequest { part, ..Default::default() };
    add("MeasureStatistics", &[], whole(&measure.encode_to_vec()), "codec", OnThePool);
    add("MeasureStatisticsUnary", &[], cut(&measure.encode_to_vec()), "gathered", OnThePool);
    cases
}

/// The streams of tensors, each of which takes the route `chunks` once.
fn chunked() -> [(&'static str, Vec<Bytes>); 3] {
    fn frames<M: prost::Message>(messages: impl IntoIterator<Item = M>) -> Vec<Bytes> {
        messages.into_iter().map(|message| framed(&message.encode_to_vec())).collect()
    }
    let pb::Tensor { data, .. } = tensor(1000);
    let input = || pb::Tensor { data: Bytes::new(), ..tensor(1000) };
    let halves = || [data.slice(..1999), data.slice(1999..)];
    let normalize = {
        use pb::{NormalizeStreamRequest, normalize_stream_request::Part};
        let header = [Part::Header(normalize(pb::NormKind::Layer, input()))];
        let parts = header.into_iter().chain(halves().map(Part::Data));
        frames(parts.map(|part| NormalizeStreamRequest { part: Some(part) }))
    };
    let dropout = {
        use pb::{DropoutStreamRequest, dropout_stream_request::Part};
        let parts = [Part::Header(dropout(0.5, input()))].into_iter().chain(halves().map(Part::Data));
        frames(parts.map(|part| DropoutStreamRequest { part: Some(part) }))
    };
    let clip = {
        use pb::{ClipGradientsStreamRequest, clip_gradients_stream_request::Part};
        let header = [Part::Header(clip(pb::ClipMode::Value, 1.0, Vec::new())), Part::Tensor(input())];
        let parts = header.into_iter().chain(halves().map(Part::Data));
        frames(parts.map(|part| ClipGradientsStreamRequest { part: Some(part) }))
    };
    [("NormalizeStream", normalize), ("DropoutStream", dropout), ("ClipGradientsStream", clip)]
}

fn counted() -> ServerConfig {
    ServerConfig { compression: vec![Encoding::Gzip], ..config() }
}

/// How many messages have taken each route.
async fn routes(server: &Running) -> BTreeMap<String, f64> {
    let series = scrape(server).await;
    let routes = ["one_frame", "streamed", "collected", "gathered", "codec", "chunks"];
    routes.map(|route| (route.to_owned(), value(&series, "evenkeel_routes_total", &[("route", route)]))).into()
}

/// The status of an answer: from its trailers or, if it has no message, from its headers.
fn status(answer: &Answer) -> Status {
    let ended = answer.trailers.get("grpc-status").or(answer.headers.get("grpc-status")).expect("it has ended");
    let message = answer.trailers.get("grpc-message").or(answer.headers.get("grpc-message"));
    Status::new(Code::from_bytes(ended), String::from_utf8_lossy(message.map_or(&[], Vec::as_slice)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_takes_its_route() {
    let server = Running::start(counted()).await.expect("the server starts");
    for Case { method, headers, frames, route, runs } in cases() {
        let mut expected = routes(&server).await;
        *expected.get_mut(route).expect("it is one of them") += 1.0;
        let answer = send(&server, method, headers, frames).await;
        assert_eq!(status(&answer).code(), Code::Ok, "{method} {route} {runs:?}");
        assert_eq!(routes(&server).await, expected, "{method} {route} {runs:?}");
    }
}

/// The streams of tensors never take the codec, which would gather each message.
#[tokio::test(flavor = "multi_thread")]
async fn streams_of_tensors_take_their_own_route() {
    for codec_path in [false, true] {
        let server = Running::start(ServerConfig { codec_path, ..counted() }).await.expect("the server starts");
        for (method, frames) in chunked() {
            let mut expected = routes(&server).await;
            *expected.get_mut("chunks").expect("it is one of them") += 1.0;
            assert_eq!(status(&send(&server, method, &[], frames).await).code(), Code::Ok, "{method}");
            assert_eq!(routes(&server).await, expected, "{method}, codec_path: {codec_path}");
        }
    }
}

/// With `codec_path`, every message but those of streams of tensors takes the codec.
#[tokio::test(flavor = "multi_thread")]
async fn on_the_codec_path_there_is_no_other_route() {
    let server = Running::start(ServerConfig { codec_path: true, ..counted() }).await.expect("the server starts");
    let cases = cases();
    let number = cases.len();
    for Case { method, headers, frames, .. } in cases {
        assert_eq!(status(&send(&server, method, headers, frames).await).code(), Code::Ok, "{method}");
    }
    let mut routes = routes(&server).await;
    assert_eq!(routes.remove("codec"), Some(number as f64));
    assert!(routes.values().all(|&messages| messages == 0.0), "{routes:?}");
}

/// A large message in one frame is not copied: no buffer is taken but for its result.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_in_one_frame_takes_no_buffer() {
    let server = Running::start(counted()).await.expect("the server starts");
    let peer = Peer::connect(address(&server)).await;
    // With the first response the client learns how large a frame may be.
    let small = dropout(0.5, tensor(8)).encode_to_vec();
    assert_eq!(peer.call("Dropout", &small).await.expect("an answer").code(), Code::Ok);
    let large = dropout(0.5, tensor(200_000)).encode_to_vec();
    for calls in 1..=3 {
        assert_eq!(peer.call("Dropout", &large).await.expect("an answer").code(), Code::Ok);
        assert_eq!(routes(&server).await["one_frame"], f64::from(1 + calls));
        let series = scrape(&server).await;
        let buffers = series["evenkeel_buffers_made_total"] + series["evenkeel_buffers_reused_total"];
        assert_eq!(buffers, f64::from(calls), "one for each result, and none for a message");
    }
}

/// Panics at a chosen checkpoint, and records the threads that reach checkpoints.
#[derive(Debug, Default)]
struct Bomb {
    /// The number of checkpoints until the panic; 0 if there is none.
    left: AtomicUsize,
    /// Checkpoints of the last call.
    asked: AtomicUsize,
    /// The names of the threads that reached them.
    threads: Mutex<Vec<String>>,
}

impl Bomb {
    fn hook(self: &Arc<Self>) -> CheckpointHook {
        let bomb = Arc::clone(self);
        CheckpointHook::that_never_waits(move |_| {
            bomb.asked.fetch_add(1, Ordering::Relaxed);
            let thread = thread::current().name().unwrap_or_default().to_owned();
            bomb.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            let countdown = |left: usize| left.checked_sub(1);
            let was = bomb.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, countdown);
            assert_ne!(was, Ok(1), "a secret of the server");
        })
    }

    /// Starts counting for another call.
    fn set(&self, left: usize) {
        self.left.store(left, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Where the kernel of the call ran, which must be the same at each checkpoint.
    fn ran(&self) -> Runs {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let on_the_pool: Vec<bool> = threads.iter().map(|thread| thread.starts_with("compute-")).collect();
        assert!(!on_the_pool.is_empty(), "a kernel asks whether to go on");
        assert!(on_the_pool.iter().all(|here| *here == on_the_pool[0]), "{threads:?}");
        if on_the_pool[0] { Runs::OnThePool } else { Runs::Inline }
    }
}

/// Row 33, on every route: a panic at the first checkpoint of the kernel, and at its last, when a part of the response
/// may have been sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_on_any_route_costs_one_call() {
    /// The first checkpoint of a kernel: the bridge passes one before it starts the operation.
    const FIRST_OF_THE_KERNEL: usize = 2;
    let bomb = Arc::<Bomb>::default();
    let config = ServerConfig { on_checkpoint: Some(bomb.hook()), threads: 2, ..counted() };
    let server = Running::start(config).await.expect("the server starts");
    let (mut panics, mut begun) = (0.0, 0);
    for Case { method, headers, frames, route, runs } in cases() {
        let what = format!("{method} {route} {runs:?}");
        let call = async || send(&server, method, headers, frames.clone()).await;
        bomb.set(0);
        let expected = call().await;
        assert_eq!((status(&expected).code(), bomb.ran()), (Code::Ok, runs), "{what}");
        let last = bomb.asked.load(Ordering::Relaxed);
        assert!(last >= FIRST_OF_THE_KERNEL, "{what}: a kernel asks");
        for checkpoint in [FIRST_OF_THE_KERNEL, last] {
            let internal = scrape(&server).await;
            bomb.set(checkpoint);
            let answer = call().await;
            let failed = status(&answer);
            assert_eq!(failed.code(), Code::Internal, "{what} at {checkpoint}: {failed:?}");
            assert!(!failed.message().contains("secret"), "{what}: {failed:?}");
            begun += usize::from(!answer.data.is_empty());
            panics += 1.0;
            // The same call again has the same answer as before the panic.
            bomb.set(0);
            assert!(call().await == expected, "{what} after a panic at {checkpoint} of {last}");
            let series = scrape(&server).await;
            assert_eq!(series["evenkeel_panics_total"], panics, "{what} at {checkpoint}");
            let kind =
                if method.starts_with("Measure") && !method.ends_with("Unary") { "client_stream" } else { "unary" };
            let handled = handled(method, kind, "INTERNAL");
            assert_eq!(series[&handled], internal[&handled] + 1.0, "{what} at {checkpoint}");
            assert_eq!(series["evenkeel_jobs_running"], 0.0, "{what} at {checkpoint}");
        }
    }
    assert!(begun > 0, "no response had begun before its kernel panicked");
    until("the budget is given back", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
    server.shutdown_and_wait().await.expect("nothing is left");
}
