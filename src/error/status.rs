//! The gRPC status of an error: its message, its details, and when the client may retry.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
};
use tonic_types::ErrorDetails;

use super::{Error, ordered, words};

/// The `domain` of every `google.rpc.ErrorInfo` of this service.
pub(super) const DOMAIN: &str = "evenkeel";

/// The delay after which a refused client may retry: the time of a few of the longest calls.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The delay for clients with a retry policy, in milliseconds; a negative number forbids the retry (gRPC's proposal A6).
pub(super) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

impl Error {
    /// The delay for clients with a retry policy, which RESOURCE_EXHAUSTED alone does not give.
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
            | Self::NeedsTwoPasses { .. }
            | Self::MetadataTooLarge { .. }
            | Self::ResponseTooLarge { .. } => Some(MetadataValue::from_static("-1")),
            Self::Invalid(_)
            | Self::NonFiniteNorm(_)
            | Self::Unreadable { .. }
            | Self::UnknownEncoding { .. }
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
            Self::NeedsTwoPasses { needed, limit, .. } => {
                info("NEEDS_TWO_PASSES", [limit_of(*limit), size_of(*needed)].into())
            }
            Self::ResponseTooLarge { size, limit } => {
                info("MESSAGE_TOO_LARGE", [limit_of(*limit), size_of(*size)].into())
            }
            Self::MetadataTooLarge { size, limit } => {
                info("METADATA_TOO_LARGE", [limit_of(*limit), size_of(*size)].into())
            }
            Self::Overloaded { scarce } => {
                let setting = scarce.setting().map(|setting| ("setting".to_owned(), setting.to_owned()));
                let mut details = info("OVERLOADED", setting.into_iter().collect())?;
                details.set_retry_info(Some(RETRY_DELAY));
                Some(details)
            }
            Self::Unreadable { .. }
            | Self::UnknownEncoding { .. }
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = match &error {
            Error::Invalid(violations) => words::of_violations(violations).0,
            Error::Unreadable { reason, .. } => words::shorten(reason, words::MAX_REASON),
            Error::NonFiniteNorm(_)
            | Error::RequestTooLarge { .. }
            | Error::TooManyParts { .. }
            | Error::TooMuchMemory { .. }
            | Error::NeedsTwoPasses { .. }
            | Error::MetadataTooLarge { .. }
            | Error::ResponseTooLarge { .. }
            | Error::UnknownEncoding { .. }
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
        // Code that passes the status on keeps the error.
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

fn size_of(bytes: usize) -> (String, String) {
    ("size_bytes".to_owned(), bytes.to_string())
}
