//! The state of a normalization before its elements are known.

use super::{
    NormParameters, Normalization, affine::Affine, layout::Layout, measured::Merged, plan::Plan, running::Running,
};
use crate::{Checkpoint, DType, Error};

/// A normalization of a tensor of one dtype and shape, with its arguments beside the elements.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    /// The plan's layout; for a tensor without elements, that of one element, which is never used.
    pub(super) layout: Layout,
    pub(super) affine: Affine,
    pub(super) running: Option<Running>,
    /// The statistics that are given instead of the input's own.
    pub(super) merged: Option<Merged>,
    pub(super) dtype: DType,
    shape: Vec<usize>,
}

impl Prepared {
    pub(super) fn new(
        spec: &Normalization,
        parameters: &NormParameters<'_>,
        dtype: DType,
        shape: &[usize],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let plan = Plan::new(spec, parameters, dtype, shape)?;
        let layout = plan.layout.clone().unwrap_or_else(|| Layout::new([].into_iter()));
        let affine = Affine::new(parameters, &layout).with_estimates(dtype);
        let running = Running::of(parameters);
        let merged = parameters.statistics.map(|statistics| Merged::new(statistics, &plan, dtype, checkpoint));
        let merged = merged.transpose()?;
        Ok(Self { plan, layout, affine, running, merged, dtype, shape: shape.to_vec() })
    }

    /// The bytes of the whole tensor.
    pub(super) fn total_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}
