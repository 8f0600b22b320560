//! The status of a message above the limit.

use tonic::{Code, Status, body::Body, codegen::http::Response};

use crate::{error::Error, metrics::Metrics};

/// tonic answers a message above its limit with OUT_OF_RANGE, and with no details; gRPC says RESOURCE_EXHAUSTED.
///
/// Nothing else in the tensor service answers OUT_OF_RANGE, so the code alone tells.
pub(super) fn answer_by_the_book(response: Response<Body>, limit: usize, metrics: &Metrics) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::OutOfRange => {
            let error = Error::RequestTooLarge { limit };
            metrics.failed(&error);
            tracing::info!(status = ?error.code(), limit, "request too large");
            Status::from(error).into_http()
        }
        Some(_) | None => response,
    }
}
