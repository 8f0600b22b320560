//! Headers and trailers: those that a call has, and those that its answer is to have.

use prost::Name;
use prost_types::Any;
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, HeaderName, HeaderValue},
    metadata::MetadataMap,
};

use crate::pb;

/// The metadata with these entries.
pub(crate) fn metadata(entries: &[pb::Header]) -> Result<MetadataMap, Status> {
    let wrong = |_| Status::invalid_argument("a header of the definition is none");
    let mut headers = HeaderMap::new();
    for pb::Header { name, value } in entries {
        let name = HeaderName::try_from(name).map_err(|_| wrong(()))?;
        for value in value {
            headers.append(&name, HeaderValue::try_from(value).map_err(|_| wrong(()))?);
        }
    }
    Ok(MetadataMap::from_headers(headers))
}

/// All that a handler sees of a call: its headers, its timeout and these messages.
pub(crate) fn request_info(metadata: &MetadataMap, requests: Vec<Any>) -> pb::conformance_payload::RequestInfo {
    let headers = metadata.clone().into_headers();
    let entry = |name: &HeaderName| pb::Header {
        name: name.to_string(),
        value: headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect(),
    };
    pb::conformance_payload::RequestInfo {
        request_headers: headers.keys().map(entry).collect(),
        timeout_ms: headers.get("grpc-timeout").and_then(milliseconds),
        requests,
        connect_get_info: None,
    }
}

/// The milliseconds of a `grpc-timeout`.
fn milliseconds(timeout: &HeaderValue) -> Option<i64> {
    let timeout = timeout.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: i64 = digits.parse().ok()?;
    match unit {
        "H" => Some(number * 3_600_000),
        "M" => Some(number * 60_000),
        "S" => Some(number * 1000),
        "m" => Some(number),
        "u" => Some(number / 1000),
        "n" => Some(number / 1_000_000),
        _ => None,
    }
}

/// A message with its type.
pub(crate) fn any<M: Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// The status of an error, with these trailers. `info`: becomes the last of its details.
pub(crate) fn status(
    error: pb::Error,
    info: Option<pb::conformance_payload::RequestInfo>,
    trailers: MetadataMap,
) -> Status {
    let pb::Error { code, message, mut details } = error;
    let message = message.unwrap_or_default();
    details.extend(info.as_ref().map(any));
    // The suite has numbered the codes as gRPC has.
    let details = prost::Message::encode_to_vec(&tonic_types::pb::Status { code, message: message.clone(), details });
    Status::with_details_and_metadata(Code::from_i32(code), message, details.into(), trailers)
}
