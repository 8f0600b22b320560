//! Clients that stop in the middle of a call.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::{
    config::{ConnectionConfig, ServerConfig},
    server::Running,
};
use prost::Message as _;
use tonic::Code;

use crate::{
    harness::{dropout, f32s, normalize},
    peer::{Peer, address, framed, prefix, status},
    tensor_streams::begun_streams,
    until::within,
};

const METHODS: [&str; 9] = [
    "Normalize",
    "NormalizeBackward",
    "Dropout",
    "DropoutBackward",
    "ClipGradients",
    "MeasureGradients",
    "MeasureStatistics",
    "MeasureGradientsUnary",
    "MeasureStatisticsUnary",
];

async fn server(body_timeout: Duration, codec_path: bool) -> Running {
    let connections = ConnectionConfig { body_timeout, ..Default::default() };
    Running::start(ServerConfig { codec_path, connections, ..ServerConfig::on_free_port() }).await.expect("it starts")
}

/// Rows 21 and 34: the client sends nothing at all, a part of the prefix, the prefix alone, the beginning of a message,
/// or the beginning of a message whose tensor is computed while it arrives.
#[tokio::test]
async fn a_call_whose_client_falls_silent_is_answered() {
    let large =
        framed(&normalize(evenkeel_proto::v1::NormKind::Layer, f32s(&[300, 1000], &[1.0; 300_000])).encode_to_vec());
    for codec_path in [false, true] {
        let server = server(Duration::from_millis(100), codec_path).await;
        let peer = Peer::connect(address(&server)).await;
        for method in METHODS {
            for begins in
                [Bytes::new(), Bytes::from_static(&[0, 0]), prefix(1 << 20), large.slice(..20), large.slice(..50_000)]
            {
                let (answer, mut body) = peer.begin(method).await;
                let sent = begins.len();
                body.send_data(begins, false).expect("the connection is open");
                let status = status(answer).await.expect("an answer");
                assert_eq!(status.code(), Code::DeadlineExceeded, "{method} after {sent} bytes: {status:?}");
            }
        }
        // The connection can still be used.
        let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
        assert_eq!(peer.call("Dropout", &message).await.expect("an answer").code(), Code::Ok);
    }
}

/// Row 22: single bytes do not extend the timeout.
#[tokio::test]
async fn a_call_whose_client_sends_byte_after_byte_is_answered() {
    let server = server(Duration::from_millis(300), false).await;
    let peer = Peer::connect(address(&server)).await;
    let unary = ["Normalize", "Dropout", "MeasureGradients"].map(|method| (method, prefix(1 << 20)));
    for (method, begins) in unary.into_iter().chain(begun_streams()) {
        let (answer, mut body) = peer.begin(method).await;
        let answer = status(answer);
        tokio::pin!(answer);
        body.send_data(begins, false).expect("the connection is open");
        let status = loop {
            tokio::select! {
                status = &mut answer => break status.expect("an answer"),
                // This pause between bytes is what is tested.
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    // An error means that the call has ended; its answer says how.
                    let _ = body.send_data(Bytes::from_static(&[0]), false);
                }
            }
        };
        assert_eq!(status.code(), Code::DeadlineExceeded, "{method}: {status:?}");
    }
}

/// An answer that the client does not take is dropped, and its stream is reset.
#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_call() {
    let server = server(Duration::from_millis(100), false).await;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(0);
    let peer = Peer::with(&settings, address(&server)).await;
    for (method, message) in [
        ("Dropout", dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec()),
        ("Dropout", dropout(0.0, f32s(&[100_000], &[1.0; 100_000])).encode_to_vec()),
    ] {
        let (answer, mut body) = peer.begin(method).await;
        body.send_data(framed(&message), true).expect("the connection is open");
        let mut answer = answer.await.expect("headers are not subject to the window").into_body();
        let error = within("the stream is reset", answer.data())
            .await
            .expect("the answer has data")
            .expect_err("none of it can be sent");
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{error:?}");
    }
    let reads = Peer::connect(address(&server)).await;
    let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    assert_eq!(reads.call("Dropout", &message).await.expect("an answer").code(), Code::Ok);
}
