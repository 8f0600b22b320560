//! Elements whose results fit float64 while numbers on the way to them overflow or lose digits.

use super::{power::power, wide::Wide};
use crate::lanes::{DoubleDouble, two_sum};

/// What rounding takes of a subnormal `xh` is no more than some units of the result, if the weight is no larger.
pub(super) const UNLIFTED: f64 = 2.0;
/// What everything is multiplied by where a weight is larger. With weights of up to [`MOST_WEIGHT`] an `xh` that is to be a
/// number has all its digits then.
pub(super) const LIFT: f64 = power(400);
const MOST_WEIGHT: f64 = power(300);
const MOST_BIAS: f64 = power(500);
/// Means and `1 / sqrt(var + eps)` that are given may be as large, and the latter the reciprocal of that.
const MOST_STATISTIC: f64 = power(400);

/// Of deviations that are above so many tails of the mean, what a tail lacks is nothing even where a bias leaves 2^-10 of them.
const FAR: f64 = power(13);

/// Whether float64 may have no room for products with such a weight, or for such a bias where everything is lifted.
pub(super) fn is_affine(weight: f64, bias: f64, lift: f64) -> bool {
    weight.abs() > MOST_WEIGHT || lift > 1.0 && bias.abs() > MOST_BIAS
}

/// Whether a bias may cancel a deviation of which what the mean's tail lacks is more than the last place. `tail`: of the mean.
pub(super) fn may_cancel(tail: f64, rstd: f64, weight: f64, bias: f64) -> bool {
    bias != 0.0 && bias.abs() <= FAR * (tail * rstd * weight).abs()
}

/// Whether differences from such a mean, or products with such an `rstd`, may be beyond float64.
pub(super) fn is_statistic(mean: f64, rstd: f64) -> bool {
    let is_of_a_variance = rstd.is_finite() && rstd != 0.0;
    mean.abs() > MOST_STATISTIC || is_of_a_variance && !(1.0 / MOST_STATISTIC..=MOST_STATISTIC).contains(&rstd)
}

/// An element's difference from the mean, with all its digits where the mean's tail is most of it. `rest`: what that tail lacks.
#[inline(always)]
pub(super) fn close_deviation(x: f64, mean: DoubleDouble, rest: f64) -> DoubleDouble {
    let (high, lost) = two_sum(x, -mean.high);
    let (high, low) = two_sum(high, -mean.low);
    DoubleDouble { high, low: low + (lost - rest) }
}

/// The statistics, weight and bias of one element.
#[derive(Clone, Copy)]
pub(super) struct One {
    pub(super) mean: DoubleDouble,
    /// What the mean lacks.
    pub(super) rest: f64,
    pub(super) rstd: DoubleDouble,
    pub(super) weight: f64,
    pub(super) bias: f64,
}

impl One {
    /// The element, normalized, in float64.
    #[inline(always)]
    pub(super) fn plainly(self, x: f64) -> f64 {
        (x - self.mean.high - self.mean.low) * self.rstd.high * self.weight + self.bias
    }

    /// The element of this deviation from the mean in twice that precision, times `lift`.
    #[inline(always)]
    pub(super) fn of_deviation(self, deviation: DoubleDouble, lift: f64) -> DoubleDouble {
        let rstd = DoubleDouble { high: self.rstd.high * lift, low: self.rstd.low * lift };
        deviation.times(rstd).times(DoubleDouble::from(self.weight)).plus(DoubleDouble::from(self.bias * lift))
    }

    /// In numbers of any size. `exponent`: that of the power of two by which `x` would have to be multiplied to be of the scale
    /// of the statistics.
    pub(super) fn widely(self, x: f64, exponent: i32) -> f64 {
        if ![x, self.mean.high, self.rstd.high, self.weight, self.bias].iter().all(|number| number.is_finite()) {
            return self.plainly(x);
        }
        let deviation =
            Wide::new(DoubleDouble::from(x), exponent).minus(Wide::new(self.mean, 0)).minus(Wide::from(self.rest));
        let xh = deviation.times(Wide::new(self.rstd, 0));
        xh.times(Wide::from(self.weight)).plus(Wide::from(self.bias)).value()
    }
}
