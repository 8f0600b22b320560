//! Batch, layer, RMS, instance and group normalization, forward and backward.

use crate::{Checkpoint, Error, Tensor, TensorRef};

/// Which elements are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// Per channel. `torch.nn.functional.batch_norm`.
    Batch,
    /// Over the trailing axes. `torch.nn.functional.layer_norm`.
    Layer,
    /// As `Layer`, by the root of the mean square. `torch.nn.functional.rms_norm`.
    Rms,
    /// Per sample and channel. `torch.nn.functional.instance_norm`.
    Instance,
    /// Per sample and group of channels. `torch.nn.functional.group_norm`.
    Group,
}

/// A normalization and its options; each means what the field of that name in the wire contract means.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Which elements are pooled.
    pub kind: NormKind,
    /// The axes to pool over, negative ones counted from the end; empty: the kind's default.
    pub axes: Vec<i32>,
    /// `Group`: the number of groups; 0 for the other kinds.
    pub groups: usize,
    /// Added to the variance. Default 1e-5; `Rms`: the float32 epsilon, for float64 input the float64 one.
    pub eps: Option<f64>,
    /// `Batch`, `Instance`, `Group`: the axis of the channels. Default 1.
    pub channel_axis: Option<i32>,
    /// `Batch`, `Instance`: use the input's own statistics. Default: whether no running statistics are given.
    pub training: Option<bool>,
    /// `Batch`, `Instance`: the weight of new statistics in the running ones. Default 0.1.
    pub momentum: Option<f64>,
}

impl Normalization {
    /// The kind with every option at its default.
    pub fn new(kind: NormKind) -> Self {
        Self { kind, axes: Vec::new(), groups: 0, eps: None, channel_axis: None, training: None, momentum: None }
    }
}

/// The tensors beside the input; each may be of another dtype.
#[derive(Clone, Copy, Debug, Default)]
pub struct NormParameters<'a> {
    /// Scale.
    pub weight: Option<TensorRef<'a>>,
    /// Shift.
    pub bias: Option<TensorRef<'a>>,
    /// Running mean.
    pub running_mean: Option<TensorRef<'a>>,
    /// Running variance.
    pub running_var: Option<TensorRef<'a>>,
}

/// The result of [`normalize`].
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    /// The pooled axes, sorted.
    pub axes: Vec<usize>,
    /// The means, if asked; `None` for `Rms`.
    pub mean: Option<Tensor>,
    /// `1 / sqrt(var + eps)`, if asked.
    pub rstd: Option<Tensor>,
    /// The updated running mean, if one was given and the input's own statistics were used.
    pub running_mean: Option<Tensor>,
    /// The updated running variance, likewise.
    pub running_var: Option<Tensor>,
    /// The normalized input.
    pub output: Tensor,
}

/// The result of [`normalize_backward`].
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradients {
    /// The gradient of the weight, if one was given, in its shape and dtype.
    pub grad_weight: Option<Tensor>,
    /// The gradient of the bias, if one was given, in its shape and dtype.
    pub grad_bias: Option<Tensor>,
    /// The gradient of the input, in its shape and dtype.
    pub grad_input: Tensor,
}

/// Normalizes `input`.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::Cancelled`].
pub fn normalize(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    return_statistics: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Normalized, Error> {
    let _ = (spec, parameters, input, return_statistics, checkpoint);
    todo!()
}

/// The gradients of [`normalize`].
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::Cancelled`].
pub fn normalize_backward(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    grad_output: TensorRef<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<NormGradients, Error> {
    let _ = (spec, parameters, input, grad_output, checkpoint);
    todo!()
}
