//! What one connection does of a load.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use crate::{
    ended::{Ended, Record},
    pace::{Next, Pace},
};

/// What one connection does of a load. It outlives the connection, so that another one can go on.
#[derive(Debug)]
pub struct Worker<R> {
    /// Says when calls begin, for all workers.
    pub pace: Arc<Pace>,
    /// The most calls in flight.
    pub concurrency: usize,
    /// Takes the calls that have ended.
    pub record: R,
    /// When the next call is due, if one was taken on.
    due: Option<Instant>,
    is_over: bool,
}

impl<R: Record> Worker<R> {
    /// A worker that has not begun.
    pub fn new(pace: Arc<Pace>, concurrency: usize, record: R) -> Self {
        Self { pace, concurrency, record, due: None, is_over: false }
    }

    /// Whether calls may still begin.
    pub fn goes_on(&self) -> bool {
        !self.is_over
    }

    /// The time at which the next call should begin, which may have passed; `None`: there is none.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        if self.due.is_none() && !self.is_over {
            match self.pace.next() {
                Next::Now => self.due = Some(Instant::now()),
                Next::At(due) => self.due = Some(due),
                Next::Never => self.is_over = true,
            }
        }
        self.due
    }

    /// The call that was next has begun.
    pub(crate) fn began(&mut self) {
        self.due = None;
    }

    /// Takes a call that has ended. `Break`: the record wants no more.
    pub(crate) fn take(&mut self, call: Ended) -> ControlFlow<()> {
        let flow = self.record.ended(call);
        if flow.is_break() {
            (self.is_over, self.due) = (true, None);
        }
        flow
    }
}
