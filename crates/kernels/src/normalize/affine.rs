//! Weight and bias.

use super::{NormParameters, layout::Layout};
use crate::DType;

/// Weight and bias as float64, one for each affine place of a layout (one in all if it has none).
pub(super) struct Affine {
    pub(super) weight: Vec<f64>,
    pub(super) bias: Vec<f64>,
    /// The dtype of the bias, and so of its gradient; `None`: there is none.
    pub(super) bias_dtype: Option<DType>,
    /// Whether all of them are finite.
    pub(super) is_finite: bool,
    /// The weight as float32, if it was asked for, there is no bias, and what is computed with it may be an estimate.
    pub(super) near: Option<Vec<f32>>,
}

impl Affine {
    pub(super) fn new(parameters: &NormParameters<'_>, layout: &Layout) -> Self {
        let len = layout.affine_len();
        let weight = parameters.weight.map_or_else(|| vec![1.0; len], |weight| weight.to_f64());
        // Adding -0.0 changes no number, while +0.0 would make +0.0 of -0.0.
        let bias = parameters.bias.map_or_else(|| vec![-0.0; len], |bias| bias.to_f64());
        let is_finite = weight.iter().chain(&bias).all(|x| x.is_finite());
        let bias_dtype = parameters.bias.map(|bias| bias.dtype());
        Self { weight, bias, bias_dtype, is_finite, near: None }
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
