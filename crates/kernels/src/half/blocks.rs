//! Many half numbers at a time.
//!
//! Numbers are converted through float32, in blocks that stay in the first-level cache. Every step is a loop of its own over
//! numbers of one size, which LLVM vectorizes.

use super::{Bf16, F16, odd};
use crate::{
    dtype::{Beside, Coded, NEAR, Real},
    lanes::Scratch,
    simd,
};

/// Few enough that rounding a block twice costs little. A loop over a block is a few vectors long.
const BLOCK: usize = 64;

/// A half number, as its little-endian bytes.
type Bytes = [u8; 2];

/// The numbers of a block between two steps.
struct Steps {
    wide: Scratch<f32, BLOCK>,
    odd: Scratch<f32, BLOCK>,
}

impl Steps {
    #[inline(always)]
    fn new() -> Self {
        Self { wide: Scratch::new(), odd: Scratch::new() }
    }
}

/// Conversions of at most a block of numbers.
trait Blockwise: Sized {
    /// Converts to float32, exactly.
    fn widen_block(halves: &[Bytes], values: &mut [f32]);

    /// Converts to float64, exactly.
    fn decode_block(halves: &[Bytes], steps: &mut Steps, values: &mut [f64]);

    /// Writes each number `i` of a block, rounded; may call `number` twice for an `i`.
    fn round_block(halves: &mut [Bytes], steps: &mut Steps, number: impl Fn(usize) -> f64);

    /// Writes each number `i` of a block, rounded, from the estimate `near(i)`; false if an estimate is not good
    /// enough.
    fn round_near(halves: &mut [Bytes; BLOCK], steps: &mut Steps, near: impl Fn(usize) -> f32) -> bool;

    /// Writes `f(i, x)` of each number x, rounded; may call `f` twice for an `i`.
    fn map_block(halves: &[Bytes], results: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64);

    /// As [`map_block`](Self::map_block), but replaces the numbers.
    fn map_block_in_place(halves: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64);
}

impl Blockwise for F16 {
    #[inline(always)]
    fn widen_block(halves: &[Bytes], values: &mut [f32]) {
        if !simd::widen_f16(halves, values) {
            values.iter_mut().zip(halves).for_each(|(x, &half)| *x = Self(u16::from_le_bytes(half)).to_f32());
        }
    }

    #[inline(always)]
    fn decode_block(halves: &[Bytes], steps: &mut Steps, values: &mut [f64]) {
        let wide = &mut steps.wide.0[..values.len()];
        Self::widen_block(halves, wide);
        values.iter_mut().zip(wide).for_each(|(value, x)| *value = f64::from(*x));
    }

    #[inline(always)]
    fn round_block(halves: &mut [Bytes], steps: &mut Steps, number: impl Fn(usize) -> f64) {
        round_odd(halves, &mut steps.odd.0, number);
    }

    #[inline(always)]
    fn round_near(halves: &mut [Bytes; BLOCK], steps: &mut Steps, near: impl Fn(usize) -> f32) -> bool {
        /// The smallest normal float16. Numbers below it have fewer bits, and ties in other places.
        const NORMAL: u32 = 1.0f32.to_bits() - (14 << (f32::MANTISSA_DIGITS - 1));
        let mut doubtful = false;
        for (i, x) in steps.odd.0.iter_mut().enumerate() {
            *x = near(i);
            let magnitude = x.to_bits() & (u32::MAX >> 1);
            doubtful |= is_near_tie::<13>(magnitude) | (magnitude.wrapping_sub(1) < NORMAL - 1);
        }
        !doubtful && simd::narrow_f16(&steps.odd.0, halves)
    }

    #[inline(always)]
    fn map_block(halves: &[Bytes], results: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64) {
        let wide = &mut steps.wide.0[..results.len()];
        Self::widen_block(halves, wide);
        round_odd(results, &mut steps.odd.0, |i| f(i, f64::from(wide[i])));
    }

    #[inline(always)]
    fn map_block_in_place(halves: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64) {
        let wide = &mut steps.wide.0[..halves.len()];
        Self::widen_block(halves, wide);
        round_odd(halves, &mut steps.odd.0, |i| f(i, f64::from(wide[i])));
    }
}

#[inline(always)]
fn round_odd(halves: &mut [Bytes], scratch: &mut [f32; BLOCK], number: impl Fn(usize) -> f64) {
    let values = &mut scratch[..halves.len()];
    for (i, x) in values.iter_mut().enumerate() {
        *x = odd(number(i));
    }
    if !simd::narrow_f16(values, halves) {
        halves.iter_mut().zip(values).for_each(|(half, x)| *half = F16::from_odd(*x).0.to_le_bytes());
    }
}

/// Half of the last bit of a bfloat16, in the bits of a float32: adding it rounds every number but a tie to the
/// nearest.
const HALF: u32 = 0x8000;

/// Whether a float32 whose last `DROPPED` bits are to be rounded away is so near to a tie that the number which it
/// estimates may lie on the tie or on its other side.
#[inline(always)]
fn is_near_tie<const DROPPED: u32>(bits: u32) -> bool {
    let from_tie = bits.wrapping_sub((1 << (DROPPED - 1)) - NEAR);
    from_tie << (u32::BITS - DROPPED) <= (2 * NEAR) << (u32::BITS - DROPPED)
}

impl Blockwise for Bf16 {
    #[inline(always)]
    fn widen_block(halves: &[Bytes], values: &mut [f32]) {
        values.iter_mut().zip(halves).for_each(|(x, &half)| *x = Self(u16::from_le_bytes(half)).to_f32());
    }

    #[inline(always)]
    fn decode_block(halves: &[Bytes], _: &mut Steps, values: &mut [f64]) {
        values.iter_mut().zip(halves).for_each(|(x, &half)| *x = Self(u16::from_le_bytes(half)).to_f64());
    }

    #[inline(always)]
    fn round_block(halves: &mut [Bytes], _: &mut Steps, number: impl Fn(usize) -> f64) {
        // The nearest float32 is rounded again. That may be wrong only if it is a tie between two bfloat16 numbers, as
        // one of 65,536 float32 numbers is: the number itself may lie on either side.
        let mut wrong = false;
        for (i, half) in halves.iter_mut().enumerate() {
            let x = number(i) as f32;
            let rounded = x.to_bits().wrapping_add(HALF);
            wrong |= (rounded & (2 * HALF - 1) == 0) | x.is_nan();
            *half = ((rounded >> 16) as u16).to_le_bytes();
        }
        if wrong {
            halves.iter_mut().enumerate().for_each(|(i, half)| *half = Self::from_f64(number(i)).0.to_le_bytes());
        }
    }

    #[inline(always)]
    fn round_near(halves: &mut [Bytes; BLOCK], _: &mut Steps, near: impl Fn(usize) -> f32) -> bool {
        let mut doubtful = false;
        for (i, half) in halves.iter_mut().enumerate() {
            let bits = near(i).to_bits();
            doubtful |= is_near_tie::<16>(bits);
            *half = ((bits.wrapping_add(HALF) >> 16) as u16).to_le_bytes();
        }
        !doubtful
    }

    #[inline(always)]
    fn map_block(halves: &[Bytes], results: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64) {
        let halves = &halves[..results.len()];
        Self::round_block(results, steps, |i| f(i, Self(u16::from_le_bytes(halves[i])).to_f64()));
    }

    #[inline(always)]
    fn map_block_in_place(halves: &mut [Bytes], steps: &mut Steps, f: impl Fn(usize, f64) -> f64) {
        let mut given = [[0; 2]; BLOCK];
        let given = &mut given[..halves.len()];
        given.copy_from_slice(halves);
        Self::map_block(given, halves, steps, f);
    }
}

impl<H: Blockwise> Coded for H {
    type Wide = f32;

    #[inline(always)]
    fn widen(bytes: &[u8], values: &mut [f32]) {
        let (halves, rest) = bytes.as_chunks();
        debug_assert!(rest.is_empty() && halves.len() == values.len());
        H::widen_block(halves, values);
    }

    #[inline(always)]
    fn decode(bytes: &[u8], values: &mut [f64]) {
        let (halves, rest) = bytes.as_chunks();
        debug_assert!(rest.is_empty() && halves.len() == values.len());
        let mut steps = Steps::new();
        for (halves, values) in halves.chunks(BLOCK).zip(values.chunks_mut(BLOCK)) {
            H::decode_block(halves, &mut steps, values);
        }
    }

    #[inline(always)]
    fn encode(values: &[f64], bytes: &mut [u8]) {
        let (halves, rest) = bytes.as_chunks_mut();
        debug_assert!(rest.is_empty() && halves.len() == values.len());
        let mut steps = Steps::new();
        let (whole_values, values) = values.as_chunks::<BLOCK>();
        let (whole_halves, halves) = halves.as_chunks_mut::<BLOCK>();
        for (values, halves) in whole_values.iter().zip(whole_halves) {
            H::round_block(halves, &mut steps, |i| values[i]);
        }
        let values = &values[..halves.len()];
        H::round_block(halves, &mut steps, |i| values[i]);
    }

    #[inline(always)]
    fn map_beside<B: Beside, R: Real>(input: &[u8], output: &mut [u8], beside: B, f: impl Fn(f64, B::Item) -> R) {
        let (halves, _) = input.as_chunks();
        let (results, _) = output.as_chunks_mut();
        let mut steps = Steps::new();
        let (whole_halves, halves) = halves[..results.len()].as_chunks::<BLOCK>();
        let (whole_results, results) = results.as_chunks_mut::<BLOCK>();
        let done = whole_results.len() * BLOCK;
        for (block, (halves, results)) in whole_halves.iter().zip(whole_results).enumerate() {
            let beside = beside.part(block * BLOCK, BLOCK);
            H::map_block(halves, results, &mut steps, |i, x| f(x, beside.at(i)).value());
        }
        let beside = beside.part(done, results.len());
        H::map_block(halves, results, &mut steps, |i, x| f(x, beside.at(i)).value());
    }

    #[inline(always)]
    fn map_near<N: Beside, B: Beside>(
        input: &[u8],
        output: &mut [u8],
        near_beside: N,
        near: impl Fn(f32, N::Item) -> f32,
        beside: B,
        exact: impl Fn(f64, B::Item) -> f64,
    ) {
        let (halves, _) = input.as_chunks();
        let (results, _) = output.as_chunks_mut();
        let mut steps = Steps::new();
        let mut wide = Scratch::<f32, BLOCK>::new();
        let (whole_halves, halves) = halves[..results.len()].as_chunks::<BLOCK>();
        let (whole_results, results) = results.as_chunks_mut::<BLOCK>();
        let done = whole_results.len() * BLOCK;
        for (block, (halves, results)) in whole_halves.iter().zip(whole_results).enumerate() {
            let first = block * BLOCK;
            H::widen_block(halves, &mut wide.0);
            let near_beside = near_beside.part(first, BLOCK);
            if !H::round_near(results, &mut steps, |i| near(wide.0[i], near_beside.at(i))) {
                let beside = beside.part(first, BLOCK);
                H::map_block(halves, results, &mut steps, |i, x| exact(x, beside.at(i)));
            }
        }
        let beside = beside.part(done, results.len());
        H::map_block(halves, results, &mut steps, |i, x| exact(x, beside.at(i)));
    }

    #[inline(always)]
    fn map_in_place<B: Beside, R: Real>(data: &mut [u8], beside: B, f: impl Fn(f64, B::Item) -> R) {
        let (halves, _) = data.as_chunks_mut();
        let mut steps = Steps::new();
        let (whole, rest) = halves.as_chunks_mut::<BLOCK>();
        let done = whole.len() * BLOCK;
        for (block, halves) in whole.iter_mut().enumerate() {
            let beside = beside.part(block * BLOCK, BLOCK);
            H::map_block_in_place(halves, &mut steps, |i, x| f(x, beside.at(i)).value());
        }
        let beside = beside.part(done, rest.len());
        H::map_block_in_place(rest, &mut steps, |i, x| f(x, beside.at(i)).value());
    }
}
