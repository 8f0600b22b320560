//! Ports, and the end of a server: calls in flight are answered within the drain timeout.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use evenkeel::{
    CheckpointHook,
    config::ServerConfig,
    server::{Error, Running},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc as async_mpsc,
};
use tonic::Code;

use crate::{
    harness::{dropout, elements, f32s, refusal, start, start_with},
    until::{until, within},
};

/// The first bytes of an HTTP/2 client: the magic line, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn port_0_takes_a_free_port_and_says_which() {
    let (one, mut client_of_one) = start().await;
    let (two, mut client_of_two) = start().await;
    assert_ne!(one.local_addr().expect("it is a TCP port").port(), 0);
    assert_ne!(one.local_addr(), two.local_addr());
    assert_eq!(one.url(), format!("http://{}", one.local_addr().expect("it is a TCP port")));
    for client in [&mut client_of_one, &mut client_of_two] {
        client.dropout(dropout(0.0, f32s(&[1], &[1.0]))).await.expect("both serve");
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let (server, _client) = start().await;
    let address = server.local_addr().expect("it is a TCP port");
    let config = ServerConfig { listen: address.into(), ..ServerConfig::default() };
    let error = Running::start(config).await.expect_err("the port is taken");
    assert!(matches!(&error, Error::Bind { addr, .. } if *addr == address.into()), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_wrong_setting_is_refused_before_anything_is_bound() {
    let config = ServerConfig { max_message_bytes: 0, ..ServerConfig::on_free_port() };
    let error = Running::start(config).await.expect_err("no message fits 0 bytes");
    assert!(matches!(&error, Error::Config(error) if error.key == "max-message-bytes"), "{error:?}");
}

#[tokio::test]
async fn an_idle_server_stops_and_closes_its_port() {
    let (server, client) = start().await;
    let addr = server.local_addr().expect("it is a TCP port");
    server.shutdown_and_wait().await.expect("nothing is in flight");
    drop(client);
    TcpStream::connect(addr).await.expect_err("nobody listens any more");
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_server_ends() {
    let (at_checkpoint, mut reached) = async_mpsc::unbounded_channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let hook = CheckpointHook::new(move |_| {
        at_checkpoint.send(()).expect("the test waits");
        // Blocks until the sender is dropped, and never again after that.
        let released = released.lock().expect("no holder panics");
        released.recv().expect_err("nothing is ever sent");
    });
    let config = ServerConfig { on_checkpoint: Some(hook), ..ServerConfig::on_free_port() };
    let (server, mut client) = start_with(config).await;
    let addr = server.local_addr().expect("it is a TCP port");
    let call = tokio::spawn(async move { client.dropout(dropout(0.0, f32s(&[2], &[1.0, 2.0]))).await });
    reached.recv().await.expect("the kernel comes to its checkpoint");

    let ending = tokio::spawn(server.shutdown_and_wait());
    // The listener is closed first, while the call is still held: when connections fail, the drain has begun.
    until("nobody listens any more", async || TcpStream::connect(addr).await.is_err()).await;
    assert!(!ending.is_finished(), "the server must wait for the call");
    assert!(!call.is_finished(), "the call is held");

    drop(release);
    let answer = call.await.expect("the call does not panic").expect("it is answered although the server ends");
    assert_eq!(elements(answer.into_inner().output.as_ref()), [1.0, 2.0]);
    ending.await.expect("the server does not panic").expect("it ends well");
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_timeout_is_cut_off() {
    let (at_checkpoint, mut reached) = async_mpsc::unbounded_channel();
    let (stop, mut stopped) = async_mpsc::unbounded_channel();
    let hook = CheckpointHook::new(move |checkpoint| {
        at_checkpoint.send(()).expect("the test waits");
        while checkpoint.check().is_ok() {
            thread::yield_now();
        }
        stop.send(()).expect("the test waits");
    });
    let config = ServerConfig {
        on_checkpoint: Some(hook),
        drain_timeout: Duration::from_millis(1),
        ..ServerConfig::on_free_port()
    };
    let (server, mut client) = start_with(config).await;
    let call = tokio::spawn(async move { client.dropout(dropout(0.0, f32s(&[1], &[1.0]))).await });
    reached.recv().await.expect("the kernel comes to its checkpoint");
    let error = server.shutdown_and_wait().await.expect_err("the call does not end by itself");
    assert!(matches!(error, Error::DrainTimeout { calls: 1, .. }), "{error:?}");
    within("the kernel is stopped at its checkpoint", stopped.recv()).await.expect("its thread lives");
    refusal(call.await.expect("the call does not panic"), Code::Unavailable);
}

/// A client that hangs neither closes its connection nor answers the ping that follows the server's GOAWAY.
#[tokio::test]
async fn a_connection_without_calls_does_not_spoil_the_end() {
    let config = ServerConfig { drain_timeout: Duration::from_millis(1), ..ServerConfig::on_free_port() };
    let (server, _client) = start_with(config).await;
    let mut silent =
        TcpStream::connect(server.local_addr().expect("it is a TCP port")).await.expect("the server accepts");
    silent.write_all(PREFACE).await.expect("the server reads");
    // The server's settings arrive: both sides speak HTTP/2 from now on.
    assert_ne!(silent.read(&mut [0; 64]).await.expect("the server answers"), 0);
    server.shutdown_and_wait().await.expect("no call was in flight");
}
