//! Dropout of a tensor whose elements come in order, in parts of any length.
//!
//! Nothing is kept between the parts: the draws of each are made where they are needed, also those of channels. So a tensor of
//! any size takes no more memory than a part of it.

use super::{Draws, Dropout, DropoutKind, PartMask, Select, draw, draws::BitWriter, select_each, select_shared};
use crate::{Checkpoint, DType, Error, in_out::InOut, parallel::CHUNK};

/// Bits of a mask fill whole bytes where parts begin at a multiple of so many elements.
const UNIT: usize = 8;

/// A dropout of a tensor of known shape whose elements come in order. [`dropout`](super::dropout()) and
/// [`dropout_backward`](super::dropout_backward) give the same bytes.
///
/// ```
/// use evenkeel_kernels::{
///     DType, Dropout, DropoutInOrder, DropoutKind, DropoutScaling, MaskWriter, Tensor, Uninterrupted, dropout,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn((100, 1000), |(i, j)| (i * j % 7) as f32));
/// let (kind, scaling) = (DropoutKind::Channel, DropoutScaling::Inverted);
/// let spec = Dropout { p: 0.1, seed: 42, offset: 0, kind, scaling, channel_axis: None };
/// let parts = DropoutInOrder::forward(&spec, DType::F32, x.shape())?;
/// let mut output = vec![0; x.data().len()];
/// let (mut from, mut mask) = (0, MaskWriter::default());
/// let len = 3 * parts.unit_len();
/// for (input, output) in x.data().chunks(len).zip(output.chunks_mut(len)) {
///     mask.add(parts.drop_elements(from, input, output, &Uninterrupted)?);
///     from += input.len();
/// }
/// let whole = dropout(&spec, x.view(), true, &Uninterrupted)?;
/// assert_eq!((output.as_slice(), parts.kept(&mask)), (whole.output.data(), whole.kept));
/// assert_eq!(mask.finish(), whole.mask.expect("it was asked for"));
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
#[derive(Debug)]
pub struct DropoutInOrder {
    spec: Dropout,
    draws: Draws,
    how: Select,
    dtype: DType,
    elements: usize,
}

impl DropoutInOrder {
    /// Of a tensor of this dtype and shape.
    ///
    /// # Errors
    /// As [`dropout`](super::dropout()), but for [`Error::Cancelled`].
    pub fn forward(spec: &Dropout, dtype: DType, shape: &[usize]) -> Result<Self, Error> {
        Self::of(spec, "input.shape", dtype, shape, Select::forward(spec, dtype))
    }

    /// Of a gradient of this dtype and shape.
    ///
    /// # Errors
    /// As [`dropout_backward`](super::dropout_backward), but for [`Error::Cancelled`].
    pub fn backward(spec: &Dropout, dtype: DType, shape: &[usize]) -> Result<Self, Error> {
        Self::of(spec, "grad_output.shape", dtype, shape, Select::backward(spec))
    }

    fn of(spec: &Dropout, field: &'static str, dtype: DType, shape: &[usize], how: Select) -> Result<Self, Error> {
        let draws = Draws::of(spec, field, shape)?;
        Ok(Self { spec: *spec, draws, how, dtype, elements: shape.iter().product() })
    }

    /// The bytes of the smallest part; each part but the last is any number of these.
    pub fn unit_len(&self) -> usize {
        UNIT * self.dtype.size()
    }

    /// The bytes of parts that are worth a call, a multiple of [`unit_len`](Self::unit_len).
    pub fn part_len(&self) -> usize {
        CHUNK * self.dtype.size()
    }

    /// The bytes of all parts.
    pub fn total_len(&self) -> usize {
        self.elements * self.dtype.size()
    }

    /// Writes a part, whose bytes are `input`, the first of them byte `from` of the tensor's, to `output`, after dropout. Returns
    /// the draws whose first element is in it.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn drop_elements(
        &self,
        from: usize,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<PartMask, Error> {
        checkpoint.check()?; // with p = 1 there is nothing to draw
        let size = self.dtype.size();
        let (first, len) = (from / size, input.len() / size);
        let mut part = InOut::Apart { input, output };
        if !self.spec.kind.by_channel() {
            let mask = draw(&self.spec, first as u64, len, checkpoint)?;
            select_each(self.dtype, part, &mask, self.how);
            return Ok(PartMask::of(mask, len));
        }
        let (mut element, end) = (first, first + len);
        while element < end {
            let (draws, taken) = self.draws.neighbours(element, end - element);
            let mask = draw(&self.spec, draws.start as u64, draws.len(), checkpoint)?;
            let (here, others) = part.split_at(taken * size);
            select_shared(self.dtype, here, (&mask, draws.start), element, &self.draws, self.how);
            (part, element) = (others, element + taken);
        }
        let (begun, until) = (self.draws.begun_before(first), self.draws.begun_before(end));
        Ok(PartMask::of(draw(&self.spec, begun as u64, until - begun, checkpoint)?, until - begun))
    }

    /// What is dropped together.
    pub fn kind(&self) -> DropoutKind {
        self.spec.kind
    }

    /// How many draws no element has, of a tensor without any.
    pub fn draws_without_elements_count(&self) -> usize {
        if self.elements == 0 { self.draws.count() } else { 0 }
    }

    /// The draws that no element has, of a tensor without any.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn draws_without_elements(&self, checkpoint: &dyn Checkpoint) -> Result<PartMask, Error> {
        let count = self.draws_without_elements_count();
        Ok(PartMask::of(draw(&self.spec, 0, count, checkpoint)?, count))
    }

    /// How many elements were kept, by the draws of all parts.
    pub fn kept(&self, mask: &MaskWriter) -> u64 {
        mask.kept * self.draws.elements() as u64
    }
}

/// The masks of parts that follow one another, put together.
#[derive(Debug, Default)]
pub struct MaskWriter {
    bits: BitWriter,
    /// How many draws keep.
    kept: u64,
}

impl MaskWriter {
    /// The draws of the next part, with their bits.
    pub fn add(&mut self, part: PartMask) {
        self.count(&part);
        self.bits.append(part.bits, part.count);
    }

    /// The draws of the next part, without their bits.
    pub fn count(&mut self, part: &PartMask) {
        self.kept += part.kept;
    }

    /// How many whole bytes there are.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// Whether there is no whole byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the whole bytes.
    pub fn take(&mut self) -> Vec<u8> {
        self.bits.take()
    }

    /// Takes all that is there; the last byte is padded with 0.
    pub fn finish(self) -> Vec<u8> {
        self.bits.finish()
    }
}
