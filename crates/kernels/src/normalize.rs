//! Batch, layer, RMS, instance, group and L2 normalization, forward and backward.

mod affine;
mod apply;
mod backward;
mod demand;
mod denominator;
mod extremes;
mod forward;
mod in_order;
mod kind;
mod known;
mod layout;
mod mean;
mod measure;
mod measured;
mod parts;
mod plan;
mod power;
mod prepared;
mod reduce;
mod rows;
mod running;
mod scale;
mod settle;
mod statistics;
mod tiles;
mod values;
mod wide;

use affine::Affine;
use backward::{Given, MergedGradients, backward};
use measured::check::check_backward;
use plan::{Plan, channel_axis};
use running::Running;

pub use demand::{normalize_backward_demand, normalize_demand, normalize_in_order_demand};
pub use in_order::NormalizationInOrder;
pub use kind::NormKind;
pub use known::{KnownTensors, Sent};
pub use measured::{StatisticsMeter, StatisticsPartial, measure_statistics, statistics_demand};
pub use parts::{NormalizationByParts, PartStatistics};

use crate::{Checkpoint, Error, Tensor, TensorMut, TensorRef, Violations, dtype::with_element, in_out::InOut};

/// The options of a normalization; each means the same as the field of its name in the wire contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Which elements are pooled.
    pub kind: NormKind,
    /// The axes to pool over, negative ones counted from the end; empty: the kind's default.
    pub axes: Vec<i32>,
    /// `Group`: the number of groups; 0 for the other kinds.
    pub groups: usize,
    /// Added to the variance. Default 1e-5; `Rms`: the machine epsilon of float32, for float64 input that of float64.
    /// `L2`: the least divisor, as in `max(norm, eps)`; default 1e-12.
    pub eps: Option<f64>,
    /// `Batch`, `Instance`, `Group`: the axis of the channels. Default 1.
    pub channel_axis: Option<i32>,
    /// `Batch`, `Instance`: whether to use the input's own statistics. Default: yes, unless running statistics are
    /// given.
    pub training: Option<bool>,
    /// `Batch`, `Instance`: the weight of new statistics in the running ones. Default 0.1.
    pub momentum: Option<f64>,
}

impl Normalization {
    /// The kind with every option at its default.
    pub fn new(kind: NormKind) -> Self {
        Self { kind, axes: Vec::new(), groups: 0, eps: None, channel_axis: None, training: None, momentum: None }
    }

    /// The same with a channel for a set. By running statistics both give the same elements.
    fn of_channels(&self) -> Self {
        Self { kind: NormKind::Batch, axes: Vec::new(), ..self.clone() }
    }
}

/// The tensors beside the input; each may be of another dtype.
#[derive(Clone, Copy, Debug, Default)]
pub struct NormParameters<'a> {
    /// Scale: one number for each place of the pooled axes, in their shape, or for each channel with the kinds that
    /// have channels. Default: 1.
    pub weight: Option<TensorRef<'a>>,
    /// Shift, of the same shape. Default: none.
    pub bias: Option<TensorRef<'a>>,
    /// Running mean, one number for each channel. Given together with `running_var`, or not at all.
    pub running_mean: Option<TensorRef<'a>>,
    /// Running variance, one number for each channel.
    pub running_var: Option<TensorRef<'a>>,
    /// Statistics over all parts of a tensor, of which the input is one, instead of the input's own. Weight and bias
    /// are those of the part. Running statistics beside them are updated with these; `training` must be `Some(true)`
    /// then.
    pub statistics: Option<&'a StatisticsPartial>,
}

/// The result of [`normalize`]; with another `O`, the rest of the result, for an output that is kept elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized<O = Tensor> {
    /// The pooled axes, sorted.
    pub axes: Vec<usize>,
    /// The means, if requested; `None` for `Rms` and `L2`. Their shape is the input's without the pooled axes (`Group`:
    /// with the groups in the place of the channels), their dtype float64 for float64 input, otherwise float32.
    pub mean: Option<Tensor>,
    /// `1 / sqrt(var + eps)`, if requested; `L2`: `1 / max(norm, eps)`. Shape and dtype are those of the means.
    pub rstd: Option<Tensor>,
    /// The updated running mean, in its shape and dtype, if one was given and the input was normalized by other
    /// statistics.
    pub running_mean: Option<Tensor>,
    /// The updated running variance, likewise.
    pub running_var: Option<Tensor>,
    /// The normalized input, in its shape and dtype.
    pub output: O,
}

impl<O> Normalized<O> {
    /// The same with another output, made from this one.
    pub fn map_output<P>(self, make: impl FnOnce(O) -> P) -> Normalized<P> {
        let Self { axes, mean, rstd, running_mean, running_var, output } = self;
        Normalized { axes, mean, rstd, running_mean, running_var, output: make(output) }
    }
}

/// The result of [`normalize_backward`]; with another `O`, the rest of the result, for a gradient of the input that is
/// kept elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradients<O = Tensor> {
    /// The gradient of the weight, if one was given, in its shape and dtype.
    pub grad_weight: Option<Tensor>,
    /// The gradient of the bias, if one was given, in its shape and dtype.
    pub grad_bias: Option<Tensor>,
    /// The gradient of the input, in its shape and dtype.
    pub grad_input: O,
}

impl<O> NormGradients<O> {
    /// The same with another gradient of the input, made from this one.
    pub fn map_grad_input<P>(self, make: impl FnOnce(O) -> P) -> NormGradients<P> {
        let Self { grad_weight, grad_bias, grad_input } = self;
        NormGradients { grad_weight, grad_bias, grad_input: make(grad_input) }
    }
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
    let parts = NormalizationByParts::new(spec, parameters, input.dtype(), input.shape(), checkpoint)?;
    let mut output = checkpoint.buffer(input.data().len());
    let keeps = parts.gives_statistics(return_statistics);
    let elements = InOut::Apart { input: input.data(), output: &mut output };
    let statistics = all_parts(&parts, elements, keeps, checkpoint)?;
    let output = Tensor::from_parts(input.dtype(), input.shape().to_vec(), output);
    Ok(parts.finish(parameters, return_statistics, statistics).map_output(|()| output))
}

/// As [`normalize`], but replaces the input. After an error the input may hold anything.
///
/// # Errors
/// As [`normalize`].
pub fn normalize_in_place(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: &mut TensorMut<'_>,
    return_statistics: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Normalized<()>, Error> {
    let parts = NormalizationByParts::new(spec, parameters, input.dtype(), input.shape(), checkpoint)?;
    let keeps = parts.gives_statistics(return_statistics);
    let statistics = all_parts(&parts, InOut::InPlace(input.data_mut()), keeps, checkpoint)?;
    Ok(parts.finish(parameters, return_statistics, statistics))
}

/// Normalizes every part; returns the statistics of the parts, if they are to be kept.
fn all_parts(
    parts: &NormalizationByParts,
    elements: InOut<'_>,
    keeps: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<PartStatistics, Error> {
    let len = parts.part_len();
    let (mut kept, mut from, mut rest) = (PartStatistics::default(), 0, elements);
    while rest.len() > 0 {
        let (some, others) = rest.split_at(len.saturating_mul(parts.at_once()));
        let some_len = some.len();
        let normalize = |index, part: InOut<'_>| parts.normalize_from(from + index * len, part, checkpoint);
        if keeps {
            let of_parts = some.map_chunks(len, &normalize)?;
            of_parts.into_iter().for_each(|of_part| parts.gather(&mut kept, of_part));
        } else {
            some.for_each_chunk(len, &|index, part| normalize(index, part).map(drop))?;
        }
        (from, rest) = (from + some_len, others);
    }
    Ok(kept)
}

/// The gradients of [`normalize`].
///
/// With [`NormParameters::statistics`], which `Batch` and `Instance` accept if they were measured with the gradients,
/// the gradient of the input is that of all parts together. Those of weight and bias are the sums over this part alone,
/// as with PyTorch's `SyncBatchNorm`: training on several machines adds up the gradients of all parameters, and would
/// count sums over all parts once for each machine.
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
    let plan = backward_plan(spec, parameters, input, grad_output)?;
    let mut output = checkpoint.buffer(input.data().len());
    let gradient = InOut::Apart { input: grad_output.data(), output: &mut output };
    let gradients = gradients(&plan, parameters, input, gradient, checkpoint)?;
    Ok(gradients.map_grad_input(|()| Tensor::from_parts(input.dtype(), input.shape().to_vec(), output)))
}

/// As [`normalize_backward`], but replaces `grad_output` by the gradient of the input. After an error `grad_output` may
/// hold anything.
///
/// # Errors
/// As [`normalize_backward`].
pub fn normalize_backward_in_place(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    grad_output: &mut TensorMut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<NormGradients<()>, Error> {
    let plan = backward_plan(spec, parameters, input, grad_output.view())?;
    gradients(&plan, parameters, input, InOut::InPlace(grad_output.data_mut()), checkpoint)
}

fn backward_plan(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    grad_output: TensorRef<'_>,
) -> Result<Plan, Error> {
    let mut found = Violations::new();
    let plan = Plan::find(spec, parameters, input.dtype(), input.shape(), &mut found);
    check_gradient(input, grad_output, &mut found);
    if let (Some(statistics), Some(plan)) = (parameters.statistics, &plan) {
        let channels = channel_axis(spec, input.shape(), &mut Violations::new()).flatten();
        let pools_channels = channels.is_some_and(|axis| plan.axes.contains(&axis));
        let weighs_places = parameters.weight.is_some() && pools_channels;
        check_backward(statistics, spec.kind, weighs_places, &mut found);
    }
    found.into_result()?;
    Ok(plan.expect("without a violation there is a plan"))
}

/// Adds the violations of the gradient of an input's output.
fn check_gradient(input: TensorRef<'_>, grad_output: TensorRef<'_>, found: &mut Violations) {
    if grad_output.shape() != input.shape() {
        let reason = format!("expected the input's {:?}, got {:?}", input.shape(), grad_output.shape());
        found.add("grad_output.shape", reason);
    }
    if grad_output.dtype() != input.dtype() {
        found.add("grad_output.dtype", format!("expected the input's {}, got {}", input.dtype(), grad_output.dtype()));
    }
}

/// Computes the gradients. `gradient` holds that of the output and receives that of the input.
fn gradients(
    plan: &Plan,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    gradient: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<NormGradients<()>, Error> {
    let wants_affine = parameters.weight.is_some() || parameters.bias.is_some();
    let mut affine_sums = Vec::new();
    if let Some(layout) = &plan.layout {
        let affine = Affine::new(parameters, layout).for_gradients(input.dtype(), layout);
        let running = Running::of(parameters);
        let merged = parameters
            .statistics
            .map(|statistics| MergedGradients::new(statistics, plan, &affine, input.dtype(), checkpoint))
            .transpose()?;
        let (running, merged) = (running.as_ref(), merged.as_ref());
        let given = Given { plan, layout, affine: &affine, running, merged, input: input.data() };
        affine_sums = with_element!(input.dtype(), E => backward::<E>(given, gradient, wants_affine, checkpoint))?;
    }
    let affine_gradient = |like: TensorRef<'_>, which: usize| {
        let mut values: Vec<f64> = affine_sums.iter().map(|sums| sums[which]).collect();
        values.resize(like.len(), 0.0); // no elements, no gradient
        Tensor::from_f64(like.dtype(), like.shape().to_vec(), &values)
    };
    Ok(NormGradients {
        grad_weight: parameters.weight.map(|weight| affine_gradient(weight, 0)),
        grad_bias: parameters.bias.map(|bias| affine_gradient(bias, 1)),
        grad_input: (),
    })
}
