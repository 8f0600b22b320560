//! The factor that gradients are multiplied by.

use super::directed::{parts, product_with_power_towards_zero, quotient_down, sum_up};

/// A factor in [0, 1], or NaN: `number * 2^power`.
///
/// The power is 0 where the number alone is a factor with all its digits. Otherwise the factor is below the smallest normal
/// number, and the number is in (0.5, 2): large gradients times such a factor are results with all their digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factor {
    pub(super) number: f64,
    pub(super) power: i32,
}

impl Factor {
    /// The factor 1, which changes nothing.
    pub(super) const NONE: Self = Self::plain(1.0);

    const fn plain(number: f64) -> Self {
        Self { number, power: 0 }
    }

    /// `threshold / (norm + epsilon)`, rounded to nearest, but at most 1. `epsilon` is finite, and none is negative.
    pub(super) fn nearest(threshold: f64, norm: f64, epsilon: f64) -> Self {
        if !norm.is_finite() || threshold.is_infinite() {
            let quotient = threshold / norm;
            // The canonical NaN: the sign of the NaN of infinity / infinity depends on the CPU.
            return Self::plain(if quotient.is_nan() { f64::NAN } else { quotient.min(1.0) });
        }
        if threshold == 0.0 {
            return Self::plain(0.0); // also of a norm of 0, without an epsilon
        }
        Self::quotient(threshold, norm, epsilon, |a, b| a + b, |a, b| a / b)
    }

    /// As [`nearest`](Self::nearest), but rounded down, and of finite numbers. `norm` is above 0; it may be infinite if
    /// it is a finite norm that was rounded up.
    pub(super) fn down(threshold: f64, norm: f64, epsilon: f64) -> Self {
        if threshold == 0.0 {
            return Self::plain(0.0);
        }
        Self::quotient(threshold, norm, epsilon, sum_up, quotient_down)
    }

    fn quotient(
        threshold: f64,
        norm: f64,
        epsilon: f64,
        add: impl Fn(f64, f64) -> f64,
        divide: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let sum = add(norm, epsilon);
        // A sum beyond float64 is replaced by half of it, which float64 can hold.
        let (divisor, doubled) = if sum.is_finite() { (sum, 0) } else { (add(half(norm), half(epsilon)), 1) };
        if divisor == 0.0 || doubled == 0 && threshold >= divisor {
            return Self::NONE;
        }
        if doubled == 0 {
            let quotient = divide(threshold, divisor);
            if quotient >= f64::MIN_POSITIVE {
                return Self::plain(quotient.min(1.0));
            }
        }
        let ((threshold, threshold_power), (divisor, divisor_power)) = (normalized(threshold), normalized(divisor));
        let (number, power) = (divide(threshold, divisor), threshold_power - divisor_power - doubled);
        if power > -1022 { Self::plain(number * power_of_two(power)) } else { Self { number, power } }
    }

    /// The nearest float64.
    pub(super) fn value(self) -> f64 {
        if self.power == 0 {
            return self.number;
        }
        // Only the last product rounds. Below 2^-1100 every factor rounds to 0.
        self.number * power_of_two(-600) * power_of_two(self.power.max(-1100) + 600)
    }

    /// The nearest float64 that is not above it.
    pub(super) fn value_down(self) -> f64 {
        if self.power == 0 { self.number } else { product_with_power_towards_zero(1.0, self.number, self.power) }
    }

    /// Three numbers whose product is the factor. An element that is multiplied by one after the other is rounded in
    /// the last step alone: if the result is not 0, the products before it are normal numbers.
    pub(super) fn steps(self) -> [f64; 3] {
        const LAST: i32 = -600;
        let rest = self.power - LAST;
        [power_of_two(rest / 2), power_of_two(rest - rest / 2), self.number * power_of_two(LAST)]
    }
}

/// Half of a number that is not negative, rounded up: for numbers below twice the smallest normal one it is the
/// smallest normal number. It is used only in sums beyond float64, where the difference is far below the rounding error
/// of the sum.
fn half(x: f64) -> f64 {
    if x.is_infinite() {
        power_of_two(1023) // an infinite norm that was rounded up was below 2^1024
    } else if x > 0.0 && x < 2.0 * f64::MIN_POSITIVE {
        f64::MIN_POSITIVE
    } else {
        x / 2.0
    }
}

/// A finite number above 0 as a number in [1, 2) and the exponent of a power of two.
fn normalized(x: f64) -> (f64, i32) {
    let (mantissa, exponent) = parts(x);
    let power = mantissa.ilog2() as i32;
    (mantissa as f64 * power_of_two(-power), exponent + power)
}

/// 2^power, for the exponent of a normal number.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((1023 + power) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(threshold: f64, norm: f64, epsilon: f64) -> f64 {
        Factor::nearest(threshold, norm, epsilon).value()
    }

    #[test]
    fn a_factor_that_is_nan_is_the_canonical_one() {
        assert_eq!(nearest(f64::INFINITY, f64::INFINITY, 1e-6).to_bits(), f64::NAN.to_bits());
        assert_eq!(nearest(1.0, -f64::NAN, 1e-6).to_bits(), f64::NAN.to_bits());
        assert_eq!(nearest(f64::INFINITY, f64::NAN, 1e-6).to_bits(), f64::NAN.to_bits());
        assert_eq!(nearest(0.0, f64::NAN, 1e-6).to_bits(), f64::NAN.to_bits());
        let factors = [nearest(2.0, 1.0, 1e-6), nearest(1.0, 2.0, 1e-6), nearest(0.0, 0.0, 1e-6)];
        assert_eq!(factors, [1.0, 1.0 / (2.0 + 1e-6), 0.0]);
        assert_eq!([nearest(0.0, f64::INFINITY, 1e-6), nearest(f64::INFINITY, 1.0, 0.0)], [0.0, 1.0]);
    }

    #[test]
    fn without_an_epsilon_the_factor_is_the_quotient() {
        let of = |threshold, norm| nearest(threshold, norm, 0.0);
        assert_eq!(
            [of(1.0, 3.0), of(2.0, 2.0), of(1.0, 0.0), of(0.0, 1.0), of(0.0, 0.0)],
            [1.0 / 3.0, 1.0, 1.0, 0.0, 0.0]
        );
        assert_eq!(nearest(1.0, 1.0, 1.0), 0.5);
    }

    #[test]
    fn a_factor_that_is_no_normal_number_keeps_its_digits() {
        let tiny = Factor::nearest(1e-15, 1e300, 0.0);
        assert_eq!(tiny.value(), 1e-315);
        let [first, second, third] = tiny.steps();
        assert_eq!(1e300 * first * second * third, 1e-15);
        assert!(1e-15 / (1e300 * tiny.value()) > 1.0 + 1e-10, "which the nearest number has not");
        assert_eq!(nearest(f64::from_bits(1), f64::MAX, f64::MAX), 0.0);
        assert_eq!(nearest(1e308, 1.7e308, 1.7e308), 1e308 / 2.0 / 1.7e308);
        assert_eq!(Factor::down(1e308, f64::INFINITY, 0.0).value_down(), 1e308 / 2.0 / 2f64.powi(1023));
    }
}
