//! The self-check at start: health waits for it, calls do not, and a wrong bit takes the server out of health.

use std::{
    io::{BufRead as _, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use evenkeel::{
    CheckpointHook,
    config::{SelfCheckConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1::NormKind;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tonic::Streaming;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    harness::{connect, f32s, normalize, start_with},
    metrics::{self, scrape, value},
    process::{Process, run, stderr},
    until::{until, within},
};

const FAILED: &str = "evenkeel_self_check_failed";

fn config(fault: Option<&str>) -> ServerConfig {
    let self_check = SelfCheckConfig { enabled: true, fault: fault.map(str::to_owned) };
    // Its threads give way to no others, so that tests beside this one do not hold it up.
    ServerConfig { self_check, threads: 1, compute_nice: 0, ..metrics::config() }
}

async fn watch(server: &Running) -> Streaming<HealthCheckResponse> {
    let mut health = HealthClient::new(connect(server).await);
    health.watch(HealthCheckRequest::default()).await.expect("the server is known").into_inner()
}

async fn told(watch: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    let next = within("a status", watch.message()).await.expect("the stream is open");
    next.expect("the stream has not ended").status()
}

/// A hook that holds the self-check, and no call, until it is released or stopped.
struct Held {
    hook: CheckpointHook,
    reached: mpsc::UnboundedReceiver<()>,
    stopped: mpsc::UnboundedReceiver<()>,
    release: Arc<AtomicBool>,
}

fn held() -> Held {
    let (at_checkpoint, reached) = mpsc::unbounded_channel();
    let (at_stop, stopped) = mpsc::unbounded_channel();
    let release = Arc::<AtomicBool>::default();
    let is_released = Arc::clone(&release);
    let hook = CheckpointHook::new(move |checkpoint| {
        if !thread::current().name().is_some_and(|name| name.starts_with("self-check")) {
            return;
        }
        // The test may have ended.
        let _ = at_checkpoint.send(());
        while !is_released.load(Ordering::Relaxed) {
            if checkpoint.check().is_err() {
                let _ = at_stop.send(());
                return;
            }
            thread::yield_now();
        }
    });
    Held { hook, reached, stopped, release }
}

#[tokio::test]
async fn health_waits_for_the_self_check_and_calls_do_not() {
    let Held { hook, mut reached, stopped: _stopped, release } = held();
    let (server, mut client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config(None) }).await;
    reached.recv().await.expect("the self-check comes to a checkpoint");
    let mut watch = watch(&server).await;
    assert_eq!(told(&mut watch).await, ServingStatus::NotServing);
    for len in [4_usize, 1 << 20] {
        let request = normalize(NormKind::Layer, f32s(&[1, len as i64], &vec![1.0; len]));
        within("an answer beside the self-check", client.normalize(request)).await.expect("it is right");
    }
    release.store(true, Ordering::Relaxed);
    assert_eq!(told(&mut watch).await, ServingStatus::Serving);
    assert_eq!(value(&scrape(&server).await, FAILED, &[]), 0.0);
}

#[tokio::test]
async fn a_self_check_does_not_delay_the_shutdown() {
    let Held { hook, mut reached, mut stopped, release: _ } = held();
    let (server, _client) = start_with(ServerConfig { on_checkpoint: Some(hook), ..config(None) }).await;
    reached.recv().await.expect("the self-check comes to a checkpoint");
    let mut watch = watch(&server).await;
    assert_eq!(told(&mut watch).await, ServingStatus::NotServing);
    server.shutdown_and_wait().await.expect("nothing is in flight");
    within("the self-check stops", stopped.recv()).await.expect("its threads live until then");
    while let Some(status) = watch.message().await.expect("the stream ends well") {
        assert_eq!(status.status(), ServingStatus::NotServing);
    }
}

#[tokio::test]
async fn a_wrong_bit_keeps_the_server_out_of_health() {
    let (server, mut client) = start_with(config(Some("NormalizeBackward rms bfloat16"))).await;
    let failed = async || value(&scrape(&server).await, FAILED, &[]) == 1.0;
    until("the metric tells of the wrong bit", failed).await;
    let mut health = HealthClient::new(connect(&server).await);
    for service in ["", "evenkeel.v1.TensorOpsService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("the name is known").into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service:?}");
    }
    let request = normalize(NormKind::Layer, f32s(&[2], &[1.0; 2]));
    client.normalize(request).await.expect("calls are answered");
    server.shutdown_and_wait().await.expect("nothing is in flight");
}

/// As operators set it and see it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_health_command_tell_how_it_ended() {
    for (fault, ends, words) in [
        (None, "the self-check has passed", &[" INFO "][..]),
        (
            Some(("EVENKEEL_SELF_CHECK_FAULT", "ClipGradients norm 2 float32")),
            "the self-check has failed: health stays NOT_SERVING",
            &["ERROR", "ClipGradients norm 2 float32, in place, ", "differing=4"],
        ),
    ] {
        let variables: Vec<_> = [("EVENKEEL_SELF_CHECK", "true")].into_iter().chain(fault).collect();
        let mut process = Process::start(&["--listen=127.0.0.1:0", "--compute-nice=0"], &variables);
        let mut log = process.log();
        let mut lines = String::new();
        while !lines.contains(ends) {
            assert_ne!(log.read_line(&mut lines).expect("the log is text"), 0, "the log has ended: {lines}");
        }
        assert!(words.iter().all(|word| lines.contains(word)), "{lines}");
        // The log's line comes first.
        let url = process.url().to_owned();
        let health = move || run(&["health", "--server", &url], &[]);
        let mut output = tokio::task::spawn_blocking(health.clone()).await.expect("no panic");
        if fault.is_none() {
            until("health follows the log", async || {
                output = tokio::task::spawn_blocking(health.clone()).await.expect("no panic");
                output.status.success()
            })
            .await;
        } else {
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains("NOT_SERVING"), "{output:?}");
        }
        assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
        log.read_to_string(&mut lines).expect("the log is text");
    }
}
