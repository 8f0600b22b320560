//! Dropout by NumPy's Philox stream.

use crate::{Checkpoint, Error, Tensor, TensorRef};

/// What is dropped together, and what takes its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutKind {
    /// One draw for every element.
    #[default]
    Element,
    /// One draw for every (n, c).
    Channel,
    /// One draw for every element; an affine map keeps mean and variance.
    Alpha,
    /// As `Alpha`, one draw for every (n, c).
    FeatureAlpha,
}

/// What happens to the elements that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutScaling {
    /// They are multiplied by 1 / (1 - p).
    #[default]
    Inverted,
    /// They come back bit for bit.
    None,
}

/// A dropout; its fields mean what the fields of these names in the wire contract mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that an element is dropped, in [0, 1].
    pub p: f64,
    /// The key of the stream.
    pub seed: u64,
    /// The index of the first draw in the stream.
    pub offset: u64,
    /// What is dropped together.
    pub kind: DropoutKind,
    /// What happens to the elements that are kept.
    pub scaling: DropoutScaling,
}

/// The result of [`dropout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// How many elements were kept.
    pub kept: u64,
    /// If asked: one bit for every draw, 1 for keep, least significant bit first, the last byte padded with 0.
    pub mask: Option<Vec<u8>>,
    /// The thinned tensor.
    pub output: Tensor,
}

/// Drops elements of `input`.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::Cancelled`].
pub fn dropout(
    spec: &Dropout,
    input: TensorRef<'_>,
    return_mask: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Dropped, Error> {
    let _ = (spec, input, return_mask, checkpoint);
    todo!()
}

/// The gradient of [`dropout`]'s input; gradients of dropped elements are +0.0.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::Cancelled`].
pub fn dropout_backward(
    spec: &Dropout,
    grad_output: TensorRef<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Tensor, Error> {
    let _ = (spec, grad_output, checkpoint);
    todo!()
}
