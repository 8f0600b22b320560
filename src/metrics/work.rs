//! What the calls of the tensor service compute, and how long they wait for it.

use std::{
    array,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Counter, Elements, Kind, Method, Metrics, histogram::Histogram};

/// The work of one method.
#[derive(Debug)]
pub(super) struct Work {
    /// By kind and dtype.
    pub(super) operations: [[Counter; Elements::COUNT]; Kind::COUNT],
    pub(super) queue: Histogram,
    pub(super) compute: Histogram,
}

impl Default for Work {
    fn default() -> Self {
        let operations = array::from_fn(|_| array::from_fn(|_| Counter::default()));
        Self { operations, queue: Histogram::default(), compute: Histogram::default() }
    }
}

/// A job that waits. Dropped before it starts, it was abandoned.
#[derive(Debug)]
pub(crate) struct Queued(Job);

/// A job that is computed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    _job: Job,
}

#[derive(Debug)]
struct Job {
    metrics: Arc<Metrics>,
    method: Method,
    since: Instant,
    /// Whether it is counted as running, rather than as queued.
    runs: bool,
}

impl Queued {
    pub(super) fn new(metrics: Arc<Metrics>, method: Method) -> Self {
        metrics.queued.rise();
        Self(Job { metrics, method, since: Instant::now(), runs: false })
    }

    /// The job has got a thread.
    pub(crate) fn start(self) -> Running {
        let Self(mut job) = self;
        let now = Instant::now();
        if let Some(work) = job.metrics.work.get(job.method.index()) {
            work.queue.observe(now.duration_since(job.since));
        }
        job.since = now;
        job.metrics.running.rise();
        job.metrics.queued.fall();
        job.runs = true;
        Running { _job: job }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.runs {
            return self.metrics.queued.fall();
        }
        self.metrics.running.fall();
        if let Some(work) = self.metrics.work.get(self.method.index()) {
            work.compute.observe(self.since.elapsed());
        }
    }
}

/// A job that is computed piece by piece while its input comes: it waits for no thread, and runs as long as a piece does.
/// Dropped before its first, it was abandoned.
#[derive(Debug)]
pub(crate) struct InPieces {
    metrics: Arc<Metrics>,
    method: Method,
    /// By all pieces; `None`: there was none.
    computed: Option<Duration>,
}

/// A piece that is computed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    job: &'a mut InPieces,
    since: Instant,
}

impl InPieces {
    pub(super) fn new(metrics: Arc<Metrics>, method: Method) -> Self {
        Self { metrics, method, computed: None }
    }

    /// A piece is computed from here on.
    pub(crate) fn start(&mut self) -> Piece<'_> {
        self.metrics.running.rise();
        Piece { job: self, since: Instant::now() }
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let Self { job, since } = self;
        job.metrics.running.fall();
        *job.computed.get_or_insert_default() += since.elapsed();
    }
}

impl Drop for InPieces {
    fn drop(&mut self) {
        if let (Some(work), Some(computed)) = (self.metrics.work.get(self.method.index()), self.computed) {
            work.queue.observe(Duration::ZERO);
            work.compute.observe(computed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_in_one_place_at_a_time() {
        let metrics = Arc::new(Metrics::default());
        let levels = || (metrics.queued.get(), metrics.running.get());
        let times = || {
            let work = &metrics.work[Method::Dropout.index()];
            (work.queue.read().1, work.compute.read().1)
        };
        let abandoned = metrics.queue(Method::Dropout);
        let queued = metrics.queue(Method::Dropout);
        assert_eq!(levels(), (2, 0));
        drop(abandoned);
        assert_eq!((levels(), times()), ((1, 0), (0, 0)));
        let running = queued.start();
        assert_eq!((levels(), times()), ((0, 1), (1, 0)));
        drop(running);
        assert_eq!((levels(), times()), ((0, 0), (1, 1)));
    }

    #[test]
    fn a_job_in_pieces_runs_while_one_is_computed_and_is_one_job() {
        let metrics = Arc::new(Metrics::default());
        let levels = || (metrics.queued.get(), metrics.running.get());
        let times = || {
            let work = &metrics.work[Method::Normalize.index()];
            (work.queue.read().1, work.compute.read().1)
        };
        drop(metrics.in_pieces(Method::Normalize));
        let mut job = metrics.in_pieces(Method::Normalize);
        for _ in 0..2 {
            let piece = job.start();
            assert_eq!((levels(), times()), ((0, 1), (0, 0)));
            drop(piece);
            assert_eq!((levels(), times()), ((0, 0), (0, 0)));
        }
        drop(job);
        assert_eq!((levels(), times()), ((0, 0), (1, 1)));
    }
}
