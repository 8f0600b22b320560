//! Row 23: short messages that become very long when they are decompressed.

use std::sync::LazyLock;

use evenkeel::{
    config::{AdmissionConfig, Encoding, ServerConfig},
    server::Running,
};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::{Code, Status, codegen::http::Request};

use super::{BOTH, compress, flagged, name};
use crate::{
    beside::{MIB, beside},
    harness::{dropout, error_info, f32s},
    metrics::scrape,
    peer::{Peer, address, prefix, status},
    process::Process,
    until::until,
};

/// A mebibyte of gzip that becomes 166 MiB: one byte, and then copies of 258 bytes, of 13 bits each.
fn gzip_bomb() -> Vec<u8> {
    let header = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    let begin = "1 10 00110000".chars();
    let again = "11000101 00000".chars().cycle();
    let mut bits = begin.chain(again).filter(|bit| *bit != ' ').map(|bit| u8::from(bit == '1'));
    let mut byte = || (0..8).fold(0, |byte, place| byte | bits.next().expect("it goes on") << place);
    header.into_iter().chain((0..MIB - header.len()).map(|_| byte())).collect()
}

/// 128 KiB of zstd that become 4 GiB: blocks of one byte each, 128 KiB times.
fn zstd_bomb() -> Vec<u8> {
    let [low, middle, high, _] = (0x20000u32 << 3 | 1 << 1).to_le_bytes();
    let begin = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    [&begin[..], &[low, middle, high, 0].repeat(32 << 10)].concat()
}

fn bomb(encoding: Encoding) -> &'static [u8] {
    static BOMBS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [gzip_bomb(), zstd_bomb()]);
    match encoding {
        Encoding::Gzip => &BOMBS[0],
        Encoding::Zstd => &BOMBS[1],
    }
}

/// A call whose message is compressed.
pub(super) async fn call(peer: &Peer, method: &str, encoding: Encoding, message: &[u8]) -> Status {
    let request = Request::post(format!("http://evenkeel/evenkeel.v1.TensorOpsService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", name(encoding))
        .body(())
        .expect("a request");
    let (answer, mut body) = peer.send(request).await.expect("the connection is open");
    // An error means that the call has been answered already.
    let _ = body.send_data(flagged(message).into(), true);
    status(answer).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_takes_no_more_than_the_largest_message() {
    const LIMIT: usize = 8 * MIB;
    const BUDGET: usize = 4 * LIMIT;
    /// Windows of HTTP/2 and of codecs, buffers, stacks, and what the allocator keeps.
    const BESIDE: usize = 96 * MIB;
    for codec_path in [false, true] {
        let mut arguments = vec![
            "--listen=127.0.0.1:0".to_owned(),
            "--log-level=warn".to_owned(),
            "--compression=gzip,zstd".to_owned(),
            format!("--max-message-bytes={LIMIT}"),
            format!("--max-bytes-in-flight={BUDGET}"),
        ];
        arguments.extend(codec_path.then(|| "--codec-path".to_owned()));
        let process = Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let address = process.address();
        let attack = async move {
            let mut bombs = JoinSet::new();
            for index in 0..12 {
                let encoding = BOTH[index % 2];
                bombs.spawn(async move {
                    let peer = Peer::connect(address).await;
                    for method in ["Normalize", "Dropout", "ClipGradients", "MeasureGradients"] {
                        let status = call(&peer, method, encoding, bomb(encoding)).await;
                        assert_eq!(status.code(), Code::ResourceExhausted, "{method} {encoding:?}: {status:?}");
                        // Beside other calls, the budget may be used up before the limit is reached; not so
                        // below, where the call is alone.
                        let reason = error_info(&status).reason;
                        assert!(["MESSAGE_TOO_LARGE", "OVERLOADED"].contains(&reason.as_str()), "{reason}");
                    }
                });
            }
            bombs.join_all().await;
        };
        // Usually it is 47 MiB.
        beside(&process, BUDGET + BESIDE, attack).await;

        let peer = Peer::connect(process.address()).await;
        let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
        assert_eq!(peer.call("Dropout", &message).await.expect("an answer").code(), Code::Ok);
        for encoding in BOTH {
            let alone = call(&peer, "Dropout", encoding, bomb(encoding)).await;
            assert_eq!(error_info(&alone).reason, "MESSAGE_TOO_LARGE", "{encoding:?}");
        }
    }
}

/// A server of this process with these limits.
async fn start(max_message_bytes: usize, budget: usize) -> Running {
    let config = ServerConfig {
        max_message_bytes,
        admission: AdmissionConfig { max_bytes_in_flight: Some(budget), ..Default::default() },
        compression: BOTH.to_vec(),
        metrics_listen: Some(([127, 0, 0, 1], 0).into()),
        ..ServerConfig::on_free_port()
    };
    Running::start(config).await.expect("the server starts")
}

/// The decompressed bytes are reserved from the budget as they grow, and given back.
#[tokio::test]
async fn what_a_message_becomes_counts() {
    const LIMIT: usize = 16 * MIB;
    let server = start(LIMIT, 2 * LIMIT).await;
    // Some 14 MiB: alone, it fits into the budget.
    let elements = (14 << 20) / 4;
    let large = dropout(0.0, f32s(&[elements], &vec![1.0; elements as usize])).encode_to_vec();
    let peer = Peer::connect(address(&server)).await;
    let in_flight = async || scrape(&server).await["evenkeel_bytes_in_flight"];
    for encoding in BOTH {
        let packed = compress(encoding, &large);
        assert!(packed.len() < MIB);
        assert_eq!(call(&peer, "Dropout", encoding, &packed).await.code(), Code::Ok, "{encoding:?}");

        let (held, mut body) = peer.begin("Dropout").await;
        body.send_data(prefix(8 << 20), false).expect("the connection is open");
        until("the announced message is in the budget", async || in_flight().await >= (16 << 20) as f64).await;
        let refused = call(&peer, "Dropout", encoding, &packed).await;
        assert_eq!(error_info(&refused).reason, "OVERLOADED", "{encoding:?}");
        let small = compress(encoding, &dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
        assert_eq!(call(&peer, "Dropout", encoding, &small).await.code(), Code::Ok, "{encoding:?}");
        drop(body);
        drop(held);
        until("the budget is given back", async || in_flight().await == 0.0).await;
    }
}

/// A message that is still small after it is decompressed is served from the part of the budget that is kept for small
/// calls.
#[tokio::test]
async fn a_small_message_is_small_while_it_is_decompressed() {
    const LIMIT: usize = 4 * MIB;
    const BUDGET: usize = 5 * LIMIT;
    const LARGE: usize = BUDGET / 16 * 15;
    let server = start(LIMIT, BUDGET).await;
    let peer = Peer::connect(address(&server)).await;
    let mut held = Vec::new();
    for length in [LIMIT, LIMIT, LARGE / 2 - 2 * LIMIT] {
        let (answer, mut body) = peer.begin("Dropout").await;
        let length = u32::try_from(length).expect("it is small");
        body.send_data(prefix(length), false).expect("the connection is open");
        held.push((answer, body));
    }
    let held_by_large = async || scrape(&server).await["evenkeel_bytes_in_flight"] >= LARGE as f64;
    until("the announced messages are in the budget", held_by_large).await;
    for elements in [1, 16_000] {
        let small = dropout(0.0, f32s(&[elements], &vec![1.0; elements as usize])).encode_to_vec();
        for encoding in BOTH {
            let answer = call(&peer, "Dropout", encoding, &compress(encoding, &small)).await;
            assert_eq!(answer.code(), Code::Ok, "{encoding:?} {elements}: {answer:?}");
        }
    }
}
