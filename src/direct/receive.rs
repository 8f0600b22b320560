//! Reading a request's message from its frames.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Status, body::Body};

use crate::buffers::Buffers;

/// A message is preceded by a byte that says whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// What came.
pub(super) enum Received {
    /// One plain message, and nothing after it.
    Message(Bytes),
    /// Something else: the body as it came, to be read again.
    Other(Body),
}

/// Reads a body to its end, if it is one plain message of at most `limit` bytes.
pub(super) async fn receive(mut body: Body, buffers: &Buffers, limit: usize) -> Received {
    let mut frames = Frames::default();
    loop {
        if let Some(prefix) = frames.prefix() {
            let message = usize::try_from(prefix.length).unwrap_or(usize::MAX);
            if prefix.compressed != 0 || message > limit || frames.len - PREFIX > message {
                return frames.give_back(body, buffers);
            }
            if frames.len - PREFIX == message && body.is_end_stream() {
                return Received::Message(frames.message(buffers));
            }
            frames.gather(message, buffers);
        }
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => frames.push(data),
                Err(trailers) => {
                    frames.end = Some(Ok(trailers));
                    return frames.give_back(body, buffers);
                }
            },
            Some(Err(status)) => {
                frames.end = Some(Err(status));
                return frames.give_back(body, buffers);
            }
            None => {
                let message = frames.prefix().map(|prefix| prefix.length as usize + PREFIX);
                if message == Some(frames.len) {
                    return Received::Message(frames.message(buffers));
                }
                return frames.give_back(body, buffers);
            }
        }
    }
}

/// The body that a message would have come in.
pub(super) fn body_of(message: Bytes) -> Body {
    let length = u32::try_from(message.len()).expect("it came with a length of four bytes");
    let prefix = Prefix { compressed: 0, length };
    Body::new(Replay { data: [prefix.to_bytes(), message].into(), end: None, rest: Body::empty() })
}

#[derive(Clone, Copy)]
struct Prefix {
    compressed: u8,
    length: u32,
}

impl Prefix {
    fn to_bytes(self) -> Bytes {
        Bytes::from([&[self.compressed][..], &self.length.to_be_bytes()].concat())
    }
}

/// The frames of a body, as they came.
#[derive(Default)]
struct Frames {
    /// What the frames held, but for what was gathered.
    data: VecDeque<Bytes>,
    /// Bytes in all of them, and in what was gathered.
    len: usize,
    /// The prefix, and the message's bytes as far as they were gathered.
    gathered: Option<Gathered>,
    /// What came after the data, if it was not simply the end.
    end: Option<Result<Frame<Bytes>, Status>>,
}

impl Frames {
    fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if !data.is_empty() {
            self.data.push_back(data);
        }
    }

    /// The prefix, once it is there; it may be cut anywhere.
    fn prefix(&self) -> Option<Prefix> {
        if let Some(gathered) = &self.gathered {
            return Some(gathered.prefix);
        }
        let mut bytes = [0; PREFIX];
        let mut filled = 0;
        for data in &self.data {
            let more = data.len().min(PREFIX - filled);
            bytes[filled..filled + more].copy_from_slice(&data[..more]);
            filled += more;
            if filled == PREFIX {
                let [compressed, length @ ..] = bytes;
                return Some(Prefix { compressed, length: u32::from_be_bytes(length) });
            }
        }
        None
    }

    /// Copies the frames of a message of `len` bytes to one buffer, if they are more than one, and gives them up: the
    /// next ones to come find their memory warm. A buffer whose bytes never come takes address space and no memory.
    fn gather(&mut self, len: usize, buffers: &Buffers) {
        if self.gathered.is_none() {
            let Some(prefix) = self.prefix().filter(|_| self.data.len() > 1) else { return };
            self.skip_prefix();
            self.gathered = Some(Gathered { prefix, buffer: buffers.take(len), filled: 0 });
        }
        if let Some(Gathered { buffer, filled, .. }) = &mut self.gathered {
            for data in self.data.drain(..) {
                buffer[*filled..*filled + data.len()].copy_from_slice(&data);
                *filled += data.len();
            }
        }
    }

    fn skip_prefix(&mut self) {
        let mut skip = PREFIX;
        while let Some(first) = self.data.front_mut().filter(|_| skip > 0) {
            let part = skip.min(first.len());
            first.advance(part);
            skip -= part;
            if first.is_empty() {
                self.data.pop_front();
            }
        }
    }

    /// The whole message, in one piece: not copied if it came in one.
    fn message(mut self, buffers: &Buffers) -> Bytes {
        self.gather(self.len - PREFIX, buffers);
        match self.gathered {
            Some(Gathered { buffer, .. }) => buffers.lend(buffer),
            None => {
                self.skip_prefix();
                self.data.pop_front().unwrap_or_default()
            }
        }
    }

    fn give_back(self, rest: Body, buffers: &Buffers) -> Received {
        let Self { mut data, gathered, end, .. } = self;
        if let Some(Gathered { prefix, buffer, filled }) = gathered {
            data.push_front(buffers.lend(buffer).slice(..filled));
            data.push_front(prefix.to_bytes());
        }
        Received::Other(Body::new(Replay { data, end, rest }))
    }
}

/// A message that is being put together.
struct Gathered {
    prefix: Prefix,
    /// As long as the message.
    buffer: Vec<u8>,
    filled: usize,
}

/// A body that was read in part, from its beginning.
struct Replay {
    data: VecDeque<Bytes>,
    end: Option<Result<Frame<Bytes>, Status>>,
    rest: Body,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.data.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end.take() {
            Some(end) => Poll::Ready(Some(end)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.end.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
