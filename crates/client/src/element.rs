//! The element types of tensors.

use std::fmt;

use evenkeel_proto::v1 as pb;
use half::{bf16, f16};

/// The element type of a tensor, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
}

impl DType {
    /// The bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name NumPy and PyTorch use: `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    pub(crate) fn to_wire(self) -> pb::DataType {
        match self {
            Self::F32 => pb::DataType::Float32,
            Self::F64 => pb::DataType::Float64,
            Self::F16 => pb::DataType::Float16,
            Self::Bf16 => pb::DataType::Bfloat16,
        }
    }

    /// `None` for a value that the contract does not have, and for "unspecified".
    pub(crate) fn from_wire(value: i32) -> Option<Self> {
        match pb::DataType::try_from(value).ok()? {
            pb::DataType::Unspecified => None,
            pb::DataType::Float32 => Some(Self::F32),
            pb::DataType::Float64 => Some(Self::F64),
            pb::DataType::Float16 => Some(Self::F16),
            pb::DataType::Bfloat16 => Some(Self::Bf16),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that tensors are made of: [`f32`], [`f64`], [`half::f16`] or [`half::bf16`].
///
/// The trait is sealed: these are the types of the wire contract.
pub trait Element: sealed::Sealed {
    /// The type, as a value.
    const DTYPE: DType;

    /// The type of the statistics of a normalization: [`f64`] for [`f64`], [`f32`] for the others.
    type Statistic: Element;
}

pub(crate) mod sealed {
    use std::fmt::Debug;

    use ndarray::{ArrayD, ArrayViewD};

    use crate::Tensor;

    pub trait Sealed: bytemuck::Pod + Debug + PartialEq + Send + Sync {
        /// Converts between the machine's order of bytes and that of the wire, which is little-endian.
        fn swap_on_big_endian(self) -> Self;
        fn into_tensor(array: ArrayD<Self>) -> Tensor;
        fn view(tensor: &Tensor) -> Option<ArrayViewD<'_, Self>>;
        fn from_tensor(tensor: Tensor) -> Result<ArrayD<Self>, Tensor>;
    }
}

macro_rules! element {
    ($type:ty, $variant:ident, $bits:ty, $statistic:ty) => {
        impl Element for $type {
            const DTYPE: DType = DType::$variant;
            type Statistic = $statistic;
        }

        impl sealed::Sealed for $type {
            fn swap_on_big_endian(self) -> Self {
                Self::from_bits(<$bits>::from_le(self.to_bits()))
            }

            fn into_tensor(array: ndarray::ArrayD<Self>) -> crate::Tensor {
                crate::Tensor::$variant(array)
            }

            fn view(tensor: &crate::Tensor) -> Option<ndarray::ArrayViewD<'_, Self>> {
                if let crate::Tensor::$variant(array) = tensor { Some(array.view()) } else { None }
            }

            fn from_tensor(tensor: crate::Tensor) -> Result<ndarray::ArrayD<Self>, crate::Tensor> {
                if let crate::Tensor::$variant(array) = tensor { Ok(array) } else { Err(tensor) }
            }
        }
    };
}

element!(f32, F32, u32, f32);
element!(f64, F64, u64, f64);
element!(f16, F16, u16, f32);
element!(bf16, Bf16, u16, f32);
