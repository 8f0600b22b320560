//! Products, quotients and sums that are rounded in one direction.

use std::cmp::Ordering;

/// The quotient of numbers that are not negative, rounded down. The dividend is finite; the divisor is above 0, and may be
/// infinite.
pub(super) fn quotient_down(dividend: f64, divisor: f64) -> f64 {
    if divisor.is_infinite() {
        return 0.0;
    }
    let quotient = dividend / divisor;
    if quotient.is_infinite() {
        return f64::MAX; // a finite dividend over a tiny divisor
    }
    match compare_product(quotient, divisor, dividend) {
        Ordering::Greater => quotient.next_down(),
        Ordering::Less | Ordering::Equal => quotient,
    }
}

/// The sum of numbers that are not negative, rounded up.
pub(super) fn sum_up(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // Knuth's two-sum gives the rounding error exactly. A sum beyond float64 is infinite, which is rounded up.
    let of_b = sum - a;
    let lost = (a - (sum - of_b)) + (b - of_b);
    if lost > 0.0 { sum.next_up() } else { sum }
}

/// The product, rounded towards zero. `factor` is in [0, 1], both are finite.
pub(super) fn product_towards_zero(x: f64, factor: f64) -> f64 {
    let product = x * factor;
    match compare_product(x.abs(), factor, product.abs()) {
        // One bit less is one step nearer to zero.
        Ordering::Less => f64::from_bits(product.to_bits() - 1),
        Ordering::Greater | Ordering::Equal => product,
    }
}

/// The product of `x`, `number` and a power of two, rounded towards zero. All are finite, and `number` is not negative.
pub(super) fn product_with_power_towards_zero(x: f64, number: f64, power: i32) -> f64 {
    let ((a, a_exponent), (b, b_exponent)) = (parts(x.abs()), parts(number));
    let bits = u128::from(a) * u128::from(b);
    let exponent = a_exponent + b_exponent + power;
    if bits == 0 {
        return 0f64.copysign(x);
    }
    // A float64 has 53 bits, and none below 2^-1074.
    let length = (u128::BITS - bits.leading_zeros()) as i32;
    let dropped = (length - 53).max(-1074 - exponent).max(0);
    let kept = bits.checked_shr(dropped as u32).unwrap_or_default() as u64;
    times_power_of_two(kept as f64, if kept == 0 { 0 } else { exponent + dropped }).copysign(x)
}

/// `x * 2^power`, for a power from -1074 to 1023; exact if the result is a number.
fn times_power_of_two(x: f64, power: i32) -> f64 {
    let power_of_two = |power: i32| f64::from_bits(((1023 + power) as u64) << 52);
    x * power_of_two(power / 2) * power_of_two(power - power / 2)
}

/// Compares the exact product of two finite numbers with a third; none is negative.
fn compare_product(a: f64, b: f64, c: f64) -> Ordering {
    let ((a, a_exponent), (b, b_exponent), (c, c_exponent)) = (parts(a), parts(b), parts(c));
    let product = u128::from(a) * u128::from(b);
    if product == 0 || c == 0 {
        return product.cmp(&c.into());
    }
    // Shifted to the same highest bit, the numbers compare by their exponents and then by their bits.
    let c = u128::from(c);
    let exponent = a_exponent + b_exponent - product.leading_zeros() as i32;
    let other = c_exponent - c.leading_zeros() as i32;
    let aligned = |bits: u128| bits << bits.leading_zeros();
    exponent.cmp(&other).then(aligned(product).cmp(&aligned(c)))
}

/// A finite number that is not negative as `mantissa * 2^exponent`.
pub(super) fn parts(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let (biased, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    /// The magnitude in units of 2^-2148.
    fn exact(x: f64) -> BigUint {
        let (mantissa, exponent) = parts(x.abs());
        BigUint::from(mantissa) << (exponent + 2148)
    }

    /// The magnitude in units of 2^-2148.
    fn exact_product(a: f64, b: f64) -> BigUint {
        let ((a, a_exponent), (b, b_exponent)) = (parts(a.abs()), parts(b.abs()));
        (BigUint::from(a) * b) << (a_exponent + b_exponent + 2148)
    }

    fn finite() -> impl Strategy<Value = f64> {
        let corners = vec![0.0, 1.0, f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX, f64::EPSILON, 1.0 - f64::EPSILON];
        let number = any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(f64::abs);
        prop_oneof![2 => number, 1 => 0.0..2f64, 1 => prop::sample::select(corners)]
    }

    proptest! {
        #[test]
        fn quotients_are_the_largest_that_are_not_above(dividend in finite(), divisor in finite()) {
            prop_assume!(divisor > 0.0);
            let quotient = quotient_down(dividend, divisor);
            prop_assert!(exact_product(quotient, divisor) <= exact(dividend));
            prop_assert!(quotient == f64::MAX || exact_product(quotient.next_up(), divisor) > exact(dividend));
        }

        #[test]
        fn sums_are_the_smallest_that_are_not_below(a in finite(), b in finite()) {
            let (sum, exact_sum) = (sum_up(a, b), exact(a) + exact(b));
            prop_assert!(sum.is_infinite() || exact(sum) >= exact_sum);
            prop_assert!(sum == 0.0 || exact(sum.next_down()) < exact_sum);
        }

        #[test]
        fn products_with_a_power_are_the_nearest_towards_zero(
            x in finite(), number in 0.5..2.0f64, power in -2200i32..-1000, negative: bool,
        ) {
            let signed = if negative { -x } else { x };
            let product = product_with_power_towards_zero(signed, number, power);
            prop_assert_eq!(product.is_sign_negative(), negative);
            prop_assert!(exact(product) << -power <= exact_product(x, number));
            prop_assert!(exact(product.abs().next_up()) << -power > exact_product(x, number));
        }

        #[test]
        fn products_are_the_nearest_towards_zero(x in finite(), factor in finite(), negative: bool) {
            prop_assume!(factor <= 1.0);
            let signed = if negative { -x } else { x };
            let product = product_towards_zero(signed, factor);
            prop_assert_eq!(product.is_sign_negative(), negative);
            prop_assert!(exact(product) <= exact_product(x, factor));
            prop_assert!(exact(product.abs().next_up()) > exact_product(x, factor));
        }
    }

    #[test]
    fn a_divisor_beyond_float64_gives_0() {
        assert_eq!(quotient_down(1.0, f64::INFINITY), 0.0);
        assert_eq!(quotient_down(f64::MAX, f64::from_bits(1)), f64::MAX);
        assert_eq!(sum_up(f64::MAX, f64::MAX), f64::INFINITY);
    }
}
