//! The self-check of a server at its start: on threads of its own, while calls are answered.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use evenkeel_kernels::{Cancelled, Checkpoint};
use tokio::sync::oneshot;

use super::health::Unchecked;
use crate::{
    checkpoint_hook::CheckpointHook,
    config::ServerConfig,
    metrics::Metrics,
    self_check::{self, Outcome, Places},
};

/// The most differences that the log has lines of.
const MOST_LINES: usize = 10;

/// The self-check of a server that has just begun to listen.
pub(super) struct SelfCheck {
    nice: u8,
    fault: Option<String>,
    hook: Option<CheckpointHook>,
    metrics: Arc<Metrics>,
    health: Unchecked,
}

/// The reason why there is no outcome.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot start the thread of the self-check: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Check(#[from] self_check::Error),
    #[error("the thread of the self-check has ended without an outcome")]
    Gone(#[from] oneshot::error::RecvError),
}

impl SelfCheck {
    pub(super) fn of(config: &ServerConfig, metrics: &Arc<Metrics>, health: Unchecked) -> Self {
        Self {
            nice: config.compute_nice,
            fault: config.self_check.fault.clone(),
            hook: config.on_checkpoint.clone(),
            metrics: Arc::clone(metrics),
            health,
        }
    }

    /// Computes and compares; then the health is SERVING, or the log, the metric and the health tell what is wrong.
    /// Dropping the future stops the computation.
    pub(super) async fn run(self) {
        let Self { nice, fault, hook, metrics, health } = self;
        let begun = Instant::now();
        let outcome = computed(nice, fault, hook).await;
        let elapsed_ms = begun.elapsed().as_millis() as u64;
        match outcome {
            Ok(Outcome { compared, differences }) if differences.is_empty() => {
                tracing::info!(compared, elapsed_ms, "the self-check has passed");
                health.passed();
            }
            Ok(Outcome { compared, differences }) => {
                metrics.self_check_failed.store(true, Ordering::Relaxed);
                for difference in differences.iter().take(MOST_LINES) {
                    tracing::error!(%difference, "a result of the self-check differs");
                }
                let differing = differences.len();
                tracing::error!(compared, differing, elapsed_ms, "the self-check has failed: health stays NOT_SERVING");
            }
            Err(error) => {
                metrics.self_check_failed.store(true, Ordering::Relaxed);
                tracing::error!(%error, "the self-check did not run: health stays NOT_SERVING");
            }
        }
    }
}

/// The outcome, from a thread of its own.
async fn computed(nice: u8, fault: Option<String>, hook: Option<CheckpointHook>) -> Result<Outcome, Error> {
    let is_stopped = Arc::<AtomicBool>::default();
    let _stop = StopOnDrop(Arc::clone(&is_stopped));
    let (told, outcome) = oneshot::channel();
    let compute = move || {
        let outcome = self_check::run(&Places::in_use(nice), fault.as_deref(), &Progress { is_stopped, hook });
        // The receiver is gone if the server has ended.
        drop(told.send(outcome));
    };
    thread::Builder::new().name("self-check".to_owned()).spawn(compute)?;
    Ok(outcome.await??)
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Progress {
    is_stopped: Arc<AtomicBool>,
    hook: Option<CheckpointHook>,
}

impl Checkpoint for Progress {
    fn check(&self) -> Result<(), Cancelled> {
        if let Some(CheckpointHook { hook, waits: _ }) = &self.hook {
            hook(&Stopped(&self.is_stopped));
        }
        Stopped(&self.is_stopped).check()
    }
}

/// The checkpoint without the hook.
struct Stopped<'a>(&'a AtomicBool);

impl Checkpoint for Stopped<'_> {
    fn check(&self) -> Result<(), Cancelled> {
        if self.0.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }
}
