//! The bulk of a tensor is its field `data`.

use bytes::Bytes;
use evenkeel_frames::Bulk;

use crate::v1 as pb;

impl Bulk for pb::Tensor {
    const DATA: u32 = 15;

    fn take_data(&mut self) -> Bytes {
        std::mem::take(&mut self.data)
    }
}
