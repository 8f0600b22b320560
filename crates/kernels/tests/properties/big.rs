//! Numbers of some thousand bits, made of integers of any length: the reference of the tests.

use std::{
    cmp::Ordering,
    ops::{Add, Div, Mul, Neg, Sub},
};

use num_bigint::{BigInt, BigUint, Sign};

/// Results keep at least this many bits: more than lie between the largest and the smallest float64. Operations on numbers
/// that are shorter, like sums of tensor elements and products of two of them, are exact.
const PRECISION: u64 = 2400;

/// `mantissa * 2^exponent`, always finite. An operation rounds, downwards, where its result is longer than 2 *
/// [`PRECISION`] bits; division and root always do.
#[derive(Clone, Debug)]
pub(crate) struct Big {
    mantissa: BigInt,
    exponent: i64,
}

impl Big {
    pub(crate) fn zero() -> Self {
        Self { mantissa: BigInt::ZERO, exponent: 0 }
    }

    pub(crate) fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        terms.into_iter().fold(Self::zero(), |sum, term| &sum + &term)
    }

    pub(crate) fn abs(&self) -> Self {
        if self.mantissa.sign() == Sign::Minus { -self } else { self.clone() }
    }

    pub(crate) fn square(&self) -> Self {
        self * self
    }

    pub(crate) fn sqrt(&self) -> Self {
        let shift = (2 * PRECISION).saturating_sub(self.mantissa.bits()) as i64;
        let shift = shift + (self.exponent - shift).rem_euclid(2); // the exponent is halved
        Self { mantissa: (&self.mantissa << shift).sqrt(), exponent: (self.exponent - shift) / 2 }
    }

    /// The nearest float64, ties to even: for measuring errors, and for comparing bits.
    pub(crate) fn to_f64(&self) -> f64 {
        let magnitude = self.mantissa.magnitude();
        let (bits, exponent) = (magnitude.bits() as i64, self.exponent);
        // The position of the last bit of the result: 52 below the first, or at the smallest subnormal.
        let last = (bits - 53).max(-1074 - exponent);
        let rounded = if last <= 0 { magnitude << -last } else { round_shift(magnitude, last as u64) };
        let mantissa = u64::try_from(&rounded).expect("at most 2^53") as f64;
        let exponent = exponent + last;
        let value = if bits == 0 {
            0.0
        } else if exponent > 971 {
            f64::INFINITY
        } else if exponent < -1000 {
            mantissa * 2f64.powi(-1000) * 2f64.powi((exponent + 1000) as i32)
        } else {
            mantissa * 2f64.powi(exponent as i32)
        };
        if self.mantissa.sign() == Sign::Minus { -value } else { value }
    }

    fn trimmed(self) -> Self {
        let excess = self.mantissa.bits().saturating_sub(PRECISION) as i64;
        if excess <= PRECISION as i64 {
            return self;
        }
        Self { mantissa: self.mantissa >> excess, exponent: self.exponent + excess }
    }

    /// The mantissa with another exponent, which is not above its own.
    fn mantissa_at(&self, exponent: i64) -> BigInt {
        &self.mantissa << (self.exponent - exponent)
    }
}

/// `magnitude / 2^shift`, to nearest, ties to even.
fn round_shift(magnitude: &BigUint, shift: u64) -> BigUint {
    let floor = magnitude >> shift;
    let rest = magnitude - (&floor << shift);
    let half = BigUint::from(1u8) << (shift - 1);
    let up = rest > half || rest == half && floor.bit(0);
    floor + u8::from(up)
}

impl From<f64> for Big {
    fn from(x: f64) -> Self {
        assert!(x.is_finite(), "{x} is no number to compute with");
        let exponent = i64::from((x.to_bits() >> 52 & 0x7FF) as u16);
        let fraction = x.to_bits() & ((1 << 52) - 1);
        let mantissa = BigInt::from(if exponent == 0 { fraction } else { fraction | 1 << 52 });
        let exponent = exponent.max(1) - 1075;
        Self { mantissa: if x.is_sign_negative() { -mantissa } else { mantissa }, exponent }
    }
}

impl From<usize> for Big {
    fn from(n: usize) -> Self {
        Self { mantissa: n.into(), exponent: 0 }
    }
}

impl Add for &Big {
    type Output = Big;

    fn add(self, other: Self) -> Big {
        if other.mantissa == BigInt::ZERO {
            return self.clone();
        }
        if self.mantissa == BigInt::ZERO {
            return other.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        Big { mantissa: self.mantissa_at(exponent) + other.mantissa_at(exponent), exponent }.trimmed()
    }
}

impl Sub for &Big {
    type Output = Big;

    fn sub(self, other: Self) -> Big {
        self + &-other
    }
}

impl Mul for &Big {
    type Output = Big;

    fn mul(self, other: Self) -> Big {
        Big { mantissa: &self.mantissa * &other.mantissa, exponent: self.exponent + other.exponent }.trimmed()
    }
}

impl Div for &Big {
    type Output = Big;

    fn div(self, other: Self) -> Big {
        let shift = (PRECISION + other.mantissa.bits()).saturating_sub(self.mantissa.bits());
        let mantissa = (&self.mantissa << shift) / &other.mantissa;
        Big { mantissa, exponent: self.exponent - shift as i64 - other.exponent }.trimmed()
    }
}

impl Neg for &Big {
    type Output = Big;

    fn neg(self) -> Big {
        Big { mantissa: -&self.mantissa, exponent: self.exponent }
    }
}

impl PartialEq for Big {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Big {}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let exponent = self.exponent.min(other.exponent);
        self.mantissa_at(exponent).cmp(&other.mantissa_at(exponent))
    }
}
