//! The error that each status becomes.

use std::{collections::HashMap, time::Duration};

use evenkeel_client::{Client, Error, FieldViolation, NormKind};
use ndarray::{Array2, array};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{TestResult, fake::Fake, start};

/// The error of a call that a server answers with this status.
async fn error_of(status: impl Fn() -> Status + Send + Sync + 'static) -> Result<Error, Box<dyn std::error::Error>> {
    let client = Fake { dropout: Box::new(move |_| Err(status())), ..Fake::default() }.start().await?;
    match client.dropout(array![1.0_f32], 0.5, 1).send().await {
        Err(error) => Ok(error),
        Ok(answer) => Err(format!("expected an error and got {answer:?}").into()),
    }
}

fn exhausted(details: ErrorDetails) -> Status {
    Status::with_error_details(Code::ResourceExhausted, "enough", details)
}

fn info(reason: &str, domain: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, domain, HashMap::new())
}

#[tokio::test]
async fn violations_arrive_with_their_fields() -> TestResult {
    let (_server, client) = start().await?;
    let x = Array2::<f32>::zeros((4, 3));
    let error = client.normalize(&x).kind(NormKind::Layer).weight(array![1.0_f32]).send().await;
    match error {
        Err(Error::InvalidArgument { message, violations }) => {
            let [FieldViolation { field, description }] = &violations[..] else {
                return Err(format!("expected one violation and got {violations:?}").into());
            };
            assert!(field.starts_with("weight"), "{field}");
            assert!(!description.is_empty() && message.contains(description.as_str()), "{message}");
        }
        other => panic!("{other:?}"),
    }
    match client.dropout(&x, 1.5, 0).channel_axis(1).send().await {
        Err(Error::InvalidArgument { violations, .. }) => {
            let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
            assert_eq!(fields, ["p", "channel_axis"], "all of them");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn invalid_argument_without_details_is_still_one() -> TestResult {
    let error = error_of(|| Status::invalid_argument("no")).await?;
    let Error::InvalidArgument { message, violations } = error else { panic!("{error:?}") };
    assert_eq!((message.as_str(), violations.len()), ("no", 0));
    Ok(())
}

#[tokio::test]
async fn exhaustion_has_two_meanings() -> TestResult {
    let error = error_of(|| exhausted(info("MESSAGE_TOO_LARGE", "evenkeel"))).await?;
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");

    let busy = || {
        let mut details = info("OVERLOADED", "evenkeel");
        details.set_retry_info(Some(Duration::from_millis(250)));
        exhausted(details)
    };
    let error = error_of(busy).await?;
    assert!(
        matches!(&error, Error::Busy { message, retry_after: Some(delay) }
            if message == "enough" && *delay == Duration::from_millis(250)),
        "{error:?}"
    );
    let error = error_of(|| exhausted(info("OVERLOADED", "evenkeel"))).await?;
    assert!(matches!(error, Error::Busy { retry_after: None, .. }), "{error:?}");

    // The same reason under another domain, such as that of a proxy, means something else.
    let error = error_of(|| exhausted(info("MESSAGE_TOO_LARGE", "example.com"))).await?;
    assert!(matches!(&error, Error::Status(status) if status.code() == Code::ResourceExhausted), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn other_statuses_keep_code_and_message() -> TestResult {
    for code in [Code::Internal, Code::Unimplemented, Code::Cancelled, Code::Unauthenticated, Code::FailedPrecondition]
    {
        let error = error_of(move || Status::new(code, "a reason")).await?;
        assert!(matches!(&error, Error::Status(status) if status.code() == code), "{error:?}");
        assert_eq!(error.to_string(), format!("{code:?}: a reason"));
    }
    let error = error_of(|| Status::unavailable("stopping")).await?;
    assert!(matches!(&error, Error::Unavailable { message, .. } if message == "stopping"), "{error:?}");
    let error = error_of(|| Status::deadline_exceeded("late")).await?;
    assert!(matches!(&error, Error::DeadlineExceeded { message } if message == "late"), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn messages_above_a_limit_are_too_large() -> TestResult {
    let (server, client) = start().await?;
    let x = Array2::<f32>::zeros((64, 64));

    // The client's limit, before anything is sent; and a response above it.
    let small = Client::builder().max_message_bytes(4096).connect(server.url()).await?;
    match small.dropout(&x, 0.5, 1).send().await {
        Err(Error::TooLarge { message }) => assert!(message.contains("4096"), "{message}"),
        other => panic!("{other:?}"),
    }
    let masked = Client::builder().max_message_bytes(16_420).connect(server.url()).await?;
    match masked.dropout(&x, 0.5, 1).return_mask(true).send().await {
        Err(Error::TooLarge { .. }) => {}
        other => panic!("{other:?}"),
    }

    // The server's limit, for a call that has no stream.
    let config =
        evenkeel::config::ServerConfig { max_message_bytes: 4096, ..evenkeel::config::ServerConfig::on_free_port() };
    let server = evenkeel::server::Running::start(config).await?;
    let backward = Client::connect(server.url()).await?.normalize_backward(&x, &x).kind(NormKind::Layer).send().await;
    match backward {
        Err(Error::TooLarge { message }) => assert!(message.contains("4096"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.dropout(&x, 0.0, 1).send().await?.output, x);
    Ok(())
}
