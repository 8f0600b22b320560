//! Weight and bias.

use super::{NormParameters, layout::Layout};

/// Weight and bias as float64, one for each affine place of a layout (one in all if it has none).
pub(super) struct Affine {
    pub(super) weight: Vec<f64>,
    pub(super) bias: Vec<f64>,
    /// Whether all of them are.
    pub(super) is_finite: bool,
}

impl Affine {
    pub(super) fn new(parameters: &NormParameters<'_>, layout: &Layout) -> Self {
        let len = layout.affine_len();
        let weight = parameters.weight.map_or_else(|| vec![1.0; len], |weight| weight.to_f64());
        // Adding -0.0 changes no number, while +0.0 would make +0.0 of -0.0.
        let bias = parameters.bias.map_or_else(|| vec![-0.0; len], |bias| bias.to_f64());
        let is_finite = weight.iter().chain(&bias).all(|x| x.is_finite());
        Self { weight, bias, is_finite }
    }
}
