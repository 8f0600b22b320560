//! Deadlines: the server's own answer, which a client never sees that ends the call itself when its time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use evenkeel::{CheckpointHook, config::ServerConfig, server::Running};
use evenkeel_proto::v1::{self as pb, tensor_ops_service_client::TensorOpsServiceClient};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use tonic::{Code, Request, body::Body};

use crate::{
    harness::{dropout, f32s, refusal, refused_fields},
    until::{until, within},
};

/// A client that sends `grpc-timeout` and waits for the answer without a timeout of its own, which tonic's transport
/// has.
pub(crate) fn without_a_clock(server: &Running) -> TensorOpsServiceClient<Http<HttpConnector, Body>> {
    let http = Http::builder(TokioExecutor::new()).http2_only(true).build_http();
    TensorOpsServiceClient::with_origin(http, server.url().parse().expect("the URL is one"))
}

fn with_timeout(timeout: &str) -> Request<pb::DropoutRequest> {
    let mut request = Request::new(dropout(0.0, f32s(&[1], &[3.0])));
    request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("a header's value"));
    request
}

#[tokio::test]
async fn a_call_out_of_time_is_answered_by_the_book_and_stopped() {
    let (hold, stopped) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (held, stops) = (Arc::clone(&hold), Arc::clone(&stopped));
    // Computes until the call is cancelled.
    let hook = CheckpointHook::new(move |checkpoint| {
        while held.load(Ordering::Relaxed) {
            if checkpoint.check().is_err() {
                stops.fetch_add(1, Ordering::Relaxed);
                return;
            }
            thread::yield_now();
        }
    });
    let config = ServerConfig { on_checkpoint: Some(hook), threads: 1, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let mut client = without_a_clock(&server);

    let first = within("the answer of a call out of time", client.dropout(with_timeout("1S"))).await;
    let status = refusal(first, Code::DeadlineExceeded);
    assert_eq!(status.message(), "the deadline of the call has passed");
    until("the computation has stopped", async || stopped.load(Ordering::Relaxed) == 1).await;
    hold.store(false, Ordering::Relaxed);
    client.dropout(with_timeout("1H")).await.expect("in time");
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_is_answered() {
    let server = Running::start(ServerConfig::on_free_port()).await.expect("the server starts");
    // A deadline that passes before the computation starts counts too, also for a tiny call.
    for timeout in ["0n", "1n"] {
        refusal(without_a_clock(&server).dropout(with_timeout(timeout)).await, Code::DeadlineExceeded);
    }
}

/// A `grpc-timeout` that cannot be read is refused; it is not treated as no deadline.
#[tokio::test]
async fn what_is_no_timeout_is_refused() {
    let server = Running::start(ServerConfig::on_free_port()).await.expect("the server starts");
    for text in ["5", "soon", "123456789S", "-1S", "S", "1e3S", ""] {
        let refused = refused_fields(without_a_clock(&server).dropout(with_timeout(text)).await);
        assert_eq!(refused, ["grpc-timeout"], "{text}");
    }
}
