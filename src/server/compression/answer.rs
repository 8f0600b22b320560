//! Compresses the messages of a response while they are made.

use evenkeel_frames::{Announced, Prefix};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::Turn;
use http_body::{Body as HttpBody, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    PIECE, TURN_BYTES,
    coder::{Encoder, Step},
};
use crate::config::Encoding;

/// The encoders of a server. A message that finds all of them taken is sent as it is: very many answers that are compressed at once
/// would take memory that nothing counts, and the time of other calls.
#[derive(Clone, Debug)]
pub(in crate::server) struct Encoders(Arc<Semaphore>);

impl Encoders {
    /// The most messages that are compressed at a time. Eight keep the serving threads busy and delay other calls by some
    /// milliseconds.
    const MOST: usize = 8;

    pub(in crate::server) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::MOST)))
    }
}

/// A message that is being sent, of which some bytes are still to come.
enum Message {
    Compressed { encoder: Box<Encoder>, missing: usize, _place: OwnedSemaphorePermit },
    Plain { missing: usize },
}

/// A body whose messages are compressed, if there is an encoder. A message is kept until all of it is compressed, since its length
/// precedes it.
pub(in crate::server) struct Compressed<B> {
    body: B,
    encoding: Encoding,
    prefix: Prefix,
    encoders: Encoders,
    message: Option<Message>,
    pieces: VecDeque<Bytes>,
    input: Bytes,
    ready: VecDeque<Bytes>,
    turn: Turn,
}

impl<B> Compressed<B> {
    pub(in crate::server) fn new(body: B, encoding: Encoding, encoders: Encoders) -> Self {
        let (pieces, ready, input) = (VecDeque::new(), VecDeque::new(), Bytes::new());
        let (prefix, turn) = (Prefix::new(), Turn::new(TURN_BYTES));
        Self { body, encoding, prefix, encoders, message: None, pieces, input, ready, turn }
    }

    /// Begins the next message.
    fn begin(&mut self, announced: Announced) {
        let missing = announced.len();
        self.message = match Arc::clone(&self.encoders.0).try_acquire_owned() {
            Ok(place) => {
                let encoder = Box::new(Encoder::new(self.encoding));
                Some(Message::Compressed { encoder, missing, _place: place })
            }
            Err(_) => {
                self.ready.push_back(announced.to_bytes());
                (missing > 0).then_some(Message::Plain { missing })
            }
        };
    }

    /// Compresses bytes that have come, a piece at most.
    fn advance(&mut self) {
        let (encoder, missing) = match &mut self.message {
            Some(Message::Compressed { encoder, missing, .. }) => (encoder, missing),
            Some(Message::Plain { missing }) => {
                let here = self.input.split_to(self.input.len().min(*missing));
                *missing -= here.len();
                if *missing == 0 {
                    self.message = None;
                }
                return self.ready.push_back(here);
            }
            None => {
                if let Some(announced) = self.prefix.take(&mut self.input) {
                    self.begin(announced);
                }
                return;
            }
        };
        // A step writes at most a piece. It would read much more of bytes that compress well, so it is given at most a piece.
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
        !self.input.is_empty() || matches!(self.message, Some(Message::Compressed { missing: 0, .. }))
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

#[cfg(test)]
mod tests {
    use evenkeel_testing::frames::framed;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    async fn sent(encoders: &Encoders, messages: &[u8]) -> Vec<u8> {
        let body = Full::new(Bytes::copy_from_slice(messages));
        let body = Compressed::new(body, Encoding::Gzip, encoders.clone());
        body.collect().await.expect("it has no errors").to_bytes().to_vec()
    }

    /// Each message takes an encoder and gives it back; a message that finds none is sent as it is.
    #[tokio::test]
    async fn messages_are_plain_when_all_encoders_are_taken() {
        let encoders = Encoders::new();
        let messages = [framed(&[7; 100_000]), framed(b""), framed(b"short")].concat();
        let places: Vec<_> =
            (0..Encoders::MOST).map(|_| Arc::clone(&encoders.0).try_acquire_owned().expect("it is free")).collect();
        assert_eq!(sent(&encoders, &messages).await, messages);
        drop(places);
        let compressed = sent(&encoders, &messages).await;
        assert_eq!(compressed[0], 1);
        assert!(compressed.len() < messages.len() / 2, "{}", compressed.len());
        assert_eq!(encoders.0.available_permits(), Encoders::MOST);
    }
}
