//! The one bridge between tokio and the Rayon pool that computes.
//!
//! Whatever an operation does, the bridge keeps four promises. A panic ends one call and nothing else. The job of a call whose
//! client has left does not start, or stops at its next checkpoint. After [`Executor::stop`] this holds for all jobs. The time that
//! a job waited, the time that it computed and its panics are in the record of its call.

mod caution;
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

use caution::Caution;
use jobs::{Jobs, Lane};
pub(crate) use pieces::Pieces;

use crate::{
    buffers::Buffers,
    checkpoint_hook::CheckpointHook,
    counters::Counters,
    error::{Error, Scarce},
    observe::CallRecord,
    panics, priority,
};

/// Jobs that are expected to take less time run inline, on the thread that serves the call: handing a job to the pool and
/// waking two threads takes some 20 us. Longer jobs would hold up the other calls of that thread.
const INLINE: Duration = Duration::from_micros(70);

/// How long short jobs run on the pool after one of them has turned out to be long.
const CAUTION: Duration = Duration::from_secs(1);

/// Runs operations on a Rayon pool of its own.
#[derive(Debug)]
pub(crate) struct Executor {
    pool: ThreadPool,
    jobs: Jobs,
    stopped: Arc<AtomicBool>,
    in_flight: Arc<AtomicUsize>,
    /// The number of jobs that wait for a thread of the pool.
    queued: Arc<AtomicUsize>,
    /// The most jobs that may wait for a thread of the pool.
    max_queued: usize,
    caution: Caution,
    counters: Arc<Counters>,
    buffers: Buffers,
    hook: Option<CheckpointHook>,
}

impl Executor {
    /// An executor with a pool of `threads` threads, or of one for each core if that is 0. `nice` is added to the nice value of
    /// these threads, so that they give way to others. Results are written to `buffers`. Tests hold jobs at their checkpoints
    /// by `hook`.
    ///
    /// # Errors
    /// A thread of the pool cannot be started.
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
            caution: Caution::new(CAUTION),
            counters: Arc::default(),
            buffers,
            hook,
        })
    }

    /// Lets at most `max_queued` jobs wait for a thread. The executor refuses more, and counts them in `counters`.
    pub(crate) fn with_max_queued(self, max_queued: usize, counters: Arc<Counters>) -> Self {
        Self { max_queued, counters, ..self }
    }

    /// The pool of the buffers to which results are written.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// How many threads the pool has.
    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `job`, which is expected to take `estimate` on one thread. A short job runs at once, on this thread, unless such jobs
    /// have lately turned out to be long. Others run on the pool, where Rayon's parallel iterators use the pool's threads. `record`
    /// is the record of the job's call.
    ///
    /// Dropping the future abandons the job.
    ///
    /// While a job waits for its own parallel parts, its thread may run another job that the pool was given. The time of that job
    /// then counts in both.
    ///
    /// # Errors
    /// Those of the job; [`Error::Overloaded`] if too many jobs wait; [`Error::Panicked`]; [`Error::ShuttingDown`] after
    /// [`stop`](Self::stop).
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
        let work = if self.is_here(estimate) {
            match self.caution.watch(estimate, || inline::run(work)) {
                Ok(result) => return result,
                Err(work) => work,
            }
        } else {
            work
        };
        let (lane, place) = if self.is_short(estimate) {
            // Caution sends this job away from its thread, where it would not have waited.
            (Lane::Short, None)
        } else if let Some(place) = Place::take(&self.queued, max_queued) {
            (Lane::Long, Some(place))
        } else {
            self.counters.refused_for_queue.add_one();
            return Err(Error::Overloaded { scarce: Scarce::Places });
        };
        let (answer, answered) = oneshot::channel();
        self.jobs.spawn(&self.pool, lane, move || {
            drop(place);
            // The future of an abandoned job has dropped the receiver.
            let _ = answer.send(work());
        });
        answered.await.unwrap_or_else(|_| {
            record.panicked("a job was dropped without its result");
            Err(Error::Panicked)
        })
    }

    /// Whether a job that is expected to take so long runs on the thread that serves the call.
    fn is_here(&self, estimate: Duration) -> bool {
        // A hook takes time that is not the job's.
        let is_sent_away = self.hook.is_none() && self.caution.sends_away(estimate);
        self.is_short(estimate) && !is_sent_away
    }

    /// Whether a job that is expected to take so long is short enough for a thread that serves.
    fn is_short(&self, estimate: Duration) -> bool {
        estimate < INLINE && !self.hook_waits()
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

    /// Stops every job at its next checkpoint, also jobs that come later. Returns the number of jobs whose callers wait for them.
    pub(crate) fn stop(&self) -> usize {
        self.stopped.store(true, Ordering::Relaxed);
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Runs a job, or a piece of one, with its checkpoint. A panic is recorded and becomes [`Error::Panicked`].
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
