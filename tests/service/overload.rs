//! Ten times the load that can be served.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ServerConfig},
};
use evenkeel_proto::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{Client, connect, dropout, f32s, start_with};

/// What a step of a call takes of its thread, but not of the processor, which the callers share.
const WORK: Duration = Duration::from_millis(8);
/// How many calls wait at most.
const QUEUE: usize = 16;
/// As many as keep the thread busy.
const FEW: usize = 12;
/// With the delay of a tenth of a second that they are told to wait, they offer ten times what is served.
const MANY: usize = 80;

fn request() -> pb::DropoutRequest {
    dropout(0.0, f32s(&[1], &[1.0]))
}

/// What happens to calls.
#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    served: AtomicUsize,
    refused: AtomicUsize,
    /// How long each served call took, and each refused one.
    took: Mutex<[Vec<Duration>; 2]>,
}

impl Counts {
    fn took(&self, began: Instant, was_refused: bool) {
        let took = began.elapsed();
        self.took.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(was_refused)].push(took);
    }
}

/// What happened each second, and how long it took.
struct Rates {
    served: f64,
    refused: f64,
    /// What 19 of 20 served calls took at most, and half of the refused ones.
    latency: Duration,
    refusal: Duration,
}

/// The duration that this part of all of them took at most.
fn quantile(took: &mut [Duration], part: f64) -> Duration {
    took.sort_unstable();
    took.get((took.len() as f64 * part) as usize).copied().unwrap_or_default()
}

/// Calls again and again; when it is refused, it waits as long as it is told to.
async fn call(mut client: Client, counts: Arc<Counts>) {
    while !counts.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.dropout(request()).await;
        counts.took(began, answer.is_err());
        match answer {
            Ok(_) => {
                counts.served.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                let details = status.get_error_details();
                assert_eq!(details.error_info().expect("it has one").metadata["setting"], "max-queued");
                counts.refused.fetch_add(1, Ordering::Relaxed);
                let delay = details.retry_info().and_then(|retry| retry.retry_delay).expect("it says when");
                tokio::time::sleep(delay).await;
            }
        }
    }
}

/// What happens with so many callers.
async fn rates(clients: &[Client], callers: usize) -> Rates {
    let counts = Arc::<Counts>::default();
    let clients = clients.iter().cycle().take(callers);
    let tasks: Vec<_> = clients.map(|client| tokio::spawn(call(client.clone(), Arc::clone(&counts)))).collect();
    // Until the load is there.
    while counts.served.load(Ordering::Relaxed) < 20 {
        tokio::task::yield_now().await;
    }
    let read = || (counts.served.load(Ordering::Relaxed), counts.refused.load(Ordering::Relaxed));
    let (began, before) = (Instant::now(), read());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (seconds, after) = (began.elapsed().as_secs_f64(), read());
    counts.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no call fails otherwise");
    }
    let [served, refused] = &mut *counts.took.lock().unwrap_or_else(PoisonError::into_inner);
    Rates {
        served: (after.0 - before.0) as f64 / seconds,
        refused: (after.1 - before.1) as f64 / seconds,
        latency: quantile(served, 0.95),
        refusal: quantile(refused, 0.5),
    }
}

/// Row 32: goodput stays, what is served takes no longer than the queue is long, and what is refused is so at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_stays_when_ten_times_as_much_is_asked_for() {
    #[expect(clippy::disallowed_methods, reason = "it stands for work on a thread that is there to be held")]
    let hook = CheckpointHook::new(|_| thread::sleep(WORK));
    let config = ServerConfig {
        threads: 1,
        admission: AdmissionConfig { max_queued: QUEUE, ..Default::default() },
        on_checkpoint: Some(hook),
        ..ServerConfig::on_free_port()
    };
    let (server, client) = start_with(config).await;
    let mut clients = vec![client];
    for _ in 0..3 {
        clients.push(Client::new(connect(&server).await));
    }
    let mut best: f64 = 0.0;
    // The machine may have something else to do for a while; what is promised is seen in one of a few rounds.
    for _ in 0..4 {
        let Rates { served: peak, refused, .. } = rates(&clients, FEW).await;
        assert!(refused < 1.0, "{refused}: all of them fit into the queue");
        let Rates { served: goodput, refused, latency, refusal } = rates(&clients, MANY).await;
        let offered = (goodput + refused) / peak;
        assert!(refused > 0.0, "too few callers");
        best = best.max(goodput / peak);
        // A call waits for those before it, and then for itself; half as long again is for a machine that does more.
        let keeps = latency.as_secs_f64() < 1.5 * (QUEUE + 1) as f64 / peak;
        let at_once = refusal < latency / 4;
        if goodput > 0.9 * peak && offered >= 10.0 && keeps && at_once {
            return;
        }
        eprintln!("peak {peak:.0}, served {goodput:.0}, offered {offered:.1} times as much, {latency:?} {refusal:?}");
    }
    panic!("at best {best:.2} of the peak, or calls took too long");
}
