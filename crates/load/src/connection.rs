//! A client's HTTP/2 connection that does as little as possible for a call.

mod incoming;
mod peer;
mod stream;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::{
    incoming::{Event, Incoming},
    peer::Peer,
    stream::{Stream, Streams},
};
use crate::{
    alarm::Alarm,
    answer::Reference,
    ended::{Ended, Lost, Outcome, Record},
    frame::{self, HEADER, Header, MAX_WINDOW},
    hpack::Block,
    request::Request,
    worker::Worker,
};

/// The most bytes of one read, which stay in a core's cache.
const READ: usize = 1 << 18;
/// The most slices of one write.
const PIECES: usize = 64;
/// The most frames that wait to be written. A server that asks for many answers to frames, such as PING, and reads none of them would
/// otherwise fill the memory.
const WAITING: usize = 1 << 16;
/// The last number of a stream that a client may open.
const LAST_STREAM: u32 = (1 << 31) - 1;

/// A socket: of TCP, of a Unix domain, or encrypted.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection, and the calls in flight on it.
pub struct Connection {
    socket: Box<dyn Duplex>,
    request: Arc<Request>,
    reference: Reference,
    next_stream: u32,
    streams: Streams,
    outgoing: VecDeque<Bytes>,
    incoming: Incoming,
    peer: Peer,
    /// Made when it is needed first, for it takes a descriptor.
    alarm: Option<Alarm>,
    /// Empty while no call is made, for many connections may be idle.
    buffer: Vec<u8>,
    /// The bytes that were received since the last update of the window.
    received: i64,
}

impl Connection {
    /// Speaks HTTP/2 on a socket, and waits for the server's settings.
    ///
    /// # Errors
    /// The server closes the connection, or does not speak HTTP/2.
    pub async fn open(
        socket: impl Duplex + 'static,
        request: Arc<Request>,
        reference: Reference,
    ) -> Result<Self, Lost> {
        let mut connection = Self {
            socket: Box::new(socket),
            request,
            reference,
            next_stream: 1,
            streams: Streams::default(),
            outgoing: VecDeque::from([frame::preface().into()]),
            incoming: Incoming::default(),
            peer: Peer::default(),
            alarm: None,
            buffer: Vec::new(),
            received: 0,
        };
        while !connection.peer.is_known {
            connection.exchange(None, &mut Vec::new()).await?;
        }
        connection.buffer = Vec::new();
        Ok(connection)
    }

    /// The calls that have begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.streams.len()
    }

    /// Makes calls until the worker's pace has no more, and waits for those in flight.
    ///
    /// # Errors
    /// The connection has ended. The calls that were in flight were recorded as failed.
    pub async fn run<R: Record>(&mut self, worker: &mut Worker<R>) -> Result<(), Lost> {
        let mut ended = Vec::new();
        loop {
            let wake = self.begin(worker);
            if self.streams.is_empty() && wake.is_none() {
                self.buffer = Vec::new();
                let is_over = worker.concurrency == 0 || worker.next().is_none();
                return if is_over { Ok(()) } else { Err(Lost("the server takes no more calls".to_owned())) };
            }
            self.send();
            let wake = [wake, self.streams.deadline()].into_iter().flatten().min();
            let exchanged = self.exchange(wake, &mut ended).await;
            if let Err(lost) = &exchanged {
                let now = Instant::now();
                let ended_with_it = self.streams.drain().map(|stream| stream.end(now, Outcome::lost(lost)));
                ended.extend(ended_with_it);
            } else {
                self.expire(&mut ended);
            }
            for call in ended.drain(..) {
                if worker.take(call).is_break() {
                    return Ok(());
                }
            }
            exchanged?;
        }
    }

    fn takes_calls(&self) -> bool {
        !self.peer.is_leaving && self.next_stream < LAST_STREAM
    }

    /// Begins the calls that are due; returns when the next one is due, if there is room for it.
    fn begin<R: Record>(&mut self, worker: &mut Worker<R>) -> Option<Instant> {
        while self.takes_calls() && self.streams.len() < worker.concurrency.min(self.peer.max_streams) {
            let due = worker.next()?;
            let now = Instant::now();
            if due > now {
                return Some(due);
            }
            worker.began();
            self.start(due, now);
        }
        None
    }

    fn start(&mut self, due: Instant, started: Instant) {
        let id = self.next_stream;
        self.next_stream += 2;
        let block = self.request.block();
        let body = self.request.body();
        let mut headers = Vec::with_capacity(HEADER + block.len());
        // A body without bytes ends with the headers.
        let end = if body.is_empty() { frame::END_STREAM } else { 0 };
        frame::write(&mut headers, frame::HEADERS, frame::END_HEADERS | end, id, block);
        self.outgoing.push_back(headers.into());
        self.streams.push(
            Stream {
                id,
                due,
                started,
                unsent: body,
                window: self.peer.initial_window,
                reader: self.reference.reader(self.request.kind()),
                head: Block::default(),
            },
            self.request.limit(),
        );
    }

    /// Gives up the calls whose time has passed.
    fn expire(&mut self, ended: &mut Vec<Ended>) {
        if self.streams.deadline().is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        let now = Instant::now();
        while let Some(stream) = self.streams.expired(now) {
            self.reset(stream.id);
            ended.push(stream.end(now, Outcome::late()));
        }
    }

    /// Queues as much of the bodies as the windows allow: a frame of each call in turn, as general clients do.
    fn send(&mut self) {
        let mut stuck = 0;
        while stuck < self.streams.len() {
            let stream = self.streams.turn();
            let allowed = stream.window.min(self.peer.window).max(0) as usize;
            let len = stream.unsent.len().min(allowed).min(self.peer.max_frame);
            if len == 0 {
                stuck += 1;
                continue;
            }
            stuck = 0;
            let data = stream.unsent.split_to(len);
            stream.window -= len as i64;
            self.peer.window -= len as i64;
            let flags = if stream.unsent.is_empty() { frame::END_STREAM } else { 0 };
            let mut header = Vec::with_capacity(HEADER);
            Header { len, kind: frame::DATA, flags, stream: stream.id }.write(&mut header);
            self.outgoing.extend([header.into(), data]);
        }
    }

    /// Writes queued frames, as far as the socket accepts them, until something can be read, and processes that; or until it is
    /// `wake`.
    async fn exchange(&mut self, wake: Option<Instant>, ended: &mut Vec<Ended>) -> Result<(), Lost> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(READ, 0);
        if wake.is_some() && self.alarm.is_none() {
            self.alarm = Some(Alarm::new()?);
        }
        let read = poll_fn(|context| {
            while !self.outgoing.is_empty() {
                let pieces: Vec<IoSlice<'_>> = self.outgoing.iter().take(PIECES).map(|b| IoSlice::new(b)).collect();
                match Pin::new(&mut *self.socket).poll_write_vectored(context, &pieces) {
                    Poll::Ready(written) => written.map(|written| advance(&mut self.outgoing, written))?,
                    Poll::Pending => break,
                }
            }
            let mut read = ReadBuf::new(&mut buffer);
            if let Poll::Ready(polled) = Pin::new(&mut *self.socket).poll_read(context, &mut read) {
                return Poll::Ready(polled.map(|()| Some(read.filled().len())));
            }
            match (wake, &mut self.alarm) {
                (Some(wake), Some(alarm)) => alarm.poll_at(context, wake).map_ok(|()| None),
                (Some(_), None) | (None, _) => Poll::<io::Result<_>>::Pending,
            }
        })
        .await;
        let done = match read {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(Lost("the server has closed the connection".to_owned())),
            Ok(Some(len)) => self.receive(&buffer[..len], ended),
            Err(error) => Err(error.into()),
        };
        self.buffer = buffer;
        done
    }

    fn receive(&mut self, mut bytes: &[u8], ended: &mut Vec<Ended>) -> Result<(), Lost> {
        while let Some(event) = self.incoming.next(&mut bytes)? {
            match event {
                Event::Data(header, data) => {
                    if let Some(stream) = self.streams.find(header.stream) {
                        stream.reader.take(data, &self.reference);
                    }
                }
                Event::End(header) => self.data_ended(header, ended),
                Event::Frame(header, payload) => self.frame(header, &payload, ended)?,
            }
        }
        Ok(())
    }

    /// Processes the end of a frame of data.
    fn data_ended(&mut self, header: Header, ended: &mut Vec<Ended>) {
        self.received += header.len as i64;
        if self.received > MAX_WINDOW / 2 {
            let increment = (self.received as u32).to_be_bytes();
            self.received = 0;
            self.control(frame::WINDOW_UPDATE, 0, 0, &increment);
        }
        if header.flags & frame::END_STREAM != 0 {
            self.end(header.stream, &Block::default(), ended);
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8], ended: &mut Vec<Ended>) -> Result<(), Lost> {
        match header.kind {
            frame::HEADERS => {
                let block = Block::read(payload).map_err(|reason| Lost(reason.to_owned()))?;
                if header.flags & frame::END_STREAM != 0 {
                    self.end(header.stream, &block, ended);
                } else if let Some(stream) = self.streams.find(header.stream) {
                    stream.head = block;
                }
            }
            frame::RST_STREAM => {
                let error = payload.try_into().map(u32::from_be_bytes).unwrap_or_default();
                // The stream of a call that has ended may be reset, so that its request need not be sent.
                if let Some(stream) = self.streams.remove(header.stream) {
                    ended.push(stream.end(Instant::now(), Outcome::of_reset(error)));
                }
            }
            frame::GOAWAY => {
                self.peer.is_leaving = true;
                let last = payload.first_chunk().map(|last| u32::from_be_bytes(*last)).unwrap_or_default();
                let lost = Lost("the server is leaving".to_owned());
                while let Some(stream) = self.streams.after(last & LAST_STREAM) {
                    ended.push(stream.end(Instant::now(), Outcome::lost(&lost)));
                }
            }
            frame::SETTINGS if header.flags & frame::ACK == 0 => {
                let change = self.peer.settings(payload);
                self.streams.widen(change);
                self.control(frame::SETTINGS, frame::ACK, 0, &[]);
            }
            frame::PING if header.flags & frame::ACK == 0 => self.control(frame::PING, frame::ACK, 0, payload),
            frame::WINDOW_UPDATE => {
                let increment = payload.try_into().map(u32::from_be_bytes).unwrap_or_default() & LAST_STREAM;
                match header.stream {
                    0 => self.peer.window += i64::from(increment),
                    id => self.streams.find(id).into_iter().for_each(|it| it.window += i64::from(increment)),
                }
            }
            _ => (), // acknowledgements, and frames that HTTP/2 says to ignore
        }
        self.send();
        if self.outgoing.len() > WAITING {
            return Err(Lost("the server sends frames that need answers, and reads none".to_owned()));
        }
        Ok(())
    }

    /// Ends a call whose answer has ended with these trailers.
    fn end(&mut self, id: u32, trailers: &Block, ended: &mut Vec<Ended>) {
        let Some(stream) = self.streams.remove(id) else { return };
        if !stream.unsent.is_empty() {
            // The answer came before the request was sent: an error, most likely, and nobody reads the rest.
            self.reset(id);
        }
        ended.push(stream.answered(trailers, Instant::now(), &self.reference));
    }

    fn reset(&mut self, id: u32) {
        self.control(frame::RST_STREAM, 0, id, &frame::CANCEL.to_be_bytes());
    }

    fn control(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut out = Vec::with_capacity(HEADER + payload.len());
        frame::write(&mut out, kind, flags, stream, payload);
        self.outgoing.push_back(out.into());
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("in_flight", &self.in_flight()).finish_non_exhaustive()
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
