//! Panics and clients that leave: one call ends, the server serves on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use evenkeel::{CheckpointHook, config::ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, NormKind};
use tokio::sync::mpsc;
use tonic::Code;

use crate::{
    harness::{clip, dropout, f32s, normalize, refusal, start_with},
    until::within,
};

/// The first checkpoint of a kernel: the bridge passes one before it starts the operation.
const FIRST_OF_THE_KERNEL: usize = 2;
/// The most checkpoints that a call with one element passes.
const TINY: usize = 3;

/// Row 33: in every operation, and inside the kernel rather than around it.
#[tokio::test]
async fn a_panic_in_a_kernel_fails_one_call_and_leaks_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let hook = CheckpointHook::new(move |_| {
        let check = count.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(check != FIRST_OF_THE_KERNEL, "a secret of the server");
    });
    let config = ServerConfig { on_checkpoint: Some(hook), threads: 2, ..ServerConfig::on_free_port() };
    let (_server, mut client) = start_with(config).await;
    let input = || f32s(&[2, 4], &[1.0; 8]);

    for operation in 0..6 {
        // The same call twice: the first panics, the second is answered.
        for panics in [true, false] {
            if panics {
                asked.store(0, Ordering::Relaxed);
            }
            let answer = match operation {
                0 => client.normalize(normalize(NormKind::Layer, input())).await.map(drop),
                1 => {
                    let request = pb::NormalizeBackwardRequest {
                        kind: NormKind::Layer.into(),
                        input: Some(input()),
                        grad_output: Some(input()),
                        ..Default::default()
                    };
                    client.normalize_backward(request).await.map(drop)
                }
                2 => client.dropout(dropout(0.5, input())).await.map(drop),
                3 => {
                    let request =
                        pb::DropoutBackwardRequest { p: Some(0.5), grad_output: Some(input()), ..Default::default() };
                    client.dropout_backward(request).await.map(drop)
                }
                4 => client.clip_gradients(clip(ClipMode::Norm, 1.0, vec![input()])).await.map(drop),
                _ => {
                    let message = pb::MeasureGradientsRequest { gradients: vec![input()], ..Default::default() };
                    client.measure_gradients(tokio_stream::once(message)).await.map(drop)
                }
            };
            if panics {
                let status = refusal(answer, Code::Internal);
                assert!(!status.message().contains("secret"), "{status:?}");
                assert!(status.details().is_empty(), "{status:?}");
            } else {
                answer.unwrap_or_else(|status| panic!("operation {operation} after a panic: {status:?}"));
            }
        }
    }
}

/// Row 27: the client leaves while the kernel is at a checkpoint.
#[tokio::test]
async fn a_kernel_stops_when_its_client_has_left() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (at_checkpoint, mut reached) = mpsc::unbounded_channel();
    let hold = Arc::new(AtomicUsize::new(usize::MAX));
    let hold_at = Arc::clone(&hold);
    let hook = CheckpointHook::new(move |checkpoint| {
        let check = count.fetch_add(1, Ordering::Relaxed) + 1;
        if check == hold_at.load(Ordering::Relaxed) {
            at_checkpoint.send(()).expect("the test waits");
            while checkpoint.check().is_ok() {
                thread::yield_now();
            }
        }
    });
    // There is one thread: the next call is answered only when the abandoned one has left the pool.
    let config = ServerConfig { on_checkpoint: Some(hook), threads: 1, ..ServerConfig::on_free_port() };
    let (_server, mut client) = start_with(config).await;
    let request = || dropout(0.5, f32s(&[1 << 20], &vec![1.0; 1 << 20]));

    client.dropout(request()).await.expect("nothing holds the call");
    let whole = asked.swap(0, Ordering::Relaxed);
    assert!(whole > 10, "the call must have many checkpoints to be stopped at: {whole}");

    hold.store(FIRST_OF_THE_KERNEL, Ordering::Relaxed);
    let mut leaving = client.clone();
    let call = tokio::spawn(async move { leaving.dropout(request()).await });
    reached.recv().await.expect("the kernel comes to its checkpoint");
    call.abort();
    assert!(call.await.expect_err("the call was dropped").is_cancelled());

    let next = client.dropout(dropout(0.0, f32s(&[1], &[3.0])));
    let answer = within("the thread is free again", next).await.expect("nothing holds the call");
    assert_eq!(answer.into_inner().kept, 1);
    let stopped = asked.load(Ordering::Relaxed);
    // The checkpoint that held the call, one more at most, and those of the tiny call: nothing more was computed after
    // the client left.
    assert!(stopped <= FIRST_OF_THE_KERNEL + 1 + TINY, "{stopped} checks of both, {whole} of a whole call");
}
