//! The memory of a call's messages is reserved here before it is allocated.
//!
//! The prefix of a message has its length. When the prefix has come, the bytes of the message are reserved, and the
//! call is refused if the budget does not have them. So the budget bounds the memory, whatever clients announce. The
//! memory that decoding takes beyond that is reserved while the message comes.

mod kind;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use self::{
    kind::Kind,
    stream::{ConnectionShare, StreamCharge},
};
use crate::{
    budget::{Budget, Portion},
    config::HELD_PER_REQUEST_BYTE,
    decoded_size::DecodedSize,
    error::Error,
    grpc::Method,
};
use evenkeel_frames::Prefix;

/// The least bytes of a long message. The reservation for it is given back before the bytes behind it are read; shorter
/// messages of a frame are counted together.
const LONG: usize = 16 << 10;

/// The steps of counting after which other calls have a turn, about a quarter of a millisecond. A step reads one byte of a key, a
/// number or a length, or all of a field's content that has come.
const STEPS: usize = 32 << 10;
/// A message takes a reader more time than its fields alone.
const STEPS_PER_MESSAGE: usize = 64;

/// The method whose messages have no fields that take more memory than their bytes, as texts have none.
pub(super) const TEXT: Method = Method::Other;

impl Budget {
    /// The messages of a call of this kind and method, of which none has come. `are_decompressed`: a layer behind this one
    /// decompresses messages and counts the plain bytes, so compressed messages are not counted here.
    pub(super) fn messages(self, kind: Kind, method: Method, are_decompressed: bool) -> Messages {
        Messages {
            kind,
            method,
            max_message: self.max_message(),
            are_decompressed,
            begun: 0,
            current: 0,
            missing: 0,
            parts: DecodedSize::of(method),
            prefix: Prefix::new(),
        }
    }

    /// As [`messages`](Self::messages), for messages that are texts, of which one is in memory at a time. What becomes of them is
    /// counted where they are converted.
    pub(super) fn texts(self, are_decompressed: bool) -> Messages {
        self.messages(Kind::OneByOne, TEXT, are_decompressed)
    }

    /// As [`messages`](Self::messages), for bytes that are counted elsewhere.
    pub(super) fn uncounted(self) -> Messages {
        self.messages(Kind::Streamed, TEXT, false)
    }
}

/// Follows the frames of a request, finds the messages in them, and counts their memory.
#[derive(Debug)]
pub(super) struct Messages {
    kind: Kind,
    method: Method,
    max_message: usize,
    are_decompressed: bool,
    /// The number of messages that have begun.
    begun: usize,
    /// The bytes that are counted for the message that has begun, and the bytes of it that have not come.
    current: usize,
    missing: usize,
    /// The memory that decoding that message takes. It stays 0 for a compressed message that is counted elsewhere.
    parts: DecodedSize,
    prefix: Prefix,
}

impl Messages {
    /// Counts the next frame, or the beginning of one that takes long to count, and makes `held`, the portion of the call's messages,
    /// as large as they need. Returns the number of bytes that were counted: the rest is to be counted another time.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if other calls hold the bytes; [`Error::TooManyParts`] if the decoded messages take more
    /// than a call may ever hold; [`Error::NotOneMessage`] if a unary call has a second message.
    pub(super) fn frame(&mut self, frame: &[u8], held: &mut Portion) -> Result<usize, Error> {
        if self.kind == Kind::Streamed {
            // Most bytes of these messages are elements, which do not stay in memory. Other messages are counted where
            // they are gathered.
            return Ok(frame.len());
        }
        let (before, before_apart) = (self.current, self.parts.bytes());
        let Touched { read, bytes: touched, apart } = self.touch(frame);
        let is_held = match self.kind {
            Kind::Whole if self.begun > 1 => Err(Error::NotOneMessage { found: "several" }),
            Kind::Whole => {
                held.resize_decoded(held.bytes() + HELD_PER_REQUEST_BYTE * (touched - before), apart - before_apart)
            }
            // The reader asks for a frame when it is done with all messages before the one that has begun.
            Kind::OneByOne => held.resize_decoded(touched, apart),
            Kind::Streamed => Ok(()),
            Kind::Health | Kind::Reflection => held.resize(touched),
        };
        is_held.map(|()| read)
    }

    /// Whether the reader keeps each frame as a part of its message, so that the bytes of the message are those of its frames.
    pub(super) fn keep_frames(&self) -> bool {
        self.kind == Kind::Whole && !self.are_decompressed
    }

    /// Whether the call must have a message, and nothing of one has come.
    pub(super) fn lack_one(&self) -> bool {
        self.kind == Kind::Whole && self.begun == 0 && self.prefix.is_empty()
    }

    /// Called when the reader asks for more. If no message is incomplete, the reader of a stream of messages has taken
    /// all of them, and their bytes are given back.
    pub(super) fn asked_for_more(&mut self, held: &mut Portion) {
        if self.kind == Kind::OneByOne && self.missing == 0 && held.bytes() > 0 {
            self.parts = DecodedSize::of(self.method);
            // A portion can always shrink.
            _ = held.resize(0);
        }
    }

    /// The number of bytes of a frame that are given to the reader at first: up to the end of the first long message in
    /// it. When the reader asks for the rest, the reservation for the long message is given back.
    pub(super) fn until_long_one_ends(&self, frame: &[u8]) -> usize {
        if self.kind != Kind::OneByOne {
            return frame.len();
        }
        let mut rest = frame;
        let (mut prefix, mut missing, mut len) = (self.prefix.clone(), self.missing, self.current);
        loop {
            if missing >= rest.len() {
                return frame.len();
            }
            rest = &rest[missing..];
            if len >= LONG {
                return frame.len() - rest.len();
            }
            let Some(announced) = prefix.take(&mut rest) else { return frame.len() };
            (missing, len) = (announced.len(), announced.len());
        }
    }

    /// Counts the messages in a frame, or in the beginning of a frame that takes long to count.
    fn touch(&mut self, frame: &[u8]) -> Touched {
        let mut rest = frame;
        let (mut touched, mut apart_before, mut steps) = (self.current, 0, STEPS);
        while !rest.is_empty() && steps > 0 {
            if self.missing > 0 {
                let mut here = self.missing.min(rest.len());
                if self.current > 0 {
                    here = self.parts.read_some(&rest[..here], &mut steps);
                }
                self.missing -= here;
                rest = &rest[here..];
            } else {
                steps = steps.saturating_sub(STEPS_PER_MESSAGE);
                let Some(announced) = self.prefix.take(&mut rest) else { break };
                self.begun += 1;
                apart_before += self.parts.bytes();
                self.parts = DecodedSize::of(self.method);
                let length = announced.len();
                if length > self.max_message {
                    // The reader refuses this message, and reads nothing of it or after it.
                    (self.current, self.missing) = (0, usize::MAX);
                    return Touched { read: frame.len(), bytes: touched, apart: apart_before };
                }
                let counted = if self.are_decompressed && announced.flag == 1 { 0 } else { length };
                (self.current, self.missing) = (counted, length);
                touched += counted;
            }
            if self.missing == 0 {
                self.current = 0;
            }
        }
        Touched { read: frame.len() - rest.len(), bytes: touched, apart: apart_before + self.parts.bytes() }
    }
}

/// The part of a frame that was followed.
struct Touched {
    /// The number of its bytes.
    read: usize,
    /// The counted bytes of all messages that it has a part of.
    bytes: usize,
    /// The memory that decoding them takes.
    apart: usize,
}
