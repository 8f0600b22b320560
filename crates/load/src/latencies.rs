//! A histogram of latencies.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies with three significant digits, from a nanosecond on. The memory does not depend on their number.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    sum: f64,
}

impl Latencies {
    /// None yet; `digits`: how many significant digits they keep, from 1 to 5.
    ///
    /// # Panics
    /// If `digits` are more or fewer.
    pub fn new(digits: u8) -> Self {
        Self { histogram: Histogram::new(digits).expect("there are 1 to 5 digits"), sum: 0.0 }
    }

    /// Adds a latency.
    pub fn add(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
        if self.histogram.record(nanoseconds).is_err() {
            // It grows with the latencies, as long as there is memory.
            self.histogram.saturating_record(nanoseconds);
        }
        self.sum += nanoseconds as f64;
    }

    /// Adds those of another histogram of the same digits.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("the histogram grows");
        self.sum += other.sum;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Their mean; 0 if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.sum / self.count().max(1) as f64) as u64)
    }

    /// The shortest; 0 if there are none.
    pub fn shortest(&self) -> Duration {
        if self.count() == 0 { Duration::ZERO } else { Duration::from_nanos(self.histogram.min()) }
    }

    /// The longest; 0 if there are none.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// The latency that so many percent do not exceed; 0 if there are none.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_percentile(percent))
    }

    /// How many are above `from` and not above `to`, to the digits that are kept.
    pub fn between(&self, from: Duration, to: Duration) -> u64 {
        let [from, to] = [from, to].map(|it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        let counted = self.histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value()));
        counted.filter(|(value, _)| (from + 1..=to).contains(value)).map(|(_, count)| count).sum()
    }

    /// Each latency that occurs, to the digits that are kept, with how often it does, from the shortest on.
    pub fn recorded(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.histogram.iter_recorded().map(|it| (Duration::from_nanos(it.value_iterated_to()), it.count_at_value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_latencies() {
        let mut latencies = Latencies::new(3);
        for (count, mean) in [(latencies.count(), latencies.mean()), (0, latencies.longest())] {
            assert_eq!((count, mean), (0, Duration::ZERO));
        }
        assert_eq!((latencies.percentile(99.0), latencies.shortest()), (Duration::ZERO, Duration::ZERO));
        (1..=1000).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let mut others = Latencies::new(3);
        others.add(Duration::from_secs(3600));
        latencies.merge(&others);
        assert_eq!(latencies.count(), 1001);
        for (percent, seconds) in [(50.0, 0.501), (99.0, 0.991), (100.0, 3600.0)] {
            let given = latencies.percentile(percent).as_secs_f64();
            assert!((given / seconds - 1.0).abs() < 2e-3, "{percent}: {given}");
        }
        assert!((latencies.mean().as_secs_f64() - (500.5 + 3600.0) / 1001.0).abs() < 1e-6);
        assert_eq!(latencies.between(Duration::from_millis(1005), Duration::from_secs(4000)), 1);
        assert_eq!(latencies.between(Duration::ZERO, Duration::MAX), 1001);
    }
}
