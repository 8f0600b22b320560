//! The messages of a request, told apart and not decoded.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use evenkeel_frames::Prefix;
use evenkeel_transport::Turn;
use http_body_util::BodyExt as _;
use tonic::{Code, body::Body};

use crate::error::Error;

/// Separates messages. Unlike tonic's decoder it keeps no memory between two messages: that of a message ends with the message, as
/// its reservation does.
pub(crate) struct Separated {
    body: Body,
    /// The bytes that have come and were not read.
    input: Bytes,
    limit: usize,
    /// Yields to other calls: many messages may be there already.
    turn: Turn,
}

impl Separated {
    /// The messages of a request. `limit` is the length of the longest message, in bytes.
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self { body, input: Bytes::new(), limit, turn: Turn::new(usize::MAX) }
    }

    /// Waits for the next message. The answer is `None` after the last one.
    ///
    /// # Errors
    /// The body's own; [`Error::RequestTooLarge`]; [`Error::Unreadable`] for a message that is cut, or marked as compressed.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.turn.poll(cx)).await;
        let mut prefix = Prefix::new();
        let announced = loop {
            if let Some(announced) = prefix.take(&mut self.input) {
                break announced;
            }
            if !self.fill().await? {
                return if prefix.is_empty() { Ok(None) } else { Err(cut()) };
            }
        };
        if announced.is_compressed() {
            return Err(unreadable("a message is compressed, and the call has no grpc-encoding"));
        }
        let len = announced.len();
        if len > self.limit {
            return Err(Error::RequestTooLarge { limit: self.limit });
        }
        if self.input.is_empty() && len > 0 && !self.fill().await? {
            return Err(cut());
        }
        if self.input.len() >= len {
            let message = self.input.split_to(len);
            self.forget();
            return Ok(Some(message));
        }
        // The bytes were reserved when the prefix came.
        let mut message = BytesMut::with_capacity(len);
        loop {
            message.extend_from_slice(&self.input.split_to(self.input.len().min(len - message.len())));
            self.forget();
            if message.len() == len {
                return Ok(Some(message.freeze()));
            }
            if !self.fill().await? {
                return Err(cut());
            }
        }
    }

    /// Lets go of a frame of which nothing is left.
    fn forget(&mut self) {
        if self.input.is_empty() {
            self.input = Bytes::new();
        }
    }

    /// Waits for more bytes. The answer is false if there are none.
    async fn fill(&mut self) -> Result<bool, Error> {
        self.forget();
        match self.body.frame().await {
            Some(Ok(frame)) => {
                // Trailers have no bytes, and nothing follows them.
                self.input = frame.into_data().unwrap_or_default();
                Ok(true)
            }
            Some(Err(status)) => Err(Error::receiving(&status, self.limit)),
            None => Ok(false),
        }
    }
}

fn cut() -> Error {
    unreadable("the request ends within a message")
}

fn unreadable(reason: &str) -> Error {
    Error::Unreadable { code: Code::Internal, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use evenkeel_testing::frames::framed;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tonic::Status;

    use super::*;

    const LIMIT: usize = 1000;

    fn begin(frames: Vec<Bytes>) -> Separated {
        let frames = tokio_stream::iter(frames.into_iter().map(|frame| Ok::<_, Status>(Frame::data(frame))));
        Separated::new(Body::new(StreamBody::new(frames)), LIMIT)
    }

    async fn all(frames: Vec<Bytes>) -> Result<Vec<Bytes>, Error> {
        let (mut messages, mut found) = (begin(frames), Vec::new());
        while let Some(message) = messages.next().await? {
            found.push(message);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn messages_are_found_however_their_frames_are_cut() {
        let sent: Vec<Bytes> = [0, 1, 300, 0, 1000].map(|len| vec![7; len].into()).into();
        let stream: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
        for cut in 1..=stream.len() {
            let frames = stream.chunks(cut).map(Bytes::copy_from_slice).collect();
            assert_eq!(all(frames).await.as_ref(), Ok(&sent), "{cut}");
        }
        let whole: Vec<usize> =
            sent.iter().scan(0, |end, message| Some(std::mem::replace(end, *end + 5 + message.len()))).collect();
        for end in 0..stream.len() {
            let found = all(vec![Bytes::copy_from_slice(&stream[..end])]).await;
            assert_eq!(found.is_ok(), whole.contains(&end), "{end}");
        }
    }

    #[tokio::test]
    async fn messages_that_are_too_long_or_compressed_are_refused() {
        assert_eq!(all(vec![framed(&[7; LIMIT + 1])]).await, Err(Error::RequestTooLarge { limit: LIMIT }));
        let compressed = [&[1][..], &framed(b"abc")[1..]].concat();
        assert_eq!(all(vec![compressed.into()]).await.expect_err("it is compressed").code(), Code::Internal);
    }

    /// The memory of a message, and of the frames in which it came, ends when the message was taken.
    #[tokio::test]
    async fn nothing_is_kept_between_two_messages() {
        for frames in [vec![framed(&[7; 500])], vec![framed(&[7; 500]).slice(..9), framed(&[7; 500]).slice(9..)]] {
            let mut messages = begin(frames);
            let message = messages.next().await.expect("it is right").expect("there is one");
            assert!(message.is_unique(), "only the message has its bytes");
        }
    }
}
