//! The elements that a normalization pools, from its options and the shape of a tensor, by the server's own rules.

use bytes::Bytes;
use evenkeel_client::DType;
use evenkeel_kernels::{NormKind, Violations};
use evenkeel_proto::v1 as pb;

use super::{Kind, Options, Parameters};
use crate::{
    cli::{
        files::{Stored, element},
        pieces::{Boxes, Parts, Pooling, TooLarge},
    },
    error,
    ops::normalize_demand_of,
    wire::{Normalize, encode_kind},
};

/// The bytes of the mean and of the reciprocal deviation of a set, both in float64.
const STATISTICS: usize = 16;
/// The most bytes of the exact sums of a set, with room to spare.
const PARTIAL: usize = 1024;
/// The longest pieces of a single pass, where two passes over shorter ones are possible: some pieces are under way at once, and
/// a command should not need more memory for larger tensors.
const ONE_PASS: usize = 16 << 20;

/// How a tensor is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Sets are whole.
    Boxes(Boxes),
    /// Sets are cut. Their statistics are measured first.
    Parts(Parts),
}

impl Cut {
    /// The bytes of the largest piece.
    pub(super) fn largest(&self) -> usize {
        match self {
            Self::Boxes(boxes) => boxes.largest(),
            Self::Parts(parts) => parts.largest(),
        }
    }

    /// Whether statistics are measured first.
    pub(super) fn is_measured(&self) -> bool {
        matches!(self, Self::Parts(_))
    }
}

impl Options {
    fn kind(&self) -> NormKind {
        self.kind.into()
    }

    /// Whether weight and bias have an element for each channel.
    pub(super) fn has_channels(&self) -> bool {
        self.kind().has_channels()
    }

    /// The request without its tensors.
    pub(super) fn request(&self) -> pb::NormalizeRequest {
        let Self { axes, groups, eps, channel_axis, training, momentum, .. } = self;
        pb::NormalizeRequest {
            kind: encode_kind(self.kind()).into(),
            axes: axes.clone(),
            groups: *groups,
            eps: *eps,
            channel_axis: *channel_axis,
            training: *training,
            momentum: *momentum,
            ..pb::NormalizeRequest::default()
        }
    }

    /// The axes that are pooled, and that of the channels; `None`: the options do not fit the shape.
    fn axes(&self, shape: &[usize]) -> Option<(Vec<bool>, Option<usize>)> {
        let rank = shape.len();
        let resolve = |axis: i32| {
            let axis = if axis < 0 { i64::from(axis) + i64::try_from(rank).ok()? } else { axis.into() };
            usize::try_from(axis).ok().filter(|&axis| axis < rank)
        };
        let channels = match (self.has_channels(), self.channel_axis) {
            (true, axis) => Some(resolve(axis.unwrap_or(1))?),
            (false, None) => None,
            (false, Some(_)) => return None,
        };
        let named: Option<Vec<usize>> = self.axes.iter().map(|&axis| resolve(axis)).collect();
        let named = named?;
        let pooled = if named.is_empty() { self.kind().default_axes(rank, channels) } else { named };
        let is_group = |axis| matches!(self.kind, Kind::Group) && Some(axis) == channels;
        let is_pooled = |axis| is_group(axis) || pooled.contains(&axis);
        Some(((0..rank).map(is_pooled).collect(), channels))
    }

    fn pooling(&self, shape: &[usize], parameters: &Parameters, statistics: bool) -> Pooling {
        let whole = Pooling {
            shape: shape.to_vec(),
            pooled: vec![true; shape.len()],
            channel_axis: None,
            group: None,
            updates_running: false,
        };
        let Some((pooled, channel_axis)) = self.axes(shape) else { return whole };
        let channels = channel_axis.map(|axis| shape[axis]);
        if channels.is_some_and(|channels| !parameters.fit(channels)) {
            return whole;
        }
        let in_a_group = channels
            .zip(usize::try_from(self.groups).ok())
            .filter(|&(channels, groups)| groups > 0 && channels.is_multiple_of(groups))
            .map(|(channels, groups)| channels / groups);
        let is_grouped = matches!(self.kind, Kind::Group);
        if is_grouped && in_a_group.is_none() {
            return whole;
        }
        let group = in_a_group.filter(|_| is_grouped);
        let running = parameters.has_running();
        // With given statistics each element is normalized by itself; but statistics that are returned belong to whole
        // sets.
        let by_element = running && self.training != Some(true) && !statistics;
        let pooled = if by_element { vec![false; shape.len()] } else { pooled };
        Pooling {
            shape: shape.to_vec(),
            pooled,
            channel_axis,
            group,
            updates_running: running && self.training == Some(true),
        }
    }

    /// The violations that the server would report for this tensor, if it could be sent; `None`: there are none.
    pub(super) fn misfit(&self, (tensor, dtype): (&Stored, DType), parameters: &Parameters) -> Option<Violations> {
        let [weight, bias, running_mean, running_var] = parameters.all();
        let input = Some(element::message(dtype, &tensor.shape, Bytes::new()));
        let request = pb::NormalizeRequest { weight, bias, running_mean, running_var, input, ..self.request() };
        let checked = Normalize::arriving(request, tensor.len, usize::MAX).and_then(|call| normalize_demand_of(&call));
        match checked {
            Err(error::Error::Invalid(violations)) => Some(violations),
            Ok(_) | Err(_) => None,
        }
    }

    /// Cuts a tensor into pieces that fit in messages of at most `limit` bytes, with the parameters in the request and
    /// the statistics in the response.
    pub(super) fn cut(
        &self,
        (tensor, dtype): (&Stored, DType),
        parameters: &Parameters,
        statistics: bool,
        limit: usize,
    ) -> Result<Cut, TooLarge> {
        let pooling = self.pooling(&tensor.shape, parameters, statistics);
        let room = limit.saturating_sub(parameters.len());
        let one_pass = |room: usize| {
            let room = if statistics {
                let set = self.set_len(&tensor.shape).saturating_mul(dtype.size());
                let share = room as u128 * set as u128 / set.saturating_add(STATISTICS) as u128;
                usize::try_from(share).unwrap_or(room)
            } else {
                room
            };
            Boxes::new(&pooling, dtype.size(), room).map(Cut::Boxes)
        };
        one_pass(room.min(ONE_PASS)).or_else(|_| {
            let merges = self.merges(&pooling, (tensor, dtype), parameters);
            let two_passes = merges.then(|| self.parts(&pooling, dtype.size(), parameters, limit)).flatten();
            two_passes.map(Cut::Parts).map_or_else(|| one_pass(room), Ok)
        })
    }

    /// The parts of a tensor whose requests have at most `limit` bytes, with the parameters and the statistics of the sets; `None`:
    /// the statistics take too much of that.
    fn parts(&self, pooling: &Pooling, size: usize, parameters: &Parameters, limit: usize) -> Option<Parts> {
        let of_elements = |limit: usize| {
            if self.has_channels() { limit.checked_sub(parameters.len()) } else { Some(parameters.room(limit, size)) }
        };
        let statistics = Parts::new(pooling, size, of_elements(limit)?).sets_of_a_part().saturating_mul(PARTIAL);
        // A shorter part has no more sets.
        let left = limit.checked_sub(statistics).filter(|_| statistics <= limit / 2)?;
        Some(Parts::new(pooling, size, of_elements(left)?))
    }

    /// Whether the statistics of parts of a set may be merged, and each part be normalized with them.
    fn merges(&self, pooling: &Pooling, (tensor, dtype): (&Stored, DType), parameters: &Parameters) -> bool {
        // Running statistics of other kinds are averages over the sets of a channel.
        let keeps = !pooling.updates_running || matches!(self.kind, Kind::Batch);
        let by_running = parameters.has_running() && self.training != Some(true);
        keeps && !by_running && tensor.len > 0 && self.misfit((tensor, dtype), parameters).is_none()
    }

    /// The bytes of the largest answer.
    pub(super) fn answer(&self, cut: &Cut, tensor: &Stored, statistics: bool) -> usize {
        let largest = cut.largest();
        if let Cut::Parts(parts) = cut {
            return largest + parts.sets_of_a_part().saturating_mul(PARTIAL);
        }
        if !statistics {
            return largest;
        }
        let elements = largest * tensor.elements().max(1) / tensor.len.max(1);
        largest + (elements / self.set_len(&tensor.shape) + 1).saturating_mul(STATISTICS)
    }

    /// How many elements are pooled together, at least 1.
    fn set_len(&self, shape: &[usize]) -> usize {
        let Some((pooled, channels)) = self.axes(shape) else { return 1 };
        let len = |(axis, &len): (usize, &usize)| {
            let is_group = matches!(self.kind, Kind::Group) && Some(axis) == channels;
            if is_group { len / usize::try_from(self.groups).unwrap_or(1).max(1) } else { len }
        };
        let all = shape.iter().enumerate().filter(|(axis, _)| pooled[*axis]).map(len);
        all.product::<usize>().max(1)
    }

    /// The shape of mean and reciprocal deviation: the tensor's without what is pooled, with the groups in the place of the
    /// channels.
    pub(super) fn statistics_shape(&self, shape: &[usize]) -> Vec<usize> {
        let Some((pooled, channels)) = self.axes(shape) else { return Vec::new() };
        let of = |(axis, &len): (usize, &usize)| {
            let is_group = matches!(self.kind, Kind::Group) && Some(axis) == channels;
            if is_group { usize::try_from(self.groups).ok() } else { Some(len).filter(|_| !pooled[axis]) }
        };
        shape.iter().enumerate().filter_map(of).collect()
    }
}
