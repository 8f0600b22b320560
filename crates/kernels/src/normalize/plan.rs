//! From the arguments of a normalization to a plan of the computation: all checks are here, and a plan is always valid.

use std::collections::HashSet;

use evenkeel_exact::Brief;

use super::{
    NormKind, NormParameters, Normalization, denominator::Denominator, kind::those, layout::Layout,
    measured::check::check,
};
use crate::{DType, Violations};

/// A normalization of one shape.
pub(super) struct Plan {
    /// The pooled axes, sorted; for `Group` with the channel axis.
    pub(super) axes: Vec<usize>,
    /// The input's shape without the pooled axes; for `Group` with the groups in the channel axis's place.
    pub(super) statistics_shape: Vec<usize>,
    /// The places of the elements in memory; `None` if there are no elements.
    pub(super) layout: Option<Layout>,
    pub(super) centred: bool,
    /// The number that elements are divided by.
    pub(super) denominator: Denominator,
    pub(super) source: Source,
    pub(super) momentum: f64,
    /// How sets belong to channels, if running statistics are given.
    pub(super) channels: Channels,
}

/// The source of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input,
    Running,
    /// Measured elsewhere, over all parts of which the input is one.
    Merged,
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

    /// The sets of a channel, of `sets` in all.
    pub(super) fn sets(self, channel: usize, sets: usize) -> impl Iterator<Item = usize> {
        let Self { count, inner } = self;
        (0..sets / (count * inner))
            .flat_map(move |outer| (0..inner).map(move |set| (outer * count + channel) * inner + set))
    }
}

impl Plan {
    /// The plan for input of this dtype and shape.
    pub(super) fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
    ) -> Result<Self, Violations> {
        let mut found = Violations::new();
        let plan = Self::find(spec, parameters, dtype, shape, &mut found);
        found.into_result().map(|()| plan.expect("without a violation there is a plan"))
    }

    /// As [`new`](Self::new), but adds the violations to `found`; `None` if they leave no plan.
    pub(super) fn find(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        found: &mut Violations,
    ) -> Option<Self> {
        let plan = Self::find_with(spec, parameters, dtype, shape, true, found)?;
        if let Some(statistics) = parameters.statistics {
            let set_len = plan.layout.as_ref().map_or(0, Layout::set_len);
            check(statistics, spec.kind, &plan.statistics_shape, set_len, found);
        }
        Some(plan)
    }

    /// As [`find`](Self::find), for a part whose sets may go on in other parts.
    pub(super) fn find_part(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        found: &mut Violations,
    ) -> Option<Self> {
        Self::find_with(spec, parameters, dtype, shape, false, found)
    }

    /// `is_whole`: the sets do not go on in other parts.
    fn find_with(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        is_whole: bool,
        found: &mut Violations,
    ) -> Option<Self> {
        // Each argument is checked, whatever the others are.
        let channel_axis = channel_axis(spec, shape, found);
        let groups = groups(spec, channel_axis.map(|axis| axis.map_or(0, |axis| shape[axis])), found);
        let axes = pooled_axes(spec, shape.len(), channel_axis, found);
        let are_sent = [parameters.running_mean, parameters.running_var].map(|tensor| tensor.is_some());
        let source = source(spec, are_sent, found);
        let source = merged_source(source, parameters.statistics.is_some(), found);
        let eps = eps(spec, dtype, source, found);
        let momentum = momentum(spec.momentum, found);
        let channel_shape: Option<Vec<usize>> =
            channel_axis.map(|axis| axis.map(|axis| shape[axis]).into_iter().collect());
        let affine_shape = match channel_axis {
            Some(Some(_)) => channel_shape.clone(),
            Some(None) => axes.as_ref().map(|axes| axes.iter().map(|&axis| shape[axis]).collect()),
            None => None,
        };
        let affine_shape = affine_shape.filter(|_| spec.kind.has_affine());
        let [weight, bias] = [parameters.weight, parameters.bias].map(|tensor| tensor.map(|tensor| tensor.shape()));
        check_affine(spec.kind, [weight.is_some(), bias.is_some()], found);
        check_shape("weight.shape", weight, affine_shape.as_deref(), found);
        check_shape("bias.shape", bias, affine_shape.as_deref(), found);
        if spec.kind.has_running_statistics() {
            let running = [parameters.running_mean, parameters.running_var];
            let [mean, var] = running.map(|tensor| tensor.map(|tensor| tensor.shape()));
            check_shape("running_mean.shape", mean, channel_shape.as_deref(), found);
            check_shape("running_var.shape", var, channel_shape.as_deref(), found);
        }
        let (channel_axis, groups, axes, channel_shape) = (channel_axis?, groups?, axes?, channel_shape?);
        let pooled: Vec<bool> = (0..shape.len()).map(|axis| axes.contains(&axis)).collect();
        let has_running = spec.kind.has_running_statistics() && parameters.running_mean.is_some();
        if has_running && channel_axis.is_some_and(|axis| pooled[axis]) {
            found.add("axes", "pool over the channel axis, but running statistics are kept for each channel");
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
        let n = layout.as_ref().map_or(0, Layout::set_len);
        if is_whole {
            check_set_len(spec.kind, n, source, found);
        }
        let (source, eps, momentum) = (source?, eps?, momentum?);
        let (centred, denominator) = (spec.kind.is_centred(), Denominator::of(spec.kind, eps, dtype, n));
        Some(Self { axes, statistics_shape, layout, centred, denominator, source, momentum, channels })
    }
}

/// One value has no spread. PyTorch refuses it for the kinds that pool over samples or space; layer norm of one
/// value is its bias. `source`: `None` if it cannot be known.
fn check_set_len(kind: NormKind, len: usize, source: Option<Source>, found: &mut Violations) {
    let Some(what) = kind.pooled_for_each() else { return };
    if len == 1 && source == Some(Source::Input) {
        found.add("input.shape", format!("the input's own statistics need more than one value for each {what}"));
    }
}

/// The source of the statistics if statistics over all parts may be given, from the source without them.
pub(super) fn merged_source(source: Option<Source>, has_statistics: bool, found: &mut Violations) -> Option<Source> {
    if !has_statistics {
        return source;
    }
    source.map(|source| match source {
        Source::Input | Source::Merged => Source::Merged,
        Source::Running => {
            let reason = "nothing is computed with them: running statistics are used unless training is true";
            found.add("statistics", reason);
            source
        }
    })
}

/// The axis that a signed number names.
pub(super) fn resolve(field: impl Fn() -> String, axis: i32, rank: usize, found: &mut Violations) -> Option<usize> {
    let from_start = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    let resolved = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
    if resolved.is_none() {
        found.add_with(|| (field(), format!("{axis} is not an axis of a tensor of rank {rank}")));
    }
    resolved
}

/// The axis of the channels, or `Some(None)` if the kind has none; `None` if it cannot be known.
#[expect(clippy::option_option, reason = "unknown is not the same as absent")]
pub(super) fn channel_axis(spec: &Normalization, shape: &[usize], found: &mut Violations) -> Option<Option<usize>> {
    let (rank, kind) = (shape.len(), spec.kind);
    let is_enough = rank >= kind.least_rank();
    if !is_enough {
        let reason = format!("{} needs rank {} or more, got rank {rank}", kind.wire_name(), kind.least_rank());
        found.add("input.shape", reason);
    }
    if kind.has_channels() {
        let axis = is_enough.then(|| spec.channel_axis.unwrap_or(1))?;
        if spec.channel_axis.is_none() && rank < 2 {
            let reason =
                format!("{} with its default channel_axis, 1, needs rank 2 or more, got rank {rank}", kind.wire_name());
            found.add("input.shape", reason);
            return None;
        }
        return resolve(|| "channel_axis".into(), axis, rank, found).map(Some);
    }
    if spec.channel_axis.is_some() {
        found.add("channel_axis", format!("only {} have channels", those(NormKind::has_channels)));
    }
    is_enough.then_some(None)
}

/// The number of groups, or `Some(None)` if the kind has none; `None` if it is invalid. `channels`: the number of
/// channels, if it is known.
#[expect(clippy::option_option, reason = "unknown is not the same as absent")]
pub(super) fn groups(spec: &Normalization, channels: Option<usize>, found: &mut Violations) -> Option<Option<usize>> {
    let groups = spec.groups;
    if spec.kind != NormKind::Group {
        if groups != 0 {
            found.add("groups", "only GROUP has groups");
        }
        return Some(None);
    }
    match channels {
        _ if groups == 0 => found.add("groups", "GROUP needs a number of groups above 0, got 0"),
        Some(channels) if !channels.is_multiple_of(groups) || groups > channels.max(1) => {
            found.add("groups", format!("expected a divisor of the {channels} channels, got {groups}"));
        }
        Some(_) | None => return Some(Some(groups)),
    }
    None
}

/// The axes that signed numbers name; `None` if one is invalid or named twice.
pub(super) fn resolve_axes(given: &[i32], rank: usize, found: &mut Violations) -> Option<Vec<usize>> {
    let mut axes = Vec::with_capacity(rank.min(given.len()) + 1);
    let mut all_are_right = true;
    for (index, &axis) in given.iter().enumerate() {
        match resolve(|| format!("axes[{index}]"), axis, rank, found) {
            Some(resolved) if axes.contains(&resolved) => {
                found.add_with(|| (format!("axes[{index}]"), format!("axis {resolved} is named twice")));
                all_are_right = false;
            }
            Some(resolved) => axes.push(resolved),
            None => all_are_right = false,
        }
    }
    all_are_right.then_some(axes)
}

/// Adds a violation for each axis that is named twice by the same number, whatever the rank is.
pub(super) fn check_repeated(given: &[i32], found: &mut Violations) {
    let mut seen = HashSet::new();
    for (index, &axis) in given.iter().enumerate() {
        if !seen.insert(axis) {
            found.add_with(|| (format!("axes[{index}]"), format!("axis {axis} is named twice")));
        }
    }
}

/// The pooled axes, sorted; `None` if they cannot be known. `channel_axis`: as [`channel_axis`] gives it.
#[expect(clippy::option_option, reason = "unknown is not the same as absent")]
pub(super) fn pooled_axes(
    spec: &Normalization,
    rank: usize,
    channel_axis: Option<Option<usize>>,
    found: &mut Violations,
) -> Option<Vec<usize>> {
    let axes = resolve_axes(&spec.axes, rank, found);
    let (channel_axis, mut axes) = (channel_axis?, axes?);
    if axes.is_empty() {
        axes = spec.kind.default_axes(rank, channel_axis);
    }
    if spec.kind == NormKind::Group {
        axes.extend(channel_axis.filter(|axis| !axes.contains(axis)));
    }
    axes.sort_unstable();
    Some(axes)
}

/// Whether both running statistics are given; `None` if only one is.
pub(super) fn check_both([mean, var]: [bool; 2], found: &mut Violations) -> Option<bool> {
    if mean != var {
        let (missing, there) = if mean { ("running_var", "running_mean") } else { ("running_mean", "running_var") };
        found.add(missing, format!("required beside {there}"));
        return None;
    }
    Some(mean)
}

/// The source of the statistics without regard to merged ones; `None` if it cannot be known. `are_sent`: whether the
/// running mean is given, and the running variance.
pub(super) fn source(spec: &Normalization, are_sent: [bool; 2], found: &mut Violations) -> Option<Source> {
    if !spec.kind.has_running_statistics() {
        for (field, _) in ["running_mean", "running_var"].into_iter().zip(are_sent).filter(|&(_, is_sent)| is_sent) {
            found.add(field, format!("only {} have running statistics", those(NormKind::has_running_statistics)));
        }
        return Some(Source::Input);
    }
    let has_running = check_both(are_sent, found)?;
    match spec.training {
        Some(false) if !has_running => {
            for field in ["running_mean", "running_var"] {
                found.add(field, "required when training is false");
            }
            None
        }
        Some(false) => Some(Source::Running),
        None if has_running => Some(Source::Running),
        None | Some(true) => Some(Source::Input),
    }
}

/// The eps that is used; `None` if it is invalid. `source`: `None` if it cannot be known.
pub(super) fn eps(spec: &Normalization, dtype: DType, source: Option<Source>, found: &mut Violations) -> Option<f64> {
    let Some(eps) = spec.eps else {
        return Some(spec.kind.default_eps(dtype));
    };
    if !check_eps(Some(eps), found) {
        return None;
    }
    if eps == 0.0 && spec.kind.has_running_statistics() && matches!(source, Some(Source::Input | Source::Merged)) {
        found.add("eps", "must be above 0 with the input's own statistics");
        return None;
    }
    Some(eps + 0.0) // of -0.0: 0
}

/// Whether `eps` is a number that can be added to a variance.
pub(super) fn check_eps(eps: Option<f64>, found: &mut Violations) -> bool {
    let wrong = eps.filter(|eps| !eps.is_finite() || *eps < 0.0);
    if let Some(eps) = wrong {
        found.add("eps", format!("expected a finite number not below 0, got {}", Brief(eps)));
    }
    wrong.is_none()
}

pub(super) fn momentum(given: Option<f64>, found: &mut Violations) -> Option<f64> {
    let momentum = given.unwrap_or(0.1);
    if (0.0..=1.0).contains(&momentum) {
        return Some(momentum + 0.0); // of -0.0: 0
    }
    found.add("momentum", format!("expected a number in [0, 1], got {}", Brief(momentum)));
    None
}

/// Adds a violation for a weight or bias that is given for a kind without them. `are_sent`: whether each is given.
pub(super) fn check_affine(kind: NormKind, are_sent: [bool; 2], found: &mut Violations) {
    for (field, _) in ["weight", "bias"].into_iter().zip(are_sent).filter(|&(_, is_sent)| is_sent && !kind.has_affine())
    {
        found.add(field, format!("only {} have weight and bias", those(NormKind::has_affine)));
    }
}

/// Adds a violation if a shape is not the expected one. `expected`: `None` if it cannot be known.
pub(super) fn check_shape(
    field: &'static str,
    given: Option<&[usize]>,
    expected: Option<&[usize]>,
    found: &mut Violations,
) {
    if let (Some(given), Some(expected)) = (given, expected)
        && given != expected
    {
        found.add(field, format!("expected {expected:?}, got {given:?}"));
    }
}
