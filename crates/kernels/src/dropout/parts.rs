//! Dropout part by part.
//!
//! An element's draw depends on its position alone, so each part can be drawn and written as soon as it has arrived.

use super::{Drawn, Draws, Dropout, Dropped, Select, draw, select_each, select_shared};
use crate::{Checkpoint, DType, Error, Tensor, in_out::InOut, parallel::CHUNK};

/// A dropout of a tensor of known shape whose elements come part by part. [`dropout`](super::dropout()) is this, over all
/// parts at once.
///
/// ```
/// use evenkeel_kernels::{
///     DType, Dropout, DropoutByParts, DropoutKind, DropoutScaling, Tensor, Uninterrupted, dropout,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((100, 1000), |(i, j)| (i * j % 7) as f32));
/// let (kind, scaling) = (DropoutKind::Element, DropoutScaling::Inverted);
/// let spec = Dropout { p: 0.1, seed: 42, offset: 0, kind, scaling, channel_axis: None };
/// let parts = DropoutByParts::new(&spec, DType::F32, x.shape(), &Uninterrupted)?;
/// let mut output = vec![0; x.data().len()];
/// let pieces = x.data().chunks(parts.part_len()).zip(output.chunks_mut(parts.part_len()));
/// let masks = pieces
///     .enumerate()
///     .map(|(index, (input, output))| parts.drop_elements(index, input, output, &Uninterrupted))
///     .collect::<Result<Vec<_>, _>>()?;
/// let by_parts = parts.finish(true, masks, output);
/// assert_eq!(by_parts, dropout(&spec, x.view(), true, &Uninterrupted)?);
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
pub struct DropoutByParts {
    spec: Dropout,
    draws: Draws,
    how: Select,
    /// The mask of all draws, for the channel kinds: a channel may lie in many parts, and a part in many channels.
    channels: Option<Vec<u8>>,
    dtype: DType,
    shape: Vec<usize>,
}

/// The draws of a part.
#[derive(Debug)]
pub struct PartMask {
    /// The number of draws that keep.
    pub(super) kept: u64,
    /// A bit for each draw; empty if the draws are those of channels, or are not wanted.
    pub(super) bits: Vec<u8>,
    /// The number of draws.
    pub(super) count: usize,
}

impl PartMask {
    /// Of `count` draws.
    pub(super) fn of(bits: Vec<u8>, count: usize) -> Self {
        Self { kept: ones(&bits), bits, count }
    }

    /// The same without the bits.
    pub(super) fn counted(self) -> Self {
        Self { bits: Vec::new(), ..self }
    }
}

fn ones(bits: &[u8]) -> u64 {
    bits.iter().map(|bits| u64::from(bits.count_ones())).sum()
}

impl DropoutByParts {
    /// Prepares the dropout of a tensor of this dtype and shape. The channel kinds draw all of their mask here, and ask
    /// `checkpoint` meanwhile.
    ///
    /// # Errors
    /// As [`dropout`](super::dropout()).
    pub fn new(spec: &Dropout, dtype: DType, shape: &[usize], checkpoint: &dyn Checkpoint) -> Result<Self, Error> {
        Self::forward(spec, dtype, shape, true, checkpoint)
    }

    /// As [`new`](Self::new). Where there are no elements and the mask is not wanted, nothing is drawn.
    pub(super) fn forward(
        spec: &Dropout,
        dtype: DType,
        shape: &[usize],
        wants_mask: bool,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        Self::of(spec, "input.shape", dtype, shape, Select::forward(spec, dtype), wants_mask, checkpoint)
    }

    /// As [`new`](Self::new), of a gradient.
    pub(super) fn backward(
        spec: &Dropout,
        dtype: DType,
        shape: &[usize],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        Self::of(spec, "grad_output.shape", dtype, shape, Select::backward(spec), false, checkpoint)
    }

    fn of(
        spec: &Dropout,
        shape_field: &'static str,
        dtype: DType,
        shape: &[usize],
        how: Select,
        wants_mask: bool,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let draws = Draws::of(spec, shape_field, shape)?;
        let drawn = if wants_mask || draws.elements() > 0 { draws.count() } else { 0 };
        let channels = spec.kind.by_channel().then(|| draw(spec, 0, drawn, checkpoint)).transpose()?;
        Ok(Self { spec: *spec, draws, how, channels, dtype, shape: shape.to_vec() })
    }

    /// The bytes of each part but the last, which may have fewer.
    pub fn part_len(&self) -> usize {
        CHUNK * self.dtype.size()
    }

    /// The bytes of all parts.
    pub fn total_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    /// Writes part `index`, whose bytes are `input`, after dropout, to `output`. Parts may come in any order.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn drop_elements(
        &self,
        index: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartMask, Error> {
        self.drop_from(index, InOut::Apart { input, output }, checkpoint)
    }

    pub(super) fn drop_from(
        &self,
        index: usize,
        part: InOut<'_>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartMask, Error> {
        checkpoint.check()?; // `draw` does not ask if p = 1
        let first = index * CHUNK;
        if let Some(mask) = &self.channels {
            select_shared(self.dtype, part, (mask, 0), first, &self.draws, self.how);
            return Ok(PartMask::of(Vec::new(), 0));
        }
        let count = part.len() / self.dtype.size();
        let mask = draw(&self.spec, first as u64, count, checkpoint)?;
        select_each(self.dtype, part, &mask, self.how);
        Ok(PartMask::of(mask, count))
    }

    /// The result, from the masks of all parts in their order and the output that was written.
    pub fn finish(mut self, return_mask: bool, masks: Vec<PartMask>, output: Vec<u8>) -> Dropped {
        let (dtype, shape) = (self.dtype, std::mem::take(&mut self.shape));
        let Drawn { kept, mask } = self.drawn(return_mask, masks);
        Dropped { kept, mask, output: Tensor::from_parts(dtype, shape, output) }
    }

    /// The draws, from the masks of all parts in their order.
    pub(super) fn drawn(self, return_mask: bool, masks: Vec<PartMask>) -> Drawn {
        let draws = self.draws.count();
        let channels = self.channels.map(|bits| PartMask::of(bits, draws));
        let masks = || channels.iter().chain(&masks);
        let kept = masks().map(|mask| mask.kept).sum::<u64>() * self.draws.elements() as u64;
        Drawn { kept, mask: return_mask.then(|| masks().map(|mask| &mask.bits[..]).collect::<Vec<_>>().concat()) }
    }
}
