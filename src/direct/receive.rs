//! Reading a request's message from its frames.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use evenkeel_frames::{Announced, PREFIX, Prefix};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Status, body::Body};

use crate::buffers::{Buffers, Loan};

/// What came.
pub(super) enum Received {
    /// One plain message that lay in one frame, and nothing after it.
    OneFrame(Bytes),
    /// One plain message that was put together, and nothing after it; and the right to have its buffer back, if that is
    /// one of the pool.
    Gathered(Bytes, Option<Loan>),
    /// Something else: the body as it came, to be read again.
    Other(Body),
}

/// A body that is being read.
pub(super) struct Incoming {
    body: Body,
    frames: Frames,
}

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self { body, frames: Frames::default() }
    }

    /// Reads to the end, if what comes is one plain message of at most `limit` bytes.
    pub(super) async fn message(mut self, buffers: &Buffers, limit: usize) -> Received {
        loop {
            let prefix = self.frames.prefix();
            if let Some(prefix) = prefix {
                let (message, here) = (prefix.len(), self.frames.len - PREFIX);
                if prefix.is_compressed() || message > limit || here > message {
                    return self.give_back(buffers);
                }
                if here == message && self.is_last() {
                    return self.frames.message(buffers);
                }
                self.frames.gather(message, buffers);
            }
            if !self.next().await {
                let whole = prefix.is_some_and(|prefix| prefix.len() + PREFIX == self.frames.len);
                if whole && self.frames.end.is_none() {
                    return self.frames.message(buffers);
                }
                return self.give_back(buffers);
            }
        }
    }

    /// Waits for the next frame of data; false: there is none any more.
    pub(super) async fn next(&mut self) -> bool {
        if self.frames.end.is_some() {
            return false;
        }
        match self.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.frames.push(data);
                    return true;
                }
                Err(trailers) => self.frames.end = Some(Ok(trailers)),
            },
            Some(Err(status)) => self.frames.end = Some(Err(status)),
            None => (),
        }
        false
    }

    /// Whether all of the message is there.
    pub(super) fn is_whole(&self) -> bool {
        self.frames.prefix().is_some_and(|prefix| self.frames.len - PREFIX >= prefix.len())
    }

    /// The prefix, once it is there, and what has come of the message, put together.
    pub(super) fn message_so_far(&mut self) -> Option<(Announced, Bytes)> {
        let prefix = self.frames.prefix()?;
        if self.frames.data.len() > 1 {
            let joined = self.frames.data.make_contiguous().concat();
            self.frames.data = [joined.into()].into();
            self.frames.is_joined = true;
        }
        self.frames.data.front().map(|data| (prefix, data.slice(PREFIX..)))
    }

    /// Forgets so many bytes of what has come.
    pub(super) fn skip(&mut self, len: usize) {
        self.frames.skip(len);
    }

    /// The next bytes, at most `most`, as they lie in one frame; `None`: there are none any more.
    pub(super) async fn take(&mut self, most: usize) -> Option<Bytes> {
        while self.frames.data.is_empty() {
            if !self.next().await {
                return None;
            }
        }
        self.frames.take_first(most)
    }

    /// Whether all was read and taken, and it is known that nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.frames.data.is_empty() && self.is_last()
    }

    /// A body of these bytes, and then of what was not taken and not read.
    pub(super) fn into_body(self, first: impl IntoIterator<Item = Bytes>) -> Body {
        let Self { body: rest, frames: Frames { mut data, end, .. } } = self;
        for bytes in first.into_iter().collect::<Vec<_>>().into_iter().rev() {
            data.push_front(bytes);
        }
        Body::new(Replay { data, end, rest })
    }

    fn is_last(&self) -> bool {
        self.frames.end.is_none() && self.body.is_end_stream()
    }

    fn give_back(mut self, buffers: &Buffers) -> Received {
        let gathered = self.frames.gathered.take();
        let gathered = gathered
            .map(|Gathered { prefix, buffer, filled }| [prefix.to_bytes(), buffers.lend(buffer).slice(..filled)]);
        Received::Other(self.into_body(gathered.into_iter().flatten()))
    }
}

/// The body that a message would have come in.
pub(super) fn body_of(message: Bytes) -> Body {
    let prefix = Announced::plain(message.len());
    Body::new(Replay { data: [prefix.to_bytes(), message].into(), end: None, rest: Body::empty() })
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
    /// The first of `data` is of several frames.
    is_joined: bool,
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
    fn prefix(&self) -> Option<Announced> {
        if let Some(gathered) = &self.gathered {
            return Some(gathered.prefix);
        }
        let mut prefix = Prefix::new();
        self.data.iter().find_map(|data| prefix.take(&mut &data[..]))
    }

    /// Copies the frames of a message of `len` bytes to one buffer, if they are more than one, and gives them up: the
    /// next ones to come find their memory warm. A buffer whose bytes never come takes address space and no memory.
    fn gather(&mut self, len: usize, buffers: &Buffers) {
        if self.gathered.is_none() {
            let Some(prefix) = self.prefix().filter(|_| self.data.len() > 1) else { return };
            self.skip(PREFIX);
            self.gathered = Some(Gathered { prefix, buffer: buffers.take(len), filled: 0 });
        }
        if let Some(Gathered { buffer, filled, .. }) = &mut self.gathered {
            for data in self.data.drain(..) {
                buffer[*filled..*filled + data.len()].copy_from_slice(&data);
                *filled += data.len();
            }
        }
    }

    /// Takes as many as `len` bytes of the first frame.
    fn take_first(&mut self, len: usize) -> Option<Bytes> {
        let first = self.data.front_mut()?;
        if first.len() <= len {
            return self.data.pop_front();
        }
        Some(first.split_to(len))
    }

    /// Forgets the first bytes.
    fn skip(&mut self, mut skip: usize) {
        while skip > 0
            && let Some(bytes) = self.take_first(skip)
        {
            skip -= bytes.len();
        }
    }

    /// The whole message, in one piece: not copied if it came in one.
    fn message(mut self, buffers: &Buffers) -> Received {
        self.gather(self.len - PREFIX, buffers);
        if let Some(Gathered { buffer, .. }) = self.gathered {
            let (message, loan) = buffers.lend_until(buffer);
            return Received::Gathered(message, loan);
        }
        self.skip(PREFIX);
        let message = self.data.pop_front().unwrap_or_default();
        if self.is_joined { Received::Gathered(message, None) } else { Received::OneFrame(message) }
    }
}

/// A message that is being put together.
struct Gathered {
    prefix: Announced,
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
