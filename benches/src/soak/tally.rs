//! What the calls came to.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use crate::statistics::percentile;

/// How calls end that end as they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Outcome {
    /// Answered, with the bits of the reference.
    Right,
    /// A wrong request, refused with the words of the reference.
    Refused,
    /// The budget of bytes was used up; the caller was told when to come back.
    Overloaded,
    /// The deadline had passed before the answer was there.
    OutOfTime,
    /// The caller left before the answer was there.
    Left,
    /// A client that stopped sending was given up.
    GivenUp,
    /// A connection that did not speak HTTP/2, or nothing.
    NoCall,
}

impl Outcome {
    /// Each of these must have happened, or the traffic was not what it is said to be.
    pub(super) const ALL: [Self; 7] =
        [Self::Right, Self::Refused, Self::Overloaded, Self::OutOfTime, Self::Left, Self::GivenUp, Self::NoCall];
}

/// The sizes whose times are looked at together.
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

/// Counts calls, keeps their times, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    outcomes: BTreeMap<Outcome, u64>,
    small: Vec<f64>,
    large: Vec<f64>,
    /// What went wrong, and how often.
    failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn count(&self, outcome: Outcome) {
        *self.counts().outcomes.entry(outcome).or_default() += 1;
    }

    /// A call was answered with the right bits.
    pub(super) fn right(&self, class: Class, took: Duration) {
        let mut counts = self.counts();
        *counts.outcomes.entry(Outcome::Right).or_default() += 1;
        let milliseconds = took.as_secs_f64() * 1e3;
        match class {
            Class::Small => counts.small.push(milliseconds),
            Class::Large => counts.large.push(milliseconds),
        }
    }

    /// Something happened that must not.
    pub(super) fn fail(&self, what: String) {
        *self.counts().failures.entry(what).or_default() += 1;
    }

    /// The times since the last time.
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
