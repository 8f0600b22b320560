//! Short jobs that turn out to be long.
//!
//! An estimate knows how many elements there are, and not their values. Sums of values that cancel are computed again exactly,
//! which takes up to two hundred times as long. Thousands of such jobs on the threads that serve would hold up all other calls.
//! So after a job has taken much longer than any that belongs there, jobs of its size run on the pool for a while.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::{INLINE, inline};

/// Jobs that are expected to take less are short whatever their values are, and are not timed: two hundred times as long is still
/// short enough.
const HARMLESS: Duration = Duration::from_nanos(500);

/// The time of a job that belongs on the pool. The clock is that of the thread's own work, so that a job which has to wait for a
/// core is not taken for a long one.
const LONG: Duration = Duration::from_nanos(4 * INLINE.as_nanos() as u64);

/// Whether jobs that are expected to be short run on the pool, since one of them has turned out to be long.
#[derive(Debug)]
pub(super) struct Caution {
    /// How long caution holds after a long job.
    lasts: Duration,
    begin: Instant,
    /// The nanoseconds from `begin` to the end of caution; 0 if no job has been long.
    until: AtomicU64,
}

impl Caution {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, begin: Instant::now(), until: AtomicU64::new(0) }
    }

    /// Whether a job that is expected to take so long runs on the pool.
    pub(super) fn sends_away(&self, estimate: Duration) -> bool {
        if estimate < HARMLESS {
            return false;
        }
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && nanos(self.begin.elapsed()) < until
    }

    /// Runs a short job on this thread.
    pub(super) fn watch<T>(&self, estimate: Duration, job: impl FnOnce() -> T) -> T {
        if estimate < HARMLESS {
            return job();
        }
        inline::prepare();
        let before = worked();
        let result = job();
        if worked().saturating_sub(before) > LONG {
            self.until.store(nanos(self.begin.elapsed() + self.lasts), Ordering::Relaxed);
        }
        result
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The time for which this thread has run.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(10);

    fn work_for(time: Duration) {
        let before = worked();
        while worked() - before < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_long_job_sends_others_away_for_a_while() {
        let caution = Caution::new(Duration::from_secs(3600));
        caution.watch(SHORT, || work_for(SHORT));
        assert!(!caution.sends_away(SHORT));
        caution.watch(SHORT, || work_for(2 * LONG));
        assert!(caution.sends_away(SHORT) && !caution.sends_away(HARMLESS / 2));
        let brief = Caution::new(Duration::ZERO);
        brief.watch(SHORT, || work_for(2 * LONG));
        assert!(!brief.sends_away(SHORT));
    }

    /// A job that waits does not hold up its thread's core.
    #[test]
    fn waiting_is_no_work() {
        let caution = Caution::new(Duration::from_secs(3600));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            work_for(4 * LONG);
            sender.send(())
        });
        caution.watch(SHORT, || receiver.recv()).expect("it is sent");
        assert!(!caution.sends_away(SHORT));
    }
}
