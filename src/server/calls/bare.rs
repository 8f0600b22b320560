//! Messages without a prefix, of calls of Connect whose clients do not say the length before its end.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_frames::Announced;
use evenkeel_transport::Turn;
use http_body::{Body as HttpBody, Frame};
use tonic::Status;

use crate::{budget::Portion, error::Error, grpc::BoxError, server::admission::Messages};

/// The bytes of a piece in which the message is gathered. However short the frames of a client are, they take no more memory.
const PIECE: usize = 64 << 10;
/// The bytes of the first piece, since most messages are short.
const FIRST: usize = 1 << 10;
/// The bytes that a piece takes beside its own.
const PER_PIECE: usize = 96;
/// The bytes after which other tasks have a turn.
const TURN_BYTES: usize = 2 * PIECE;

/// A body whose message is gathered, and then has a prefix. What it takes is reserved piece by piece; behind its prefix it is
/// counted as any other message.
pub(super) struct Gathered<B> {
    body: B,
    is_compressed: bool,
    /// The largest message, in bytes.
    limit: usize,
    pieces: VecDeque<Bytes>,
    /// The piece that is being filled.
    piece: Vec<u8>,
    len: usize,
    /// The bytes that are reserved for the pieces.
    held: Portion,
    /// Counts the message behind its prefix.
    messages: Messages,
    counted: Portion,
    is_whole: bool,
    turn: Turn,
    over: bool,
}

impl<B> Gathered<B> {
    /// `held` and `counted` are portions of the call's reservation, of nothing.
    pub(super) fn new(
        body: B,
        is_compressed: bool,
        limit: usize,
        messages: Messages,
        [held, counted]: [Portion; 2],
    ) -> Self {
        let (pieces, piece, turn) = (VecDeque::new(), Vec::new(), Turn::new(TURN_BYTES));
        Self {
            body,
            is_compressed,
            limit,
            pieces,
            piece,
            len: 0,
            held,
            messages,
            counted,
            is_whole: false,
            turn,
            over: false,
        }
    }

    /// Copies the next bytes of the message.
    fn add(&mut self, mut data: &[u8]) -> Result<(), Error> {
        self.len += data.len();
        if self.len > self.limit {
            return Err(Error::RequestTooLarge { limit: self.limit });
        }
        while !data.is_empty() {
            if self.piece.len() == self.piece.capacity() {
                self.end_piece();
                let wanted = if self.pieces.is_empty() { FIRST.max(data.len()) } else { PIECE };
                // The rest of a message that is as long as it may be fits in.
                let room = wanted.min(PIECE).min(self.limit - self.len + data.len());
                self.held.require(self.held.bytes() + room + PER_PIECE)?;
                self.piece.reserve_exact(room);
            }
            let here = data.len().min(self.piece.capacity() - self.piece.len());
            self.piece.extend_from_slice(&data[..here]);
            data = &data[here..];
        }
        Ok(())
    }

    fn end_piece(&mut self) {
        if !self.piece.is_empty() {
            self.pieces.push_back(mem::take(&mut self.piece).into());
        }
    }

    /// Counts the beginning of a piece, and keeps the rest of it for another time.
    fn count(&mut self, mut data: Bytes) -> Result<Bytes, Error> {
        let counted = self.messages.frame(&data, &mut self.counted)?;
        if counted < data.len() {
            self.pieces.push_front(data.split_off(counted));
        }
        Ok(data)
    }

    fn refuse(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = true;
        Poll::Ready(Some(Err(Status::from(error).into())))
    }
}

impl<B: HttpBody<Data = Bytes, Error = BoxError> + Unpin> HttpBody for Gathered<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while !this.over && !this.is_whole {
            ready!(this.turn.poll(cx));
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    this.turn.did(data.len());
                    if let Err(error) = this.add(&data) {
                        return this.refuse(error);
                    }
                }
                Some(Err(error)) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.end_piece();
                    this.is_whole = true;
                    let flag = this.is_compressed.into();
                    this.pieces.push_front(Announced { flag, ..Announced::plain(this.len) }.to_bytes());
                    if !this.is_compressed {
                        // The message is counted from its prefix on. A portion can always shrink.
                        _ = this.held.resize(0);
                    }
                }
            }
        }
        if this.over {
            return Poll::Ready(None);
        }
        ready!(this.turn.poll(cx));
        this.messages.asked_for_more(&mut this.counted);
        let Some(piece) = this.pieces.pop_front() else {
            this.over = true;
            _ = this.held.resize(0);
            return Poll::Ready(None);
        };
        match this.count(piece) {
            Ok(data) => {
                this.turn.did(data.len());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(error) => this.refuse(error),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.is_whole && self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests;
