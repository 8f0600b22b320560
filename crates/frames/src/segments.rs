//! Writes a message in segments.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{
    bulk::Bulk,
    prefix::{Announced, PREFIX},
};

/// Data of fewer bytes are copied, since a frame of their own costs more.
const SEGMENT: usize = 1 << 14;

/// A message with gRPC's prefix, in segments: together they are prost's encoding of `message` with these tensors, each
/// under the number of its field. The numbers must ascend, and be higher than those of `message`'s own fields.
///
/// # Panics
/// If the message has 4 GiB or more, which a prefix cannot express.
pub fn segments<T: Bulk>(message: &impl Message, tensors: impl IntoIterator<Item = (u32, T)>) -> Vec<Bytes> {
    let tensors: Vec<(u32, T, Bytes)> = tensors
        .into_iter()
        .map(|(number, mut tensor)| {
            let data = tensor.take_data();
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

/// A message with gRPC's prefix, in one piece.
///
/// # Panics
/// If the message has 4 GiB or more, which a prefix cannot express.
pub fn encoded(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    begin(message, len, len).freeze()
}

/// The beginning of a message, with its prefix, up to the data of its last tensor, which are `data_len` bytes that `tensor` does
/// not hold. With the data after it, it is the message as [`segments`] encodes it.
///
/// # Panics
/// If the message has 4 GiB or more, which a prefix cannot express.
pub fn opening<T: Bulk>(message: &impl Message, (number, tensor): (u32, &T), data_len: usize) -> Bytes {
    let total = message.encoded_len() + nested_len(number, tensor_len(tensor, data_len));
    let mut text = begin(message, total, total - data_len);
    begin_tensor(number, tensor, data_len, &mut text);
    text.freeze()
}

/// The prefix of a message of `len` bytes and the message's own fields, in a buffer with room for `here` bytes of the message.
fn begin(message: &impl Message, len: usize, here: usize) -> BytesMut {
    let mut text = BytesMut::with_capacity(PREFIX + here);
    Announced::plain(len).put(&mut text);
    message.encode(&mut text).expect("the buffer grows");
    text
}

/// Writes a tensor up to its data, which are `data_len` bytes.
fn begin_tensor<T: Bulk>(number: u32, tensor: &T, data_len: usize, text: &mut BytesMut) {
    encode_key(number, WireType::LengthDelimited, text);
    encode_varint(tensor_len(tensor, data_len) as u64, text);
    tensor.encode(text).expect("the buffer grows");
    // protobuf leaves out a field that has its default, which for data is to be empty.
    if data_len > 0 {
        encode_key(T::DATA, WireType::LengthDelimited, text);
        encode_varint(data_len as u64, text);
    }
}

/// The length of a tensor with `data_len` bytes of data, which `tensor` does not hold.
fn tensor_len<T: Bulk>(tensor: &T, data_len: usize) -> usize {
    tensor.encoded_len() + if data_len == 0 { 0 } else { nested_len(T::DATA, data_len) }
}

/// The length of a field whose content has `len` bytes.
fn nested_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Tensor {
        #[prost(string, tag = "4")]
        name: String,
        #[prost(bytes = "bytes", tag = "15")]
        data: Bytes,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Request {
        #[prost(uint32, tag = "3")]
        groups: u32,
        #[prost(message, optional, tag = "14")]
        input: Option<Tensor>,
        #[prost(message, optional, tag = "15")]
        grad_output: Option<Tensor>,
    }

    impl Bulk for Tensor {
        const DATA: u32 = 15;

        fn take_data(&mut self) -> Bytes {
            std::mem::take(&mut self.data)
        }
    }

    #[test]
    fn segments_are_the_encoding_and_hold_the_elements_as_they_are() {
        let tensor = |len: usize| Tensor { name: "x".to_owned(), data: vec![7; len].into() };
        for lengths in [[0, 0], [3, SEGMENT - 1], [SEGMENT, 5], [5, SEGMENT], [100_000, SEGMENT]] {
            let request = |tensors: [Option<Tensor>; 2]| {
                let [input, grad_output] = tensors;
                Request { groups: 3, input, grad_output }
            };
            let tensors = lengths.map(tensor);
            let written = segments(&request([None, None]), [14, 15].into_iter().zip(tensors.clone()));
            let message = request(tensors.clone().map(Some)).encode_to_vec();
            let expected = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
            assert_eq!(written.concat(), expected, "{lengths:?}");
            assert_eq!(encoded(&request(tensors.clone().map(Some))), expected, "{lengths:?}");
            let [first, mut last] = tensors.clone();
            let data = last.take_data();
            let before = opening(&request([Some(first), None]), (15, &last), data.len());
            assert_eq!([before, data].concat(), expected, "{lengths:?}");
            let shared = tensors.iter().filter(|it| written.iter().any(|segment| segment.as_ptr() == it.data.as_ptr()));
            assert_eq!(shared.count(), lengths.iter().filter(|&&len| len >= SEGMENT).count(), "{lengths:?}");
        }
    }
}
