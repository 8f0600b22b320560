//! IEEE binary16 and bfloat16 bit patterns, converted from and to float64.
//!
//! A conversion by way of the nearest float32 would round twice: 1 + 2^-11 + 2^-40 must round up to the next binary16,
//! but its nearest float32 is the tie 1 + 2^-11, which rounds down to even. A first rounding "to odd" avoids that:
//! Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.

mod blocks;

/// An IEEE 754 binary16 number, as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F16(pub u16);

/// A bfloat16 number, as its bits: the upper half of a binary32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16(pub u16);

impl F16 {
    /// Rounds to nearest, ties to even; overflow gives infinity, every NaN the canonical quiet one.
    #[inline(always)]
    pub fn from_f64(x: f64) -> Self {
        Self::from_odd(odd(x))
    }

    /// As [`from_f64`](Self::from_f64), from the result of [`odd`].
    #[inline(always)]
    fn from_odd(x: f32) -> Self {
        let bits = x.to_bits();
        let magnitude = bits & (u32::MAX >> 1);
        // Drop the low bits with the classic "add half, less one, plus the kept low bit"; a carry out of the mantissa
        // runs into the exponent, where it belongs.
        let rebased = magnitude.wrapping_sub((127 - 15) << 23);
        let normal = rebased.wrapping_add(0xFFF + (rebased >> 13 & 1)) >> 13;
        // The last bit of 0.5 is 2^-24, the smallest subnormal: adding it makes the hardware round at that bit.
        let magic = 0.5f32;
        let subnormal = (f32::from_bits(magnitude) + magic).to_bits().wrapping_sub(magic.to_bits());
        let finite = if magnitude < (127 - 14) << 23 { subnormal } else { normal };
        let result = if magnitude >= (127 + 16) << 23 { 0x7C00 } else { finite };
        let signed = bits >> 16 & 0x8000 | result;
        Self(if magnitude > 0xFF << 23 { 0x7E00 } else { signed } as u16)
    }

    /// The same number as a wider type; exact.
    #[inline(always)]
    pub fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }

    /// The same number as a wider type; exact.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        // A binary16 shifted to binary32's fields, with its exponent still biased by 15, is the value times
        // 2^(15 - 127); one exact multiplication mends the bias and normalizes subnormals on the way.
        let magnitude = u32::from(self.0 & 0x7FFF);
        let scaled = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
        // Infinity and NaN have the exponent 31, which the multiplication takes for a number of 2^16 and above.
        let special = f32::from_bits(magnitude << 13 | 0x7F80_0000);
        let absolute = if magnitude >= 0x7C00 { special } else { scaled };
        f32::from_bits(absolute.to_bits() | u32::from(self.0 & 0x8000) << 16)
    }
}

impl Bf16 {
    /// Rounds to nearest, ties to even; overflow gives infinity, every NaN the canonical quiet one.
    #[inline(always)]
    pub fn from_f64(x: f64) -> Self {
        // Bfloat16 has the exponents of float32, so its subnormal numbers lie below float32's normal ones, where `odd`
        // does not round to odd. The last bit of `magic` is 2^-133, the smallest subnormal: adding it makes the
        // hardware round at that bit.
        let magic = f64::from_bits((1023 - 133 + 52) << 52);
        let subnormal = ((x.abs() + magic) - magic).copysign(x) as f32;
        let number = if x.abs() < f64::from(f32::MIN_POSITIVE) { subnormal } else { odd(x) };
        let bits = number.to_bits();
        let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
        Self(if number.is_nan() { 0x7FC0 } else { rounded } as u16)
    }

    /// The same number as a wider type; exact.
    #[inline(always)]
    pub fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }

    /// The same number as a wider type; exact.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// Rounds to odd: if the result is not `x` itself, its last bit is 1. A second rounding, to a type with at least two bits less,
/// then sees on which side of a tie `x` was. Results below float32's normal numbers are near `x`, but not rounded to odd.
#[inline(always)]
fn odd(x: f64) -> f32 {
    const DROPPED: u64 = (1 << 29) - 1;
    let bits = x.to_bits();
    // The sum carries into the lowest bit that is kept if any that is dropped is set.
    f64::from_bits((bits | ((bits & DROPPED) + DROPPED)) & !DROPPED) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let theirs = half::f16::from_bits(bits).to_f64();
            assert_eq!(
                F16(bits).to_f64().to_bits(),
                if theirs.is_nan() { F16(bits).to_f64().to_bits() } else { theirs.to_bits() }
            );
            assert_eq!(F16(bits).to_f64().is_nan(), theirs.is_nan());
            let theirs_bf = half::bf16::from_bits(bits).to_f64();
            assert!(Bf16(bits).to_f64() == theirs_bf || theirs_bf.is_nan() && Bf16(bits).to_f64().is_nan());
            let expected = if theirs.is_nan() { 0x7E00 } else { bits };
            assert_eq!(F16::from_f64(theirs).0, expected);
            let expected = if theirs_bf.is_nan() { 0x7FC0 } else { bits };
            assert_eq!(Bf16::from_f64(theirs_bf).0, expected);
        }
    }

    /// Between every pair of neighbours: just below, at and just above the midpoint.
    #[test]
    fn midpoints_round_to_even() {
        fn check(lower: u16, from: impl Fn(f64) -> u16, to: impl Fn(u16) -> f64) {
            let middle = (to(lower) + to(lower + 1)) / 2.0;
            let even = if lower.is_multiple_of(2) { lower } else { lower + 1 };
            assert_eq!(from(middle.next_down()), lower);
            assert_eq!(from(middle), even);
            assert_eq!(from(middle.next_up()), lower + 1);
            assert_eq!(from(-middle.next_down()), lower | 0x8000);
            assert_eq!(from(-middle), even | 0x8000);
            assert_eq!(from(-middle.next_up()), (lower + 1) | 0x8000);
        }
        for lower in 0..0x7BFF {
            check(lower, |x| F16::from_f64(x).0, |b| F16(b).to_f64());
        }
        for lower in 0..0x7F7F {
            check(lower, |x| Bf16::from_f64(x).0, |b| Bf16(b).to_f64());
        }
    }

    #[test]
    fn overflow_is_infinite_from_the_midpoint_on() {
        assert_eq!(F16::from_f64(65520.0_f64.next_down()).0, 0x7BFF);
        assert_eq!(F16::from_f64(65520.0).0, 0x7C00);
        assert_eq!(F16::from_f64(f64::MAX).0, 0x7C00);
        assert_eq!(F16::from_f64(f64::NEG_INFINITY).0, 0xFC00);
        assert_eq!(Bf16::from_f64(f64::from(f32::MAX)).0, 0x7F80);
        assert_eq!(Bf16::from_f64(-1e300).0, 0xFF80);
    }

    #[test]
    fn a_double_rounding_is_not_made() {
        let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(F16::from_f64(x).0, 0x3C01);
        assert_eq!(half::f16::from_f32(x as f32).to_bits(), 0x3C00);
    }
}
