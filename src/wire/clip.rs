//! ClipGradients.

use std::iter;

use evenkeel_kernels::{ClipMode, Clipped, Clipping, TensorRef};
use evenkeel_proto::v1 as pb;

use super::{Path, Tensor, not_implemented, unknown, unspecified};
use crate::{buffers::Buffers, error::Error};

/// A decoded `ClipGradientsRequest`.
#[derive(Debug)]
pub(crate) struct ClipGradients {
    pub(crate) spec: Clipping,
    pub(crate) gradients: Vec<Tensor>,
}

impl ClipGradients {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn decode(request: pb::ClipGradientsRequest, limit: usize) -> Result<Self, Error> {
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
        let mode = match pb::ClipMode::try_from(mode).map_err(|_| unknown("mode", mode))? {
            pb::ClipMode::Unspecified => return Err(unspecified("mode")),
            pb::ClipMode::Norm => ClipMode::Norm,
            pb::ClipMode::Value => ClipMode::Value,
            pb::ClipMode::NormPerTensor => ClipMode::NormPerTensor,
        };
        let threshold = threshold.ok_or_else(|| unspecified("threshold"))?;
        if epsilon.is_some() {
            return Err(not_implemented("epsilon"));
        }
        if not_above {
            return Err(not_implemented("not_above"));
        }
        let gradients = gradients
            .into_iter()
            .enumerate()
            .map(|(index, gradient)| Tensor::decode(gradient, Path::item("gradients", index), limit))
            .collect::<Result<_, _>>()?;
        Ok(Self { spec: Clipping { mode, threshold, norm_type, error_if_nonfinite, total_norm }, gradients })
    }

    /// What the kernels see.
    pub(crate) fn views(&self) -> Vec<TensorRef<'_>> {
        self.gradients.iter().map(Tensor::view).collect()
    }

    /// Gradients that `result` has no bytes for have theirs.
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
