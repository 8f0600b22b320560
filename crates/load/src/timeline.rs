//! Latencies over the time of a load, in as many bins as a plot can show.

use std::time::Duration;

use crate::latencies::Latencies;

/// The most bins; if a load lasts longer, two become one.
const BINS: usize = 120;
/// The width of bins at first.
const WIDTH: Duration = Duration::from_millis(50);
/// Enough for a plot.
const DIGITS: u8 = 2;

/// The calls that were due in an interval.
#[derive(Clone, Debug)]
pub struct Bin {
    /// Of those that succeeded.
    pub latencies: Latencies,
    /// How many failed.
    pub failed: u64,
}

/// Bins of the same width, from the beginning of a load on.
#[derive(Clone, Debug)]
pub struct Timeline {
    width: Duration,
    bins: Vec<Bin>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: WIDTH, bins: Vec::new() }
    }
}

impl Default for Bin {
    fn default() -> Self {
        Self { latencies: Latencies::new(DIGITS), failed: 0 }
    }
}

impl Timeline {
    /// The bin of a call that was due so long after the beginning.
    pub fn at(&mut self, time: Duration) -> &mut Bin {
        let index = loop {
            let index = (time.as_nanos() / self.width.as_nanos()) as usize;
            if index < BINS {
                break index;
            }
            self.widen();
        };
        if self.bins.len() <= index {
            self.bins.resize_with(index + 1, Bin::default);
        }
        &mut self.bins[index]
    }

    /// The width of a bin.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The bins, the last of which has a call.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    fn widen(&mut self) {
        self.width *= 2;
        let pairs = std::mem::take(&mut self.bins);
        self.bins = pairs
            .chunks(2)
            .map(|pair| {
                let mut both = Bin::default();
                for Bin { latencies, failed } in pair {
                    both.latencies.merge(latencies);
                    both.failed += failed;
                }
                both
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_loads_have_wider_bins_and_no_call_is_lost() {
        let mut timeline = Timeline::default();
        for second in 0..1000 {
            timeline.at(Duration::from_secs(second)).latencies.add(Duration::from_millis(second + 1));
            timeline.at(Duration::from_secs(second)).failed += 1;
        }
        assert!(timeline.bins().len() <= BINS && timeline.width() * BINS as u32 > Duration::from_secs(999));
        let all: u64 = timeline.bins().iter().map(|bin| bin.latencies.count()).sum();
        let failed: u64 = timeline.bins().iter().map(|bin| bin.failed).sum();
        assert_eq!((all, failed), (1000, 1000));
        // Each has the calls of its own interval.
        let per_bin = timeline.width().as_secs_f64();
        let third = timeline.bins()[2].latencies.longest().as_secs_f64() * 1000.0;
        assert!(third <= 3.0 * per_bin * 1.02 + 1.0 && third > 2.0 * per_bin, "{third} of {per_bin}");
    }
}
