//! ClipGradients.

use std::iter;

use evenkeel_kernels::{self as kernels, ClipMode, Clipped, Clipping, TensorRef, Violations};
use evenkeel_proto::v1 as pb;

use super::{Description, Path, Tensor, decoded, unknown, unspecified};
use crate::{buffers::Buffers, error::Error};

/// A decoded `ClipGradientsRequest`.
#[derive(Debug)]
pub(crate) struct ClipGradients {
    pub(crate) spec: Clipping,
    pub(crate) gradients: Vec<Tensor>,
}

impl ClipGradients {
    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn decode(request: pb::ClipGradientsRequest, limit: usize) -> Result<Self, Error> {
        let (spec, gradients, mut found) = options(request);
        let gradients = decode_gradients(gradients, limit, &mut found);
        if !found.is_empty() {
            found.append(spec.check());
        }
        decoded(Some(Self { spec, gradients }), found)
    }

    /// Decodes the header of a stream, whose gradients follow.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn header(request: pb::ClipGradientsRequest) -> Result<Clipping, Error> {
        let (spec, gradients, mut found) = options(request);
        if !gradients.is_empty() {
            found.add("gradients", "must be empty: each gradient follows in a message `tensor`");
        }
        if !found.is_empty() {
            found.append(spec.check());
        }
        decoded(Some(spec), found)
    }

    /// Decodes the next gradient of a stream, whose elements follow. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn streamed(message: pb::Tensor, limit: usize) -> Result<Description, Error> {
        let mut found = Violations::new();
        let tensor = Description::streamed(Some(message), Path::new("tensor"), limit, &mut found);
        decoded(tensor.ok(), found)
    }

    /// The gradients as the kernels take them.
    pub(crate) fn views(&self) -> Vec<TensorRef<'_>> {
        self.gradients.iter().map(Tensor::view).collect()
    }

    /// The error of this call, with the names of the gradients that it is about.
    pub(crate) fn named(&self, error: kernels::Error) -> Error {
        Error::of_gradients(error, |index| self.gradients[index].as_ref().name())
    }

    /// Encodes the answer. A gradient for which `result` has no bytes keeps its own.
    pub(crate) fn encode(self, result: Clipped, buffers: &Buffers) -> pb::ClipGradientsResponse {
        let Self { spec: _, gradients } = self;
        let Clipped { total_norm, scale, clipped_elements, tensor_norms, data } = result;
        pb::ClipGradientsResponse {
            total_norm,
            scale,
            clipped_elements,
            tensor_norms,
            gradients: gradients
                .into_iter()
                .zip(data.into_iter().chain(iter::repeat(None)))
                .map(|(gradient, data)| gradient.answer_data(data, buffers))
                .collect(),
        }
    }
}

/// The options of a request, its gradients as they came, and what is wrong with the options by themselves. The caller adds what
/// [`Clipping::check`] finds if there is anything wrong; if not, the kernel checks.
fn options(request: pb::ClipGradientsRequest) -> (Clipping, Vec<pb::Tensor>, Violations) {
    let pb::ClipGradientsRequest {
        mode,
        threshold,
        norm_type,
        error_if_nonfinite,
        total_norm,
        epsilon,
        not_above,
        gradients,
    } = request;
    let mut found = Violations::new();
    let decoded_mode = decode_mode(mode, &mut found);
    if threshold.is_none() {
        unspecified("threshold", &mut found);
    }
    // Missing and invalid options are replaced by values that add no violations.
    let spec = Clipping {
        mode: decoded_mode.unwrap_or(ClipMode::Norm),
        threshold: threshold.unwrap_or_default(),
        norm_type,
        error_if_nonfinite,
        total_norm,
        epsilon,
        not_above,
    };
    (spec, gradients, found)
}

fn decode_mode(value: i32, found: &mut Violations) -> Option<ClipMode> {
    match pb::ClipMode::try_from(value) {
        Ok(pb::ClipMode::Unspecified) => unspecified("mode", found),
        Ok(pb::ClipMode::Norm) => return Some(ClipMode::Norm),
        Ok(pb::ClipMode::Value) => return Some(ClipMode::Value),
        Ok(pb::ClipMode::NormPerTensor) => return Some(ClipMode::NormPerTensor),
        Err(_) => unknown("mode", value, found),
    }
    None
}

/// The gradients that are valid; `found` has the faults of the others.
pub(super) fn decode_gradients(gradients: Vec<pb::Tensor>, limit: usize, found: &mut Violations) -> Vec<Tensor> {
    let mut tensors = Vec::with_capacity(gradients.len());
    for (index, gradient) in gradients.into_iter().enumerate() {
        tensors.extend(Tensor::decode(gradient, Path::item("gradients", index), limit, found));
    }
    tensors
}
