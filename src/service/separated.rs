//! Separates the messages of a request without decoding them.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use evenkeel_frames::Prefix;
use evenkeel_transport::Turn;
use tonic::body::Body;

use super::request_bytes::{RequestBytes, cut};
use crate::error::Error;

/// Separates messages. tonic's decoder keeps the memory of its longest message; `Separated` keeps none between two messages, so the
/// memory of a message ends with the message, when its reservation ends.
pub(crate) struct Separated {
    bytes: RequestBytes,
    /// Yields to other calls: many messages may be there already.
    turn: Turn,
}

impl Separated {
    /// The messages of a request. `limit` is the length of the longest message, in bytes.
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self { bytes: RequestBytes::new(body, limit), turn: Turn::new(usize::MAX) }
    }

    /// Waits for the next message. The answer is `None` after the last one.
    ///
    /// # Errors
    /// The body's own; [`Error::RequestTooLarge`]; [`Error::Unreadable`] for a message that is cut, or marked as compressed.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.turn.poll(cx)).await;
        let bytes = &mut self.bytes;
        let mut prefix = Prefix::new();
        let announced = loop {
            if let Some(announced) = prefix.take(&mut bytes.input) {
                break announced;
            }
            if !bytes.fill().await? {
                return if prefix.is_empty() { Ok(None) } else { Err(cut()) };
            }
        };
        let len = bytes.length(announced)?;
        if bytes.input.is_empty() && len > 0 && !bytes.fill().await? {
            return Err(cut());
        }
        if bytes.input.len() >= len {
            return Ok(Some(bytes.input.split_to(len)));
        }
        // The bytes were reserved when the prefix came.
        let mut message = BytesMut::with_capacity(len);
        loop {
            message.extend_from_slice(&bytes.input.split_to(bytes.input.len().min(len - message.len())));
            if message.len() == len {
                return Ok(Some(message.freeze()));
            }
            if !bytes.fill().await? {
                return Err(cut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_testing::frames::framed;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tonic::{Code, Status};

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
