//! How long an operation will take, roughly: what decides where it runs.
//!
//! The numbers are nanoseconds for 1024 elements on one thread, as measured on a virtual machine (Zen 4). A machine that
//! is twice as fast or slow decides a little differently, and computes the same bits.

use std::time::Duration;

use evenkeel_kernels::{DType, TensorRef};

/// What is done to each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Statistics and a result.
    Normalize,
    /// Statistics, sums of gradients, and a result.
    NormalizeBackward,
    /// A draw and a choice.
    Dropout,
    /// A sum and a product.
    Clip,
    /// An exact sum.
    Measure,
}

impl Work {
    /// For all elements of these tensors.
    pub(crate) fn estimate(self, tensors: &[TensorRef<'_>]) -> Duration {
        let nanos = tensors.iter().map(|tensor| tensor.len() as u64 * self.per_1024(tensor.dtype()) / 1024);
        Duration::from_nanos(nanos.sum())
    }

    fn per_1024(self, dtype: DType) -> u64 {
        match self {
            Self::Normalize => match dtype {
                DType::F32 => 400,
                DType::F64 => 1800,
                DType::F16 | DType::Bf16 => 550,
            },
            Self::NormalizeBackward => 4000,
            Self::Dropout => 1100,
            Self::Clip => match dtype {
                DType::F32 => 350,
                DType::F64 => 5700,
                DType::F16 | DType::Bf16 => 600,
            },
            // Of order 2, which most are.
            Self::Measure => match dtype {
                DType::F32 | DType::F16 | DType::Bf16 => 200,
                DType::F64 => 5500,
            },
        }
    }
}
