//! The powers of two between which the terms of a sum lie, and the number of float64 that hold the exact sum.

use crate::{Element, dtype::Exponents};

/// The most terms of a sum, as a power of two.
pub(super) const TERMS: i32 = 10;

/// The most numbers that one sum is kept in.
pub(super) const MOST: usize = 4;

/// The powers of two for which there are anchors.
const ANCHORS: std::ops::RangeInclusive<i32> = -1000..=960;

/// Numbers that are less than `2^top` and multiples of `2^unit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    top: i32,
    unit: i32,
}

impl Span {
    /// The span of elements; `None` if not all are finite.
    pub(super) fn of<E: Element>(Exponents { largest, smallest }: Exponents) -> Option<Self> {
        if largest > 2 * E::BIAS {
            return None;
        }
        // If all elements are zeros, `smallest` is above every exponent.
        let unit = smallest.min(largest) - E::BIAS - E::MANTISSA;
        Some(Self { top: largest - E::BIAS + 1, unit })
    }

    /// The span of products.
    pub(super) fn times(self, other: Self) -> Self {
        Self { top: self.top + other.top, unit: self.unit + other.unit }
    }

    /// Anchors that split each term into `levels` numbers, of which [`TERMS`] add up without rounding; `None` if so few
    /// do not suffice.
    ///
    /// An anchor is 1.5 * 2^(q + 52): a number that is added to it is rounded to a multiple of 2^q, at most 2^(q - 1)
    /// away. The remainder is a multiple of the next finer unit, and so short that 2^TERMS remainders add up to 53
    /// bits. `is_pair`: a term is a rounded product with its rounding error, which begins at the second level.
    pub(super) fn anchors(self, levels: usize, is_pair: bool) -> Option<[f64; MOST]> {
        let terms = TERMS + i32::from(is_pair);
        // Products must be finite, and their last bits no smaller than the smallest float64.
        if self.unit < -1074 || self.top > 1000 {
            return None;
        }
        let (mut anchors, mut unit) = ([0.0; MOST], self.unit);
        for anchor in anchors[..levels - 1].iter_mut().rev() {
            unit += 54 - terms;
            if !ANCHORS.contains(&unit) {
                return None;
            }
            *anchor = 1.5 * f64::from_bits(((1023 + unit + 52) as u64) << 52);
        }
        (self.top + terms - unit <= 53).then_some(anchors)
    }
}
