//! The times at which the calls of an open loop are due.

use std::time::Duration;

/// How the rate of calls changes, in calls per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// The same rate all the time.
    Const {
        /// Above 0.
        rate: f64,
    },
    /// A rate that changes at once, and then stays for a while.
    Step {
        /// The first rate, above 0.
        start: f64,
        /// Added with each step; below 0 the rate falls.
        step: f64,
        /// How long each rate stays.
        every: Duration,
        /// The last rate, which then stays. Where `step` is below 0 it must be there. 0: no calls are made from there on.
        end: Option<f64>,
    },
    /// A rate that changes steadily.
    Line {
        /// The first rate.
        start: f64,
        /// Added with each second; below 0 the rate falls.
        slope: f64,
        /// The last rate, as for `Step`.
        end: Option<f64>,
    },
}

/// The most different rates of a schedule.
const MOST: usize = 10_000;

/// A rate that would take more than so many steps to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unending;

/// A part of a schedule, up to the beginning of the next one; the last one has no end.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// In seconds.
    begins: f64,
    /// The number of calls that are due before.
    before: f64,
    rate: f64,
    /// The change of the rate in a second.
    slope: f64,
}

/// The times at which calls are due, from the beginning of the load. Call 0 is due at once.
#[derive(Clone, Debug)]
pub struct Schedule(Vec<Segment>);

impl Schedule {
    /// A schedule for a load that ends after so much time, or so many calls.
    ///
    /// # Errors
    /// The rate takes more than 10,000 steps.
    pub fn new(shape: Shape, lasts: Option<Duration>, calls: Option<u64>) -> Result<Self, Unending> {
        let first = |rate, slope| Segment { begins: 0.0, before: 0.0, rate, slope };
        match shape {
            Shape::Const { rate } => Ok(Self(vec![first(rate, 0.0)])),
            Shape::Line { start, slope, end } => {
                let mut segments = vec![first(start, slope)];
                let end = end.or((slope < 0.0).then_some(0.0)).filter(|_| slope != 0.0);
                if let Some(end) = end {
                    let takes = ((end - start) / slope).max(0.0);
                    let last = segments[0].count(takes);
                    segments.push(Segment { begins: takes, before: last, rate: end, slope: 0.0 });
                }
                Ok(Self(segments))
            }
            Shape::Step { start, step, every, end } => {
                let every = every.as_secs_f64();
                let lasts = lasts.map(|lasts| lasts.as_secs_f64());
                let mut segments = vec![first(start, 0.0)];
                while let Some(last) = segments.last().copied() {
                    let is_over = lasts.is_some_and(|lasts| last.begins + every >= lasts)
                        || calls.is_some_and(|calls| last.count(last.begins + every) >= calls as f64);
                    let is_last = step == 0.0 || last.rate <= 0.0 || end == Some(last.rate);
                    if is_over || is_last {
                        break;
                    }
                    if segments.len() == MOST {
                        return Err(Unending);
                    }
                    let next = last.rate + step;
                    let rate = match end {
                        Some(end) if step > 0.0 => next.min(end),
                        Some(end) => next.max(end),
                        None => next.max(0.0),
                    };
                    let begins = last.begins + every;
                    segments.push(Segment { begins, before: last.count(begins), rate, slope: 0.0 });
                }
                Ok(Self(segments))
            }
        }
    }

    /// When a call is due, from the beginning; `None`: never, since the rate has come to 0.
    pub fn due(&self, index: u64) -> Option<Duration> {
        let index = index as f64;
        let at = self.0.partition_point(|segment| segment.before <= index).max(1) - 1;
        let seconds = self.0[at].time(index)?;
        // A segment that ends before its call is due has a next one, which has the call.
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// How many calls are due at this time or before.
    pub fn count(&self, at: Duration) -> u64 {
        let seconds = at.as_secs_f64();
        let segment = self.0.partition_point(|segment| segment.begins <= seconds).max(1) - 1;
        // Call 0 is due at 0. A number that was computed from a time may be off by the last bit: the times of calls decide.
        let mut count = self.0[segment].count(seconds) as u64 + 2;
        while count > 0 && self.due(count - 1).is_none_or(|due| due > at) {
            count -= 1;
        }
        count
    }

    /// The rate at this time, in calls per second.
    pub fn rate(&self, at: Duration) -> f64 {
        let seconds = at.as_secs_f64();
        let segment = self.0[self.0.partition_point(|segment| segment.begins <= seconds).max(1) - 1];
        segment.rate + segment.slope * (seconds - segment.begins)
    }
}

impl Segment {
    /// How many calls are due before this time, counted as a real number.
    fn count(&self, seconds: f64) -> f64 {
        let within = seconds - self.begins;
        self.before + self.rate * within + self.slope * within * within / 2.0
    }

    /// The time at which so many calls have become due.
    fn time(&self, count: f64) -> Option<f64> {
        let missing = count - self.before;
        if missing == 0.0 {
            return Some(self.begins);
        }
        let within = if self.slope == 0.0 {
            missing / self.rate
        } else {
            // The smaller root of rate * t + slope * t^2 / 2 = missing, written so that nothing cancels.
            let root = (self.rate * self.rate + 2.0 * self.slope * missing).sqrt();
            2.0 * missing / (self.rate + root)
        };
        (within.is_finite()).then_some(self.begins + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(schedule: &Schedule, index: u64) -> Option<f64> {
        schedule.due(index).map(|due| due.as_secs_f64())
    }

    fn near(schedule: &Schedule, index: u64, expected: f64) {
        let due = seconds(schedule, index).expect("it is due");
        assert!((due - expected).abs() < 1e-8, "call {index} at {due}, not at {expected}");
    }

    #[test]
    fn calls_of_a_constant_rate_are_as_far_apart() {
        let schedule = Schedule::new(Shape::Const { rate: 4.0 }, None, None).expect("it has one rate");
        for index in [0, 1, 2, 1_000_000_000] {
            near(&schedule, index, index as f64 / 4.0);
        }
        let at = |milliseconds| schedule.count(Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(249), at(250), at(1000)], [1, 1, 2, 5]);
        // The number of calls that are due and the times at which they are agree, also where neither is exact.
        for rate in [3.0, 7.0, 999.0, 1e6 / 3.0] {
            let schedule = Schedule::new(Shape::Const { rate }, None, None).expect("it has one rate");
            for index in [1, 10, 12_345, 10_000_000] {
                let due = schedule.due(index).expect("it is due");
                let just_before = due - Duration::from_nanos(1);
                assert_eq!([schedule.count(due), schedule.count(just_before)], [index + 1, index], "{rate}");
            }
        }
    }

    #[test]
    fn steps_change_the_rate_and_no_call_is_lost_between_them() {
        let shape = Shape::Step { start: 2.0, step: 2.0, every: Duration::from_secs(1), end: Some(5.0) };
        let schedule = Schedule::new(shape, None, None).expect("it has three rates");
        // Two calls in the first second, four in the next, then five in each.
        for (index, due) in [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.25), (6, 2.0), (7, 2.2), (11, 3.0), (16, 4.0)] {
            near(&schedule, index, due);
        }
        assert_eq!(schedule.count(Duration::from_secs(3)), 12);
        assert_eq!([0, 1, 2, 9].map(|at| schedule.rate(Duration::from_secs(at))), [2.0, 4.0, 5.0, 5.0]);
        let falling = Shape::Step { start: 4.0, step: -3.0, every: Duration::from_secs(1), end: Some(0.0) };
        let schedule = Schedule::new(falling, None, None).expect("it ends");
        near(&schedule, 4, 1.0);
        assert_eq!(seconds(&schedule, 6), None, "the rate has come to 0");
    }

    #[test]
    fn a_line_rises_and_then_stays_or_falls_to_nothing() {
        let shape = Shape::Line { start: 0.0, slope: 2.0, end: Some(4.0) };
        let schedule = Schedule::new(shape, None, None).expect("it has two parts");
        // t^2 calls up to second 2, then four in each.
        for (index, due) in [(1, 1.0), (4, 2.0), (5, 2.25), (8, 3.0)] {
            near(&schedule, index, due);
        }
        let falling = Shape::Line { start: 4.0, slope: -2.0, end: None };
        let schedule = Schedule::new(falling, None, None).expect("it ends");
        near(&schedule, 3, 1.0);
        assert_eq!((seconds(&schedule, 5), schedule.count(Duration::from_secs(60))), (None, 5));
    }

    #[test]
    fn steps_end_with_the_load() {
        let shape = Shape::Step { start: 1.0, step: 1.0, every: Duration::from_millis(1), end: None };
        assert_eq!(Schedule::new(shape, None, None).map(|_| ()), Err(Unending));
        assert_eq!(Schedule::new(shape, Some(Duration::from_secs(60)), None).map(|_| ()), Err(Unending));
        for (lasts, calls) in [(Some(Duration::from_secs(1)), None), (None, Some(10))] {
            Schedule::new(shape, lasts, calls).expect("it ends soon");
        }
    }
}
