//! Dropout and DropoutBackward.

use bytes::Bytes;
use evenkeel_kernels::{self as kernels, Drawn, DropoutKind, DropoutScaling};
use evenkeel_proto::v1 as pb;

use super::{Path, Tensor, not_implemented, unknown, unspecified};
use crate::{buffers::Buffers, error::Error};

/// A decoded `DropoutRequest`.
#[derive(Debug)]
pub(crate) struct Dropout {
    pub(crate) spec: kernels::Dropout,
    pub(crate) return_mask: bool,
    pub(crate) input: Tensor,
}

impl Dropout {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn decode(request: pb::DropoutRequest, limit: usize) -> Result<Self, Error> {
        let pb::DropoutRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, input } = request;
        Ok(Self {
            spec: decode_spec(p, seed, offset, kind, scaling, channel_axis)?,
            return_mask,
            input: Tensor::required(input, Path::new("input"), limit)?,
        })
    }

    /// `output`: `None` if it is where the input was.
    pub(crate) fn encode(
        self,
        drawn: Drawn,
        output: Option<kernels::Tensor>,
        buffers: &Buffers,
    ) -> pb::DropoutResponse {
        let Self { spec: _, return_mask: _, input } = self;
        let Drawn { kept, mask } = drawn;
        pb::DropoutResponse {
            kept,
            mask: mask.map(Bytes::from).unwrap_or_default(),
            output: Some(input.answer_data(output.map(bytes_of), buffers)),
        }
    }
}

/// A decoded `DropoutBackwardRequest`.
#[derive(Debug)]
pub(crate) struct DropoutBackward {
    pub(crate) spec: kernels::Dropout,
    pub(crate) grad_output: Tensor,
}

impl DropoutBackward {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn decode(request: pb::DropoutBackwardRequest, limit: usize) -> Result<Self, Error> {
        let pb::DropoutBackwardRequest {
            p,
            seed,
            offset,
            kind,
            scaling,
            return_mask: _, // no effect on gradients
            channel_axis,
            grad_output,
        } = request;
        Ok(Self {
            spec: decode_spec(p, seed, offset, kind, scaling, channel_axis)?,
            grad_output: Tensor::required(grad_output, Path::new("grad_output"), limit)?,
        })
    }

    /// `grad_input`: `None` if it is where the gradient of the output was.
    pub(crate) fn encode(self, grad_input: Option<kernels::Tensor>, buffers: &Buffers) -> pb::DropoutBackwardResponse {
        let Self { spec: _, grad_output } = self;
        pb::DropoutBackwardResponse { grad_input: Some(grad_output.answer_data(grad_input.map(bytes_of), buffers)) }
    }
}

fn bytes_of(tensor: kernels::Tensor) -> Vec<u8> {
    tensor.into_parts().2
}

fn decode_spec(
    p: Option<f64>,
    seed: u64,
    offset: u64,
    kind: i32,
    scaling: i32,
    channel_axis: Option<i32>,
) -> Result<kernels::Dropout, Error> {
    let p = p.ok_or_else(|| unspecified("p"))?;
    if channel_axis.is_some() {
        return Err(not_implemented("channel_axis"));
    }
    let kind = match pb::DropoutKind::try_from(kind).map_err(|_| unknown("kind", kind))? {
        pb::DropoutKind::Unspecified | pb::DropoutKind::Element => DropoutKind::Element,
        pb::DropoutKind::Channel => DropoutKind::Channel,
        pb::DropoutKind::Alpha => DropoutKind::Alpha,
        pb::DropoutKind::FeatureAlpha => DropoutKind::FeatureAlpha,
    };
    let scaling = match pb::DropoutScaling::try_from(scaling).map_err(|_| unknown("scaling", scaling))? {
        pb::DropoutScaling::Unspecified | pb::DropoutScaling::Inverted => DropoutScaling::Inverted,
        pb::DropoutScaling::None => DropoutScaling::None,
    };
    Ok(kernels::Dropout { p, seed, offset, kind, scaling })
}
