//! Normalize and NormalizeBackward.

use bytes::Bytes;
use evenkeel_kernels::{
    self as kernels, Checkpoint, KnownTensors, NormGradients, NormKind, NormParameters, Normalization, Normalized,
    Sent, StatisticsPartial, Violations,
};
use evenkeel_proto::v1 as pb;

use super::{
    Description, Path, Tensor, decode_kind, decoded, statistics,
    tensor::{self, Decoded, dtype_of, shape_of},
};
use crate::{buffers::Buffers, error::Error};

/// The path of the statistics of all parts in a request.
const STATISTICS: Path = Path::new("statistics");

/// A decoded `NormalizeRequest`. Its input `I` is a [`Tensor`], or a [`Description`] while the elements have yet to
/// come.
#[derive(Debug)]
pub(crate) struct Normalize<I = Tensor> {
    pub(crate) spec: Normalization,
    pub(crate) return_statistics: bool,
    pub(crate) parameters: Parameters,
    pub(crate) input: I,
}

impl Normalize {
    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn decode(request: pb::NormalizeRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input, found| Tensor::required(input, Path::new("input"), limit, found))
    }
}

impl Normalize<Description> {
    /// As [`decode`](Normalize::decode), for a request whose input's `data_len` bytes are still on their way.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn arriving(request: pb::NormalizeRequest, data_len: usize, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input, found| {
            Description::arriving(input, data_len, Path::new("input"), limit, found)
        })
    }

    /// As [`decode`](Normalize::decode), for the header of a stream, whose input has no elements.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
    pub(crate) fn streamed(request: pb::NormalizeRequest, limit: usize) -> Result<Self, Error> {
        Self::decode_with(request, limit, |input, found| Description::streamed(input, Path::new("input"), limit, found))
    }

    /// Encodes the beginning of an answer whose elements follow: the pooled `axes`, and the output without elements.
    pub(crate) fn encode_beginning(&self, axes: &[usize]) -> pb::NormalizeResponse {
        let (axes, output) = (axes.to_vec(), Bytes::new());
        self.encode(Normalized { axes, mean: None, rstd: None, running_mean: None, running_var: None, output })
    }
}

impl<I: AsRef<Description>> Normalize<I> {
    fn decode_with(
        request: pb::NormalizeRequest,
        limit: usize,
        decode_input: impl FnOnce(Option<pb::Tensor>, &mut Violations) -> Decoded<I>,
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
            statistics,
            weight,
            bias,
            running_mean,
            running_var,
            input,
        } = request;
        let mut found = Violations::new();
        let parameters = DecodedParameters::new(weight, bias, running_mean, running_var, statistics, limit, &mut found);
        let input = decode_input(input, &mut found);
        let fields = Fields { kind, axes, groups, eps, channel_axis, training, momentum };
        let spec = fields.decode(&parameters, shape_of(&input), &mut found);
        let all = spec.zip(parameters.all()).zip(input.ok());
        decoded(all, found).map(|((spec, parameters), input)| Self { spec, return_statistics, parameters, input })
    }

    /// Encodes the answer. `result`: the kernel's result, with the output as bytes.
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
    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found.
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
            statistics,
            weight,
            bias,
            running_mean,
            running_var,
            input,
            grad_output,
        } = request;
        let mut found = Violations::new();
        let parameters = DecodedParameters::new(weight, bias, running_mean, running_var, statistics, limit, &mut found);
        let input = Tensor::required(input, Path::new("input"), limit, &mut found);
        let grad_output = Tensor::required(grad_output, Path::new("grad_output"), limit, &mut found);
        let fields = Fields { kind, axes, groups, eps, channel_axis, training, momentum };
        let spec = fields.decode(&parameters, shape_of(&input), &mut found);
        if !found.is_empty() {
            check_gradient(&input, &grad_output, &mut found);
        }
        let all = spec.zip(parameters.all()).zip(input.ok().zip(grad_output.ok()));
        decoded(all, found).map(|((spec, parameters), (input, grad_output))| Self {
            spec,
            parameters,
            pair: [input, grad_output],
        })
    }

    /// Encodes the answer. `result`: the kernel's result, without the gradient of the input if that has overwritten
    /// `grad_output`.
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

/// The tensors and statistics beside the input.
#[derive(Debug)]
pub(crate) struct Parameters {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running_mean: Option<Tensor>,
    running_var: Option<Tensor>,
    /// The statistics of all parts. Their sets have yet to be checked, by [`check_statistics`](Self::check_statistics).
    statistics: Option<StatisticsPartial>,
}

impl Parameters {
    /// Checks the sets of the statistics, if there are some. This takes a microsecond or more for each set.
    ///
    /// # Errors
    /// [`Error::Invalid`] for sets that no elements have; [`Error::Cancelled`].
    pub(crate) fn check_statistics(&self, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        self.statistics.as_ref().map_or(Ok(()), |statistics| statistics::check(statistics, STATISTICS, checkpoint))
    }

    /// The error of a call with these parameters. If its arguments are invalid, the error also has the faults of the
    /// first sets of the statistics.
    pub(crate) fn beside(&self, error: kernels::Error) -> Error {
        match (Error::from(error), &self.statistics) {
            (Error::Invalid(mut found), Some(statistics)) => {
                statistics::look(statistics, STATISTICS, statistics::SETS_IN_A_ROW, &mut found);
                Error::Invalid(found)
            }
            (error, _) => error,
        }
    }

    /// The number of sets of the statistics; 0 without statistics.
    pub(crate) fn merged_sets(&self) -> usize {
        self.statistics.as_ref().map_or(0, |statistics| statistics.sets().len())
    }

    /// The number of elements of all tensors together.
    pub(crate) fn elements(&self) -> usize {
        let Self { weight, bias, running_mean, running_var, statistics: _ } = self;
        let tensors = [weight, bias, running_mean, running_var].into_iter().flatten();
        tensors.map(|tensor| tensor.data.len() / tensor.description.dtype().size()).sum()
    }

    /// Copies the tensors out of the message, if they have less than an eighth of `bytes` bytes together. Returns
    /// whether they are copied.
    pub(crate) fn detach_below(&mut self, bytes: usize) -> bool {
        let Self { weight, bias, running_mean, running_var, statistics: _ } = self;
        let mut tensors: Vec<_> = [weight, bias, running_mean, running_var].into_iter().flatten().collect();
        let is_little = tensors.iter().map(|tensor| tensor.data.len()).sum::<usize>() < bytes / 8;
        if is_little {
            tensors.iter_mut().for_each(|tensor| tensor.data = Bytes::copy_from_slice(&tensor.data));
        }
        is_little
    }

    /// The parameters as the kernels take them.
    pub(crate) fn view(&self) -> NormParameters<'_> {
        let Self { weight, bias, running_mean, running_var, statistics } = self;
        NormParameters {
            weight: weight.as_ref().map(Tensor::view),
            bias: bias.as_ref().map(Tensor::view),
            running_mean: running_mean.as_ref().map(Tensor::view),
            running_var: running_var.as_ref().map(Tensor::view),
            statistics: statistics.as_ref(),
        }
    }
}

/// The tensors and statistics beside the input, of which some may be invalid.
struct DecodedParameters {
    weight: Option<Decoded<Tensor>>,
    bias: Option<Decoded<Tensor>>,
    running_mean: Option<Decoded<Tensor>>,
    running_var: Option<Decoded<Tensor>>,
    /// `None`: none are sent. `Some(None)`: they are invalid.
    statistics: Option<Option<StatisticsPartial>>,
}

impl DecodedParameters {
    fn new(
        weight: Option<pb::Tensor>,
        bias: Option<pb::Tensor>,
        running_mean: Option<pb::Tensor>,
        running_var: Option<pb::Tensor>,
        statistics: Option<pb::StatisticsPartial>,
        limit: usize,
        found: &mut Violations,
    ) -> Self {
        let mut decode = |message: Option<pb::Tensor>, field| {
            message.map(|message| Tensor::decode(message, Path::new(field), limit, found))
        };
        Self {
            weight: decode(weight, "weight"),
            bias: decode(bias, "bias"),
            running_mean: decode(running_mean, "running_mean"),
            running_var: decode(running_var, "running_var"),
            statistics: statistics.map(|statistics| statistics::decode(statistics, STATISTICS, found)),
        }
    }

    /// The parameters; `None`: one of them is invalid.
    fn all(self) -> Option<Parameters> {
        let Self { weight, bias, running_mean, running_var, statistics } = self;
        let [weight, bias, running_mean, running_var] =
            [weight, bias, running_mean, running_var].map(|tensor| tensor.transpose().ok());
        let statistics = statistics.map_or(Some(None), |statistics| statistics.map(Some));
        Some(Parameters {
            weight: weight?,
            bias: bias?,
            running_mean: running_mean?,
            running_var: running_var?,
            statistics: statistics?,
        })
    }

    /// The shapes that are known of the parameters and the input, in the form that the kernels check. `input`: its
    /// shape, if that is known.
    fn known<'a>(&'a self, input: Option<&'a [usize]>) -> KnownTensors<'a> {
        let Self { weight, bias, running_mean, running_var, statistics } = self;
        let has_statistics = statistics.is_some();
        let sent = |tensor: &'a Option<Decoded<Tensor>>| match tensor {
            None => Sent::No,
            Some(tensor) => shape_of(tensor).map_or(Sent::Unknown, Sent::Shape),
        };
        let (weight, bias) = (sent(weight), sent(bias));
        let (running_mean, running_var) = (sent(running_mean), sent(running_var));
        KnownTensors { input, weight, bias, running_mean, running_var, has_statistics }
    }
}

/// Adds the differences between the gradient of the output and the input, in shape and dtype, where both are known.
pub(super) fn check_gradient<T: AsRef<Description>>(
    input: &Decoded<T>,
    grad_output: &Decoded<T>,
    found: &mut Violations,
) {
    let (shapes, dtypes) = (shape_of(input).zip(shape_of(grad_output)), dtype_of(input).zip(dtype_of(grad_output)));
    if let Some((expected, given)) = shapes.filter(|(input, gradient)| input != gradient) {
        found.add("grad_output.shape", format!("expected the input's {expected:?}, got {given:?}"));
    }
    if let Some((expected, given)) = dtypes.filter(|(input, gradient)| input != gradient) {
        found.add("grad_output.dtype", format!("expected the input's {expected}, got {given}"));
    }
}

/// The fields that the requests of both directions have, without tensors and statistics.
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
    /// Decodes the fields. If there are violations already, adds all others that the kernels can find. `input`: its
    /// shape, if that is known. `None`: the kind is invalid.
    fn decode(
        self,
        parameters: &DecodedParameters,
        input: Option<&[usize]>,
        found: &mut Violations,
    ) -> Option<Normalization> {
        let Self { kind, axes, groups, eps, channel_axis, training, momentum } = self;
        let decoded = decode_kind(|| "kind".into(), kind, found);
        let (kind, groups) = (decoded.unwrap_or(NormKind::Batch), groups as usize);
        let spec = Normalization { kind, axes, groups, eps, channel_axis, training, momentum };
        if !found.is_empty() {
            found.append(spec.check_known(decoded.is_some(), &parameters.known(input)));
            if let Some(Some(statistics)) = &parameters.statistics {
                statistics::look(statistics, STATISTICS, statistics::SETS_IN_A_ROW, found);
            }
        }
        decoded.map(|_| spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_leave_the_message_if_they_are_small_beside_it() {
        let message = Bytes::from(vec![0; 100]);
        let tensor = |data: Bytes| {
            let dtype = pb::DataType::Float32.into();
            let message = pb::Tensor { dtype, shape: vec![data.len() as i64 / 4], data, ..Default::default() };
            Tensor::decode(message, Path::new("weight"), usize::MAX, &mut Violations::new()).expect("it is right")
        };
        let mut parameters = Parameters {
            weight: Some(tensor(message.slice(..40))),
            bias: None,
            running_mean: None,
            running_var: Some(tensor(message.slice(40..))),
            statistics: None,
        };
        let places = |parameters: &Parameters| {
            [&parameters.weight, &parameters.running_var]
                .map(|tensor| tensor.as_ref().map(|tensor| tensor.data.as_ptr()))
        };
        let before = places(&parameters);
        assert!(!parameters.detach_below(8 * 100));
        assert_eq!(places(&parameters), before);
        assert!(parameters.detach_below(8 * 101));
        for (place, before) in places(&parameters).into_iter().zip(before) {
            assert_ne!(place, before);
        }
        assert_eq!(parameters.view().weight.map(|weight| weight.data().len()), Some(40));
    }
}
