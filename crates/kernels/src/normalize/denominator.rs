//! What the elements of a set are divided by.

use super::{NormKind, power::times_power};
use crate::{DType, lanes::DoubleDouble};

/// `max(sqrt(var + added), least)`, where `var` is the mean of the squares of a set, or their sum. So it is
/// `sqrt(var + eps)`, or a norm that is at least eps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Denominator {
    /// What a sum over the elements of a set is divided by: their number, or 1.
    pub(super) share: f64,
    pub(super) added: f64,
    pub(super) least: f64,
}

impl Denominator {
    /// For sets of `n` elements of this dtype.
    pub(super) fn of(kind: NormKind, eps: f64, dtype: DType, n: usize) -> Self {
        if !kind.divides_by_norm() {
            return Self { share: n as f64, added: eps, least: 0.0 };
        }
        // The reciprocal of a subnormal eps would be infinite, and NaN times a zero. Norms of float32 and half elements are 0
        // or far above the smallest normal float64; those of float64 are scaled.
        let least = if eps > 0.0 && dtype != DType::F64 { eps.max(f64::MIN_POSITIVE) } else { eps };
        Self { share: 1.0, added: 0.0, least }
    }

    /// Its reciprocal.
    #[inline(always)]
    pub(super) fn reciprocal(self, var: f64) -> f64 {
        let sum = var + self.added;
        // A sum of two numbers that float64 has is at most twice one that it has.
        let root = if sum == f64::INFINITY { 2.0 * (var / 4.0 + self.added / 4.0).sqrt() } else { sum.sqrt() };
        1.0 / if root < self.least { self.least } else { root } // `f64::max` would make a number of NaN
    }

    /// The same in twice the precision, for elements that were multiplied by the power of two with this exponent.
    pub(super) fn reciprocal_double_double(self, var: DoubleDouble, exponent: i32) -> DoubleDouble {
        let least = times_power(self.least, exponent);
        if least > 0.0 && var.minus(DoubleDouble::product(least, least)).high < 0.0 {
            return DoubleDouble::from(1.0).over(least).normalized();
        }
        if exponent < 0 && var.high == 0.0 {
            // Scaled down, eps may be nothing. It is nothing to any variance that needs that, but to 0.
            let DoubleDouble { high, low } = reciprocal_root(DoubleDouble::from(self.added));
            return DoubleDouble { high: times_power(high, -exponent), low: times_power(low, -exponent) };
        }
        let added = times_power(self.added, 2 * exponent);
        if var.high + added == f64::INFINITY {
            let quarter = DoubleDouble { high: var.high / 4.0, low: var.low / 4.0 };
            let DoubleDouble { high, low } = reciprocal_root(quarter.plus(DoubleDouble::from(added / 4.0)));
            return DoubleDouble { high: high / 2.0, low: low / 2.0 };
        }
        reciprocal_root(var.plus(DoubleDouble::from(added)))
    }

    /// Its square, where float64 has room for that.
    pub(super) fn square(self, var: f64) -> f64 {
        let (square, least) = (var + self.added, self.least * self.least);
        if square < least { least } else { square }
    }
}

/// `1 / sqrt(x)`.
fn reciprocal_root(x: DoubleDouble) -> DoubleDouble {
    let DoubleDouble { high: x, low } = if x.high.is_finite() { x.normalized() } else { x };
    // 0, infinity and NaN have no more digits; nor has what is below 0.
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&x) {
        return DoubleDouble::from(1.0 / x.sqrt());
    }
    // Of a number near 1 nothing is below the smallest number. A power of four and its root round nothing.
    let half = ((x.to_bits() >> 52) as i32 - 1023) / 2;
    let power = |exponent: i32| f64::from_bits(((1023 + exponent) as u64) << 52);
    let (x, low) = (x * power(-half) * power(-half), low * power(-half) * power(-half));
    let root = x.sqrt();
    let high = 1.0 / root;
    let root_low = (root.mul_add(-root, x) + low) / (2.0 * root);
    let DoubleDouble { high, low } =
        DoubleDouble { high, low: high * (root.mul_add(-high, 1.0) - root_low * high) }.normalized();
    DoubleDouble { high: high * power(-half), low: low * power(-half) }
}
