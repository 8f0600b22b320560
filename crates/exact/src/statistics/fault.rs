//! The faults of statistics, alone or beside others.

use std::fmt;

/// A fault of statistics: no elements can have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidStatistics {
    /// The shape has another number of sets.
    Sets {
        /// The number of sets of the shape; `None` if it does not fit `usize`.
        expected: Option<usize>,
        /// The number of sets that were given.
        given: usize,
    },
    /// No elements can have this set.
    Set {
        /// The index of the set.
        index: usize,
        /// The fault of the set.
        fault: SetFault,
    },
}

/// A fault of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetFault {
    /// There are more than [`StatisticsPartial::MAX_ELEMENTS`](super::StatisticsPartial::MAX_ELEMENTS).
    TooManyElements,
    /// More elements are NaN or infinite than there are elements.
    Counts,
    /// The set has another number of elements than the first one.
    OtherElements {
        /// The number of elements of the first set.
        expected: u64,
        /// The number of elements of this set.
        given: u64,
    },
    /// `sum` is more than the finite elements can add up to.
    SumTooLarge,
    /// `sum` is not a multiple of 2^1074 units, as all sums of float64 are.
    SumBetween,
    /// `sum_of_squares` is negative.
    SquaresNegative,
    /// `sum_of_squares` is more than the squares of the finite elements can add up to.
    SquaresTooLarge,
    /// `sum_of_squares` is less than the square of `sum` divided by the number of finite elements.
    SquaresTooSmall,
    /// Gradients were measured of the first set and not of this one, or the other way round.
    GradientsOfSome {
        /// Whether gradients were measured of the first set.
        expected: bool,
    },
    /// More gradients are NaN or infinite than there are elements.
    NonfiniteGradients,
    /// `sum_of_gradients` is more than the finite gradients can add up to.
    GradientsTooLarge,
    /// `sum_of_gradients` is not a multiple of 2^1074 units.
    GradientsBetween,
    /// `sum_of_products` is more than the products of finite elements and gradients can add up to.
    ProductsTooLarge,
    /// `sum_of_products` is not 0 although all elements are.
    ProductsOfZeros,
}

impl InvalidStatistics {
    /// The path of the field that is wrong, from the partial on: `sets[3].sum`.
    pub fn field(&self) -> String {
        match self {
            Self::Sets { .. } => "sets".into(),
            Self::Set { index, fault } => format!("sets[{index}].{}", fault.field()),
        }
    }
}

impl fmt::Display for InvalidStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sets { expected: Some(expected), given } => {
                write!(f, "expected the {expected} sets of the shape, got {given}")
            }
            Self::Sets { expected: None, given } => write!(f, "expected as many as the shape has, got {given}"),
            Self::Set { index: _, fault } => fault.fmt(f),
        }
    }
}

impl std::error::Error for InvalidStatistics {}

impl SetFault {
    /// The name of the field that is wrong.
    pub fn field(self) -> &'static str {
        match self {
            Self::TooManyElements | Self::Counts | Self::OtherElements { .. } => "elements",
            Self::SumTooLarge | Self::SumBetween => "sum",
            Self::SquaresNegative | Self::SquaresTooLarge | Self::SquaresTooSmall => "sum_of_squares",
            Self::NonfiniteGradients => "nonfinite_gradients",
            Self::GradientsOfSome { .. } | Self::GradientsTooLarge | Self::GradientsBetween => "sum_of_gradients",
            Self::ProductsTooLarge | Self::ProductsOfZeros => "sum_of_products",
        }
    }
}

impl fmt::Display for SetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyElements => f.write_str("expected no more than 2^59, with those they are merged with"),
            Self::Counts => f.write_str("expected at least as many as those that are NaN or infinite"),
            Self::OtherElements { expected, given } => {
                write!(f, "expected the {expected} of the first set, got {given}")
            }
            Self::SumTooLarge => f.write_str("expected no more than the finite elements can add up to"),
            Self::SumBetween | Self::GradientsBetween => {
                f.write_str("expected a multiple of 2^1074 units, as every float64 is")
            }
            Self::SquaresNegative => f.write_str("expected a sum that is not negative"),
            Self::SquaresTooLarge => {
                f.write_str("expected no more than the squares of the finite elements can add up to")
            }
            Self::SquaresTooSmall => {
                f.write_str("expected at least the square of sum divided by the number of finite elements")
            }
            Self::GradientsOfSome { expected: true } => f.write_str("required, since the first set has it"),
            Self::GradientsOfSome { expected: false } => f.write_str("expected none, since the first set has none"),
            Self::NonfiniteGradients => f.write_str("expected no more than elements"),
            Self::GradientsTooLarge => f.write_str("expected no more than the finite gradients can add up to"),
            Self::ProductsTooLarge => f.write_str("expected no more than the finite products can add up to"),
            Self::ProductsOfZeros => f.write_str("expected 0, since sum_of_squares is 0"),
        }
    }
}

/// Two partials do not merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsMismatch {
    /// They are of different kinds of normalization.
    Kinds,
    /// Their sets are not the same.
    Shapes,
    /// Gradients were measured for one of them alone.
    Gradients,
    /// Together their sets have more than [`StatisticsPartial::MAX_ELEMENTS`](super::StatisticsPartial::MAX_ELEMENTS).
    TooManyElements,
}

impl StatisticsMismatch {
    /// The path of the field in which they differ, from either partial on.
    pub fn field(self) -> &'static str {
        match self {
            Self::Kinds => "kind",
            Self::Shapes => "shape",
            Self::Gradients => "sets[0].sum_of_gradients",
            Self::TooManyElements => "sets[0].elements",
        }
    }
}

impl fmt::Display for StatisticsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kinds => "expected the kind of the partial it is merged with",
            Self::Shapes => "expected the shape of the partial it is merged with",
            Self::Gradients => "expected in both of the partials that are merged or in neither",
            Self::TooManyElements => return SetFault::TooManyElements.fmt(f),
        })
    }
}

impl std::error::Error for StatisticsMismatch {}
