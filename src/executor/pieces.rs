//! Jobs that are computed piece by piece, as their input comes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use evenkeel_kernels::Checkpoint;

use super::{Executor, INLINE, Progress, Waiting, attempt, inline};
use crate::{
    error::Error,
    observe::{CallRecord, InPieces},
};

/// A job in pieces. Short pieces run on the thread that serves the call, the others on the pool. Dropping this abandons the job.
pub(crate) struct Pieces {
    executor: Arc<Executor>,
    record: CallRecord,
    work: InPieces,
    progress: Progress,
    _waiting: Waiting,
    /// Whether a piece was computed on the pool. If so, the others are not refused for the queue.
    is_admitted: bool,
    /// The time since the thread last let other calls have a turn.
    held: Duration,
}

impl Executor {
    /// Begins a job in pieces. The answer is `None` if there is a hook that may wait, since the thread that serves must not.
    pub(crate) fn pieces(self: &Arc<Self>, record: &CallRecord) -> Option<Pieces> {
        (!self.hook_waits()).then(|| self.stream_pieces(record))
    }

    /// As [`pieces`](Self::pieces), but if there is a hook that may wait, all pieces run on the pool.
    pub(crate) fn stream_pieces(self: &Arc<Self>, record: &CallRecord) -> Pieces {
        let progress = self.progress();
        let waiting = Waiting::new(&self.in_flight, Arc::clone(&progress.abandoned));
        let (record, work) = (record.clone(), record.in_pieces());
        let executor = Arc::clone(self);
        Pieces { executor, record, work, progress, _waiting: waiting, is_admitted: false, held: Duration::ZERO }
    }
}

impl Pieces {
    /// Whether a piece that is expected to take so long runs on the thread that serves, by [`run`](Self::run).
    pub(crate) fn is_here(&self, estimate: Duration) -> bool {
        self.executor.is_here(estimate)
    }

    /// Runs a piece on the pool, as any other job that takes so long. The first piece on the pool is refused if too many jobs wait.
    /// The pieces after it are not, since the client may have half of its answer by then.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub(crate) async fn run_apart<T, F>(&mut self, estimate: Duration, piece: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    {
        let max_queued = if self.is_admitted { usize::MAX } else { self.executor.max_queued };
        let result = self.executor.run_if_queued(max_queued, &self.record, estimate, piece).await;
        self.is_admitted |= result.is_ok();
        result
    }

    /// Runs a short piece, which is expected to take `estimate`, on this thread. The thread's other calls have a turn whenever pieces
    /// have taken [`INLINE`] together.
    ///
    /// # Errors
    /// Those of the piece; [`Error::Panicked`]; [`Error::ShuttingDown`].
    pub(crate) async fn run<T: Send>(
        &mut self,
        estimate: Duration,
        piece: impl FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let Self { executor, record, work, progress, .. } = self;
        let computed = work.start();
        // If this thread is a member of another pool, that pool runs the parallel parts.
        let result = executor
            .caution
            .watch(estimate, || inline::run(|| attempt(record, progress, piece)).unwrap_or_else(|piece| piece()));
        drop(computed);
        self.held += started.elapsed();
        if self.held >= INLINE {
            self.held = Duration::ZERO;
            tokio::task::yield_now().await;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::{buffers::Buffers, error::Scarce, executor::Place, grpc::Method};

    fn executor() -> Arc<Executor> {
        Arc::new(Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started"))
    }

    #[tokio::test]
    async fn a_panic_ends_the_piece_alone() {
        let executor = executor();
        let mut pieces = executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        assert_eq!(pieces.run(Duration::ZERO, |_| Ok(7)).await, Ok(7));
        assert_eq!(pieces.run::<()>(Duration::ZERO, |_| panic!("on purpose")).await, Err(Error::Panicked));
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 1);
        drop(pieces);
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn after_stop_no_piece_runs() {
        let executor = executor();
        let mut pieces = executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        assert_eq!(executor.stop(), 1);
        assert_eq!(pieces.run(Duration::ZERO, |_| Ok(7)).await, Err(Error::ShuttingDown));
    }

    /// The only place in the queue is taken: a call with no piece on the pool before is refused, and a call with one is not.
    #[tokio::test]
    async fn only_the_first_piece_is_refused_for_the_queue() {
        const LONG: Duration = INLINE;
        let executor = Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started");
        let executor = Arc::new(executor.with_max_queued(1, Arc::default()));
        let pieces = || executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        let (mut begun, mut late) = (pieces(), pieces());
        let thread = |_: &dyn Checkpoint| Ok(std::thread::current().name().map(str::to_owned));
        assert_eq!(begun.run_apart(LONG, thread).await, Ok(Some("compute-0".to_owned())));
        let _full = Place::take(&executor.queued, 1).expect("nothing waits");
        assert_eq!(late.run_apart(LONG, thread).await, Err(Error::Overloaded { scarce: Scarce::Places }));
        assert_eq!(begun.run_apart(LONG, thread).await, Ok(Some("compute-0".to_owned())));
    }

    #[tokio::test]
    async fn others_have_a_turn_between_pieces() {
        let executor = executor();
        let mut pieces = executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        let other = tokio::spawn(async {});
        let long = |_: &dyn Checkpoint| {
            let started = Instant::now();
            while started.elapsed() < INLINE {
                std::hint::spin_loop();
            }
            Ok(())
        };
        assert_eq!(pieces.run(Duration::ZERO, long).await, Ok(()));
        assert!(other.is_finished());
    }
}
