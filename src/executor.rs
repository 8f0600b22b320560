//! The one bridge between tokio and the Rayon pool that computes.
//!
//! Whatever an operation does, the bridge keeps four promises: a panic ends one call and nothing else; a call whose
//! client has left is not started, or stops at its next checkpoint; after [`Executor::stop`] so does every call; and
//! the time a call waited, the time it computed and its panics are in its record.

mod inline;
mod jobs;
mod pieces;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_kernels::{Cancelled, Checkpoint};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::oneshot;

use jobs::Jobs;
pub(crate) use pieces::Pieces;

use crate::{
    buffers::Buffers,
    checkpoint_hook::CheckpointHook,
    counters::Counters,
    error::{Error, Scarce},
    observe::CallRecord,
    panics, priority,
};

/// Work that is expected to take less is done where it is, on the thread that serves the call: handing it over, and
/// waking two threads, takes some 20 us. More would hold up the other calls of that thread.
const INLINE: Duration = Duration::from_micros(70);

/// Runs operations on a Rayon pool of its own.
#[derive(Debug)]
pub(crate) struct Executor {
    pool: ThreadPool,
    jobs: Jobs,
    stopped: Arc<AtomicBool>,
    in_flight: Arc<AtomicUsize>,
    /// Jobs that wait for a thread, and the most that may.
    queued: Arc<AtomicUsize>,
    max_queued: usize,
    counters: Arc<Counters>,
    buffers: Buffers,
    hook: Option<CheckpointHook>,
}

impl Executor {
    /// A pool of `threads` threads; 0: one for every core. They give way to others by `nice`. Results are written to
    /// `buffers`.
    pub(crate) fn new(
        threads: usize,
        nice: u8,
        buffers: Buffers,
        hook: Option<CheckpointHook>,
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compute-{index}"))
            .start_handler(move |_| priority::give_way(nice))
            // The bridge catches the panics of operations. One that comes here is a bug of the bridge. Without this
            // handler Rayon would end the process.
            .panic_handler(|_| tracing::error!("a panic escaped an operation"))
            .build()?;
        let jobs = Jobs::new(pool.current_num_threads());
        Ok(Self {
            pool,
            jobs,
            stopped: Arc::default(),
            in_flight: Arc::default(),
            queued: Arc::default(),
            max_queued: usize::MAX,
            counters: Arc::default(),
            buffers,
            hook,
        })
    }

    /// Lets at most `max_queued` jobs wait for a thread; more are refused, and counted.
    pub(crate) fn with_max_queued(self, max_queued: usize, counters: Arc<Counters>) -> Self {
        Self { max_queued, counters, ..self }
    }

    /// Where results are written.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// How many threads the pool has.
    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `job`, which is expected to take `estimate` on one thread: at once, on this thread, if that is little; else
    /// on the pool, where Rayon's parallel iterators use the pool's threads.
    ///
    /// Dropping the future abandons the job. `record`: that of the call whose job it is.
    ///
    /// While a job waits for its own parallel parts and the pool has fewer jobs than threads, its thread may take up another job,
    /// whose time then counts in both.
    pub(crate) async fn run<T, F>(&self, record: &CallRecord, estimate: Duration, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    {
        self.run_if_queued(self.max_queued, record, estimate, job).await
    }

    /// As [`run`](Self::run), but a job that would wait is refused if `max_queued` jobs wait already.
    async fn run_if_queued<T, F>(
        &self,
        max_queued: usize,
        record: &CallRecord,
        estimate: Duration,
        job: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    {
        let progress = self.progress();
        let _waiting = Waiting::new(&self.in_flight, Arc::clone(&progress.abandoned));
        let queued = record.queue();
        let work = move || {
            let running = queued.start();
            attempt(running.record(), &progress, job)
        };
        let work = if is_short(estimate) && !self.hook_waits() {
            match inline::run(work) {
                Ok(result) => return result,
                Err(work) => work,
            }
        } else {
            work
        };
        let Some(place) = Place::take(&self.queued, max_queued) else {
            self.counters.refused_for_queue.add_one();
            return Err(Error::Overloaded { scarce: Scarce::Places });
        };
        let (answer, answered) = oneshot::channel();
        self.jobs.spawn(&self.pool, move || {
            drop(place);
            // The future of an abandoned job has dropped the receiver.
            let _ = answer.send(work());
        });
        answered.await.unwrap_or_else(|_| {
            record.panicked("a job was dropped without its result");
            Err(Error::Panicked)
        })
    }

    /// Whether there is a hook that may wait.
    fn hook_waits(&self) -> bool {
        self.hook.as_ref().is_some_and(|hook| hook.waits)
    }

    /// The checkpoint of a new job.
    fn progress(&self) -> Progress {
        Progress {
            abandoned: Arc::default(),
            stopped: Arc::clone(&self.stopped),
            buffers: self.buffers.clone(),
            hook: self.hook.clone(),
        }
    }

    /// Stops every job at its next checkpoint, also jobs that come later. Returns the number of jobs that are waited
    /// for.
    pub(crate) fn stop(&self) -> usize {
        self.stopped.store(true, Ordering::Relaxed);
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Whether work that is expected to take so long is done on the thread that serves.
fn is_short(estimate: Duration) -> bool {
    estimate < INLINE
}

/// Runs a job, or a piece of one, under its checkpoint; a panic is recorded and becomes its error.
fn attempt<T>(
    record: &CallRecord,
    progress: &Progress,
    job: impl FnOnce(&dyn Checkpoint) -> Result<T, Error>,
) -> Result<T, Error> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        progress.check()?;
        job(progress)
    }));
    let result = result.unwrap_or_else(|panic| {
        record.panicked(panics::message(panic.as_ref()));
        Err(Error::Panicked)
    });
    let stopped = progress.stopped.load(Ordering::Relaxed);
    if stopped && matches!(result, Err(Error::Cancelled)) { Err(Error::ShuttingDown) } else { result }
}

/// The checkpoint of a job. The flags carry no data with them: relaxed order is enough.
struct Progress {
    abandoned: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    buffers: Buffers,
    hook: Option<CheckpointHook>,
}

impl Checkpoint for Progress {
    fn buffer(&self, len: usize) -> Vec<u8> {
        self.buffers.take(len)
    }

    fn check(&self) -> Result<(), Cancelled> {
        let flags = Flags { abandoned: &self.abandoned, stopped: &self.stopped };
        if let Some(CheckpointHook { hook, waits: _ }) = &self.hook {
            hook(&flags);
        }
        flags.check()
    }
}

/// The checkpoint without the hook.
struct Flags<'a> {
    abandoned: &'a AtomicBool,
    stopped: &'a AtomicBool,
}

impl Checkpoint for Flags<'_> {
    fn check(&self) -> Result<(), Cancelled> {
        if self.abandoned.load(Ordering::Relaxed) || self.stopped.load(Ordering::Relaxed) {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Counts a future that waits for its job; dropping it abandons the job.
struct Waiting {
    in_flight: Arc<AtomicUsize>,
    abandoned: Arc<AtomicBool>,
}

impl Waiting {
    fn new(in_flight: &Arc<AtomicUsize>, abandoned: Arc<AtomicBool>) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Self { in_flight: Arc::clone(in_flight), abandoned }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// The place of a job that waits for a thread.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(queued: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let add = |now: usize| (now < limit).then(|| now + 1);
        queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Self(Arc::clone(queued)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
