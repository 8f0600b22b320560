//! Gradient clipping.

use crate::{Checkpoint, Error, TensorRef};

/// How gradients are clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClipMode {
    /// By one norm over all elements of all tensors. `torch.nn.utils.clip_grad_norm_`.
    Norm,
    /// Every element is clamped. `torch.nn.utils.clip_grad_value_`.
    Value,
    /// As `Norm`, each tensor by its own norm.
    NormPerTensor,
}

/// A clipping; its fields mean what the fields of these names in the wire contract mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// How to clip.
    pub mode: ClipMode,
    /// The largest norm, or the largest absolute value.
    pub threshold: f64,
    /// The order of the norm: above 0, or infinity. Default 2.
    pub norm_type: Option<f64>,
    /// Fail, and clip nothing, when a norm is not finite.
    pub error_if_nonfinite: bool,
    /// `Norm`: a norm that was reduced elsewhere.
    pub total_norm: Option<f64>,
}

/// The result of [`clip_gradients`].
#[derive(Clone, Debug, PartialEq)]
pub struct Clipped {
    /// The norm over all gradients before clipping, or the one that was given.
    pub total_norm: f64,
    /// The factor that was applied; `Value`: 1; `NormPerTensor`: the smallest.
    pub scale: f64,
    /// `Value`: how many elements were outside the threshold.
    pub clipped_elements: u64,
    /// `NormPerTensor`: each tensor's norm before clipping.
    pub tensor_norms: Vec<f64>,
    /// Each tensor's new bytes, in order; `None` where they are what they were.
    pub data: Vec<Option<Vec<u8>>>,
}

/// Clips `gradients`.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::NonFiniteNorm`], [`Error::Cancelled`].
pub fn clip_gradients(
    spec: &Clipping,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<Clipped, Error> {
    let _ = (spec, gradients, checkpoint);
    todo!()
}
