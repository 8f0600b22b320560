//! The shapes of the tensors beside the input of a normalization.

use evenkeel_kernels::NormKind;
use evenkeel_proto::v1 as pb;

use super::{
    options::Beside,
    values::{Range, Values},
};
use crate::cli::error::Error;

const FLAG: &str = "--with";

/// The tensors beside an input.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    pub(super) weight: Option<pb::Tensor>,
    pub(super) bias: Option<pb::Tensor>,
    pub(super) running_mean: Option<pb::Tensor>,
    pub(super) running_var: Option<pb::Tensor>,
}

/// The shape that weight and bias have, and running statistics.
pub(super) fn shape(
    kind: pb::NormKind,
    axes: &[i32],
    channel_axis: Option<i32>,
    input: &[usize],
) -> Result<Vec<usize>, Error> {
    let Some(kind) = of_kernels(kind) else {
        return Err(Error::usage("--set", "kind: it must be one that normalizes"));
    };
    let axis = |axis: i32, name: &str| {
        let from_end = if axis < 0 { input.len() as i64 + i64::from(axis) } else { axis.into() };
        usize::try_from(from_end).ok().filter(|axis| *axis < input.len()).ok_or_else(|| {
            Error::usage(FLAG, format!("the input has {} dimensions, and no axis {axis} as {name}", input.len()))
        })
    };
    if kind.has_channels() {
        return Ok(vec![input[axis(channel_axis.unwrap_or(1), "channel_axis")?]]);
    }
    if !kind.has_affine() {
        return Err(Error::usage(FLAG, format!("{} normalization takes no tensors beside its input", kind.name())));
    }
    let mut pooled = axes.iter().map(|it| axis(*it, "one of axes")).collect::<Result<Vec<_>, _>>()?;
    if pooled.is_empty() {
        pooled = kind.default_axes(input.len(), None);
    }
    pooled.sort_unstable();
    Ok(pooled.into_iter().map(|axis| input[axis]).collect())
}

impl Tensors {
    /// Makes those that are wanted.
    pub(super) fn new(
        with: &[Beside],
        kind: pb::NormKind,
        shape: &[usize],
        values: &mut Values,
    ) -> Result<Self, Error> {
        let mut tensors = Self::default();
        for (index, beside) in with.iter().enumerate() {
            if with[..index].contains(beside) {
                return Err(Error::usage(FLAG, "a tensor is given twice"));
            }
        }
        if with.contains(&Beside::Weight) {
            tensors.weight = Some(values.tensor("", shape, Range::Signed));
        }
        if with.contains(&Beside::Bias) {
            tensors.bias = Some(values.tensor("", shape, Range::Signed));
        }
        if with.contains(&Beside::Running) {
            if !of_kernels(kind).is_some_and(NormKind::has_running_statistics) {
                return Err(Error::usage(FLAG, "running: only kinds batch and instance have running statistics"));
            }
            tensors.running_mean = Some(values.tensor("", shape, Range::Signed));
            tensors.running_var = Some(values.tensor("", shape, Range::Positive));
        }
        Ok(tensors)
    }
}

fn of_kernels(kind: pb::NormKind) -> Option<NormKind> {
    match kind {
        pb::NormKind::Unspecified => None,
        pb::NormKind::Batch => Some(NormKind::Batch),
        pb::NormKind::Layer => Some(NormKind::Layer),
        pb::NormKind::Rms => Some(NormKind::Rms),
        pb::NormKind::Instance => Some(NormKind::Instance),
        pb::NormKind::Group => Some(NormKind::Group),
        pb::NormKind::L2 => Some(NormKind::L2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_that_the_contract_names() {
        let input = [2, 3, 4, 5];
        for (kind, axes, channel_axis, expected) in [
            (pb::NormKind::Layer, &[][..], None, Ok(&[3, 4, 5][..])),
            (pb::NormKind::Rms, &[-1, 1], None, Ok(&[3, 5])),
            (pb::NormKind::Batch, &[], None, Ok(&[3])),
            (pb::NormKind::Group, &[], Some(-1), Ok(&[5])),
            (pb::NormKind::L2, &[], None, Err("l2")),
            (pb::NormKind::Instance, &[], Some(4), Err("channel_axis")),
            (pb::NormKind::Layer, &[-5], None, Err("axes")),
            (pb::NormKind::Unspecified, &[], None, Err("kind")),
        ] {
            match (shape(kind, axes, channel_axis, &input), expected) {
                (Ok(shape), Ok(expected)) => assert_eq!(shape, expected),
                (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
                (given, expected) => panic!("{given:?} is not {expected:?}"),
            }
        }
        assert_eq!(shape(pb::NormKind::Layer, &[], None, &[6, 7]).ok(), Some(vec![7]));
    }
}
