//! The memory of the process under hostile messages and overload.

use std::{net::SocketAddr, pin::pin};

use bytes::Bytes;
use prost::Message as _;
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;

use crate::{
    beside::{LITTLE, MIB, beside},
    harness::{dropout, error_info, f32s},
    peer::{Peer, framed, prefix, status},
    process::Process,
    until::until,
};

/// The largest message that is sent, in bytes.
const LIMIT: usize = 8 * MIB;
/// The budget for calls: room for two of the largest, and the part that is kept free for small ones.
const BUDGET: usize = 5 * LIMIT;
/// A message that does not count as small. The budget is a multiple of this and of [`LIMIT`]: if no part were kept
/// free, such calls could hold all of it.
const MIDDLE: usize = MIB / 2;
/// How much the process may take beside the budget: for unused buffers, windows, stacks, and freed memory that the
/// allocator keeps. The usual growth, with the budget, is 4 to 32 MiB for the announcements, depending on the load of
/// the machine, and 80 to 91 MiB for ten times the load.
const BESIDE: usize = 96 * MIB;

/// Streams that announce a message.
const ANNOUNCED: usize = 1000;

/// Connections, in the test of overload.
const CALLERS: usize = 40;
/// How many bytes a connection may have read that no call has taken yet.
const READ: usize = 3 * MIB;

fn start(body_timeout: &str) -> Process {
    // An answer is a few bytes longer.
    let limit = LIMIT + 1000;
    Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=warn",
            &format!("--max-message-bytes={limit}"),
            &format!("--max-bytes-in-flight={BUDGET}"),
            &format!("--buffer-pool-bytes={limit}"),
            &format!("--body-timeout={body_timeout}"),
        ],
        &[],
    )
}

/// A message of exactly so many bytes, so that a number of calls hold exactly the budget.
fn sized(bytes: usize) -> Bytes {
    let elements = bytes / 4 - 100;
    let mut request = dropout(0.0, f32s(&[elements as i64], &vec![1.0; elements]));
    while request.encoded_len() < bytes {
        request.input.as_mut().expect("it has one").name.push('x');
    }
    let message = request.encode_to_vec();
    assert_eq!(message.len(), bytes);
    framed(&message)
}

/// The largest message, and one of which several fit beside two of the largest.
fn sizes() -> [Bytes; 2] {
    [sized(LIMIT), sized(MIDDLE)]
}

/// Row 20.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_too_large_takes_no_memory() {
    let process = start("10s");
    let address = process.address();
    let attack = tokio::spawn(async move {
        let peer = Peer::connect(address).await;
        for _ in 0..2000 {
            let (answer, mut body) = peer.begin("Dropout").await;
            body.send_data(prefix(u32::MAX), false).expect("the connection is open");
            assert_eq!(status(answer).await.expect("an answer").code(), Code::ResourceExhausted);
        }
    });
    beside(&process, LITTLE, attack).await.expect("each is refused");
}

/// Announces a message on a thousand streams, and sends a part of each. Returns tasks that end with the code of each
/// call.
async fn announce(address: SocketAddr) -> JoinSet<Code> {
    let begins = sizes().map(|message| message.slice(..50_000));
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let peer = Peer::connect(address).await;
        for turn in 0..ANNOUNCED / 5 {
            let (answer, mut body) = peer.begin("Dropout").await;
            body.send_data(begins[turn % 2].clone(), false).expect("the connection is open");
            calls.spawn(async move {
                let code = status(answer).await.expect("an answer").code();
                // The request stays open, and silent, until then.
                drop(body);
                code
            });
        }
    }
    calls
}

/// Row 21: a thousand streams announce large messages, send a part of them, and fall silent. They hold the whole part
/// of the budget that is for large calls; further large calls are refused, and small ones are served from the rest.
#[tokio::test(flavor = "multi_thread")]
async fn announcements_take_no_more_than_the_budget() {
    // The timeout is so long that no silent call ends: those that hold the budget keep it.
    let process = start("1h");
    let address = process.address();
    let attack = tokio::spawn(async move {
        let mut calls = announce(address).await;
        // Each of the others holds at least what it has announced.
        for _ in 0..ANNOUNCED - BUDGET / MIDDLE {
            let code = calls.join_next().await.expect("there are more").expect("no panic");
            assert_eq!(code, Code::ResourceExhausted);
        }
        assert!(calls.len() > 1, "two of the largest have room");
        let peer = Peer::connect(address).await;
        let (answer, mut body) = peer.begin("Dropout").await;
        body.send_data(prefix(LIMIT as u32), false).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::ResourceExhausted, "it is held");
        // The clients leave.
        calls.shutdown().await;
    });
    beside(&process, BUDGET + BESIDE, attack).await.expect("all but few are refused");
    serves_the_largest_again(&process).await;
}

/// Row 21: calls that are silent for too long are ended.
#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_nothing_follows_are_given_up() {
    let process = start("500ms");
    let address = process.address();
    let attack = tokio::spawn(async move {
        let codes = announce(address).await.join_all().await;
        let silent = codes.iter().filter(|code| **code == Code::DeadlineExceeded).count();
        let refused = codes.iter().filter(|code| **code == Code::ResourceExhausted).count();
        assert!(silent > 1 && silent + refused == ANNOUNCED, "{silent} {refused}");
    });
    beside(&process, BUDGET + BESIDE, attack).await.expect("each is answered");
    serves_the_largest_again(&process).await;
}

/// Waits until the whole budget is free again.
async fn serves_the_largest_again(process: &Process) {
    let message = sized(LIMIT);
    let peer = Peer::connect(process.address()).await;
    let served = async || {
        let (answer, mut body) = peer.begin("Dropout").await;
        // An error means that the call has been refused.
        let _ = body.send_data(message.clone(), true);
        status(answer).await.expect("an answer").code() == Code::Ok
    };
    until("the largest message is served again", served).await;
}

/// How a call with this message ends. Each caller sends only the beginning of its message until some call has been
/// refused, which must happen: there is no room for all of them.
async fn call_beside(peer: &Peer, mut message: Bytes, refusal: &watch::Sender<bool>) -> Code {
    let (answer, mut body) = peer.begin("Dropout").await;
    let mut answer = pin!(status(answer));
    // An error means that the call has been refused; its answer says so.
    let _ = body.send_data(message.split_to(1000), false);
    let mut refused = refusal.subscribe();
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = async { refused.wait_for(|refused| *refused).await.is_ok() } => {
            let _ = body.send_data(message, true);
            answer.await
        }
    };
    let code = answer.expect("an answer").code();
    if code == Code::ResourceExhausted {
        refusal.send_replace(true);
    }
    code
}

/// Row 32: forty callers, every second one with the largest message, of which two are served at a time.
#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_load_takes_no_more_than_the_budget() {
    let process = start("30s");
    let messages = sizes();
    let attack = async {
        let refusal = watch::Sender::new(false);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (message, address) = (messages[caller % 2].clone(), process.address());
                let refusal = refusal.clone();
                tokio::spawn(async move {
                    let peer = Peer::connect(address).await;
                    let (mut served, mut refused) = (0, 0);
                    for _ in 0..5 {
                        let code = call_beside(&peer, message.clone(), &refusal).await;
                        if code == Code::Ok {
                            served += 1;
                        } else {
                            assert_eq!(code, Code::ResourceExhausted);
                            refused += 1;
                        }
                    }
                    (served, refused)
                })
            })
            .collect();
        let (mut served, mut refused) = (0, 0);
        for caller in callers {
            let counts = caller.await.expect("no panic");
            (served, refused) = (served + counts.0, refused + counts.1);
        }
        assert!(served > 0 && refused > 0, "{served} {refused}");
    };
    beside(&process, BUDGET + BESIDE + CALLERS * READ, attack).await;
}

/// A field of a message, with this number and these bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut field).expect("a vector grows");
    [&field, bytes].concat()
}

/// Messages within the limit that take many times their size when they are decoded: tensors of two bytes, numbers of
/// one.
#[tokio::test(flavor = "multi_thread")]
async fn what_messages_become_takes_no_more_than_the_budget() {
    const TENSORS: u8 = 15;
    const PARTIALS: u8 = 14;
    let nothing = |number| field(number, b"").repeat(LIMIT / 2);
    let numbers = vec![1; LIMIT - 20];
    let unknown = b"\x82\x01\x01\x0E";
    let hostile = [
        ("ClipGradients", nothing(TENSORS)),
        ("MeasureGradients", nothing(TENSORS)),
        ("MeasureGradients", nothing(PARTIALS)),
        ("ClipGradients", field(TENSORS, &field(3, &numbers))),
        ("Dropout", field(TENSORS, &field(3, &numbers))),
        ("Normalize", field(2, &numbers)),
        ("Normalize", field(14, &field(3, &numbers))),
        // After an unknown field, whose contents are no protobuf.
        ("ClipGradients", [&unknown[..], &nothing(TENSORS)[8..]].concat()),
        ("MeasureGradients", [&unknown[..], &nothing(TENSORS)[8..]].concat()),
        ("ClipGradients", [&field(14, b"optimizer"), &nothing(TENSORS)[16..]].concat()),
    ];
    for codec_path in [false, true] {
        let mut arguments = vec![
            "--listen=127.0.0.1:0".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--max-message-bytes={LIMIT}"),
            format!("--max-bytes-in-flight={BUDGET}"),
        ];
        arguments.extend(codec_path.then(|| "--codec-path".to_owned()));
        let process = Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let attack = async {
            let peer = Peer::connect(process.address()).await;
            for (method, message) in &hostile {
                let status = peer.call(method, message).await.expect("an answer");
                assert_eq!(status.code(), Code::ResourceExhausted, "{method} {codec_path}: {status:?}");
                assert_eq!(error_info(&status).reason, "MESSAGE_TOO_LARGE", "{method} {codec_path}");
            }
        };
        beside(&process, BUDGET + BESIDE, attack).await;
    }
}
