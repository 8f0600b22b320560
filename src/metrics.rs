//! What the server counts of itself.
//!
//! Everything is an atomic number in an array, found by the place of its labels in closed sets: counting takes no lock, no map
//! and no string, and nothing that a client sends makes a new series. What it all means is in `docs/operations.md`.

mod calls;
mod endpoint;
mod exposition;
mod histogram;
mod labels;
mod layer;
mod process;
mod route;
mod work;

pub(crate) use calls::Call;
pub(crate) use endpoint::Endpoint;
pub(crate) use exposition::Exposition;
pub(crate) use labels::{Elements, Files, Kind, Method, Reason};
pub(crate) use layer::Observe;
pub(crate) use route::Route;
pub(crate) use work::{InPieces, Queued};

use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use self::{calls::Calls, route::Routes, work::Work};
use crate::error::Error;

/// Counts up; wraps after some 10^19.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that is there for a while, counted as long as this is.
#[derive(Debug, Default)]
struct Level(AtomicU64);

impl Level {
    fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    calls: [Calls; Method::COUNT],
    work: [Work; Method::TENSOR_OPS],
    /// Jobs that wait for a thread.
    queued: Level,
    /// Jobs that are computed.
    running: Level,
    refused: [Counter; Reason::COUNT],
    routes: Routes,
    panics: Counter,
    /// Files whose last change could not be used.
    unusable: [AtomicBool; Files::COUNT],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: array::from_fn(|_| Calls::default()),
            work: array::from_fn(|_| Work::default()),
            queued: Level::default(),
            running: Level::default(),
            refused: array::from_fn(|_| Counter::default()),
            routes: Routes::default(),
            panics: Counter::default(),
            unusable: array::from_fn(|_| AtomicBool::default()),
        }
    }
}

impl Metrics {
    /// A call has come; it is counted as cancelled unless its end is told.
    pub(crate) fn begin_call(self: &Arc<Self>, method: Method) -> Call {
        Call::begin(Arc::clone(self), method)
    }

    /// A job of a call waits for a thread.
    pub(crate) fn queue(self: &Arc<Self>, method: Method) -> Queued {
        Queued::new(Arc::clone(self), method)
    }

    /// A job of a call is computed piece by piece, as its input comes.
    pub(crate) fn in_pieces(self: &Arc<Self>, method: Method) -> InPieces {
        InPieces::new(Arc::clone(self), method)
    }

    /// A request was understood: what is computed, on elements of which dtype.
    pub(crate) fn operation(&self, method: Method, kind: Kind, elements: Elements) {
        if let Some(work) = self.work.get(method.index()) {
            work.operations[kind as usize][elements as usize].add(1);
        }
    }

    /// A message of a call was read, and goes to its kernel by this route.
    pub(crate) fn took(&self, route: Route) {
        self.routes.add(route);
    }

    /// A call was refused.
    pub(crate) fn refuse(&self, reason: Reason) {
        self.refused[reason as usize].add(1);
    }

    /// Files have changed, and are used, or the old ones are still.
    pub(crate) fn changed(&self, files: Files, used: bool) {
        self.unusable[files as usize].store(!used, Ordering::Relaxed);
    }

    /// A call of the tensor service ended with an error.
    pub(crate) fn failed(&self, error: &Error) {
        match error {
            Error::Invalid { .. } => self.refuse(Reason::InvalidArgument),
            Error::NonFiniteNorm { .. } => self.refuse(Reason::NonfiniteNorm),
            Error::RequestTooLarge { .. } | Error::TooManyParts { .. } | Error::ResponseTooLarge { .. } => {
                self.refuse(Reason::MessageTooLarge)
            }
            Error::Unreadable { .. } => self.refuse(Reason::Unreadable),
            Error::DeadlineExceeded => self.refuse(Reason::DeadlineExceeded),
            Error::ShuttingDown => self.refuse(Reason::ShuttingDown),
            Error::NotOneMessage { .. } => self.refuse(Reason::NotOneMessage),
            Error::Overloaded { .. } => self.refuse(Reason::Overloaded),
            Error::Unauthenticated => self.refuse(Reason::Unauthenticated),
            Error::Stalled => self.refuse(Reason::Stalled),
            Error::Panicked => self.panics.add(1),
            // Nobody was refused anything; the call's code tells.
            Error::Cancelled => {}
        }
    }
}
