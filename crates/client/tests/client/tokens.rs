//! Bearer tokens.

use std::fs;

use evenkeel::{
    address::Address,
    config::{SecurityConfig, ServerConfig},
    server::Running,
};
use evenkeel_client::{Client, Error};
use ndarray::array;
use tempfile::TempDir;
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{TestResult, socket_folder::socket_folder};

const TOKEN: &str = "c2VjcmV0-token";

/// A server that requires the token for every method, health too.
async fn start(config: ServerConfig) -> Result<(TempDir, Running), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tokens");
    fs::write(&path, TOKEN)?;
    let security = SecurityConfig { auth_token_file: Some(path), auth_open_methods: Vec::new(), ..Default::default() };
    Ok((folder, Running::start(ServerConfig { security, ..config }).await?))
}

/// Whether unary calls, streams and those of other services are admitted: all or none.
async fn is_admitted(client: &Client) -> Result<bool, Box<dyn std::error::Error>> {
    let (channel, request) = client.request(HealthCheckRequest::default());
    let admitted = [
        client.dropout(array![1.0_f32], 0.5, 1).send().await.map(|_| ()),
        client.measure_gradients([("g", array![1.0_f32])]).send().await.map(|_| ()),
        HealthClient::new(channel).check(request).await.map(|_| ()).map_err(|status| Error::Status(Box::new(status))),
    ];
    for result in &admitted {
        match result {
            Ok(()) => {}
            Err(Error::Status(status)) if status.code() == Code::Unauthenticated => {}
            Err(error) => return Err(format!("{error:?}").into()),
        }
    }
    let first = admitted[0].is_ok();
    assert!(admitted.iter().all(|result| result.is_ok() == first), "{admitted:?}");
    Ok(first)
}

#[tokio::test]
async fn every_call_carries_the_token() -> TestResult {
    let (_folder, server) = start(ServerConfig::on_free_port()).await?;
    let with = |token: &str| Client::builder().token(token);
    assert!(is_admitted(&with(TOKEN).connect(server.url()).await?).await?);
    assert!(is_admitted(&with(TOKEN).codec_path(true).connect_lazy(server.url())?).await?);
    let channel = Endpoint::from_shared(server.url())?.connect().await?;
    assert!(is_admitted(&with(TOKEN).with_channel(channel)?).await?);
    assert!(!is_admitted(&with("another").connect(server.url()).await?).await?);
    assert!(!is_admitted(&Client::connect(server.url()).await?).await?);
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_takes_tokens() -> TestResult {
    let folder = socket_folder();
    let listen = Address::Unix(folder.path().join("evenkeel.sock"));
    let (_folder, server) = start(ServerConfig { listen, ..ServerConfig::default() }).await?;
    assert!(is_admitted(&Client::builder().token(TOKEN).connect(server.url()).await?).await?);
    Ok(())
}

#[track_caller]
fn refused(result: Result<Client, Error>, words: &str) {
    match result {
        Err(error @ Error::Setting { setting: "token", .. }) => {
            assert!(error.to_string().contains(words) && !format!("{error:?}").contains(TOKEN), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// No call is made: the addresses belong to other machines.
#[tokio::test]
async fn a_token_leaves_the_machine_only_encrypted() -> TestResult {
    let builder = || Client::builder().token(TOKEN);
    for url in ["http://192.0.2.1:50051", "http://evenkeel.example:50051"] {
        refused(builder().connect(url).await, "https://");
        refused(builder().connect_lazy(url), url);
        builder().allow_plaintext(true).connect_lazy(url)?;
        builder().tls_ca(crate::authority::Authority::new().pem()).connect_lazy(url.replace("http", "https"))?;
        Client::builder().connect_lazy(url)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_a_token_is_refused_and_not_shown() -> TestResult {
    for token in [String::new(), format!("{TOKEN}\n"), format!("{TOKEN} {TOKEN}"), format!("{TOKEN}\u{e9}")] {
        refused(Client::builder().token(&token).connect_lazy("http://127.0.0.1:1"), "ASCII");
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        refused(Client::builder().token(token).with_channel(channel), "ASCII");
    }
    let builder = Client::builder().token(TOKEN);
    let client = builder.clone().connect_lazy("http://127.0.0.1:1")?;
    let (_, request) = client.request(());
    for shown in [format!("{builder:?}"), format!("{client:?}"), format!("{request:?}")] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    assert_eq!(
        request.metadata().get("authorization").map(|value| value.as_bytes()),
        Some(format!("Bearer {TOKEN}").as_bytes())
    );
    Ok(())
}
