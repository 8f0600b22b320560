//! A client's HTTP/2 connection that does as little as possible for a call.
//!
//! A general client would be the bottleneck: from 256 KiB up, h2 takes longer than the fastest of the servers. Here the
//! headers are prepared bytes, the body is written without a copy, and of a response only the length of its data and
//! the status in its trailers are checked. Calls through h2 check the content of responses ([`crate::burst`]).

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::IoSlice,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::Poll,
    time::Instant,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use crate::{
    Result,
    burst::Until,
    frame::{self, DEFAULT_MAX_FRAME, DEFAULT_WINDOW, HEADER, Header, MAX_WINDOW},
};

/// The most bytes of one read, which stay in a core's cache.
const READ: usize = 1 << 18;
/// The most slices of one write.
const PIECES: usize = 64;

/// A connection, and the calls in flight on it.
pub(crate) struct Connection {
    socket: TcpStream,
    block: Arc<[u8]>,
    body: Bytes,
    /// The number of data bytes of every right response.
    answer_len: usize,
    next_stream: u32,
    streams: Vec<Stream>,
    /// The index of the stream whose frame was sent last.
    turn: usize,
    outgoing: VecDeque<Bytes>,
    incoming: Incoming,
    peer: Peer,
    /// The bytes that were received since the last update of the window.
    received: i64,
}

/// The settings and the window of the server.
struct Peer {
    known: bool,
    max_frame: usize,
    initial_window: i64,
    window: i64,
}

/// A call in flight.
struct Stream {
    id: u32,
    started: Instant,
    unsent: Bytes,
    window: i64,
    received: usize,
}

/// The frame that is being received.
#[derive(Default)]
struct Incoming {
    header: Vec<u8>,
    frame: Option<Header>,
    missing: usize,
    payload: Vec<u8>,
}

impl Connection {
    pub(crate) async fn connect(address: SocketAddr, path: &str, body: Bytes, answer_len: usize) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let peer =
            Peer { known: false, max_frame: DEFAULT_MAX_FRAME, initial_window: DEFAULT_WINDOW, window: DEFAULT_WINDOW };
        let mut connection = Self {
            socket,
            block: frame::request_block(path).into(),
            body,
            answer_len,
            next_stream: 1,
            streams: Vec::new(),
            turn: 0,
            outgoing: VecDeque::from([frame::preface().into()]),
            incoming: Incoming::default(),
            peer,
            received: 0,
        };
        let mut buffer = vec![0; READ];
        while !connection.peer.known {
            connection.exchange(&mut buffer, &mut Vec::new()).await?;
        }
        Ok(connection)
    }

    /// Keeps `concurrency` calls in flight; returns how long each took, in microseconds.
    pub(crate) async fn run(
        &mut self,
        concurrency: usize,
        until: &Until,
        loop_started: Instant,
        begun: &AtomicU64,
    ) -> Result<Vec<f64>> {
        let (mut buffer, mut latencies) = (vec![0; READ], Vec::new());
        loop {
            while self.streams.len() < concurrency && until.goes_on(loop_started, begun) {
                self.start();
            }
            if self.streams.is_empty() {
                return Ok(latencies);
            }
            self.send();
            self.exchange(&mut buffer, &mut latencies).await?;
        }
    }

    fn start(&mut self) {
        let id = self.next_stream;
        self.next_stream += 2;
        let mut headers = Vec::with_capacity(HEADER + self.block.len());
        frame::write(&mut headers, frame::HEADERS, frame::END_HEADERS, id, &self.block);
        self.outgoing.push_back(headers.into());
        let (started, unsent, window) = (Instant::now(), self.body.clone(), self.peer.initial_window);
        self.streams.push(Stream { id, started, unsent, window, received: 0 });
    }

    /// Queues as much of the bodies as the windows allow: a frame of each call in turn, as general clients do.
    fn send(&mut self) {
        let mut stuck = 0;
        while stuck < self.streams.len() {
            self.turn = (self.turn + 1) % self.streams.len();
            stuck = if self.send_frame() { 0 } else { stuck + 1 };
        }
    }

    /// Queues a frame of the call whose turn it is; returns false if it has nothing to send, or no window for it.
    fn send_frame(&mut self) -> bool {
        let stream = &mut self.streams[self.turn];
        let allowed = stream.window.min(self.peer.window).max(0) as usize;
        let len = stream.unsent.len().min(allowed).min(self.peer.max_frame);
        if len == 0 {
            return false;
        }
        let data = stream.unsent.split_to(len);
        stream.window -= len as i64;
        self.peer.window -= len as i64;
        let flags = if stream.unsent.is_empty() { frame::END_STREAM } else { 0 };
        let mut header = Vec::with_capacity(HEADER);
        Header { len, kind: frame::DATA, flags, stream: stream.id }.write(&mut header);
        self.outgoing.extend([header.into(), data]);
        true
    }

    /// Writes queued frames, as far as the socket accepts them, until something can be read, and processes that.
    async fn exchange(&mut self, buffer: &mut [u8], latencies: &mut Vec<f64>) -> Result<()> {
        let read = poll_fn(|context| {
            while !self.outgoing.is_empty() {
                let pieces: Vec<IoSlice<'_>> = self.outgoing.iter().take(PIECES).map(|b| IoSlice::new(b)).collect();
                match Pin::new(&mut self.socket).poll_write_vectored(context, &pieces) {
                    Poll::Ready(written) => written.map(|written| advance(&mut self.outgoing, written))?,
                    Poll::Pending => break,
                }
            }
            let mut read = ReadBuf::new(buffer);
            let polled = Pin::new(&mut self.socket).poll_read(context, &mut read);
            polled.map_ok(|()| read.filled().len())
        })
        .await?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.receive(&buffer[..read], latencies)
    }

    /// Parses frames. Data is counted; other payloads are short and kept until they are whole.
    fn receive(&mut self, mut bytes: &[u8], latencies: &mut Vec<f64>) -> Result<()> {
        while !bytes.is_empty() {
            let Some(frame) = self.incoming.frame else {
                let taken = bytes.len().min(HEADER - self.incoming.header.len());
                self.incoming.header.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if let Ok(header) = <&[u8; HEADER]>::try_from(&self.incoming.header[..]) {
                    let frame = Header::parse(header);
                    self.incoming.missing = frame.len;
                    self.incoming.frame = Some(frame);
                    self.incoming.header.clear();
                    if frame.len == 0 {
                        self.ended(frame, latencies)?;
                    }
                }
                continue;
            };
            let taken = bytes.len().min(self.incoming.missing);
            if frame.kind != frame::DATA {
                self.incoming.payload.extend_from_slice(&bytes[..taken]);
            }
            bytes = &bytes[taken..];
            self.incoming.missing -= taken;
            if self.incoming.missing == 0 {
                self.ended(frame, latencies)?;
            }
        }
        Ok(())
    }

    /// Processes a whole frame.
    fn ended(&mut self, frame: Header, latencies: &mut Vec<f64>) -> Result<()> {
        self.incoming.frame = None;
        let payload = std::mem::take(&mut self.incoming.payload);
        match frame.kind {
            frame::DATA => self.data(frame)?,
            frame::HEADERS => latencies.extend(self.headers(frame, &payload)?),
            frame::SETTINGS if frame.flags & frame::ACK == 0 => self.settings(&payload),
            frame::PING if frame.flags & frame::ACK == 0 => self.control(frame::PING, frame::ACK, &payload),
            frame::WINDOW_UPDATE => self.window(frame, &payload)?,
            frame::RST_STREAM | frame::GOAWAY => return Err(format!("the server gave up: {frame:?}").into()),
            _ => (), // acknowledgements, and frames that HTTP/2 says to ignore
        }
        self.incoming.payload = payload;
        self.incoming.payload.clear();
        self.send();
        Ok(())
    }

    fn data(&mut self, frame: Header) -> Result<()> {
        if frame.flags & (frame::PADDED | frame::END_STREAM) != 0 {
            return Err("the answer is padded or has no trailers".into());
        }
        let stream = self.streams.iter_mut().find(|stream| stream.id == frame.stream).ok_or("data of no call")?;
        stream.received += frame.len;
        self.received += frame.len as i64;
        if self.received > MAX_WINDOW / 2 {
            let increment = (self.received as u32).to_be_bytes();
            self.received = 0;
            self.control(frame::WINDOW_UPDATE, 0, &increment);
        }
        Ok(())
    }

    /// The latency of the call, if these are its trailers.
    fn headers(&mut self, frame: Header, block: &[u8]) -> Result<Option<f64>> {
        if frame.flags & frame::END_HEADERS == 0 || frame.flags & (frame::PADDED | frame::PRIORITY) != 0 {
            return Err("headers in several frames, padded, or with a priority are not expected".into());
        }
        if frame.flags & frame::END_STREAM == 0 {
            return Ok(None);
        }
        frame::ended_well(block)?;
        let index = self.streams.iter().position(|stream| stream.id == frame.stream).ok_or("trailers of no call")?;
        let stream = self.streams.swap_remove(index);
        if stream.received != self.answer_len {
            return Err(format!("an answer has {} bytes, the first had {}", stream.received, self.answer_len).into());
        }
        if !stream.unsent.is_empty() {
            return Err("the answer came before the request was sent".into());
        }
        Ok(Some(stream.started.elapsed().as_secs_f64() * 1e6))
    }

    fn settings(&mut self, payload: &[u8]) {
        for (key, value) in frame::settings(payload) {
            match key {
                frame::MAX_FRAME_SIZE => self.peer.max_frame = value as usize,
                frame::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.peer.initial_window;
                    self.peer.initial_window += change;
                    self.streams.iter_mut().for_each(|stream| stream.window += change);
                }
                _ => (), // the load stays within the other limits
            }
        }
        self.peer.known = true;
        self.control(frame::SETTINGS, frame::ACK, &[]);
    }

    fn window(&mut self, frame: Header, payload: &[u8]) -> Result<()> {
        let increment = i64::from(u32::from_be_bytes(payload.try_into()?) & 0x7FFF_FFFF);
        if frame.stream == 0 {
            self.peer.window += increment;
        } else if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == frame.stream) {
            stream.window += increment;
        }
        Ok(())
    }

    fn control(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let mut out = Vec::with_capacity(HEADER + payload.len());
        frame::write(&mut out, kind, flags, 0, payload);
        self.outgoing.push_back(out.into());
    }
}

/// Removes the bytes that were written.
fn advance(outgoing: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = outgoing.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        outgoing.pop_front();
    }
}
