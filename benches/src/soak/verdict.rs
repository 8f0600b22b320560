//! The checks of a soak.

use std::{collections::BTreeMap, process::ExitStatus};

use serde::Serialize;

use super::{
    growth::{Allowed, Growth},
    tally::Outcome,
    watch::{Sample, Series, gauge},
};
use crate::Result;

/// The growth of memory that is allowed: some pages are touched late, by a thread's first large call or a buffer of a
/// new size. A leak of some 20 bytes in each call exceeds this in ten minutes.
const MEMORY: Allowed = Allowed { part: 0.05, besides: 8.0 };
/// In one minute the late pages are a larger part: runs without a fault grew by up to 11 MiB of some 200. A leak of
/// some 300 bytes in each call still exceeds this.
const MEMORY_OF_A_SHORT_RUN: Allowed = Allowed { part: 0.05, besides: 18.0 };
/// The least number of samples, one a second, of a run that is not short.
const LONG: usize = 300;
/// Callers connect and disconnect, so the number of connections varies by a few.
const DESCRIPTORS: Allowed = Allowed { part: 0.0, besides: 8.0 };
const THREADS: Allowed = Allowed { part: 0.0, besides: 0.0 };
/// The most failures that are printed.
const TOLD: usize = 20;

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    /// The numbers.
    said: String,
}

/// The results of all checks.
#[derive(Debug, Serialize)]
pub(super) struct Verdict(Vec<Finding>);

impl Verdict {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    fn with(mut self, what: &'static str, good: bool, said: impl Into<String>) -> Self {
        self.0.push(Finding { what, good, said: said.into() });
        self
    }

    /// Checks that there were no failures.
    pub(super) fn failures(self, failures: BTreeMap<String, u64>) -> Self {
        let kinds = failures.len();
        let mut said: Vec<String> =
            failures.into_iter().take(TOLD).map(|(what, times)| format!("{times} times {what}")).collect();
        if kinds > TOLD {
            said.push(format!("and {} others", kinds - TOLD));
        }
        let said = if kinds == 0 { "none".to_owned() } else { said.join("\n        ") };
        self.with("wrong answers, unexpected ends", kinds == 0, said)
    }

    /// Checks that every outcome occurred, and that most calls succeeded.
    pub(super) fn outcomes(self, outcomes: &BTreeMap<Outcome, u64>) -> Self {
        let count = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
        let all = Outcome::ALL.map(|outcome| format!("{outcome:?} {}", count(outcome)));
        let good = Outcome::ALL.into_iter().all(|outcome| count(outcome) > 0);
        self.with("ends of calls", good && count(Outcome::Right) > 4 * count(Outcome::Overloaded), all.join(", "))
    }

    /// Checks that memory, descriptors and threads have not grown since the warm-up.
    pub(super) fn growth<'a>(self, samples: impl Iterator<Item = &'a Sample> + Clone) -> Self {
        type Number = fn(&Sample) -> f64;
        let memory = if samples.clone().count() < LONG { MEMORY_OF_A_SHORT_RUN } else { MEMORY };
        let numbers: [(_, Allowed, Number); 3] = [
            ("resident memory, MiB", memory, |sample| sample.resident_mib),
            ("open descriptors", DESCRIPTORS, |sample| sample.descriptors),
            ("threads", THREADS, |sample| sample.threads),
        ];
        numbers.into_iter().fold(self, |verdict, (what, allowed, number)| {
            let samples: Vec<f64> = samples.clone().map(number).collect();
            match Growth::of(&samples) {
                Some(growth) => {
                    let said = format!("{:.1} in the first third, {:.1} in the last", growth.first, growth.last);
                    verdict.with(what, !growth.exceeds(allowed), said)
                }
                None => verdict.with(what, false, "too few samples to tell"),
            }
        })
    }

    /// Checks that no call has made a new series of the metrics.
    pub(super) fn labels(self, new: Vec<String>) -> Self {
        let said = if new.is_empty() { "as before the first call".to_owned() } else { new.join(", ") };
        self.with("series of the metrics", new.is_empty(), said)
    }

    /// Checks that nothing is left after all callers have left.
    pub(super) fn rest(self, left: Vec<String>) -> Self {
        let said = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
        self.with("left when everybody has gone", left.is_empty(), said)
    }

    /// Checks that the pool keeps within its limit, and that nothing panicked.
    pub(super) fn numbers(self, series: &Series, pool: usize) -> Result<Self> {
        let (kept, panics) = (gauge(series, "evenkeel_buffers_kept_bytes")?, gauge(series, "evenkeel_panics_total")?);
        let said = format!("{:.1} of {:.1}", kept / f64::from(1 << 20), pool as f64 / f64::from(1 << 20));
        Ok(self.with("MiB in the pool", kept <= pool as f64, said).with("panics", panics == 0.0, panics.to_string()))
    }

    /// Checks that the server exited with 0 after SIGTERM.
    pub(super) fn exit(self, status: ExitStatus) -> Self {
        self.with("end of the server", status.success(), status.to_string())
    }

    pub(super) fn is_good(&self) -> bool {
        self.0.iter().all(|finding| finding.good)
    }

    pub(super) fn print(&self) {
        for Finding { what, good, said } in &self.0 {
            println!("{} {what}: {said}", if *good { "ok    " } else { "FAILED" });
        }
    }
}
