//! The errors of Connect.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use evenkeel_kernels::Uninterrupted;
use prost::Message as _;
use serde::Serialize;
use serde_json::value::RawValue;
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, StatusCode},
};
use tonic_types::pb;

use crate::json::{self, Growing, Schemas};

/// Makes errors. The fields of their details are shown by their descriptors.
#[derive(Clone, Debug)]
pub(super) struct Errors(Arc<Schemas>);

/// An error as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Debug, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Box<RawValue>>,
}

impl Errors {
    pub(super) fn new(schemas: Arc<Schemas>) -> Self {
        Self(schemas)
    }

    /// The error for a status that is not OK.
    pub(super) fn of(&self, status: &Status) -> Fault {
        let details = pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        let details = details.into_iter().map(|any| {
            let name = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
            Detail { debug: self.debug(&name, &any.value), value: STANDARD_NO_PAD.encode(&any.value), name }
        });
        Fault { code: name_of(status.code()), message: status.message().to_owned(), details: details.collect() }
    }

    /// The message of this type as JSON; `None`: the type is not known.
    fn debug(&self, name: &str, message: &[u8]) -> Option<Box<RawValue>> {
        let mut text = Growing::uncounted();
        json::write(message, &self.0.message(name)?, &mut text, &Uninterrupted).ok()?;
        RawValue::from_string(String::from_utf8(text.as_ref().to_vec()).ok()?).ok()
    }
}

/// The status of a call, from trailers or from headers; one without a status has failed.
pub(super) fn status_of(trailers: &HeaderMap) -> Status {
    Status::from_header_map(trailers).unwrap_or_else(|| Status::unknown("the answer has no status"))
}

const fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok | Code::Unknown => "unknown",
        Code::Cancelled => "canceled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The status of HTTP that a unary call with this code ends with.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // nginx's "client closed request".
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The text of something in JSON.
pub(super) fn text_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("its keys are texts and its numbers finite")
}
