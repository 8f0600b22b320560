//! The one bridge between tokio and the Rayon pool that computes.
//!
//! Whatever an operation does, the bridge keeps four promises: a panic ends one call and nothing else; a call whose
//! client has left is not started, or stops at its next checkpoint; after [`Executor::stop`] so does every call; and
//! the time a call waited and the time it computed are on its span.

mod inline;
mod pieces;

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use evenkeel_kernels::{Cancelled, Checkpoint};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::oneshot;
use tracing::Span;

pub(crate) use pieces::Pieces;

use crate::{
    buffers::Buffers,
    counters::Counters,
    error::{Error, Scarce},
};

/// Work that is expected to take less is done where it is, on the thread that serves the call: handing it over, and
/// waking two threads, takes some 20 us. More would hold up the other calls of that thread.
const INLINE: Duration = Duration::from_micros(70);

/// Called at every checkpoint, before the checkpoint asks whether to go on; gets the checkpoint behind it. A test can
/// panic in it, or wait in it, and so hold an operation at a known place.
#[doc(hidden)]
#[derive(Clone)]
pub struct CheckpointHook(Arc<Hook>);

type Hook = dyn Fn(&dyn Checkpoint) + Send + Sync;

impl CheckpointHook {
    /// A hook that calls `f`.
    pub fn new(f: impl Fn(&dyn Checkpoint) + Send + Sync + 'static) -> Self {
        Self(Arc::new(f))
    }
}

impl fmt::Debug for CheckpointHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointHook")
    }
}

/// Runs operations on a Rayon pool of its own.
#[derive(Debug)]
pub(crate) struct Executor {
    pool: ThreadPool,
    stopped: Arc<AtomicBool>,
    in_flight: Arc<AtomicUsize>,
    /// Jobs that wait for a thread, and how many may.
    queued: Arc<AtomicUsize>,
    max_queued: usize,
    counters: Arc<Counters>,
    buffers: Buffers,
    hook: Option<CheckpointHook>,
}

impl Executor {
    /// A pool of `threads` threads; 0: one for every core. Results are written to `buffers`.
    pub(crate) fn new(
        threads: usize,
        buffers: Buffers,
        hook: Option<CheckpointHook>,
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compute-{index}"))
            // The bridge catches the panics of operations. One that comes here is a bug of the bridge, and still no
            // reason to end the process, which is what Rayon does without a handler.
            .panic_handler(|_| tracing::error!("a panic escaped an operation"))
            .build()?;
        Ok(Self {
            pool,
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
    /// Dropping the future abandons the job. Records `queue_us` and `compute_us` on the current span.
    ///
    /// While a job waits for its own parallel parts, its thread may take up another job, whose time then counts in
    /// both.
    pub(crate) async fn run<T, F>(&self, estimate: Duration, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    {
        let progress = self.progress();
        let _waiting = Waiting::new(&self.in_flight, Arc::clone(&progress.abandoned));
        let span = Span::current();
        let queued = Instant::now();
        let work = move || {
            let started = Instant::now();
            span.record("queue_us", micros(queued, started));
            let result = span.in_scope(|| attempt(&progress, job));
            span.record("compute_us", micros(started, Instant::now()));
            result
        };
        // A hook may wait, and the thread that serves must not.
        let work = if estimate < INLINE && self.hook.is_none() {
            match inline::run(work) {
                Ok(result) => return result,
                Err(work) => work,
            }
        } else {
            work
        };
        let Some(place) = Place::take(&self.queued, self.max_queued) else {
            self.counters.refused_for_queue.add_one();
            return Err(Error::Overloaded { scarce: Scarce::Places });
        };
        let (answer, answered) = oneshot::channel();
        self.pool.spawn(move || {
            drop(place);
            // Nobody waits for the answer of an abandoned job.
            let _ = answer.send(work());
        });
        answered.await.unwrap_or(Err(Error::Panicked))
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

    /// Stops every job at its next checkpoint, also those that come later. Returns how many are waited for.
    pub(crate) fn stop(&self) -> usize {
        self.stopped.store(true, Ordering::Relaxed);
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Runs a job, or a piece of one, under its checkpoint; a panic becomes its error.
fn attempt<T>(progress: &Progress, job: impl FnOnce(&dyn Checkpoint) -> Result<T, Error>) -> Result<T, Error> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        progress.check()?;
        job(progress)
    }));
    let result = result.unwrap_or_else(|panic| {
        tracing::error!(panic = message(panic.as_ref()), "operation panicked");
        Err(Error::Panicked)
    });
    let stopped = progress.stopped.load(Ordering::Relaxed);
    if stopped && matches!(result, Err(Error::Cancelled)) { Err(Error::ShuttingDown) } else { result }
}

/// What a job is asked at its checkpoints. The flags carry no data with them: relaxed order is enough.
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
        if let Some(CheckpointHook(hook)) = &self.hook {
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

/// Somebody waits for a job; when it is dropped, nobody does any more.
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

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

/// The text of a panic, for the log; a client never sees it.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(not a text)")
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::mpsc::{self, Receiver, Sender},
        task::{Context, Poll, Waker},
        thread,
    };

    use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

    use super::*;

    fn one_thread() -> Executor {
        Executor::new(1, Buffers::new(0), None).expect("one thread can be started")
    }

    /// An estimate that brings a job to the pool.
    const LONG: Duration = INLINE;

    /// Occupies the only thread of `executor` until the sender is dropped.
    async fn occupy(executor: &Executor) -> Sender<()> {
        let (release, released): (_, Receiver<()>) = mpsc::channel();
        let (begin, begun) = oneshot::channel();
        executor.pool.spawn(move || {
            begin.send(()).expect("the test waits");
            released.recv().expect_err("nothing is sent, the sender is dropped");
        });
        begun.await.expect("the pool runs what it is given");
        release
    }

    #[tokio::test]
    async fn a_job_gives_its_result_and_its_error() {
        let executor = one_thread();
        assert_eq!(executor.run(LONG, |_| Ok(7)).await, Ok(7));
        let refused = Error::invalid("input", "no");
        assert_eq!(executor.run::<(), _>(LONG, |_| Err(Error::invalid("input", "no"))).await, Err(refused));
    }

    #[tokio::test]
    async fn parallel_work_runs_on_the_pools_own_threads() {
        let executor = one_thread();
        let names = executor
            .run(LONG, |_| {
                Ok((0..64).into_par_iter().map(|_| thread::current().name().map(str::to_owned)).collect::<Vec<_>>())
            })
            .await;
        assert_eq!(names, Ok(vec![Some("compute-0".to_owned()); 64]));
    }

    #[tokio::test]
    async fn a_panic_ends_one_job_and_nothing_else() {
        let executor = one_thread();
        assert_eq!(executor.run::<(), _>(LONG, |_| panic!("on purpose")).await, Err(Error::Panicked));
        let in_parallel = executor.run(LONG, |_| {
            (0..64).into_par_iter().for_each(|i| assert_ne!(i, 63, "on purpose"));
            Ok(())
        });
        assert_eq!(in_parallel.await, Err(Error::Panicked));
        assert_eq!(executor.run(LONG, |_| Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn a_job_that_was_abandoned_in_the_queue_never_starts() {
        let executor = one_thread();
        let release = occupy(&executor).await;
        let started = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&started);
        let mut abandoned = Box::pin(executor.run(LONG, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
        // The first poll puts the job into the queue.
        assert!(poll_once(&mut abandoned).is_none());
        drop(abandoned);
        drop(release);
        // The pool has one thread and takes jobs in order: when this one is done, so is the one before.
        assert_eq!(executor.run(LONG, |_| Ok(())).await, Ok(()));
        assert_eq!(started.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn no_more_jobs_wait_than_may() {
        let counters = Arc::default();
        let executor = one_thread().with_max_queued(1, Arc::clone(&counters));
        let release = occupy(&executor).await;
        let mut waits = Box::pin(executor.run(LONG, |_| Ok(7)));
        assert!(poll_once(&mut waits).is_none());
        assert_eq!(executor.run(LONG, |_| Ok(8)).await, Err(Error::Overloaded { scarce: Scarce::Places }));
        assert_eq!(counters.refused_for_queue.get(), 1);
        // What needs no thread of the pool is done.
        assert_eq!(executor.run(Duration::ZERO, |_| Ok(9)).await, Ok(9));
        drop(release);
        assert_eq!(waits.await, Ok(7));
        assert_eq!(executor.run(LONG, |_| Ok(10)).await, Ok(10));
    }

    #[tokio::test]
    async fn a_job_that_runs_learns_that_it_was_abandoned() {
        let executor = one_thread();
        let (begin, begun) = oneshot::channel();
        let (learn, learned) = oneshot::channel();
        let mut abandoned = Box::pin(executor.run(LONG, move |checkpoint| {
            begin.send(()).expect("the test waits");
            while checkpoint.check().is_ok() {
                thread::yield_now();
            }
            learn.send(()).expect("the test waits");
            Ok(())
        }));
        assert!(poll_once(&mut abandoned).is_none());
        begun.await.expect("the job starts");
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 1);
        drop(abandoned);
        learned.await.expect("the job ends");
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_short_job_runs_where_it_is_and_alone() {
        let executor = one_thread();
        let here = thread::current().id();
        let all_here =
            executor.run(Duration::ZERO, move |_| Ok((0..64).into_par_iter().all(|_| thread::current().id() == here)));
        assert_eq!(all_here.await, Ok(true));
        assert_eq!(executor.run::<(), _>(Duration::ZERO, |_| panic!("on purpose")).await, Err(Error::Panicked));
        assert_eq!(executor.run(Duration::ZERO, |_| Ok(7)).await, Ok(7));
        executor.stop();
        assert_eq!(executor.run(Duration::ZERO, |_| Ok(7)).await, Err(Error::ShuttingDown));
    }

    #[tokio::test]
    async fn after_stop_jobs_end_at_a_checkpoint() {
        let executor = one_thread();
        assert_eq!(executor.stop(), 0);
        assert_eq!(executor.run(LONG, |_| Ok(7)).await, Err(Error::ShuttingDown));
    }

    /// One poll; `None` if the future is not done.
    fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
