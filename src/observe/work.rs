//! The jobs of calls: how long they wait for a thread, and how long they compute.

use std::time::{Duration, Instant};

use super::CallRecord;

impl CallRecord {
    /// A job of the call waits for a thread.
    pub(crate) fn queue(&self) -> Queued {
        Queued::new(self.clone())
    }

    /// A job of the call is computed piece by piece, as its input comes.
    pub(crate) fn in_pieces(&self) -> InPieces {
        InPieces::new(self.clone())
    }
}

/// A job that waits. Dropped before it starts, it was abandoned.
#[derive(Debug)]
pub(crate) struct Queued(Job);

/// A job that is computed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Job);

#[derive(Debug)]
struct Job {
    record: CallRecord,
    since: Instant,
    /// Whether it is counted as running, rather than as queued.
    runs: bool,
}

impl Queued {
    pub(super) fn new(record: CallRecord) -> Self {
        record.recorder().metrics().job_waits();
        Self(Job { record, since: Instant::now(), runs: false })
    }

    /// The job has got a thread.
    pub(crate) fn start(self) -> Running {
        let Self(mut job) = self;
        let now = Instant::now();
        let waited = now.duration_since(job.since);
        let metrics = job.record.recorder().metrics();
        metrics.job_runs();
        metrics.job_waits_no_longer(job.record.method(), Some(waited));
        job.record.waited(waited);
        job.since = now;
        job.runs = true;
        Running(job)
    }
}

impl Running {
    /// The record of the job's call.
    pub(crate) fn record(&self) -> &CallRecord {
        &self.0.record
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Self { record, since, runs } = self;
        let metrics = record.recorder().metrics();
        if !*runs {
            return metrics.job_waits_no_longer(record.method(), None);
        }
        let computed = since.elapsed();
        metrics.job_runs_no_longer();
        metrics.computed(record.method(), computed);
        record.computed(computed);
    }
}

/// A job that is computed piece by piece while its input arrives: it waits for no thread, and counts as running while a
/// piece is computed. Dropped before its first piece, it was abandoned.
#[derive(Debug)]
pub(crate) struct InPieces {
    record: CallRecord,
    /// The time that all pieces took; `None`: there was none.
    computed: Option<Duration>,
}

/// A piece that is computed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    job: &'a mut InPieces,
    since: Instant,
}

impl InPieces {
    pub(super) fn new(record: CallRecord) -> Self {
        Self { record, computed: None }
    }

    /// A piece is computed from here on.
    pub(crate) fn start(&mut self) -> Piece<'_> {
        self.record.recorder().metrics().job_runs();
        Piece { job: self, since: Instant::now() }
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let Self { job, since } = self;
        job.record.recorder().metrics().job_runs_no_longer();
        *job.computed.get_or_insert_default() += since.elapsed();
    }
}

impl Drop for InPieces {
    fn drop(&mut self) {
        let Self { record, computed } = self;
        let Some(computed) = *computed else { return };
        let metrics = record.recorder().metrics();
        metrics.waited(record.method(), Duration::ZERO);
        metrics.computed(record.method(), computed);
        record.waited(Duration::ZERO);
        record.computed(computed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::Method;

    #[test]
    fn a_job_is_in_one_place_at_a_time() {
        let record = CallRecord::detached(Method::Dropout);
        let metrics = record.recorder().metrics();
        let (levels, times) = (|| metrics.jobs(), || metrics.timed(Method::Dropout));
        let abandoned = record.queue();
        let queued = record.queue();
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
        let record = CallRecord::detached(Method::Normalize);
        let metrics = record.recorder().metrics();
        let (levels, times) = (|| metrics.jobs(), || metrics.timed(Method::Normalize));
        drop(record.in_pieces());
        let mut job = record.in_pieces();
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
