//! Messages whose bulk, the tensors' elements, is neither copied when they are written nor when they are read.
//!
//! Both sides send a message as segments, what describes a tensor and then its elements as they are, and read what
//! describes a tensor before its elements have come.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::v1 as pb;

/// The number of `Tensor.data`.
pub const DATA: u32 = 15;

/// What precedes a message: whether it is compressed, in a byte, and its length in four.
pub const PREFIX: usize = 5;

/// Elements of less are copied: a frame of their own costs more.
const SEGMENT: usize = 1 << 14;

/// A message with gRPC's prefix, in segments: together the bytes of prost's encoding of `message` with these tensors, each
/// under the number of its field. The numbers ascend, and are higher than those of `message`'s own fields.
///
/// # Panics
/// If the message has 4 GiB, which the prefix cannot say.
pub fn segments(message: &impl Message, tensors: impl IntoIterator<Item = (u32, pb::Tensor)>) -> Vec<Bytes> {
    let tensors: Vec<(u32, pb::Tensor, Bytes)> = tensors
        .into_iter()
        .map(|(number, mut tensor)| {
            let data = std::mem::take(&mut tensor.data);
            (number, tensor, data)
        })
        .collect();
    let fields = tensors.iter().map(|(number, tensor, data)| nested_len(*number, tensor_len(tensor, data.len())));
    let total = message.encoded_len() + fields.sum::<usize>();

    let mut done = Vec::new();
    let data_lengths = || tensors.iter().map(|(_, _, data)| data.len());
    let copied: usize = data_lengths().filter(|&len| len < SEGMENT).sum();
    let headers = total - data_lengths().sum::<usize>();
    let mut text = begin(message, total, headers + copied);
    for (number, tensor, data) in tensors {
        begin_tensor(number, &tensor, data.len(), &mut text);
        if data.len() < SEGMENT {
            text.put(data);
        } else {
            done.push(text.split().freeze());
            done.push(data);
        }
    }
    if !text.is_empty() {
        done.push(text.freeze());
    }
    done
}

/// What comes before the elements, `data_len` bytes, of a message whose last tensor is here without them: with its prefix,
/// as [`segments`] has it.
///
/// # Panics
/// If the message has 4 GiB, which the prefix cannot say.
pub fn opening(message: &impl Message, (number, tensor): (u32, &pb::Tensor), data_len: usize) -> Bytes {
    let total = message.encoded_len() + nested_len(number, tensor_len(tensor, data_len));
    let mut text = begin(message, total, total - data_len);
    begin_tensor(number, tensor, data_len, &mut text);
    text.freeze()
}

/// The prefix of a message of `len` bytes and its own fields, with room for `here` bytes of it.
fn begin(message: &impl Message, len: usize, here: usize) -> BytesMut {
    let mut text = BytesMut::with_capacity(PREFIX + here);
    text.put_u8(0);
    text.put_u32(u32::try_from(len).expect("both sides hold messages to a limit, which fits"));
    message.encode(&mut text).expect("the buffer grows");
    text
}

/// Writes a tensor up to its data, which are `data_len` bytes.
fn begin_tensor(number: u32, tensor: &pb::Tensor, data_len: usize, text: &mut BytesMut) {
    encode_key(number, WireType::LengthDelimited, text);
    encode_varint(tensor_len(tensor, data_len) as u64, text);
    tensor.encode(text).expect("the buffer grows");
    // No data, no field, as with any field that has its default.
    if data_len > 0 {
        encode_key(DATA, WireType::LengthDelimited, text);
        encode_varint(data_len as u64, text);
    }
}

/// The length of a tensor that is here without its data, `data_len` bytes.
fn tensor_len(tensor: &pb::Tensor, data_len: usize) -> usize {
    tensor.encoded_len() + if data_len == 0 { 0 } else { nested_len(DATA, data_len) }
}

/// The length of a field that has `len` bytes.
fn nested_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

/// Where a field is in its message, in bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its key.
    pub key: usize,
    /// What it holds.
    pub start: usize,
}

/// The field `number` of a message of `len` bytes, of which these are the first, if nothing comes after it. `None`: there
/// is no such field, or its beginning has not come.
pub fn last_field(bytes: &[u8], len: usize, number: u32) -> Option<Place> {
    let mut rest = bytes;
    loop {
        let key = bytes.len() - rest.len();
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let skip = match wire_type {
            WireType::Varint => decode_varint(&mut rest).map(|_| 0).ok()?,
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let field_len = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let start = bytes.len() - rest.len();
                if tag == number && start.checked_add(field_len) == Some(len) {
                    return Some(Place { key, start });
                }
                field_len
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        rest = rest.get(skip..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_the_encoding_and_hold_the_elements_as_they_are() {
        let tensor = |len: usize| pb::Tensor { name: "x".to_owned(), data: vec![7; len].into(), ..Default::default() };
        for lengths in [[0, 0], [3, SEGMENT - 1], [SEGMENT, 5], [5, SEGMENT], [100_000, SEGMENT]] {
            let request = |tensors: [Option<pb::Tensor>; 2]| {
                let [input, grad_output] = tensors;
                pb::NormalizeBackwardRequest { groups: 3, input, grad_output, ..Default::default() }
            };
            let tensors = lengths.map(tensor);
            let written = segments(&request([None, None]), [14, 15].into_iter().zip(tensors.clone()));
            let message = request(tensors.clone().map(Some)).encode_to_vec();
            let expected = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
            assert_eq!(written.concat(), expected, "{lengths:?}");
            let [first, mut last] = tensors.clone();
            let data = std::mem::take(&mut last.data);
            let before = opening(&request([Some(first), None]), (15, &last), data.len());
            assert_eq!([before, data].concat(), expected, "{lengths:?}");
            let shared = tensors.iter().filter(|it| written.iter().any(|segment| segment.as_ptr() == it.data.as_ptr()));
            assert_eq!(shared.count(), lengths.iter().filter(|&&len| len >= SEGMENT).count(), "{lengths:?}");
        }
    }
}
