//! A rough estimate of the time that an operation takes, which decides where the operation runs.
//!
//! The number of elements does not suffice: a tensor without elements may have millions of rows with statistics.
//!
//! The numbers are nanoseconds for 1024 elements on one thread, as measured on a virtual machine (Zen 4). A machine that
//! is twice as fast or slow decides a little differently, and computes the same bits.

use std::time::Duration;

use evenkeel_kernels::{DType, TensorRef};

/// The work on each element.
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
    /// A power of each element, a sum, and a product.
    Powers,
    /// An exact sum.
    Measure,
}

impl Work {
    /// The time for all elements of these tensors, and for so many [units](evenkeel_kernels::Demand::units).
    pub(crate) fn estimate(self, tensors: &[TensorRef<'_>], units: usize) -> Duration {
        self.estimate_of(tensors.iter().map(|tensor| (tensor.dtype(), tensor.len())), units)
    }

    /// The same for tensors of which the dtypes and the numbers of elements are known.
    pub(crate) fn estimate_of(self, tensors: impl IntoIterator<Item = (DType, usize)>, units: usize) -> Duration {
        let nanos = tensors.into_iter().map(|(dtype, len)| len as u64 * self.per_1024(dtype) / 1024);
        Duration::from_nanos(nanos.sum::<u64>().saturating_add(self.per_unit().saturating_mul(units as u64)))
    }

    /// The time for a unit beside its elements, in nanoseconds. A unit is a set of statistics, a draw that elements
    /// share, a tensor, or a partial.
    fn per_unit(self) -> u64 {
        match self {
            Self::Normalize => 20,
            Self::NormalizeBackward => 120,
            Self::Dropout => 10,
            Self::Clip | Self::Powers => 400,
            Self::Measure => 600,
        }
    }

    /// The time for 1024 elements, in nanoseconds.
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
            Self::Powers => 20_000,
            // The time for a norm of order 2, the usual one.
            Self::Measure => match dtype {
                DType::F32 | DType::F16 | DType::Bf16 => 200,
                DType::F64 => 5500,
            },
        }
    }
}

/// The time to measure `bytes` bytes of elements and gradients, and to make, check, merge, use or encode the exact
/// statistics of `sets` sets.
pub(crate) fn statistics(bytes: usize, sets: usize) -> Duration {
    /// The nanoseconds for a set whose sums are as long as they can be.
    const PER_SET: u64 = 15_000;
    Duration::from_nanos((bytes as u64).saturating_add((sets as u64).saturating_mul(PER_SET)))
}

/// The time to convert so many elements of weights, biases and running statistics to float64.
pub(crate) fn parameters(elements: usize) -> Duration {
    const PER_ELEMENT: u64 = 2;
    Duration::from_nanos((elements as u64).saturating_mul(PER_ELEMENT))
}

#[cfg(test)]
mod tests {
    use evenkeel_kernels::{NormKind, NormParameters, Normalization, normalize_demand};

    use super::*;

    /// 4096 elements in rows are normalized in some 4 us. Pooling every other one of twelve axes makes runs of two
    /// elements, which take some 100 us.
    #[test]
    fn short_runs_take_longer_than_rows() {
        let estimate = |shape: &[usize], axes: &[i32]| {
            let spec = Normalization { axes: axes.to_vec(), ..Normalization::new(NormKind::Rms) };
            let parameters = NormParameters::default();
            let demand = normalize_demand(&spec, &parameters, DType::F32, shape, false).expect("they fit");
            let data = vec![0; 4 * shape.iter().product::<usize>()];
            let tensor = TensorRef::new(DType::F32, shape, &data).expect("as many bytes as elements");
            Work::Normalize.estimate(&[tensor], demand.units)
        };
        let rows = estimate(&[64, 64], &[1]);
        let runs = estimate(&[2; 12], &[1, 3, 5, 7, 9, 11]);
        assert!(rows < Duration::from_micros(10), "{rows:?}");
        assert!(runs > Duration::from_micros(70), "{runs:?}");
    }
}
