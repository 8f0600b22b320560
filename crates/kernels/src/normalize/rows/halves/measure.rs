//! Mean and variance of half numbers, in one pass where that is accurate enough.

use super::super::{super::denominator::Denominator, moments::Moments};
use crate::{
    Element,
    dtype::Exponents,
    lanes::{BLOCK, DoubleDouble, LANES, Lanes, Scratch},
    simd::{self, InstructionSet},
};

/// The moments of half numbers: at least one, and not more than a chunk.
#[inline(always)]
pub(super) fn measure<E: Element>(is_centred: bool, denominator: Denominator, elements: &[u8]) -> Moments {
    let n = elements.len() / E::DTYPE.size();
    let (mean, var) = if !is_centred {
        (DoubleDouble::from(0.0), one_pass::<E>(elements).squares / denominator.share)
    } else if sums_are_exact::<E>(elements) {
        centred::<E>(elements, n as f64)
    } else {
        return wide_moments::<E>(is_centred, denominator, elements);
    };
    Moments::new(mean, var, denominator)
}

/// Whether plain sums of these elements are exact: the elements are multiples of one unit, and the sums fit float64's
/// 53 bits of it. May be false for sums that are exact.
#[inline(always)]
fn sums_are_exact<E: Element>(elements: &[u8]) -> bool {
    let Exponents { largest, smallest } = E::exponents(elements);
    let terms = (elements.len() / E::DTYPE.size()).next_power_of_two().ilog2() as i32;
    let bits = E::MANTISSA + 1 + (largest - smallest).max(0) + terms;
    largest <= 2 * E::BIAS && bits <= f64::MANTISSA_DIGITS as i32
}

/// The mean and the biased variance of elements whose sums are exact.
///
/// The mean square exceeds the variance by the square of the mean. If that is so much larger than the variance that its
/// rounding errors count, the squares are added once more, as those of deviations from the mean.
#[inline(always)]
fn centred<E: Element>(elements: &[u8], n: f64) -> (DoubleDouble, f64) {
    const TOO_FAR: f64 = 64.0;
    let Pass { sum, squares } = one_pass::<E>(elements);
    let mean = DoubleDouble::from(sum).over(n).normalized();
    let var = squares / n - mean.high * mean.high;
    let var = if mean.high * mean.high > TOO_FAR * var {
        // The deviations are from the mean without its tail, so each is too large by the tail.
        squared_differences::<E>(elements, mean.high) / n - mean.low * mean.low
    } else {
        var
    };
    (mean, if var < 0.0 { 0.0 } else { var })
}

/// The sum of elements, and that of their squares.
struct Pass {
    sum: f64,
    squares: f64,
}

#[inline(always)]
fn one_pass<E: Element>(elements: &[u8]) -> Pass {
    if simd::chosen() == InstructionSet::Baseline { add_up::<E, false>(elements) } else { add_up::<E, true>(elements) }
}

#[inline(always)]
fn add_up<E: Element, const FUSED: bool>(elements: &[u8]) -> Pass {
    let (mut sums, mut squares) = ([0.0; LANES], Lanes::new());
    let mut scratch = Scratch::<E::Wide, BLOCK>::new();
    // The length of a whole block is a constant, so the loop over it needs no code for other lengths.
    let blocks = elements.chunks_exact(BLOCK * E::DTYPE.size());
    let rest = blocks.remainder();
    for block in blocks {
        squares.fold(add_block::<E, FUSED>(block, &mut scratch.0, &mut sums));
    }
    if !rest.is_empty() {
        let values = &mut scratch.0[..rest.len() / E::DTYPE.size()];
        squares.fold(add_block::<E, FUSED>(rest, values, &mut sums));
    }
    Pass { sum: total(&sums), squares: squares.plain_total() }
}

/// Adds at most a block of elements to the sums; returns the sums of their squares. `values` has one place for each
/// element.
#[inline(always)]
fn add_block<E: Element, const FUSED: bool>(
    elements: &[u8],
    values: &mut [E::Wide],
    sums: &mut [f64; LANES],
) -> [f64; LANES] {
    E::widen(elements, values);
    let mut squares = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for lane in 0..LANES {
            let x: f64 = values[lane].into();
            sums[lane] += x;
            squares[lane] = plus_square::<FUSED>(x, squares[lane]);
        }
    }
    if !rest.is_empty() {
        let rest = differences(rest, 0.0);
        for lane in 0..LANES {
            sums[lane] += rest[lane];
            squares[lane] = plus_square::<FUSED>(rest[lane], squares[lane]);
        }
    }
    squares
}

/// Squares are exact in float64, so both ways to add one give the same bits; the fused one is a function call where the
/// processor has no instruction.
#[inline(always)]
fn plus_square<const FUSED: bool>(x: f64, sum: f64) -> f64 {
    if FUSED { x.mul_add(x, sum) } else { x * x + sum }
}

/// Not inlined, for the same reason as [`Lanes::sum`].
#[inline(never)]
fn total(sums: &[f64; LANES]) -> f64 {
    sums.iter().sum()
}

/// The sum of the squares of the differences from `origin`.
#[inline(always)]
fn squared_differences<E: Element>(elements: &[u8], origin: f64) -> f64 {
    let mut squares = Lanes::new();
    let mut scratch = Scratch::<E::Wide, BLOCK>::new();
    let blocks = elements.chunks_exact(BLOCK * E::DTYPE.size());
    let rest = blocks.remainder();
    for block in blocks {
        squares.fold(square_block::<E>(block, &mut scratch.0, origin));
    }
    if !rest.is_empty() {
        let values = &mut scratch.0[..rest.len() / E::DTYPE.size()];
        squares.fold(square_block::<E>(rest, values, origin));
    }
    squares.plain_total()
}

/// The same for at most a block, lane by lane. `values` has one place for each element.
#[inline(always)]
fn square_block<E: Element>(elements: &[u8], values: &mut [E::Wide], origin: f64) -> [f64; LANES] {
    E::widen(elements, values);
    let mut squares = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for lane in 0..LANES {
            let difference = values[lane].into() - origin;
            squares[lane] += difference * difference;
        }
    }
    if !rest.is_empty() {
        let rest = differences(rest, origin);
        for lane in 0..LANES {
            squares[lane] += rest[lane] * rest[lane];
        }
    }
    squares
}

/// The differences from an origin of elements that fill no lanes, followed by zeros.
///
/// Not inlined, for the same reason as [`Lanes::sum`].
#[inline(never)]
fn differences<T: Copy + Into<f64>>(rest: &[T], origin: f64) -> [f64; LANES] {
    let mut differences = [0.0; LANES];
    differences.iter_mut().zip(rest).for_each(|(difference, &x)| *difference = x.into() - origin);
    differences
}

/// The moments of elements that span too many powers of two for plain sums, or are not all finite.
#[inline(never)]
fn wide_moments<E: Element>(is_centred: bool, denominator: Denominator, elements: &[u8]) -> Moments {
    let mut values = vec![0.0; elements.len() / E::DTYPE.size()];
    E::decode(elements, &mut values);
    let float32: Vec<_> = values.into_iter().map(|x| (x as f32).to_le_bytes()).collect();
    Moments::of(is_centred, &float32, denominator)
}
