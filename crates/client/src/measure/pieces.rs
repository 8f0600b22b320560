//! Gradients cut to the size of messages.

use std::mem;

use evenkeel_proto::v1 as pb;
use prost::Message as _;

use crate::DType;

/// A message carries about this much, so that the server measures one while the next is on its way.
const MESSAGE_BYTES: usize = 1 << 20;

/// The bytes of a piece beside its elements, with room to spare: the fields of the tensor and of the request.
const OVERHEAD: usize = 64;

/// The messages that carry some gradients, each of at most `MESSAGE_BYTES` or the client's limit.
#[derive(Debug)]
pub(super) struct Pieces {
    /// In reverse: the next one is the last.
    gradients: Vec<pb::Tensor>,
    /// Sent in the first message.
    norm_type: Option<f64>,
    begun: bool,
    room: usize,
}

impl Pieces {
    pub(super) fn new(mut gradients: Vec<pb::Tensor>, norm_type: Option<f64>, limit: usize) -> Self {
        gradients.retain(|gradient| !gradient.data.is_empty());
        gradients.reverse();
        Self { gradients, norm_type, begun: false, room: limit.min(MESSAGE_BYTES) }
    }
}

impl Iterator for Pieces {
    type Item = pb::MeasureGradientsRequest;

    fn next(&mut self) -> Option<pb::MeasureGradientsRequest> {
        // Without gradients one message is sent, for the order of the norm.
        if mem::replace(&mut self.begun, true) && self.gradients.is_empty() {
            return None;
        }
        let norm_type = self.norm_type.take();
        let mut message = pb::MeasureGradientsRequest { norm_type, ..Default::default() };
        let mut room = self.room;
        while let Some(gradient) = self.gradients.pop() {
            let needed = gradient.encoded_len() + OVERHEAD;
            if needed <= room {
                room -= needed;
                message.gradients.push(gradient);
                continue;
            }
            let (piece, rest) = cut(gradient, room.saturating_sub(OVERHEAD), message.gradients.is_empty());
            message.gradients.extend(piece);
            self.gradients.extend(rest);
            break;
        }
        Some(message)
    }
}

/// The first elements of a gradient that has some, of at most `bytes` (but at least one element, if there `must` be a
/// piece), and the rest. Neither is copied.
fn cut(gradient: pb::Tensor, bytes: usize, must: bool) -> (Option<pb::Tensor>, Option<pb::Tensor>) {
    let size = DType::from_wire(gradient.dtype).expect("this client encoded it").size();
    let elements = (bytes / size).max(usize::from(must)).min(gradient.data.len() / size);
    if elements == 0 {
        return (None, Some(gradient));
    }
    let piece = |data: bytes::Bytes| {
        let shape = vec![i64::try_from(data.len() / size).expect("dimensions fit isize")];
        pb::Tensor { dtype: gradient.dtype, shape, data, ..Default::default() }
    };
    let rest = gradient.data.slice(elements * size..);
    (Some(piece(gradient.data.slice(..elements * size))), (!rest.is_empty()).then(|| piece(rest)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::{Tensor, codec};

    #[test]
    fn pieces_fit_and_carry_everything_in_order() {
        let gradients = || {
            let tensors = [
                Tensor::from(Array1::from_iter((0..500).map(|i| i as f32))),
                Tensor::from(Array2::<f64>::zeros((0, 7))),
                Tensor::from(Array1::from_iter((0..999).map(f64::from))),
                Tensor::from(ndarray::arr0(3.5f32)),
            ];
            tensors.map(codec::encode_tensor).to_vec()
        };
        let all: Vec<u8> = gradients().iter().flat_map(|gradient| gradient.data.to_vec()).collect();
        for limit in [80, 200, 1000, 100_000] {
            let messages: Vec<_> = Pieces::new(gradients(), Some(1.0), limit).collect();
            assert_eq!(messages.len() == 1, limit == 100_000, "{limit}");
            let mut carried = Vec::new();
            for (index, message) in messages.iter().enumerate() {
                assert!(message.encoded_len() <= limit, "{} of {limit}", message.encoded_len());
                assert_eq!(message.norm_type, (index == 0).then_some(1.0));
                for piece in &message.gradients {
                    let size = DType::from_wire(piece.dtype).expect("a dtype").size();
                    let elements: i64 = piece.shape.iter().product();
                    assert_eq!(piece.data.len(), elements as usize * size);
                    carried.extend_from_slice(&piece.data);
                }
            }
            assert_eq!(carried, all, "{limit}");
        }
    }

    #[test]
    fn of_nothing_the_order_is_said() {
        let messages: Vec<_> = Pieces::new(Vec::new(), Some(f64::INFINITY), 1000).collect();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].norm_type, Some(f64::INFINITY));
    }
}
