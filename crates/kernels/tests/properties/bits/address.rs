//! The same bits wherever in memory a tensor begins.

use evenkeel_kernels::{DType, Tensor, TensorRef};

use super::{
    super::in_place::clip_both, clippings, dropout_both, dropouts, noise, normalizations, normalize_both, weight_of,
};

/// A tensor whose bytes start `offset` bytes into a buffer, whatever that is aligned to.
struct Misaligned {
    dtype: DType,
    shape: Vec<usize>,
    buffer: Vec<u8>,
    offset: usize,
}

impl Misaligned {
    fn new(tensor: &Tensor, offset: usize) -> Self {
        let buffer = [&vec![0xA5; offset][..], tensor.data(), &[0x5A; 8]].concat();
        Self { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), buffer, offset }
    }

    fn view(&self) -> TensorRef<'_> {
        let data = &self.buffer[self.offset..self.buffer.len() - 8];
        TensorRef::new(self.dtype, &self.shape, data).expect("the bytes of a tensor")
    }
}

#[test]
fn where_the_bytes_begin_changes_nothing() {
    for dtype in DType::ALL {
        for (spec, shape) in normalizations() {
            let (input, grad, weight) = (noise(dtype, &shape), noise(dtype, &shape), weight_of(&spec, dtype, &shape));
            let expected = normalize_both(&spec, weight.view(), input.view(), grad.view());
            for offset in 0..8 {
                let moved = [&weight, &input, &grad].map(|tensor| Misaligned::new(tensor, offset));
                let [weight, input, grad] = moved.each_ref().map(Misaligned::view);
                assert!(normalize_both(&spec, weight, input, grad) == expected, "{:?} {dtype} at {offset}", spec.kind);
            }
        }
        let input = noise(dtype, &[2, 3, 2_777]);
        for offset in 0..8 {
            let moved = Misaligned::new(&input, offset);
            for spec in dropouts() {
                let expected = dropout_both(&spec, input.view());
                assert!(dropout_both(&spec, moved.view()) == expected, "{spec:?} {dtype} at {offset}");
            }
            for spec in clippings() {
                let clip = |gradient| clip_both(&spec, &[gradient]).expect("valid");
                assert!(clip(moved.view()) == clip(input.view()), "{spec:?} {dtype} at {offset}");
            }
        }
    }
}
