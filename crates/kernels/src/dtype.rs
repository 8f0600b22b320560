//! The four element types, and how their bytes become float64 and float64 becomes their bytes.

mod bitwise;
mod coded;

use std::fmt;

pub(crate) use self::{
    bitwise::{Bitwise, Exponents},
    coded::{Beside, Coded, NEAR, Number, Real},
};
use crate::half::{Bf16, F16};

/// An element type.
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
    /// Every dtype.
    pub const ALL: [Self; 4] = [Self::F32, Self::F64, Self::F16, Self::Bf16];

    /// The bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name NumPy and PyTorch use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type of one of the dtypes.
pub trait Element: Copy + Send + Sync + 'static + Bitwise + Coded + sealed::Sealed {
    /// The dtype.
    const DTYPE: DType;

    /// Whether it is float64. A condition that is such a constant decides what is compiled: code that this type cannot
    /// reach is left out, which a comparison of [`DTYPE`](Self::DTYPE) does not do.
    const IS_DOUBLE: bool = matches!(Self::DTYPE, DType::F64);

    /// Whether it is float16 or bfloat16.
    const IS_HALF: bool = matches!(Self::DTYPE, DType::F16 | DType::Bf16);

    /// Whether decoding takes many steps, so that a loop of its own is faster than decoding in the loop that computes.
    const DECODES_SLOWLY: bool = matches!(Self::DTYPE, DType::F16);

    /// The number of mantissa bits behind the point.
    const MANTISSA: i32;

    /// The bias of exponents: a biased exponent less this number is the power of two.
    const BIAS: i32;

    /// The nearest element, ties to even; every NaN becomes the canonical quiet one, so that equal results have equal
    /// bytes on every machine.
    fn from_f64(x: f64) -> Self;

    /// The same number as float64; exact.
    fn to_f64(self) -> f64;

    /// Reads an element from exactly [`DType::size`] little-endian bytes.
    ///
    /// # Panics
    /// If `bytes` has another length.
    fn from_le_bytes(bytes: &[u8]) -> Self;

    /// The bytes, little-endian.
    fn to_le_bytes(self) -> impl IntoIterator<Item = u8>;

    /// Decodes as many elements as `values` has places, from element `first` of `bytes` on.
    #[inline(always)]
    fn decode_from(bytes: &[u8], first: usize, values: &mut [f64]) {
        let size = Self::DTYPE.size();
        Self::decode(&bytes[first * size..(first + values.len()) * size], values);
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($type:ty, $dtype:expr, $bits:ty, $from_bits:expr, $to_bits:expr, $from_f64:expr, $to_f64:expr, $mantissa:expr) => {
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: DType = $dtype;
            const MANTISSA: i32 = $mantissa;
            const BIAS: i32 = (1 << (<$bits>::BITS - 2 - $mantissa)) - 1;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                $from_f64(x)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }

            #[inline(always)]
            fn from_le_bytes(bytes: &[u8]) -> Self {
                $from_bits(<$bits>::from_le_bytes(bytes.try_into().expect("the bytes of one element")))
            }

            #[inline(always)]
            fn to_le_bytes(self) -> impl IntoIterator<Item = u8> {
                <$bits>::to_le_bytes($to_bits(self))
            }
        }
    };
}

element!(
    f32,
    DType::F32,
    u32,
    f32::from_bits,
    f32::to_bits,
    |x: f64| {
        let x = x as f32;
        if x.is_nan() { f32::NAN } else { x }
    },
    f64::from,
    23
);
element!(f64, DType::F64, u64, f64::from_bits, f64::to_bits, |x: f64| if x.is_nan() { f64::NAN } else { x }, |x| x, 52);
element!(F16, DType::F16, u16, F16, |x: F16| x.0, F16::from_f64, F16::to_f64, 10);
element!(Bf16, DType::Bf16, u16, Bf16, |x: Bf16| x.0, Bf16::from_f64, Bf16::to_f64, 7);

/// Runs `$body` with `$element` naming the Rust type of a dtype that is known only at run time.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $element = f32;
                $body
            }
            $crate::DType::F64 => {
                type $element = f64;
                $body
            }
            $crate::DType::F16 => {
                type $element = $crate::half::F16;
                $body
            }
            $crate::DType::Bf16 => {
                type $element = $crate::half::Bf16;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// Writes numbers as elements of a dtype, each rounded once, to nearest and ties to even; `bytes` has room for exactly
/// these.
pub fn encode(dtype: DType, values: &[f64], bytes: &mut [u8]) {
    with_element!(dtype, E => E::encode(values, bytes));
}

/// Reads elements of a dtype as numbers, exactly; `bytes` are those of exactly as many elements as `values` has places.
pub fn decode(dtype: DType, bytes: &[u8], values: &mut [f64]) {
    with_element!(dtype, E => E::decode(bytes, values));
}
