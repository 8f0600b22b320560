//! Every way in which a call can fail, and the gRPC status that its client gets.

mod nonfinite;
mod ordered;
mod status;
mod words;

use std::{borrow::Cow, error::Error as _, fmt};

use evenkeel_kernels::{self as kernels, Violations};
use prost::DecodeError;
use tonic::{Code, Status};

pub(crate) use self::nonfinite::NonFiniteNorm;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// Fields of the request are invalid: at least one.
    #[error("{}", words::in_brief(.0))]
    Invalid(Violations),
    /// A norm is NaN or infinite, and the request asks for an error in that case.
    #[error("{0}")]
    NonFiniteNorm(Box<NonFiniteNorm>),
    /// The request is longer than the server accepts.
    #[error("the request exceeds the limit of {limit} bytes for a message")]
    RequestTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The decoded request takes more memory than one call may hold.
    #[error("the decoded request exceeds the limit of {limit} bytes for a call: it has too many tensors or numbers")]
    TooManyParts {
        /// The most memory that a call may hold, in bytes.
        limit: usize,
    },
    /// The operation needs more memory than one call may ever hold.
    #[error("the call needs {needed} bytes of memory, and the limit for a call is {limit}")]
    TooMuchMemory {
        /// The memory that it needs, with its request, in bytes.
        needed: usize,
        /// The most memory that a call may hold, in bytes.
        limit: usize,
    },
    /// A stream needs more of its input before it can answer than one call may ever hold.
    #[error(
        "the stream needs {needed} bytes of memory before it can answer, and the limit for a call is {limit}; in two calls it \
         needs next to none: {way}"
    )]
    NeedsTwoPasses {
        /// The memory that it needs, in bytes.
        needed: usize,
        /// The most memory that a call may hold, in bytes.
        limit: usize,
        /// The two calls, in words.
        way: &'static str,
    },
    /// The call's metadata is longer than the server accepts.
    #[error("the metadata has {size} bytes, and the limit is {limit} bytes")]
    MetadataTooLarge {
        /// The metadata's length as HTTP/2 counts it, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The response would be longer than the server sends.
    #[error("the response would have {size} bytes, and the limit for a message is {limit} bytes")]
    ResponseTooLarge {
        /// The response's length, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request's messages did not arrive whole, or cannot be decoded.
    #[error("the request cannot be read: {reason}")]
    Unreadable {
        /// The transport's status.
        code: Code,
        /// The transport's message.
        reason: String,
    },
    /// The request's messages are compressed by a method that the server does not accept.
    #[error("the server does not accept the request's {header}")]
    UnknownEncoding {
        /// The header that the client has sent with the name of the method.
        header: &'static str,
    },
    /// A unary call has no message, or several.
    #[error("the method takes one message, and the call has {found}")]
    NotOneMessage {
        /// How many it has, in words.
        found: &'static str,
    },
    /// The server has as much work as it accepts.
    #[error("the server is overloaded: {scarce}")]
    Overloaded {
        /// The resource that is used up.
        scarce: Scarce,
    },
    /// The call has no token, or one that the server does not know.
    #[error("the call needs a valid token: authorization: Bearer TOKEN")]
    Unauthenticated,
    /// The client has left.
    #[error("the call was cancelled")]
    Cancelled,
    /// The client's deadline has passed.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// The client sent nothing for too long.
    #[error("the client sent too little data within the time limit")]
    Stalled,
    /// The time to drain ran out while the call was computed.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The operation panicked: a bug in the server.
    #[error("internal error: the operation did not finish")]
    Panicked,
}

/// The resource that an overloaded server has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Memory for calls.
    Bytes,
    /// Memory for the streams of calls, beside their messages.
    Streams,
    /// Memory for health and reflection, with their streams.
    Questions,
    /// Places in the queue for a compute thread.
    Places,
}

impl Scarce {
    /// The setting with the limit; `None` where the limit is fixed.
    fn setting(self) -> Option<&'static str> {
        match self {
            Self::Bytes => Some("max-bytes-in-flight"),
            Self::Streams | Self::Questions => None,
            Self::Places => Some("max-queued"),
        }
    }
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "the limit on bytes in flight is reached",
            Self::Streams => "the memory for open streams is used up",
            Self::Questions => "the memory for health and reflection is used up",
            Self::Places => "the limit on queued calls is reached",
        })
    }
}

impl Error {
    pub(crate) fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Violations::of(field, reason).into()
    }

    /// The same of a field that is within another.
    #[must_use]
    pub(crate) fn within(self, outer: &str) -> Self {
        if let Self::Invalid(violations) = self { Self::Invalid(violations.within(outer)) } else { self }
    }

    /// The same where what does not fit in memory can be computed in two calls.
    #[must_use]
    pub(crate) fn in_two_passes(self, way: &'static str) -> Self {
        if let Self::TooMuchMemory { needed, limit } = self {
            Self::NeedsTwoPasses { needed, limit, way }
        } else {
            self
        }
    }

    /// The error from which a status was made; `None` for a status from elsewhere.
    pub(crate) fn of(status: &Status) -> Option<&Self> {
        status.source()?.downcast_ref()
    }

    /// Why the next message of a request could not be received. `limit`: the largest message, in bytes.
    pub(crate) fn receiving(status: &Status, limit: usize) -> Self {
        let code = status.code();
        match Self::of(status) {
            // The request's body has failed with it.
            Some(error) => error.clone(),
            // tonic's status for a message above the limit.
            None if code == Code::OutOfRange => Self::RequestTooLarge { limit },
            None => Self::Unreadable { code, reason: status.message().to_owned() },
        }
    }

    /// The error of a message that cannot be decoded.
    pub(crate) fn undecodable(error: &DecodeError) -> Self {
        Self::Unreadable { code: Code::Internal, reason: error.to_string() }
    }

    /// Whether the server is at fault and not the client.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Invalid(_)
            | Self::NonFiniteNorm(_)
            | Self::RequestTooLarge { .. }
            | Self::TooManyParts { .. }
            | Self::TooMuchMemory { .. }
            | Self::NeedsTwoPasses { .. }
            | Self::MetadataTooLarge { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Unreadable { .. }
            | Self::UnknownEncoding { .. }
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
            | Self::NeedsTwoPasses { .. }
            | Self::MetadataTooLarge { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::Unreadable { code, .. } => *code,
            Self::NotOneMessage { .. } | Self::UnknownEncoding { .. } => Code::Unimplemented,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Cancelled => Code::Cancelled,
            Self::DeadlineExceeded | Self::Stalled => Code::DeadlineExceeded,
            Self::ShuttingDown => Code::Unavailable,
            Self::Panicked => Code::Internal,
        }
    }
}

impl Error {
    /// An error of the kernels. `name` returns the name of the gradient with an index.
    pub(crate) fn of_gradients<'a>(error: kernels::Error, name: impl Fn(usize) -> &'a str) -> Self {
        match error {
            kernels::Error::Invalid(violations) => Self::Invalid(violations),
            kernels::Error::NonFiniteNorm { total_norm, elements } => {
                Self::NonFiniteNorm(Box::new(NonFiniteNorm::new(total_norm, *elements, name)))
            }
            kernels::Error::Cancelled => Self::Cancelled,
        }
    }
}

impl From<kernels::Error> for Error {
    fn from(error: kernels::Error) -> Self {
        Self::of_gradients(error, |_| "")
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
