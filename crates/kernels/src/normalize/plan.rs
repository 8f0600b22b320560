//! From a normalization's arguments to what is to be computed: every check is here, and past it nothing is invalid.

use super::{NormKind, NormParameters, Normalization, layout::Layout};
use crate::{DType, Error, TensorRef};

/// A normalization of one shape.
pub(super) struct Plan {
    /// The pooled axes, sorted; for `Group` with the channel axis.
    pub(super) axes: Vec<usize>,
    /// The input's shape without the pooled axes; for `Group` with the groups in the channel axis's place.
    pub(super) statistics_shape: Vec<usize>,
    /// Where the elements are; `None` if there are none.
    pub(super) layout: Option<Layout>,
    pub(super) centred: bool,
    pub(super) eps: f64,
    pub(super) source: Source,
    pub(super) momentum: f64,
    /// How sets belong to channels, if running statistics are given.
    pub(super) channels: Channels,
}

/// Where the statistics come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input,
    Running,
}

/// The channel of set `s` is `s / inner % count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    pub(super) count: usize,
    pub(super) inner: usize,
}

impl Channels {
    pub(super) fn of_set(self, set: usize) -> usize {
        set / self.inner % self.count
    }
}

impl Plan {
    /// For input of this dtype and shape.
    pub(super) fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
    ) -> Result<Self, Error> {
        let channel_axis = channel_axis(spec, shape)?;
        let groups = groups(spec, channel_axis.map_or(0, |axis| shape[axis]))?;
        let axes = pooled_axes(spec, shape.len(), channel_axis)?;
        let source = source(spec, parameters)?;
        let eps = eps(spec, dtype, source)?;
        let momentum = momentum(spec)?;

        let pooled: Vec<bool> = (0..shape.len()).map(|axis| axes.contains(&axis)).collect();
        let channel_shape: Vec<usize> = channel_axis.map(|axis| shape[axis]).into_iter().collect();
        let affine_shape = match channel_axis {
            Some(_) => channel_shape.clone(),
            None => axes.iter().map(|&axis| shape[axis]).collect(),
        };
        check_shape("weight.shape", parameters.weight, &affine_shape)?;
        check_shape("bias.shape", parameters.bias, &affine_shape)?;
        check_shape("running_mean.shape", parameters.running_mean, &channel_shape)?;
        check_shape("running_var.shape", parameters.running_var, &channel_shape)?;
        if parameters.running_mean.is_some() && channel_axis.is_some_and(|axis| pooled[axis]) {
            let reason = "pool over the channel axis, but running statistics are kept for each channel";
            return Err(Error::invalid("axes", reason));
        }

        // Group normalization is a plain pooling once the channel axis is two: groups, kept, and the channels in a
        // group, pooled.
        let has_affine = parameters.weight.is_some() || parameters.bias.is_some();
        let mut dims = Vec::with_capacity(shape.len() + 1);
        for (axis, &len) in shape.iter().enumerate() {
            let affine = has_affine && channel_axis.map_or(pooled[axis], |channels| channels == axis);
            if let Some(groups) = groups.filter(|_| channel_axis == Some(axis)) {
                dims.extend([(groups, false, affine), (len / groups, true, affine)]);
            } else {
                dims.push((len, pooled[axis], affine));
            }
        }
        let channels = Channels {
            count: channel_shape.iter().product(),
            inner: match channel_axis {
                Some(channels) => (channels + 1..shape.len()).filter(|&a| !pooled[a]).map(|a| shape[a]).product(),
                None => 1,
            },
        };
        let statistics_shape = match groups {
            Some(groups) => {
                let kept = |axis: &usize| !pooled[*axis] || channel_axis == Some(*axis);
                let len = |axis| if channel_axis == Some(axis) { groups } else { shape[axis] };
                (0..shape.len()).filter(kept).map(len).collect()
            }
            None => (0..shape.len()).filter(|&axis| !pooled[axis]).map(|axis| shape[axis]).collect(),
        };
        let layout = (!shape.contains(&0)).then(|| Layout::new(dims.into_iter()));
        let plan = Self {
            axes,
            statistics_shape,
            layout,
            centred: spec.kind != NormKind::Rms,
            eps,
            source,
            momentum,
            channels,
        };
        plan.check_set_len(spec.kind)?;
        Ok(plan)
    }

    /// One value has no spread. PyTorch refuses it for the kinds that pool over samples or space; layer norm of one
    /// value is its bias.
    fn check_set_len(&self, kind: NormKind) -> Result<(), Error> {
        let what = match kind {
            NormKind::Batch => "channel",
            NormKind::Instance => "sample and channel",
            NormKind::Group => "group",
            NormKind::Layer | NormKind::Rms => return Ok(()),
        };
        let single = self.layout.as_ref().is_some_and(|layout| layout.set_len() == 1);
        if single && self.source == Source::Input {
            let reason = format!("the input's own statistics need more than one value for each {what}");
            return Err(Error::invalid("input.shape", reason));
        }
        Ok(())
    }
}

/// The axis that a signed number names.
fn resolve(field: impl Fn() -> String, axis: i32, rank: usize) -> Result<usize, Error> {
    let from_start = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    usize::try_from(from_start)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Error::invalid(field(), format!("{axis} is not an axis of a tensor of rank {rank}")))
}

fn channel_axis(spec: &Normalization, shape: &[usize]) -> Result<Option<usize>, Error> {
    let rank = shape.len();
    match spec.kind {
        NormKind::Layer | NormKind::Rms => {
            if spec.channel_axis.is_some() {
                return Err(Error::invalid("channel_axis", "LAYER and RMS do not tell channels apart"));
            }
            if rank == 0 {
                return Err(Error::invalid("input.shape", "LAYER and RMS need rank 1 or more, got a scalar"));
            }
            Ok(None)
        }
        NormKind::Instance if rank < 3 => {
            Err(Error::invalid("input.shape", format!("INSTANCE needs rank 3 or more, (N, C, ...), got rank {rank}")))
        }
        NormKind::Batch | NormKind::Instance | NormKind::Group => {
            resolve(|| "channel_axis".into(), spec.channel_axis.unwrap_or(1), rank).map(Some)
        }
    }
}

/// The number of groups; `None` for the other kinds.
fn groups(spec: &Normalization, channels: usize) -> Result<Option<usize>, Error> {
    if spec.kind != NormKind::Group {
        return match spec.groups {
            0 => Ok(None),
            _ => Err(Error::invalid("groups", "only GROUP has groups")),
        };
    }
    if spec.groups == 0 || !channels.is_multiple_of(spec.groups) || spec.groups > channels.max(1) {
        let reason = format!("expected a divisor of the {channels} channels, got {}", spec.groups);
        return Err(Error::invalid("groups", reason));
    }
    Ok(Some(spec.groups))
}

fn pooled_axes(spec: &Normalization, rank: usize, channel_axis: Option<usize>) -> Result<Vec<usize>, Error> {
    let mut axes = Vec::with_capacity(rank);
    for (index, &axis) in spec.axes.iter().enumerate() {
        let resolved = resolve(|| format!("axes[{index}]"), axis, rank)?;
        if axes.contains(&resolved) {
            return Err(Error::invalid(format!("axes[{index}]"), format!("axis {resolved} is named twice")));
        }
        axes.push(resolved);
    }
    let channels = |axis: &usize| Some(*axis) == channel_axis;
    if axes.is_empty() {
        axes = match spec.kind {
            NormKind::Batch => (0..rank).filter(|axis| !channels(axis)).collect(),
            NormKind::Layer | NormKind::Rms if rank <= 3 => vec![rank - 1],
            NormKind::Layer | NormKind::Rms => (1..rank).collect(),
            NormKind::Instance => (1..rank).filter(|axis| !channels(axis)).collect(),
            NormKind::Group => (1..rank).collect(),
        };
    }
    if spec.kind == NormKind::Group {
        axes.extend(channel_axis.filter(|axis| !axes.contains(axis)));
    }
    axes.sort_unstable();
    Ok(axes)
}

fn source(spec: &Normalization, parameters: &NormParameters<'_>) -> Result<Source, Error> {
    let running = match (parameters.running_mean, parameters.running_var) {
        (Some(_), Some(_)) => true,
        (None, None) => false,
        (Some(_), None) => return Err(Error::invalid("running_var", "required beside running_mean")),
        (None, Some(_)) => return Err(Error::invalid("running_mean", "required beside running_var")),
    };
    match spec.kind {
        NormKind::Batch | NormKind::Instance => {}
        NormKind::Layer | NormKind::Rms | NormKind::Group if running => {
            return Err(Error::invalid("running_mean", "only BATCH and INSTANCE have running statistics"));
        }
        NormKind::Layer | NormKind::Rms | NormKind::Group => return Ok(Source::Input),
    }
    match spec.training {
        Some(false) if !running => Err(Error::invalid("running_mean", "required when training is false")),
        Some(false) => Ok(Source::Running),
        None if running => Ok(Source::Running),
        None | Some(true) => Ok(Source::Input),
    }
}

fn eps(spec: &Normalization, dtype: DType, source: Source) -> Result<f64, Error> {
    let Some(eps) = spec.eps else {
        return Ok(match (spec.kind, dtype) {
            (NormKind::Rms, DType::F64) => f64::EPSILON,
            (NormKind::Rms, DType::F32 | DType::F16 | DType::Bf16) => f64::from(f32::EPSILON),
            (NormKind::Batch | NormKind::Layer | NormKind::Instance | NormKind::Group, _) => 1e-5,
        });
    };
    if !eps.is_finite() || eps < 0.0 {
        return Err(Error::invalid("eps", format!("expected a finite number not below 0, got {eps}")));
    }
    let over_samples = matches!(spec.kind, NormKind::Batch | NormKind::Instance);
    if eps == 0.0 && over_samples && source == Source::Input {
        return Err(Error::invalid("eps", "must be above 0 with the input's own statistics"));
    }
    Ok(eps)
}

fn momentum(spec: &Normalization) -> Result<f64, Error> {
    let momentum = spec.momentum.unwrap_or(0.1);
    if (0.0..=1.0).contains(&momentum) {
        Ok(momentum)
    } else {
        Err(Error::invalid("momentum", format!("expected a number in [0, 1], got {momentum}")))
    }
}

fn check_shape(field: &'static str, tensor: Option<TensorRef<'_>>, expected: &[usize]) -> Result<(), Error> {
    match tensor {
        Some(tensor) if tensor.shape() != expected => {
            Err(Error::invalid(field, format!("expected {expected:?}, got {:?}", tensor.shape())))
        }
        Some(_) | None => Ok(()),
    }
}
