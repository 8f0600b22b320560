//! The results of jobs, and jobs that panic, wait, are abandoned or stopped.

use std::{
    pin::Pin,
    sync::mpsc::{self, Receiver, Sender},
    task::{Context, Poll, Waker},
    thread,
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::*;
use crate::grpc::Method;

fn one_thread() -> Executor {
    Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started")
}

/// A record for jobs of any lifetime.
fn call() -> &'static CallRecord {
    Box::leak(Box::new(CallRecord::detached(Method::Dropout)))
}

/// An estimate that brings a job to the pool.
const LONG: Duration = INLINE;

/// Occupies the only thread of `executor` until the sender is dropped.
async fn occupy(executor: &Executor) -> Sender<()> {
    let (release, released): (_, Receiver<()>) = mpsc::channel();
    let (begin, begun) = oneshot::channel();
    executor.jobs.spawn(&executor.pool, Lane::Long, move || {
        begin.send(()).expect("the test waits");
        released.recv().expect_err("nothing is sent, the sender is dropped");
    });
    begun.await.expect("the pool runs what it is given");
    release
}

#[tokio::test]
async fn a_job_gives_its_result_and_its_error() {
    let executor = one_thread();
    assert_eq!(executor.run(call(), LONG, |_| Ok(7)).await, Ok(7));
    let refused = Error::invalid("input", "no");
    assert_eq!(executor.run::<(), _>(call(), LONG, |_| Err(Error::invalid("input", "no"))).await, Err(refused));
}

#[tokio::test]
async fn parallel_work_runs_on_the_pools_own_threads() {
    let executor = one_thread();
    let names = executor
        .run(call(), LONG, |_| {
            Ok((0..64).into_par_iter().map(|_| thread::current().name().map(str::to_owned)).collect::<Vec<_>>())
        })
        .await;
    assert_eq!(names, Ok(vec![Some("compute-0".to_owned()); 64]));
}

#[tokio::test]
async fn a_panic_ends_one_job_and_nothing_else() {
    let executor = one_thread();
    assert_eq!(executor.run::<(), _>(call(), LONG, |_| panic!("on purpose")).await, Err(Error::Panicked));
    let in_parallel = executor.run(call(), LONG, |_| {
        (0..64).into_par_iter().for_each(|i| assert_ne!(i, 63, "on purpose"));
        Ok(())
    });
    assert_eq!(in_parallel.await, Err(Error::Panicked));
    assert_eq!(executor.run(call(), LONG, |_| Ok(7)).await, Ok(7));
}

#[tokio::test]
async fn a_job_that_was_abandoned_in_the_queue_never_starts() {
    let executor = one_thread();
    let release = occupy(&executor).await;
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let mut abandoned = Box::pin(executor.run(call(), LONG, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    // The first poll puts the job into the queue.
    assert!(poll_once(&mut abandoned).is_none());
    drop(abandoned);
    drop(release);
    // The pool has one thread and takes jobs in order: when this one is done, so is the one before.
    assert_eq!(executor.run(call(), LONG, |_| Ok(())).await, Ok(()));
    assert_eq!(started.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn no_more_jobs_wait_than_may() {
    let counters = Arc::default();
    let executor = one_thread().with_max_queued(1, Arc::clone(&counters));
    let release = occupy(&executor).await;
    let mut waits = Box::pin(executor.run(call(), LONG, |_| Ok(7)));
    assert!(poll_once(&mut waits).is_none());
    assert_eq!(executor.run(call(), LONG, |_| Ok(8)).await, Err(Error::Overloaded { scarce: Scarce::Places }));
    assert_eq!(counters.refused_for_queue.get(), 1);
    // A job that needs no thread of the pool still runs.
    assert_eq!(executor.run(call(), Duration::ZERO, |_| Ok(9)).await, Ok(9));
    drop(release);
    assert_eq!(waits.await, Ok(7));
    assert_eq!(executor.run(call(), LONG, |_| Ok(10)).await, Ok(10));
}

#[tokio::test]
async fn a_job_that_runs_learns_that_it_was_abandoned() {
    let executor = one_thread();
    let (begin, begun) = oneshot::channel();
    let (learn, learned) = oneshot::channel();
    let mut abandoned = Box::pin(executor.run(call(), LONG, move |checkpoint| {
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
    let all_here = executor
        .run(call(), Duration::ZERO, move |_| Ok((0..64).into_par_iter().all(|_| thread::current().id() == here)));
    assert_eq!(all_here.await, Ok(true));
    assert_eq!(executor.run::<(), _>(call(), Duration::ZERO, |_| panic!("on purpose")).await, Err(Error::Panicked));
    assert_eq!(executor.run(call(), Duration::ZERO, |_| Ok(7)).await, Ok(7));
    executor.stop();
    assert_eq!(executor.run(call(), Duration::ZERO, |_| Ok(7)).await, Err(Error::ShuttingDown));
}

#[tokio::test]
async fn after_stop_jobs_end_at_a_checkpoint() {
    let executor = one_thread();
    assert_eq!(executor.stop(), 0);
    assert_eq!(executor.run(call(), LONG, |_| Ok(7)).await, Err(Error::ShuttingDown));
}

/// Polls the future once. The answer is `None` if it is not done.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Values may make a job long that is expected to be short: the next ones are not computed on the thread that serves.
#[tokio::test]
async fn a_long_job_sends_others_to_the_pool() {
    const SHORT: Duration = Duration::from_micros(10);
    let executor = Executor { caution: Caution::new(Duration::from_secs(3600)), ..one_thread() };
    let executor = Arc::new(executor);
    let name = |_: &dyn Checkpoint| Ok(thread::current().name().map(str::to_owned));
    assert_ne!(executor.run(call(), SHORT, name).await, Ok(Some("compute-0".to_owned())));
    assert!(executor.stream_pieces(call()).is_here(SHORT));
    let mut pieces = executor.stream_pieces(call());
    let long = |_: &dyn Checkpoint| {
        let begin = std::time::Instant::now();
        // Long enough, also if this thread has to wait for a core most of the time.
        while begin.elapsed() < 1000 * INLINE {
            std::hint::spin_loop();
        }
        Ok(())
    };
    assert_eq!(pieces.run(SHORT, long).await, Ok(()));
    drop(pieces);
    assert_eq!(executor.run(call(), SHORT, name).await, Ok(Some("compute-0".to_owned())));
    // Others that are sent away are not refused for the queue, since they would not have waited in it.
    let executor = Arc::into_inner(executor).expect("it is not shared").with_max_queued(0, Arc::default());
    let executor = Arc::new(executor);
    assert_eq!(executor.run(call(), SHORT, name).await, Ok(Some("compute-0".to_owned())));
    assert_eq!(executor.run(call(), LONG, name).await, Err(Error::Overloaded { scarce: Scarce::Places }));
    assert!(!executor.stream_pieces(call()).is_here(SHORT) && executor.stream_pieces(call()).is_here(Duration::ZERO));
}
