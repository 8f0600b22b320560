//! Normalization of a tensor whose elements come in order, in parts that may be smaller than those of its own statistics.

use super::{
    NormParameters, Normalization, NormalizationByParts, Normalized, PartStatistics,
    forward::{Known, PART, forward_known, known},
    plan::Source,
    prepared::Prepared,
};
use crate::{Checkpoint, DType, Error, dtype::with_element, in_out::InOut};

/// As [`NormalizationByParts`]. Where the statistics are known before the elements, the running ones or those of all parts, the
/// tensor may be cut between any two elements.
///
/// ```
/// use evenkeel_kernels::{
///     DType, NormKind, NormParameters, Normalization, NormalizationInOrder, Tensor, Uninterrupted, normalize,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((10, 3, 50), |(i, j, k)| (i * j * k % 7) as f32));
/// let [mean, var] = [0.5_f32, 2.0].map(|number| Tensor::from_array(&ndarray::array![number, number, number]));
/// let (running_mean, running_var) = (Some(mean.view()), Some(var.view()));
/// let parameters = NormParameters { running_mean, running_var, ..NormParameters::default() };
/// let spec = Normalization::new(NormKind::Batch);
/// let operation = NormalizationInOrder::new(&spec, &parameters, DType::F32, x.shape(), &Uninterrupted)?;
/// let mut output = vec![0; x.data().len()];
/// let (len, mut from) = (7 * operation.unit_len(), 0);
/// for (input, output) in x.data().chunks(len).zip(output.chunks_mut(len)) {
///     operation.normalize(from, input, output, &Uninterrupted)?;
///     from += input.len();
/// }
/// assert_eq!(output, normalize(&spec, &parameters, x.view(), false, &Uninterrupted)?.output.data());
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
pub struct NormalizationInOrder {
    parts: NormalizationByParts,
    known: Option<Known>,
}

/// Parts no smaller than those of [`NormalizationByParts`], whatever is known before the elements.
impl From<NormalizationByParts> for NormalizationInOrder {
    fn from(parts: NormalizationByParts) -> Self {
        Self { parts, known: None }
    }
}

impl NormalizationInOrder {
    /// As [`NormalizationByParts::new`].
    ///
    /// # Errors
    /// As [`NormalizationByParts::new`].
    pub fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let parts = NormalizationByParts::new(spec, parameters, dtype, shape, checkpoint)?;
        let of_channels = || Prepared::new(&spec.of_channels(), parameters, dtype, shape, checkpoint);
        let known = with_element!(dtype, E => known::<E>(&parts.0, of_channels))?;
        Ok(Self { parts, known })
    }

    /// The bytes of the smallest part; each part but the last is any number of these.
    pub fn unit_len(&self) -> usize {
        if self.known.is_some() { self.parts.0.dtype.size() } else { self.parts.unit_len() }
    }

    /// The bytes of parts that are worth a call, a multiple of [`unit_len`](Self::unit_len).
    pub fn part_len(&self) -> usize {
        if self.known.is_some() { PART * self.parts.0.dtype.size() } else { self.parts.part_len() }
    }

    /// The bytes of all parts.
    pub fn total_len(&self) -> usize {
        self.parts.total_len()
    }

    /// Writes a part, as [`NormalizationByParts::normalize`]. `None`: its statistics were known.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn normalize(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Option<PartStatistics>, Error> {
        let Self { parts, known } = self;
        let Some(known) = known else { return parts.normalize(from, input, output, checkpoint).map(Some) };
        let dtype = parts.0.dtype;
        let (from, elements) = (from / dtype.size(), InOut::Apart { input, output });
        with_element!(dtype, E => forward_known::<E>(&parts.0, known, from, elements, checkpoint)).map(|()| None)
    }

    /// Whether [`finish`](Self::finish) needs the statistics of the parts.
    pub fn gives_statistics(&self, return_statistics: bool) -> bool {
        self.known.is_none() && self.parts.gives_statistics(return_statistics)
    }

    /// As [`NormalizationByParts::gather`].
    pub fn gather(&self, statistics: &mut PartStatistics, next: PartStatistics) {
        self.parts.gather(statistics, next);
    }

    /// The axes that are pooled, as in [`Normalized::axes`].
    pub fn axes(&self) -> &[usize] {
        self.parts.axes()
    }

    /// The result without the output, as [`NormalizationByParts::finish`].
    pub fn finish(
        self,
        parameters: &NormParameters<'_>,
        return_statistics: bool,
        statistics: PartStatistics,
    ) -> Normalized<()> {
        let Self { parts, known } = self;
        let Prepared { plan, layout, running, dtype, .. } = &parts.0;
        let statistics = match running {
            // The parts had none of their own.
            Some(running) if known.is_some() && return_statistics && plan.source == Source::Running => {
                PartStatistics(with_element!(*dtype, E => running.statistics::<E>(plan, 0, layout.sets())))
            }
            _ => statistics,
        };
        parts.finish(parameters, return_statistics, statistics)
    }
}
