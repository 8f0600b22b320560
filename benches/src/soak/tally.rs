//! The outcomes and times of the calls.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use crate::statistics::percentile;

/// The outcomes that are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Outcome {
    /// The response has the bits of the reference.
    Right,
    /// An invalid request was refused with the status and message of the reference.
    Refused,
    /// The budget of bytes was used up, and the status had a RetryInfo.
    Overloaded,
    /// The deadline passed before the response was complete.
    OutOfTime,
    /// The caller left before the response was complete.
    Left,
    /// The server ended the call of a client that had stopped sending.
    GivenUp,
    /// A connection that did not speak HTTP/2, or sent nothing.
    NoCall,
}

impl Outcome {
    /// All outcomes. Each must occur in a run, or the traffic was not as described.
    pub(super) const ALL: [Self; 7] =
        [Self::Right, Self::Refused, Self::Overloaded, Self::OutOfTime, Self::Left, Self::GivenUp, Self::NoCall];
}

/// The classes of sizes, whose times are reported separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Up to 64 KiB.
    Small,
    /// 1 MiB and more.
    Large,
}

/// The times of a second's calls, in milliseconds; 0 where there were none.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    calls: usize,
    p50: f64,
    p99: f64,
    p999: f64,
}

/// Counts calls, and keeps their times and the failures.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    outcomes: BTreeMap<Outcome, u64>,
    small: Vec<f64>,
    large: Vec<f64>,
    /// The failures, and how often each occurred.
    failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn count(&self, outcome: Outcome) {
        *self.counts().outcomes.entry(outcome).or_default() += 1;
    }

    /// Counts a call with the right bits and keeps its time.
    pub(super) fn right(&self, class: Class, took: Duration) {
        let mut counts = self.counts();
        *counts.outcomes.entry(Outcome::Right).or_default() += 1;
        let milliseconds = took.as_secs_f64() * 1e3;
        match class {
            Class::Small => counts.small.push(milliseconds),
            Class::Large => counts.large.push(milliseconds),
        }
    }

    /// Counts a failure.
    pub(super) fn fail(&self, what: String) {
        *self.counts().failures.entry(what).or_default() += 1;
    }

    /// The times since the last call of this function.
    pub(super) fn window(&self) -> [Latency; 2] {
        let (small, large) = {
            let mut counts = self.counts();
            (std::mem::take(&mut counts.small), std::mem::take(&mut counts.large))
        };
        [small, large].map(|mut times| Latency {
            calls: times.len(),
            p50: percentile(&mut times, 0.5),
            p99: percentile(&mut times, 0.99),
            p999: percentile(&mut times, 0.999),
        })
    }

    pub(super) fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        self.counts().outcomes.clone()
    }

    pub(super) fn failures(&self) -> BTreeMap<String, u64> {
        self.counts().failures.clone()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
