//! Estimates of half results in float32.

use super::super::moments::Moments;
use crate::dtype::NEAR;

/// The statistics of a set as float32, for estimates of its results.
///
/// `mean` is the float32 nearest to the mean, so no other element is nearer to the mean; `tail` is the rest of the
/// mean. Differences from both have a relative error of at most three roundings. `rstd`, a weight, and the two products
/// add four: less than eight units in the last place.
///
/// That holds if all of them are normal numbers, and the result is normal or rounded only once: sums of float32 numbers
/// that are subnormal are exact.
#[derive(Clone, Copy)]
pub(super) struct Near {
    mean: f32,
    tail: f32,
    pub(super) rstd: f32,
}

const _: () = assert!(NEAR == 8);

impl Near {
    /// `None` if the numbers are so large or so small that the estimates would be wrong.
    #[inline(always)]
    pub(super) fn of(Moments { mean, tail, var, rstd }: Moments) -> Option<Self> {
        let nearest = mean as f32;
        let exact_rest = (mean - f64::from(nearest)) + tail;
        let rest = exact_rest as f32;
        let is_zero_or_above = |x: f32, power: i32| x == 0.0 || x.abs() >= 2f32.powi(power);
        // If the variance is finite, all elements are.
        let is_near = var.is_finite()
            && (2f64.powi(-20)..=2f64.powi(40)).contains(&rstd)
            && is_zero_or_above(nearest, -60)
            && is_zero_or_above(rest, -100)
            && (rest == 0.0) == (exact_rest == 0.0);
        is_near.then_some(Self { mean: nearest, tail: rest, rstd: rstd as f32 })
    }

    /// The estimate for an element. `factor`: `rstd`, times the weight.
    #[inline(always)]
    pub(super) fn of_one(self, x: f32, factor: f32) -> f32 {
        (x - self.mean - self.tail) * factor
    }
}
