//! What a message becomes when it is taken apart: two bytes on the wire are a tensor in memory, one is a dimension.
//!
//! The bytes of a message are looked at as they come, before any of it is decoded. Only what the budget has to know is
//! understood: where tensors begin, and the lists that grow. What is not protobuf is refused by those who decode it, and
//! get no further than this does.

/// A tensor or a partial norm in a list, with its result and what the allocator adds.
const PER_MESSAGE: usize = 512;
/// A dimension or an axis: 8 bytes, in a list that doubles when it is full.
const PER_NUMBER: usize = 16;
/// A byte of `float_data`: the list that doubles; the elements and the result as bytes, of float64 twice as many; and the
/// answer's list.
const PER_FLOAT_BYTE: usize = 8;
/// What every call may have: some hundred tensors.
const FREE: usize = 64 << 10;

/// The lowest number of a field that is a message, in any request.
const FIRST_MESSAGE: u64 = 10;
/// `axes` of a request.
const AXES: u64 = 2;
/// `name`, `shape` and `float_data` of a tensor.
const NAME: u64 = 1;
const SHAPE: u64 = 3;
const FLOAT_DATA: u64 = 14;

/// Whether a message that is here becomes more than so many bytes, beside what every call may have.
pub(crate) fn is_above(message: &[u8], bytes: usize) -> bool {
    /// Bytes that are looked at before it is asked again.
    const PIECE: usize = 4096;
    let mut size = DecodedSize::new();
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
    place: Place,
    /// The number that is being read, and how many of its bits have come.
    number: u64,
    bits: u32,
    /// The field that is being read.
    field: u64,
    /// How much is to come of the tensor that is being read; 0: none is.
    inner: usize,
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
    /// After what nobody can decode.
    Unreadable,
}

impl DecodedSize {
    pub(crate) const fn new() -> Self {
        Self { place: Place::Key, number: 0, bits: 0, field: 0, inner: 0, counted: 0 }
    }

    /// The bytes of memory beyond those that every call may have.
    pub(crate) fn bytes(&self) -> usize {
        self.counted.saturating_sub(FREE)
    }

    /// The next bytes of the message.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while let [first, ..] = bytes {
            let within = self.inner > 0;
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
                        self.key(within);
                    }
                }
                Place::Number => {
                    if self.takes(*first) {
                        self.place = Place::Key;
                    }
                }
                Place::Length => {
                    if self.takes(*first) {
                        self.length(within);
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

    fn key(&mut self, within: bool) {
        self.field = self.number >> 3;
        self.place = match self.number & 7 {
            0 => {
                if self.field == if within { SHAPE } else { AXES } {
                    self.count(PER_NUMBER);
                }
                Place::Number
            }
            1 => Place::Skip { missing: 8, times: 0 },
            2 => Place::Length,
            // Groups, which nobody has: what is in them is counted as if it was not.
            3 | 4 => Place::Key,
            // A list may come as one, or number by number.
            5 if within && self.field == FLOAT_DATA => Place::Skip { missing: 4, times: PER_FLOAT_BYTE },
            5 => Place::Skip { missing: 4, times: 0 },
            6.. => Place::Unreadable,
        };
    }

    fn length(&mut self, within: bool) {
        let length = usize::try_from(self.number).unwrap_or(usize::MAX);
        let times = match (within, self.field) {
            (false, FIRST_MESSAGE..) => {
                self.count(PER_MESSAGE);
                self.inner = length;
                self.place = Place::Key;
                return;
            }
            (false, AXES) | (true, SHAPE) => PER_NUMBER,
            (true, NAME) => 1,
            (true, FLOAT_DATA) => PER_FLOAT_BYTE,
            (false | true, _) => 0,
        };
        self.skip(length, times);
    }

    fn skip(&mut self, missing: usize, times: usize) {
        self.place = if missing == 0 { Place::Key } else { Place::Skip { missing, times } };
    }

    fn count(&mut self, bytes: usize) {
        self.counted = self.counted.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_proto::v1 as pb;
    use prost::Message as _;

    use super::*;

    fn counted(message: &[u8], cut: usize) -> usize {
        let mut parts = DecodedSize::new();
        message.chunks(cut).for_each(|bytes| parts.read(bytes));
        parts.counted
    }

    fn tensor(elements: usize) -> pb::Tensor {
        let data = vec![0x7A; 4 * elements].into();
        pb::Tensor { name: "weight".to_owned(), dtype: 1, shape: vec![elements as i64, 1], data, ..Default::default() }
    }

    #[test]
    fn tensors_and_lists_are_counted_and_what_they_hold_is_not() {
        let shape_and_name = 3 * PER_NUMBER + "weight".len();
        let gradients = vec![tensor(1000), pb::Tensor::default(), tensor(1000)];
        let clip = pb::ClipGradientsRequest { mode: 1, threshold: Some(1.0), gradients, ..Default::default() };
        let typed = pb::Tensor { float_data: vec![1.0; 10], shape: vec![10], ..Default::default() };
        let (weight, input) = (Some(tensor(1000)), Some(typed));
        let normalize = pb::NormalizeRequest { axes: vec![1, 2], eps: Some(1.0), weight, input, ..Default::default() };
        for (message, expected) in [
            (clip.encode_to_vec(), 3 * PER_MESSAGE + 2 * shape_and_name),
            (
                normalize.encode_to_vec(),
                2 * PER_NUMBER + 2 * PER_MESSAGE + shape_and_name + PER_NUMBER + 40 * PER_FLOAT_BYTE,
            ),
            // A dimension and an axis that are not packed.
            (b"\x10\x05\x7A\x02\x18\x05\x10\x05".to_vec(), 3 * PER_NUMBER + PER_MESSAGE),
            (b"\x7A\x00".repeat(1000), 1000 * PER_MESSAGE),
        ] {
            for cut in [1, 2, 3, 7, 1000, message.len()] {
                assert_eq!(counted(&message, cut), expected, "{cut} of {}", message.len());
            }
        }
    }

    /// A list of numbers counts the same however it comes: as one, number by number, or both.
    #[test]
    fn numbers_that_are_not_packed_are_counted_as_those_that_are() {
        let floats = vec![1.5; 50_000];
        let packed = pb::Tensor { float_data: floats.clone(), ..Default::default() }.encode_to_vec();
        let packed = [&[0x7A][..], &prefixed(&packed)].concat();
        let unpacked: Vec<u8> = floats.iter().flat_map(|x| [&[0x75][..], &f32::to_le_bytes(*x)].concat()).collect();
        let mixed = [&packed[4..], &unpacked[..]].concat();
        let unpacked = [&[0x7A][..], &prefixed(&unpacked)].concat();
        let mixed = [&[0x7A][..], &prefixed(&mixed)].concat();
        let expected = PER_MESSAGE + 200_000 * PER_FLOAT_BYTE;
        for cut in [1, 3, 5, 4096, usize::MAX] {
            assert_eq!(counted(&packed, cut), expected, "{cut}");
            assert_eq!(counted(&unpacked, cut), expected, "{cut}");
            assert_eq!(counted(&mixed, cut), expected + 200_000 * PER_FLOAT_BYTE, "{cut}");
        }
    }

    /// A field's bytes behind their length.
    fn prefixed(bytes: &[u8]) -> Vec<u8> {
        let mut field = Vec::new();
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    }

    #[test]
    fn what_is_unreadable_is_followed_no_further() {
        for bad in [&b"\x0E"[..], &[0xFF; 11], b"\x7A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"] {
            let message = [bad, &b"\x7A\x00".repeat(1000)].concat();
            assert!(counted(&message, 1) <= 1001 * PER_MESSAGE);
        }
        assert_eq!(counted(&b"\x0E\x7A\x00".repeat(10), 4), 0);
    }

    /// Nor is there room to be taken from others by announcing it.
    #[test]
    fn what_is_announced_and_does_not_come_costs_nothing() {
        // A shape, axes and numbers of 2^28 bytes each, of which three come.
        for list in
            [&b"\x7A\x20\x1A\x80\x80\x80\x80\x01"[..], b"\x12\x80\x80\x80\x80\x01", b"\x7A\x20\x72\x80\x80\x80\x80\x01"]
        {
            let counted = counted(&[list, b"\x01\x02\x03"].concat(), 2);
            assert!(counted <= PER_MESSAGE + 3 * PER_NUMBER, "{counted}");
        }
    }

    #[test]
    fn what_every_call_may_have_costs_nothing() {
        let mut parts = DecodedSize::new();
        parts.read(&b"\x7A\x00".repeat(FREE / PER_MESSAGE));
        assert_eq!(parts.bytes(), 0);
        parts.read(b"\x7A\x00");
        assert_eq!(parts.bytes(), PER_MESSAGE);
    }

    /// What a message of the contract has that is a message, a list or a text.
    #[test]
    fn the_contract_has_no_list_that_is_not_counted() {
        use prost_types::{
            FileDescriptorSet,
            field_descriptor_proto::{Label, Type},
        };
        let files = FileDescriptorSet::decode(evenkeel_proto::FILE_DESCRIPTOR_SET).expect("the set is right").file;
        let messages = files.iter().flat_map(|file| &file.message_type);
        let read: Vec<_> =
            messages.filter(|message| message.name() == "Tensor" || message.name().ends_with("Request")).collect();
        assert_eq!(read.len(), 8, "the requests, and tensors");
        for message in read {
            let is_tensor = message.name() == "Tensor";
            for field in &message.field {
                let number = u64::try_from(field.number()).expect("it is positive");
                let name = format!("{}.{}", message.name(), field.name());
                let is_list = field.label() == Label::Repeated;
                let kind = field.r#type();
                if kind == Type::Message {
                    assert!(!is_tensor && number >= FIRST_MESSAGE, "{name}");
                } else if kind == Type::String {
                    assert!(is_tensor && number == NAME, "{name}");
                } else if is_list && kind == Type::Float {
                    assert!(is_tensor && number == FLOAT_DATA, "{name}");
                } else if is_list {
                    assert_eq!(number, if is_tensor { SHAPE } else { AXES }, "{name}");
                } else {
                    assert!(is_tensor || number < FIRST_MESSAGE, "{name}");
                }
            }
        }
    }
}
