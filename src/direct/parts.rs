//! [`Parts`] reads a stream of messages, and passes on the bytes of messages that are all data as they come.
//!
//! The first bytes of a message tell whether it is one field with data. The bytes of such a message are never gathered, so a client
//! may send a tensor in one message or byte by byte. All other messages are put together, in memory that is reserved for them.

use std::{future::poll_fn, sync::Arc};

use bytes::{Bytes, BytesMut};
use evenkeel_frames::Prefix;
use evenkeel_transport::Turn;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::body::Body;

use crate::{
    budget::{Portion, Reservation},
    decoded_size::DecodedSize,
    error::Error,
    grpc::Method,
    service::{DATA, RequestBytes, cut},
};

/// The most bytes of a key and a length.
const MOST_HEAD: usize = 11;

/// The most bytes of a message that are counted before other calls have a turn. Counting so many bytes of very short fields takes
/// half a millisecond.
const COUNTED: usize = 64 << 10;

/// A part of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// A message that is all data begins. The number is that of its bytes of data.
    Begins(usize),
    /// The next bytes of the data of that message.
    Data(Bytes),
    /// A message that is not all data, complete.
    Message(Bytes),
}

/// The messages of a request.
pub(super) struct Parts {
    bytes: RequestBytes,
    place: Place,
    method: Method,
    /// The reservations for the first message that was put together, which is the header, and for the latest one after it.
    held: [Portion; 2],
    /// The number of messages that were put together.
    gathered: usize,
    turn: Turn,
}

/// The place in the stream up to which the request was read.
enum Place {
    Prefix(Prefix),
    /// The place is at the beginning of a message of `len` bytes, of which `head` has come.
    Head {
        len: usize,
        head: BytesMut,
    },
    /// The place is within data, of which so many bytes are missing.
    Data(usize),
    /// The place is within a message of `len` bytes, of which `message` has come.
    Gathered {
        len: usize,
        message: BytesMut,
        decoded: DecodedSize,
    },
}

impl Parts {
    /// The parts of a call of this method. `limit` is the length of the longest message, in bytes.
    pub(super) fn new(body: Body, method: Method, limit: usize, reservation: &Arc<Reservation>) -> Self {
        let held = [(); 2].map(|()| Portion::new(reservation));
        let place = Place::Prefix(Prefix::new());
        Self { bytes: RequestBytes::new(body, limit), place, method, held, gathered: 0, turn: Turn::new(COUNTED) }
    }

    /// Waits for the next part. The answer is `None` if the request has ended.
    ///
    /// # Errors
    /// The body fails or ends within a message; or a message is longer than `limit`, is compressed, or does not fit the budget.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, Error> {
        loop {
            // Many messages that are here already, or a long one that is counted, would hold up other calls.
            poll_fn(|cx| self.turn.poll(cx)).await;
            if let Some(part) = self.advance()? {
                return Ok(Some(part));
            }
            if self.bytes.input.is_empty() && !self.bytes.fill().await? {
                return match &self.place {
                    Place::Prefix(prefix) if prefix.is_empty() => Ok(None),
                    Place::Prefix(_) | Place::Head { .. } | Place::Data(_) | Place::Gathered { .. } => Err(cut()),
                };
            }
        }
    }

    /// Takes the next part from the bytes that have come. The answer is `None` if they are too few for a part.
    fn advance(&mut self) -> Result<Option<Part>, Error> {
        let input = &mut self.bytes.input;
        match &mut self.place {
            Place::Prefix(prefix) => {
                let Some(announced) = prefix.take(input) else { return Ok(None) };
                self.place = Place::Head { len: self.bytes.length(announced)?, head: BytesMut::new() };
                self.advance()
            }
            Place::Head { len, head } => {
                let (len, before) = (*len, head.len());
                let most = MOST_HEAD.min(len);
                head.extend_from_slice(&input[..input.len().min(most - before)]);
                let Some(head_len) = head_of_data(head, len) else {
                    if head.len() < most && may_be_data(head) {
                        input.clear();
                        return Ok(None);
                    }
                    let message = std::mem::take(head).split_to(before);
                    return self.gather(len, message);
                };
                // The first `before` bytes of the head came with earlier frames, so the input has the rest of it.
                let _ = input.split_to(head_len - before);
                let data = len - head_len;
                self.place = if data == 0 { BEGIN } else { Place::Data(data) };
                Ok(Some(Part::Begins(data)))
            }
            Place::Data(missing) => {
                let here = input.split_to(input.len().min(*missing));
                if here.is_empty() {
                    return Ok(None);
                }
                *missing -= here.len();
                if *missing == 0 {
                    self.place = BEGIN;
                }
                Ok(Some(Part::Data(here)))
            }
            Place::Gathered { len, message, decoded } => {
                let here = input.split_to(input.len().min(*len - message.len()).min(COUNTED));
                message.extend_from_slice(&here);
                decoded.read(&here);
                self.turn.did(here.len());
                if message.len() < *len {
                    return Ok(None);
                }
                let (message, decoded) = (std::mem::take(message).freeze(), decoded.bytes());
                self.place = BEGIN;
                self.held[self.gathered.min(1)].resize_decoded(message.len(), decoded)?;
                self.gathered += 1;
                Ok(Some(Part::Message(message)))
            }
        }
    }

    /// Begins to put a message together. `message` has its first bytes.
    fn gather(&mut self, len: usize, message: BytesMut) -> Result<Option<Part>, Error> {
        self.held[self.gathered.min(1)].resize_decoded(len, 0)?;
        let mut decoded = DecodedSize::of(self.method);
        decoded.read(&message);
        self.place = Place::Gathered { len, message, decoded };
        self.advance()
    }
}

const BEGIN: Place = Place::Prefix(Prefix::new());

/// The number of bytes before the data of a message of `len` bytes that is all data. The answer is `None` if the message is
/// another, or if too little of it has come.
fn head_of_data(head: &[u8], len: usize) -> Option<usize> {
    let mut rest = head;
    let (number, wire_type) = decode_key(&mut rest).ok()?;
    if (number, wire_type) != (DATA, WireType::LengthDelimited) {
        return None;
    }
    let data = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let head_len = head.len() - rest.len();
    (head_len.checked_add(data) == Some(len)).then_some(head_len)
}

/// Whether a message that begins with `head` may be all data.
fn may_be_data(head: &[u8]) -> bool {
    head.first().is_none_or(|&key| key == (DATA as u8) << 3 | 2)
}

#[cfg(test)]
mod tests;
