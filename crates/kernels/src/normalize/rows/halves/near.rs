//! Estimates of half results in float32.

use super::super::moments::Moments;
use crate::dtype::NEAR;

/// What elements are normalized by, as float32, where that is enough for an estimate.
///
/// `mean` is the nearest float32, so that an element which is another number is no nearer to the mean than that is; `tail`
/// is the rest of the mean. Differences from both are off by at most three roundings, as parts of themselves. `rstd`, a
/// weight, and the two products add four: less than eight units of the last place.
///
/// That holds where all of them are normal numbers, and the result is normal or rounded but once: sums of float32 numbers
/// round nothing that is subnormal.
#[derive(Clone, Copy)]
pub(super) struct Near {
    mean: f32,
    tail: f32,
    pub(super) rstd: f32,
}

const _: () = assert!(NEAR == 8);

impl Near {
    /// `None` where the numbers are so large or so small that estimates are none.
    #[inline(always)]
    pub(super) fn of(Moments { mean, tail, var, rstd }: Moments) -> Option<Self> {
        let nearest = mean as f32;
        let exact_rest = (mean - f64::from(nearest)) + tail;
        let rest = exact_rest as f32;
        let is_zero_or_above = |x: f32, power: i32| x == 0.0 || x.abs() >= 2f32.powi(power);
        // Of a finite variance all elements are finite.
        let is_near = var.is_finite()
            && (2f64.powi(-20)..=2f64.powi(40)).contains(&rstd)
            && is_zero_or_above(nearest, -60)
            && is_zero_or_above(rest, -100)
            && (rest == 0.0) == (exact_rest == 0.0);
        is_near.then_some(Self { mean: nearest, tail: rest, rstd: rstd as f32 })
    }

    /// An element, normalized. `factor`: `rstd`, times the weight.
    #[inline(always)]
    pub(super) fn of_one(self, x: f32, factor: f32) -> f32 {
        (x - self.mean - self.tail) * factor
    }
}
