//! The memory that a message takes when it is decoded: two bytes on the wire can become a tensor, and one byte a
//! dimension.
//!
//! The bytes of a message are followed as they arrive, before any of them are decoded, and by the same rules as
//! prost's: the same fields are messages, and the same fields are skipped, whatever they contain. Counting ends where
//! prost refuses the message; up to there, everything that prost allocates is counted.

mod shape;

use self::shape::{MOST_LEVELS, PER_SET, Shape, has};
use crate::grpc::Method;

/// A dimension or an axis: 8 bytes, in a list that doubles when it is full.
const PER_NUMBER: usize = 16;
/// The memory for a byte of `float_data`: the list, which doubles when it is full; the elements and the result as
/// bytes, twice as many for float64; and the answer's list.
const PER_FLOAT_BYTE: usize = 8;
/// The bytes that every call may take uncounted: some hundred tensors.
const FREE: usize = 64 << 10;

/// The depth to which prost follows groups, its limit of recursion. No message of the contract has groups.
const MAX_DEPTH: u32 = 100;

/// The number of fields that prost decodes in some fifty microseconds, whatever they are: known or not, single or in a
/// list, alone or in a group.
const FEW_FIELDS: usize = 4096;

/// Whether a whole message takes too long to decode on a thread that serves: decoded, it takes more than `bytes` bytes
/// beyond [`FREE`], or it has more than [`FEW_FIELDS`] fields.
pub(crate) fn takes_long(method: Method, message: &[u8], bytes: usize) -> bool {
    /// The bytes that are read between two looks at the counts.
    const PIECE: usize = 4096;
    let mut size = DecodedSize::of(method);
    // No field takes more memory for its bytes than a set, which has at least two, and the shortest field is a group's
    // mark, of one byte.
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
    /// The field that is being read, and the message that has its first byte. The field may reach beyond that message,
    /// since prost reads such a field to its end before it complains.
    field: u64,
    within: &'static Shape,
    /// The messages in the request that are being read, each in the one before it: the first `open` of these.
    levels: [Level; MOST_LEVELS],
    open: usize,
    /// How many bytes of the request were read.
    position: usize,
    /// The number of groups that are open. Their content is skipped.
    depth: u32,
    /// The bytes of memory so far, with those that every call may take.
    counted: usize,
    /// The number of fields so far, with those in groups.
    fields: usize,
}

/// A message that is being read.
#[derive(Clone, Copy, Debug)]
struct Level {
    shape: &'static Shape,
    /// The number of the request's bytes that end with it.
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A field's number and type.
    Key,
    /// A field that is a number.
    Number,
    Length,
    /// The bytes of a field: `missing` of them are still to come, and each adds `times` bytes of memory when it comes.
    /// They are not counted in advance, since the announced bytes may never come.
    Skip {
        missing: usize,
        times: usize,
    },
    /// The rest of a message of which prost has refused a field.
    Unreadable,
}

impl DecodedSize {
    /// The size of a request of this method, of which no byte has been read.
    pub(crate) fn of(method: Method) -> Self {
        let request = Shape::of(method);
        Self {
            request,
            place: Place::Key,
            number: 0,
            bits: 0,
            field: 0,
            within: request,
            levels: [Level { shape: request, end: 0 }; MOST_LEVELS],
            open: 0,
            position: 0,
            depth: 0,
            counted: 0,
            fields: 0,
        }
    }

    /// The bytes of memory beyond those that every call may take.
    pub(crate) fn bytes(&self) -> usize {
        self.counted.saturating_sub(FREE)
    }

    /// Reads the next bytes of the message.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let mut most = usize::MAX;
        self.read_some(bytes, &mut most);
    }

    /// As [`read`](Self::read), but of at most `most` steps, each of which reads a byte or all that is skipped at once. Takes them
    /// from `most`, and returns the number of bytes that were read.
    pub(crate) fn read_some(&mut self, mut bytes: &[u8], most: &mut usize) -> usize {
        let len = bytes.len();
        while let [first, ..] = bytes {
            if *most == 0 {
                break;
            }
            *most -= 1;
            if self.place == Place::Key && self.bits == 0 {
                self.close();
            }
            let read = match self.place {
                Place::Skip { missing, .. } => missing.min(bytes.len()),
                Place::Key | Place::Number | Place::Length | Place::Unreadable => 1,
            };
            bytes = &bytes[read..];
            self.position += read;
            match self.place {
                Place::Skip { missing, times } => {
                    self.count(read.saturating_mul(times));
                    self.skip(missing - read, times);
                }
                Place::Unreadable => return len,
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
        len - bytes.len()
    }

    /// Leaves the messages that have ended, before another field.
    fn close(&mut self) {
        while self.open > 0 && self.levels[self.open - 1].end <= self.position {
            self.open -= 1;
        }
        self.within = self.levels[..self.open].last().map_or(self.request, |level| level.shape);
    }

    /// Takes a byte of a number (a varint), and returns whether it was the last one.
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
            // A list of numbers may come packed, or number by number as here.
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
            if *shape == shape::PLAIN {
                // Its fields are not followed. The shortest ones, marks of groups, have one byte.
                self.fields = self.fields.saturating_add(length);
            } else {
                self.levels[self.open] = Level { shape, end: self.position.saturating_add(length) };
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

    /// Whether the field is one of these; a field in a group never is.
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
