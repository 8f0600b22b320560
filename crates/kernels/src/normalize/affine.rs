//! Weight and bias.

use super::{
    NormParameters,
    layout::Layout,
    power::{power, times_power},
};
use crate::DType;

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
    /// In lanes that do not wait for each other: for a tensor of one row, a weight is as many numbers as the tensor.
    fn of(numbers: &[f64]) -> Self {
        const LANES: usize = 8;
        let (mut most, mut least, mut zeros) = ([0.0; LANES], [f64::INFINITY; LANES], [0.0; LANES]);
        let mut take = |lane: usize, x: f64| {
            let magnitude = x.abs();
            // Of a NaN both comparisons are false.
            most[lane] = if magnitude > most[lane] { magnitude } else { most[lane] };
            let not_zero = if magnitude == 0.0 { f64::INFINITY } else { magnitude };
            least[lane] = if not_zero < least[lane] { not_zero } else { least[lane] };
            zeros[lane] += x * 0.0; // NaN if x is not finite
        };
        let (whole, rest) = numbers.as_chunks::<LANES>();
        for numbers in whole {
            (0..LANES).for_each(|lane| take(lane, numbers[lane]));
        }
        rest.iter().enumerate().for_each(|(lane, &x)| take(lane, x));
        Self {
            most: most.into_iter().fold(0.0, f64::max),
            least: least.into_iter().fold(f64::INFINITY, f64::min),
            are_finite: zeros.iter().all(|zero| !zero.is_nan()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_are_those_of_all_lanes_and_of_the_rest() {
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
