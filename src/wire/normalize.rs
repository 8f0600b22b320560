//! Normalize and NormalizeBackward.

use bytes::Bytes;
use evenkeel_kernels::{self as kernels, NormGradients, NormKind, NormParameters, Normalization, Normalized};
use evenkeel_proto::v1 as pb;

use super::{Description, Path, Tensor, tensor, unknown, unspecified};
use crate::{buffers::Buffers, error::Error};

/// A decoded `NormalizeRequest`, whose input is there, or is only described yet.
#[derive(Debug)]
pub(crate) struct Normalize<I = Tensor> {
    pub(crate) spec: Normalization,
    pub(crate) return_statistics: bool,
    pub(crate) parameters: Parameters,
    pub(crate) input: I,
}

impl Normalize {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn decode(request: pb::NormalizeRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input| Tensor::required(input, Path::new("input"), limit))
    }
}

impl Normalize<Description> {
    /// Of a request whose input's `data_len` bytes are still on their way.
    pub(crate) fn arriving(request: pb::NormalizeRequest, data_len: usize, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input| Description::arriving(input, data_len, Path::new("input"), limit))
    }
}

impl<I> Normalize<I> {
    fn decode_with(
        request: pb::NormalizeRequest,
        limit: usize,
        decode_input: impl FnOnce(Option<pb::Tensor>) -> Result<I, Error>,
    ) -> Result<Self, Error> {
        let pb::NormalizeRequest {
            kind,
            axes,
            groups,
            eps,
            channel_axis,
            training,
            momentum,
            return_statistics,
            weight,
            bias,
            running_mean,
            running_var,
            input,
        } = request;
        Ok(Self {
            spec: Normalization {
                kind: decode_kind(kind)?,
                axes,
                groups: groups as usize,
                eps,
                channel_axis,
                training,
                momentum,
            },
            return_statistics,
            parameters: Parameters::decode(weight, bias, running_mean, running_var, limit)?,
            input: decode_input(input)?,
        })
    }

    /// `result`: with the output's bytes.
    pub(crate) fn encode(&self, result: Normalized<Bytes>) -> pb::NormalizeResponse
    where
        I: AsRef<Description>,
    {
        let Self { spec: _, return_statistics: _, parameters: _, input } = self;
        let Normalized { axes, mean, rstd, running_mean, running_var, output } = result;
        let input = input.as_ref();
        let form = input.form();
        pb::NormalizeResponse {
            axes: axes.into_iter().map(|axis| i32::try_from(axis).expect("the rank is at most 64")).collect(),
            mean: mean.map(|mean| tensor::unnamed(mean, form)),
            rstd: rstd.map(|rstd| tensor::unnamed(rstd, form)),
            running_mean: running_mean.map(|mean| tensor::unnamed(mean, form)),
            running_var: running_var.map(|var| tensor::unnamed(var, form)),
            output: Some(input.answer_bytes(output)),
        }
    }
}

/// A decoded `NormalizeBackwardRequest`.
#[derive(Debug)]
pub(crate) struct NormalizeBackward {
    pub(crate) spec: Normalization,
    pub(crate) parameters: Parameters,
    /// The input and the gradient of the output.
    pub(crate) pair: [Tensor; 2],
}

impl NormalizeBackward {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn decode(request: pb::NormalizeBackwardRequest, limit: usize) -> Result<Self, Error> {
        let pb::NormalizeBackwardRequest {
            kind,
            axes,
            groups,
            eps,
            channel_axis,
            training,
            momentum,
            return_statistics: _, // no effect on gradients
            weight,
            bias,
            running_mean,
            running_var,
            input,
            grad_output,
        } = request;
        Ok(Self {
            spec: Normalization {
                kind: decode_kind(kind)?,
                axes,
                groups: groups as usize,
                eps,
                channel_axis,
                training,
                momentum,
            },
            parameters: Parameters::decode(weight, bias, running_mean, running_var, limit)?,
            pair: [
                Tensor::required(input, Path::new("input"), limit)?,
                Tensor::required(grad_output, Path::new("grad_output"), limit)?,
            ],
        })
    }

    /// `result`: with the input's gradient, if that is not where `grad_output` was.
    pub(crate) fn encode(
        self,
        result: NormGradients<Option<kernels::Tensor>>,
        buffers: &Buffers,
    ) -> pb::NormalizeBackwardResponse {
        let Self { spec: _, parameters: _, pair: [input, grad_output] } = self;
        let NormGradients { grad_weight, grad_bias, grad_input } = result;
        let description = Description::from(input);
        let form = description.form();
        let replaced = Tensor { description, data: grad_output.data };
        pb::NormalizeBackwardResponse {
            grad_weight: grad_weight.map(|gradient| tensor::unnamed(gradient, form)),
            grad_bias: grad_bias.map(|gradient| tensor::unnamed(gradient, form)),
            grad_input: Some(replaced.answer_data(grad_input.map(|gradient| gradient.into_parts().2), buffers)),
        }
    }
}

/// The tensors beside the input.
#[derive(Debug)]
pub(crate) struct Parameters {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running_mean: Option<Tensor>,
    running_var: Option<Tensor>,
}

impl Parameters {
    fn decode(
        weight: Option<pb::Tensor>,
        bias: Option<pb::Tensor>,
        running_mean: Option<pb::Tensor>,
        running_var: Option<pb::Tensor>,
        limit: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            weight: Tensor::optional(weight, Path::new("weight"), limit)?,
            bias: Tensor::optional(bias, Path::new("bias"), limit)?,
            running_mean: Tensor::optional(running_mean, Path::new("running_mean"), limit)?,
            running_var: Tensor::optional(running_var, Path::new("running_var"), limit)?,
        })
    }

    /// Gives the tensors memory of their own, if that is less than an eighth of `bytes`; false: it is not.
    pub(crate) fn detach_below(&mut self, bytes: usize) -> bool {
        let Self { weight, bias, running_mean, running_var } = self;
        let mut tensors: Vec<_> = [weight, bias, running_mean, running_var].into_iter().flatten().collect();
        let is_little = tensors.iter().map(|tensor| tensor.data.len()).sum::<usize>() < bytes / 8;
        if is_little {
            tensors.iter_mut().for_each(|tensor| tensor.data = Bytes::copy_from_slice(&tensor.data));
        }
        is_little
    }

    /// What the kernels see.
    pub(crate) fn view(&self) -> NormParameters<'_> {
        let Self { weight, bias, running_mean, running_var } = self;
        NormParameters {
            weight: weight.as_ref().map(Tensor::view),
            bias: bias.as_ref().map(Tensor::view),
            running_mean: running_mean.as_ref().map(Tensor::view),
            running_var: running_var.as_ref().map(Tensor::view),
        }
    }
}

fn decode_kind(value: i32) -> Result<NormKind, Error> {
    match pb::NormKind::try_from(value).map_err(|_| unknown("kind", value))? {
        pb::NormKind::Unspecified => Err(unspecified("kind")),
        pb::NormKind::Batch => Ok(NormKind::Batch),
        pb::NormKind::Layer => Ok(NormKind::Layer),
        pb::NormKind::Rms => Ok(NormKind::Rms),
        pb::NormKind::Instance => Ok(NormKind::Instance),
        pb::NormKind::Group => Ok(NormKind::Group),
    }
}

pub(super) fn encode_kind(kind: NormKind) -> pb::NormKind {
    match kind {
        NormKind::Batch => pb::NormKind::Batch,
        NormKind::Layer => pb::NormKind::Layer,
        NormKind::Rms => pb::NormKind::Rms,
        NormKind::Instance => pb::NormKind::Instance,
        NormKind::Group => pb::NormKind::Group,
    }
}
