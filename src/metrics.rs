//! The server's metrics.
//!
//! Each metric is an array of atomic numbers, indexed by labels from closed sets: counting takes no lock, no map and no
//! string, and nothing that a client sends makes a new series. `docs/operating.md` explains each of them.

mod calls;
mod histogram;
mod kinds;
mod labels;
mod route;

pub(crate) use histogram::Histogram;
pub(crate) use kinds::Kind;
pub(crate) use labels::{Elements, Files, Reason, code_name, code_names};
pub(crate) use route::Route;

use std::{
    array,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tonic::Code;

use self::{calls::Calls, route::Routes};
use crate::{
    counters::{Counter, Gauge},
    error::Error,
    grpc::Method,
};

/// The operations of one method's calls, and the times that their jobs wait and compute.
#[derive(Debug)]
pub(crate) struct Work {
    /// By kind and dtype.
    pub(crate) operations: [[Counter; Elements::COUNT]; Kind::MOST],
    pub(crate) queue: Histogram,
    pub(crate) compute: Histogram,
}

impl Default for Work {
    fn default() -> Self {
        let operations = array::from_fn(|_| array::from_fn(|_| Counter::default()));
        Self { operations, queue: Histogram::default(), compute: Histogram::default() }
    }
}

/// The numbers of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) calls: [Calls; Method::COUNT],
    pub(crate) work: [Work; Method::TENSOR_OPS],
    /// Jobs that wait for a thread.
    pub(crate) queued: Gauge,
    /// Jobs that are computed.
    pub(crate) running: Gauge,
    pub(crate) refused: [Counter; Reason::COUNT],
    pub(crate) routes: Routes,
    pub(crate) panics: Counter,
    /// Files whose last change could not be used.
    pub(crate) unusable: [AtomicBool; Files::COUNT],
    /// Whether the self-check has found a difference, or did not run.
    pub(crate) self_check_failed: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: array::from_fn(|_| Calls::default()),
            work: array::from_fn(|_| Work::default()),
            queued: Gauge::default(),
            running: Gauge::default(),
            refused: array::from_fn(|_| Counter::default()),
            routes: Routes::default(),
            panics: Counter::default(),
            unusable: array::from_fn(|_| AtomicBool::default()),
            self_check_failed: AtomicBool::default(),
        }
    }
}

impl Metrics {
    /// A call has come.
    pub(crate) fn started(&self, method: Method) {
        self.calls[method.index()].started.add_one();
    }

    /// A call has ended with this status, so long after it came.
    pub(crate) fn handled(&self, method: Method, code: Code, took: Duration) {
        let calls = &self.calls[method.index()];
        calls.handling.observe(took);
        calls.handled[code as usize].add_one();
    }

    /// How many calls have come and not ended.
    pub(crate) fn calls_in_flight(&self) -> u64 {
        self.calls.iter().map(Calls::in_flight).sum()
    }

    /// So many bytes of a request have come.
    pub(crate) fn received(&self, method: Method, bytes: usize) {
        self.calls[method.index()].received_bytes.add(bytes as u64);
    }

    /// So many bytes of an answer were handed to the transport.
    pub(crate) fn sent(&self, method: Method, bytes: usize) {
        self.calls[method.index()].sent_bytes.add(bytes as u64);
    }

    /// A job waits for a thread.
    pub(crate) fn job_waits(&self) {
        self.queued.add_one();
    }

    /// A job waits no longer. `waited`: the time until it had a thread; `None` if it was abandoned.
    pub(crate) fn job_waits_no_longer(&self, method: Method, waited: Option<Duration>) {
        self.queued.subtract(1);
        if let Some(waited) = waited {
            self.waited(method, waited);
        }
    }

    /// A job, or a piece of one, is computed.
    pub(crate) fn job_runs(&self) {
        self.running.add_one();
    }

    /// A job, or a piece of one, is computed no longer.
    pub(crate) fn job_runs_no_longer(&self) {
        self.running.subtract(1);
    }

    /// A job has waited so long for a thread.
    pub(crate) fn waited(&self, method: Method, time: Duration) {
        if let Some(work) = self.work.get(method.index()) {
            work.queue.observe(time);
        }
    }

    /// A job was computed for so long.
    pub(crate) fn computed(&self, method: Method, time: Duration) {
        if let Some(work) = self.work.get(method.index()) {
            work.compute.observe(time);
        }
    }

    /// How many jobs wait, and how many are computed.
    #[cfg(test)]
    pub(crate) fn jobs(&self) -> (usize, usize) {
        (self.queued.get(), self.running.get())
    }

    /// How many panics there were.
    #[cfg(test)]
    pub(crate) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// How many jobs of a method have a time of waiting, and one of computing.
    #[cfg(test)]
    pub(crate) fn timed(&self, method: Method) -> (u64, u64) {
        let work = &self.work[method.index()];
        (work.queue.read().1, work.compute.read().1)
    }

    /// Code that serves a call has panicked.
    pub(crate) fn panicked(&self) {
        self.panics.add_one();
    }

    /// A request was decoded: the kind of its operation, and the dtype of its elements.
    pub(crate) fn operation(&self, method: Method, kind: Kind, elements: Elements) {
        if let Some(work) = self.work.get(method.index()) {
            work.operations[kind.index()][elements as usize].add_one();
        }
    }

    /// A message of a call was read, and goes to its kernel by this route.
    pub(crate) fn took(&self, route: Route) {
        self.routes.add(route);
    }

    /// Files have changed. `used`: whether the new ones are used; else the old ones still are.
    pub(crate) fn changed(&self, files: Files, used: bool) {
        self.unusable[files as usize].store(!used, Ordering::Relaxed);
    }

    /// A call has ended with this error. Errors that are refusals are counted by their reason.
    pub(crate) fn failed(&self, error: &Error) {
        let reason = match error {
            Error::Invalid(_) => Reason::InvalidArgument,
            Error::NonFiniteNorm(_) => Reason::NonfiniteNorm,
            Error::RequestTooLarge { .. }
            | Error::TooManyParts { .. }
            | Error::TooMuchMemory { .. }
            | Error::ResponseTooLarge { .. } => Reason::MessageTooLarge,
            Error::NeedsTwoPasses { .. } => Reason::NeedsTwoPasses,
            Error::MetadataTooLarge { .. } => Reason::MetadataTooLarge,
            Error::UnknownEncoding { .. } => Reason::UnknownEncoding,
            Error::Unreadable { .. } => Reason::Unreadable,
            Error::DeadlineExceeded => Reason::DeadlineExceeded,
            Error::ShuttingDown => Reason::ShuttingDown,
            Error::NotOneMessage { .. } => Reason::NotOneMessage,
            Error::Overloaded { .. } => Reason::Overloaded,
            Error::Unauthenticated => Reason::Unauthenticated,
            Error::Stalled => Reason::Stalled,
            // These are not refusals: the call's status code counts them, and a panic is also counted where it happens.
            Error::Cancelled | Error::Panicked => return,
        };
        self.refused[reason as usize].add_one();
    }
}
