//! A request's messages, decompressed while they arrive.

use evenkeel_frames::{Announced, Prefix};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::Turn;
use http_body::{Body as HttpBody, Frame};
use tonic::Status;

use super::{
    PIECE, SHORT_PIECE, TURN_BYTES,
    coder::{Decoder, Written, cut},
};
use crate::{
    budget::Portion,
    config::Encoding,
    decoded_size::DecodedSize,
    error::Error,
    grpc::{BoxError, Method},
    observe::CallRecord,
};

/// The account of decompressed messages: their bytes are reserved before they are allocated.
pub(in crate::server) struct Account {
    /// Their part of the call's reservation.
    pub(in crate::server) held: Portion,
    /// How often each byte of a message counts.
    pub(in crate::server) times: usize,
    /// The largest message, in bytes.
    pub(in crate::server) limit: usize,
    /// The method whose messages these are.
    pub(in crate::server) method: Method,
    pub(in crate::server) record: CallRecord,
}

/// The place in a body up to which it was read.
enum Place {
    Prefix(Prefix),
    /// In a message that is not compressed, with so many bytes to come.
    Plain(usize),
    Compressed {
        missing: usize,
        message: Box<Message>,
    },
}

/// A message that is being decompressed.
struct Message {
    decoder: Decoder,
    pieces: VecDeque<Bytes>,
    parts: DecodedSize,
    /// The length of the next piece.
    piece: usize,
    /// The piece that is being filled. It is empty before a step begins one.
    output: Vec<u8>,
    /// The number of bytes of `output` that were written.
    filled: usize,
    /// The bytes that were written, in all pieces.
    len: usize,
    /// The memory of `pieces`, in bytes.
    memory: usize,
    ended: bool,
    /// Whether all bytes that have come are decompressed, so that the next step needs more.
    is_starved: bool,
}

/// The most compressed bytes of a message that is expected to stay small: allocating a whole piece would take longer
/// than decompressing it.
const SHORT: usize = 128;

/// The bytes that a piece takes beside its own: its place in a list that doubles when it is full, and the allocator's share.
const PER_PIECE: usize = 96;

/// The most memory of a decoder that is kept for the next message, in bytes.
const KEPT: usize = 256 << 10;

const BEGIN: Place = Place::Prefix(Prefix::new());

/// A body whose messages are plain.
pub(in crate::server) struct Decompressed<B> {
    body: B,
    encoding: Encoding,
    account: Account,
    place: Place,
    /// The decoder of the message before, if it is kept.
    decoder: Option<Decoder>,
    /// The bytes that have come and were not read.
    input: Bytes,
    /// The plain bytes that were not taken yet.
    ready: VecDeque<Bytes>,
    turn: Turn,
    over: bool,
}

impl<B: HttpBody> Decompressed<B> {
    pub(in crate::server) fn new(body: B, encoding: Encoding, account: Account) -> Self {
        let (input, ready) = (Bytes::new(), VecDeque::new());
        Self {
            body,
            encoding,
            account,
            place: BEGIN,
            decoder: None,
            input,
            ready,
            turn: Turn::new(TURN_BYTES),
            over: false,
        }
    }

    /// Takes a step in the bytes that have come. Returns the number of bytes that were read or written, the larger of
    /// the two.
    fn advance(&mut self) -> Result<usize, Status> {
        let (before, mut written) = (self.input.len(), 0);
        match &mut self.place {
            Place::Prefix(prefix) => {
                if let Some(announced) = prefix.take(&mut self.input) {
                    self.place = self.begin(announced)?;
                }
            }
            Place::Plain(missing) => {
                let here = self.input.split_to(self.input.len().min(*missing));
                *missing -= here.len();
                self.ready.push_back(here);
                if *missing == 0 {
                    self.place = BEGIN;
                }
            }
            Place::Compressed { missing, message } => {
                let mut here = self.input.slice(..before.min(*missing));
                let there = here.len();
                written = message.advance(&mut here, &mut self.account)?;
                let read = there - here.len();
                *missing -= read;
                let _ = self.input.split_to(read);
                if message.ended && *missing == 0 {
                    // A decoder that holds much memory is not kept for another message, nor is that of the last
                    // message.
                    let is_last = self.input.is_empty() && self.body.is_end_stream();
                    let memory = Some(message.decoder.memory()).filter(|&memory| !is_last && memory <= KEPT);
                    let memory_of_all = message.memory + memory.unwrap_or_default();
                    self.account.set(message.len, memory_of_all, message.parts.bytes())?;
                    let length = u32::try_from(message.len).expect("the limit is no larger");
                    self.ready.push_back(Announced { flag: 0, length }.to_bytes());
                    self.ready.append(&mut message.pieces);
                    if let Place::Compressed { message, .. } = std::mem::replace(&mut self.place, BEGIN) {
                        self.decoder = memory.map(|_| message.decoder);
                    }
                } else if message.ended {
                    return Err(corrupt("bytes follow its end"));
                } else if *missing == 0 && message.is_starved {
                    return Err(corrupt("it ends too early"));
                }
            }
        }
        Ok((before - self.input.len()).max(written))
    }

    /// The place after a prefix.
    fn begin(&mut self, announced: Announced) -> Result<Place, Status> {
        let missing = announced.len();
        if announced.flag != 1 {
            self.ready.push_back(announced.to_bytes());
            return Ok(if missing == 0 { BEGIN } else { Place::Plain(missing) });
        }
        if missing > self.account.limit {
            return Err(self.account.too_large());
        }
        self.account.set(0, 0, 0)?;
        let decoder = self.decoder.take().map_or_else(|| Decoder::new(self.encoding), Decoder::again);
        let (pieces, parts) = (VecDeque::new(), DecodedSize::of(self.account.method));
        let is_short = missing <= SHORT && decoder.may_become_short(&self.input[..self.input.len().min(missing)]);
        let piece = if is_short { SHORT_PIECE } else { PIECE };
        let output = Vec::new();
        let message = Message {
            decoder,
            pieces,
            parts,
            piece,
            output,
            filled: 0,
            len: 0,
            memory: 0,
            ended: false,
            is_starved: false,
        };
        Ok(Place::Compressed { missing, message: Box::new(message) })
    }

    /// Whether neither a prefix nor a compressed message has begun and not ended. The layers behind check plain
    /// messages.
    fn is_between(&self) -> bool {
        match &self.place {
            Place::Prefix(prefix) => prefix.is_empty(),
            Place::Plain(_) => true,
            Place::Compressed { .. } => false,
        }
    }

    /// Gives back the account of messages that were handed on, where one message is in memory at a time.
    fn forget(&mut self) {
        let is_between = matches!(&self.place, Place::Prefix(prefix) if prefix.is_empty());
        if self.account.times == 1 && is_between {
            let memory = self.decoder.as_ref().map_or(0, Decoder::memory);
            // This cannot fail: the portion only shrinks.
            _ = self.account.set(0, memory, 0);
        }
    }

    /// Whether a step can be taken before more bytes come.
    fn has_work(&self) -> bool {
        match &self.place {
            Place::Prefix(_) | Place::Plain(_) => !self.input.is_empty(),
            Place::Compressed { missing, message } => !self.input.is_empty() || *missing == 0 || !message.is_starved,
        }
    }
}

impl Message {
    /// Decompresses a step into a piece, whose bytes are reserved first. Returns the number of bytes that were written.
    fn advance(&mut self, input: &mut Bytes, account: &mut Account) -> Result<usize, Status> {
        if self.output.is_empty() {
            let room = self.piece.min(account.limit - self.len);
            self.count(self.len + room, self.piece, account)?;
            self.output = vec![0; self.piece];
        }
        let written = self.decoder.step(input, &mut self.output[self.filled..]);
        let Written { len, ended } = written.map_err(|_| corrupt("it is not what it should be"))?;
        self.filled += len;
        self.len += len;
        if self.len > account.limit {
            return Err(account.too_large());
        }
        let is_full = self.filled == self.output.len();
        // A step that has room left in its piece has written all that the input decompresses to.
        self.is_starved = input.is_empty() && !is_full;
        self.ended = ended;
        if is_full || ended || self.is_starved {
            self.end_piece(account)
        } else {
            // The decoder's memory is counted again, since it allocates only after it has read how much it needs.
            let room = (self.output.len() - self.filled).min(account.limit - self.len);
            self.count(self.len + room, self.output.len(), account)
        }?;
        Ok(len)
    }

    /// Adds the piece that was filled to `pieces`.
    fn end_piece(&mut self, account: &mut Account) -> Result<(), Status> {
        let output = cut(std::mem::take(&mut self.output), self.filled);
        self.filled = 0;
        self.piece = PIECE - self.len % PIECE;
        self.parts.read(&output);
        if !output.is_empty() {
            self.memory += output.capacity() + PER_PIECE;
            self.pieces.push_back(output.into());
        }
        self.count(self.len, 0, account)
    }

    /// Reserves the bytes for a message of `len` bytes, of which a piece of `piece` bytes is being filled.
    fn count(&self, len: usize, piece: usize, account: &mut Account) -> Result<(), Status> {
        account.set(len, self.memory + piece + self.decoder.memory(), self.parts.bytes())
    }
}

impl Account {
    /// Reserves the bytes for a message of `len` bytes, and for its pieces and the codec, which take `memory` bytes. Both are gone
    /// when the answer is made, so the larger of the two needs counts. `apart`: the memory that decoding the message
    /// takes beyond that.
    fn set(&mut self, len: usize, memory: usize, apart: usize) -> Result<(), Status> {
        self.held.resize_decoded((self.times * len).max(memory), apart).map_err(Status::from)
    }

    fn too_large(&self) -> Status {
        Error::RequestTooLarge { limit: self.limit }.into()
    }
}

fn corrupt(reason: &str) -> Status {
    Status::internal(format!("the message cannot be decompressed: {reason}"))
}

impl<B> HttpBody for Decompressed<B>
where
    B: HttpBody<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if this.over {
                return Poll::Ready(None);
            }
            if !this.ready.is_empty() {
                // The reader copies each piece into memory that may be fresh.
                ready!(this.turn.poll(cx));
            }
            if let Some(bytes) = this.ready.pop_front() {
                this.turn.did(bytes.len());
                this.account.record.received(bytes.len());
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.has_work() {
                ready!(this.turn.poll(cx));
                match this.advance() {
                    Ok(bytes) => this.turn.did(bytes),
                    Err(status) => {
                        this.over = true;
                        return Poll::Ready(Some(Err(status.into())));
                    }
                }
                continue;
            }
            this.forget();
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.input = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.over = true;
                    let whole = this.is_between();
                    let early = || Some(Err(corrupt("the call ends within it").into()));
                    return Poll::Ready(if whole { None } else { early() });
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let between = self.is_between();
        self.over || self.ready.is_empty() && self.input.is_empty() && between && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests;
