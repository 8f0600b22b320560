//! Ten times the load that can be served.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use tokio::{sync::Notify, task::JoinSet};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    harness::{Client, connect, dropout, f32s},
    until::{until, within},
};

/// The most calls that may wait.
const QUEUE: usize = 16;
/// The number of callers.
const CALLERS: usize = 80;

fn request() -> pb::DropoutRequest {
    dropout(0.0, f32s(&[1], &[1.0]))
}

/// Holds every call at its checkpoints until the test opens them.
#[derive(Debug, Default)]
struct Gate {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    /// Checkpoints that may be passed.
    open: usize,
    passed: usize,
    /// Calls that are held at a checkpoint.
    held: usize,
}

impl Gate {
    fn hook(self: &Arc<Self>) -> CheckpointHook {
        let gate = Arc::clone(self);
        CheckpointHook::new(move |_| {
            let mut counts = gate.counts();
            counts.held += 1;
            while counts.open == counts.passed {
                counts = gate.changed.wait(counts).unwrap_or_else(PoisonError::into_inner);
            }
            counts.held -= 1;
            counts.passed += 1;
        })
    }

    /// Lets calls pass so many more checkpoints.
    fn open(&self, checkpoints: usize) {
        self.counts().open += checkpoints;
        self.changed.notify_all();
    }

    fn passed(&self) -> usize {
        self.counts().passed
    }

    /// Waits until a call is held.
    async fn holds_one(&self) {
        until("a call is held at a checkpoint", async || self.counts().held > 0).await;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server of one thread behind a gate, some connections to it, and the number of checkpoints of one call.
async fn start() -> (Arc<Gate>, Running, Vec<Client>, usize) {
    let gate = Arc::<Gate>::default();
    let config = ServerConfig {
        threads: 1,
        admission: AdmissionConfig { max_queued: QUEUE, ..Default::default() },
        on_checkpoint: Some(gate.hook()),
        ..ServerConfig::on_free_port()
    };
    let server = Running::start(config).await.expect("the server starts");
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::new(connect(&server).await));
    }
    const ENOUGH: usize = 1000;
    gate.open(ENOUGH);
    clients[0].dropout(request()).await.expect("nothing holds it");
    let of_one = gate.passed();
    assert!((2..ENOUGH).contains(&of_one), "the bridge asks, and the kernel: {of_one}");
    gate.counts().open = of_one;
    (gate, server, clients, of_one)
}

/// Checks that a call was served, or was refused because of the queue; then the error is the delay before the next
/// attempt.
fn served<T>(answer: Result<T, Status>) -> Result<(), std::time::Duration> {
    let Err(status) = answer else { return Ok(()) };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("it has one").metadata["setting"], "max-queued");
    Err(details.retry_info().and_then(|retry| retry.retry_delay).expect("it says when"))
}

/// Row 32: while the only thread is held, as many calls as may wait do so, and every other is refused. The calls that
/// waited are served, and nothing is computed for the others.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused_at_once_and_costs_nothing() {
    let (gate, _server, clients, of_one) = start().await;
    let call = |mut client: Client| async move { served(client.dropout(request()).await) };
    let before = gate.passed();
    let mut calls = JoinSet::new();
    calls.spawn(call(clients[0].clone()));
    // It is on the thread, and takes no place in the queue.
    gate.holds_one().await;
    for client in clients.iter().cycle().take(CALLERS - 1) {
        calls.spawn(call(client.clone()));
    }
    for _ in 0..CALLERS - 1 - QUEUE {
        let answer = within("it is refused", calls.join_next()).await;
        let answer = answer.expect("more were asked").expect("no panic");
        assert!(answer.is_err(), "nothing can be served while the thread is held");
    }
    assert_eq!(gate.passed(), before, "a call is refused before anything is computed");
    gate.open(usize::MAX / 2);
    let rest = within("they are answered", calls.join_all()).await;
    assert_eq!(rest, [Ok(()); QUEUE + 1], "they waited");
    assert_eq!(gate.passed() - before, (QUEUE + 1) * of_one);
}

/// The calls of all callers, by their end.
#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    served: AtomicUsize,
    refused: AtomicUsize,
    changed: Notify,
}

impl Seen {
    /// Waits until so many calls have ended in this way.
    async fn at_least(&self, number: usize, of: fn(&Self) -> &AtomicUsize) {
        loop {
            let changed = self.changed.notified();
            if of(self).load(Ordering::Relaxed) >= number {
                return;
            }
            within("callers go on", changed).await;
        }
    }
}

/// Makes calls again and again; waits after a refusal as long as it says.
async fn call(mut client: Client, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        let answer = served(client.dropout(request()).await);
        if answer.is_ok() { &seen.served } else { &seen.refused }.fetch_add(1, Ordering::Relaxed);
        seen.changed.notify_waiters();
        if let Err(delay) = answer {
            tokio::time::sleep(delay).await;
        }
    }
}

/// Row 32: overload does not reduce the calls that are served. For each call that the thread has time for, nine others
/// are refused, and every checkpoint that the thread passes belongs to a call that is answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_stays_when_ten_times_as_much_is_asked_for() {
    const SERVED: usize = 50;
    let (gate, _server, clients, of_one) = start().await;
    let (seen, before) = (Arc::<Seen>::default(), gate.passed());
    let mut callers = JoinSet::new();
    for client in clients.iter().cycle().take(CALLERS) {
        callers.spawn(call(client.clone(), Arc::clone(&seen)));
    }
    for calls in 1..=SERVED {
        seen.at_least(9 * calls, |seen| &seen.refused).await;
        gate.open(of_one);
        seen.at_least(calls, |seen| &seen.served).await;
        assert_eq!((seen.served.load(Ordering::Relaxed), gate.passed() - before), (calls, calls * of_one));
    }
    seen.stop.store(true, Ordering::Relaxed);
    gate.open(usize::MAX / 2);
    within("callers end", callers.join_all()).await;
    assert_eq!(gate.passed() - before, seen.served.load(Ordering::Relaxed) * of_one, "none was computed in vain");
}
