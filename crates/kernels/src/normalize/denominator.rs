//! The number that the elements of a set are divided by.

use super::{NormKind, power::times_power};
use crate::{DType, lanes::DoubleDouble};

/// `max(sqrt(var + added), least)`, where `var` is the mean of the squares of a set, or their sum. So it is
/// `sqrt(var + eps)`, or a norm that is at least eps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Denominator {
    /// The divisor of a sum over a set: the number of its elements, or 1 for a norm.
    pub(super) share: f64,
    /// eps; 0 for a norm.
    pub(super) added: f64,
    /// eps for a norm; else 0.
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

    /// The reciprocal of the denominator for this variance, or mean or sum of squares.
    #[inline(always)]
    pub(super) fn reciprocal(self, var: f64) -> f64 {
        let sum = var + self.added;
        // If the sum of two finite numbers overflows, the sum of their quarters does not.
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
            // Scaled down, eps may become 0. Beside a variance that needs such scaling eps is negligible, except beside
            // 0.
            let DoubleDouble { high, low } = reciprocal_root(DoubleDouble::from(self.added));
            return DoubleDouble { high: times_power(high, -exponent), low: times_power(low, -exponent) };
        }
        let added = times_power(self.added, 2 * exponent);
        if added == f64::INFINITY {
            // Scaled up, eps overflows. Beside it a variance that is scaled up is negligible.
            let DoubleDouble { high, low } = reciprocal_root(DoubleDouble::from(self.added));
            return DoubleDouble { high: times_power(high, -exponent), low: times_power(low, -exponent) };
        }
        if var.high + added == f64::INFINITY {
            let quarter = DoubleDouble { high: var.high / 4.0, low: var.low / 4.0 };
            let DoubleDouble { high, low } = reciprocal_root(quarter.plus(DoubleDouble::from(added / 4.0)));
            return DoubleDouble { high: high / 2.0, low: low / 2.0 };
        }
        reciprocal_root(var.plus(DoubleDouble::from(added)))
    }

    /// The square of the denominator; it may overflow.
    pub(super) fn square(self, var: f64) -> f64 {
        let (square, least) = (var + self.added, self.least * self.least);
        if square < least { least } else { square }
    }
}

/// `1 / sqrt(x)`.
fn reciprocal_root(x: DoubleDouble) -> DoubleDouble {
    let DoubleDouble { high: x, low } = if x.high.is_finite() { x.normalized() } else { x };
    // The results for 0, infinity, NaN and negative numbers have no second number.
    if !(x > 0.0 && x < f64::INFINITY) {
        return DoubleDouble::from(1.0 / x.sqrt());
    }
    if x < f64::MIN_POSITIVE {
        // A subnormal number has no second number. Its root is not subnormal.
        let DoubleDouble { high, low } = reciprocal_root(DoubleDouble::from(times_power(x, 200)));
        return DoubleDouble { high: times_power(high, 100), low: times_power(low, 100) };
    }
    // Scaled to near 1, no error term is subnormal. Products with a power of four, and with its root, are exact.
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
