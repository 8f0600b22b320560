//! Exact sums with a sign, in the form in which they are kept and sent.

use num_bigint::{BigInt, BigUint, Sign};

use crate::{ExactSum, Quotient, SumTooLong, sum::significant};

/// An exact sum: a whole number in units of 2^-2148, the square of the smallest float64 above 0. Every float64, and
/// every product of two, is a whole number of these units.
///
/// It consists of the bytes of the magnitude, the lowest first, without zeros at either end, and the number of zero
/// bytes below them. So equal sums have equal bytes, and sums of float32 elements have few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SignedSum {
    negative: bool,
    low_zero_bytes: u16,
    magnitude: Box<[u8]>,
}

impl SignedSum {
    /// The exponent of the unit, as a power of two.
    pub const UNIT_EXPONENT: i32 = -2148;

    /// The sum with these parts; zeros at either end do not matter, nor does the sign of 0.
    ///
    /// # Errors
    /// [`SumTooLong`] if there are more than [`ExactSum::MAX_BYTES`], with the zero bytes.
    pub fn new(negative: bool, low_zero_bytes: u32, magnitude: &[u8]) -> Result<Self, SumTooLong> {
        let magnitude = significant(magnitude);
        let Some(first) = magnitude.iter().position(|&byte| byte != 0) else { return Ok(Self::default()) };
        let low = usize::try_from(low_zero_bytes).unwrap_or(usize::MAX).saturating_add(first);
        let given = low.saturating_add(magnitude.len() - first);
        match u16::try_from(low) {
            Ok(low_zero_bytes) if given <= ExactSum::MAX_BYTES => {
                Ok(Self { negative, low_zero_bytes, magnitude: magnitude[first..].into() })
            }
            _ => Err(SumTooLong { given }),
        }
    }

    /// Whether it is below 0.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.magnitude.is_empty()
    }

    /// How many zero bytes are below the [`magnitude`](Self::magnitude).
    pub fn low_zero_bytes(&self) -> u32 {
        self.low_zero_bytes.into()
    }

    /// The bytes of the absolute value, the lowest first, of which neither the first nor the last is 0.
    pub fn magnitude(&self) -> &[u8] {
        &self.magnitude
    }

    /// Adds another sum. Together they must have no more terms than [`StatisticsPartial::MAX_ELEMENTS`](
    /// crate::StatisticsPartial::MAX_ELEMENTS).
    pub fn merge(&mut self, other: &Self) {
        if other.is_zero() {
            return;
        }
        if self.is_zero() {
            self.clone_from(other);
            return;
        }
        let low = self.low_zero_bytes.min(other.low_zero_bytes);
        let (sign, bytes) = (self.above(low) + other.above(low)).to_bytes_le();
        let sum = Self::new(sign == Sign::Minus, low.into(), &bytes);
        *self = sum.expect("so many terms, none above the square of the largest float64, add up to no more bytes");
    }

    /// The most bytes that the magnitude can have after a [`merge`](Self::merge).
    pub(crate) fn merged_len(&self, other: &Self) -> usize {
        if self.is_zero() || other.is_zero() {
            return self.magnitude.len() + other.magnitude.len();
        }
        let end = |sum: &Self| usize::from(sum.low_zero_bytes) + sum.magnitude.len();
        end(self).max(end(other)) + 1 - usize::from(self.low_zero_bytes.min(other.low_zero_bytes))
    }

    /// Rounded to the nearest float64, ties to even.
    pub fn to_f64(&self) -> f64 {
        let [nearest] = self.over(1).rounded(0);
        nearest
    }

    /// The sum divided by `n`, which must not be 0.
    pub fn over(&self, n: u64) -> Quotient {
        let (integer, exponent) = self.to_integer();
        Quotient::new(integer, n.into(), exponent)
    }

    /// The sum as `integer * 2^exponent`. The exponent is as large as whole bytes allow: in units of 2^-2148, the integers of most sums
    /// would have thousands of bits.
    pub(crate) fn to_integer(&self) -> (BigInt, i64) {
        let low = self.low_zero_bytes;
        (self.above(low), i64::from(Self::UNIT_EXPONENT) + 8 * i64::from(low))
    }

    /// Whether it is a multiple of 2^1074 units, as every float64 is.
    pub(crate) fn is_of_float64(&self) -> bool {
        let zeros = |lowest: &u8| 8 * self.low_zero_bytes() + lowest.trailing_zeros();
        self.magnitude.first().is_none_or(|lowest| zeros(lowest) >= 1074)
    }

    /// Whether the magnitude is below `count * 2^power` units.
    pub(crate) fn is_below(&self, count: u64, power: u32) -> bool {
        let is_short = count > 0 && self.bits() <= power;
        self.is_zero() || is_short || *self.above(0).magnitude() < BigUint::from(count) << power
    }

    /// The number of bits of the magnitude, in units.
    fn bits(&self) -> u32 {
        let zeros = self.magnitude.last().map_or(0, |highest| highest.leading_zeros());
        8 * (self.low_zero_bytes() + self.magnitude.len() as u32) - zeros
    }

    /// The sum in units of `256^low`; `low` is not above `low_zero_bytes`.
    fn above(&self, low: u16) -> BigInt {
        let sign = if self.negative { Sign::Minus } else { Sign::Plus };
        BigInt::from_bytes_le(sign, &self.magnitude) << (8 * usize::from(self.low_zero_bytes - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sums_have_equal_bytes() {
        let sum = |negative, low, bytes: &[u8]| SignedSum::new(negative, low, bytes).expect("short");
        assert_eq!(sum(true, 3, &[0, 0, 5, 6, 0]), sum(true, 5, &[5, 6]));
        assert_eq!(
            (sum(true, 3, &[0, 0, 5, 6, 0]).low_zero_bytes(), sum(true, 5, &[5, 6]).magnitude()),
            (5, &[5, 6][..])
        );
        assert_eq!(sum(true, 530, &[0, 0, 0, 0, 0]), SignedSum::default(), "no zero is negative, nor too long");
        let mut one = sum(false, 0, &[1]);
        one.merge(&sum(true, 0, &[1]));
        assert_eq!(one, SignedSum::default());
        let mut carried = sum(false, 0, &[255, 255]);
        carried.merge(&sum(false, 0, &[1]));
        assert_eq!(carried, sum(false, 2, &[1]));
        let (low, high) = (sum(false, 0, &[255]), sum(false, 500, &[255, 255]));
        for (one, other) in [(&low, &high), (&high, &low), (&low, &low), (&high, &SignedSum::default())] {
            let mut merged = one.clone();
            merged.merge(other);
            assert!(merged.magnitude().len() <= one.merged_len(other));
        }
        assert_eq!((low.merged_len(&high), low.merged_len(&low)), (503, 2));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let most = ExactSum::MAX_BYTES as u32;
        assert!(SignedSum::new(false, most - 1, &[1]).is_ok());
        assert_eq!(SignedSum::new(false, most, &[1]), Err(SumTooLong { given: ExactSum::MAX_BYTES + 1 }));
        assert!(SignedSum::new(true, u32::MAX, &[0, 1]).is_err());
        assert!(SignedSum::new(true, u32::MAX, &[0, 0]).is_ok_and(|sum| sum.is_zero()));
    }
}
