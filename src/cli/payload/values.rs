//! The elements of a request's tensors.

use bytes::Bytes;
use evenkeel_kernels::{encode, philox};
use evenkeel_proto::v1 as pb;

use super::options::Dtype;
use crate::cli::files::element;

/// The elements that are made at once.
const BLOCK: usize = 4096;

/// The numbers that elements may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Those in [-1, 1).
    Signed,
    /// Those in (0, 1]: variances.
    Positive,
}

/// Makes elements: element i of a request is word i of NumPy's Philox stream for the seed, counted over all its tensors, of
/// which as many bits are taken as the type holds without rounding. So they are the same numbers on every machine.
#[derive(Debug)]
pub(super) struct Values {
    dtype: Dtype,
    seed: u64,
    drawn: u64,
    as_numbers: bool,
}

impl Values {
    pub(super) fn new(dtype: Dtype, seed: u64, as_numbers: bool) -> Self {
        Self { dtype, seed, drawn: 0, as_numbers }
    }

    /// The next tensor.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], range: Range) -> pb::Tensor {
        let mut tensor = pb::Tensor { name: name.to_owned(), ..self.empty(shape) };
        let elements = shape.iter().product();
        if self.as_numbers {
            tensor.float_data.reserve_exact(elements);
            self.blocks(elements, range, |numbers| {
                tensor.float_data.extend(numbers.iter().map(|number| *number as f32))
            });
        } else {
            tensor.data = self.bytes(elements, range);
        }
        tensor
    }

    /// A tensor of this shape without elements.
    pub(super) fn empty(&self, shape: &[usize]) -> pb::Tensor {
        element::message(self.dtype.of_client(), shape, Bytes::new())
    }

    /// The bytes of the next elements.
    pub(super) fn bytes(&mut self, elements: usize, range: Range) -> Bytes {
        let dtype = self.dtype.of_kernels();
        let mut bytes = Vec::with_capacity(elements * dtype.size());
        self.blocks(elements, range, |numbers| {
            let from = bytes.len();
            bytes.resize(from + numbers.len() * dtype.size(), 0);
            encode(dtype, numbers, &mut bytes[from..]);
        });
        bytes.into()
    }

    fn blocks(&mut self, elements: usize, range: Range, mut take: impl FnMut(&[f64])) {
        let bits = match self.dtype {
            Dtype::Float32 | Dtype::Float64 => 24,
            Dtype::Float16 => 11,
            Dtype::Bfloat16 => 8,
        };
        let number = |word: &u32| {
            let draw = f64::from(word >> (32 - bits));
            match range {
                Range::Signed => draw / f64::from(1 << (bits - 1)) - 1.0,
                Range::Positive => (draw + 1.0) / f64::from(1 << bits),
            }
        };
        let (mut words, mut missing) = ([0; BLOCK], elements);
        while missing > 0 {
            let words = &mut words[..missing.min(BLOCK)];
            philox::fill(self.seed, self.drawn, words);
            self.drawn += words.len() as u64;
            missing -= words.len();
            take(&words.iter().map(number).collect::<Vec<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_kernels::decode;

    use super::*;

    #[test]
    fn elements_are_numpys_and_fit_their_type() {
        for (dtype, bits) in [(Dtype::Float32, 24), (Dtype::Float64, 24), (Dtype::Float16, 11), (Dtype::Bfloat16, 8)] {
            for (range, low, high) in [(Range::Signed, -1.0, 1.0), (Range::Positive, 0.0, 1.0)] {
                let mut values = Values::new(dtype, 7, false);
                let bytes = values.bytes(5000, range);
                let mut numbers = vec![0.0; 5000];
                decode(dtype.of_kernels(), &bytes, &mut numbers);
                let mut words = vec![0; 5000];
                philox::fill(7, 0, &mut words);
                for (number, word) in numbers.into_iter().zip(words) {
                    let draw = f64::from(word >> (32 - bits));
                    let expected = match range {
                        Range::Signed => draw * 2_f64.powi(1 - bits) - 1.0,
                        Range::Positive => (draw + 1.0) * 2_f64.powi(-bits),
                    };
                    assert_eq!(number, expected, "{dtype:?} rounds");
                    assert!((low..=high).contains(&number));
                }
            }
        }
    }

    #[test]
    fn numbers_and_bytes_are_the_same_elements_and_go_on_from_tensor_to_tensor() {
        let [mut bytes, mut numbers] = [false, true].map(|as_numbers| Values::new(Dtype::Float32, 1, as_numbers));
        let mut seen = Vec::new();
        for shape in [&[3, 2][..], &[], &[5000]] {
            let [packed, typed] = [&mut bytes, &mut numbers].map(|values| values.tensor("x", shape, Range::Signed));
            assert!(packed.float_data.is_empty() && typed.data.is_empty());
            assert_eq!((&packed.shape, packed.dtype), (&typed.shape, typed.dtype));
            let typed: Vec<u8> = typed.float_data.iter().flat_map(|number| number.to_le_bytes()).collect();
            assert_eq!(packed.data, typed);
            seen.push(packed.data);
        }
        let all = Values::new(Dtype::Float32, 1, false).bytes(6 + 1 + 5000, Range::Signed);
        assert_eq!(seen.concat(), all);
        assert_ne!(Values::new(Dtype::Float32, 2, false).bytes(6, Range::Signed), all[..24]);
    }
}
