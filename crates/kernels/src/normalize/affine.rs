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

/// Weight and bias as float64, one for each affine place of a layout (one in all if it has none).
pub(super) struct Affine {
    pub(super) weight: Vec<f64>,
    pub(super) bias: Vec<f64>,
    /// The dtype of the bias, and so of its gradient; `None`: there is none.
    pub(super) bias_dtype: Option<DType>,
    /// Whether all of them are finite.
    pub(super) is_finite: bool,
    /// The largest magnitudes of a weight and a bias; of all that is NaN, 0.
    pub(super) most: [f64; 2],
    /// The smallest magnitude of a bias that is not 0; if there is none, infinity.
    pub(super) least_bias: f64,
    /// The exponent of the power of two by which the weight was divided.
    pub(super) weight_exponent: i32,
    /// The weight as float32, if it was asked for, there is no bias, and what is computed with it may be an estimate.
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
        Self { weight, bias, bias_dtype, is_finite, most, least_bias, weight_exponent: 0, near: None }
    }

    /// For gradients of elements of this dtype, in whose sums float64 has no room for weights that are near its end.
    pub(super) fn for_gradients(mut self, dtype: DType) -> Self {
        const MOST: f64 = power(800);
        const EXPONENT: i32 = 600;
        let [most, _] = self.most;
        if dtype != DType::F64 && most.is_finite() && most > MOST {
            self.weight.iter_mut().for_each(|weight| *weight = times_power(*weight, -EXPONENT));
            self.weight_exponent = EXPONENT;
        }
        self
    }

    /// For a tensor of this dtype, whose numbers may be estimated.
    pub(super) fn with_estimates(mut self, dtype: DType) -> Self {
        if !matches!(dtype, DType::F16 | DType::Bf16) {
            return self;
        }
        // With a bias, next to nothing may be left of what was rounded. Beyond these powers of two, products may leave the
        // range in which float32 has all its bits.
        let has_no_bias = self.bias.iter().all(|bias| bias.to_bits() == (-0.0_f64).to_bits());
        let is_moderate = |weight: &f64| *weight == 0.0 || (2f64.powi(-60)..=2f64.powi(60)).contains(&weight.abs());
        if has_no_bias && self.weight.iter().all(is_moderate) {
            self.near = Some(self.weight.iter().map(|&weight| weight as f32).collect());
        }
        self
    }
}

/// What is known of the magnitudes of some numbers.
struct Magnitudes {
    /// The largest; of all that is NaN, 0.
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
            // The bits of a NaN are above all others, and hide the largest.
            numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
        } else {
            f64::from_bits(most as u64)
        };
        Self { most, least: f64::from_bits(least.min(INFINITY) as u64), are_finite }
    }
}

/// The bits of the largest magnitude, and those of the smallest that is not 0 (above every number, if there is none): their
/// order is that of the numbers. With a weight and a bias for one row, this looks at twice as many numbers as the row has.
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
            // Less by one, 0 is the largest number.
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
