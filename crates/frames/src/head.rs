//! The fields of a message before the bulk of its last tensor.

use std::ops::Range;

use bytes::BytesMut;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::field::last_field;

/// How many frames are searched for the head of a message. A message whose head takes more is gathered as a whole.
pub const HEAD_FRAMES: usize = 4;

/// The positions of the parts of a message that ends with a tensor, which ends with its data; in bytes from the message's
/// beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where the tensor's field begins, and the fields before it end.
    pub before: usize,
    /// The fields of the tensor before its data.
    pub tensor: Range<usize>,
    /// Where the data begin.
    pub data: usize,
    /// The number of bytes of the data.
    pub data_len: usize,
}

impl Head {
    /// Finds the head in the first bytes of a message of `message_len` bytes, whose tensor is field `tensor` and has its data in
    /// field `data`. `None`: the bytes are too few, or the fields do not stand in the usual order, which is that of their numbers.
    pub fn find(bytes: &[u8], message_len: usize, tensor: u32, data: u32) -> Option<Self> {
        let field = last_field(bytes, message_len, tensor)?;
        let tensor_len = message_len - field.start;
        let data = last_field(&bytes[field.start..], tensor_len, data)?;
        Some(Self {
            before: field.key,
            tensor: field.start..field.start + data.key,
            data: field.start + data.start,
            data_len: tensor_len - data.start,
        })
    }

    /// The message that begins with `bytes`, and whose tensor is field `number`, without the tensor's data.
    pub fn without_data(&self, bytes: &[u8], number: u32) -> BytesMut {
        let tensor = &bytes[self.tensor.clone()];
        let mut message = BytesMut::from(&bytes[..self.before]);
        encode_key(number, WireType::LengthDelimited, &mut message);
        encode_varint(tensor.len() as u64, &mut message);
        message.extend_from_slice(tensor);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_when_all_of_it_is_there() {
        // Field 1 is 7; the tensor, field 14, has field 1, which is 8, and four bytes of data in field 15.
        let message = [0x08, 7, 0x72, 8, 0x08, 8, 0x7A, 4, 1, 2, 3, 4];
        let head = Head { before: 2, tensor: 4..6, data: 8, data_len: 4 };
        for len in 0..=message.len() {
            let expected = (len >= 8).then(|| head.clone());
            assert_eq!(Head::find(&message[..len], message.len(), 14, 15), expected, "{len} bytes");
        }
        assert_eq!(head.without_data(&message[..8], 14)[..], [0x08, 7, 0x72, 2, 0x08, 8]);
    }
}
