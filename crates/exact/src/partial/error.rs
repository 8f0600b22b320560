//! The reasons why parts are refused, and why two partials do not merge.

use std::fmt;

use super::NormOrder;
use crate::{Brief, SumTooLong};

/// The reason why parts are refused: no elements can have them, or they do not fit the partial to merge into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InvalidPartial {
    /// `norm_type` is not 1, 2 or infinity.
    NormType(f64),
    /// The order is not that of the partial it is merged into.
    OtherOrder {
        /// The order that is merged into.
        expected: NormOrder,
        /// The order of the other.
        given: NormOrder,
    },
    /// There are more than [`NormPartial::MAX_ELEMENTS`](crate::NormPartial::MAX_ELEMENTS).
    TooManyElements,
    /// More elements are NaN or infinite than there are elements.
    Counts,
    /// `largest` is negative, infinite or NaN, or not 0 although the order is 1 or 2 or no element is finite.
    Largest(f64),
    /// `sum` is too long.
    SumTooLong(SumTooLong),
    /// `sum` is more than the finite ones among `elements` can add up to.
    SumTooLarge,
    /// `sum` is not empty although the order is infinity.
    SumOfInfinity,
    /// The order is 1 and `sum` is not a multiple of 2^1074 units, as all sums of float64 are.
    SumBetween,
}

impl InvalidPartial {
    /// The name of the field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NormType(_) | Self::OtherOrder { .. } => "norm_type",
            Self::TooManyElements | Self::Counts => "elements",
            Self::Largest(_) => "largest",
            Self::SumTooLong(_) | Self::SumTooLarge | Self::SumOfInfinity | Self::SumBetween => "sum",
        }
    }
}

impl fmt::Display for InvalidPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NormType(given) => {
                write!(f, "expected 1, 2 or infinity, whose sums are exact, got {}", Brief(*given))
            }
            Self::OtherOrder { expected, given } => {
                write!(f, "expected {}, got {}", expected.norm_type(), given.norm_type())
            }
            Self::TooManyElements => f.write_str("expected no more than 2^59, with those it is merged with"),
            Self::Counts => f.write_str("expected at least as many as nan_elements and infinite_elements together"),
            Self::Largest(given) => {
                write!(f, "expected a finite number, above 0 only with norm_type infinity, got {}", Brief(*given))
            }
            Self::SumTooLong(error) => error.fmt(f),
            Self::SumTooLarge => f.write_str("expected no more than the finite elements can add up to"),
            Self::SumOfInfinity => f.write_str("expected none with norm_type infinity"),
            Self::SumBetween => f.write_str("expected a multiple of 2^1074 with norm_type 1, as every float64 is"),
        }
    }
}

impl std::error::Error for InvalidPartial {}

/// Two partials do not merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// They are of different orders.
    Orders {
        /// The order that is merged into.
        expected: NormOrder,
        /// The order of the other.
        given: NormOrder,
    },
    /// Together they have more than [`NormPartial::MAX_ELEMENTS`](crate::NormPartial::MAX_ELEMENTS).
    TooManyElements,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orders { expected, given } => {
                write!(f, "expected {}, got {}", expected.norm_type(), given.norm_type())
            }
            Self::TooManyElements => InvalidPartial::TooManyElements.fmt(f),
        }
    }
}

impl std::error::Error for MergeError {}
