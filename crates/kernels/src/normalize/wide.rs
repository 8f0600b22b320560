//! Numbers with twice float64's precision and exponents of any size, for results that fit float64 while numbers on the way to
//! them do not.
//!
//! They are slow, and used only for elements whose result would be lost otherwise.

use super::power::{exponent, times_power};
use crate::lanes::DoubleDouble;

/// `number * 2^exponent`, always finite: the first of the pair is 0 or between 1 and 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    number: DoubleDouble,
    exponent: i32,
}

impl Wide {
    pub(super) const ZERO: Self = Self { number: DoubleDouble { high: 0.0, low: 0.0 }, exponent: 0 };

    /// `number * 2^exponent`, of a finite number.
    pub(super) fn new(number: DoubleDouble, exponent: i32) -> Self {
        let number = number.normalized();
        if number.high == 0.0 {
            return Self { number, exponent: 0 };
        }
        let power = self::exponent(number.high.abs());
        let DoubleDouble { high, low } = number;
        Self {
            number: DoubleDouble { high: times_power(high, -power), low: times_power(low, -power) },
            exponent: exponent + power,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        /// The distance of exponents beyond which the smaller term does not change the larger.
        const NOTHING: i32 = 220;
        if self.number.high == 0.0 && other.number.high == 0.0 {
            return Self { number: self.number.plus(other.number), exponent: 0 };
        }
        let other_is_larger = self.number.high == 0.0 || other.number.high != 0.0 && other.exponent > self.exponent;
        let (large, small) = if other_is_larger { (other, self) } else { (self, other) };
        if small.number.high == 0.0 || large.exponent - small.exponent > NOTHING {
            return large;
        }
        let DoubleDouble { high, low } = small.number;
        let distance = small.exponent - large.exponent;
        let small = DoubleDouble { high: times_power(high, distance), low: times_power(low, distance) };
        Self::new(large.number.plus(small), large.exponent)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        let DoubleDouble { high, low } = other.number;
        self.plus(Self { number: DoubleDouble { high: -high, low: -low }, ..other })
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self::new(self.number.times(other.number), self.exponent + other.exponent)
    }

    /// Divided by a number that is not 0.
    pub(super) fn over(self, n: f64) -> Self {
        Self::new(self.number.over(n), self.exponent)
    }

    pub(super) fn is_zero(self) -> bool {
        self.number.high == 0.0
    }

    /// A number with the sign of this one.
    pub(super) fn sign(self) -> f64 {
        self.number.high
    }

    /// Rounded to float64.
    pub(super) fn value(self) -> f64 {
        times_power(self.number.value(), self.exponent)
    }
}

impl From<f64> for Wide {
    fn from(x: f64) -> Self {
        Self::new(DoubleDouble::from(x), 0)
    }
}
