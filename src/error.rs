//! Every way a call can fail, and the gRPC status it is answered with.

mod nonfinite;
mod ordered;
mod status;
mod words;

use std::{borrow::Cow, error::Error as _, fmt};

use evenkeel_kernels::{self as kernels, Violations};
use tonic::{Code, Status};

pub(crate) use self::nonfinite::NonFiniteNorm;

/// Why a call was not answered with a result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// Fields of the request do not fit: at least one.
    #[error("{}", words::in_brief(.0))]
    Invalid(Violations),
    /// A norm is NaN or infinite, and the request wants that to be an error.
    #[error("{0}")]
    NonFiniteNorm(Box<NonFiniteNorm>),
    /// The request is longer than the server takes.
    #[error("the request is larger than the limit of {limit} bytes")]
    RequestTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request becomes more than the server has, when it is taken apart.
    #[error(
        "taken apart, the request is larger than the {limit} bytes that a call can have: too many tensors or numbers"
    )]
    TooManyParts {
        /// What a call can have at most, in bytes.
        limit: usize,
    },
    /// What is asked for takes more memory than one call can ever have.
    #[error("the call would need {needed} bytes of memory, more than the {limit} that one call can have")]
    TooMuchMemory {
        /// What it would need, with its request, in bytes.
        needed: usize,
        /// What a call can have at most, in bytes.
        limit: usize,
    },
    /// The call's metadata is longer than the server takes.
    #[error("the metadata of {size} bytes is larger than the limit of {limit} bytes")]
    MetadataTooLarge {
        /// The metadata's length as HTTP/2 counts it, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer would be longer than the server sends.
    #[error("the answer of {size} bytes would be larger than the limit of {limit} bytes")]
    ResponseTooLarge {
        /// The answer's length, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request's messages did not arrive whole.
    #[error("the request cannot be read: {reason}")]
    Unreadable {
        /// The transport's status.
        code: Code,
        /// The transport's words.
        reason: String,
    },
    /// The request's messages are compressed in a way that is not served.
    #[error("the encoding of the request is not served")]
    UnknownEncoding,
    /// A call that has one message has none, or several.
    #[error("the method takes one message, and this call has {found}")]
    NotOneMessage {
        /// How many it has, in words.
        found: &'static str,
    },
    /// The server has as much to do as it takes.
    #[error("the server has too much to do: {scarce}")]
    Overloaded {
        /// What there is no more of.
        scarce: Scarce,
    },
    /// The call has no token, or none that is known.
    #[error("the call needs a token: authorization: Bearer TOKEN")]
    Unauthenticated,
    /// Nobody waits for the result.
    #[error("the call was cancelled")]
    Cancelled,
    /// The time that the client gave the call is over.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// The client sent nothing for too long.
    #[error("the client sent too little for too long")]
    Stalled,
    /// The time to drain ran out while the call was computed.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The operation panicked: a bug of ours.
    #[error("internal error: the operation did not finish")]
    Panicked,
}

/// What an overloaded server has no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Memory for calls.
    Bytes,
    /// Places where a call waits for a thread.
    Places,
}

impl Scarce {
    /// The setting that says how much there is.
    fn setting(self) -> &'static str {
        match self {
            Self::Bytes => "max-bytes-in-flight",
            Self::Places => "max-queued",
        }
    }
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "as many bytes are in flight as may be",
            Self::Places => "as many calls wait as may",
        })
    }
}

impl Error {
    pub(crate) fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Violations::of(field, reason).into()
    }

    /// The error that a status was made of; `None`: it is not one of ours.
    pub(crate) fn of(status: &Status) -> Option<&Self> {
        status.source()?.downcast_ref()
    }

    /// Why the next message of a request did not come. `limit`: the largest message, in bytes.
    pub(crate) fn receiving(status: &Status, limit: usize) -> Self {
        let code = status.code();
        match Self::of(status) {
            // The request's body has ended with it.
            Some(error) => error.clone(),
            // What tonic says to a message above the limit.
            None if code == Code::OutOfRange => Self::RequestTooLarge { limit },
            None => Self::Unreadable { code, reason: status.message().to_owned() },
        }
    }

    /// Whether it is the server's fault and not the client's.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Invalid(_)
            | Self::NonFiniteNorm(_)
            | Self::RequestTooLarge { .. }
            | Self::TooManyParts { .. }
            | Self::TooMuchMemory { .. }
            | Self::MetadataTooLarge { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Unreadable { .. }
            | Self::UnknownEncoding
            | Self::NotOneMessage { .. }
            | Self::Overloaded { .. }
            | Self::Unauthenticated
            | Self::Cancelled
            | Self::DeadlineExceeded
            | Self::Stalled
            | Self::ShuttingDown => false,
        }
    }

    /// The status code alone.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NonFiniteNorm(_) => Code::FailedPrecondition,
            Self::RequestTooLarge { .. }
            | Self::TooManyParts { .. }
            | Self::TooMuchMemory { .. }
            | Self::MetadataTooLarge { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::Unreadable { code, .. } => *code,
            Self::NotOneMessage { .. } | Self::UnknownEncoding => Code::Unimplemented,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Cancelled => Code::Cancelled,
            Self::DeadlineExceeded | Self::Stalled => Code::DeadlineExceeded,
            Self::ShuttingDown => Code::Unavailable,
            Self::Panicked => Code::Internal,
        }
    }
}

impl From<kernels::Error> for Error {
    fn from(error: kernels::Error) -> Self {
        match error {
            kernels::Error::Invalid(violations) => Self::Invalid(violations),
            kernels::Error::NonFiniteNorm { total_norm, elements } => {
                Self::NonFiniteNorm(Box::new(NonFiniteNorm::new(total_norm, *elements, |_| "")))
            }
            kernels::Error::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<kernels::Cancelled> for Error {
    fn from(kernels::Cancelled: kernels::Cancelled) -> Self {
        Self::Cancelled
    }
}

#[cfg(test)]
mod tests;
