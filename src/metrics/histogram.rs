//! A histogram of durations without locks.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds of the buckets, in nanoseconds: 1, 2, 5 and so on from 10 us to 10 s. A small call takes tens of
/// microseconds; whatever takes more than 10 s is in the last bucket, which has no bound.
const BOUNDS: [u64; 19] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// The counts of durations, and their sum. Adding a duration takes two atomic additions.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)), nanos: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|&bound| bound < nanos);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sum in seconds, number, and the number in each bucket beside its bound in seconds.
    pub(crate) fn read(&self) -> (f64, u64, [(f64, u64); BOUNDS.len() + 1]) {
        let buckets = array::from_fn(|index| {
            let bound = BOUNDS.get(index).map_or(f64::INFINITY, |&nanos| seconds(nanos));
            (bound, self.buckets[index].load(Ordering::Relaxed))
        });
        let count = buckets.iter().map(|(_, count)| count).sum();
        (seconds(self.nanos.load(Ordering::Relaxed)), count, buckets)
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_below_their_bounds() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let (sum, count, buckets) = histogram.read();
        assert_eq!(count, 5);
        assert!((sum - 20.000_022).abs() < 1e-9, "{sum}");
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(1e-5, 2), (2e-5, 1), (10.0, 1), (f64::INFINITY, 1)]);
    }
}
