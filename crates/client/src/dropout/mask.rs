//! The mask of a dropout: one bit for every draw, least significant bit first; 1 for elements that were kept.

use ndarray::{ArrayD, IxDyn};

use crate::Error;

pub(super) fn decode(bits: &[u8], shape: &[usize]) -> Result<ArrayD<bool>, Error> {
    let draws: usize = shape.iter().product();
    if bits.len() != draws.div_ceil(8) {
        let reason = format!("has {} bytes where {draws} draws need {}", bits.len(), draws.div_ceil(8));
        return Err(Error::protocol("mask", reason));
    }
    let kept = (0..draws).map(|draw| bits[draw / 8] >> (draw % 8) & 1 == 1).collect();
    Ok(ArrayD::from_shape_vec(IxDyn(shape), kept).expect("there is one element for each draw"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draw_is_the_lowest_bit() {
        let mask = decode(&[0b0100_0101, 0b10], &[2, 5]).expect("10 bits in 2 bytes");
        let kept: Vec<usize> = mask.iter().enumerate().filter_map(|(draw, &kept)| kept.then_some(draw)).collect();
        assert_eq!(kept, [0, 2, 6, 9]);
        assert_eq!(mask.shape(), [2, 5]);
    }

    #[test]
    fn the_length_must_fit() {
        assert!(decode(&[], &[0, 3]).is_ok_and(|mask| mask.is_empty()));
        assert!(matches!(decode(&[0, 0], &[8]), Err(Error::Protocol { field, .. }) if field == "mask"));
        assert!(matches!(decode(&[0], &[9]), Err(Error::Protocol { field, .. }) if field == "mask"));
    }
}
