//! Calls that are given up while a job still has their message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use evenkeel::{CheckpointHook, config::ServerConfig, server::Running};
use evenkeel_proto::v1 as pb;
use evenkeel_testing::streamed::Call;
use pb::{ClipMode, NormKind};
use prost::Message as _;
use tonic::{Code, codegen::http::HeaderValue};

use crate::{
    harness::{clip, dropout, f32s, normalize},
    metrics::scrape,
    peer::{Peer, address, framed, request, status},
    requests::{calls, tensor},
    until::until,
};

/// A job that waits for a thread, or has not come to a checkpoint, outlives its call. Its message stays in the budget as long.
#[tokio::test]
async fn a_call_that_is_given_up_keeps_its_memory_until_its_job_has_ended() {
    const ELEMENTS: usize = 500_000;
    let hold = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&hold);
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let hook = CheckpointHook::new(move |_| {
        begins.store(true, Ordering::Relaxed);
        while held.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    });
    let metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let config = ServerConfig { on_checkpoint: Some(hook), threads: 1, metrics_listen, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let tensor = || tensor(ELEMENTS);
    let measured = pb::MeasureGradientsRequest { gradients: vec![tensor()], ..Default::default() };
    let part = pb::measure_statistics_request::Part::Header(normalize(NormKind::Batch, tensor()));
    let statistics = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
    let weighted = pb::NormalizeRequest {
        weight: Some(f32s(&[ELEMENTS as i64], &[1.5; ELEMENTS])),
        ..normalize(NormKind::Layer, f32s(&[1, ELEMENTS as i64], &[1.5; ELEMENTS]))
    };
    let streamed = |call: Call| {
        let (method, messages) = call.streamed(&[4 * ELEMENTS]);
        (method, messages.iter().flat_map(|message| framed(message)).collect())
    };
    let others = [
        ("MeasureGradients", framed(&measured.encode_to_vec())),
        ("MeasureGradientsUnary", framed(&measured.encode_to_vec())),
        ("MeasureStatistics", framed(&statistics.encode_to_vec())),
        ("MeasureStatisticsUnary", framed(&statistics.encode_to_vec())),
        streamed(Call::Normalize(Box::new(weighted))),
        streamed(Call::Dropout(dropout(0.5, tensor()))),
        streamed(Call::Clip(clip(ClipMode::Norm, 1.0, vec![tensor()]))),
    ];
    let calls = calls(ELEMENTS).into_iter().map(|(method, message)| (method, framed(&message)));
    for (method, messages) in calls.chain(others) {
        // On a busy machine a short deadline passes before the message has come, and no job has it.
        let mut timeout = 100;
        loop {
            begun.store(false, Ordering::Relaxed);
            hold.store(true, Ordering::Relaxed);
            let peer = Peer::connect(address(&server)).await;
            let mut request = request(method);
            let deadline = HeaderValue::try_from(format!("{timeout}m")).expect("a deadline");
            request.headers_mut().insert("grpc-timeout", deadline);
            let (answer, mut body) = peer.send(request).await.expect("the connection is open");
            body.send_data(messages.clone(), true).expect("the connection is open");
            assert_eq!(status(answer).await.expect("an answer").code(), Code::DeadlineExceeded, "{method}");
            let has_job = begun.load(Ordering::Relaxed);
            if has_job {
                // Other calls have a turn: nothing of this one is given back meanwhile.
                for _ in 0..3 {
                    let bytes = scrape(&server).await["evenkeel_bytes_in_flight"];
                    assert!(bytes >= 4.0 * ELEMENTS as f64, "{method}: {bytes}");
                }
            }
            hold.store(false, Ordering::Relaxed);
            until("the memory is given back", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
            if has_job {
                break;
            }
            timeout *= 4;
            assert!(timeout < 30_000, "{method}: its job never begins");
        }
    }
}
