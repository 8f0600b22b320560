//! Hostile clients; beside each of them another caller must be served, and the memory of the process stays bounded.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::{Code, codegen::http::Request};

use crate::{
    beside::{LITTLE, MIB, beside},
    harness::{dropout, f32s},
    hostile::{CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, flood, frame, headers},
    metrics::{scrape_at, value},
    peer::{PREFACE, Peer, framed, prefix, status},
    process::Process,
    tensor_streams::begun_streams,
};

/// The number of made-up names: so many that the test would notice 100 bytes kept for each.
const NAMES: u32 = 1_000_000;

fn start(more: &[&str]) -> Process {
    Process::start(&[&["--listen=127.0.0.1:0", "--log-level=error"], more].concat(), &[])
}

/// Row 22: a hundred calls whose messages come byte by byte, each byte in a frame of its own.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_trickle() {
    let process = start(&["--body-timeout=500ms"]);
    let address = process.address();
    let trickle = move |method, begins| async move {
        let peer = Peer::connect(address).await;
        let (answer, mut body) = peer.begin(method).await;
        // The announced length is small: memory for the whole message must not hide what the bytes themselves take.
        body.send_data(begins, false).expect("the connection is open");
        let mut answer = pin!(status(answer));
        loop {
            tokio::select! {
                status = &mut answer => return status.expect("an answer").code(),
                () = sleep(Duration::from_millis(10)) => {
                    for _ in 0..4 {
                        // An error means that the call has ended; its answer says how.
                        let _ = body.send_data(Bytes::from_static(&[0]), false);
                    }
                }
            }
        }
    };
    let mut all = JoinSet::new();
    let unary = ["Normalize", "Dropout", "ClipGradients", "MeasureGradients"].map(|method| (method, prefix(100_000)));
    for (method, begins) in unary.into_iter().chain(begun_streams()).cycle().take(104) {
        all.spawn(trickle(method, begins));
    }
    // The usual growth is 2 to 33 MiB. If every byte of the streams kept a frame of 16 KiB, it would be 176 MiB or more.
    let codes = beside(&process, 88 * MIB, all.join_all()).await;
    assert_eq!(codes, [Code::DeadlineExceeded; 104]);
}

/// Row 24: bytes that are no message, and calls that end within a message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message() {
    let process = start(&[]);
    let address = process.address();
    let attack = tokio::spawn(async move {
        let peer = Peer::connect(address).await;
        for turn in 0..1000 {
            let method = ["Normalize", "Dropout", "ClipGradients", "MeasureGradients"][turn % 4];
            let (answer, mut body) = peer.begin(method).await;
            let bytes = match turn % 3 {
                0 => framed(&[0x7A, 0xFF, 0x01]),
                1 => framed(&[0x0B; 1000]),
                // It ends within the message.
                _ => framed(&[0; 1000]).slice(..500),
            };
            body.send_data(bytes, true).expect("the connection is open");
            assert_eq!(status(answer).await.expect("an answer").code(), Code::Internal, "{turn} {method}");
        }
    });
    beside(&process, LITTLE, attack).await.expect("each is answered");
}

/// Row 25: calls of made-up method names, which must not become series of the metrics, or be kept in memory.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_made_up() {
    const ROUNDS: u32 = 10;
    const CONNECTIONS: u32 = 4;
    const AT_ONCE: u32 = 50;
    /// Usually the process does not grow.
    const GROWTH: usize = 24 * MIB;
    let mut process = Process::start(
        &["--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--log-level=error,evenkeel::server=info"],
        &[],
    );
    let address = process.address();
    let (metrics, _log) = process.metrics();
    let (before, memory) = (scrape_at(metrics).await, process.memory("VmRSS"));
    // Each round has the limit of a wait for itself.
    for round in 0..ROUNDS {
        let mut all = JoinSet::new();
        for connection in 0..CONNECTIONS {
            all.spawn(async move {
                let peer = Peer::connect(address).await;
                for batch in (connection..NAMES / ROUNDS / AT_ONCE).step_by(CONNECTIONS as usize) {
                    let mut answers = Vec::new();
                    let first = round * (NAMES / ROUNDS) + batch * AT_ONCE;
                    for turn in first..first + AT_ONCE {
                        let scrambled = u64::from(turn).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                        // Some names are long, and all are different.
                        let more = if turn % 100 == 0 { 1000 } else { 4 };
                        let (answer, mut body) = peer.begin(&format!("{scrambled:016x}{}", "x".repeat(more))).await;
                        // An error means that the call has been answered.
                        let _ = body.send_data(Bytes::new(), true);
                        answers.push(answer);
                    }
                    for answer in answers {
                        assert_eq!(status(answer).await.expect("an answer").code(), Code::Unimplemented);
                    }
                }
            });
        }
        beside(&process, GROWTH, all.join_all()).await;
    }
    let grown = process.memory("VmHWM").saturating_sub(memory);
    assert!(grown < GROWTH, "{grown} bytes");
    let after = scrape_at(metrics).await;
    assert!(before.keys().eq(after.keys()), "names have become series");
    let other = [("grpc_service", "_OTHER"), ("grpc_method", "_OTHER"), ("grpc_code", "UNIMPLEMENTED")];
    assert_eq!(value(&after, "grpc_server_handled_total", &other), f64::from(NAMES));
}

/// Row 26: requests of HTTP/1.1, and requests of HTTP/2 that are no calls of gRPC.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call() {
    let process = start(&[]);
    let address = process.address();
    let attack = tokio::spawn(async move {
        for _ in 0..500 {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            // An error means that the connection is closed.
            let _ = stream.write_all(b"GET /none HTTP/1.1\r\nHost: evenkeel\r\nConnection: close\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        let peer = Peer::connect(address).await;
        let requests =
            [("GET", "application/grpc", 405), ("POST", "text/plain", 415), ("POST", "application/json", 400)];
        for (method, content_type, expected) in requests {
            for _ in 0..500 {
                let uri = "http://evenkeel/evenkeel.v1.TensorOpsService/Dropout";
                let request = Request::builder().method(method).uri(uri).header("content-type", content_type);
                let (answer, mut body) = peer.send(request.body(()).expect("a request")).await.expect("it is open");
                // An error means that the call has been answered.
                let _ = body.send_data(Bytes::from_static(b"{}"), true);
                assert_eq!(answer.await.expect("an answer").status().as_u16(), expected);
            }
        }
    });
    beside(&process, LITTLE, attack).await.expect("nothing hangs");
}

/// Row 27: calls that are given up as soon as they are sent.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up() {
    const LIMIT: usize = 4 * MIB;
    let arguments = [format!("--max-message-bytes={LIMIT}"), format!("--max-bytes-in-flight={}", 4 * LIMIT)];
    let pool = format!("--buffer-pool-bytes={LIMIT}");
    let process = start(&[&arguments[0], &arguments[1], &pool]);
    let address = process.address();
    let elements = LIMIT / 4 - 100;
    let large = framed(&dropout(0.5, f32s(&[elements as i64], &vec![1.0; elements])).encode_to_vec());
    let attack = tokio::spawn(async move {
        for turn in 0..200 {
            let peer = Peer::connect(address).await;
            let (answer, mut body) = peer.begin("Dropout").await;
            body.send_data(large.clone(), true).expect("the connection is open");
            // Every second client leaves at once, and the others when the answer has begun.
            if turn % 2 == 0 {
                answer.await.expect("it begins");
            }
        }
    });
    // The usual growth is 6 to 9 MiB.
    beside(&process, 4 * LIMIT + LIMIT + LITTLE, attack).await.expect("the server takes them");
}

/// Row 28: floods of frames that cost the server more than the client, each on eight connections.
#[tokio::test(flavor = "multi_thread")]
async fn floods() {
    let process = start(&[]);
    let address = process.address();
    let mut all = JoinSet::new();
    let headers = headers();
    let name = [&[0, 100][..], &[b'x'; 100], &[100], &[b'y'; 100]].concat();
    for _ in 0..8 {
        let (first, name) = (headers.clone(), name.clone());
        all.spawn(flood(address, true, move |turn| {
            let streams = (0..500).map(|index| (turn * 500 + index) * 2 + 1);
            let reset = |stream| frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
            streams.flat_map(|stream| [frame(HEADERS, END_HEADERS, stream, &first), reset(stream)].concat()).collect()
        }));
        let first = headers.clone();
        all.spawn(flood(address, true, move |turn| match turn {
            0 => frame(HEADERS, 0, 1, &first),
            _ => frame(CONTINUATION, 0, 1, &name.repeat(50)),
        }));
        let first = headers.clone();
        all.spawn(flood(address, true, move |turn| match turn {
            0 => frame(HEADERS, END_HEADERS, 1, &first),
            1 => frame(DATA, 0, 1, &framed(&[0; 5])[..7]),
            _ => frame(DATA, 0, 1, b"").repeat(1000),
        }));
        // These two read nothing, and write until the server stops reading, or has read two million frames.
        for (kind, payload) in [(PING, &[7; 8][..]), (SETTINGS, &[0, 5, 0, 0, 0x40, 0])] {
            all.spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("the server listens");
                stream.write_all(PREFACE).await.expect("the server reads");
                let many = frame(kind, 0, 0, payload).repeat(1000);
                for _ in 0..2000 {
                    let wrote = timeout(Duration::from_secs(2), stream.write_all(&many)).await;
                    if !matches!(wrote, Ok(Ok(()))) {
                        break;
                    }
                }
                Vec::new()
            });
        }
    }
    beside(&process, LITTLE, all.join_all()).await;
}
