//! What a message becomes when it is decoded: two bytes on the wire are a tensor in memory, one is a dimension.
//!
//! The bytes of a message are looked at as they come, before any of it is decoded. They are followed as prost follows them:
//! the same fields are messages, and the same are skipped, whatever they contain. Where prost gives up, so does this; until
//! there nothing that prost allocates is left out.

mod shape;

use self::shape::{MOST_LEVELS, PER_SET, Shape, has};
use crate::grpc::Method;

/// A dimension or an axis: 8 bytes, in a list that doubles when it is full.
const PER_NUMBER: usize = 16;
/// A byte of `float_data`: the list that doubles; the elements and the result as bytes, of float64 twice as many; and the
/// answer's list.
const PER_FLOAT_BYTE: usize = 8;
/// What every call may have: some hundred tensors.
const FREE: usize = 64 << 10;

/// How deep prost follows groups, which no message of the contract has.
const MAX_DEPTH: u32 = 100;

/// Fields that are decoded in some fifty microseconds, whatever they are: known or not, single or in a list, alone or in a group.
const FEW_FIELDS: usize = 4096;

/// Whether a message that is here takes longer to decode than a thread that serves should be taken: it becomes more than so
/// many bytes, beside what every call may have, or it has very many fields.
pub(crate) fn takes_long(method: Method, message: &[u8], bytes: usize) -> bool {
    /// Bytes that are looked at before it is asked again.
    const PIECE: usize = 4096;
    let mut size = DecodedSize::of(method);
    // No field becomes more for its bytes than a set, and none is shorter than a group's mark.
    let may_be = message.len() > FEW_FIELDS || message.len() * PER_SET / 2 > bytes;
    may_be
        && message.chunks(PIECE).any(|piece| {
            size.read(piece);
            size.bytes() > bytes || size.fields > FEW_FIELDS
        })
}

/// Follows the bytes of one message.
#[derive(Debug)]
pub(crate) struct DecodedSize {
    request: &'static Shape,
    place: Place,
    /// The number that is being read, and how many of its bits have come.
    number: u64,
    bits: u32,
    /// The field that is being read, and the message that it is in: it is if its first byte is, also where it reaches beyond
    /// the message, since prost reads such a field to its end before it complains.
    field: u64,
    within: &'static Shape,
    /// The messages in the request that are being read, each in the one before it.
    levels: [Level; MOST_LEVELS],
    open: usize,
    /// How many groups are open; what is in them is skipped.
    depth: u32,
    counted: usize,
    /// How many there were, with those in groups.
    fields: usize,
}

/// A message that is being read.
#[derive(Clone, Copy, Debug)]
struct Level {
    shape: &'static Shape,
    /// How much is to come of it.
    left: usize,
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
    pub(crate) fn of(method: Method) -> Self {
        let request = Shape::of(method);
        Self {
            request,
            place: Place::Key,
            number: 0,
            bits: 0,
            field: 0,
            within: request,
            levels: [Level { shape: request, left: 0 }; MOST_LEVELS],
            open: 0,
            depth: 0,
            counted: 0,
            fields: 0,
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
                self.close();
            }
            let read = match self.place {
                Place::Skip { missing, .. } => missing.min(bytes.len()),
                Place::Key | Place::Number | Place::Length | Place::Unreadable => 1,
            };
            bytes = &bytes[read..];
            self.levels[..self.open].iter_mut().for_each(|level| level.left = level.left.saturating_sub(read));
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

    /// Leaves the messages that have ended, before another field.
    fn close(&mut self) {
        while self.open > 0 && self.levels[self.open - 1].left == 0 {
            self.open -= 1;
        }
        self.within = self.levels[..self.open].last().map_or(self.request, |level| level.shape);
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
        self.fields += 1;
        self.field = self.number >> 3;
        if self.field == 0 || self.number > u64::from(u32::MAX) {
            self.place = Place::Unreadable;
            return;
        }
        self.place = match self.number & 7 {
            0 => {
                if self.is_one_of(self.within.numbers) {
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
            5 if self.is_one_of(self.within.floats) => Place::Skip { missing: 4, times: PER_FLOAT_BYTE },
            5 => Place::Skip { missing: 4, times: 0 },
            _ => Place::Unreadable,
        };
    }

    fn length(&mut self) {
        let length = usize::try_from(self.number).unwrap_or(usize::MAX);
        let message = self.within.message(self.field).filter(|_| self.depth == 0);
        if let Some((counts, shape)) = message {
            self.count(counts);
            if *shape != shape::PLAIN {
                self.levels[self.open] = Level { shape, left: length };
                self.open += 1;
                self.place = Place::Key;
                return;
            }
        }
        let times = if self.is_one_of(self.within.numbers) {
            PER_NUMBER
        } else if self.is_one_of(self.within.floats) {
            PER_FLOAT_BYTE
        } else {
            usize::from(self.is_one_of(self.within.texts))
        };
        self.skip(length, times);
    }

    /// Whether the field is one of these; none is in a group.
    fn is_one_of(&self, fields: u32) -> bool {
        self.depth == 0 && has(fields, self.field)
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
