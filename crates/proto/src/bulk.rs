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

#[cfg(test)]
mod tests {
    use prost::{Message as _, encoding::decode_key};

    use super::*;

    #[test]
    fn the_number_is_that_of_the_contract() {
        let tensor = pb::Tensor { data: Bytes::from_static(&[1]), ..Default::default() };
        let (number, _) = decode_key(&mut &tensor.encode_to_vec()[..]).expect("it has a field");
        assert_eq!(number, pb::Tensor::DATA);
    }
}
