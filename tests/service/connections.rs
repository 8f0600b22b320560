//! Limits on the number of connections, and on how long one may be silent, idle or old.

use std::{
    io,
    sync::{Mutex, mpsc},
    time::Duration,
};

use evenkeel::{
    CheckpointHook,
    config::{ConnectionConfig, ServerConfig, WebConfig},
    server::Running,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc as async_mpsc,
};
use tonic::Code;

use crate::{
    harness::{Client, connect, dropout, f32s, start_with},
    peer::{PREFACE, Peer, address, framed, status, tcp_from},
    until::{until_some, within},
};

/// A timeout that is short, and long enough for everything that must happen within it on a busy machine.
const SHORT: Duration = Duration::from_secs(2);

fn with(connections: ConnectionConfig) -> ServerConfig {
    ServerConfig { connections, ..ServerConfig::on_free_port() }
}

async fn serves(client: &mut Client) {
    client.dropout(dropout(0.0, f32s(&[1], &[1.0]))).await.expect("it is served");
}

/// Waits until the server closes the connection; returns what it sent.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match within("the server closes the connection", stream.read_to_end(&mut bytes)).await {
        Ok(_) => (),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
    bytes
}

/// Row 29.
#[tokio::test]
async fn who_does_not_begin_to_speak_is_closed() {
    let limits = ConnectionConfig { handshake_timeout: SHORT, ..Default::default() };
    let (server, mut client) = start_with(with(limits)).await;
    let mut all = Vec::new();
    for begins in [&b""[..], &PREFACE[..1], &PREFACE[..24], &PREFACE[..PREFACE.len() - 1]] {
        let mut silent = TcpStream::connect(address(&server)).await.expect("the server listens");
        silent.write_all(begins).await.expect("the server reads");
        all.push(silent);
    }
    for silent in &mut all {
        closed(silent).await;
    }
    // By now the client's own connection is older than the timeout; it has spoken, so it stays.
    serves(&mut client).await;
}

/// Row 26.
#[tokio::test]
async fn who_speaks_another_language_is_closed_at_once() {
    // Connect is spoken over HTTP/1.1.
    let web = WebConfig { connect: Some(false), ..WebConfig::default() };
    let (server, mut client) = start_with(ServerConfig { web, ..ServerConfig::on_free_port() }).await;
    for words in
        ["GET / HTTP/1.1\r\nhost: evenkeel\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", "hello\r\n"]
    {
        let mut stream = TcpStream::connect(address(&server)).await.expect("the server listens");
        stream.write_all(words.as_bytes()).await.expect("the server reads");
        closed(&mut stream).await;
    }
    serves(&mut client).await;
}

/// Row 29: the cap holds, connections below it are served, and the place of a closed connection can be taken again.
#[tokio::test]
async fn there_are_no_more_connections_than_there_may_be() {
    for per_peer in [false, true] {
        let limits = if per_peer {
            ConnectionConfig { max_connections_per_peer: 2, ..Default::default() }
        } else {
            // The last is for an address that has none.
            ConnectionConfig { max_connections: 3, ..Default::default() }
        };
        let (server, mut client) = start_with(with(limits)).await;
        let second = TcpStream::connect(address(&server)).await.expect("the server listens");
        for _ in 0..50 {
            let mut third = TcpStream::connect(address(&server)).await.expect("the kernel accepts");
            assert_eq!(closed(&mut third).await, b"", "two are open");
        }
        serves(&mut client).await;

        let mut elsewhere = tcp_from([127, 0, 0, 2], address(&server)).await;
        elsewhere.write_all(PREFACE).await.expect("the server reads");
        assert_ne!(elsewhere.read(&mut [0; 9]).await.expect("it is another address"), 0);
        if !per_peer {
            let mut third = tcp_from([127, 0, 0, 3], address(&server)).await;
            assert_eq!(closed(&mut third).await, b"", "three are open");
        }
        drop((second, elsewhere));
        // The server notices the close when it reads from the connection.
        let served = async || {
            let mut stream = TcpStream::connect(address(&server)).await.expect("the server listens");
            let spoke = stream.write_all(PREFACE).await.is_ok();
            (spoke && stream.read(&mut [0; 9]).await.is_ok_and(|read| read > 0)).then_some(stream)
        };
        let mut again = until_some("a place is free again", served).await;
        again.write_all(&[0; 9]).await.expect("it stays open");
        serves(&mut client).await;
    }
}

/// A server that holds every call until the returned sender is dropped; the receiver gets a message for each call that
/// is held.
async fn holding(limits: ConnectionConfig) -> (Running, mpsc::Sender<()>, async_mpsc::UnboundedReceiver<()>) {
    let (at_checkpoint, reached) = async_mpsc::unbounded_channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let hook = CheckpointHook::new(move |_| {
        // The test may have ended.
        let _ = at_checkpoint.send(());
        let released = released.lock().expect("no holder panics");
        released.recv().expect_err("nothing is ever sent");
    });
    let config = ServerConfig { on_checkpoint: Some(hook), ..with(limits) };
    (Running::start(config).await.expect("the server starts"), release, reached)
}

fn request() -> Vec<u8> {
    dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec()
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_and_one_with_a_call_is_not() {
    let (server, release, mut reached) = holding(ConnectionConfig { idle_timeout: SHORT, ..Default::default() }).await;
    let busy = Peer::connect(address(&server)).await;
    let (answer, mut body) = busy.begin("Dropout").await;
    body.send_data(framed(&request()), true).expect("the connection is open");
    reached.recv().await.expect("the call is computed");
    for _ in 0..2 {
        let idle = Peer::connect(address(&server)).await;
        // The connection ends with GOAWAY and without an error.
        within("it is told to go", idle.connection).await.expect("no panic").expect("the server says that it closes");
    }
    assert!(!busy.connection.is_finished(), "a call is in flight");
    drop(release);
    assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    within("it is told to go", busy.connection).await.expect("no panic").expect("now it is idle as well");
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_and_its_calls_end() {
    let limits = ConnectionConfig { max_connection_age: SHORT, ..Default::default() };
    let (server, release, mut reached) = holding(limits).await;
    let peer = Peer::connect(address(&server)).await;
    let (answer, mut body) = peer.begin("Dropout").await;
    body.send_data(framed(&request()), true).expect("the connection is open");
    reached.recv().await.expect("the call is computed");
    // After GOAWAY the connection takes no more calls, so the last of these calls gets no answer.
    let refused = async {
        while let Ok((answer, mut body)) = peer.send(get()).await {
            if body.send_data(bytes::Bytes::new(), true).is_err() || answer.await.is_err() {
                break;
            }
        }
    };
    within("the connection takes no more calls", refused).await;
    assert!(!peer.connection.is_finished(), "the call is held");
    drop(release);
    assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    within("it is closed", peer.connection).await.expect("no panic").expect("it ends well");
}

/// A request that is answered without being computed.
fn get() -> tonic::codegen::http::Request<()> {
    tonic::codegen::http::Request::get("http://evenkeel/nothing").body(()).expect("a request")
}

#[tokio::test]
async fn the_calls_of_an_old_connection_are_cut_off_after_the_grace() {
    let limits = ConnectionConfig { max_connection_age: SHORT, max_connection_age_grace: SHORT, ..Default::default() };
    let (server, release, mut reached) = holding(limits).await;
    let peer = Peer::connect(address(&server)).await;
    let (answer, mut body) = peer.begin("Dropout").await;
    body.send_data(framed(&request()), true).expect("the connection is open");
    reached.recv().await.expect("the call is computed");
    status(answer).await.expect_err("it is cut off, for it is held");
    drop(release);
    serves(&mut Client::new(connect(&server).await)).await;
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_closed() {
    let limits =
        ConnectionConfig { keep_alive_interval: SHORT, keep_alive_timeout: SHORT, ..ConnectionConfig::default() };
    let (server, mut client) = start_with(with(limits)).await;
    let mut dead = TcpStream::connect(address(&server)).await.expect("the server listens");
    dead.write_all(PREFACE).await.expect("the server reads");
    let said = closed(&mut dead).await;
    // A frame of eight bytes, of the type 6, without flags.
    assert!(said.windows(5).any(|bytes| bytes == [0, 0, 8, 6, 0]), "{said:?}");
    serves(&mut client).await;
}
