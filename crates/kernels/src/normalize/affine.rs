//! Weight and bias.

use super::{
    NormParameters,
    layout::Layout,
    power::{power, times_power},
};
use crate::{
    DType,
    simd::{self, Kernel},
};

/// Weight and bias as float64, one number for each affine place of a layout (a single one if it has none).
pub(super) struct Affine {
    pub(super) weight: Vec<f64>,
    pub(super) bias: Vec<f64>,
    /// The dtype of the weight, and so of its gradient; `None` if there is no weight.
    pub(super) weight_dtype: Option<DType>,
    /// The dtype of the bias, likewise.
    pub(super) bias_dtype: Option<DType>,
    /// Whether all of them are finite.
    pub(super) is_finite: bool,
    /// The largest magnitudes of a weight and a bias, leaving out NaN; 0 if there are no others.
    pub(super) most: [f64; 2],
    /// The smallest magnitude of a bias that is not 0; if there is none, infinity.
    pub(super) least_bias: f64,
    /// The exponents of the powers of two by which the weights were divided, one for each; empty if none was.
    pub(super) weight_exponents: Vec<i32>,
    /// The weight as float32, for estimates; `None` unless [`with_estimates`](Self::with_estimates) found that they are
    /// good enough.
    pub(super) near: Option<Vec<f32>>,
}

impl Affine {
    pub(super) fn new(parameters: &NormParameters<'_>, layout: &Layout) -> Self {
        let len = layout.affine_len();
        let weight = parameters.weight.map_or_else(|| vec![1.0; len], |weight| weight.to_f64());
        // Adding -0.0 changes no number, while +0.0 would make +0.0 of -0.0.
        let bias = parameters.bias.map_or_else(|| vec![-0.0; len], |bias| bias.to_f64());
        let of_weight = parameters.weight.map_or(Magnitudes::of(&[1.0]), |_| Magnitudes::of(&weight));
        let of_bias = parameters.bias.map_or(Magnitudes::of(&[]), |_| Magnitudes::of(&bias));
        let (most, least_bias) = ([of_weight.most, of_bias.most], of_bias.least);
        let is_finite = of_weight.are_finite && of_bias.are_finite;
        let bias_dtype = parameters.bias.map(|bias| bias.dtype());
        let weight_dtype = parameters.weight.map(|weight| weight.dtype());
        Self {
            weight,
            bias,
            weight_dtype,
            bias_dtype,
            is_finite,
            most,
            least_bias,
            weight_exponents: Vec::new(),
            near: None,
        }
    }

    /// Divides weights near the end of float64's range by a power of two, for gradients of elements of this dtype:
    /// products with such weights would overflow in the sums.
    ///
    /// All weights of a set are divided by the same power, which does not depend on the weights of other sets.
    pub(super) fn for_gradients(mut self, dtype: DType, layout: &Layout) -> Self {
        const MOST: f64 = power(800);
        const EXPONENT: i32 = 600;
        let [most, _] = self.most;
        // `most` leaves out NaN, but an infinity in it may hide other large weights.
        if dtype == DType::F64 || most <= MOST {
            return self;
        }
        let mut exponents = vec![0; self.weight.len()];
        // The pooled dimensions along which weights vary are the innermost of those.
        let of_a_set = layout.dims.iter().filter(|dim| dim.affine && dim.pooled).map(|dim| dim.len).product();
        for (weights, exponents) in self.weight.chunks_mut(of_a_set).zip(exponents.chunks_mut(of_a_set)) {
            let Magnitudes { most, are_finite, .. } = Magnitudes::of(weights);
            if are_finite && most > MOST {
                weights.iter_mut().for_each(|weight| *weight = times_power(*weight, -EXPONENT));
                exponents.fill(EXPONENT);
            }
        }
        self.weight_exponents = exponents;
        self
    }

    /// Adds the float32 weights for a tensor of this dtype, if results can be estimated with them.
    pub(super) fn with_estimates(mut self, dtype: DType) -> Self {
        if !matches!(dtype, DType::F16 | DType::Bf16) {
            return self;
        }
        // A bias may cancel the product, so that the error of an estimate is large beside the result. Beyond these
        // powers of two, products may leave the range in which float32 has all its bits.
        let has_no_bias = self.bias.iter().all(|bias| bias.to_bits() == (-0.0_f64).to_bits());
        let is_moderate = |weight: &f64| *weight == 0.0 || (2f64.powi(-60)..=2f64.powi(60)).contains(&weight.abs());
        if has_no_bias && self.weight.iter().all(is_moderate) {
            self.near = Some(self.weight.iter().map(|&weight| weight as f32).collect());
        }
        self
    }
}

/// The range of the magnitudes of some numbers.
struct Magnitudes {
    /// The largest, leaving out NaN; 0 if there are no others.
    most: f64,
    /// The smallest that is not 0; if there is none, infinity.
    least: f64,
    are_finite: bool,
}

impl Magnitudes {
    fn of(numbers: &[f64]) -> Self {
        const INFINITY: i64 = f64::INFINITY.to_bits() as i64;
        let (most, least) = simd::run(Bits { numbers });
        let are_finite = most < INFINITY;
        let most = if most > INFINITY {
            // The bits of a NaN are above all others and hide the largest number.
            numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
        } else {
            f64::from_bits(most as u64)
        };
        Self { most, least: f64::from_bits(least.min(INFINITY) as u64), are_finite }
    }
}

/// The bits of the largest magnitude, and those of the smallest that is not 0 (above every number, if there is none):
/// their order is that of the numbers. For one row with weight and bias this reads twice as many numbers as the row
/// has, so it is a vector kernel.
struct Bits<'a> {
    numbers: &'a [f64],
}

impl Kernel for Bits<'_> {
    type Output = (i64, i64);

    #[inline(always)]
    fn run(self) -> (i64, i64) {
        let (mut most, mut least) = (0, i64::MAX);
        for x in self.numbers {
            let magnitude = x.to_bits() as i64 & i64::MAX;
            most = most.max(magnitude);
            // Less by one, the bits of 0 become the largest number.
            least = least.min(magnitude.wrapping_sub(1) & i64::MAX);
        }
        (most, least.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_are_those_of_all_numbers() {
        for place in 0..19 {
            let mut numbers = [1.5; 19];
            numbers[place] = -3.0;
            numbers[(place + 7) % 19] = 0.25;
            numbers[(place + 3) % 19] = -0.0;
            let Magnitudes { most, least, are_finite } = Magnitudes::of(&numbers);
            assert_eq!((most, least, are_finite), (3.0, 0.25, true), "{place}");
            for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                numbers[place] = special;
                let Magnitudes { most, are_finite, .. } = Magnitudes::of(&numbers);
                assert_eq!((most, are_finite), (if special.is_nan() { 1.5 } else { f64::INFINITY }, false), "{place}");
            }
        }
        let Magnitudes { most, least, are_finite } = Magnitudes::of(&[]);
        assert_eq!((most, least, are_finite), (0.0, f64::INFINITY, true));
    }
}
