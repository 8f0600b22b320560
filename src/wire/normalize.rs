//! Normalize and NormalizeBackward.

use bytes::Bytes;
use evenkeel_kernels::{
    self as kernels, NormGradients, NormKind, NormParameters, Normalization, Normalized, Violations,
};
use evenkeel_proto::v1 as pb;

use super::{Description, Path, Tensor, decoded, tensor, unknown, unspecified};
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
        Self::decode_with(request, limit, |input, found| Tensor::required(input, Path::new("input"), limit, found))
    }
}

impl Normalize<Description> {
    /// Of a request whose input's `data_len` bytes are still on their way.
    pub(crate) fn arriving(request: pb::NormalizeRequest, data_len: usize, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input, found| {
            Description::arriving(input, data_len, Path::new("input"), limit, found)
        })
    }
}

impl<I: AsRef<Description>> Normalize<I> {
    fn decode_with(
        request: pb::NormalizeRequest,
        limit: usize,
        decode_input: impl FnOnce(Option<pb::Tensor>, &mut Violations) -> Option<I>,
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
        let mut found = Violations::new();
        let parameters = Parameters::decode(weight, bias, running_mean, running_var, limit, &mut found);
        let input = decode_input(input, &mut found);
        let fields = Fields { kind, axes, groups, eps, channel_axis, training, momentum };
        let spec = fields.decode(parameters.as_ref(), input.as_ref().map(AsRef::as_ref), &mut found);
        let all = spec.zip(parameters).zip(input);
        decoded(all, found).map(|((spec, parameters), input)| Self { spec, return_statistics, parameters, input })
    }

    /// `result`: with the output's bytes.
    pub(crate) fn encode(&self, result: Normalized<Bytes>) -> pb::NormalizeResponse {
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
        let mut found = Violations::new();
        let parameters = Parameters::decode(weight, bias, running_mean, running_var, limit, &mut found);
        let input = Tensor::required(input, Path::new("input"), limit, &mut found);
        let grad_output = Tensor::required(grad_output, Path::new("grad_output"), limit, &mut found);
        let fields = Fields { kind, axes, groups, eps, channel_axis, training, momentum };
        let spec = fields.decode(parameters.as_ref(), input.as_ref().map(AsRef::as_ref), &mut found);
        let all = spec.zip(parameters).zip(input.zip(grad_output));
        decoded(all, found).map(|((spec, parameters), (input, grad_output))| Self {
            spec,
            parameters,
            pair: [input, grad_output],
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
    /// `None`: one is there and cannot be decoded.
    fn decode(
        weight: Option<pb::Tensor>,
        bias: Option<pb::Tensor>,
        running_mean: Option<pb::Tensor>,
        running_var: Option<pb::Tensor>,
        limit: usize,
        found: &mut Violations,
    ) -> Option<Self> {
        let mut all_are_right = true;
        let mut decode = |message: Option<pb::Tensor>, field| {
            let tensor = message.map(|message| Tensor::decode(message, Path::new(field), limit, found));
            all_are_right &= !matches!(tensor, Some(None));
            tensor.flatten()
        };
        let parameters = Self {
            weight: decode(weight, "weight"),
            bias: decode(bias, "bias"),
            running_mean: decode(running_mean, "running_mean"),
            running_var: decode(running_var, "running_var"),
        };
        all_are_right.then_some(parameters)
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

/// The fields of both directions but the tensors.
struct Fields {
    kind: i32,
    axes: Vec<i32>,
    groups: u32,
    eps: Option<f64>,
    channel_axis: Option<i32>,
    training: Option<bool>,
    momentum: Option<f64>,
}

impl Fields {
    /// `parameters`, `input`: those of the request, if they could be decoded.
    fn decode(
        self,
        parameters: Option<&Parameters>,
        input: Option<&Description>,
        found: &mut Violations,
    ) -> Option<Normalization> {
        let Self { kind, axes, groups, eps, channel_axis, training, momentum } = self;
        let kind = decode_kind(kind, found);
        let groups = groups as usize;
        let spec = kind.map(|kind| Normalization { kind, axes, groups, eps, channel_axis, training, momentum });
        if !found.is_empty() {
            found.add_independent(match (&spec, parameters, input) {
                (Some(spec), Some(parameters), Some(input)) => {
                    spec.check(&parameters.view(), input.dtype(), input.shape())
                }
                _ => Normalization::check_numbers(eps, momentum),
            });
        }
        spec
    }
}

fn decode_kind(value: i32, found: &mut Violations) -> Option<NormKind> {
    let known = NormKind::ALL.into_iter().find(|&kind| encode_kind(kind) as i32 == value);
    if known.is_none() {
        if value == pb::NormKind::Unspecified as i32 {
            unspecified("kind", found);
        } else {
            unknown("kind", value, found);
        }
    }
    known
}

pub(crate) fn encode_kind(kind: NormKind) -> pb::NormKind {
    match kind {
        NormKind::Batch => pb::NormKind::Batch,
        NormKind::Layer => pb::NormKind::Layer,
        NormKind::Rms => pb::NormKind::Rms,
        NormKind::Instance => pb::NormKind::Instance,
        NormKind::Group => pb::NormKind::Group,
        NormKind::L2 => pb::NormKind::L2,
    }
}
