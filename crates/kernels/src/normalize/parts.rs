//! Normalization part by part.
//!
//! A tensor is cut where no statistic reaches across, so that each part can be normalized as soon as it is there, and
//! while it is in a core's cache. Which parts there are depends on the shape alone, and no part's bits on another.

use super::{
    NormParameters, Normalization, Normalized,
    affine::Affine,
    forward::{PART, forward},
    layout::Layout,
    plan::{Plan, Source},
    statistics::{Running, Statistics},
};
use crate::{Checkpoint, DType, Error, Tensor, dtype::with_element};

/// A normalization of a tensor of known shape whose elements come part by part. [`normalize`](super::normalize()) is
/// this, over all parts at once.
///
/// ```
/// use evenkeel_kernels::{
///     DType, NormKind, NormParameters, Normalization, NormalizationByParts, Tensor, Uninterrupted, normalize,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((100, 1000), |(i, j)| (i * j % 7) as f32));
/// let (spec, none) = (Normalization::new(NormKind::Layer), NormParameters::default());
/// let parts = NormalizationByParts::new(&spec, &none, DType::F32, x.shape())?;
/// let mut output = vec![0; x.data().len()];
/// let pieces = x.data().chunks(parts.part_len()).zip(output.chunks_mut(parts.part_len()));
/// let statistics = pieces
///     .enumerate()
///     .map(|(index, (input, output))| parts.normalize(index, input, output, &Uninterrupted))
///     .collect::<Result<Vec<_>, _>>()?;
/// let by_parts = parts.finish(&none, false, statistics, output);
/// assert_eq!(by_parts, normalize(&spec, &none, x.view(), false, &Uninterrupted)?);
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
pub struct NormalizationByParts {
    pub(super) plan: Plan,
    /// The plan's; of a tensor without elements that of one element, which is never used.
    pub(super) layout: Layout,
    pub(super) affine: Affine,
    pub(super) running: Option<Running>,
    dtype: DType,
    shape: Vec<usize>,
}

/// The statistics of a part.
pub struct PartStatistics(Statistics);

impl NormalizationByParts {
    /// Of a tensor of this dtype and shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that do not fit.
    pub fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
    ) -> Result<Self, Error> {
        let plan = Plan::new(spec, parameters, dtype, shape)?;
        let layout = plan.layout.clone().unwrap_or_else(|| Layout::new([].into_iter()));
        let affine = Affine::new(parameters, &layout);
        let running = Running::of(parameters);
        Ok(Self { plan, layout, affine, running, dtype, shape: shape.to_vec() })
    }

    /// The bytes of each part but the last, which may have fewer. A tensor that cannot be cut is one part.
    pub fn part_len(&self) -> usize {
        self.layout.parts(PART).len() * self.dtype.size()
    }

    /// The bytes of all parts.
    pub fn total_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    /// Writes part `index`, whose bytes are `input`, normalized, to `output`. Parts may come in any order.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn normalize(
        &self,
        index: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartStatistics, Error> {
        with_element!(self.dtype, E => forward::<E>(self, index, input, output, checkpoint)).map(PartStatistics)
    }

    /// The result, from the `parameters` that were given to [`new`](Self::new), the statistics of all parts in their
    /// order, and what was written.
    pub fn finish(
        self,
        parameters: &NormParameters<'_>,
        return_statistics: bool,
        statistics: Vec<PartStatistics>,
        output: Vec<u8>,
    ) -> Normalized {
        let Self { plan, layout, affine: _, mut running, dtype, shape } = self;
        let (mut mean, mut rstd) = (None, None);
        if plan.layout.is_some() {
            let statistics = Statistics::concat(statistics.into_iter().map(|part| part.0).collect());
            running = running.map(|running| running.updated(&plan, &layout, &statistics));
            if return_statistics {
                (mean, rstd) = statistics.tensors(&plan, dtype);
            }
        } else if return_statistics {
            (mean, rstd) = Statistics::undefined(&plan, dtype);
        }
        let (running_mean, running_var) = match (plan.source, running) {
            (Source::Input, Some(running)) => running.tensors(parameters),
            (Source::Input, None) | (Source::Running, _) => (None, None),
        };
        let output = Tensor::from_parts(dtype, shape, output);
        Normalized { axes: plan.axes, mean, rstd, running_mean, running_var, output }
    }
}
