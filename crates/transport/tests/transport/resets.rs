//! Clients that make the server reset very many requests of a connection: what becomes of their other requests.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_testing::until::within;
use evenkeel_transport::{Http2Settings, Settings};
use http::{Method, Request};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::running::{self, Running};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;
/// The request that is answered late.
const SLOW: u32 = 1;

/// Starts a transport whose connections may have so many requests open. It answers a GET for each notification, and POST at once,
/// without reading the request's body.
fn start(max_streams_per_connection: u32) -> (Running, Arc<Notify>) {
    let go = Arc::<Notify>::default();
    let told = Arc::clone(&go);
    let http2 = Http2Settings { max_streams_per_connection, ..Http2Settings::default() };
    let settings = Settings { http2, ..Settings::default() };
    let running = running::start(settings, Duration::ZERO, move |request: Request<Incoming>| {
        let go = Arc::clone(&told);
        async move {
            if request.method() == Method::GET {
                go.notified().await;
            }
            Bytes::new()
        }
    });
    (running, go)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM, from byte 0 on, and of GOAWAY, from byte 4 on.
    fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("there are four bytes"))
    }
}

/// A client of HTTP/2 that makes requests whose end it sends after their response.
struct Client {
    stream: TcpStream,
    next: u32,
    /// Whether the answer to the slow request has come.
    is_answered: bool,
    /// The codes of all GOAWAY.
    told: Vec<u32>,
}

impl Client {
    /// A client with a slow request.
    async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        // GET http://a/
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, SLOW, b"\x82\x86\x84\x41\x01a"));
        stream.write_all(&bytes).await.expect("it is taken");
        Self { stream, next: SLOW + 2, is_answered: false, told: Vec::new() }
    }

    /// `None`: the server has closed the connection.
    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        within("the rest of a frame", self.stream.read_exact(&mut payload)).await.ok()?;
        let frame = Frame { kind, flags, stream: u32::from_be_bytes(stream), payload };
        if frame.kind == GOAWAY {
            self.told.push(frame.code(4));
        }
        let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
        self.is_answered |= ends && frame.stream == SLOW;
        Some(frame)
    }

    /// Waits until the server has read all that was sent. Returns whether the connection lives.
    async fn ping(&mut self) -> bool {
        const MINE: [u8; 8] = *b"all read";
        let _ = self.stream.write_all(&frame(PING, 0, 0, &MINE)).await;
        while let Some(read) = self.read().await {
            if read.kind == PING && read.payload == MINE {
                return true;
            }
            self.pong(&read).await;
        }
        false
    }

    /// Answers a ping of the server.
    async fn pong(&mut self, read: &Frame) {
        if read.kind == PING && read.flags & ACK == 0 {
            // An error means that the connection was closed, which the reads find.
            let _ = self.stream.write_all(&frame(PING, ACK, 0, &read.payload)).await;
        }
    }

    /// Makes `many` requests, and sends their ends when all were answered and reset. Answers pings if it `pongs`. Returns whether the
    /// connection lives.
    async fn late_ends(&mut self, many: u32, pongs: bool) -> bool {
        let mut open: HashSet<u32> = (0..many).map(|request| self.next + 2 * request).collect();
        self.next += 2 * many;
        let mut streams: Vec<u32> = open.iter().copied().collect();
        streams.sort_unstable();
        // POST http://a/
        let begin = |&stream: &u32| frame(HEADERS, END_HEADERS, stream, b"\x83\x86\x84\x41\x01a");
        // An error means that the connection was closed, which the reads find.
        let _ = self.stream.write_all(&streams.iter().flat_map(begin).collect::<Vec<u8>>()).await;
        while !open.is_empty() {
            let Some(read) = self.read().await else { return false };
            match read.kind {
                RST_STREAM if open.remove(&read.stream) => {
                    assert_eq!(read.code(0), NO_ERROR, "the response came early")
                }
                PING if pongs => self.pong(&read).await,
                _ => (),
            }
        }
        let end = |&stream: &u32| frame(DATA, END_STREAM, stream, &[]);
        self.stream.write_all(&streams.iter().flat_map(end).collect::<Vec<u8>>()).await.is_ok()
    }
}

/// HTTP/2's library counts the ends that come late as errors, and ends a connection with too many errors. Clients with such ends are
/// told to open another connection before that.
#[tokio::test]
async fn ends_that_come_after_the_response_cost_no_other_request() {
    const REQUESTS: u32 = 3000;
    // More than the 50 whose ends the library still expects.
    for (max_streams, at_once) in [(256, 100), (256, 255), (1000, 999)] {
        let (running, go) = start(max_streams);
        let (mut made, mut connections) = (0, 0);
        while made < REQUESTS {
            let mut client = Client::connect(running.address).await;
            connections += 1;
            while client.told.is_empty() {
                assert!(client.late_ends(at_once, true).await, "{:?} after {made} requests", client.told);
                made += at_once;
                assert!(made < 2 * REQUESTS, "the connection is not replaced");
            }
            assert!(client.ping().await, "{:?} after {made} requests, {at_once} at once", client.told);
            assert!(!client.is_answered);
            go.notify_one();
            while let Some(read) = client.read().await {
                client.pong(&read).await;
            }
            assert!(client.is_answered, "{:?} after {made} requests, {at_once} at once", client.told);
            assert!(client.told.iter().all(|&code| code == NO_ERROR), "{:?}", client.told);
        }
        assert_eq!(running.metrics.connections_worn_out.get(), connections);
        assert_eq!(running.metrics.connections_cut.get(), 0);
    }
}

/// A client that goes on when it was told to go, and does not answer the ping that GOAWAY comes with.
#[tokio::test]
async fn a_client_that_does_not_go_loses_the_connection_at_the_limit() {
    let (running, _) = start(256);
    let mut client = Client::connect(running.address).await;
    let mut made = 0;
    while client.late_ends(100, false).await {
        made += 100;
        assert!(made < 10_000, "the server resets without end");
    }
    while client.read().await.is_some() {}
    assert_eq!((client.told.first(), client.told.last()), (Some(&NO_ERROR), Some(&ENHANCE_YOUR_CALM)));
    assert!(!client.is_answered);
    assert_eq!(running.metrics.connections_worn_out.get(), 1);
}
