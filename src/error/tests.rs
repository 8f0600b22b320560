//! Every error, and the status that its client gets.

use std::collections::BTreeSet;

use tonic_types::StatusExt as _;

use super::{
    status::{DOMAIN, RETRY_PUSHBACK},
    *,
};

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
        (Error::MetadataTooLarge { size: 2048, limit: 1024 }, Code::ResourceExhausted, Some("METADATA_TOO_LARGE")),
        (Error::TooMuchMemory { needed: 2048, limit: 1024 }, Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
        (
            Error::NeedsTwoPasses { needed: 2048, limit: 1024, way: "MeasureStatistics, and then `statistics`" },
            Code::ResourceExhausted,
            Some("NEEDS_TWO_PASSES"),
        ),
        (Error::receiving(&Status::internal("no protobuf"), 1024), Code::Internal, None),
        (Error::receiving(&Status::out_of_range("long"), 1024), Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE")),
        (Error::Overloaded { scarce: Scarce::Bytes }, Code::ResourceExhausted, Some("OVERLOADED")),
        (Error::Overloaded { scarce: Scarce::Streams }, Code::ResourceExhausted, Some("OVERLOADED")),
        (Error::Overloaded { scarce: Scarce::Questions }, Code::ResourceExhausted, Some("OVERLOADED")),
        (Error::Overloaded { scarce: Scarce::Places }, Code::ResourceExhausted, Some("OVERLOADED")),
        (Error::NotOneMessage { found: "none" }, Code::Unimplemented, None),
        (Error::UnknownEncoding { header: "grpc-encoding" }, Code::Unimplemented, None),
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
            Error::UnknownEncoding { .. } => 15,
            Error::MetadataTooLarge { .. } => 16,
            Error::NeedsTwoPasses { .. } => 17,
        };
        seen.insert(place);
    }
    assert!(seen.into_iter().eq(0..18), "every variant is in the table");
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
            Some("MESSAGE_TOO_LARGE" | "METADATA_TOO_LARGE" | "NEEDS_TWO_PASSES") => Some("-1"),
            Some(_) | None => None,
        };
        assert_eq!(status.metadata().get(RETRY_PUSHBACK).map(|value| value.as_bytes()), pushback.map(str::as_bytes));
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
fn an_overload_names_what_is_used_up_and_its_setting() {
    for (scarce, setting, words) in [
        (Scarce::Bytes, Some("max-bytes-in-flight"), "the limit on bytes in flight is reached"),
        (Scarce::Streams, None, "the memory for open streams is used up"),
        (Scarce::Questions, None, "the memory for health and reflection is used up"),
        (Scarce::Places, Some("max-queued"), "the limit on queued calls is reached"),
    ] {
        let status = Status::from(Error::Overloaded { scarce });
        assert_eq!(status.message(), format!("the server is overloaded: {words}"));
        let details = status.get_error_details();
        let metadata = &details.error_info().expect("it has an ErrorInfo").metadata;
        assert_eq!(metadata.get("setting").map(String::as_str), setting);
    }
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
        for (field, reason) in [(1, 1), (1, 7), (1, 40), (10, 100), (60, 300), (100_000, 100_000)] {
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

/// All gradients that the error keeps are named, if their names have a usual length.
#[test]
fn sixteen_gradients_are_named_in_words() {
    let elements = kernels::NonFinite { nan: 16, infinite: 0, gradients: 16, first: (100..116).collect() };
    let norm = NonFiniteNorm::new(f64::NAN, elements, |_| "layer4.conv1.weight_");
    let message = fits(Error::NonFiniteNorm(Box::new(norm))).message().to_owned();
    assert_eq!(message.matches("\"layer4.conv1.weight_\"").count(), 16, "{message}");
    assert!(!message.contains("more"), "{message}");
}
