//! Operations on a tensor whose elements come in order, part by part.

use std::time::Duration;

use evenkeel_kernels::{Checkpoint, DType, DropoutInOrder, PartMask};

use crate::{error::Error, estimate::Work};

/// An operation that computes a part of its result from the same part of its input.
pub(crate) trait Incremental: Send + Sync + 'static {
    /// What is found in a part beside its result.
    type Found: Send + 'static;

    /// The bytes of the smallest part; each part but the last is any number of these.
    fn unit_len(&self) -> usize;

    /// The bytes of parts that are worth a call, a multiple of [`unit_len`](Self::unit_len), if that is not longer.
    fn part_len(&self) -> usize;

    /// The bytes of all parts.
    fn total_len(&self) -> usize;

    /// How long a part of `len` bytes takes on one thread, roughly.
    fn cost(&self, len: usize) -> Duration;

    /// Computes the part `input`, which begins with byte `from`, into `output`.
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
