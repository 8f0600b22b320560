//! The budget for what calls hold: what is above it is refused at once, and all of it comes back, however a call ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
use prost::Message as _;
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::{
    harness::{Client, connect, dropout, error_info, f32s},
    peer::{Peer, address, framed, prefix, status},
    until::{until, until_some, within},
};

const LIMIT: usize = 1 << 16;

/// Room for one of the largest calls.
fn tight() -> ServerConfig {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(2 * LIMIT), ..Default::default() };
    ServerConfig { max_message_bytes: LIMIT, admission, ..ServerConfig::on_free_port() }
}

async fn serve(config: ServerConfig) -> Running {
    Running::start(config).await.expect("the server starts")
}

/// More than what the largest call leaves of the budget.
fn medium() -> Vec<u8> {
    dropout(0.0, f32s(&[250], &[1.0; 250])).encode_to_vec()
}

/// Nearly as large as a message may be: it needs the whole budget.
fn large() -> Vec<u8> {
    let elements = (LIMIT - 100) / 4;
    let message = dropout(0.0, f32s(&[elements as i64], &vec![1.0; elements])).encode_to_vec();
    assert!((LIMIT - 100..=LIMIT).contains(&message.len()));
    message
}

#[track_caller]
fn is_overloaded(status: &Status, setting: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = error_info(status);
    assert_eq!((info.reason.as_str(), info.metadata["setting"].as_str()), ("OVERLOADED", setting));
    let retry = status.get_error_details().retry_info().expect("it says when to come again").retry_delay;
    assert!(retry.is_some_and(|delay| (1..=1000).contains(&delay.as_millis())), "{retry:?}");
}

/// Calls again until the whole budget is free; an answer other than OK or "overloaded" is a failure.
async fn served_again(server: &Running) {
    let peer = Peer::connect(address(server)).await;
    let served = async || {
        let status = peer.call("Dropout", &large()).await.expect("an answer");
        let served = status.code() == Code::Ok;
        if !served {
            is_overloaded(&status, "max-bytes-in-flight");
        }
        served
    };
    until("the budget is back", served).await;
}

/// Row 32: a call is refused when its length prefix is read, before its message arrives: on the direct path and on the
/// codec path, for every method.
#[tokio::test]
async fn a_call_that_is_too_much_is_refused_at_once() {
    for codec_path in [false, true] {
        let server = serve(ServerConfig { codec_path, ..tight() }).await;
        let holder = Peer::connect(address(&server)).await;
        let (answer, mut body) = holder.begin("Dropout").await;
        let whole = framed(&large());
        body.send_data(whole.slice(..5), false).expect("the connection is open");
        let peer = Peer::connect(address(&server)).await;
        // The first of these calls may be served, while the server has not yet read the prefix of the holder.
        let refused = async || {
            let status = peer.call("Dropout", &medium()).await.expect("an answer");
            Some(status).filter(|status| status.code() != Code::Ok)
        };
        let refused = until_some("a call beside the announced one is refused", refused).await;
        is_overloaded(&refused, "max-bytes-in-flight");
        for method in
            ["Normalize", "NormalizeBackward", "Dropout", "DropoutBackward", "ClipGradients", "MeasureGradients"]
        {
            // The prefix is enough; the message never comes.
            let (answer, mut body) = peer.begin(method).await;
            body.send_data(prefix(1000), false).expect("the connection is open");
            is_overloaded(&status(answer).await.expect("an answer"), "max-bytes-in-flight");
        }
        // A message above the limit is refused as too large and not as overloaded: no later attempt would succeed.
        let (too_large, mut rest) = peer.begin("Dropout").await;
        rest.send_data(prefix(u32::MAX), false).expect("the connection is open");
        assert_eq!(error_info(&status(too_large).await.expect("an answer")).reason, "MESSAGE_TOO_LARGE");
        let health = HealthClient::new(connect(&server).await).check(HealthCheckRequest::default()).await;
        assert_eq!(health.expect("health is always answered").into_inner().status, 1);

        body.send_data(whole.slice(5..), true).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
        served_again(&server).await;
    }
}

#[tokio::test]
async fn the_budget_comes_back_however_a_call_ends() {
    let panics = Arc::new(AtomicBool::new(false));
    let panic = Arc::clone(&panics);
    let hook = CheckpointHook::new(move |_| assert!(!panic.load(Ordering::Relaxed), "on purpose"));
    // Long enough for a message to arrive, also on a busy machine.
    let connections = ConnectionConfig { body_timeout: Duration::from_secs(1), ..Default::default() };
    let server = serve(ServerConfig { on_checkpoint: Some(hook), connections, ..tight() }).await;
    let whole = framed(&large());

    // Reset before the message is whole, and with its connection.
    for end in [5, 20, 40_000] {
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin("Dropout").await;
        body.send_data(whole.slice(..end), false).expect("the connection is open");
        if end == 20 {
            peer.connection.abort();
        } else {
            body.send_reset(h2::Reason::CANCEL);
        }
        drop(answer);
        served_again(&server).await;
    }
    // Silent, out of time, malformed, wrong, too large, ended within the message.
    let peer = Peer::connect(address(&server)).await;
    let wrong = pb::DropoutRequest { p: Some(2.0), ..pb::DropoutRequest::decode(&large()[..]).expect("it is one") };
    for (bytes, ended, code) in [
        (whole.slice(..5), false, Code::DeadlineExceeded),
        (framed(&[0xFF; LIMIT]), true, Code::Internal),
        (framed(&wrong.encode_to_vec()), true, Code::InvalidArgument),
        (prefix(u32::MAX), false, Code::ResourceExhausted),
        (whole.slice(..1000), true, Code::Internal),
    ] {
        let (answer, mut body) = peer.begin("Dropout").await;
        body.send_data(bytes, ended).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), code);
        served_again(&server).await;
    }
    let mut client = Client::new(connect(&server).await);
    let mut request = Request::new(pb::DropoutRequest::decode(&large()[..]).expect("it is one"));
    request.metadata_mut().insert("grpc-timeout", "0n".parse().expect("a header's value"));
    client.dropout(request).await.expect_err("it is out of time");
    served_again(&server).await;
    // A panic.
    panics.store(true, Ordering::Relaxed);
    assert_eq!(peer.call("Dropout", &large()).await.expect("an answer").code(), Code::Internal);
    panics.store(false, Ordering::Relaxed);
    served_again(&server).await;
    // An answer that the client does not read, and one whose stream the client resets.
    for waits in [true, false] {
        let mut settings = h2::client::Builder::new();
        settings.initial_window_size(0);
        let peer = Peer::with(&settings, address(&server)).await;
        let (answer, mut body) = peer.begin("Dropout").await;
        body.send_data(whole.clone(), true).expect("the connection is open");
        let mut answer = answer.await.expect("headers come").into_body();
        if waits {
            within("the stream is reset", answer.data())
                .await
                .expect("an error")
                .expect_err("the server does not wait for ever");
        }
        drop((answer, peer));
        served_again(&server).await;
    }
}

/// Each message of a stream is counted only while it is read and measured: together the messages of a call may be
/// larger than the budget.
#[tokio::test]
async fn a_stream_may_be_longer_than_the_budget() {
    let server = serve(tight()).await;
    let elements = (LIMIT - 100) / 4;
    let message = pb::MeasureGradientsRequest {
        gradients: vec![f32s(&[elements as i64], &vec![1.0; elements])],
        ..Default::default()
    }
    .encode_to_vec();
    let peer = Peer::connect(address(&server)).await;
    let (answer, mut body) = peer.begin("MeasureGradients").await;
    for _ in 0..20 {
        body.send_data(framed(&message), false).expect("the connection is open");
    }
    body.send_data(Bytes::new(), true).expect("the connection is open");
    assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    served_again(&server).await;
}
