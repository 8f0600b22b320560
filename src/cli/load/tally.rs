//! Counts calls, and keeps their latencies.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use evenkeel_load::{Ended, Latencies, Outcome, Record, Timeline};

use crate::shorten;

/// The significant digits of latencies.
const DIGITS: u8 = 3;
/// The most different errors that are kept apart.
const ERRORS: usize = 64;
/// The most bytes of an error.
const LONGEST: usize = 300;

/// The calls of a load that have ended. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Tally>>);

/// The calls of a load that have ended.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    began: Instant,
    /// Whether the latencies of failed calls count.
    counts_errors: bool,
    /// From the time at which a call was due to its end.
    pub(super) latencies: Latencies,
    /// From the time at which it was begun.
    pub(super) from_beginning: Latencies,
    pub(super) timeline: Timeline,
    /// By the code of gRPC. A wrong answer has code 0.
    pub(super) codes: BTreeMap<u32, u64>,
    /// By what is said about them.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) wrong: u64,
    pub(super) calls: u64,
    /// The bytes of answers.
    pub(super) received: u64,
    /// From the beginning to the end of the last call.
    pub(super) lasted: Duration,
}

impl Shared {
    pub(super) fn new(began: Instant, counts_errors: bool) -> Self {
        Self(Arc::new(Mutex::new(Tally {
            began,
            counts_errors,
            latencies: Latencies::new(DIGITS),
            from_beginning: Latencies::new(DIGITS),
            timeline: Timeline::default(),
            codes: BTreeMap::new(),
            errors: BTreeMap::new(),
            wrong: 0,
            calls: 0,
            received: 0,
            lasted: Duration::ZERO,
        })))
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Counts an error that is said in these words.
    pub(super) fn error(&mut self, words: String) {
        let words = match shorten::ends(&words, LONGEST / 2) {
            Some((beginning, end)) => format!("{beginning}…{end}"),
            None => words,
        };
        let is_new = !self.errors.contains_key(&words);
        let words = if is_new && self.errors.len() >= ERRORS { "other errors".to_owned() } else { words };
        *self.errors.entry(words).or_default() += 1;
    }

    fn add(&mut self, call: Ended) {
        let Ended { due, started, ended, outcome, received } = call;
        let (latency, from_beginning) = (ended.duration_since(due), ended.duration_since(started));
        self.calls += 1;
        self.received += received as u64;
        self.lasted = self.lasted.max(ended.duration_since(self.began));
        let bin = self.timeline.at(due.duration_since(self.began));
        let is_good = outcome == Outcome::Ok;
        if is_good || self.counts_errors {
            self.latencies.add(latency);
            self.from_beginning.add(from_beginning);
            bin.latencies.add(latency);
        }
        bin.failed += u64::from(!is_good);
        match outcome {
            Outcome::Ok => *self.codes.entry(0).or_default() += 1,
            Outcome::Wrong(difference) => {
                *self.codes.entry(0).or_default() += 1;
                self.wrong += 1;
                self.error(difference);
            }
            Outcome::Failed { code, message } => {
                *self.codes.entry(code).or_default() += 1;
                // As grpc-go and ghz say it.
                self.error(format!("rpc error: code = {} desc = {message}", evenkeel_load::code_name(code)));
            }
        }
    }
}

impl Record for Shared {
    fn ended(&mut self, call: Ended) -> ControlFlow<()> {
        self.tally().add(call);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(began: Instant, due: u64, started: u64, ended: u64, outcome: Outcome) -> Ended {
        let [due, started, ended] = [due, started, ended].map(|at| began + Duration::from_millis(at));
        Ended { due, started, ended, outcome, received: 10 }
    }

    #[test]
    fn latencies_count_from_the_time_at_which_calls_were_due() {
        let (began, failed) = (Instant::now(), Outcome::Failed { code: 8, message: "busy".to_owned() });
        let mut shared = Shared::new(began, false);
        for call in [
            call(began, 0, 0, 5, Outcome::Ok),
            call(began, 100, 1100, 1110, Outcome::Ok),
            call(began, 200, 200, 201, failed.clone()),
            call(began, 300, 300, 301, Outcome::Wrong("other bytes".to_owned())),
        ] {
            assert!(shared.ended(call).is_continue());
        }
        let tally = shared.tally();
        let near = |given: Duration, milliseconds: f64| (given.as_secs_f64() * 1e3 / milliseconds - 1.0).abs() < 2e-3;
        assert!(near(tally.latencies.longest(), 1010.0) && near(tally.from_beginning.longest(), 10.0));
        assert_eq!((tally.calls, tally.latencies.count(), tally.received), (4, 2, 40));
        assert_eq!(tally.codes, BTreeMap::from([(0, 3), (8, 1)]));
        let errors = BTreeMap::from([
            ("other bytes".to_owned(), 1),
            ("rpc error: code = ResourceExhausted desc = busy".to_owned(), 1),
        ]);
        assert_eq!((&tally.errors, tally.wrong), (&errors, 1));
        assert_eq!(tally.lasted, Duration::from_millis(1110));
        drop(tally);

        let mut shared = Shared::new(began, true);
        let _ = shared.ended(call(began, 0, 0, 1, failed));
        assert_eq!(shared.tally().latencies.count(), 1);
    }

    #[test]
    fn many_different_errors_are_counted_together() {
        let shared = Shared::new(Instant::now(), false);
        (0..1000).for_each(|index| shared.tally().error(format!("{index}{}", "x".repeat(1000))));
        let tally = shared.tally();
        assert_eq!((tally.errors.len(), tally.errors["other errors"]), (ERRORS + 1, 1000 - ERRORS as u64));
        assert!(tally.errors.keys().all(|error| error.len() < 2 * LONGEST));
    }
}
