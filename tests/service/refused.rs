//! The metric of refused calls, for calls that are refused while their message is read: each is counted once, by its
//! reason, on either path.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::{
    config::{AdmissionConfig, ConnectionConfig, Encoding, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1::NormKind;
use prost::Message as _;
use tonic::{Code, codegen::http::Request};

use crate::{
    compression::flagged,
    harness::{f32s, normalize},
    metrics::{config, scrape, value},
    peer::{Peer, address, framed, prefix, status},
    until::until,
};

/// Makes a call and returns its code.
async fn code(peer: &Peer, method: &str, encoding: &str, frames: Bytes, ends: bool) -> Code {
    let request = Request::post(format!("http://evenkeel/evenkeel.v1.TensorOpsService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(())
        .expect("a request");
    let (answer, mut body) = peer.send(request).await.expect("the connection is open");
    body.send_data(frames, ends).expect("the connection is open");
    status(answer).await.expect("an answer").code()
}

/// How many calls were refused, by their reasons.
async fn refused(server: &Running) -> Vec<(String, f64)> {
    let all = scrape(server).await.into_iter();
    all.filter(|(series, number)| series.starts_with("evenkeel_refused_total") && *number > 0.0).collect()
}

fn by(reason: &str, number: u32) -> Vec<(String, f64)> {
    vec![(format!("evenkeel_refused_total{{reason=\"{reason}\"}}"), f64::from(number))]
}

/// A message whose tensor is computed while it arrives.
fn large() -> Bytes {
    framed(&normalize(NormKind::Layer, f32s(&[300, 1000], &[1.0; 300_000])).encode_to_vec())
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_once() {
    for codec_path in [false, true] {
        let compression = vec![Encoding::Gzip, Encoding::Zstd];
        let server = Running::start(ServerConfig { codec_path, compression, ..config() }).await.expect("it starts");
        let peer = Peer::connect(address(&server)).await;
        let cut_off = large().slice(..600_000);
        let mut calls = 0;
        for (encoding, body) in [
            ("identity", framed(&[0xFF; 10])),
            ("identity", [prefix(100), Bytes::from_static(b"abc")].concat().into()),
            ("identity", cut_off),
            ("identity", flagged(b"abc").into()),
            ("gzip", flagged(b"no gzip at all, and no more").into()),
            ("zstd", flagged(b"no zstd at all, and no more").into()),
        ] {
            for method in ["Normalize", "Dropout", "MeasureGradients"] {
                calls += 1;
                assert_eq!(code(&peer, method, encoding, body.clone(), true).await, Code::Internal, "{method} {calls}");
                assert_eq!(refused(&server).await, by("UNREADABLE", calls), "{method} {calls} {codec_path}");
            }
        }
        assert_eq!(value(&scrape(&server).await, "evenkeel_panics_total", &[]), 0.0);
    }
}

#[tokio::test]
async fn what_does_not_come_or_has_no_room_is_counted_once() {
    for codec_path in [false, true] {
        let connections = ConnectionConfig { body_timeout: Duration::from_millis(100), ..Default::default() };
        let stalls = ServerConfig { connections, ..config() };
        let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
        let full = ServerConfig { max_message_bytes: 2 << 20, admission, ..config() };
        for (settings, why, reason) in
            [(stalls, Code::DeadlineExceeded, "STALLED"), (full, Code::ResourceExhausted, "OVERLOADED")]
        {
            let server = Running::start(ServerConfig { codec_path, ..settings }).await.expect("it starts");
            let peer = Peer::connect(address(&server)).await;
            let mut others = Vec::new();
            if reason == "OVERLOADED" {
                let (answer, mut body) = peer.begin("Dropout").await;
                body.send_data(prefix(2 << 20), false).expect("the connection is open");
                others.push((answer, body));
                // The whole budget has been granted.
                let granted = async || scrape(&server).await["evenkeel_bytes_in_flight"] >= f64::from(4 << 20);
                until("the whole budget is granted", granted).await;
            }
            for (calls, method) in (1..).zip(["Normalize", "Dropout", "MeasureGradients"]) {
                let begins = large().slice(..50_000);
                assert_eq!(code(&peer, method, "identity", begins, false).await, why, "{method} {codec_path}");
                assert_eq!(refused(&server).await, by(reason, calls), "{method} {codec_path}");
            }
        }
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_served_is_counted_once() {
    for codec_path in [false, true] {
        let compression = vec![Encoding::Gzip];
        let server = Running::start(ServerConfig { codec_path, compression, ..config() }).await.expect("it starts");
        let peer = Peer::connect(address(&server)).await;
        let mut calls = 0;
        // The message that is not read would also be wrong; only the encoding is counted.
        for (encoding, body) in [("zstd", flagged(b"abc").into()), ("deflate", large()), ("GZIP", framed(&[0xFF; 10]))]
        {
            for method in ["Normalize", "Dropout", "MeasureGradients"] {
                calls += 1;
                assert_eq!(code(&peer, method, encoding, body.clone(), true).await, Code::Unimplemented, "{method}");
                assert_eq!(refused(&server).await, by("UNKNOWN_ENCODING", calls), "{method} {encoding} {codec_path}");
            }
        }
        // A method that does not exist counts as that, and not as an unknown encoding.
        assert_eq!(code(&peer, "Nothing", "zstd", large(), true).await, Code::Unimplemented);
        assert_eq!(refused(&server).await, by("UNKNOWN_ENCODING", calls), "{codec_path}");
    }
}
