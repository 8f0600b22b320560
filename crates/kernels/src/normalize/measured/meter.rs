//! Measuring a part of a tensor.

use evenkeel_exact::SetStatistics;

use super::{
    super::{
        NormParameters, Normalization,
        kind::{NormKind, those},
        layout::Layout,
        plan::Plan,
    },
    StatisticsPartial,
    cascade::Pairs,
    cells::Cells,
    sweep::Sweep,
};
use crate::{
    Checkpoint, DType, Demand, Error, TensorRef, Violations,
    dtype::with_element,
    parallel::{Places, for_each_chunk},
};

/// The sets whose statistics are computed from sums between two checkpoints: some 2 ms with the longest sums that there are, and a
/// quarter of one with those of ordinary numbers.
pub(in super::super) const SETS_IN_A_ROW: usize = 256;

/// Measures the statistics of a part whose elements come in any number of pieces.
///
/// The result merges with those of other parts, which may have any length along the pooled axes and have the same
/// length along all others. Neither the cuts nor the number of threads change the result.
///
/// ```
/// use evenkeel_kernels::{
///     DType, NormKind, Normalization, StatisticsMeter, Tensor, Uninterrupted, measure_statistics,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((100, 3), |(i, j)| (i * j % 7) as f32));
/// let spec = Normalization::new(NormKind::Batch);
/// let whole = measure_statistics(&spec, x.view(), None, &Uninterrupted)?;
/// // Ten samples here, in pieces, and ninety elsewhere.
/// let (here, elsewhere) = x.data().split_at(10 * 3 * 4);
/// let mut meter = StatisticsMeter::new(&spec, DType::F32, &[10, 3], false)?;
/// for piece in here.chunks(7 * 4) {
///     meter.add(piece, &[], &Uninterrupted)?;
/// }
/// let mut merged = meter.finish(&Uninterrupted)?;
/// let mut meter = StatisticsMeter::new(&spec, DType::F32, &[90, 3], false)?;
/// meter.add(elsewhere, &[], &Uninterrupted)?;
/// merged.merge(&meter.finish(&Uninterrupted)?).expect("both are batch statistics of three channels");
/// assert_eq!(merged, whole);
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
pub struct StatisticsMeter {
    measured: Measured,
    layout: Option<Layout>,
    dtype: DType,
    /// The number of elements of the part, and of those that have come.
    total: usize,
    come: usize,
    /// The cells of each set, one set after the other.
    sets: Vec<i64>,
}

/// The sets, and the sums that are measured for them.
struct Measured {
    kind: NormKind,
    shape: Vec<usize>,
    cells: Cells,
    has_gradients: bool,
}

impl Measured {
    /// Returns also the layout of a part of this shape; `None` for a part without elements.
    fn new(
        spec: &Normalization,
        dtype: DType,
        shape: &[usize],
        has_gradients: bool,
    ) -> Result<(Self, Option<Layout>), Violations> {
        let mut found = Violations::new();
        if has_gradients && !spec.kind.has_running_statistics() {
            let kinds = those(NormKind::has_running_statistics);
            found.add("grad_output", format!("gradients can be computed with merged statistics for {kinds} only"));
        }
        // These options are for the use of the statistics, and do not matter here.
        let spec = &Normalization { eps: None, training: None, momentum: None, ..spec.clone() };
        let plan = Plan::find_part(spec, &NormParameters::default(), dtype, shape, &mut found);
        found.into_result()?;
        let Plan { statistics_shape, layout, centred, .. } = plan.expect("without a violation there is a plan");
        let cells = Cells::new(dtype, centred, has_gradients);
        Ok((Self { kind: spec.kind, shape: statistics_shape, cells, has_gradients }, layout))
    }

    fn sets(&self) -> usize {
        self.shape.iter().product()
    }
}

impl StatisticsMeter {
    /// For a part of this dtype and shape. `has_gradients`: whether the gradients of its outputs come beside the
    /// elements, as gradients of the input need them. Of `spec`, only the kind, the axes, the groups and the axis of
    /// the channels are used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that do not fit.
    pub fn new(spec: &Normalization, dtype: DType, shape: &[usize], has_gradients: bool) -> Result<Self, Error> {
        let (measured, layout) = Measured::new(spec, dtype, shape, has_gradients)?;
        let sets = layout.as_ref().map_or(0, |_| measured.sets() * measured.cells.len());
        Ok(Self { measured, layout, dtype, total: shape.iter().product(), come: 0, sets: vec![0; sets] })
    }

    /// Adds the next elements and the gradients of their outputs: whole elements, as many of both. `grad_output` is
    /// empty if gradients are not measured.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are more than the part has, if an element is cut, or if there are not as many of
    /// both; [`Error::Cancelled`], after which the results of this meter are wrong.
    pub fn add(&mut self, input: &[u8], grad_output: &[u8], checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let size = self.dtype.size();
        let left = (self.total - self.come) * size;
        let mut found = Violations::new();
        if input.len() > left || !input.len().is_multiple_of(size) {
            let reason =
                format!("expected whole elements of at most the {left} bytes that are left, got {}", input.len());
            found.add("input.data", reason);
        }
        let expected = if self.measured.has_gradients { input.len() } else { 0 };
        if grad_output.len() != expected {
            found.add("grad_output.data", format!("expected {expected} bytes, got {}", grad_output.len()));
        }
        found.into_result()?;
        let Some(layout) = &self.layout else { return Ok(()) };
        let sweep = Sweep { cells: &self.measured.cells, checkpoint };
        let (sets, pairs) = (&mut self.sets, Pairs { x: input, g: grad_output });
        with_element!(self.dtype, E => sweep.add::<E>(&layout.dims, sets, self.come, pairs))?;
        self.come += input.len() / size;
        Ok(())
    }

    /// The kind of the statistics, their shape, and whether gradients are measured.
    pub fn measured(&self) -> (NormKind, &[usize], bool) {
        (self.measured.kind, &self.measured.shape, self.measured.has_gradients)
    }

    /// The bytes of the input that have not come.
    pub fn missing(&self) -> usize {
        (self.total - self.come) * self.dtype.size()
    }

    /// The statistics, once all elements have come.
    ///
    /// # Errors
    /// [`Error::Invalid`] if some have not; [`Error::Cancelled`].
    pub fn finish(self, checkpoint: &dyn Checkpoint) -> Result<StatisticsPartial, Error> {
        let Self { measured, layout, dtype, total, come, mut sets } = self;
        if come < total {
            let [expected, given] = [total, come].map(|elements| elements * dtype.size());
            return Err(Violations::of("input.data", format!("expected {expected} bytes, got {given}")).into());
        }
        let statistics = match layout {
            Some(layout) => {
                let (cells, set_len) = (&measured.cells, layout.set_len());
                let mut statistics = Vec::with_capacity(measured.sets());
                for sets in sets.chunks_mut(cells.len() * SETS_IN_A_ROW) {
                    checkpoint.check()?;
                    let results = Places::new(sets.len() / cells.len());
                    for_each_chunk(sets, cells.len(), &|index, set| {
                        results.put(index, cells.statistics(set, set_len));
                        Ok(())
                    })?;
                    statistics.extend(results.into_results());
                }
                statistics
            }
            None => {
                let gradients = measured.has_gradients.then(Default::default);
                vec![SetStatistics { gradients, ..SetStatistics::default() }; measured.sets()]
            }
        };
        let partial = StatisticsPartial::measured(measured.kind, measured.shape, statistics);
        Ok(partial)
    }
}

/// The statistics of a part, and of the gradient of its output if that is given, in a form that merges with that of other
/// parts, exactly.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit, [`Error::Cancelled`].
pub fn measure_statistics(
    spec: &Normalization,
    input: TensorRef<'_>,
    grad_output: Option<TensorRef<'_>>,
    checkpoint: &dyn Checkpoint,
) -> Result<StatisticsPartial, Error> {
    let mut found = Violations::new();
    if let Some(grad_output) = grad_output {
        super::super::check_gradient(input, grad_output, &mut found);
    }
    found.into_result()?;
    let mut meter = StatisticsMeter::new(spec, input.dtype(), input.shape(), grad_output.is_some())?;
    let gradients = grad_output.map_or(&[][..], |gradient| gradient.data());
    meter.add(input.data(), gradients, checkpoint)?;
    meter.finish(checkpoint)
}

/// The memory and work of a [`StatisticsMeter`]: `results` are the bytes of the statistics in memory.
///
/// # Errors
/// As [`StatisticsMeter::new`].
pub fn statistics_demand(
    spec: &Normalization,
    dtype: DType,
    shape: &[usize],
    has_gradients: bool,
) -> Result<Demand, Error> {
    let (measured, layout) = Measured::new(spec, dtype, shape, has_gradients)?;
    let units = measured.sets();
    let (sums, cells) =
        layout.map_or((0, 0), |_| (measured.cells.sum_bytes(), measured.cells.len() * size_of::<i64>()));
    Ok(Demand { results: units * (size_of::<SetStatistics>() + sums), scratch: units * cells, units })
}
