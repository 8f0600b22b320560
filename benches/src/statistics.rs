//! Medians and percentiles. Other work of the machine moves a median less than a mean.

use serde::Serialize;

/// The median of some numbers, and their range.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// # Panics
    /// If there are none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let [min, max] = [sorted[0], sorted[sorted.len() - 1]];
        Self { median: (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0, min, max }
    }

    /// The summary of `a / b`, pair by pair.
    pub(crate) fn of_ratios(a: &[f64], b: &[f64]) -> Self {
        Self::of(a.iter().zip(b).map(|(a, b)| a / b))
    }
}

/// The smallest number that at least this part of the numbers does not exceed; 0 if there are none. Sorts the numbers.
pub(crate) fn percentile(numbers: &mut [f64], part: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let rank = (numbers.len() as f64 * part).ceil() as usize;
    numbers.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let Summary { median, min, max } = Summary::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((median, min, max), (2.5, 1.0, 4.0));
        assert_eq!(Summary::of([5.0, 1.0, 3.0]).median, 3.0);
        // The median of the ratios, not the ratio of the medians.
        assert_eq!(Summary::of_ratios(&[1.0, 9.0, 4.0], &[1.0, 3.0, 2.0]).median, 2.0);
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&mut hundred, 0.99), percentile(&mut hundred, 0.5)), (99.0, 50.0));
        assert_eq!(percentile(&mut [], 0.99), 0.0);
    }
}
