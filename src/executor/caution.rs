//! Short jobs that turn out to be long.
//!
//! An estimate knows how many elements there are, and not their values. Sums of values that cancel are computed again exactly,
//! which takes up to two hundred times as long. Thousands of such jobs on the threads that serve would hold up all other calls.
//! So after jobs have taken much longer than any that belongs there, jobs of their size run on the pool for a while.
//!
//! A single job may look long for reasons that are not its own: the kernel handles interrupts in its time, or gives it memory. One
//! such job in ten thousand must not send all others away, since the way to the pool and back doubles the time of a short job. So
//! the time of long jobs is a debt, which is paid off while time passes, and caution begins when the debt is large.

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

/// The time of long jobs that is no reason for caution: a few jobs that only seemed long.
const FORGIVEN: Duration = Duration::from_millis(2);
/// The debt of a job is paid off in this many times the job's own time. Long jobs that take a smaller part of a thread's time
/// hardly hold up others.
const PAID_IN: u32 = 16;

/// Whether jobs that are expected to be short run on the pool, since some of them have turned out to be long.
#[derive(Debug)]
pub(super) struct Caution {
    /// How long caution holds after a long job.
    lasts: Duration,
    begin: Instant,
    /// The nanoseconds from `begin` until the debt of long jobs is paid off.
    paid: AtomicU64,
    /// The nanoseconds from `begin` to the end of caution; 0 if there was no reason for it yet.
    until: AtomicU64,
}

impl Caution {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, begin: Instant::now(), paid: AtomicU64::new(0), until: AtomicU64::new(0) }
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
        let time = worked().saturating_sub(before);
        if time > LONG {
            self.add(time);
        }
        result
    }

    /// Adds the time of a long job to the debt.
    fn add(&self, time: Duration) {
        let now = self.begin.elapsed();
        let debt = nanos(time * PAID_IN);
        self.paid.fetch_max(nanos(now), Ordering::Relaxed);
        let owed = self.paid.fetch_add(debt, Ordering::Relaxed) + debt - nanos(now);
        if owed > nanos(FORGIVEN * PAID_IN) {
            self.until.store(nanos(now + self.lasts), Ordering::Relaxed);
        }
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
        caution.watch(SHORT, || work_for(2 * FORGIVEN));
        assert!(caution.sends_away(SHORT) && !caution.sends_away(HARMLESS / 2));
        let brief = Caution::new(Duration::ZERO);
        brief.watch(SHORT, || work_for(2 * FORGIVEN));
        assert!(!brief.sends_away(SHORT));
    }

    /// Jobs of which each alone is forgiven, one after the other.
    #[test]
    fn many_long_jobs_send_others_away() {
        let caution = Caution::new(Duration::from_secs(3600));
        let sent_away = (1..=100).find(|_| {
            caution.watch(SHORT, || work_for(2 * LONG));
            caution.sends_away(SHORT)
        });
        assert!(sent_away.is_some_and(|jobs| jobs > 1), "{sent_away:?}");
    }

    /// The same with pauses in which the debt is paid off.
    #[test]
    fn long_jobs_now_and_then_send_none_away() {
        let caution = Caution::new(Duration::from_secs(3600));
        for _ in 0..20 {
            caution.add(FORGIVEN / 2);
            #[expect(clippy::disallowed_methods, reason = "time itself pays the debt")]
            std::thread::sleep(FORGIVEN / 2 * PAID_IN);
            assert!(!caution.sends_away(SHORT));
        }
    }

    /// A job that waits does not hold up its thread's core.
    #[test]
    fn waiting_is_no_work() {
        let caution = Caution::new(Duration::from_secs(3600));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            work_for(2 * FORGIVEN);
            sender.send(())
        });
        caution.watch(SHORT, || receiver.recv()).expect("it is sent");
        assert!(!caution.sends_away(SHORT));
    }
}
