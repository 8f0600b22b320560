//! Rows 35 to 41: short requests that ask for much memory or much time.
//!
//! What an answer will hold is taken from the budget before it is computed, and nothing that takes long is computed or
//! decoded on a thread that serves.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, DropoutKind, NormKind};
use prost::Message as _;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::Code;

use crate::{
    beside::{MIB, beside},
    harness::{clip, dropout, error_info, f32s, normalize, tensor},
    metrics::scrape,
    peer::{Peer, address, framed, prefix, status},
    process::Process,
    until::{until, until_some},
};

/// The limit on messages, and the budget, of the server that gets these requests.
const LIMIT: usize = 16 * MIB;
const BUDGET: usize = 64 * MIB;
/// How much the process may take beside the budget: for unused buffers, windows, the scratch memory of compute threads,
/// and freed memory that the allocator keeps. The usual growth, with the budget, is 22 to 71 MiB.
pub(crate) const BESIDE: usize = 160 * MIB;

/// A request, and the method it is for.
type Asked = (&'static str, Vec<u8>);

fn with_statistics(kind: NormKind, input: pb::Tensor) -> Asked {
    let groups = u32::from(kind == NormKind::Group);
    let request = pb::NormalizeRequest { return_statistics: true, groups, ..normalize(kind, input) };
    ("Normalize", request.encode_to_vec())
}

fn empty(dtype: DataType, shape: &[i64]) -> pb::Tensor {
    tensor(dtype, shape, Vec::new())
}

fn channels(p: f64, return_mask: bool, shape: &[i64]) -> Asked {
    let input = f32s(shape, &[]);
    let kind = DropoutKind::Channel.into();
    ("Dropout", pb::DropoutRequest { kind, return_mask, ..dropout(p, input) }.encode_to_vec())
}

/// Rows 35 and 36: requests of a few bytes whose answers are 4 MB, or (the mask) 62 kB.
fn statistics_of_nothing() -> Vec<Asked> {
    use DataType::{Float32, Float64};
    vec![
        with_statistics(NormKind::Layer, empty(Float32, &[500_000, 0])),
        with_statistics(NormKind::Layer, empty(Float64, &[250_000, 0])),
        with_statistics(NormKind::Rms, empty(Float32, &[500_000, 0])),
        with_statistics(NormKind::Batch, empty(Float32, &[0, 500_000])),
        with_statistics(NormKind::Instance, empty(Float32, &[500_000, 1, 0])),
        with_statistics(NormKind::Group, empty(Float32, &[500_000, 1, 0])),
        channels(0.5, true, &[500_000, 1, 0]),
    ]
}

/// Rows of one element: an answer three times as large as its request, and forward and backward lists that are larger.
fn rows_of_one_element() -> Vec<Asked> {
    let rows = 200_000;
    let input = f32s(&[rows, 1], &vec![1.5; rows as usize]);
    let backward = pb::NormalizeBackwardRequest {
        kind: NormKind::Layer.into(),
        weight: Some(f32s(&[1], &[2.0])),
        input: Some(input.clone()),
        grad_output: Some(input.clone()),
        ..Default::default()
    };
    vec![
        with_statistics(NormKind::Layer, input.clone()),
        with_statistics(NormKind::Rms, input),
        ("NormalizeBackward", backward.encode_to_vec()),
    ]
}

/// Messages whose tensors and partials take much more memory when they are decoded than on the wire.
pub(crate) fn many_parts() -> Vec<Asked> {
    let tensors = clip(ClipMode::NormPerTensor, 1.0, vec![f32s(&[1], &[3.0]); 50_000]);
    let partial = pb::NormPartial { norm_type: 2.0, ..Default::default() };
    let partials = pb::MeasureGradientsRequest { partials: vec![partial; 110_000], ..Default::default() };
    vec![("ClipGradients", tensors.encode_to_vec()), ("MeasureGradients", partials.encode_to_vec())]
}

/// Messages of very many fields, most of which leave nothing behind: unknown fields, groups, and numbers and lists that
/// are sent again and again.
fn many_fields() -> Vec<Asked> {
    let request = dropout(0.5, f32s(&[2], &[1.0, 2.0])).encode_to_vec();
    let fields = [&b"\xF8\x07\x01"[..], b"\x4B\x4C", b"\x18\x00", b"\x82\x01\x00"];
    fields.map(|field| ("Dropout", [&field.repeat(5000)[..], &request].concat())).into()
}

/// Statistics of very many sets: measured, and merged.
fn many_sets() -> Vec<Asked> {
    let input = pb::Tensor { dtype: DataType::Float32.into(), shape: vec![5000, 0], ..Default::default() };
    let header = pb::NormalizeRequest { kind: NormKind::Layer.into(), input: Some(input), ..Default::default() };
    let part = Some(pb::measure_statistics_request::Part::Header(header));
    let measured = pb::MeasureStatisticsRequest { part, ..Default::default() };
    let sets = vec![pb::SetStatistics::default(); 5000];
    let partial = pb::StatisticsPartial { kind: NormKind::Layer.into(), shape: vec![5000], sets };
    let merged = pb::MeasureStatisticsRequest { partials: vec![partial.clone(); 2], ..Default::default() };
    let rows = f32s(&[5000, 1], &vec![1.5; 5000]);
    let set = pb::SetStatistics { elements: 2, ..Default::default() };
    let statistics = pb::StatisticsPartial { sets: vec![set; 5000], ..partial };
    let by_them = pb::NormalizeRequest { statistics: Some(statistics), ..normalize(NormKind::Layer, rows) };
    vec![
        ("MeasureStatistics", measured.encode_to_vec()),
        ("MeasureStatistics", merged.encode_to_vec()),
        ("MeasureStatisticsUnary", measured.encode_to_vec()),
        ("MeasureStatisticsUnary", merged.encode_to_vec()),
        ("Normalize", by_them.encode_to_vec()),
    ]
}

/// Many such calls at once, on several connections: the process keeps to its budget, other callers are served, and all
/// memory is given back.
#[tokio::test(flavor = "multi_thread")]
async fn answers_larger_than_their_requests_take_no_more_than_the_budget() {
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=warn",
            &format!("--max-message-bytes={LIMIT}"),
            &format!("--max-bytes-in-flight={BUDGET}"),
            &format!("--buffer-pool-bytes={LIMIT}"),
        ],
        &[],
    );
    let address = process.address();
    let asked = Arc::new([statistics_of_nothing(), rows_of_one_element(), many_parts(), many_sets()].concat());
    let attack = tokio::spawn(async move {
        let mut callers = JoinSet::new();
        for connection in 0..8 {
            let asked = Arc::clone(&asked);
            callers.spawn(async move {
                let peer = Peer::connect(address).await;
                // All answers are read at the same time: one that is not read is cut off.
                let mut calls = JoinSet::new();
                for turn in 0..25 {
                    let (method, message) = &asked[(connection + turn) % asked.len()];
                    let (answer, mut body) = peer.begin(method).await;
                    // An error means that the call has been refused.
                    let _ = body.send_data(framed(message), true);
                    calls.spawn(status(answer));
                }
                let mut served = 0;
                while let Some(status) = calls.join_next().await {
                    let status = status.expect("no panic").expect("an answer");
                    if status.code() == Code::Ok {
                        served += 1;
                    } else {
                        assert_eq!(error_info(&status).reason, "OVERLOADED", "{status:?}");
                    }
                }
                served
            });
        }
        callers.join_all().await.into_iter().sum::<usize>()
    });
    let served = beside(&process, BUDGET + BESIDE, attack).await.expect("each is answered");
    assert!(served > 0, "some of them fit");
}

/// Records the names of the threads that reach checkpoints, and how often a checkpoint is reached.
#[derive(Clone, Default)]
struct Seen {
    threads: Arc<Mutex<Vec<String>>>,
    checkpoints: Arc<AtomicUsize>,
}

impl Seen {
    async fn server(&self, config: ServerConfig) -> Running {
        let seen = self.clone();
        let hook = CheckpointHook::that_never_waits(move |_| {
            seen.checkpoints.fetch_add(1, Ordering::Relaxed);
            let name = thread::current().name().unwrap_or_default().to_owned();
            seen.threads.lock().expect("nobody panics with it").push(name);
        });
        let config = ServerConfig { on_checkpoint: Some(hook), ..config };
        Running::start(config).await.expect("the server starts")
    }

    /// What has been recorded since the last call of this.
    fn take(&self) -> (usize, Vec<String>) {
        let threads = std::mem::take(&mut *self.threads.lock().expect("nobody panics with it"));
        (self.checkpoints.swap(0, Ordering::Relaxed), threads)
    }
}

/// Long computations run on the pool: a thread that serves would hold up all its other calls.
#[tokio::test]
async fn what_takes_long_is_not_computed_where_calls_are_served() {
    let seen = Seen::default();
    let server = seen.server(ServerConfig::on_free_port()).await;
    let peer = Peer::connect(address(&server)).await;
    let ok = async |(method, message): &Asked| {
        let status = peer.call(method, message).await.expect("an answer");
        assert_eq!(status.code(), Code::Ok, "{method}: {status:?}");
        seen.take()
    };
    let small = ("Dropout", dropout(0.5, f32s(&[2], &[1.0, 2.0])).encode_to_vec());
    let (_, threads) = ok(&small).await;
    assert!(threads.iter().all(|name| !name.starts_with("compute-")), "a short call is computed at once: {threads:?}");
    for asked in [statistics_of_nothing(), rows_of_one_element(), many_parts(), many_fields(), many_sets()].concat() {
        let (checkpoints, threads) = ok(&asked).await;
        assert!(checkpoints > 0 && threads.iter().all(|name| name.starts_with("compute-")), "{}: {threads:?}", asked.0);
    }
}

/// Row 40: merging passes checkpoints, so that a call whose deadline has passed is stopped.
#[tokio::test]
async fn merging_comes_to_checkpoints() {
    let seen = Seen::default();
    let server = seen.server(ServerConfig::on_free_port()).await;
    let peer = Peer::connect(address(&server)).await;
    let (method, message) = many_parts().pop().expect("there are two");
    assert_eq!(peer.call(method, &message).await.expect("an answer").code(), Code::Ok);
    assert!(seen.take().0 > 110_000 / 1000);
}

/// Row 38: the client leaves while its call is computed. The thread is free again, and so is the memory.
#[tokio::test]
async fn whoever_leaves_gives_everything_back() {
    let (at_checkpoint, mut reached) = mpsc::unbounded_channel();
    // The first checkpoint is passed before anything is computed; at the second, the memory is reserved.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let hook = CheckpointHook::new(move |checkpoint| {
        if count.fetch_add(1, Ordering::Relaxed) == 1 {
            at_checkpoint.send(()).expect("the test waits");
            while checkpoint.check().is_ok() {
                thread::yield_now();
            }
        }
    });
    let metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let config = ServerConfig { on_checkpoint: Some(hook), threads: 1, metrics_listen, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let mask = channels(0.5, true, &[1 << 23, 1, 0]);
    for (method, message) in [vec![mask], rows_of_one_element(), many_parts()].concat() {
        asked.store(0, Ordering::Relaxed);
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(framed(&message), true).expect("the connection is open");
        reached.recv().await.expect("it is computed");
        assert!(scrape(&server).await["evenkeel_bytes_in_flight"] > 1e6, "{method}");
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
        let is_back = async || {
            let series = scrape(&server).await;
            series["evenkeel_bytes_in_flight"] == 0.0 && series["evenkeel_jobs_running"] == 0.0
        };
        until("the thread and the memory are given back", is_back).await;
    }
}

/// Row 44: a list of numbers takes the same memory, packed or not, in one piece or in many.
#[tokio::test]
async fn numbers_that_are_not_packed_count_as_what_they_become() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(2 * MIB), ..Default::default() };
    let config = ServerConfig { max_message_bytes: MIB, admission, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let peer = Peer::connect(address(&server)).await;
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    };
    for (numbers, code) in [(1000, Code::Ok), (100_000, Code::ResourceExhausted)] {
        let floats = vec![1.5; numbers];
        let shape = pb::Tensor { shape: vec![numbers as i64], ..Default::default() }.encode_to_vec();
        let packed = pb::Tensor { float_data: floats.clone(), ..Default::default() }.encode_to_vec();
        let unpacked: Vec<u8> =
            floats.iter().flat_map(|x| [&[14 << 3 | 5][..], &f32::to_le_bytes(*x)].concat()).collect();
        let (half, other) = unpacked.split_at(unpacked.len() / 2);
        let packed_half = pb::Tensor { float_data: floats[numbers / 2..].to_vec(), ..Default::default() };
        let mixed = [half, &packed_half.encode_to_vec()].concat();
        assert_eq!(other.len(), half.len());
        for list in [packed, unpacked, mixed] {
            let p = pb::DropoutRequest { p: Some(0.0), ..Default::default() }.encode_to_vec();
            let message = [p, field(15, &[shape.clone(), list].concat())].concat();
            let status = peer.call("Dropout", &message).await.expect("an answer");
            assert_eq!(status.code(), code, "{numbers}: {status:?}");
            if code != Code::Ok {
                assert_eq!(error_info(&status).reason, "MESSAGE_TOO_LARGE");
            }
        }
    }
}

/// Row 41: nothing is drawn if the result is known, with p = 0 and p = 1, or if it is not needed, without elements and
/// without a mask.
#[tokio::test]
async fn dropout_of_nothing_draws_nothing() {
    let seen = Seen::default();
    let server = seen.server(ServerConfig::on_free_port()).await;
    let peer = Peer::connect(address(&server)).await;
    for p in [0.0, 0.5, 1.0] {
        for return_mask in [false, true] {
            let (method, message) = channels(p, return_mask, &[1 << 23, 1, 0]);
            let status = peer.call(method, &message).await.expect("an answer");
            assert_eq!(status.code(), Code::Ok, "{status:?}");
            let (checkpoints, _) = seen.take();
            // Drawing 8,388,608 times would pass a checkpoint for each 16,384 draws.
            let draws = p == 0.5 && return_mask;
            assert_eq!(checkpoints > 256, draws, "{p} {return_mask}: {checkpoints}");
        }
    }
}

/// Calls that are refused before anything is computed: too large for the limit on messages, for the whole budget, or
/// for the part of the budget that is free now.
#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_computed() {
    let seen = Seen::default();
    let admission = |bytes| AdmissionConfig { max_bytes_in_flight: Some(bytes), ..Default::default() };
    let config = ServerConfig { max_message_bytes: MIB, admission: admission(4 * MIB), ..ServerConfig::on_free_port() };
    let server = seen.server(config).await;
    let peer = Peer::connect(address(&server)).await;
    let refused = async |(method, message): Asked| {
        let status = peer.call(method, &message).await.expect("an answer");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(seen.take().0, 0, "nothing was computed");
        (error_info(&status).reason, status.message().to_owned())
    };
    // Mean and rstd are 8 bytes for each of these rows.
    let (reason, message) = refused(with_statistics(NormKind::Layer, f32s(&[1 << 17, 0], &[]))).await;
    assert_eq!(reason, "MESSAGE_TOO_LARGE");
    assert!(message.contains("the response would have 10"), "{message}");
    // Each of these channels takes far more memory while it is measured than its two elements.
    let wide = normalize(NormKind::Batch, f32s(&[2, 100_000], &[1.5; 200_000])).encode_to_vec();
    let (reason, message) = refused(("Normalize", wide)).await;
    assert_eq!(reason, "MESSAGE_TOO_LARGE");
    assert!(message.contains("bytes of memory"), "{message}");
    // Alone, it would fit.
    let statistics = with_statistics(NormKind::Layer, f32s(&[100_000, 0], &[]));
    let mut others = Vec::new();
    for announced in [MIB, 3 * MIB / 4] {
        let (answer, mut body) = peer.begin("Dropout").await;
        body.send_data(prefix(announced as u32), false).expect("the connection is open");
        others.push((answer, body));
    }
    // Until the server has read the prefixes of the others.
    let refused = async || {
        seen.take();
        let status = peer.call(statistics.0, &statistics.1).await.expect("an answer");
        Some(status).filter(|status| status.code() != Code::Ok)
    };
    let status = until_some("a call beside the announced ones is refused", refused).await;
    assert_eq!((error_info(&status).reason.as_str(), seen.take().0), ("OVERLOADED", 0), "{status:?}");
    drop(others);
    let served = async || {
        let status = peer.call(statistics.0, &statistics.1).await.expect("an answer");
        assert!(status.code() == Code::Ok || error_info(&status).reason == "OVERLOADED", "{status:?}");
        status.code() == Code::Ok
    };
    until("it is served when the others have left", served).await;
}
