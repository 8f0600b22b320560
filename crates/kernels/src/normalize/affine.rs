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
        let most = [&weight, &bias].map(|list| list.iter().fold(0.0, |most: f64, x| most.max(x.abs())));
        let least = |least: f64, x: &f64| if *x == 0.0 { least } else { least.min(x.abs()) };
        let least_bias = bias.iter().fold(f64::INFINITY, least);
        let is_finite = weight.iter().chain(&bias).all(|x| x.is_finite());
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
        // With a bias, next to nothing may be left of what was rounded. Beyond these powers of two, products may leave the
        // range in which float32 has all its bits.
        let has_no_bias = self.bias.iter().all(|bias| bias.to_bits() == (-0.0_f64).to_bits());
        let is_moderate = |weight: &f64| *weight == 0.0 || (2f64.powi(-60)..=2f64.powi(60)).contains(&weight.abs());
        if matches!(dtype, DType::F16 | DType::Bf16) && has_no_bias && self.weight.iter().all(is_moderate) {
            self.near = Some(self.weight.iter().map(|&weight| weight as f32).collect());
        }
        self
    }
}
