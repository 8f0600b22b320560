//! What can go wrong in an operation.

use std::{borrow::Cow, error, fmt};

/// Why an operation did not produce a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// An argument does not fit the operation or the other arguments.
    Invalid {
        /// The argument, by its name in the wire contract, with an index where it has one: `axes[1]`, `weight.shape`.
        field: Cow<'static, str>,
        /// What is wrong with it, naming the expected and the given value; never tensor data.
        reason: String,
    },
    /// A norm is NaN or infinite and [`Clipping::error_if_nonfinite`](crate::Clipping::error_if_nonfinite) is set.
    NonFiniteNorm {
        /// The norm.
        total_norm: f64,
    },
    /// The [`Checkpoint`](crate::Checkpoint) asked to stop; nothing was returned.
    Cancelled,
}

impl Error {
    pub(crate) fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, reason } => write!(f, "{field}: {reason}"),
            Self::NonFiniteNorm { total_norm } => write!(f, "the norm of the gradients is not finite: {total_norm}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl error::Error for Error {}
