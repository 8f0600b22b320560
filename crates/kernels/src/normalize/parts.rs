//! Normalization part by part.
//!
//! A tensor is cut where no statistic reaches across, so that each part can be normalized as soon as it has arrived,
//! while it is in a core's cache. No part's bits depend on another, nor on where the cuts are.

use super::{
    NormParameters, Normalization, Normalized,
    demand::LargeParts,
    forward::{PART, forward},
    plan::Source,
    prepared::Prepared,
    statistics::Statistics,
};
use crate::{Checkpoint, DType, Error, dtype::with_element, in_out::InOut};

/// A normalization of a tensor of known shape whose elements come part by part. [`normalize`](super::normalize()) is
/// this, over all parts at once.
///
/// ```
/// use evenkeel_kernels::{
///     DType, NormKind, NormParameters, Normalization, NormalizationByParts, PartStatistics, Tensor, Uninterrupted,
///     normalize,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((100, 1000), |(i, j)| (i * j % 7) as f32));
/// let (spec, none) = (Normalization::new(NormKind::Layer), NormParameters::default());
/// let parts = NormalizationByParts::new(&spec, &none, DType::F32, x.shape(), &Uninterrupted)?;
/// let mut output = vec![0; x.data().len()];
/// let (len, mut from) = (3 * parts.unit_len(), 0);
/// let mut statistics = PartStatistics::default();
/// for (input, output) in x.data().chunks(len).zip(output.chunks_mut(len)) {
///     let of_part = parts.normalize(from, input, output, &Uninterrupted)?;
///     parts.gather(&mut statistics, of_part);
///     from += input.len();
/// }
/// let whole = normalize(&spec, &none, x.view(), true, &Uninterrupted)?;
/// assert_eq!(output, whole.output.data());
/// assert_eq!(parts.finish(&none, true, statistics), whole.map_output(|_| ()));
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
pub struct NormalizationByParts(pub(super) Prepared);

/// The statistics of a part, or of all parts up to it; by default, of none.
#[derive(Default)]
pub struct PartStatistics(pub(super) Statistics);

impl NormalizationByParts {
    /// Prepares the normalization of a tensor of this dtype and shape. Given statistics take some microseconds for each
    /// set.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that do not fit; [`Error::Cancelled`].
    pub fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        Prepared::new(spec, parameters, dtype, shape, checkpoint).map(Self)
    }

    /// The bytes of the smallest part; a part is any number of these. A tensor that cannot be cut is one.
    pub fn unit_len(&self) -> usize {
        self.0.layout.unit() * self.0.dtype.size()
    }

    /// The bytes of parts that stay in a core's cache and are worth a call, a multiple of [`unit_len`](Self::unit_len).
    pub fn part_len(&self) -> usize {
        self.0.layout.parts(PART).len() * self.0.dtype.size()
    }

    /// How many parts of [`part_len`](Self::part_len) may be computed at once, for the memory that they take.
    pub(super) fn at_once(&self) -> usize {
        let Prepared { plan, layout, dtype, .. } = &self.0;
        LargeParts::forward(plan, layout, *dtype).at_once()
    }

    /// The bytes of all parts.
    pub fn total_len(&self) -> usize {
        self.0.total_len()
    }

    /// Normalizes a part and writes it to `output`. `input` has the bytes of the part, `from` is the index of the first
    /// of them in the tensor's bytes. Parts may come in any order.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn normalize(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartStatistics, Error> {
        self.normalize_from(from, InOut::Apart { input, output }, checkpoint)
    }

    pub(super) fn normalize_from(
        &self,
        from: usize,
        part: InOut<'_>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartStatistics, Error> {
        let Self(prepared) = self;
        let from = from / prepared.dtype.size();
        with_element!(prepared.dtype, E => forward::<E>(prepared, from, part, checkpoint)).map(PartStatistics)
    }

    /// Whether [`finish`](Self::finish) needs the statistics of the parts.
    pub fn gives_statistics(&self, return_statistics: bool) -> bool {
        let Prepared { plan, running, merged, .. } = &self.0;
        merged.is_none() && (return_statistics || (plan.source == Source::Input && running.is_some()))
    }

    /// Adds the statistics of the next part to those of the parts before it. All of them take what
    /// [`normalize_demand`](super::normalize_demand) counts, however small the parts are.
    pub fn gather(&self, statistics: &mut PartStatistics, next: PartStatistics) {
        statistics.0.append(next.0, self.0.layout.sets());
    }

    /// The axes that are pooled, as in [`Normalized::axes`].
    pub fn axes(&self) -> &[usize] {
        &self.0.plan.axes
    }

    /// The result without the output, from the `parameters` that were given to [`new`](Self::new) and the statistics of
    /// all parts, [gathered](Self::gather) in their order; they need not be if [`gives_statistics`](Self::gives_statistics) is false.
    pub fn finish(
        self,
        parameters: &NormParameters<'_>,
        return_statistics: bool,
        statistics: PartStatistics,
    ) -> Normalized<()> {
        let Self(Prepared { plan, layout, mut running, merged, dtype, .. }) = self;
        let (mut mean, mut rstd) = (None, None);
        let gives_statistics = return_statistics || (plan.source == Source::Input && running.is_some());
        if let Some(merged) = merged {
            if merged.elements > 0 && !merged.all().mean.is_empty() {
                running = running.map(|running| running.updated(&plan, merged.elements as f64, merged.all()));
            }
            if return_statistics {
                (mean, rstd) = merged.all().tensors(&plan, dtype);
            }
        } else if plan.layout.is_some() && gives_statistics {
            let PartStatistics(statistics) = statistics;
            running = running.map(|running| running.updated(&plan, layout.set_len() as f64, &statistics));
            if return_statistics {
                (mean, rstd) = statistics.tensors(&plan, dtype);
            }
        } else if plan.layout.is_none() && return_statistics {
            (mean, rstd) = Statistics::undefined(&plan, dtype);
        }
        let (running_mean, running_var) = match (plan.source, running) {
            (Source::Input | Source::Merged, Some(running)) => running.tensors(parameters),
            (Source::Input | Source::Merged, None) | (Source::Running, _) => (None, None),
        };
        Normalized { axes: plan.axes, mean, rstd, running_mean, running_var, output: () }
    }
}
