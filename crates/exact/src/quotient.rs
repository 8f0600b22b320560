//! Quotients of exact sums, rounded once.

use num_bigint::{BigInt, BigUint, Sign};

use crate::float::scaled;

/// `numerator / denominator * 2^exponent`, exactly.
#[derive(Clone, Debug)]
pub struct Quotient {
    numerator: BigInt,
    denominator: BigUint,
    exponent: i64,
}

impl Quotient {
    /// The quotient; `denominator` must not be 0.
    pub(crate) fn new(numerator: BigInt, denominator: BigUint, exponent: i64) -> Self {
        Self { numerator, denominator, exponent }
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.numerator.sign() == Sign::NoSign
    }

    /// An exponent `e` such that the magnitude lies between 2^(e - 1) and 2^(e + 1); of 0, 0.
    pub fn exponent(&self) -> i32 {
        if self.is_zero() {
            return 0;
        }
        let exponent = self.exponent + self.numerator.bits() as i64 - self.denominator.bits() as i64;
        i32::try_from(exponent).expect("sums have some thousand bits")
    }

    /// The quotient times `2^scale` as the sum of `N` numbers, each of which is the float64 nearest to the remainder of
    /// those before it, ties to even. Beyond float64 the first is infinite and the others are 0.
    ///
    /// For `N` = 2, no sum of two float64 that do not overlap is nearer.
    pub fn rounded<const N: usize>(&self, scale: i32) -> [f64; N] {
        let mut numbers = [0.0; N];
        let exponent = self.exponent + i64::from(scale);
        let (mut rest, mut unit) = (self.numerator.clone(), exponent);
        for number in &mut numbers {
            let (mantissa, power) = nearest(rest.magnitude(), &self.denominator, unit);
            let magnitude = scaled(mantissa as f64, power as i32);
            *number = if rest.sign() == Sign::Minus { -magnitude } else { magnitude };
            if mantissa == 0 || !number.is_finite() {
                *number += 0.0; // 0 in the place of -0.0
                break;
            }
            let taken = BigInt::from(BigUint::from(mantissa) * &self.denominator);
            let taken = if rest.sign() == Sign::Minus { -taken } else { taken };
            (rest, unit) = difference((rest, unit), (taken, power));
        }
        numbers
    }
}

/// The difference of two numbers, each as `integer * 2^exponent`.
pub(crate) fn difference((a, of_a): (BigInt, i64), (b, of_b): (BigInt, i64)) -> (BigInt, i64) {
    let finer = of_a.min(of_b);
    ((a << (of_a - finer)) - (b << (of_b - finer)), finer)
}

/// The float64 nearest to `numerator / denominator * 2^exponent` as `mantissa * 2^power`, which may be beyond its range.
fn nearest(numerator: &BigUint, denominator: &BigUint, exponent: i64) -> (u64, i64) {
    /// The exponent of the smallest float64 above 0.
    const LEAST: i64 = -1074;
    let bits = numerator.bits() as i64 - denominator.bits() as i64 + exponent;
    // The last bit of the float64 result if the quotient has one bit less than `bits`, which may be too high by one.
    let power = (bits - 54).max(LEAST);
    let shift = exponent - power;
    let (dividend, divisor) =
        if shift >= 0 { (numerator << shift, denominator.clone()) } else { (numerator.clone(), denominator << -shift) };
    let quotient = &dividend / &divisor;
    let rest = dividend - &quotient * &divisor;
    let quotient = u64::try_from(quotient).expect("it has at most 55 bits");
    let extra = (64 - quotient.leading_zeros()).saturating_sub(53);
    let (kept, below) = (quotient >> extra, quotient & ((1 << extra) - 1));
    let (is_more, is_half) = if extra == 0 {
        let twice = &rest << 1u32;
        (twice > divisor, twice == divisor)
    } else {
        let (half, has_rest) = (1 << (extra - 1), rest != BigUint::ZERO);
        (below > half || below == half && has_rest, below == half && !has_rest)
    };
    let up = is_more || is_half && kept & 1 == 1;
    (kept + u64::from(up), power + i64::from(extra))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quotient(numerator: i64, denominator: u64, exponent: i64) -> Quotient {
        Quotient::new(numerator.into(), denominator.into(), exponent)
    }

    #[test]
    fn thirds_have_all_their_digits() {
        let [high, low, rest] = quotient(-1, 3, 0).rounded(0);
        assert_eq!(high, -1.0 / 3.0);
        assert_eq!(low, -(1.0 / 3.0) * 2f64.powi(-54));
        assert_eq!(rest, -(1.0 / 3.0) * 2f64.powi(-108));
    }

    #[test]
    fn the_ends_of_the_range_are_float64s() {
        let of = |numerator, denominator, exponent| quotient(numerator, denominator, exponent).rounded::<2>(0);
        assert_eq!(of(1, 1, -1074), [5e-324, 0.0]);
        assert_eq!(of(1, 1, -1075), [0.0, 0.0], "a tie goes to the even one");
        assert_eq!(of(3, 1, -1076), [5e-324, 0.0], "what is below the smallest number is left out");
        assert_eq!(of(3, 1, -1075), [1e-323, 0.0], "a tie goes to the even one");
        assert_eq!(of((1 << 53) - 1, 1, 971), [f64::MAX, 0.0]);
        assert_eq!(of((1 << 54) - 1, 1, 970), [f64::INFINITY, 0.0]);
        assert_eq!(of(-1, 1, 5000), [f64::NEG_INFINITY, 0.0]);
        assert_eq!(quotient(-1, 1, 5000).rounded::<1>(-5001), [-0.5]);
        assert_eq!(quotient(-1, 3, -5000).rounded::<1>(5000), [-1.0 / 3.0]);
        assert_eq!(of(0, 7, 5000).map(f64::to_bits), [0, 0]);
        assert_eq!(quotient(0, 7, 5000).exponent(), 0);
    }

    proptest! {
        /// IEEE 754 division rounds correctly.
        #[test]
        fn it_rounds_as_division_does(a in -(1i64 << 53)..1 << 53, b in 1u64..1 << 53, exponent in -1200i64..1000) {
            let [high] = quotient(a, b, exponent).rounded(0);
            let expected = a as f64 / b as f64;
            if exponent > -1000 {
                prop_assert_eq!(high.abs(), scaled(expected.abs(), exponent as i32));
            }
            let magnitude = quotient(a, b, exponent).exponent();
            let digits = scaled(expected, exponent as i32 - magnitude).abs();
            prop_assert!(a == 0 || (0.5..=2.0).contains(&digits));
        }

        /// The second number is the remainder of the first.
        #[test]
        fn the_numbers_do_not_overlap(a in any::<i64>(), b in 1u64.., exponent in -900i64..900) {
            let [high, low] = quotient(a, b, exponent).rounded(0);
            prop_assert_eq!(high + low, high);
            // Both in units of 2^(exponent - 200).
            let (mantissa, power) = crate::float::decoded(high);
            let taken = (BigInt::from(mantissa) * high.signum() as i64) << (i64::from(power) - exponent + 200);
            let left = (BigInt::from(a) << 200) - taken * BigInt::from(b);
            let left = Quotient::new(left, BigUint::from(b), exponent - 200);
            prop_assert_eq!(left.rounded::<1>(0), [low]);
        }
    }
}
