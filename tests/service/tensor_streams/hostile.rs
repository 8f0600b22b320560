//! Rows 21, 22, 34 and 37 for streams of tensors: clients that fall silent, that do not read, that leave, and that are slow.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ConnectionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use h2::{RecvStream, SendStream, client::Builder};
use pb::{
    ClipMode, NormKind, clip_gradients_stream_request as clip, dropout_stream_request as dropout,
    normalize_stream_request as normalize_stream,
};
use prost::Message as _;
use tonic::{Code, Status, codegen::http::HeaderValue};

use super::{data, described};
use crate::{
    beside::{MIB, beside},
    harness::normalize,
    metrics::{config, scrape},
    peer::{Peer, address, framed, request, status},
    process::Process,
    until::{until, within},
};

/// More than all windows, frames and chunks of a stream have room for.
const ELEMENTS: usize = 16 << 20;
/// How long a client may do nothing.
const PAUSE: Duration = Duration::from_millis(300);

const BYTES: &str = "evenkeel_bytes_in_flight";
const CALLS: &str = "evenkeel_calls_unanswered";

/// The messages before the data of a tensor of so many float32, for each method.
pub(super) fn beginnings(elements: usize) -> [(&'static str, Bytes); 3] {
    let tensor = || described(pb::DataType::Float32, &[elements as i64 / 16, 16]);
    let header = pb::DropoutRequest { p: Some(0.5), input: Some(tensor()), ..Default::default() };
    let of_dropout = pb::DropoutStreamRequest { part: Some(dropout::Part::Header(header)) };
    let header = normalize(NormKind::Layer, tensor());
    let of_normalize = pb::NormalizeStreamRequest { part: Some(normalize_stream::Part::Header(header)) };
    let header = pb::ClipGradientsRequest { mode: ClipMode::Value.into(), threshold: Some(1.0), ..Default::default() };
    let of_clip = [clip::Part::Header(header), clip::Part::Tensor(tensor())]
        .map(|part| framed(&pb::ClipGradientsStreamRequest { part: Some(part) }.encode_to_vec()));
    [
        ("DropoutStream", framed(&of_dropout.encode_to_vec())),
        ("NormalizeStream", framed(&of_normalize.encode_to_vec())),
        ("ClipGradientsStream", of_clip.concat().into()),
    ]
}

/// A message of these data, of any method.
pub(super) fn chunk(bytes: &[u8]) -> Bytes {
    let part = Some(dropout::Part::Data(Bytes::copy_from_slice(bytes)));
    framed(&pb::DropoutStreamRequest { part }.encode_to_vec())
}

pub(super) async fn start(body_timeout: Duration) -> Running {
    let connections = ConnectionConfig { body_timeout, ..Default::default() };
    Running::start(ServerConfig { connections, ..config() }).await.expect("the server starts")
}

/// Nothing is held any more.
pub(super) async fn until_all_is_free(server: &Running) {
    until("all is given back", async || {
        let gauges = scrape(server).await;
        gauges[BYTES] == 0.0 && gauges[CALLS] == 0.0
    })
    .await;
}

/// Sends as much as the server takes; an error: the stream is reset.
async fn send_all(body: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<usize, h2::Error> {
    let mut sent = 0;
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let Some(capacity) = within("there is room", poll_fn(|cx| body.poll_capacity(cx))).await else { break };
        let part = bytes.split_to(capacity?.min(bytes.len()));
        sent += part.len();
        body.send_data(part, false)?;
    }
    Ok(sent)
}

/// Reads an answer to its end, and gives back the window of what has come. The bytes that it had, and its status.
async fn drain(mut answer: RecvStream) -> (usize, Status) {
    let mut all = 0;
    while let Some(data) = within("it goes on", answer.data()).await {
        let data = data.expect("the stream is not reset");
        answer.flow_control().release_capacity(data.len()).expect("it was taken");
        all += data.len();
    }
    let trailers = answer.trailers().await.expect("the stream is not reset").expect("there are trailers");
    (all, Status::from_header_map(&trailers).expect("there is a status"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_client_falls_silent_is_answered() {
    let server = start(Duration::from_millis(100)).await;
    let peer = Peer::connect(address(&server)).await;
    for (method, beginning) in beginnings(1 << 20) {
        let long = chunk(&vec![0; 1 << 16]);
        for rest in [Bytes::new(), long.slice(..3), long.slice(..6), long.slice(..5000), long.clone()] {
            let (answer, mut body) = peer.begin(method).await;
            body.send_data(beginning.clone(), false).expect("the connection is open");
            let sent = rest.len();
            body.send_data(rest, false).expect("the connection is open");
            let status = status(answer).await.expect("an answer");
            assert_eq!(status.code(), Code::DeadlineExceeded, "{method} after {sent} bytes: {status:?}");
        }
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(beginning.slice(..beginning.len() - 1), false).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::DeadlineExceeded, "{method} in its header");
    }
    until_all_is_free(&server).await;
}

/// A client that sends and does not read is not read from: of 64 MiB the server takes some windows' worth, and then cuts it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_not_read_from() {
    let server = start(PAUSE).await;
    let all = chunk(&vec![0; ELEMENTS * 4 - 64]);
    for (method, beginning) in beginnings(ELEMENTS) {
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(beginning, false).expect("the connection is open");
        let answer = within("the answer begins", answer).await.expect("an answer").into_body();
        let mut sent = 0;
        for part in all.chunks(1 << 16) {
            match send_all(&mut body, Bytes::copy_from_slice(part)).await {
                Ok(len) => sent += len,
                Err(_) => break,
            }
        }
        eprintln!("{method}: took {:.1} MiB", sent as f64 / MIB as f64);
        // Usually 8 MiB: the window of 4 MiB, and what is computed and buffered.
        assert!(sent < 24 * MIB, "{method}: {sent}");
        drop((answer, body));
        until_all_is_free(&server).await;
    }
}

/// A client that reads now and then gets everything: it is waited for as long as it moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_everything() {
    const COUNT: usize = 2 << 20;
    let server = start(Duration::from_secs(60)).await;
    let bytes = data(pb::DataType::Float32, COUNT);
    for (method, beginning) in beginnings(COUNT) {
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(beginning.clone(), false).expect("the connection is open");
        let sent = chunk(&bytes);
        let sender = tokio::spawn(async move {
            send_all(&mut body, sent).await.expect("the stream goes on");
            body.send_data(Bytes::new(), true).expect("the connection is open");
        });
        let mut answer = within("the answer begins", answer).await.expect("an answer").into_body();
        let mut came = 0;
        while let Some(data) = within("it goes on", answer.data()).await {
            let len = data.expect("the stream is not reset").len();
            came += len;
            // The pause is what the test is about.
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer.flow_control().release_capacity(len).expect("it was taken");
        }
        let trailers = answer.trailers().await.expect("the stream is not reset").expect("there are trailers");
        assert_eq!(Status::from_header_map(&trailers).expect("a status").code(), Code::Ok, "{method}");
        assert!(came > bytes.len(), "{method}: {came}");
        sender.await.expect("all was sent");
        until_all_is_free(&server).await;
    }
}

/// A client that leaves in the middle leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_leaves_nothing() {
    let server = start(Duration::ZERO).await;
    for (method, beginning) in beginnings(ELEMENTS) {
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(beginning, false).expect("the connection is open");
        body.send_data(chunk(&vec![0; 100_000]), false).expect("the connection is open");
        let mut answer = within("the answer begins", answer).await.expect("an answer").into_body();
        within("some of it comes", answer.data()).await.expect("there is some").expect("the stream is not reset");
        assert_ne!(scrape(&server).await[BYTES], 0.0, "{method}");
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
        until_all_is_free(&server).await;
    }
}

/// The deadline ends a stream whose client still sends.
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_hold_for_streams() {
    let server = start(Duration::ZERO).await;
    let peer = Peer::connect(address(&server)).await;
    for (method, beginning) in beginnings(ELEMENTS) {
        let mut head = request(method);
        head.headers_mut().insert("grpc-timeout", "200m".parse().expect("a value"));
        let (answer, mut body) = peer.send(head).await.expect("the connection is open");
        body.send_data(beginning, false).expect("the connection is open");
        body.send_data(chunk(&vec![0; 100_000]), false).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::DeadlineExceeded, "{method}");
    }
    until_all_is_free(&server).await;
}

/// The deadline also ends a stream whose client does not read, or reads slowly: nobody asks whether it has passed then.
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_hold_for_clients_that_do_not_read() {
    let server = start(Duration::from_secs(60)).await;
    for pauses in [2, 0] {
        for (method, beginning) in beginnings(ELEMENTS) {
            // On a busy machine a short deadline passes before the answer begins.
            let mut deadline = Duration::from_millis(300);
            while !ends_late(&server, method, beginning.clone(), deadline, deadline * pauses).await {
                deadline *= 4;
                assert!(deadline < Duration::from_secs(5), "{method}: its answer never begins");
            }
        }
    }
    until_all_is_free(&server).await;
}

/// Whether a call whose client pauses and then reads slowly has begun to be answered before its deadline, and was ended by it.
async fn ends_late(server: &Running, method: &str, beginning: Bytes, deadline: Duration, pause: Duration) -> bool {
    let peer = Peer::connect(address(server)).await;
    let mut head = request(method);
    let timeout = HeaderValue::try_from(format!("{}m", deadline.as_millis())).expect("a value");
    head.headers_mut().insert("grpc-timeout", timeout);
    let (answer, mut body) = peer.send(head).await.expect("the connection is open");
    body.send_data(beginning, false).expect("the connection is open");
    let sender = tokio::spawn(async move { send_all(&mut body, chunk(&vec![0; ELEMENTS * 4 - 64])).await });
    let answer = within("the answer begins", answer).await.expect("an answer");
    let begins = !answer.headers().contains_key("grpc-status");
    if begins {
        let mut answer = answer.into_body();
        // The pauses are what the test is about.
        tokio::time::sleep(pause).await;
        let mut came = 0;
        while let Some(Ok(data)) = within("it goes on", answer.data()).await {
            came += data.len();
            // Some 10 MiB a second: the whole tensor takes seven.
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer.flow_control().release_capacity(data.len()).expect("it was taken");
        }
        let trailers = answer.trailers().await.expect("the stream is not reset").expect("there are trailers");
        let status = Status::from_header_map(&trailers).expect("there is a status");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{method} after {pause:?}: {status:?}");
        // Of what was computed before the deadline, the client gets what the connection had taken: usually a chunk of 1 MiB.
        assert!(pause.is_zero() || came < 4 * MIB, "{method}: {came}");
    }
    sender.abort();
    begins
}

/// The names that a clipping repeats, and the mask of a tensor without elements, are in the budget until they are taken.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_data_are_in_the_budget() {
    const NAME: usize = 2 << 20;
    let server = start(Duration::from_secs(60)).await;
    let header = pb::ClipGradientsRequest { mode: ClipMode::Value.into(), threshold: Some(1.0), ..Default::default() };
    let named = |name: usize| pb::Tensor { name: "n".repeat(name), ..described(pb::DataType::Float32, &[0]) };
    let names = [clip::Part::Header(header), clip::Part::Tensor(named(NAME)), clip::Part::Tensor(named(NAME))]
        .map(|part| framed(&pb::ClipGradientsStreamRequest { part: Some(part) }.encode_to_vec()));
    let header = pb::DropoutRequest {
        p: Some(0.5),
        kind: pb::DropoutKind::Channel.into(),
        return_mask: true,
        input: Some(described(pb::DataType::Float32, &[8 << 20, 1, 0])),
        ..Default::default()
    };
    let mask = framed(&pb::DropoutStreamRequest { part: Some(dropout::Part::Header(header)) }.encode_to_vec());
    for (method, request, ends, least) in
        [("ClipGradientsStream", names.concat().into(), false, 2 * NAME), ("DropoutStream", mask, true, 1 << 20)]
    {
        let peer = Peer::with(Builder::new().initial_window_size(0), address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        send_all(&mut body, request).await.expect("it is taken");
        if ends {
            body.send_data(Bytes::new(), true).expect("the connection is open");
        }
        until("it is charged", async || scrape(&server).await[BYTES] >= least as f64).await;
        drop((answer, body, peer));
        until_all_is_free(&server).await;
    }
}

/// What many streams hold together is in the budget; those beyond it are refused at their header, and may come again.
#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_budget_are_refused_as_overload() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
    let server = Running::start(ServerConfig { admission, max_message_bytes: 1 << 20, ..config() }).await;
    let server = server.expect("the server starts");
    let peer = Peer::connect(address(&server)).await;
    // A clipping says so behind its header, where its first gradient comes.
    for (method, beginning) in beginnings(ELEMENTS).into_iter().filter(|(method, _)| *method != "ClipGradientsStream") {
        let (mut open, mut refused) = (Vec::new(), None);
        for _ in 0..40 {
            let (answer, mut body) = peer.begin(method).await;
            body.send_data(beginning.clone(), false).expect("the connection is open");
            let answer = within("it is answered", answer).await.expect("an answer");
            match Status::from_header_map(answer.headers()) {
                Some(status) => refused = Some(status),
                None => open.push((answer, body)),
            }
        }
        let refused = refused.expect("not all fit");
        assert_eq!(crate::harness::error_info(&refused).reason, "OVERLOADED", "{method}");
        assert!(open.len() >= 3, "{method}: {}", open.len());
        drop(open);
        until_all_is_free(&server).await;
    }
}

/// A quarter of a gigabyte goes through a process that has not so much, in chunks and as messages of 16 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_depend_on_the_tensor() {
    const CHUNK: usize = 15 * MIB;
    const CHUNKS: usize = 17;
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=warn",
            "--max-bytes-in-flight=67108864",
            "--max-message-bytes=16777216",
            "--buffer-pool-bytes=8388608",
        ],
        &[],
    );
    // HTTP/2's default windows are 64 KiB, and waiting for so many of them takes a minute.
    let mut settings = Builder::new();
    settings.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
    for (method, beginning) in beginnings(CHUNK * CHUNKS / 4) {
        let attack = async {
            let peer = Peer::with(&settings, process.address()).await;
            let (answer, mut body) = peer.begin(method).await;
            let sender = tokio::spawn(async move {
                send_all(&mut body, beginning).await.expect("the stream goes on");
                let message = chunk(&vec![0; CHUNK]);
                for _ in 0..CHUNKS {
                    send_all(&mut body, message.clone()).await.expect("the stream goes on");
                }
                body.send_data(Bytes::new(), true).expect("the connection is open");
            });
            let (all, status) = drain(answer.await.expect("an answer").into_body()).await;
            assert_eq!(status.code(), Code::Ok, "{method}: {status:?}");
            assert!(all > CHUNK * CHUNKS, "{method}");
            sender.await.expect("all was sent");
        };
        // Usually 6 to 49 MiB: windows, chunks, threads. The tensor has 255.
        beside(&process, 128 * MIB, attack).await;
    }
}

/// A panic within a stream ends that stream, and is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_stream() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Of the fourth part, or near it.
    let hook = CheckpointHook::new(move |_| assert_ne!(count.fetch_add(1, Ordering::Relaxed), 6, "on purpose"));
    let server = Running::start(ServerConfig { on_checkpoint: Some(hook), ..config() }).await.expect("it starts");
    let bytes = chunk(&vec![0; 4 << 20]);
    for (index, (method, beginning)) in beginnings(1 << 20).into_iter().enumerate() {
        asked.store(0, Ordering::Relaxed);
        for expected in [Code::Internal, Code::Ok] {
            let peer = Peer::connect(address(&server)).await;
            let (answer, mut body) = peer.begin(method).await;
            body.send_data(beginning.clone(), false).expect("the connection is open");
            let (sent, status) = tokio::join!(
                async {
                    // An error says that the call has ended; its answer tells how.
                    let sent = send_all(&mut body, bytes.clone()).await;
                    sent.and_then(|_| body.send_data(Bytes::new(), true))
                },
                status(answer)
            );
            assert_eq!(status.expect("an answer").code(), expected, "{method}");
            assert!(sent.is_ok() || expected == Code::Internal, "{method}");
        }
        assert_eq!(scrape(&server).await["evenkeel_panics_total"], (index + 1) as f64);
    }
    until_all_is_free(&server).await;
}
