//! Work that is done piece by piece, as its input comes.

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

/// A job in pieces, each of them short, on the thread that serves the call. Dropping it abandons the job.
pub(crate) struct Pieces {
    record: CallRecord,
    work: InPieces,
    progress: Progress,
    _waiting: Waiting,
    /// For how long no other call had a turn.
    held: Duration,
}

impl Executor {
    /// Begins a job in pieces. `None`: there is a hook that may wait, and the thread that serves must not.
    pub(crate) fn pieces(&self, record: &CallRecord) -> Option<Pieces> {
        if self.hook_waits() {
            return None;
        }
        let progress = self.progress();
        let waiting = Waiting::new(&self.in_flight, Arc::clone(&progress.abandoned));
        let (record, work) = (record.clone(), record.in_pieces());
        Some(Pieces { record, work, progress, _waiting: waiting, held: Duration::ZERO })
    }
}

impl Pieces {
    /// Runs a piece, and lets the thread's other calls have a turn now and then.
    pub(crate) async fn run<T: Send>(
        &mut self,
        piece: impl FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let Self { record, work, progress, .. } = self;
        let computed = work.start();
        // A thread that is a member of some pool has its parallel parts run there.
        let result = inline::run(|| attempt(record, progress, piece)).unwrap_or_else(|piece| piece());
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
    use crate::{buffers::Buffers, grpc::Method};

    fn executor() -> Executor {
        Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started")
    }

    #[tokio::test]
    async fn a_panic_ends_the_piece_alone() {
        let executor = executor();
        let mut pieces = executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        assert_eq!(pieces.run(|_| Ok(7)).await, Ok(7));
        assert_eq!(pieces.run::<()>(|_| panic!("on purpose")).await, Err(Error::Panicked));
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 1);
        drop(pieces);
        assert_eq!(executor.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn after_stop_no_piece_runs() {
        let executor = executor();
        let mut pieces = executor.pieces(&CallRecord::detached(Method::Normalize)).expect("there is no hook");
        assert_eq!(executor.stop(), 1);
        assert_eq!(pieces.run(|_| Ok(7)).await, Err(Error::ShuttingDown));
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
        assert_eq!(pieces.run(long).await, Ok(()));
        assert!(other.is_finished());
    }
}
