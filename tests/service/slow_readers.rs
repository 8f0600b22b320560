//! Clients that read steadily, but slowly. The bytes that the system holds for them are in front of everything else that they are sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel::{
    config::{ConnectionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use h2::client::Builder;
use pb::NormKind;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Interval, interval},
};

use crate::{
    harness::{f32s, normalize},
    peer::{Peer, framed},
    untaken::narrow,
};
/// The bytes that are read at a time, and how often: ten times the least rate of a response.
const BYTES: usize = 16 << 10;
const EACH: Duration = Duration::from_millis(100);
/// How long a client reads slowly; then it reads the rest.
const SLOW: Duration = Duration::from_secs(12);
/// The time in which a client must answer a ping, or take what the system holds, if it takes nothing meanwhile.
const PAUSE: Duration = Duration::from_secs(3);

/// A ping: 8 bytes, of the type 6, on the connection.
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A connection that reads slowly until a moment.
struct Slow {
    stream: TcpStream,
    until: Instant,
    ticks: Interval,
    /// Whether the client pings the server whenever it reads, from the moment at which the last slow second begins. A client that
    /// sends something to a closed socket loses what it has not read.
    pings: bool,
}

impl Slow {
    async fn connect(server: &Running, pings: bool) -> Self {
        // The system of the client does not read for it.
        let stream = narrow(server).await;
        Self { stream, until: Instant::now() + SLOW, ticks: interval(EACH), pings }
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if Instant::now() >= self.until {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        ready!(self.ticks.poll_tick(cx));
        if self.pings && Instant::now() + Duration::from_secs(1) > self.until {
            self.stream.try_write(&PING)?;
        }
        let mut bytes = vec![0; BYTES.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        polled
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A client that reads slowly gets all of an answer with so many elements.
async fn gets_all(limits: ConnectionConfig, elements: usize, pings: bool) {
    let config = ServerConfig { connections: limits, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let mut windows = Builder::new();
    windows.initial_window_size(1 << 25).initial_connection_window_size(1 << 26);
    let peer = Peer::over(&windows, Slow::connect(&server, pings).await).await.expect("it speaks HTTP/2");
    let (answer, mut body) = peer.begin("Normalize").await;
    let call = normalize(NormKind::Layer, f32s(&[1, elements as i64], &vec![1.5; elements]));
    body.send_data(framed(&call.encode_to_vec()), true).expect("the connection is open");
    let began = Instant::now();
    let mut answer = answer.await.expect("an answer").into_body();
    let mut bytes = 0;
    // The windows have room for all: nothing but what the client reads is a sign of it.
    while let Some(data) = answer.data().await {
        bytes += data.unwrap_or_else(|error| panic!("{error} after {bytes} bytes and {:?}", began.elapsed())).len();
    }
    assert!(bytes > 4 * elements, "{bytes} bytes");
    let trailers = answer.trailers().await.expect("the end").expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn who_has_not_read_as_far_as_the_ping_keeps_the_answer() {
    let limits = ConnectionConfig {
        keep_alive_interval: Duration::from_secs(1),
        keep_alive_timeout: PAUSE,
        ..ConnectionConfig::default()
    };
    gets_all(limits, 2_000_000, false).await;
}

/// All of the answer is with the system, so that the call has ended.
#[tokio::test]
async fn who_reads_the_last_of_a_connection_that_ends_keeps_the_answer() {
    let limits =
        ConnectionConfig { idle_timeout: Duration::from_secs(1), body_timeout: PAUSE, ..ConnectionConfig::default() };
    gets_all(limits, 500_000, true).await;
}
