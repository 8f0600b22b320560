//! The beginning of a `NormalizeRequest`, up to the bytes of its input.

use bytes::Bytes;
use evenkeel_frames::{self as frames, Bulk as _};
use evenkeel_proto::v1 as pb;
use prost::Message as _;

/// The number of `NormalizeRequest.input`.
const INPUT: u32 = 14;

/// A `NormalizeRequest` up to its input's `data`, which ends the message.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    /// The request without the data of its input.
    pub(super) request: pb::NormalizeRequest,
    /// The number of bytes before the data.
    pub(super) len: usize,
    /// The number of bytes of the data.
    pub(super) data_len: usize,
}

impl Head {
    /// Finds the head in the first bytes of a message of `message_len` bytes. The answer is `None` if they are too few, or if the
    /// fields are not in the usual order, which is that of their numbers.
    pub(super) fn parse(bytes: &Bytes, message_len: usize) -> Option<Self> {
        let head = frames::Head::find(bytes, message_len, INPUT, pb::Tensor::DATA)?;
        let mut request = pb::NormalizeRequest::decode(bytes.slice(..head.before)).ok()?;
        let tensor = pb::Tensor::decode(bytes.slice(head.tensor)).ok()?;
        // The input or its elements are in the message twice. The route for whole messages decodes those as prost does.
        if request.input.is_some() || !tensor.data.is_empty() || !tensor.float_data.is_empty() {
            return None;
        }
        request.input = Some(tensor);
        Some(Self { request, len: head.data, data_len: head.data_len })
    }
}

/// Finds the head of a `NormalizeRequest` of `message_len` bytes in its first bytes: the request without its input's data,
/// the number of bytes before the data, and that of the data. Only for `fuzz/`.
#[doc(hidden)]
pub fn normalize_head(bytes: &Bytes, message_len: usize) -> Option<(pb::NormalizeRequest, usize, usize)> {
    Head::parse(bytes, message_len).map(|Head { request, len, data_len }| (request, len, data_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::NormalizeRequest {
        let tensor = |name: &str, data: &[u8]| pb::Tensor {
            name: name.to_owned(),
            dtype: pb::DataType::Float32.into(),
            shape: vec![data.len() as i64 / 4],
            data: Bytes::copy_from_slice(data),
            ..Default::default()
        };
        pb::NormalizeRequest {
            kind: pb::NormKind::Layer.into(),
            axes: vec![-1],
            eps: Some(1e-3),
            weight: Some(tensor("w", &[1; 40])),
            input: Some(tensor("x", &[2; 40])),
            ..Default::default()
        }
    }

    fn without_data() -> pb::NormalizeRequest {
        let mut request = request();
        request.input.as_mut().expect("it has one").data = Bytes::new();
        request
    }

    #[test]
    fn a_head_is_found_once_it_is_there() {
        let message = Bytes::from(request().encode_to_vec());
        let head = message.len() - 40;
        for len in 0..message.len() {
            let parsed = Head::parse(&message.slice(..len), message.len());
            let expected = (len >= head).then(|| Head { request: without_data(), len: head, data_len: 40 });
            assert_eq!(parsed, expected, "{len} bytes");
        }
    }

    #[test]
    fn other_orders_are_left_alone() {
        let twice = [request().encode_to_vec(), request().encode_to_vec()].concat();
        let last = pb::NormalizeRequest { groups: 3, ..Default::default() };
        let followed = [request().encode_to_vec(), last.encode_to_vec()].concat();
        let no_data = without_data().encode_to_vec();
        for message in [twice, followed, no_data, vec![0xFF; 30], Vec::new()] {
            assert_eq!(Head::parse(&Bytes::from(message.clone()), message.len()), None, "{message:?}");
        }
    }
}
