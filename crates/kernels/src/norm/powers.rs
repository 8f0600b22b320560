//! Powers in about 20 bits more than float64 has, the same on every machine.
//!
//! A norm of order p takes the p-th root of a sum, which makes the sum's relative error 1 / p times as large. With p below
//! 1/5000 norms of more than one element are beyond float64, so 20 bits are enough for every p.
//!
//! Logarithms and exponentials come from tables, and the remainders from series of a few terms. The code adds,
//! multiplies and divides; it calls no function of the system's library.

use std::{array, sync::LazyLock};

use crate::lanes::DoubleDouble;

/// The natural logarithm of 2.
const LN_2: DoubleDouble = DoubleDouble { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };

/// The binary logarithm of e.
const LOG2_E: DoubleDouble = DoubleDouble { high: std::f64::consts::LOG2_E, low: 2.035_527_374_093_103_3e-17 };

/// The number of parts into which the numbers from 1 to 2, and the exponents from 0 to 1, are cut.
const PARTS: usize = 128;

/// For a part of the numbers from 1 to 2: about the reciprocal of its middle, and the negated binary logarithm of that.
#[derive(Clone, Copy)]
struct Reciprocal {
    value: f64,
    log2: DoubleDouble,
}

/// The tables for logarithms and exponentials.
pub(super) struct Tables {
    reciprocals: [Reciprocal; PARTS],
    /// 2^(i / PARTS).
    powers: [DoubleDouble; PARTS],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    reciprocals: array::from_fn(|part| {
        let value = 1.0 / (1.0 + (part as f64 + 0.5) / PARTS as f64);
        Reciprocal { value, log2: log_slowly(value).times(LOG2_E).negated() }
    }),
    powers: array::from_fn(|part| exp_slowly(LN_2.times(DoubleDouble::from(part as f64 / PARTS as f64)))),
});

impl Tables {
    /// The tables, which the first call makes. Each call checks whether they exist, so callers should call this once
    /// for many numbers.
    pub(super) fn get() -> &'static Self {
        &TABLES
    }
}

/// The natural logarithm of a number from 1/2 to 1: 2 artanh((x - 1) / (x + 1)).
fn log_slowly(x: f64) -> DoubleDouble {
    let ratio = {
        let (above, below) =
            (DoubleDouble::from(x).minus(DoubleDouble::from(1.0)), DoubleDouble::from(x).plus(DoubleDouble::from(1.0)));
        // A step of Newton makes the quotient a pair.
        let quotient = DoubleDouble::from(above.high / below.high);
        let rest = above.minus(quotient.times(below));
        quotient.plus(DoubleDouble::from(rest.value() / below.high))
    };
    let square = ratio.times(ratio);
    // Each term is at most a ninth of the one before.
    let sum = (0..40).rev().fold(DoubleDouble::from(0.0), |sum, i| {
        sum.times(square).plus(DoubleDouble::from(1.0).over(f64::from(2 * i + 1)))
    });
    sum.times(ratio).times(DoubleDouble::from(2.0)).normalized()
}

/// e^x, for a number from 0 to 1.
fn exp_slowly(x: DoubleDouble) -> DoubleDouble {
    (1..30)
        .rev()
        .fold(DoubleDouble::from(1.0), |sum, i| sum.times(x).over(f64::from(i)).plus(DoubleDouble::from(1.0)))
        .normalized()
}

/// A finite number above 0 as a number in [1, 2) and the exponent of a power of two.
#[inline(always)]
pub(super) fn normalized(x: f64) -> (f64, i32) {
    const MANTISSA: u64 = (1 << 52) - 1;
    const UP: i32 = 64;
    let (x, down) = if x < f64::MIN_POSITIVE { (x * power_of_two(UP), UP) } else { (x, 0) };
    let bits = x.to_bits();
    (f64::from_bits(bits & MANTISSA | 1023 << 52), (bits >> 52) as i32 - 1023 - down)
}

/// The binary logarithm of a finite number above 0, to some 2^-72.
///
/// Inlined, as [`exp2`] is, so that its fused multiplications become instructions where the processor has them.
#[inline(always)]
pub(super) fn log2(tables: &Tables, x: f64) -> DoubleDouble {
    let (mantissa, exponent) = normalized(x);
    let part = (mantissa.to_bits() >> 45) as usize % PARTS;
    let Reciprocal { value, log2 } = tables.reciprocals[part];
    // At most 2^-8. The subtraction is exact.
    let z = DoubleDouble::product(mantissa, value).plus(DoubleDouble::from(-1.0)).normalized();
    let tail = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0].into_iter().fold(0.0, |sum, n| 1.0 / n - sum * z.high);
    let half_square = z.times(z).times(DoubleDouble::from(0.5));
    let log = z.minus(half_square).plus(DoubleDouble::from(z.high * z.high * z.high * tail));
    log.times(LOG2_E).plus(log2).plus(DoubleDouble::from(f64::from(exponent)))
}

/// The binary logarithm of a pair above 0.
pub(super) fn log2_of_pair(x: DoubleDouble) -> DoubleDouble {
    log2(Tables::get(), x.high).plus(DoubleDouble::from(x.low / x.high * LOG2_E.high))
}

/// 2^x as a number from 1 to 2, to some 2^-72 of itself, and a power of two. `x` is no larger than a million.
#[inline(always)]
pub(super) fn exp2(tables: &Tables, x: DoubleDouble) -> (DoubleDouble, i32) {
    let whole = x.high.floor();
    // The nearest multiple of 1 / PARTS.
    let fraction = x.minus(DoubleDouble::from(whole)).normalized();
    let step = (fraction.high * PARTS as f64).round();
    let rest = fraction.minus(DoubleDouble::from(step / PARTS as f64)).times(LN_2);
    let tail = [7.0, 6.0, 5.0, 4.0].into_iter().fold(1.0, |sum, n| 1.0 + sum * rest.high / n);
    let half_square = rest.times(rest).times(DoubleDouble::from(0.5));
    let cube = rest.high * rest.high * rest.high / 6.0 * tail;
    let factor = DoubleDouble::from(1.0).plus(rest.plus(half_square).plus(DoubleDouble::from(cube)));
    // A fraction next to 1 may be rounded to 1, which is the next whole number.
    let (step, carry) = (step as usize % PARTS, step as i32 / PARTS as i32);
    (tables.powers[step].times(factor).normalized(), whole as i32 + carry)
}

/// `x * 2^power`, rounded once.
#[inline(always)]
pub(super) fn times_power_of_two(x: f64, power: i32) -> f64 {
    x * power_of_two(power / 2) * power_of_two(power - power / 2)
}

/// `x * 2^power` of a pair from 1 to 4, rounded once, also to a subnormal number.
pub(super) fn round_times_power_of_two(x: DoubleDouble, power: i32) -> f64 {
    /// The exponent of the smallest number.
    const LEAST: i32 = -1074;
    if power >= f64::MIN_EXP - 1 {
        return times_power_of_two(x.value(), power);
    }
    // In units of the smallest number, `high` and its distance from a half are exact, so that the sum with `low` has the right
    // sign. Where `high` is a whole number, `low` is at most a half.
    let units = |x| times_power_of_two(x, power - LEAST);
    let DoubleDouble { high, low } = x.normalized();
    let (high, low) = (units(high), units(low));
    let down = high.floor();
    let beyond_half = (high - down - 0.5) + low;
    let is_odd = down as u64 % 2 == 1;
    let up = beyond_half > 0.0 || (beyond_half == 0.0 && is_odd);
    f64::from_bits(down as u64 + u64::from(up))
}

/// `power` is that of a normal number.
#[inline(always)]
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((1023 + power) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{exp2 as exp2_of, log2 as log2_of, *};

    fn log2(x: f64) -> DoubleDouble {
        log2_of(Tables::get(), x)
    }

    fn exp2(x: DoubleDouble) -> (DoubleDouble, i32) {
        exp2_of(Tables::get(), x)
    }

    fn near(a: DoubleDouble, b: DoubleDouble, most: f64) -> bool {
        a.minus(b).value().abs() <= most
    }

    #[test]
    fn pairs_are_rounded_once_to_subnormal_numbers() {
        let least = |units| f64::from_bits(units);
        let rounded = |high, low, power| round_times_power_of_two(DoubleDouble { high, low }, power);
        // 1.25, 1.5 and 2.5 units, and what is next to them.
        assert_eq!(rounded(1.25, 0.0, -1074), least(1));
        assert_eq!((rounded(1.5, -1e-17, -1074), rounded(1.5, 0.0, -1074)), (least(1), least(2)));
        assert_eq!((rounded(2.5, 0.0, -1074), rounded(2.5, 1e-17, -1074)), (least(2), least(3)));
        // The nearest float64 to the pair is half a unit from both neighbours.
        let near = 1.0 + f64::EPSILON;
        assert_eq!(rounded(near, -1e-17, -1023), least(1 << 51));
        assert_eq!(rounded(near, 1e-17, -1023), least((1 << 51) + 1));
        // Not below the normal numbers, by either way.
        assert_eq!(rounded(2.0, 0.0, -1023), f64::MIN_POSITIVE);
        assert_eq!(rounded(1.0, 1e-17, -1022), f64::MIN_POSITIVE);
        let largest = 2.0 - f64::EPSILON;
        assert_eq!(rounded(largest, 1e-16, -1023), f64::MIN_POSITIVE);
    }

    #[test]
    fn known_logarithms_and_powers() {
        assert_eq!(log2(8.0).normalized().high, 3.0);
        assert_eq!(log2(f64::from_bits(1)).normalized().high, -1074.0);
        // log2(3) and 2^(1/3).
        assert!(near(log2(3.0), DoubleDouble { high: 1.584962500721156, low: 1.057_978_124_011_255_4e-16 }, 1e-21));
        let (root, power) = exp2(DoubleDouble::from(1.0).over(3.0));
        assert!(
            power == 0
                && near(root, DoubleDouble { high: 1.259_921_049_894_873_2, low: -2.589_933_375_300_507e-17 }, 2e-20),
            "{root:?}"
        );
        let (one, power) = exp2(DoubleDouble { high: 1.0, low: -1e-25 });
        assert!(near(one.times(DoubleDouble::from(power_of_two(power))), DoubleDouble::from(2.0), 1e-21));
    }

    proptest! {
        #[test]
        fn powers_undo_logarithms(x in any::<f64>().prop_filter("finite", |x| x.is_finite() && *x != 0.0)) {
            let (mantissa, exponent) = normalized(x.abs());
            let (power, power_exponent) = exp2(log2(x.abs()).normalized());
            let ratio = power.times(DoubleDouble::from(2f64.powi(power_exponent - exponent)));
            prop_assert!(near(ratio, DoubleDouble::from(mantissa), 2f64.powi(-68)), "{ratio:?} {mantissa}");
        }

        #[test]
        fn logarithms_of_products_add_up(a in 1e-300..1e300f64, b in 1e-3..1e3f64) {
            let product = DoubleDouble::product(a / 1e3, b);
            let sum = log2(a / 1e3).plus(log2(b));
            prop_assert!(near(log2_of_pair(product), sum, 2f64.powi(-68)));
        }
    }
}
