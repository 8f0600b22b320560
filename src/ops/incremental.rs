//! Operations on a tensor whose elements come in order, part by part.

use std::{sync::Arc, time::Duration};

use evenkeel_kernels::{
    Checkpoint, ClipInOrder, ClippedPart, DType, DropoutInOrder, NormalizationInOrder, PartMask, PartStatistics,
    TensorMut, Uninterrupted,
};

use crate::{error::Error, estimate::Work};

/// An operation that computes a part of its result from the same part of its input.
pub(crate) trait Incremental: Send + Sync + 'static {
    /// The results of a part beside its output: statistics, a mask or a norm.
    type Found: Send + 'static;

    /// The bytes of a unit, the smallest part. Each part is a whole number of units; the last part may end within one.
    fn unit_len(&self) -> usize;

    /// The bytes of a part that is worth a call of the kernel: a multiple of [`unit_len`](Self::unit_len), unless the
    /// whole tensor is one unit.
    fn part_len(&self) -> usize;

    /// The bytes of the whole tensor.
    fn total_len(&self) -> usize;

    /// An estimate of the time that a part of `len` bytes takes on one thread.
    fn cost(&self, len: usize) -> Duration;

    /// Computes the part `input`, which begins at byte `from` of the tensor, and writes its result to `output`, which
    /// has the same length.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    fn compute(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self::Found, Error>;
}

/// A dropout, or the gradient of one.
pub(crate) struct DropoutPart {
    pub(crate) operation: DropoutInOrder,
    pub(crate) dtype: DType,
}

impl Incremental for DropoutPart {
    type Found = PartMask;

    fn unit_len(&self) -> usize {
        self.operation.unit_len()
    }

    fn part_len(&self) -> usize {
        self.operation.part_len()
    }

    fn total_len(&self) -> usize {
        self.operation.total_len()
    }

    fn cost(&self, len: usize) -> Duration {
        Work::Dropout.estimate_of([(self.dtype, len / self.dtype.size())], 0)
    }

    fn compute(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartMask, Error> {
        Ok(self.operation.drop_elements(from, input, output, checkpoint)?)
    }
}

/// A normalization.
pub(crate) struct NormalizePart {
    pub(crate) operation: NormalizationInOrder,
    pub(crate) dtype: DType,
    /// The units of work of the whole tensor, as in `Demand::units`: sets that share statistics, and short runs.
    pub(crate) sets: usize,
}

impl Incremental for NormalizePart {
    type Found = Option<PartStatistics>;

    fn unit_len(&self) -> usize {
        self.operation.unit_len()
    }

    fn part_len(&self) -> usize {
        self.operation.part_len()
    }

    fn total_len(&self) -> usize {
        self.operation.total_len()
    }

    fn cost(&self, len: usize) -> Duration {
        let share = (self.sets as u128 * len as u128).div_ceil(self.total_len().max(1) as u128);
        Work::Normalize.estimate_of([(self.dtype, len / self.dtype.size())], share as usize)
    }

    fn compute(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Option<PartStatistics>, Error> {
        Ok(self.operation.normalize(from, input, output, checkpoint)?)
    }
}

/// The clipping of one gradient.
pub(crate) struct ClipPart {
    pub(crate) operation: Arc<ClipInOrder>,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Whether the gradient is clipped by its own norm, which needs all of its elements.
    pub(crate) is_whole: bool,
}

impl ClipPart {
    /// The results of a gradient without elements.
    ///
    /// # Errors
    /// None: the only error is [`Error::Cancelled`], and [`Uninterrupted`] never cancels.
    pub(crate) fn of_nothing(&self) -> Result<ClippedPart, Error> {
        self.compute(0, &[], &mut [], &Uninterrupted)
    }
}

impl Incremental for ClipPart {
    type Found = ClippedPart;

    fn unit_len(&self) -> usize {
        if self.is_whole { self.total_len().max(1) } else { self.dtype.size() }
    }

    fn part_len(&self) -> usize {
        ClipInOrder::part_len(self.dtype)
    }

    fn total_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    fn cost(&self, len: usize) -> Duration {
        let elements = len / self.dtype.size();
        Work::Clip.estimate_of([(self.dtype, elements)], 1) + Work::Measure.estimate_of([(self.dtype, elements)], 0)
    }

    fn compute(
        &self,
        _from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<ClippedPart, Error> {
        if !self.is_whole {
            return Ok(self.operation.clip(self.dtype, input, output, checkpoint)?);
        }
        output.copy_from_slice(input);
        let mut gradient = TensorMut::new(self.dtype, &self.shape, output).expect("all of it is there");
        Ok(self.operation.clip_gradient(&mut gradient, checkpoint)?)
    }
}
