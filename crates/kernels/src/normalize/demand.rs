//! The memory and work of a normalization.
//!
//! The numbers of bytes are those of the lists in [`Statistics`](super::statistics::Statistics),
//! [`Slopes`](super::backward::slopes::Slopes) and [`sums`](super::reduce::sums); `tests/demand.rs` compares them with the
//! counts of an allocator.

use super::{
    NormParameters, Normalization, backward_plan,
    forward::PART,
    layout::Layout,
    plan::{Plan, Source},
    reduce::{Over, accumulators},
    tiles::tiles,
};
use crate::{DType, Demand, Error, TensorRef, dtype::with_element};

/// A pair of float64.
const PAIR: usize = 16;

/// The bytes that the large parts computed at once may take together. The number of threads is no bound: a thread that waits for a
/// piece of its part begins another part meanwhile.
const LARGE_PARTS: usize = 16 << 20;

/// Parts of more than `PART` elements, because a single index of the outermost dimension has more. The memory of smaller ones is in
/// [`Demand::SCRATCH_PER_THREAD`].
#[derive(Clone, Copy)]
pub(super) struct LargeParts {
    /// How many there are.
    count: usize,
    /// The bytes that each of them takes for a copy of its elements.
    copy: usize,
    /// The bytes that each of them takes for everything else.
    others: usize,
}

impl LargeParts {
    /// The large parts of a tensor that is normalized.
    pub(super) fn forward(plan: &Plan, layout: &Layout, dtype: DType) -> Self {
        Self::of(layout, dtype, |part| measuring(plan, part, dtype))
    }

    /// The large parts of a tensor whose gradient is computed.
    pub(super) fn backward(plan: &Plan, layout: &Layout, dtype: DType) -> Self {
        Self::of(layout, dtype, |part| measuring(plan, part, dtype) + sloping(part, dtype))
    }

    fn of(layout: &Layout, dtype: DType, needs: impl Fn(&Layout) -> usize) -> Self {
        let parts = layout.parts(PART);
        if parts.len() <= PART {
            return Self { count: 0, copy: 0, others: 0 };
        }
        let (part, _) = parts.part(0, parts.len());
        let count = (layout.sets() * layout.set_len()).div_ceil(parts.len());
        Self { count, copy: copy(&part, dtype), others: needs(&part) }
    }

    /// How many parts are computed at once: many where each is too little work for all threads.
    pub(super) fn at_once(self) -> usize {
        LARGE_PARTS.checked_div(self.copy + self.others).map_or(usize::MAX, |parts| parts.max(1))
    }

    /// The bytes of the copies of those that are computed at once.
    fn copies(self) -> usize {
        self.copy * self.at_once().min(self.count)
    }

    /// The bytes that those take that are computed at once.
    fn scratch(self) -> usize {
        self.copies() + self.others * self.at_once().min(self.count)
    }
}

/// The memory and work of [`normalize`](super::normalize()).
///
/// # Errors
/// As [`normalize`](super::normalize()), but for [`Error::Cancelled`].
pub fn normalize_demand(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    dtype: DType,
    shape: &[usize],
    return_statistics: bool,
) -> Result<Demand, Error> {
    let plan = Plan::new(spec, parameters, dtype, shape)?;
    Ok(forward_demand(&plan, parameters, dtype, return_statistics))
}

/// The memory and work of a [`NormalizationInOrder`](super::NormalizationInOrder), which has the statistics of all sets from its
/// beginning on if they are known.
///
/// # Errors
/// As [`normalize_demand`].
pub fn normalize_in_order_demand(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    dtype: DType,
    shape: &[usize],
    return_statistics: bool,
) -> Result<Demand, Error> {
    let plan = Plan::new(spec, parameters, dtype, shape)?;
    let demand = forward_demand(&plan, parameters, dtype, return_statistics);
    let given = given(&plan, parameters);
    let known = match plan.source {
        Source::Input => return Ok(demand),
        Source::Merged => merged(&plan, dtype, 0),
        // The parameters once more, and the statistics of each channel.
        Source::Running => given + plan.channels.count * statistics(dtype),
    };
    // No part is measured. The statistics of all sets are made at the end.
    let at_end = if return_statistics { plan.sets() * (statistics(dtype) + 8) } else { 0 };
    Ok(Demand { scratch: given + known + at_end, ..demand })
}

fn forward_demand(plan: &Plan, parameters: &NormParameters<'_>, dtype: DType, return_statistics: bool) -> Demand {
    let sets = plan.sets();
    let running = parameters.running_mean.into_iter().chain(parameters.running_var);
    let updates = if plan.source != Source::Running { running.map(|tensor| tensor.data().len()).sum() } else { 0 };
    let tensors = if plan.centred { 2 } else { 1 };
    let returned = if return_statistics { sets * tensors * returned_size(dtype) } else { 0 };
    let scratch = plan.layout.as_ref().map_or(0, |layout| {
        let keeps = plan.source != Source::Merged && (return_statistics || updates > 0);
        let means = if return_statistics { sets * 8 } else { 0 };
        let large_parts = LargeParts::forward(plan, layout, dtype).scratch();
        means + lists(plan, layout, dtype, keeps, statistics(dtype)) + large_parts
    });
    let scratch = scratch + given(plan, parameters) + merged(plan, dtype, 0);
    Demand { results: returned + updates, scratch, units: plan.units() }
}

/// The memory and work of [`normalize_backward`](super::normalize_backward()).
///
/// # Errors
/// As [`normalize_backward`](super::normalize_backward()), but for [`Error::Cancelled`].
pub fn normalize_backward_demand(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    grad_output: TensorRef<'_>,
) -> Result<Demand, Error> {
    let plan = backward_plan(spec, parameters, input, grad_output)?;
    let (dtype, units) = (input.dtype(), plan.units());
    let affine = parameters.weight.into_iter().chain(parameters.bias);
    let results: usize = affine.clone().map(|tensor| tensor.data().len()).sum();
    let places = affine.map(|tensor| tensor.len()).max();
    let scratch = plan.layout.as_ref().map_or(0, |layout| {
        let kept = places.map_or(0, |places| {
            let (terms, slopes) = if dtype == DType::F64 { (3, 4 * 8) } else { (2, 2 * 8) };
            let weight = parameters.weight.map(|weight| weight.dtype());
            let is_narrow_beside_float64 = dtype != DType::F64 && weight == Some(DType::F64);
            let terms = if is_narrow_beside_float64 { 3 } else { terms };
            let sums = accumulators(layout, Over::Repetitions) * terms * PAIR;
            // The sums are pairs, and then one list.
            let exact = if is_narrow_beside_float64 { exact_weights(layout) } else { 0 };
            lists(&plan, layout, dtype, true, statistics(dtype) + slopes) + exact + sums + places * PAIR
        });
        let large_parts = LargeParts::backward(&plan, layout, dtype);
        // The whole is copied when the copies of its parts are gone.
        let copied = if places.is_some() { copy(layout, dtype).saturating_sub(large_parts.copies()) } else { 0 };
        // A mean and a slope of each set, as pairs, and as the lists that they become.
        let of_merged = merged(&plan, dtype, 2 * PAIR + 4 * 8);
        large_parts.scratch() + kept + copied + given(&plan, parameters) + of_merged
    });
    // The gradients of weight and bias are made one after the other, each as float64 first.
    let float64 = places.unwrap_or(0) * 8;
    Ok(Demand { results, scratch: scratch + float64, units })
}

impl Plan {
    /// How many sets share statistics.
    fn sets(&self) -> usize {
        self.statistics_shape.iter().product()
    }

    /// The sets, and twice the short runs beyond one for each set: a kernel takes twice as long to go to another run as
    /// for a set. In long runs the elements take the time.
    fn units(&self) -> usize {
        const SHORT: usize = 64;
        let sets = self.sets();
        let short = self.layout.as_ref().filter(|layout| layout.run().len < SHORT);
        let runs = short.map_or(0, |layout| layout.outer().iter().map(|dim| dim.len).product());
        sets + 2 * runs.saturating_sub(sets)
    }
}

/// The bytes of statistics that are given instead of the input's own: the numbers of each set, the lists that they
/// become, and `more` bytes for each set.
fn merged(plan: &Plan, dtype: DType, more: usize) -> usize {
    /// A mean of three numbers, a variance, a pair and an exponent.
    const SET: usize = 7 * 8;
    if plan.source == Source::Merged { plan.sets() * (SET + statistics(dtype) + more) } else { 0 }
}

fn returned_size(dtype: DType) -> usize {
    if dtype == DType::F64 { 8 } else { 4 }
}

/// The bytes of a set in the lists of statistics.
fn statistics(dtype: DType) -> usize {
    if dtype == DType::F64 { 7 * 8 } else { 4 * 8 }
}

/// The bytes of weight, bias and running statistics as float64, of the weight as float32, and of the running statistics
/// after an update.
fn given(plan: &Plan, parameters: &NormParameters<'_>) -> usize {
    let affine = parameters.weight.into_iter().chain(parameters.bias).map(|tensor| tensor.len()).max();
    let channels = parameters.running_mean.map_or(0, |_| plan.channels.count);
    affine.unwrap_or(1) * (8 + 8 + 4) + channels * (2 * 8 + 2 * PAIR + 2 * 8)
}

/// The bytes of the lists of all parts, with `per_set` bytes for a set, and of the lists of the whole that they become.
fn lists(plan: &Plan, layout: &Layout, dtype: DType, keeps: bool, per_set: usize) -> usize {
    let is_one_part = layout.parts(PART).len() == layout.sets() * layout.set_len();
    // The lists of tiles are always kept.
    let are_put_together =
        if is_one_part { with_element!(dtype, E => tiles::<E>(plan, layout).is_some()) } else { keeps };
    if are_put_together { 2 * layout.sets() * per_set } else { 0 }
}

/// The bytes of the copy of elements whose squares leave float64's range.
fn copy(part: &Layout, dtype: DType) -> usize {
    if dtype == DType::F64 { part.sets() * part.set_len() * dtype.size() } else { 0 }
}

/// The bytes that it takes to measure the sets of a part.
fn measuring(plan: &Plan, part: &Layout, dtype: DType) -> usize {
    if plan.source == Source::Merged {
        return part.sets() * statistics(dtype); // the part of the lists of all sets
    }
    let accumulators = accumulators(part, Over::Sets);
    if dtype == DType::F64 {
        // The means as pairs and as numbers; then, for telling which are certain, a number and a reach for each.
        accumulators * 2 * PAIR + part.sets() * (PAIR + 8 + statistics(dtype) + 8 + 8 + 8)
    } else {
        // The sums, the means and the variances, and the sums of squares, which are two for a float64 variance.
        accumulators * 2 * PAIR + part.sets() * (2 * PAIR + statistics(dtype))
    }
}

/// The bytes that float64 gradients of a weight take beside narrower elements: means with their tails, sums of squares,
/// and variances and denominators as pairs, and as lists.
fn exact_weights(layout: &Layout) -> usize {
    accumulators(layout, Over::Sets) * 2 * PAIR + layout.sets() * (2 * 8 + 3 * PAIR)
}

/// The bytes that it takes to compute the slopes of the sets of a part.
fn sloping(part: &Layout, dtype: DType) -> usize {
    let pairs = if dtype == DType::F64 { 4 } else { 2 };
    accumulators(part, Over::Sets) * pairs * PAIR + part.sets() * pairs * 8
}
