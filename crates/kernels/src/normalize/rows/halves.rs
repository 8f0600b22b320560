//! Sets of half numbers: each is measured and written in one go, while it is in the first-level cache. Mean and variance are
//! had in one pass over its elements where the mean can be.

use std::marker::PhantomData;

use super::{
    super::{
        affine::Affine,
        denominator::Denominator,
        layout::{Dim, Position, Runs},
        values::{Each, Same, Values},
    },
    moments::Moments,
};
use crate::{
    Element,
    dtype::{Exponents, NEAR},
    lanes::{BLOCK, Double, LANES, Lanes, Scratch},
    simd::{self, InstructionSet, Kernel},
};

/// Neighbouring sets.
pub(super) struct Rows<'a, 'l, E> {
    pub(super) centred: bool,
    pub(super) denominator: Denominator,
    pub(super) run: Dim,
    pub(super) affine: &'a Affine,
    /// The elements of a set.
    pub(super) set: usize,
    /// Those of the runs, from the first of these sets on.
    pub(super) places: &'a mut Runs<'l>,
    pub(super) moments: &'a mut [Moments],
    pub(super) input: &'a [u8],
    pub(super) output: &'a mut [u8],
    pub(super) element: PhantomData<E>,
}

impl<E: Element> Kernel for Rows<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { centred, denominator, run, affine, set, places, .. } = self;
        let size = E::DTYPE.size();
        let sets = self.input.chunks_exact(set * size).zip(self.output.chunks_exact_mut(set * size));
        for ((input, output), moments) in sets.zip(self.moments) {
            *moments = measure::<E>(centred, denominator, input);
            let stretches = input.chunks_exact(run.len * size).zip(output.chunks_exact_mut(run.len * size));
            for (input, output) in stretches {
                let at = places.next();
                if run.affine {
                    write::<E, Each<'_>>(run, *moments, affine, at, input, output);
                } else {
                    write::<E, Same>(run, *moments, affine, at, input, output);
                }
            }
        }
    }
}

/// Writes a run of a set, whose weight and bias begin at the position, normalized.
#[inline(always)]
fn write<'a, E: Element, A: Values<'a>>(
    run: Dim,
    moments: Moments,
    affine: &'a Affine,
    at: Position,
    input: &[u8],
    output: &mut [u8],
) {
    let Moments { mean, tail, rstd, .. } = moments;
    let len = output.len() / E::DTYPE.size();
    let weight = A::take(&affine.weight, at.affine, len);
    let bias = A::take(&affine.bias, at.affine, len);
    // What changes no number is left out: the bits do not depend on it.
    let no_affine = weight.is_everywhere(1.0) && bias.is_everywhere(-0.0);
    let plain = |x: f64| (x - mean - tail) * rstd;
    let weighted = |x: f64, (weight, bias): (f64, f64)| plain(x) * weight + bias;
    match (Near::of(moments), &affine.near) {
        (Some(near), _) if no_affine => {
            E::map_near(input, output, (), |x, ()| near.of_one(x, near.rstd), (), |x, ()| plain(x));
        }
        (Some(near), Some(near_weight)) if run.affine => {
            let near_weight = &near_weight[at.affine..at.affine + len];
            let near = |x, weight| near.of_one(x, near.rstd * weight);
            E::map_near(input, output, near_weight, near, (weight, bias), weighted);
        }
        (Some(near), Some(near_weight)) => {
            let factor = near.rstd * near_weight[at.affine];
            E::map_near(input, output, (), |x, ()| near.of_one(x, factor), (weight, bias), weighted);
        }
        _ if no_affine => E::map(input, output, |_, x| plain(x)),
        _ => E::map_beside(input, output, (weight, bias), weighted),
    }
}

/// What elements are normalized by, as float32, where that is enough for an estimate.
///
/// `mean` is the nearest float32, so that an element which is another number is no nearer to the mean than that is; `tail`
/// is the rest of the mean. Differences from both are off by at most three roundings, as parts of themselves. `rstd`, a
/// weight, and the two products add four: less than eight units of the last place.
///
/// That holds where all of them are normal numbers, and the result is normal or rounded but once: sums of float32 numbers
/// round nothing that is subnormal.
#[derive(Clone, Copy)]
struct Near {
    mean: f32,
    tail: f32,
    rstd: f32,
}

const _: () = assert!(NEAR == 8);

impl Near {
    /// `None` where the numbers are so large or so small that estimates are none.
    #[inline(always)]
    fn of(Moments { mean, tail, var, rstd }: Moments) -> Option<Self> {
        let nearest = mean as f32;
        let exact_rest = (mean - f64::from(nearest)) + tail;
        let rest = exact_rest as f32;
        let is_zero_or_above = |x: f32, power: i32| x == 0.0 || x.abs() >= 2f32.powi(power);
        // Of a finite variance all elements are finite.
        let is_near = var.is_finite()
            && (2f64.powi(-20)..=2f64.powi(40)).contains(&rstd)
            && is_zero_or_above(nearest, -60)
            && is_zero_or_above(rest, -100)
            && (rest == 0.0) == (exact_rest == 0.0);
        is_near.then_some(Self { mean: nearest, tail: rest, rstd: rstd as f32 })
    }

    /// An element, normalized. `factor`: `rstd`, times the weight.
    #[inline(always)]
    fn of_one(self, x: f32, factor: f32) -> f32 {
        (x - self.mean - self.tail) * factor
    }
}

/// The moments of half numbers: not none, and not more than a chunk.
#[inline(always)]
fn measure<E: Element>(is_centred: bool, denominator: Denominator, elements: &[u8]) -> Moments {
    let n = elements.len() / E::DTYPE.size();
    let (mean, var) = if !is_centred {
        (Double::from(0.0), one_pass::<E>(elements).squares / denominator.share)
    } else if sums_are_exact::<E>(elements) {
        centred::<E>(elements, n as f64)
    } else {
        return wide_moments::<E>(is_centred, denominator, elements);
    };
    Moments::new(mean, var, denominator)
}

/// Whether plain sums of these elements round nothing away: they are multiples of one unit, and the sums fit float64's 53
/// bits of it. May say no where they do. Of float16 numbers, 8,192 always do.
#[inline(always)]
fn sums_are_exact<E: Element>(elements: &[u8]) -> bool {
    let Exponents { largest, smallest } = E::exponents(elements);
    let terms = (elements.len() / E::DTYPE.size()).next_power_of_two().ilog2() as i32;
    let bits = E::MANTISSA + 1 + (largest - smallest).max(0) + terms;
    largest <= 2 * E::BIAS && bits <= f64::MANTISSA_DIGITS as i32
}

/// The mean and the biased variance of elements whose sums are exact.
///
/// The squares added have the square of the mean too much; where that is much more than the variance, so that what rounding
/// took of it counts, they are added once more, as differences from the mean.
#[inline(always)]
fn centred<E: Element>(elements: &[u8], n: f64) -> (Double, f64) {
    const TOO_FAR: f64 = 64.0;
    let Pass { sum, squares } = one_pass::<E>(elements);
    let mean = Double::from(sum).over(n).normalized();
    let var = squares / n - mean.high * mean.high;
    let var = if mean.high * mean.high > TOO_FAR * var {
        // The deviations are from the mean without its tail, which is what all of them have too much.
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
    // The length of a whole block is known when this is compiled, which saves what looks after other lengths.
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

/// Adds at most a block of elements to the sums; returns those of their squares. There is a value for each.
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

/// Squares are exact in float64, so that both ways to add one give the same bits; the fused one is a call where it is not
/// an instruction.
#[inline(always)]
fn plus_square<const FUSED: bool>(x: f64, sum: f64) -> f64 {
    if FUSED { x.mul_add(x, sum) } else { x * x + sum }
}

/// Not inlined, as [`Lanes::sum`] is not, and for its reason.
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

/// The same of at most a block, lane by lane. There is a value for each element.
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
/// Not inlined, as [`Lanes::sum`] is not, and for its reason.
#[inline(never)]
fn differences<T: Copy + Into<f64>>(rest: &[T], origin: f64) -> [f64; LANES] {
    let mut differences = [0.0; LANES];
    differences.iter_mut().zip(rest).for_each(|(difference, &x)| *difference = x.into() - origin);
    differences
}

/// Those of elements between which there are too many powers of two for plain sums, or which are not all finite.
#[inline(never)]
fn wide_moments<E: Element>(is_centred: bool, denominator: Denominator, elements: &[u8]) -> Moments {
    let mut values = vec![0.0; elements.len() / E::DTYPE.size()];
    E::decode(elements, &mut values);
    let float32: Vec<_> = values.into_iter().map(|x| (x as f32).to_le_bytes()).collect();
    Moments::of(is_centred, &float32, denominator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        DType, NormKind,
        half::{Bf16, F16},
    };

    const PLACE: Position = Position { offset: 0, set: 0, affine: 0 };

    fn run(len: usize, affine: bool) -> Dim {
        let affine_stride = usize::from(affine);
        Dim { len, stride: 1, pooled: true, set_stride: 0, affine, affine_stride }
    }

    /// The bits of ordinary numbers, of some around one, of any, or of both. Some results of the ordinary ones are on another
    /// side of a tie than their estimates: without a distance the test fails.
    fn rows() -> impl Strategy<Value = Vec<u16>> {
        let around = |near: u16, steps: Vec<u16>| steps.into_iter().map(move |step| near.wrapping_add(step)).collect();
        let steps = |most: u16| prop::collection::vec(0..=most, 64..300);
        // Of both half types, the numbers from about a thousandth to some hundreds, of both signs.
        let ordinary = prop::collection::vec((0x3C00 - 0x800..0x4400_u16, any::<bool>()), 280..300);
        let signed = |(bits, negative)| bits | u16::from(negative) << 15;
        prop_oneof![
            5 => ordinary.prop_map(move |row| row.into_iter().map(signed).collect()),
            1 => (any::<u16>(), steps(3)).prop_map(move |(near, steps)| around(near, steps)),
            1 => (any::<u16>(), steps(400)).prop_map(move |(near, steps)| around(near, steps)),
            1 => steps(u16::MAX),
            1 => (steps(2), 0..64_usize, any::<u16>()).prop_map(|(mut row, index, other)| {
                row[index] = other;
                row
            }),
        ]
    }

    /// A weight for every element; those of a kind that is estimated, and others.
    fn weights() -> impl Strategy<Value = f64> {
        prop_oneof![6 => -3.0..3.0, 1 => Just(0.0), 1 => Just(-1.0), 1 => -1e-9..1e-9, 1 => any::<f64>()]
    }

    fn estimates_change_no_bit<E: Element>(row: &[u16], weights: &[f64], bias: f64, centred: bool, affine: bool) {
        let input: Vec<u8> = row.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let (mut got, mut expected) = (vec![0; input.len()], vec![0; input.len()]);
        let moments = measure::<E>(centred, Denominator::of(NormKind::Rms, 1e-5, E::DTYPE, row.len()), &input);
        let Moments { mean, tail, rstd, .. } = moments;
        let weights = if affine { &weights[..row.len()] } else { &weights[..1] };
        let bias = vec![bias; weights.len()];
        let numbers = Affine {
            weight: weights.to_vec(),
            bias,
            bias_dtype: None,
            is_finite: true,
            most: [1.0, 0.0],
            least_bias: f64::INFINITY,
            weight_exponent: 0,
            near: None,
        };
        let numbers = numbers.with_estimates(E::DTYPE);
        if affine {
            write::<E, Each<'_>>(run(row.len(), true), moments, &numbers, PLACE, &input, &mut got);
        } else {
            write::<E, Same>(run(row.len(), false), moments, &numbers, PLACE, &input, &mut got);
        }
        let weight = |i: usize| weights[if affine { i } else { 0 }];
        let bias = numbers.bias[0];
        E::map(&input, &mut expected, |i, x| (x - mean - tail) * rstd * weight(i) + bias);
        assert_eq!(got, expected, "{moments:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_estimated_is_rounded_to_the_same_bits(
            row in rows(),
            weights in prop_oneof![
                Just(vec![1.0; 300]),
                prop::collection::vec(-3.0..3.0, 300),
                prop::collection::vec(weights(), 300),
            ],
            bias in prop_oneof![3 => Just(-0.0), 1 => Just(0.0), 1 => -2.0..2.0],
            centred: bool,
            affine: bool,
        ) {
            estimates_change_no_bit::<Bf16>(&row, &weights, bias, centred, affine);
            estimates_change_no_bit::<F16>(&row, &weights, bias, centred, affine);
        }
    }

    /// Otherwise the test above would say nothing.
    #[test]
    fn most_rows_are_estimated() {
        let input: Vec<u8> = (0..256_u16).flat_map(|i| (0x3C00 + i).to_le_bytes()).collect();
        let near = |centred, eps| {
            let denominator = Denominator::of(NormKind::Rms, eps, DType::F16, 256);
            Near::of(measure::<F16>(centred, denominator, &input)).is_some()
        };
        assert!(near(true, 1e-5) && near(false, 1e-5));
        assert!(!near(true, f64::INFINITY));
    }

    /// Every float32 next to a tie, on both sides, is told from those that no estimate can mistake.
    #[test]
    fn ties_are_seen_from_as_far_as_estimates_are_off() {
        use crate::dtype::Coded as _;
        let half = 1.0f32.to_bits() + 0x8000; // between two bfloat16 numbers
        for offset in -300_i32..=300 {
            let near = f32::from_bits(half.wrapping_add_signed(offset));
            let mut output = [0; 128];
            // The exact number is another one, which shows who was asked.
            Bf16::map_near(&[0; 128], &mut output, (), |_, ()| near, (), |_, ()| 4.0);
            let asked = output == [0x40; 64].map(|_| Bf16::from_f64(4.0).0.to_le_bytes()).concat()[..];
            assert_eq!(asked, offset.unsigned_abs() <= NEAR, "{offset}");
        }
    }
}
