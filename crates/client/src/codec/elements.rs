//! The elements of a tensor whose bytes come in pieces.

use bytes::Buf;
use half::{bf16, f16};
use ndarray::Array1;

use crate::{DType, Element, Tensor};

/// Elements that are written only once, into the memory of their later array.
pub(crate) enum Elements {
    F32(Filling<f32>),
    F64(Filling<f64>),
    F16(Filling<f16>),
    Bf16(Filling<bf16>),
}

/// Evaluates `$do` for the elements, whatever their type is.
macro_rules! each {
    ($elements:expr, $filling:ident => $do:expr) => {
        match $elements {
            Elements::F32($filling) => $do,
            Elements::F64($filling) => $do,
            Elements::F16($filling) => $do,
            Elements::Bf16($filling) => $do,
        }
    };
}

impl Elements {
    /// Room for `bytes`; `None`: `bytes` is not a whole number of elements.
    pub(crate) fn with_capacity(dtype: DType, bytes: usize) -> Option<Self> {
        if !bytes.is_multiple_of(dtype.size()) {
            return None;
        }
        Some(match dtype {
            DType::F32 => Self::F32(Filling::new(bytes)),
            DType::F64 => Self::F64(Filling::new(bytes)),
            DType::F16 => Self::F16(Filling::new(bytes)),
            DType::Bf16 => Self::Bf16(Filling::new(bytes)),
        })
    }

    /// Takes the next bytes, little-endian, but no more than are missing.
    pub(crate) fn fill(&mut self, bytes: &mut impl Buf) {
        each!(self, filling => filling.fill(bytes));
    }

    pub(crate) fn is_full(&self) -> bool {
        each!(self, filling => filling.missing == 0)
    }

    /// The elements that have come, in one dimension.
    pub(crate) fn into_tensor(self) -> Tensor {
        each!(self, filling => Array1::from_vec(filling.elements).into())
    }
}

/// Elements of one type, as far as they have come.
pub(crate) struct Filling<A> {
    elements: Vec<A>,
    /// The first bytes of an element that was cut.
    cut: Vec<u8>,
    /// Bytes that are still to come.
    missing: usize,
}

impl<A: Element> Filling<A> {
    fn new(bytes: usize) -> Self {
        Self { elements: Vec::with_capacity(bytes / size_of::<A>()), cut: Vec::new(), missing: bytes }
    }

    fn fill(&mut self, bytes: &mut impl Buf) {
        let size = size_of::<A>();
        while self.missing > 0 && bytes.has_remaining() {
            let chunk = bytes.chunk();
            let whole = if self.cut.is_empty() { chunk.len().min(self.missing) / size * size } else { 0 };
            let taken = if whole > 0 {
                self.elements.extend(chunk[..whole].chunks_exact(size).map(read::<A>));
                whole
            } else {
                let some = chunk.len().min(size - self.cut.len());
                self.cut.extend_from_slice(&chunk[..some]);
                if self.cut.len() == size {
                    self.elements.push(read(&self.cut));
                    self.cut.clear();
                }
                some
            };
            bytes.advance(taken);
            self.missing -= taken;
        }
    }
}

/// The element with these bytes on the wire, which lie at any address.
fn read<A: Element>(bytes: &[u8]) -> A {
    bytemuck::pod_read_unaligned::<A>(bytes).swap_on_big_endian()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_whole_however_their_bytes_are_cut() {
        let bytes: Vec<u8> = (0..48).map(|i| if i % 8 == 7 { 0x3F } else { i * 5 }).collect();
        for dtype in [DType::F32, DType::F64, DType::F16, DType::Bf16] {
            let expected = Tensor::from_le_bytes(dtype, &[48 / dtype.size()], &bytes).expect("they fill it");
            for step in 1..=49 {
                let mut elements = Elements::with_capacity(dtype, 48).expect("a whole number of elements");
                for chunk in bytes.chunks(step) {
                    assert!(!elements.is_full());
                    elements.fill(&mut &chunk[..]);
                }
                let mut more = &[1, 2, 3][..];
                elements.fill(&mut more);
                assert!(elements.is_full() && more.len() == 3);
                let tensor = elements.into_tensor();
                assert_eq!(tensor.shape(), expected.shape());
                assert_eq!(tensor.into_le_bytes(), expected.clone().into_le_bytes(), "{dtype} by {step}");
            }
            assert!(Elements::with_capacity(dtype, 47).is_none());
        }
    }
}
