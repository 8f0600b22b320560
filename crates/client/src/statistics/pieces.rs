//! An array cut to the size of messages.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use pb::measure_statistics_request::Part;

/// A message carries about this much, so that the server measures one while the next is on its way.
const MESSAGE_BYTES: usize = 1 << 20;

/// The bytes of a message beside its elements and gradients, with room to spare.
const OVERHEAD: usize = 64;

/// The messages that carry a part: its header, and then its elements, each of at most `MESSAGE_BYTES` or the client's limit.
#[derive(Debug)]
pub(super) struct Pieces {
    header: Option<Part>,
    data: Bytes,
    /// As many bytes; `None`: no gradients are measured.
    grad_data: Option<Bytes>,
    room: usize,
}

impl Pieces {
    pub(super) fn new(header: Part, data: Bytes, grad_data: Option<Bytes>, limit: usize) -> Self {
        let room = (limit.min(MESSAGE_BYTES)).saturating_sub(OVERHEAD) / if grad_data.is_some() { 2 } else { 1 };
        Self { header: Some(header), data, grad_data, room: room.max(1) }
    }
}

impl Iterator for Pieces {
    type Item = pb::MeasureStatisticsRequest;

    fn next(&mut self) -> Option<pb::MeasureStatisticsRequest> {
        if let Some(part) = self.header.take() {
            return Some(pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() });
        }
        let gradients_left = self.grad_data.as_ref().map_or(0, Bytes::len);
        if self.data.is_empty() && gradients_left == 0 {
            return None;
        }
        // If there are more gradients than elements, they are sent all the same: the server reports the error.
        let data = self.data.split_to(self.room.min(self.data.len()));
        let grad_data = self.grad_data.as_mut().map(|bytes| bytes.split_to(self.room.min(bytes.len())));
        Some(pb::MeasureStatisticsRequest { data, grad_data: grad_data.unwrap_or_default(), ..Default::default() })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn pieces_fit_and_carry_everything_in_order() {
        let bytes = Bytes::from_iter((0..5000u32).map(|i| i as u8));
        let gradients = Bytes::from_iter((0..5000u32).map(|i| (i / 7) as u8));
        for (limit, messages) in [(80, 313), (200, 37), (1000, 6), (100_000, 1)] {
            for grad_data in [None, Some(gradients.clone())] {
                let mut pieces =
                    Pieces::new(Part::Header(pb::NormalizeRequest::default()), bytes.clone(), grad_data.clone(), limit);
                assert!(pieces.next().is_some_and(|first| first.part.is_some() && first.data.is_empty()));
                let (mut data, mut gradients, mut count) = (Vec::new(), Vec::new(), 0);
                for message in pieces {
                    assert!(message.encoded_len() <= limit && message.part.is_none());
                    assert!(grad_data.is_none() || message.data.len() == message.grad_data.len());
                    data.extend_from_slice(&message.data);
                    gradients.extend_from_slice(&message.grad_data);
                    count += 1;
                }
                assert!(grad_data.is_some() || count == messages, "{count} of {limit}");
                assert_eq!((data, gradients), (bytes.to_vec(), grad_data.unwrap_or_default().to_vec()));
            }
        }
    }
}
