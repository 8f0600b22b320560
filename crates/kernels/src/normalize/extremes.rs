//! Elements whose results fit float64 while numbers on the way to them overflow or lose digits.

use super::{
    power::{power, times_power},
    wide::Wide,
};
use crate::lanes::{DoubleDouble, two_sum};

/// Float64 results are multiplied by this number until they are rounded. Then, with weights of up to [`MOST_WEIGHT`],
/// an `xh` whose product with the weight is a normal number has all its digits. The number is the same for every
/// weight, so that no element depends on the weight of another.
pub(super) const LIFT: f64 = power(400);
const MOST_WEIGHT: f64 = power(300);
const MOST_BIAS: f64 = power(500);
/// The largest mean and `rstd` that may be given; its reciprocal is the smallest `rstd`.
const MOST_STATISTIC: f64 = power(400);

/// In a deviation of more than so many tails of the mean, the remainder of the tail is negligible, even if a bias
/// cancels all but 2^-10 of the deviation.
const FAR: f64 = power(13);

/// Whether float64 may have no room for products with such a weight, or for such a bias where everything `is_lifted`.
pub(super) fn is_affine(weight: f64, bias: f64, is_lifted: bool) -> bool {
    weight.abs() > MOST_WEIGHT || is_lifted && bias.abs() > MOST_BIAS
}

/// Whether a bias may cancel so much of a deviation that the remainder of the mean's tail counts. `tail`: that of the
/// mean.
pub(super) fn may_cancel(tail: f64, rstd: f64, weight: f64, bias: f64) -> bool {
    bias != 0.0 && bias.abs() <= FAR * (tail * rstd * weight).abs()
}

/// Whether differences from such a mean, or products with such an `rstd`, may be beyond float64.
pub(super) fn is_statistic(mean: f64, rstd: f64) -> bool {
    let is_of_a_variance = rstd.is_finite() && rstd != 0.0;
    mean.abs() > MOST_STATISTIC || is_of_a_variance && !(1.0 / MOST_STATISTIC..=MOST_STATISTIC).contains(&rstd)
}

/// An element's difference from the mean, with all its digits where the mean's tail is most of it. `rest`: the
/// remainder of the tail.
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
    /// The remainder of the mean's tail.
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

    /// The element of this deviation from the mean, normalized, in twice that precision, times [`LIFT`].
    #[inline(always)]
    pub(super) fn of_deviation(self, deviation: DoubleDouble) -> DoubleDouble {
        let rstd = DoubleDouble { high: self.rstd.high * LIFT, low: self.rstd.low * LIFT };
        deviation.times(rstd).times(DoubleDouble::from(self.weight)).plus(DoubleDouble::from(self.bias * LIFT))
    }

    /// The element, normalized, computed in numbers of any size. `exponent`: that of the power of two by which `x` must
    /// be multiplied to be in the scale of the statistics.
    pub(super) fn widely(self, x: f64, exponent: i32) -> f64 {
        let scaled = times_power(x, exponent);
        if ![x, self.mean.high, self.rstd.high, self.weight, self.bias].iter().all(|number| number.is_finite()) {
            return self.plainly(scaled);
        }
        let deviation =
            Wide::new(DoubleDouble::from(x), exponent).minus(Wide::new(self.mean, 0)).minus(Wide::from(self.rest));
        let product = deviation.times(Wide::new(self.rstd, 0)).times(Wide::from(self.weight));
        if product.is_zero() {
            // A wide zero has no sign, so plain arithmetic gives it.
            let side = if deviation.is_zero() { scaled - self.mean.high - self.mean.low } else { deviation.sign() };
            return 0.0_f64.copysign(side) * 1.0_f64.copysign(self.weight) + self.bias;
        }
        product.plus(Wide::from(self.bias)).value()
    }
}
