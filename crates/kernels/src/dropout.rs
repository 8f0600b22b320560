//! Dropout by NumPy's Philox stream.
//!
//! The mask of a part is drawn first, as bits, and then selects elements: a dropped element is never multiplied by 0,
//! which would keep a NaN, make a NaN of an infinity, and give -0.0. Bits cost 1/32 of float32 data; in return every
//! kind, the mask that is returned and the backward call share one way to draw.

mod alpha;
mod demand;
mod draws;
mod in_order;
mod parts;

use std::marker::PhantomData;

use crate::{
    Checkpoint, DType, Element, Error, Tensor, TensorMut, TensorRef, Violations,
    dtype::with_element,
    in_out::InOut,
    lanes::BLOCK,
    parallel::{CHUNK, for_each_chunk},
    philox,
    simd::{self, InstructionSet, Kernel},
};

use alpha::Alpha;
use draws::{Draws, bit};

pub use demand::{dropout_backward_demand, dropout_demand};
pub use in_order::{DropoutInOrder, MaskWriter};
pub use parts::{DropoutByParts, PartMask};

/// Which elements are dropped together, and what replaces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutKind {
    /// One draw for every element; dropped elements become +0.0. `torch.nn.functional.dropout`.
    #[default]
    Element,
    /// One draw for every (n, c). `torch.nn.functional.dropout2d`.
    Channel,
    /// One draw for every element; an affine map keeps mean and variance. `torch.nn.functional.alpha_dropout`.
    Alpha,
    /// As `Alpha`, one draw for every (n, c). `torch.nn.functional.feature_alpha_dropout`.
    FeatureAlpha,
}

impl DropoutKind {
    fn by_channel(self) -> bool {
        match self {
            Self::Channel | Self::FeatureAlpha => true,
            Self::Element | Self::Alpha => false,
        }
    }

    fn is_alpha(self) -> bool {
        match self {
            Self::Alpha | Self::FeatureAlpha => true,
            Self::Element | Self::Channel => false,
        }
    }
}

/// What happens to the elements that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutScaling {
    /// They are multiplied by 1 / (1 - p).
    #[default]
    Inverted,
    /// They come back bit for bit. Not for the alpha kinds.
    None,
}

/// The options of a dropout; each means the same as the field of its name in the wire contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that an element is dropped, in [0, 1].
    pub p: f64,
    /// The key of the stream.
    pub seed: u64,
    /// The index of the first draw in the stream.
    pub offset: u64,
    /// The elements that are dropped together.
    pub kind: DropoutKind,
    /// What happens to the elements that are kept.
    pub scaling: DropoutScaling,
    /// The channel kinds: the axis of the channels, negative ones counted from the end; not 0. Default 1.
    pub channel_axis: Option<i32>,
}

impl Dropout {
    /// The violations among the options and, if `shape` is known, beside a tensor of this shape. `shape_field`: the
    /// name of the tensor's shape in the wire contract.
    pub fn check(&self, shape_field: &'static str, shape: Option<&[usize]>) -> Violations {
        let mut found = Violations::new();
        draws::check(self, &mut found);
        if let Some(shape) = shape {
            Draws::find(self, shape_field, shape, &mut found);
        }
        found
    }
}

/// The result of [`dropout()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// How many elements were kept.
    pub kept: u64,
    /// If requested: one bit for every draw, 1 for keep, least significant bit first, the last byte padded with 0.
    pub mask: Option<Vec<u8>>,
    /// The tensor after dropout.
    pub output: Tensor,
}

/// The result of [`dropout_in_place`]; the fields are those of [`Dropped`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// How many elements were kept.
    pub kept: u64,
    /// If requested: the draws.
    pub mask: Option<Vec<u8>>,
}

/// Drops elements of `input`. Draw `i` keeps iff word `offset + i` of the stream is at least `ceil(p * 2^32)`.
///
/// # Errors
/// [`Error::Invalid`] for `p` outside [0, 1], an `offset` beyond the stream's end, a `scaling` that the kind does not
/// have, or (the channel kinds) a rank below 2 or a `channel_axis` that the tensor does not have; [`Error::Cancelled`].
pub fn dropout(
    spec: &Dropout,
    input: TensorRef<'_>,
    return_mask: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Dropped, Error> {
    let parts = DropoutByParts::forward(spec, input.dtype(), input.shape(), return_mask, checkpoint)?;
    let mut output = checkpoint.buffer(input.data().len());
    let elements = InOut::Apart { input: input.data(), output: &mut output };
    let masks = all_parts(&parts, elements, return_mask, checkpoint)?;
    Ok(parts.finish(return_mask, masks, output))
}

/// As [`dropout()`], but replaces the input. After an error the input may hold anything.
///
/// # Errors
/// As [`dropout()`].
pub fn dropout_in_place(
    spec: &Dropout,
    input: &mut TensorMut<'_>,
    return_mask: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Drawn, Error> {
    let parts = DropoutByParts::forward(spec, input.dtype(), input.shape(), return_mask, checkpoint)?;
    let masks = all_parts(&parts, InOut::InPlace(input.data_mut()), return_mask, checkpoint)?;
    Ok(parts.drawn(return_mask, masks))
}

/// The gradient of [`dropout()`]'s input; gradients of dropped elements are +0.0.
///
/// # Errors
/// As [`dropout()`].
pub fn dropout_backward(
    spec: &Dropout,
    grad_output: TensorRef<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Tensor, Error> {
    let (dtype, shape) = (grad_output.dtype(), grad_output.shape());
    let parts = DropoutByParts::backward(spec, dtype, shape, checkpoint)?;
    let mut output = checkpoint.buffer(grad_output.data().len());
    all_parts(&parts, InOut::Apart { input: grad_output.data(), output: &mut output }, false, checkpoint)?;
    Ok(Tensor::from_parts(dtype, shape.to_vec(), output))
}

/// As [`dropout_backward`], but replaces the gradient. After an error the gradient may hold anything.
///
/// # Errors
/// As [`dropout()`].
pub fn dropout_backward_in_place(
    spec: &Dropout,
    grad_output: &mut TensorMut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    let parts = DropoutByParts::backward(spec, grad_output.dtype(), grad_output.shape(), checkpoint)?;
    all_parts(&parts, InOut::InPlace(grad_output.data_mut()), false, checkpoint).map(drop)
}

/// Drops elements of every part; returns the draws, or only how many of them keep if the mask is not wanted.
fn all_parts(
    parts: &DropoutByParts,
    elements: InOut<'_>,
    wants_mask: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<PartMask>, Error> {
    elements.map_chunks(parts.part_len(), &|index, part| {
        let mask = parts.drop_from(index, part, checkpoint)?;
        Ok(if wants_mask { mask } else { mask.counted() })
    })
}

/// The mask of `count` draws from draw `first` on, as bits.
fn draw(spec: &Dropout, first: u64, count: usize, checkpoint: &dyn Checkpoint) -> Result<Vec<u8>, Error> {
    let mut mask = vec![0; count.div_ceil(8)];
    // p times a power of two is exact. The threshold of p = 1 has a 33rd bit, and no word reaches it.
    let Ok(threshold) = u32::try_from((spec.p * 2f64.powi(32)).ceil() as u64) else { return Ok(mask) };
    if threshold == 0 {
        // Every word is at least 0: all draws keep.
        mask.fill(0xFF);
        pad(&mut mask, count);
        return Ok(mask);
    }
    for_each_chunk(&mut mask, CHUNK / 8, &|index, mask| {
        checkpoint.check()?;
        let first = spec.offset + first + (index * CHUNK) as u64;
        simd::run(Draw { seed: spec.seed, first, threshold, count: count - index * CHUNK, mask });
        Ok(())
    })?;
    Ok(mask)
}

/// The draws from word `first` of the stream on: as many as `mask` has bits, but no more than `count`.
struct Draw<'a> {
    seed: u64,
    first: u64,
    threshold: u32,
    count: usize,
    mask: &'a mut [u8],
}

impl Kernel for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        if self.first.is_multiple_of(8) && simd::chosen() != InstructionSet::Baseline {
            philox::fill_bits(self.seed, self.first / 8, self.threshold, self.mask);
            pad(self.mask, self.count);
            return;
        }
        let mut words = [0; BLOCK];
        for (block, bytes) in self.mask.chunks_mut(BLOCK / 8).enumerate() {
            let done = block * BLOCK;
            let drawn = (self.count - done).min(BLOCK);
            philox::fill(self.seed, self.first + done as u64, &mut words[..drawn]);
            for (byte, words) in bytes.iter_mut().zip(words.as_chunks::<8>().0) {
                *byte = (0..8).fold(0, |bits, i| bits | u8::from(words[i] >= self.threshold) << i);
            }
            pad(bytes, drawn);
        }
    }
}

/// Clears the bits of the last byte that are beyond `count` draws.
fn pad(mask: &mut [u8], count: usize) {
    if let Some(last) = mask.get_mut(count / 8) {
        *last &= (1 << (count % 8)) - 1;
    }
}

/// The results of kept and of dropped elements.
#[derive(Clone, Copy, Debug)]
enum Select {
    /// Kept: the same bits; dropped: +0.0.
    Bits,
    /// Kept: `scale * x + shift`, in float64 and rounded once; dropped: `fill`.
    Affine { scale: f64, shift: f64, fill: f64 },
    /// Alpha dropout where two roundings are too many: see [`Alpha`].
    Alpha(Alpha),
}

/// Adding -0.0 changes no number, while adding +0.0 turns -0.0 into +0.0.
const NO_SHIFT: f64 = -0.0;

impl Select {
    fn forward(spec: &Dropout, dtype: DType) -> Self {
        if spec.p == 1.0 || spec.scaling == DropoutScaling::None {
            return Self::Bits; // nothing is kept, or it is kept as it is
        }
        if !spec.kind.is_alpha() {
            return Self::Affine { scale: inverted(spec.p), shift: NO_SHIFT, fill: 0.0 };
        }
        let alpha = Alpha::new(spec.p);
        match alpha.scaled_shift(dtype) {
            Some(shift) => Self::Affine { scale: alpha.scale(), shift, fill: alpha.fill() },
            None => Self::Alpha(alpha),
        }
    }

    fn backward(spec: &Dropout) -> Self {
        if spec.p == 1.0 || spec.scaling == DropoutScaling::None {
            return Self::Bits;
        }
        let scale = if spec.kind.is_alpha() { Alpha::new(spec.p).scale() } else { inverted(spec.p) };
        Self::Affine { scale, shift: NO_SHIFT, fill: 0.0 }
    }
}

fn inverted(p: f64) -> f64 {
    1.0 / (1.0 - p)
}

/// Applies the mask to a part of which each element has a draw of its own: bit `i` is that of its element `i`.
fn select_each(dtype: DType, part: InOut<'_>, mask: &[u8], how: Select) {
    let mask = Bits::PerElement(mask);
    with_element!(dtype, E => simd::run(Masked { part, mask, how, element: PhantomData::<E> }));
}

/// Applies shared draws to a part whose first element is element `first` of the tensor. `mask`: the draws from one on, and which
/// one that is; where each element has a draw of its own, `first` is a multiple of 8 beyond it.
fn select_shared(
    dtype: DType,
    mut part: InOut<'_>,
    (mask, begin): (&[u8], usize),
    first: usize,
    draws: &Draws,
    how: Select,
) {
    /// Runs of fewer elements are not worth a loop of their own.
    const SHORT: usize = 64;
    if draws.are_of_elements() {
        return select_each(dtype, part, &mask[(first - begin) / 8..], how);
    }
    if draws.run() < SHORT {
        let mask = draws.spread((mask, begin), first, part.len() / dtype.size());
        return select_each(dtype, part, &mask, how);
    }
    let mut element = first;
    while part.len() > 0 {
        let run = element / draws.run();
        let end = (run + 1) * draws.run();
        let mask = Bits::Broadcast(bit(mask, draws.of_run(run) - begin));
        let (same, others) = part.split_at((end - element) * dtype.size());
        with_element!(dtype, E => simd::run(Masked { part: same, mask, how, element: PhantomData::<E> }));
        (part, element) = (others, end);
    }
}

/// The draws of neighbouring elements.
#[derive(Clone, Copy)]
enum Bits<'a> {
    /// A draw for each element, eight to a byte.
    PerElement(&'a [u8]),
    /// The same draw for all elements.
    Broadcast(bool),
}

/// A byte for each bit of a block, 0 for 0: vector units can compare bytes with 0, but not single bits.
#[inline(always)]
fn bytes_of(bits: &[u8]) -> [u8; BLOCK] {
    /// Bit `i` of byte `i`.
    const DIAGONAL: u64 = 0x8040_2010_0804_0201;
    let mut bytes = [0; BLOCK];
    for (eight, &bits) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(bits) {
        *eight = ((u64::from(bits) * 0x0101_0101_0101_0101) & DIAGONAL).to_le_bytes();
    }
    bytes
}

/// Neighbouring elements and their mask.
struct Masked<'a, E> {
    part: InOut<'a>,
    mask: Bits<'a>,
    how: Select,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Masked<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let size = E::DTYPE.size();
        let (mut block, mut rest) = self.part.split_at(BLOCK * size);
        let mut done = 0;
        while block.len() > 0 {
            let bits = match self.mask {
                Bits::PerElement(mask) => &mask[done / 8..],
                Bits::Broadcast(true) => &[0xFF; BLOCK / 8],
                Bits::Broadcast(false) => &[0; BLOCK / 8],
            };
            match self.how {
                Select::Bits => {
                    for (element, bytes) in block.copied().chunks_exact_mut(size).enumerate() {
                        // 0xFF or 0: a branch on a random bit would be mispredicted half the time.
                        let keep = (bits[element / 8] >> (element % 8) & 1).wrapping_neg();
                        bytes.iter_mut().for_each(|byte| *byte &= keep);
                    }
                }
                Select::Affine { scale, shift, fill } => {
                    let keep = bytes_of(bits);
                    block.map_beside::<E, _, _>(&keep[..], |x, keep| if keep == 0 { fill } else { x * scale + shift });
                }
                Select::Alpha(alpha) => {
                    let keep = bytes_of(bits);
                    let fill = alpha.fill();
                    block.map_beside::<E, _, _>(&keep[..], |x, keep| if keep == 0 { fill } else { alpha.kept::<E>(x) });
                }
            }
            done += BLOCK;
            (block, rest) = rest.split_at(BLOCK * size);
        }
    }
}
