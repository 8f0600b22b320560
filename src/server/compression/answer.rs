//! An answer's message, compressed while it is made.

use evenkeel_frames::{Announced, Prefix};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::Turn;
use http_body::{Body as HttpBody, Frame};

use super::{
    PIECE, TURN_BYTES,
    coder::{Encoder, Step},
};
use crate::config::Encoding;

/// A body whose messages are compressed. A message is kept until all of it is compressed, since its length precedes it.
pub(in crate::server) struct Compressed<B> {
    body: B,
    encoding: Encoding,
    prefix: Prefix,
    /// The encoder of the current message, and the bytes of the message that are still to come.
    message: Option<(Encoder, usize)>,
    pieces: VecDeque<Bytes>,
    input: Bytes,
    ready: VecDeque<Bytes>,
    turn: Turn,
}

impl<B> Compressed<B> {
    pub(in crate::server) fn new(body: B, encoding: Encoding) -> Self {
        let (pieces, ready, input) = (VecDeque::new(), VecDeque::new(), Bytes::new());
        Self { body, encoding, prefix: Prefix::new(), message: None, pieces, input, ready, turn: Turn::new(TURN_BYTES) }
    }

    /// Compresses bytes that have come, a piece at most.
    fn advance(&mut self) {
        let Some((encoder, missing)) = &mut self.message else {
            if let Some(announced) = self.prefix.take(&mut self.input) {
                self.message = Some((Encoder::new(self.encoding), announced.len()));
            }
            return;
        };
        // A step writes a piece at most, but may read much more than that if the bytes compress well.
        let mut here = self.input.slice(..self.input.len().min(*missing).min(PIECE));
        let before = here.len();
        let Step { output, ended } = encoder.step(&mut here, before == *missing);
        let read = before - here.len();
        *missing -= read;
        let _ = self.input.split_to(read);
        if !output.is_empty() {
            self.pieces.push_back(output.into());
        }
        if ended {
            let len: usize = self.pieces.iter().map(Bytes::len).sum();
            // A message that does not compress gets a little longer. One of nearly 4 GiB could exceed the four bytes of
            // the length, but no server sends one.
            let length = u32::try_from(len).unwrap_or(u32::MAX);
            self.ready.push_back(Announced { flag: 1, length }.to_bytes());
            self.ready.append(&mut self.pieces);
            self.message = None;
        }
    }

    fn has_work(&self) -> bool {
        !self.input.is_empty() || self.message.as_ref().is_some_and(|(_, missing)| *missing == 0)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Compressed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.has_work() {
                ready!(this.turn.poll(cx));
                this.turn.did(PIECE);
                this.advance();
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.input = data,
                    // If the answer failed midway, its partial message is not sent.
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.has_work() && self.ready.is_empty() && self.body.is_end_stream()
    }
}
