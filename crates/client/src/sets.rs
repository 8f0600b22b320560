//! The sets of elements that a normalization pools: what an answer must be about.

use evenkeel_proto::v1 as pb;
use pb::NormKind;

/// The sets of a tensor, if the server takes the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sets {
    /// The pooled axes, in ascending order.
    pub(crate) axes: Vec<usize>,
    /// The tensor's shape without the pooled axes, with the groups in place of the channels.
    pub(crate) shape: Vec<usize>,
}

impl Sets {
    /// Those of a tensor of this shape.
    pub(crate) fn of(request: &pb::NormalizeRequest, shape: &[usize]) -> Self {
        let rank = shape.len();
        let from_start =
            |axis: i32| if axis < 0 { rank.checked_add_signed(axis as isize) } else { Some(axis as usize) };
        let kind = request.kind();
        let channels = from_start(request.channel_axis.unwrap_or(1));
        let given: Vec<_> = request.axes.iter().map(|&axis| from_start(axis)).collect();
        let is_grouped = |axis| kind == NormKind::Group && Some(axis) == channels;
        let is_pooled = |axis| {
            let is_named = if given.is_empty() {
                is_pooled_by_default(kind, axis, rank, channels)
            } else {
                given.contains(&Some(axis))
            };
            is_named || is_grouped(axis)
        };
        let of_axis = |(axis, &dim): (usize, &usize)| {
            if is_grouped(axis) { Some(request.groups as usize) } else { (!is_pooled(axis)).then_some(dim) }
        };
        Self {
            axes: (0..rank).filter(|&axis| is_pooled(axis)).collect(),
            shape: shape.iter().enumerate().filter_map(of_axis).collect(),
        }
    }

    /// How many sets there are.
    pub(crate) fn count(&self) -> usize {
        self.shape.iter().fold(1, |count: usize, &dim| count.saturating_mul(dim))
    }
}

/// Whether the kind subtracts a mean.
pub(crate) fn has_mean(request: &pb::NormalizeRequest) -> bool {
    !matches!(request.kind(), NormKind::Rms | NormKind::L2)
}

fn is_pooled_by_default(kind: NormKind, axis: usize, rank: usize, channels: Option<usize>) -> bool {
    match kind {
        NormKind::Batch => Some(axis) != channels,
        NormKind::Layer | NormKind::Rms => axis + 1 == rank || (rank > 3 && axis > 0),
        NormKind::Instance => axis > 0 && Some(axis) != channels,
        NormKind::Group => axis > 0,
        NormKind::L2 => axis == rank.min(2) - 1,
        NormKind::Unspecified => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn pools(kind: NormKind, axes: &[i32], input: &[usize], pooled: &[usize], sets: &[usize]) {
        let request = pb::NormalizeRequest { kind: kind.into(), groups: 3, axes: axes.to_vec(), ..Default::default() };
        let found = Sets::of(&request, input);
        assert_eq!((&found.axes[..], &found.shape[..]), (pooled, sets), "{kind:?} of {input:?} over {axes:?}");
    }

    #[test]
    fn each_kind_pools_its_axes_or_those_that_are_named() {
        pools(NormKind::Batch, &[], &[2, 6, 5], &[0, 2], &[6]);
        pools(NormKind::Layer, &[], &[2, 6, 5], &[2], &[2, 6]);
        pools(NormKind::Rms, &[], &[2, 6, 5, 4], &[1, 2, 3], &[2]);
        pools(NormKind::Instance, &[], &[2, 6, 5], &[2], &[2, 6]);
        pools(NormKind::Group, &[], &[2, 6, 5], &[1, 2], &[2, 3]);
        pools(NormKind::L2, &[], &[2, 6, 5], &[1], &[2, 5]);
        pools(NormKind::L2, &[], &[7], &[0], &[]);
        pools(NormKind::Layer, &[-1, 0], &[2, 6, 5], &[0, 2], &[6]);
        pools(NormKind::Group, &[2], &[2, 6, 5], &[1, 2], &[2, 3]);
        pools(NormKind::Layer, &[], &[], &[], &[]);
    }

    #[test]
    fn the_channels_may_be_counted_from_the_end() {
        let request =
            pb::NormalizeRequest { kind: NormKind::Batch.into(), channel_axis: Some(-1), ..Default::default() };
        assert_eq!(Sets::of(&request, &[2, 6, 5]), Sets { axes: vec![0, 1], shape: vec![5] });
        assert_eq!(Sets::of(&request, &[2, 6, 5]).count(), 5);
    }
}
