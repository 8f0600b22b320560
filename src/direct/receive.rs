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

/// The message of a request.
pub(super) enum Received {
    /// One plain message that lay in one frame, and nothing after it.
    OneFrame(Bytes),
    /// One plain message that was put together, and nothing after it. The loan is the right to have its buffer back, if that is
    /// one of the pool.
    Gathered(Bytes, Option<Loan>),
    /// A request that is not one plain message. The body has all bytes that were read, and can be read again.
    NotOne(Body),
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

    /// Reads the body to its end, unless it turns out not to be one plain message of at most `limit` bytes.
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
                if whole && self.frames.fault.is_none() {
                    return self.frames.message(buffers);
                }
                return self.give_back(buffers);
            }
        }
    }

    /// Waits for the next frame of data. The answer is false if there are no more.
    pub(super) async fn next(&mut self) -> bool {
        if self.frames.has_ended {
            return false;
        }
        match self.body.frame().await {
            // Trailers end the request. They mean nothing: gRPC's requests have none.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.frames.push(data);
                    return true;
                }
            }
            Some(Err(status)) => self.frames.fault = Some(status),
            None => (),
        }
        self.frames.has_ended = true;
        false
    }

    /// Whether all of the message is there.
    pub(super) fn is_whole(&self) -> bool {
        self.frames.prefix().is_some_and(|prefix| self.frames.len - PREFIX >= prefix.len())
    }

    /// The prefix and the bytes of the message that have come, put together. The answer is `None` until all of the prefix has come.
    pub(super) fn message_so_far(&mut self) -> Option<(Announced, Bytes)> {
        let prefix = self.frames.prefix()?;
        if self.frames.data.len() > 1 {
            let joined = self.frames.data.make_contiguous().concat();
            self.frames.data = [joined.into()].into();
            self.frames.is_joined = true;
        }
        self.frames.data.front().map(|data| (prefix, data.slice(PREFIX..)))
    }

    /// Drops the first `len` bytes that have come.
    pub(super) fn skip(&mut self, len: usize) {
        self.frames.skip(len);
    }

    /// Takes the next bytes, at most `most`, which lie in one frame. The answer is `None` if there are no more.
    pub(super) async fn take(&mut self, most: usize) -> Option<Bytes> {
        while self.frames.data.is_empty() {
            if !self.next().await {
                return None;
            }
        }
        self.frames.take_first(most)
    }

    /// Whether all bytes were taken, and the body is known to have ended.
    pub(super) fn is_at_end(&self) -> bool {
        self.frames.data.is_empty() && self.is_last()
    }

    /// A body of these bytes, and then of the bytes that were not taken and of the rest of the request.
    pub(super) fn into_body(self, first: impl IntoIterator<Item = Bytes>) -> Body {
        let Self { body: rest, frames: Frames { mut data, fault, has_ended, .. } } = self;
        let rest = if has_ended { Body::empty() } else { rest };
        for bytes in first.into_iter().collect::<Vec<_>>().into_iter().rev() {
            data.push_front(bytes);
        }
        Body::new(Replay { data, fault, rest })
    }

    fn is_last(&self) -> bool {
        self.frames.fault.is_none() && (self.frames.has_ended || self.body.is_end_stream())
    }

    fn give_back(mut self, buffers: &Buffers) -> Received {
        let gathered = self.frames.gathered.take();
        let gathered = gathered
            .map(|Gathered { prefix, buffer, filled }| [prefix.to_bytes(), buffers.lend(buffer).slice(..filled)]);
        Received::NotOne(self.into_body(gathered.into_iter().flatten()))
    }
}

/// The frames of a body that have come.
#[derive(Default)]
struct Frames {
    /// The bytes of the frames that were neither gathered nor taken.
    data: VecDeque<Bytes>,
    /// The number of bytes that have come in all frames.
    len: usize,
    /// The message, if its frames are being gathered.
    gathered: Option<Gathered>,
    /// Whether the first of `data` was put together from several frames.
    is_joined: bool,
    /// Whether no more frames come.
    has_ended: bool,
    /// The error after the data.
    fault: Option<Status>,
}

impl Frames {
    fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if !data.is_empty() {
            self.data.push_back(data);
        }
    }

    /// The prefix, which may lie in several frames. The answer is `None` until all of it has come.
    fn prefix(&self) -> Option<Announced> {
        if let Some(gathered) = &self.gathered {
            return Some(gathered.prefix);
        }
        let mut prefix = Prefix::new();
        self.data.iter().find_map(|data| prefix.take(&mut &data[..]))
    }

    /// Copies the frames of a message of `len` bytes to one buffer, if they are more than one, and drops them, so that the next
    /// frames are read into memory that is still in a cache. A buffer whose bytes never come takes address space and no memory.
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

    /// Takes at most `len` bytes from the beginning of the first frame.
    fn take_first(&mut self, len: usize) -> Option<Bytes> {
        let first = self.data.front_mut()?;
        if first.len() <= len {
            return self.data.pop_front();
        }
        Some(first.split_to(len))
    }

    /// Drops the first `skip` bytes.
    fn skip(&mut self, mut skip: usize) {
        while skip > 0
            && let Some(bytes) = self.take_first(skip)
        {
            skip -= bytes.len();
        }
    }

    /// The whole message as one piece. It is not copied if it came in one frame.
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
    /// A buffer as long as the message.
    buffer: Vec<u8>,
    /// The number of bytes at the beginning of the buffer that have come.
    filled: usize,
}

/// A body that repeats the bytes that were read of another one, and then goes on with the rest of it.
struct Replay {
    data: VecDeque<Bytes>,
    fault: Option<Status>,
    rest: Body,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.data.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.fault.take() {
            Some(fault) => Poll::Ready(Some(Err(fault))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.fault.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
