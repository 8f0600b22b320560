//! Bearer tokens.

use std::fs;

use evenkeel::{
    config::{SecurityConfig, ServerConfig},
    server::{Error, Running},
};
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    harness::{Client, connect, dropout, f32s, refusal},
    until::until,
};

/// The code of a call with this `authorization`.
async fn call(client: &mut Client, authorization: Option<&str>) -> Code {
    let mut request = Request::new(dropout(0.0, f32s(&[1], &[1.0])));
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().expect("a header's value"));
    }
    match client.dropout(request).await {
        Ok(_) => Code::Ok,
        Err(status) => refusal(Err::<(), _>(status), Code::Unauthenticated).code(),
    }
}

fn with_tokens(security: SecurityConfig) -> ServerConfig {
    ServerConfig { security, ..ServerConfig::on_free_port() }
}

/// Row 30.
#[tokio::test]
async fn a_call_needs_one_of_the_tokens() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    fs::write(&path, "first\nsecond\n").expect("it can be written");
    let security = SecurityConfig { auth_token_file: Some(path.clone()), ..Default::default() };
    let server = Running::start(with_tokens(security)).await.expect("the server starts");
    let mut client = Client::new(connect(&server).await);
    for (authorization, code) in [
        (Some("Bearer first"), Code::Ok),
        (Some("Bearer second"), Code::Ok),
        (None, Code::Unauthenticated),
        (Some("Bearer third"), Code::Unauthenticated),
        (Some("Bearer "), Code::Unauthenticated),
        (Some("Basic first"), Code::Unauthenticated),
        (Some("first"), Code::Unauthenticated),
    ] {
        assert_eq!(call(&mut client, authorization).await, code, "{authorization:?}");
    }
    let health = || HealthCheckRequest::default();
    HealthClient::new(connect(&server).await).check(health()).await.expect("health is open");

    // The token is changed without a restart.
    fs::write(&path, "third").expect("it can be written");
    let changed = async || call(&mut client, Some("Bearer third")).await == Code::Ok;
    until("the new token is good", changed).await;
    assert_eq!(call(&mut client, Some("Bearer first")).await, Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_open_can_be_chosen() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    fs::write(&path, "secret").expect("it can be written");
    let open = "/evenkeel.v1.TensorOpsService/Dropout".to_owned();
    let security = SecurityConfig { auth_token_file: Some(path), auth_open_methods: vec![open], ..Default::default() };
    let server = Running::start(with_tokens(security)).await.expect("the server starts");
    assert_eq!(call(&mut Client::new(connect(&server).await), None).await, Code::Ok);
    let health = HealthClient::new(connect(&server).await).check(HealthCheckRequest::default()).await;
    refusal(health, Code::Unauthenticated);
}

#[tokio::test]
async fn a_file_without_a_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in ["missing", "empty"] {
        let path = folder.path().join(name);
        if name == "empty" {
            fs::write(&path, "\n \n").expect("it can be written");
        }
        let security = SecurityConfig { auth_token_file: Some(path), ..Default::default() };
        let error = Running::start(with_tokens(security)).await.expect_err("nobody could call");
        assert!(matches!(&error, Error::Config(error) if error.key == "auth-token-file"), "{name}: {error}");
    }
}
