//! Takes the message of a response out of its frames.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use evenkeel_frames::{Announced, Bulk as _, HEAD_FRAMES, Head, PREFIX};
use evenkeel_proto::v1 as pb;
use http_body::{Body as HttpBody, Frame};
use prost::Message as _;
use tonic::{Status, body::Body};

use super::{Answer, Method};
use crate::{DType, codec::Elements};

/// The message that replaces one that was taken out: a prefix, and no bytes.
const EMPTY: &[u8] = &[0; PREFIX];

/// The place where [`Landing`] leaves a message for the codec, since tonic cannot pass it on.
pub(super) struct Slot<A>(Arc<Mutex<Option<Answer<A>>>>);

impl<A> Slot<A> {
    pub(super) fn take(&self) -> Option<Answer<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, answer: Answer<A>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

impl<A> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// The body of a response. If its first message is a plain one, the message goes to the slot and an empty message takes its
/// place; all other bytes stay as they come.
pub(super) struct Landing<M: Method> {
    body: Body,
    slot: Slot<M::Answer>,
    limit: usize,
    state: State<M::Answer>,
    /// Frames to give before those that `body` still has.
    ready: VecDeque<Result<Frame<Bytes>, Status>>,
}

/// How much of the message has come.
enum State<A> {
    /// The bytes of the frames that have come, with the prefix, and the number of frames.
    Begun(BytesMut, usize),
    /// All but some of the elements that end the message.
    Elements { prefix: Announced, message: A, elements: Elements },
    /// The message was taken out, or cannot be: further bytes pass through.
    Through,
}

impl<M: Method> Landing<M> {
    pub(super) fn new(body: Body, slot: Slot<M::Answer>, limit: usize) -> Self {
        Self { body, slot, limit, state: State::Begun(BytesMut::new(), 0), ready: VecDeque::new() }
    }

    /// Takes the bytes of a frame.
    fn take(&mut self, mut data: Bytes) {
        self.state = match mem::replace(&mut self.state, State::Through) {
            State::Through => {
                self.pass(data);
                State::Through
            }
            State::Begun(begun, _) if begun.is_empty() => self.begin(data),
            State::Begun(mut begun, frames) => {
                begun.extend_from_slice(&data);
                // Reserves room for the whole message at once. The prefix may come in parts.
                if let Some(prefix) = Announced::of(&begun)
                    && prefix.len() <= self.limit
                {
                    begun.reserve((PREFIX + prefix.len()).saturating_sub(begun.len()));
                }
                self.more(begun, frames + 1)
            }
            State::Elements { prefix, message, mut elements } => {
                elements.fill(&mut data);
                if elements.is_full() {
                    self.finish(message, elements, data)
                } else {
                    State::Elements { prefix, message, elements }
                }
            }
        };
    }

    /// Takes the first frame. A message that is whole in it is not copied.
    fn begin(&mut self, data: Bytes) -> State<M::Answer> {
        if let Some(prefix) = Announced::of(&data)
            && !prefix.is_compressed()
            && prefix.len() <= self.limit
            && data.len() >= PREFIX + prefix.len()
        {
            return self.whole(data, prefix.len());
        }
        self.more(BytesMut::from(data), 1)
    }

    /// Continues with all bytes that have come, in so many frames.
    fn more(&mut self, begun: BytesMut, frames: usize) -> State<M::Answer> {
        let Some(prefix) = Announced::of(&begun) else { return State::Begun(begun, frames) };
        let len = prefix.len();
        if prefix.is_compressed() || len > self.limit {
            self.pass(begun.freeze());
            return State::Through;
        }
        if begun.len() >= PREFIX + len {
            return self.whole(begun.freeze(), len);
        }
        if frames <= HEAD_FRAMES
            && let Some((message, mut elements, start)) = head::<M>(&begun[PREFIX..], len)
        {
            elements.fill(&mut &begun[PREFIX + start..]);
            return State::Elements { prefix, message, elements };
        }
        State::Begun(begun, frames)
    }

    /// Takes out the message, of `len` bytes, which `data` has whole, after its prefix and maybe before more.
    fn whole(&mut self, mut data: Bytes, len: usize) -> State<M::Answer> {
        match M::Answer::decode(data.slice(PREFIX..PREFIX + len)) {
            Ok(message) => {
                self.slot.put(Answer { message, landed: None });
                self.pass(Bytes::from_static(EMPTY));
                self.pass(data.split_off(PREFIX + len));
            }
            // tonic's codec reports the error.
            Err(_) => self.pass(data),
        }
        State::Through
    }

    fn finish(&mut self, message: M::Answer, elements: Elements, rest: Bytes) -> State<M::Answer> {
        self.slot.put(Answer { message, landed: Some(elements.into_tensor()) });
        self.pass(Bytes::from_static(EMPTY));
        self.pass(rest);
        State::Through
    }

    fn pass(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.ready.push_back(Ok(Frame::data(data)));
        }
    }

    /// Passes on the beginning of a message that ends too early.
    fn give_back(&mut self) {
        match mem::replace(&mut self.state, State::Through) {
            State::Through => {}
            State::Begun(begun, _) => self.pass(begun.freeze()),
            // tonic needs to see only that the message is cut off, for which one byte is enough.
            State::Elements { prefix, .. } => {
                self.pass(prefix.to_bytes());
                self.pass(Bytes::from_static(&[0]));
            }
        }
    }
}

/// The message without the elements that end it, room for the elements, and the position at which they start. `None`: `bytes`,
/// the first of `len`, do not have all of that, or the message does not end with elements.
fn head<M: Method>(bytes: &[u8], len: usize) -> Option<(M::Answer, Elements, usize)> {
    let head = Head::find(bytes, len, M::OUTPUT, pb::Tensor::DATA)?;
    let dtype = DType::from_wire(pb::Tensor::decode(&bytes[head.tensor.clone()]).ok()?.dtype)?;
    let elements = Elements::with_capacity(dtype, head.data_len)?;
    Some((M::Answer::decode(head.without_data(bytes, M::OUTPUT)).ok()?, elements, head.data))
}

/// No field is pinned.
impl<M: Method> Unpin for Landing<M> {}

impl<M: Method> HttpBody for Landing<M> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(frame));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.take(data),
                    Err(trailers) => {
                        self.give_back();
                        self.ready.push_back(Ok(trailers));
                    }
                },
                Some(Err(status)) => {
                    self.give_back();
                    self.ready.push_back(Err(status));
                }
                None => {
                    self.give_back();
                    if self.ready.is_empty() {
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }
}

impl<M: Method> fmt::Debug for Landing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Landing").finish_non_exhaustive()
    }
}
