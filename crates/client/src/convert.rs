//! Conversions between element types, each with one rounding.

use half::{bf16, f16};

use crate::{DType, Tensor};

impl Tensor {
    /// The same elements as another type: rounded once, to nearest, ties to even; NaN stays NaN.
    ///
    /// ```
    /// use evenkeel_client::{DType, Tensor};
    /// use ndarray::array;
    ///
    /// let tensor = Tensor::from(array![1.0_f64 + 2f64.powi(-11) + 2f64.powi(-40)]);
    /// // By way of float32 it would be rounded twice, to 1.
    /// assert_eq!(tensor.to_dtype(DType::F16).to_dtype(DType::F64), array![1.0_f64 + 2f64.powi(-10)].into());
    /// ```
    pub fn to_dtype(&self, dtype: DType) -> Self {
        // Float64 has every number of the other types.
        let wide = match self {
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array.clone(),
            Self::F16(array) => array.mapv(f16::to_f64),
            Self::Bf16(array) => array.mapv(bf16::to_f64),
        };
        match dtype {
            DType::F32 => Self::F32(wide.mapv(|x| x as f32)),
            DType::F64 => Self::F64(wide),
            DType::F16 => Self::F16(wide.mapv(|x| f16::from_f32(to_odd(x)))),
            DType::Bf16 => Self::Bf16(wide.mapv(|x| bf16::from_f32(to_odd(x)))),
        }
    }
}

/// Rounds towards zero, and sets the last bit if that changes the number. Rounding the result to a type that has two bits fewer, at
/// least, then gives what rounding the number itself would give.
fn to_odd(x: f64) -> f32 {
    let nearest = x as f32;
    let is_exact = f64::from(nearest) == x || x.is_nan();
    if is_exact {
        return nearest;
    }
    let is_beyond = f64::from(nearest).abs() > x.abs();
    f32::from_bits((nearest.to_bits() - u32::from(is_beyond)) | 1)
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    /// Halfway between two numbers of 16 bits, and next to it: the float64 that a conversion through float32 rounds twice.
    #[test]
    fn float64_is_rounded_once() {
        let round = |x: f64, dtype| match Tensor::from(Array1::from(vec![x])).to_dtype(dtype) {
            Tensor::F16(array) => array[0].to_f64(),
            Tensor::Bf16(array) => array[0].to_f64(),
            other @ (Tensor::F32(_) | Tensor::F64(_)) => panic!("{other:?}"),
        };
        for (dtype, bits, smallest) in [(DType::F16, 10, -24), (DType::Bf16, 7, -133)] {
            let (half, step) = (2f64.powi(-bits - 1), 2f64.powi(-bits));
            let tiny = 2f64.powi(-45);
            for sign in [1.0, -1.0] {
                for (x, expected) in [
                    (1.0 + half, 1.0),
                    (1.0 + half + tiny, 1.0 + step),
                    (1.0 + half - tiny, 1.0),
                    (1.0 + step + half, 1.0 + 2.0 * step),
                    (1.0 + step + half - tiny, 1.0 + step),
                    (2f64.powi(smallest - 1), 0.0),
                    (2f64.powi(smallest - 1) * (1.0 + tiny), 2f64.powi(smallest)),
                    (f64::MIN_POSITIVE, 0.0),
                    (f64::MAX, f64::INFINITY),
                    (f64::INFINITY, f64::INFINITY),
                    (0.0, 0.0),
                ] {
                    let rounded = round(sign * x, dtype);
                    assert_eq!(rounded.to_bits(), (sign * expected).to_bits(), "{dtype} {x:e}");
                }
            }
            assert!(round(f64::NAN, dtype).is_nan());
        }
        assert_eq!(round(65520.0 - 1e-9, DType::F16), 65504.0);
        assert_eq!(round(65520.0, DType::F16), f64::INFINITY);
    }
}
