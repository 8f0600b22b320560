//! Detection of growth in samples that also rise and fall.

use serde::Serialize;

/// The growth of a number that is allowed from the beginning of a run to its end.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Allowed {
    /// A part of the number at the beginning.
    pub(super) part: f64,
    /// An amount besides, in the unit of the number.
    pub(super) besides: f64,
}

/// A number at the beginning of a run and at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Growth {
    /// The median over the first third of the samples.
    pub(super) first: f64,
    /// The median over the last third.
    pub(super) last: f64,
}

impl Growth {
    /// Of samples that were taken at equal distances, after the warm-up; `None` for fewer than nine, which are too few.
    ///
    /// It compares medians: a burst of large calls, which is no growth, does not move them, and a trend of any form
    /// does.
    pub(super) fn of(samples: &[f64]) -> Option<Self> {
        let third = samples.len() / 3;
        (third >= 3).then(|| Self { first: median(&samples[..third]), last: median(&samples[samples.len() - third..]) })
    }

    /// Whether the growth is more than is allowed.
    pub(super) fn exceeds(self, allowed: Allowed) -> bool {
        self.last > self.first * (1.0 + allowed.part) + allowed.besides
    }
}

fn median(samples: &[f64]) -> f64 {
    crate::statistics::Summary::of(samples.iter().copied()).median
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Allowed = Allowed { part: 0.05, besides: 8.0 };

    /// The memory of a server without a leak, in MiB: it rises and falls with the calls, by up to 40.
    fn level(seconds: usize) -> Vec<f64> {
        (0..seconds).map(|second| 200.0 + 40.0 * ((second * 7919 % 31) as f64 / 31.0)).collect()
    }

    fn exceeds(samples: &[f64]) -> bool {
        Growth::of(samples).expect("enough samples").exceeds(MEMORY)
    }

    #[test]
    fn what_rises_and_falls_does_not_grow() {
        for seconds in [9, 40, 540] {
            assert!(!exceeds(&level(seconds)), "{seconds}");
        }
    }

    #[test]
    fn a_burst_is_no_growth() {
        let mut samples = level(60);
        samples[50..58].fill(900.0);
        assert!(!exceeds(&samples));
    }

    #[test]
    fn a_leak_is_found_whatever_its_form() {
        let leaks: [fn(f64) -> f64; 4] = [
            |part| 60.0 * part,
            // In one step, late.
            |part| if part > 0.6 { 60.0 } else { 0.0 },
            // With falling speed.
            |part| 60.0 * part.sqrt(),
            // With rising speed.
            |part| 120.0 * part * part,
        ];
        for (index, leak) in leaks.into_iter().enumerate() {
            for seconds in [40, 540] {
                let leaking: Vec<f64> = level(seconds)
                    .into_iter()
                    .enumerate()
                    .map(|(second, x)| x + leak(second as f64 / seconds as f64))
                    .collect();
                assert!(exceeds(&leaking), "leak {index} over {seconds} samples");
            }
        }
    }

    #[test]
    fn few_samples_tell_nothing() {
        assert_eq!(Growth::of(&[1.0; 8]), None);
    }
}
