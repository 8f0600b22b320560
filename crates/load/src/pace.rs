//! When calls begin, and when no more do.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::schedule::Schedule;

/// What ends a load: no call begins after it.
#[derive(Clone, Debug)]
pub enum Until {
    /// So much time has passed.
    Elapsed(Duration),
    /// So many calls have begun.
    Calls(u64),
    /// The flag is set.
    Stopped(Arc<AtomicBool>),
}

/// Says when calls begin, for all connections of a load together.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    until: Until,
    schedule: Option<Schedule>,
    progress: Mutex<Progress>,
}

/// How far a load has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Calls that a connection has taken on.
    taken: u64,
    /// The most calls that were due at once and that no connection had taken on.
    behind: u64,
}

/// The next call of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It begins at once.
    Now,
    /// It is due then; it belongs to the connection that has asked.
    At(Instant),
    /// There is none.
    Never,
}

impl Until {
    /// Whether calls may begin, so long after the beginning and after so many calls.
    pub fn goes_on(&self, elapsed: Duration, begun: u64) -> bool {
        match self {
            Self::Elapsed(duration) => elapsed < *duration,
            Self::Calls(calls) => begun < *calls,
            Self::Stopped(flag) => !flag.load(Ordering::Relaxed),
        }
    }
}

impl Pace {
    /// A closed loop that begins now: a call begins as soon as there is room for it.
    pub fn closed(until: Until) -> Self {
        Self { began: Instant::now(), until, schedule: None, progress: Mutex::default() }
    }

    /// An open loop that begins now: calls are due by the schedule.
    pub fn open(schedule: Schedule, until: Until) -> Self {
        Self { schedule: Some(schedule), ..Self::closed(until) }
    }

    /// When the load began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The most calls of an open loop that were due at once and that no connection had taken on.
    pub fn behind(&self) -> u64 {
        self.progress().behind
    }

    /// The rate of an open loop at this time after its beginning, in calls per second; `None`: the loop is closed.
    pub fn rate(&self, at: Duration) -> Option<f64> {
        self.schedule.as_ref().map(|schedule| schedule.rate(at))
    }

    /// The calls of an open loop that are due at this time, or were due before the load's end, and were not taken on.
    pub fn untaken(&self, now: Instant) -> u64 {
        let Some(schedule) = &self.schedule else { return 0 };
        self.due(schedule, now.duration_since(self.began)).saturating_sub(self.progress().taken)
    }

    fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of calls that are due by then.
    fn due(&self, schedule: &Schedule, at: Duration) -> u64 {
        match self.until {
            // A call that is due at the very end does not begin.
            Until::Elapsed(duration) => schedule.count(at.min(duration.saturating_sub(Duration::from_nanos(1)))),
            Until::Calls(calls) => schedule.count(at).min(calls),
            Until::Stopped(_) => schedule.count(at),
        }
    }

    pub(crate) fn next(&self) -> Next {
        let now = Instant::now();
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.duration_since(self.began);
        if !self.until.goes_on(elapsed, progress.taken) {
            return Next::Never;
        }
        let Some(schedule) = &self.schedule else {
            progress.taken += 1;
            return Next::Now;
        };
        let Some(due) = schedule.due(progress.taken) else { return Next::Never };
        if matches!(self.until, Until::Elapsed(duration) if due >= duration) {
            return Next::Never;
        }
        let waiting = self.due(schedule, elapsed).saturating_sub(progress.taken + 1);
        progress.behind = progress.behind.max(waiting);
        progress.taken += 1;
        Next::At(self.began + due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn open(rate: f64, until: Until) -> Pace {
        Pace::open(Schedule::new(Shape::Const { rate }, None, None).expect("it has one rate"), until)
    }

    #[test]
    fn a_closed_loop_begins_so_many_calls() {
        let pace = Pace::closed(Until::Calls(2));
        assert_eq!([pace.next(), pace.next(), pace.next()], [Next::Now, Next::Now, Next::Never]);
        let flag = Arc::new(AtomicBool::new(false));
        let pace = Pace::closed(Until::Stopped(Arc::clone(&flag)));
        assert_eq!(pace.next(), Next::Now);
        flag.store(true, Ordering::Relaxed);
        assert_eq!(pace.next(), Next::Never);
        assert_eq!(Pace::closed(Until::Elapsed(Duration::ZERO)).next(), Next::Never);
    }

    #[test]
    fn an_open_loop_keeps_its_times_also_when_it_is_late() {
        let mut pace = open(1000.0, Until::Calls(1500));
        // A second has passed, and no connection has asked.
        pace.began -= Duration::from_secs(1);
        let began = pace.began;
        assert_eq!([pace.next(), pace.next()], [Next::At(began), Next::At(began + Duration::from_millis(1))]);
        assert!((1000..1500).contains(&pace.behind()), "{}", pace.behind());
        assert_eq!(pace.untaken(began + Duration::from_millis(100)), 99);
        // All that will ever be due.
        assert_eq!(pace.untaken(began + Duration::from_secs(60)), 1498);
    }

    #[test]
    fn calls_that_were_not_taken_on_before_the_end_are_counted() {
        let mut pace = open(10.0, Until::Elapsed(Duration::from_secs(2)));
        assert_eq!(pace.next(), Next::At(pace.began()));
        pace.began -= Duration::from_secs(5);
        assert_eq!((pace.next(), pace.untaken(Instant::now())), (Next::Never, 19));
    }
}
