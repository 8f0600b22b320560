//! Helpers that read statuses, and those of the shared folder that start servers and make tensors.

pub(crate) use evenkeel_testing::{
    server::{Client, connect, start, start_with},
    tensors::{bits, clip, dropout, elements, f32s, norm_kinds, normalize, tensor},
};
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt as _};

/// The one field violation of an INVALID_ARGUMENT: the field's path and what is wrong with it.
#[track_caller]
pub(crate) fn violation<T>(answer: Result<T, Status>) -> (String, String) {
    let status = refusal(answer, Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("the status has a BadRequest").field_violations;
    let [violation] = violations.as_slice() else { panic!("not one violation: {violations:?}") };
    assert_eq!(status.message(), format!("{}: {}", violation.field, violation.description));
    (violation.field.clone(), violation.description.clone())
}

/// All field violations of an INVALID_ARGUMENT, as "FIELD: REASON".
#[track_caller]
pub(crate) fn violations<T>(answer: Result<T, Status>) -> Vec<String> {
    let details = refusal(answer, Code::InvalidArgument).get_error_details();
    let violations = &details.bad_request().expect("the status has a BadRequest").field_violations;
    violations.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect()
}

/// The fields of all field violations.
#[track_caller]
pub(crate) fn refused_fields<T>(answer: Result<T, Status>) -> Vec<String> {
    let field = |violation: String| violation.split(": ").next().unwrap_or_default().to_owned();
    violations(answer).into_iter().map(field).collect()
}

/// The status of a call that must fail with `code`, and within the limit on its size.
#[track_caller]
pub(crate) fn refusal<T>(answer: Result<T, Status>, code: Code) -> Status {
    let Err(status) = answer else { panic!("the call must fail with {code:?}") };
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().len() + status.details().len() < 4096);
    status
}

/// The ErrorInfo of a status. RESOURCE_EXHAUSTED, whichever way it came, also tells clients that retry by a policy when to
/// do so, or never to.
#[track_caller]
pub(crate) fn error_info(status: &Status) -> ErrorInfo {
    let details = status.get_error_details();
    let info = details.error_info().cloned().expect("the status has an ErrorInfo");
    assert_eq!(info.domain, "evenkeel");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().expect("it is text"));
    match info.reason.as_str() {
        "OVERLOADED" => {
            let delay = details.retry_info().and_then(|info| info.retry_delay).expect("it has a RetryInfo");
            assert_eq!(pushback, Some(delay.as_millis().to_string().as_str()));
        }
        "MESSAGE_TOO_LARGE" | "METADATA_TOO_LARGE" | "NEEDS_TWO_PASSES" => assert_eq!(pushback, Some("-1")),
        _ => assert_eq!(pushback, None),
    }
    info
}
