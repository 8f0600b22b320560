//! Connecting, time limits, and connections that break.

use std::{net::Ipv4Addr, num::NonZeroUsize, time::Duration};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{Client, Error};
use ndarray::{Array1, array};
use tokio::net::{TcpListener, TcpSocket};

use crate::{TestResult, start};

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_url() -> TestResult {
    // Bound, so that no other test gets the port, but not listening.
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let url = format!("http://{}", socket.local_addr()?);
    match Client::connect(url.clone()).await {
        Err(error @ Error::Connect { .. }) => assert!(error.to_string().contains(&url), "{error}"),
        other => panic!("{other:?}"),
    }
    match Client::connect("not a url").await {
        Err(Error::Connect { url, .. }) => assert_eq!(url, "not a url"),
        other => panic!("{other:?}"),
    }
    // A lazy connection finds out at the first call.
    match Client::builder().connect_lazy(url)?.dropout(array![1.0_f32], 0.5, 1).send().await {
        Err(Error::Unavailable { .. }) => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_never_answers_meets_the_deadline() -> TestResult {
    // The kernel accepts connections for a listener that never calls `accept`, so the connection is made and nothing ever
    // comes back.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", silent.local_addr()?);
    let client = Client::builder().timeout(Duration::from_millis(50)).connect(url).await?;
    match client.dropout(array![1.0_f32], 0.5, 1).send().await {
        Err(Error::DeadlineExceeded { .. }) => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_after_the_server_went_away_is_unavailable() -> TestResult {
    let (server, client) = start().await?;
    client.dropout(array![1.0_f32], 0.5, 1).send().await?;
    server.shutdown_and_wait().await?;
    match client.dropout(array![1.0_f32], 0.5, 1).send().await {
        Err(Error::Unavailable { .. }) => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_server_at_the_same_address_is_found() -> TestResult {
    let (server, client) = start().await?;
    client.dropout(array![1.0_f32], 0.0, 1).send().await?;
    let listen = server.local_addr().ok_or("it is no TCP port")?.into();
    server.shutdown_and_wait().await?;
    let _server = Running::start(ServerConfig { listen, ..ServerConfig::default() }).await?;
    assert_eq!(client.dropout(array![1.0_f32], 0.0, 1).send().await?.kept, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_and_connections_serve_many_calls_at_once() -> TestResult {
    let (server, _) = start().await?;
    let settings = Client::builder()
        .connections(NonZeroUsize::new(3).ok_or("zero")?)
        .user_agent("a-test/1")
        .connect_timeout(Duration::from_secs(60))
        .tcp_nodelay(false)
        .max_frame_bytes(1 << 14)
        .stream_window_bytes(1 << 16)
        .connection_window_bytes(1 << 17);
    let client = settings.connect(server.url()).await?;
    let calls: Vec<_> = (0..50_u32)
        .map(|i| {
            let client = client.clone();
            let x = Array1::from_elem(10_000, f64::from(i));
            tokio::spawn(async move { client.dropout(x, 0.0, 1).send().await })
        })
        .collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await??.output, Array1::from_elem(10_000, i as f64));
    }
    Ok(())
}
