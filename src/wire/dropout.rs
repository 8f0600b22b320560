//! Dropout and DropoutBackward.

use bytes::Bytes;
use evenkeel_kernels::{self as kernels, Drawn, DropoutKind, DropoutScaling, Violations};
use evenkeel_proto::v1 as pb;

use super::{
    Description, Path, Tensor, decoded,
    tensor::{Decoded, shape_of},
    unknown, unspecified,
};
use crate::{buffers::Buffers, error::Error};

/// A decoded `DropoutRequest`. Its input `I` is a [`Tensor`], or a [`Description`] while the elements have yet to come.
#[derive(Debug)]
pub(crate) struct Dropout<I = Tensor> {
    pub(crate) spec: kernels::Dropout,
    pub(crate) return_mask: bool,
    pub(crate) input: I,
}

impl Dropout<Description> {
    /// Decodes the header of a stream, whose input has no elements. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn streamed(request: pb::DropoutRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, |input, found| Description::streamed(input, Path::new("input"), limit, found))
    }
}

impl<I: AsRef<Description>> Dropout<I> {
    fn decode_with(
        request: pb::DropoutRequest,
        decode_input: impl FnOnce(Option<pb::Tensor>, &mut Violations) -> Decoded<I>,
    ) -> Result<Self, Error> {
        let pb::DropoutRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, input } = request;
        let mut found = Violations::new();
        let input = decode_input(input, &mut found);
        let fields = Fields { p, seed, offset, kind, scaling, channel_axis };
        let spec = fields.decode("input.shape", shape_of(&input), &mut found);
        decoded(spec.zip(input.ok()), found).map(|(spec, input)| Self { spec, return_mask, input })
    }
}

impl Dropout {
    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn decode(request: pb::DropoutRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, |input, found| Tensor::required(input, Path::new("input"), limit, found))
    }

    /// Encodes the answer. `output`: `None` if it has overwritten the input.
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

/// A decoded `DropoutBackwardRequest`. Its gradient `I` is as the input of [`Dropout`].
#[derive(Debug)]
pub(crate) struct DropoutBackward<I = Tensor> {
    pub(crate) spec: kernels::Dropout,
    pub(crate) grad_output: I,
}

impl DropoutBackward<Description> {
    /// Decodes the header of a stream, whose gradient has no elements. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn streamed(request: pb::DropoutBackwardRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, |gradient, found| Description::streamed(gradient, GRAD_OUTPUT, limit, found))
    }
}

/// The path of the gradient in a request.
const GRAD_OUTPUT: Path = Path::new("grad_output");

impl<I: AsRef<Description>> DropoutBackward<I> {
    fn decode_with(
        request: pb::DropoutBackwardRequest,
        decode_gradient: impl FnOnce(Option<pb::Tensor>, &mut Violations) -> Decoded<I>,
    ) -> Result<Self, Error> {
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
        let mut found = Violations::new();
        let grad_output = decode_gradient(grad_output, &mut found);
        let fields = Fields { p, seed, offset, kind, scaling, channel_axis };
        let spec = fields.decode("grad_output.shape", shape_of(&grad_output), &mut found);
        decoded(spec.zip(grad_output.ok()), found).map(|(spec, grad_output)| Self { spec, grad_output })
    }
}

impl DropoutBackward {
    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn decode(request: pb::DropoutBackwardRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, |gradient, found| Tensor::required(gradient, GRAD_OUTPUT, limit, found))
    }

    /// Encodes the answer. `grad_input`: `None` if it has overwritten the gradient of the output.
    pub(crate) fn encode(self, grad_input: Option<kernels::Tensor>, buffers: &Buffers) -> pb::DropoutBackwardResponse {
        let Self { spec: _, grad_output } = self;
        pb::DropoutBackwardResponse { grad_input: Some(grad_output.answer_data(grad_input.map(bytes_of), buffers)) }
    }
}

fn bytes_of(tensor: kernels::Tensor) -> Vec<u8> {
    tensor.into_parts().2
}

/// The fields that the requests of both directions have, without the tensors.
struct Fields {
    p: Option<f64>,
    seed: u64,
    offset: u64,
    kind: i32,
    scaling: i32,
    channel_axis: Option<i32>,
}

impl Fields {
    /// Decodes the fields. If there are violations already, adds all others that the kernels can find. `shape`: the
    /// shape of the request's tensor, if it is known; `shape_field`: the path of the shape. `None`: a field is invalid.
    fn decode(
        self,
        shape_field: &'static str,
        shape: Option<&[usize]>,
        found: &mut Violations,
    ) -> Option<kernels::Dropout> {
        let Self { p, seed, offset, kind, scaling, channel_axis } = self;
        if p.is_none() {
            unspecified("p", found);
        }
        let kind = decode_kind(kind, found);
        let scaling = decode_scaling(scaling, found);
        if !found.is_empty() {
            // Invalid fields are replaced by values that add no violations. An unknown kind becomes CHANNEL, which has
            // the fewest draws; a channel axis that is wrong for it is wrong for every kind.
            let p = p.unwrap_or_default();
            let (known, scaling) = (kind.unwrap_or(DropoutKind::Channel), scaling.unwrap_or_default());
            let spec = kernels::Dropout { p, seed, offset, kind: known, scaling, channel_axis };
            let shape = shape.filter(|shape| kind.is_some() || shape.len() >= 2);
            found.append(spec.check(shape_field, shape));
        }
        Some(kernels::Dropout { p: p?, seed, offset, kind: kind?, scaling: scaling?, channel_axis })
    }
}

fn decode_kind(value: i32, found: &mut Violations) -> Option<DropoutKind> {
    match pb::DropoutKind::try_from(value) {
        Ok(pb::DropoutKind::Unspecified | pb::DropoutKind::Element) => Some(DropoutKind::Element),
        Ok(pb::DropoutKind::Channel) => Some(DropoutKind::Channel),
        Ok(pb::DropoutKind::Alpha) => Some(DropoutKind::Alpha),
        Ok(pb::DropoutKind::FeatureAlpha) => Some(DropoutKind::FeatureAlpha),
        Err(_) => {
            unknown("kind", value, found);
            None
        }
    }
}

fn decode_scaling(value: i32, found: &mut Violations) -> Option<DropoutScaling> {
    match pb::DropoutScaling::try_from(value) {
        Ok(pb::DropoutScaling::Unspecified | pb::DropoutScaling::Inverted) => Some(DropoutScaling::Inverted),
        Ok(pb::DropoutScaling::None) => Some(DropoutScaling::None),
        Err(_) => {
            unknown("scaling", value, found);
            None
        }
    }
}
