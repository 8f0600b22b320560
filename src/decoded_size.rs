//! What a message becomes when it is decoded: two bytes on the wire are a tensor in memory, one is a dimension.
//!
//! The bytes of a message are looked at as they come, before any of it is decoded. They are followed as prost follows them:
//! the same fields are messages, and the same are skipped, whatever they contain. Where prost gives up, so does this; until
//! there nothing that prost allocates is left out.

use crate::grpc::Method;

/// A tensor or a partial norm in a list, with its result and what the allocator adds.
const PER_MESSAGE: usize = 512;
/// A dimension or an axis: 8 bytes, in a list that doubles when it is full.
const PER_NUMBER: usize = 16;
/// A byte of `float_data`: the list that doubles; the elements and the result as bytes, of float64 twice as many; and the
/// answer's list.
const PER_FLOAT_BYTE: usize = 8;
/// What every call may have: some hundred tensors.
const FREE: usize = 64 << 10;

/// `axes` of a request.
const AXES: u64 = 2;
/// `name`, `shape` and `float_data` of a tensor.
const NAME: u64 = 1;
const SHAPE: u64 = 3;
const FLOAT_DATA: u64 = 14;
/// How deep prost follows groups, which no message of the contract has.
const MAX_DEPTH: u32 = 100;

/// A set of field numbers below 32.
type Fields = u32;

/// The fields of a method's request that are messages: tensors, and partial norms, whose fields are no lists.
const fn messages_of(method: Method) -> Fields {
    match method {
        Method::Normalize => numbers(10, 14),
        Method::NormalizeBackward => numbers(10, 15),
        Method::Dropout | Method::DropoutBackward | Method::ClipGradients => numbers(15, 15),
        Method::MeasureGradients => numbers(14, 15),
        Method::GetServerInfo
        | Method::HealthCheck
        | Method::HealthWatch
        | Method::ReflectionV1
        | Method::ReflectionV1Alpha
        | Method::Other => 0,
    }
}

/// Whether a method's request has `axes`.
const fn has_axes(method: Method) -> bool {
    matches!(method, Method::Normalize | Method::NormalizeBackward)
}

const fn numbers(first: u32, last: u32) -> Fields {
    (u32::MAX << first) & (u32::MAX >> (31 - last))
}

/// Whether a message that is here becomes more than so many bytes, beside what every call may have.
pub(crate) fn is_above(method: Method, message: &[u8], bytes: usize) -> bool {
    /// Bytes that are looked at before it is asked again.
    const PIECE: usize = 4096;
    let mut size = DecodedSize::of(method);
    // No field becomes more for its bytes than a message, which has two at least.
    message.len() * PER_MESSAGE / 2 > bytes
        && message.chunks(PIECE).any(|piece| {
            size.read(piece);
            size.bytes() > bytes
        })
}

/// Follows the bytes of one message.
#[derive(Debug)]
pub(crate) struct DecodedSize {
    messages: Fields,
    has_axes: bool,
    place: Place,
    /// The number that is being read, and how many of its bits have come.
    number: u64,
    bits: u32,
    /// The field that is being read, and whether it is one of a tensor: it was if its first byte was, also where it reaches
    /// beyond the tensor, since prost reads such a field to its end before it complains.
    field: u64,
    is_inner: bool,
    /// How much is to come of the tensor that is being read; 0: none is.
    inner: usize,
    /// How many groups are open; what is in them is skipped.
    depth: u32,
    counted: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A field's number and type.
    Key,
    /// A field that is a number.
    Number,
    Length,
    /// A field's bytes, so many of them, each of which counts so many times when it comes: what is announced may be a lie.
    Skip {
        missing: usize,
        times: usize,
    },
    /// After what prost does not decode, nor anything that follows it.
    Unreadable,
}

impl DecodedSize {
    /// Of a request of this method.
    pub(crate) const fn of(method: Method) -> Self {
        Self {
            messages: messages_of(method),
            has_axes: has_axes(method),
            place: Place::Key,
            number: 0,
            bits: 0,
            field: 0,
            is_inner: false,
            inner: 0,
            depth: 0,
            counted: 0,
        }
    }

    /// The bytes of memory beyond those that every call may have.
    pub(crate) fn bytes(&self) -> usize {
        self.counted.saturating_sub(FREE)
    }

    /// The next bytes of the message.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while let [first, ..] = bytes {
            if self.place == Place::Key && self.bits == 0 {
                self.is_inner = self.inner > 0;
            }
            let read = match self.place {
                Place::Skip { missing, .. } => missing.min(bytes.len()),
                Place::Key | Place::Number | Place::Length | Place::Unreadable => 1,
            };
            bytes = &bytes[read..];
            self.inner = self.inner.saturating_sub(read);
            match self.place {
                Place::Skip { missing, times } => {
                    self.count(read.saturating_mul(times));
                    self.skip(missing - read, times);
                }
                Place::Unreadable => return,
                Place::Key => {
                    if self.takes(*first) {
                        self.key();
                    }
                }
                Place::Number => {
                    if self.takes(*first) {
                        self.place = Place::Key;
                    }
                }
                Place::Length => {
                    if self.takes(*first) {
                        self.length();
                    }
                }
            }
        }
    }

    /// Takes a byte of a number; whether it was the last one.
    fn takes(&mut self, byte: u8) -> bool {
        if self.bits == 0 {
            self.number = 0;
        }
        self.number |= u64::from(byte & 0x7F).checked_shl(self.bits).unwrap_or_default();
        let ends = byte < 0x80;
        self.bits = if ends { 0 } else { self.bits + 7 };
        if self.bits > 63 {
            self.place = Place::Unreadable;
            return false;
        }
        ends
    }

    fn key(&mut self) {
        self.field = self.number >> 3;
        if self.field == 0 || self.number > u64::from(u32::MAX) {
            self.place = Place::Unreadable;
            return;
        }
        self.place = match self.number & 7 {
            0 => {
                if self.is_number() {
                    self.count(PER_NUMBER);
                }
                Place::Number
            }
            1 => Place::Skip { missing: 8, times: 0 },
            2 => Place::Length,
            3 if self.depth < MAX_DEPTH => {
                self.depth += 1;
                Place::Key
            }
            4 if self.depth > 0 => {
                self.depth -= 1;
                Place::Key
            }
            // A list may come as one, or number by number.
            5 if self.is_of_tensor(FLOAT_DATA) => Place::Skip { missing: 4, times: PER_FLOAT_BYTE },
            5 => Place::Skip { missing: 4, times: 0 },
            _ => Place::Unreadable,
        };
    }

    fn length(&mut self) {
        let length = usize::try_from(self.number).unwrap_or(usize::MAX);
        if self.is_message() {
            self.count(PER_MESSAGE);
            self.inner = length;
            self.place = Place::Key;
            return;
        }
        let times = if self.is_number() {
            PER_NUMBER
        } else if self.is_of_tensor(FLOAT_DATA) {
            PER_FLOAT_BYTE
        } else {
            usize::from(self.is_of_tensor(NAME))
        };
        self.skip(length, times);
    }

    /// Whether the field is a message.
    fn is_message(&self) -> bool {
        let bit = u32::try_from(self.field).ok().and_then(|field| 1_u32.checked_shl(field));
        self.depth == 0 && !self.is_inner && bit.is_some_and(|bit| self.messages & bit != 0)
    }

    /// Whether the field is, or has, numbers of a list.
    fn is_number(&self) -> bool {
        self.is_of_tensor(SHAPE) || self.depth == 0 && !self.is_inner && self.has_axes && self.field == AXES
    }

    fn is_of_tensor(&self, field: u64) -> bool {
        self.depth == 0 && self.is_inner && self.field == field
    }

    fn skip(&mut self, missing: usize, times: usize) {
        self.place = if missing == 0 { Place::Key } else { Place::Skip { missing, times } };
    }

    fn count(&mut self, bytes: usize) {
        self.counted = self.counted.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests;
