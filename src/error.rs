//! Every way a call can fail, and the gRPC status it is answered with.

mod nonfinite;
mod ordered;
mod words;

use std::{borrow::Cow, collections::HashMap, error::Error as _, fmt, sync::Arc, time::Duration};

use evenkeel_kernels::{self as kernels, Violations};
use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataValue},
};
use tonic_types::ErrorDetails;

pub(crate) use self::nonfinite::NonFiniteNorm;

/// The `domain` of every `google.rpc.ErrorInfo` of this service.
const DOMAIN: &str = "evenkeel";

/// When a client that was refused may try again: a few of the longest calls later.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Tells clients that retry by a policy when to do so, in milliseconds; a number below 0: never. gRPC's A6.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

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

    /// When a client that retries by a policy may do so: what RESOURCE_EXHAUSTED alone does not say.
    fn retry_pushback(&self) -> Option<MetadataValue<Ascii>> {
        match self {
            Self::Overloaded { .. } => {
                let delay = u32::try_from(RETRY_DELAY.as_millis()).expect("it is short");
                Some(delay.into())
            }
            // It would be too large again.
            Self::RequestTooLarge { .. }
            | Self::TooManyParts { .. }
            | Self::TooMuchMemory { .. }
            | Self::ResponseTooLarge { .. } => Some(MetadataValue::from_static("-1")),
            Self::Invalid(_)
            | Self::NonFiniteNorm(_)
            | Self::Unreadable { .. }
            | Self::UnknownEncoding
            | Self::NotOneMessage { .. }
            | Self::Unauthenticated
            | Self::Cancelled
            | Self::DeadlineExceeded
            | Self::Stalled
            | Self::ShuttingDown
            | Self::Panicked => None,
        }
    }

    fn details(&self) -> Option<ErrorDetails> {
        match self {
            Self::Invalid(violations) => Some(words::of_violations(violations).1),
            Self::NonFiniteNorm(norm) => info("NONFINITE_NORM", norm.metadata()),
            Self::RequestTooLarge { limit } | Self::TooManyParts { limit } | Self::TooMuchMemory { limit, .. } => {
                info("MESSAGE_TOO_LARGE", [limit_of(*limit)].into())
            }
            Self::ResponseTooLarge { size, limit } => {
                info("MESSAGE_TOO_LARGE", [limit_of(*limit), ("size_bytes".to_owned(), size.to_string())].into())
            }
            Self::Overloaded { scarce } => {
                let mut details = info("OVERLOADED", [("setting".to_owned(), scarce.setting().to_owned())].into())?;
                details.set_retry_info(Some(RETRY_DELAY));
                Some(details)
            }
            Self::Unreadable { .. }
            | Self::UnknownEncoding
            | Self::NotOneMessage { .. }
            | Self::Unauthenticated
            | Self::Cancelled
            | Self::DeadlineExceeded
            | Self::Stalled
            | Self::ShuttingDown
            | Self::Panicked => None,
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = match &error {
            Error::Invalid(violations) => words::of_violations(violations).0,
            Error::Unreadable { reason, .. } => words::shorten(reason, words::MAX_REASON),
            Error::NonFiniteNorm(_)
            | Error::RequestTooLarge { .. }
            | Error::TooManyParts { .. }
            | Error::TooMuchMemory { .. }
            | Error::ResponseTooLarge { .. }
            | Error::UnknownEncoding
            | Error::NotOneMessage { .. }
            | Error::Overloaded { .. }
            | Error::Unauthenticated
            | Error::Cancelled
            | Error::DeadlineExceeded
            | Error::Stalled
            | Error::ShuttingDown
            | Error::Panicked => error.to_string(),
        };
        let mut status = match error.details() {
            Some(details) => ordered::status(error.code(), message, details),
            None => Self::new(error.code(), message),
        };
        if let Some(pushback) = error.retry_pushback() {
            let metadata = status.metadata_mut();
            metadata.insert(RETRY_PUSHBACK, pushback);
        }
        // Whatever passes the status on does not lose what it is about.
        status.set_source(Arc::new(error));
        status
    }
}

fn info(reason: &str, metadata: HashMap<String, String>) -> Option<ErrorDetails> {
    Some(ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

fn limit_of(bytes: usize) -> (String, String) {
    ("limit_bytes".to_owned(), bytes.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tonic_types::StatusExt as _;

    use super::*;

    fn nonfinite(total_norm: f64) -> Error {
        kernels::Error::NonFiniteNorm { total_norm, elements: Box::default() }.into()
    }

    /// One error of every variant, with the code and the reason that it must be answered with.
    fn every_error() -> Vec<(Error, Code, Option<&'static str>)> {
        let errors = vec![
            (Error::invalid("axes[1]", "4 is out of range for rank 3"), Code::InvalidArgument, None),
            (nonfinite(f64::NAN), Code::FailedPrecondition, Some("NONFINITE_NORM")),
            (Error::RequestTooLarge { limit: 1024 }, Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
            (Error::TooManyParts { limit: 1024 }, Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
            (
                Error::receiving(&Error::TooManyParts { limit: 2048 }.into(), 1024),
                Code::ResourceExhausted,
                Some("MESSAGE_TOO_LARGE"),
            ),
            (Error::ResponseTooLarge { size: 2048, limit: 1024 }, Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
            (Error::TooMuchMemory { needed: 2048, limit: 1024 }, Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
            (Error::receiving(&Status::internal("no protobuf"), 1024), Code::Internal, None),
            (Error::receiving(&Status::out_of_range("long"), 1024), Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
            (Error::Overloaded { scarce: Scarce::Bytes }, Code::ResourceExhausted, Some("OVERLOADED")),
            (Error::Overloaded { scarce: Scarce::Places }, Code::ResourceExhausted, Some("OVERLOADED")),
            (Error::NotOneMessage { found: "none" }, Code::Unimplemented, None),
            (Error::UnknownEncoding, Code::Unimplemented, None),
            (Error::Unauthenticated, Code::Unauthenticated, None),
            (Error::Cancelled, Code::Cancelled, None),
            (Error::DeadlineExceeded, Code::DeadlineExceeded, None),
            (Error::Stalled, Code::DeadlineExceeded, None),
            (Error::ShuttingDown, Code::Unavailable, None),
            (Error::Panicked, Code::Internal, None),
        ];
        let mut seen = BTreeSet::new();
        for (error, _, _) in &errors {
            // A new variant does not compile until it has a place here, and fails until it is in the table.
            let place = match error {
                Error::Invalid(_) => 0,
                Error::NonFiniteNorm(_) => 1,
                Error::RequestTooLarge { .. } => 2,
                Error::ResponseTooLarge { .. } => 3,
                Error::Unreadable { .. } => 4,
                Error::Cancelled => 5,
                Error::DeadlineExceeded => 6,
                Error::ShuttingDown => 7,
                Error::Panicked => 8,
                Error::Stalled => 9,
                Error::Overloaded { .. } => 10,
                Error::Unauthenticated => 11,
                Error::NotOneMessage { .. } => 12,
                Error::TooManyParts { .. } => 13,
                Error::TooMuchMemory { .. } => 14,
                Error::UnknownEncoding => 14,
            };
            seen.insert(place);
        }
        assert!(seen.into_iter().eq(0..15), "every variant is in the table");
        errors
    }

    #[test]
    fn every_error_has_its_code_and_details() {
        for (error, code, reason) in every_error() {
            let status = Status::from(error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert_eq!(error.code(), code, "{error:?}");
            assert_eq!(Error::of(&status).map(Error::code), Some(code), "{error:?}");
            let details = status.get_error_details();
            assert_eq!(details.error_info().map(|info| info.reason.as_str()), reason, "{error:?}");
            assert!(details.error_info().is_none_or(|info| info.domain == DOMAIN), "{error:?}");
            assert_eq!(details.retry_info().is_some(), reason == Some("OVERLOADED"), "{error:?}");
            assert_eq!(details.bad_request().is_some(), code == Code::InvalidArgument, "{error:?}");
            let pushback = match reason {
                Some("OVERLOADED") => Some("100"),
                Some("MESSAGE_TOO_LARGE") => Some("-1"),
                Some(_) | None => None,
            };
            assert_eq!(
                status.metadata().get(RETRY_PUSHBACK).map(|value| value.as_bytes()),
                pushback.map(str::as_bytes)
            );
        }
    }

    #[test]
    fn only_bugs_are_ours() {
        for (error, ..) in every_error() {
            assert_eq!(error.is_ours(), error == Error::Panicked, "{error:?}");
        }
    }

    #[test]
    fn the_limit_and_the_norm_are_told() {
        let metadata = |error: Error| {
            let details = Status::from(error).get_error_details();
            details.error_info().expect("it has an ErrorInfo").metadata.clone()
        };
        assert_eq!(metadata(Error::RequestTooLarge { limit: 1024 })["limit_bytes"], "1024");
        assert_eq!(metadata(Error::ResponseTooLarge { size: 2048, limit: 1024 })["size_bytes"], "2048");
        assert_eq!(metadata(nonfinite(f64::INFINITY))["total_norm"], "inf");
    }

    #[test]
    fn a_violation_names_field_and_reason() {
        let status = Status::from(Error::invalid("axes[1]", "4 is out of range for rank 3"));
        assert_eq!(status.message(), "axes[1]: 4 is out of range for rank 3");
        let details = status.get_error_details();
        let violations = &details.bad_request().expect("it has a BadRequest").field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "axes[1]");
        assert_eq!(violations[0].description, "4 is out of range for rank 3");
    }

    #[track_caller]
    fn fits(error: Error) -> Status {
        let status = Status::from(error);
        let headers = status.clone().into_http::<()>().headers().clone();
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(size < 4096, "{size} bytes for {:.100}", status.message());
        assert!(headers.contains_key("grpc-message") && headers.contains_key("grpc-status-details-bin"));
        status
    }

    #[test]
    fn message_and_details_stay_below_4_kib_on_the_wire() {
        // Three bytes in UTF-8, nine when percent-encoded.
        for text in ["a", "%", "\u{20ac}", "\0"] {
            for (field, reason) in [(1, 1), (1, 40), (10, 100), (60, 300), (100_000, 100_000)] {
                let (field, reason) = (text.repeat(field), text.repeat(reason));
                for count in [1, 2, 5, 64, 100] {
                    let mut violations = Violations::new();
                    (0..count).for_each(|_| violations.add(field.clone(), reason.clone()));
                    let status = fits(violations.into());
                    let details = status.get_error_details();
                    let listed = details.bad_request().map_or(0, |request| request.field_violations.len());
                    assert!((1..=count).contains(&listed), "{listed} of {count}");
                }
            }
            for len in [0, 10, 50, 100_000] {
                let name = text.repeat(len);
                let elements = kernels::NonFinite {
                    nan: u64::MAX,
                    infinite: u64::MAX,
                    gradients: usize::MAX,
                    first: (usize::MAX - 16..usize::MAX).collect(),
                };
                let norm = NonFiniteNorm::new(f64::NEG_INFINITY, elements, |_| &name);
                let details = fits(Error::NonFiniteNorm(Box::new(norm))).get_error_details();
                let info = details.error_info().expect("it has an ErrorInfo");
                assert_eq!(info.metadata.keys().filter(|key| key.starts_with("gradient_")).count(), 16);
            }
        }
    }

    #[test]
    fn gradients_that_are_not_finite_are_named() {
        let elements = kernels::NonFinite { nan: 2, infinite: 1, gradients: 3, first: vec![1, 4] };
        let name = |index| if index == 1 { "conv1.weight" } else { "" };
        let status = Status::from(Error::NonFiniteNorm(Box::new(NonFiniteNorm::new(f64::NAN, elements, name))));
        assert_eq!(
            status.message(),
            "the norm of the gradients is not finite: NaN; 2 NaN and 1 infinite elements in gradients[1] \"conv1.weight\"; \
             gradients[4]; and 1 more"
        );
        let details = status.get_error_details();
        let metadata = &details.error_info().expect("it has an ErrorInfo").metadata;
        let expected = [
            ("total_norm", "NaN"),
            ("nan_elements", "2"),
            ("infinite_elements", "1"),
            ("nonfinite_gradients", "3"),
            ("gradient_1", "conv1.weight"),
            ("gradient_4", ""),
        ];
        assert_eq!(*metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
}
