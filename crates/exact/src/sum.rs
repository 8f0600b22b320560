//! Sums of float64 that do not round until they are read.

use std::fmt;

use crate::{
    digits::{self, ADDITIONS_BEFORE_CARRY, DIGIT_BITS},
    float::{decoded, neighbours, power_of_two, scaled},
};

/// Guard digits below the square of the smallest subnormal number. Sums leave them 0; the square of half a step of a root,
/// which decides how the root is rounded, needs them.
const GUARD_DIGITS: usize = 5;

/// A sum is an integer in units of 2^-2308: the square of the smallest subnormal, 2^-2148, and the guard digits.
const UNIT_EXPONENT: i32 = 2 * -1074 - (GUARD_DIGITS as i32) * (DIGIT_BITS as i32);
/// The power of two of the smallest subnormal float64.
const LEAST_EXPONENT: i32 = -1074;

/// 4356 bits reach from the unit to 2^2048, above every square; 60 more bits, and those of the last digit beyond its
/// 32, hold the carries and the sign.
const DIGITS: usize = 138;

/// An exact accumulator: adds any number of float64 values without rounding, so that neither order nor grouping
/// matters. Kulisch's long accumulator, with digits of 32 bits in 64-bit places.
///
/// A sum takes finite values only; callers count infinities and NaN apart.
#[derive(Clone, Debug)]
pub struct ExactSum {
    digits: [i64; DIGITS],
    additions: u32,
}

/// The bytes are longer than any sum of squares of float64 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumTooLong {
    /// The number of bytes up to the last that is not 0.
    pub given: usize,
}

impl fmt::Display for SumTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected at most {} bytes, got {}", ExactSum::MAX_BYTES, self.given)
    }
}

impl std::error::Error for SumTooLong {}

/// A number `mantissa * 2^exponent` with 2^52 <= mantissa <= 2^53, or less for 0 and at the least exponent.
#[derive(Clone, Copy, Debug)]
struct Rounded {
    mantissa: u64,
    exponent: i32,
}

impl ExactSum {
    /// The most bytes that [`to_le_bytes`](Self::to_le_bytes) gives: below 2^2108, enough for 2^60 squares.
    pub const MAX_BYTES: usize = (DIGITS - GUARD_DIGITS) * 4;

    /// The sum of no terms.
    pub fn new() -> Self {
        Self { digits: [0; DIGITS], additions: 0 }
    }

    /// Adds `x`, which is finite.
    pub fn add(&mut self, x: f64) {
        self.add_scaled(x, 0);
    }

    /// Adds the square of `x`, which is finite.
    pub fn add_square(&mut self, x: f64) {
        // Scaled by a power of two, which is exact, neither the square nor its rounding error leaves the range of
        // float64.
        let scale = if x.abs() > 1e100 {
            -600
        } else if x.abs() < 1e-100 {
            600
        } else {
            0
        };
        let x = x * power_of_two(scale);
        let square = x * x;
        self.add_scaled(square, -2 * scale);
        self.add_scaled(x.mul_add(x, -square), -2 * scale);
    }

    /// Adds `x * 2^exponent`, which is a multiple of 2^-2308 and not above the square of the largest float64.
    pub fn add_scaled(&mut self, x: f64, exponent: i32) {
        debug_assert!(x.is_finite(), "what is not finite is counted, not added");
        if x == 0.0 {
            return; // its exponent, scaled, may be below every place
        }
        let (mantissa, power) = decoded(x);
        self.add_units(mantissa, power + exponent, x.is_sign_negative());
    }

    /// Adds `a * b`, both finite. The product is exact, however small or large it is.
    pub fn add_product(&mut self, a: f64, b: f64) {
        debug_assert!(a.is_finite() && b.is_finite(), "what is not finite is counted, not added");
        let ((a_mantissa, a_power), (b_mantissa, b_power)) = (decoded(a), decoded(b));
        let product = u128::from(a_mantissa) * u128::from(b_mantissa);
        let (power, negative) = (a_power + b_power, a.is_sign_negative() != b.is_sign_negative());
        self.add_units(product as u64, power, negative);
        self.add_units((product >> u64::BITS) as u64, power + u64::BITS as i32, negative);
    }

    /// Adds `mantissa * 2^power`, or its negative.
    fn add_units(&mut self, mantissa: u64, power: i32, negative: bool) {
        if mantissa == 0 {
            return; // its power may be below or above every place
        }
        let place = power - UNIT_EXPONENT;
        // Mantissa bits below the unit are zero; see `UNIT_EXPONENT`.
        let (mantissa, place) = if place < 0 { (mantissa >> -place, 0) } else { (mantissa, place as u32) };
        digits::add(&mut self.digits, mantissa, place, negative);
        self.additions += 1;
        if self.additions >= ADDITIONS_BEFORE_CARRY {
            self.carry();
        }
    }

    /// The sum divided by `n`, which must not be 0, with the bits below 2^-2308 cut off.
    pub fn divided_by(&self, n: u64) -> Self {
        let (mut sum, negative) = self.magnitude();
        let mut rest = 0;
        for digit in sum.digits.iter_mut().rev() {
            let dividend = u128::from(rest) << DIGIT_BITS | *digit as u128; // carried: not negative
            // Below 2^32 for all but the highest digit, since the rest is below n.
            *digit = (dividend / u128::from(n)) as i64;
            rest = (dividend % u128::from(n)) as u64;
        }
        if negative {
            sum.digits.iter_mut().for_each(|digit| *digit = -*digit);
        }
        sum
    }

    /// Whether the sum is 0.
    pub fn is_zero(&self) -> bool {
        self.magnitude().0.digits.iter().all(|&digit| digit == 0)
    }

    /// The sum as `(mantissa, exponent)`: it is `mantissa * 2^exponent`, with the mantissa rounded to nearest, ties to even,
    /// and in [1, 2] or 0. Unlike [`to_f64`](Self::to_f64) it leaves no range.
    pub fn to_scaled(&self) -> (f64, i32) {
        let (magnitude, negative) = self.magnitude();
        let Rounded { mantissa, exponent } = magnitude.round(i32::MIN);
        if mantissa == 0 {
            return (0.0, 0);
        }
        let bits = mantissa.ilog2() as i32;
        let value = mantissa as f64 * power_of_two(-bits);
        (if negative { -value } else { value }, exponent + bits)
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        if self.additions + other.additions >= ADDITIONS_BEFORE_CARRY {
            self.carry();
        }
        let (top, digits) = self.digits.split_last_mut().expect("there are digits");
        let (other_top, others) = other.digits.split_last().expect("there are digits");
        digits.iter_mut().zip(others).for_each(|(digit, other)| *digit += other);
        // The highest digit saturates: the sum is far beyond float64 then.
        *top = top.saturating_add(*other_top);
        self.additions += other.additions + 1;
    }

    /// Adds the sum with these bytes; zeros at the end do not matter.
    ///
    /// # Errors
    /// [`SumTooLong`] above [`MAX_BYTES`](Self::MAX_BYTES); nothing is added then.
    pub fn add_le_bytes(&mut self, bytes: &[u8]) -> Result<(), SumTooLong> {
        let bytes = significant(bytes);
        if bytes.len() > Self::MAX_BYTES {
            return Err(SumTooLong { given: bytes.len() });
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let (whole, rest) = bytes.as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        for (digit, bytes) in self.digits[GUARD_DIGITS..].iter_mut().zip(whole.iter().chain([&last])) {
            *digit = digit.saturating_add(i64::from(u32::from_le_bytes(*bytes)));
        }
        self.additions += 1;
        if self.additions >= ADDITIONS_BEFORE_CARRY {
            self.carry();
        }
        Ok(())
    }

    /// Brings every digit but the highest, which keeps the sign, into [0, 2^32).
    fn carry(&mut self) {
        digits::carry(&mut self.digits);
        self.additions = 0;
    }

    /// The absolute value, carried, and whether it was negative.
    fn magnitude(&self) -> (Self, bool) {
        let mut sum = self.clone();
        sum.carry();
        let negative = digits::make_positive(&mut sum.digits);
        (sum, negative)
    }

    /// A sum that is not negative, as a little-endian integer in units of 2^-2148 without zeros at its end: equal sums
    /// have equal bytes.
    ///
    /// # Panics
    /// If the sum is negative, or needs more than [`MAX_BYTES`](Self::MAX_BYTES): that of 2^60 squares or fewer does not.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        let mut sum = self.clone();
        sum.carry();
        let digits = &sum.digits[GUARD_DIGITS..];
        let top = *digits.last().expect("there are more digits than guard digits");
        assert!(u32::try_from(top).is_ok(), "a sum of 2^60 squares or fewer, not negative");
        let (zeros, bytes) = digits::to_le_bytes(digits);
        [&vec![0; zeros as usize], significant(&bytes)].concat()
    }

    /// The sum with these bytes; zeros at the end do not matter.
    ///
    /// # Errors
    /// [`SumTooLong`] above [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn from_le_bytes(bytes: &[u8]) -> Result<Self, SumTooLong> {
        let mut sum = Self::new();
        sum.add_le_bytes(bytes)?;
        Ok(sum)
    }

    /// The sum, rounded to nearest, ties to even.
    pub fn to_f64(&self) -> f64 {
        let (magnitude, negative) = self.magnitude();
        // A subnormal result is rounded to the bits that it has, since scaling would round a second time.
        let Rounded { mantissa, exponent } = magnitude.round(LEAST_EXPONENT);
        let value = scaled(mantissa as f64, exponent);
        if negative { -value } else { value }
    }

    /// The square root of a sum that is not negative, rounded to nearest, ties to even.
    pub fn sqrt(&self) -> f64 {
        let (sum, _) = self.magnitude();
        let Rounded { mantissa, exponent } = sum.round(i32::MIN);
        if mantissa == 0 {
            return 0.0;
        }
        // The root of 2^2049 or more is beyond float64, and the digits may not hold the squares below.
        if exponent + 52 >= 2049 {
            return f64::INFINITY;
        }
        // The hardware takes the root of a number near 1, the sum times 4^-half.
        let half = (exponent + 52).div_euclid(2);
        let root = scaled(mantissa as f64, exponent - 2 * half).sqrt();
        // The root of the rounded sum is at most one step off. The nearer neighbour is found exactly: the sum lies
        // above or below the square of the point between two neighbours.
        let (below, root, above) = neighbours(root, half);
        let nearest = if sum.is_below_middle(below, root, half) {
            below
        } else if sum.is_below_middle(root, above, half) {
            root
        } else {
            above
        };
        scaled(nearest, half)
    }

    /// Whether the sum is above `x`, which is finite.
    pub fn is_above(&self, x: f64) -> bool {
        self.is_above_by(|difference| difference.add(-x))
    }

    /// Whether the sum is above the square of `x`, which is finite.
    pub fn is_above_square(&self, x: f64) -> bool {
        let mut square = Self::new();
        square.add_square(x);
        square.carry();
        self.is_above_by(|difference| difference.digits.iter_mut().zip(&square.digits).for_each(|(a, b)| *a -= b))
    }

    /// Whether the sum is above 0 after `subtract`.
    fn is_above_by(&self, subtract: impl FnOnce(&mut Self)) -> bool {
        let mut difference = self.clone();
        difference.carry();
        subtract(&mut difference);
        let (magnitude, negative) = difference.magnitude();
        !negative && magnitude.digits.iter().any(|&digit| digit != 0)
    }

    /// Whether the square root of the sum times 4^-half is nearer to `low` than to `high`, its upper neighbour; for a
    /// tie, whether `low` is even.
    fn is_below_middle(&self, low: f64, high: f64, half: i32) -> bool {
        let step = high - low;
        let square = low * low;
        let rest = low.mul_add(low, -square); // fused, so `square + rest` is the square exactly
        let mut difference = self.clone();
        for term in [square, rest, low * step, step * step / 4.0] {
            difference.add_scaled(-term, 2 * half);
        }
        let (magnitude, negative) = difference.magnitude();
        negative || magnitude.digits.iter().all(|&digit| digit == 0) && low.to_bits() & 1 == 0
    }

    /// The value of carried, non-negative digits, rounded to 53 bits, or to a multiple of 2^least_exponent if that is coarser.
    fn round(&self, least_exponent: i32) -> Rounded {
        let Some(highest) = self.digits.iter().rposition(|&digit| digit != 0) else {
            return Rounded { mantissa: 0, exponent: 0 };
        };
        // Three digits hold at least the 65 highest bits, enough for 53 and the bit that decides the rounding. There
        // are always three: the lowest term lies above the lowest digits.
        let lowest = highest.saturating_sub(2);
        let window = self.digits[lowest..=highest].iter().rev().fold(0u128, |bits, &d| bits << DIGIT_BITS | d as u128);
        let below = self.digits[..lowest].iter().any(|&digit| digit != 0);
        let unit = UNIT_EXPONENT + lowest as i32 * DIGIT_BITS as i32;
        let below_least = u32::try_from(least_exponent.saturating_sub(unit)).unwrap_or(0);
        let drop = window.ilog2().saturating_sub(52).max(below_least);
        if drop > window.ilog2() + 1 {
            // The sum is below half of the last bit.
            return Rounded { mantissa: 0, exponent: 0 };
        }
        let kept = (window >> drop) as u64;
        let rest = window & ((1 << drop) - 1);
        let half = (1 << drop) >> 1;
        let up = rest > half || rest == half && rest > 0 && (below || kept & 1 == 1);
        Rounded { mantissa: kept + u64::from(up), exponent: unit + drop as i32 }
    }
}

impl Default for ExactSum {
    fn default() -> Self {
        Self::new()
    }
}

/// Sums are equal if their values are, whatever carries are pending.
impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        let carried = |sum: &Self| {
            let mut sum = sum.clone();
            sum.carry();
            sum.digits
        };
        carried(self) == carried(other)
    }
}

impl Eq for ExactSum {}

/// The bytes up to the last that is not 0.
pub(crate) fn significant(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests;
