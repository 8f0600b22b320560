//! The errors of operations.

use std::{error, fmt};

use crate::Violations;

/// Why an operation did not produce a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// At least one argument does not fit the operation or the other arguments.
    Invalid(Violations),
    /// A norm is NaN or infinite and [`Clipping::error_if_nonfinite`](crate::Clipping::error_if_nonfinite) is set.
    NonFiniteNorm {
        /// The norm.
        total_norm: f64,
        /// The elements that are NaN or infinite.
        elements: Box<NonFinite>,
    },
    /// The [`Checkpoint`](crate::Checkpoint) asked to stop; nothing was returned.
    Cancelled,
}

/// The elements of gradients that are NaN or infinite. There may be none: the norm of finite elements can be beyond
/// float64, and a norm that was reduced elsewhere can be any number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NonFinite {
    /// How many elements are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
    /// How many gradients have such elements.
    pub gradients: usize,
    /// The indices of the first [`MOST_NAMED`](Self::MOST_NAMED) of these gradients.
    pub first: Vec<usize>,
}

impl NonFinite {
    /// How many gradients are named.
    pub const MOST_NAMED: usize = 16;
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(violations) => violations.fmt(f),
            Self::NonFiniteNorm { total_norm, elements } => {
                let NonFinite { nan, infinite, gradients, first: _ } = &**elements;
                write!(
                    f,
                    "the norm of the gradients is not finite: {total_norm}; {nan} NaN and {infinite} infinite elements in \
                     {gradients} gradients"
                )
            }
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl error::Error for Error {}
