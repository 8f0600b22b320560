//! The means of sets, and exact ones for sets whose sum a pair of float64 cannot hold.
//!
//! A sum that is kept as a pair has an error of up to [`loss`] times the sum of the magnitudes. For most means that is far below
//! the last place; if large elements cancel, it can be larger than the mean. Three steps find the sets that need more: the
//! exponents of the elements show that most sums are exact; an estimate of the error shows that nearly all others are good
//! enough; the sums that are left are added again, exactly.
//!
//! The gradient of the bias is a sum of elements as well, and goes the same way.
//!
//! The bits do not depend on which way a sum takes: if a pair holds the exact sum, all ways give that pair.

use std::{
    marker::PhantomData,
    ops::Range,
    sync::atomic::{AtomicI32, Ordering},
};

use evenkeel_exact::ExactSum;

use super::{
    layout::Layout,
    power::times_power,
    reduce::{Over, members, terms_in_a_row, until_cancelled},
};
use crate::{
    Checkpoint, DType, Element, Error,
    dtype::Exponents,
    lanes::{BLOCK, DoubleDouble, LANES},
    parallel::{CHUNK, chunk, for_each_range, for_each_stretch},
    simd::{self, Kernel},
};

/// A number that is at least so many times its estimated error counts as right to 2^-30 of itself, a 64th of the last
/// place of float32. A factor of 4 is left for the estimate of the error.
const SINGLE: f64 = (1u64 << 32) as f64;
/// The same for a number that has to be right to the last place of float64.
pub(super) const DOUBLE: f64 = (1u64 << 54) as f64;

/// The largest error of a mean, relative to the root of the mean square, if each accumulator takes `terms` terms.
///
/// The rounding error of an addition is at most 2^-53 of the sum, and so the kept errors of `terms` additions are at
/// most `terms * 2^-53` of the magnitudes. Adding them up has an error of 2^-53 of them at each step: all in all
/// `(terms * 2^-53)^2` of the magnitudes, whose mean is at most the root of the mean square. Combining the accumulators
/// adds less than the same again.
pub(super) fn loss(terms: usize) -> f64 {
    let kept = terms.max(64) as f64 * (f64::EPSILON / 2.0);
    2.0 * kept * kept
}

/// The mean of `n` elements with this sum, as a pair.
///
/// Inlined, so that its fused multiplication is the instruction where there is one.
#[inline(always)]
pub(super) fn of_sum(sum: DoubleDouble, n: f64) -> DoubleDouble {
    // An infinite sum has no remainder.
    if sum.high.is_finite() { sum.normalized().over(n).normalized() } else { DoubleDouble::from(sum.high) }
}

/// A number as a sum of three, each of which is the float64 nearest to the remainder of those before it. If all
/// elements are next to the mean, their differences from it have only the digits of the second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Triple {
    pub(super) pair: DoubleDouble,
    pub(super) rest: f64,
}

/// As [`of_sum`], to about three times the precision.
pub(super) fn thrice(sum: DoubleDouble, n: f64) -> Triple {
    if !sum.high.is_finite() {
        return Triple { pair: DoubleDouble::from(sum.high), rest: 0.0 };
    }
    let sum = sum.normalized();
    let first = sum.high / n;
    // The remainder of a division is a float64.
    let left = DoubleDouble::from(n.mul_add(-first, sum.high)).plus(DoubleDouble::from(sum.low));
    let second = left.high / n;
    let third = (n.mul_add(-second, left.high) + left.low) / n;
    let DoubleDouble { high, low } = DoubleDouble { high: first, low: second }.normalized();
    let DoubleDouble { high: low, low: rest } = DoubleDouble { high: low, low: third }.normalized();
    Triple { pair: DoubleDouble { high, low }, rest }
}

/// Whether this mean and the differences of all elements from it are right to 2^-30 of themselves, if so many terms
/// were added to each accumulator. May be false where they are.
///
/// No element is nearer to the mean than the number of its dtype that is nearest; if that is far enough away, all are. Zero is
/// such a number, too, so that the mean itself is no smaller than that distance.
#[inline(always)]
pub(super) fn is_certain<E: Element>(mean: DoubleDouble, var: f64, terms: usize) -> bool {
    let error = loss(terms) * (var + mean.high * mean.high).sqrt();
    let nearest = E::from_f64(mean.high).to_f64();
    let distance = ((mean.high - nearest) + mean.low).abs();
    // The mean itself may be wanted in float64, which takes `DOUBLE`. A mean that is not finite counts as certain:
    // comparisons with NaN are false.
    !(distance < SINGLE * error || mean.high.abs() < DOUBLE * error)
}

/// Whether a pair holds every sum of `n` of these elements, with so many terms to an accumulator. May be false where it
/// does.
///
/// All elements are multiples of one unit, and so are the rounding errors. With M the largest magnitude, the error of
/// an addition is at most `2^-53 * terms * M`, and all errors together are less than `2 * n * terms * 2^-53 * M`: if
/// that has no more than 53 bits of the unit, adding up the errors is exact.
pub(super) fn is_exact<E: Element>(exponents: Exponents, n: usize, terms: usize) -> bool {
    let Exponents { largest, smallest } = exponents;
    let power = |count: usize| count.next_power_of_two().ilog2() as i32;
    let bits = E::MANTISSA + 2 + (largest - smallest).max(0) + power(n) + power(terms);
    largest <= 2 * E::BIAS && bits <= 2 * f64::MANTISSA_DIGITS as i32
}

/// The mean of `n` elements; `None` if not all are finite.
pub(super) fn exact(elements: impl Iterator<Item = f64>, n: usize) -> Option<DoubleDouble> {
    Some(of_exact_sum(&exact_sum(elements)?, n))
}

/// The mean of a set; `None` if not all of its elements are finite.
pub(super) fn exact_mean<E: Element>(
    layout: &Layout,
    input: &[u8],
    set: usize,
    checkpoint: &dyn Checkpoint,
) -> Result<Option<DoubleDouble>, Error> {
    let elements = members(layout, Over::Sets, set).map(|at| {
        let mut x = [0.0];
        E::decode_from(input, at.offset, &mut x);
        x[0]
    });
    let mean = exact(until_cancelled(elements, checkpoint), layout.set_len());
    checkpoint.check()?;
    Ok(mean)
}

/// The sum of elements; `None` if not all are finite.
pub(super) fn exact_sum(elements: impl Iterator<Item = f64>) -> Option<ExactSum> {
    let mut sum = ExactSum::new();
    for x in elements {
        if !x.is_finite() {
            return None;
        }
        sum.add(x);
    }
    Some(sum)
}

/// Returns the float64 nearest to a sum, and leaves the remainder in the sum's place.
fn take(sum: &mut ExactSum) -> f64 {
    let number = sum.to_f64();
    if number.is_finite() {
        sum.add(-number);
    }
    number
}

/// A sum as a pair, if a pair holds it.
fn as_pair(sum: &ExactSum) -> Option<DoubleDouble> {
    let mut rest = sum.clone();
    let pair = DoubleDouble { high: take(&mut rest), low: take(&mut rest) };
    (pair.high.is_finite() && rest.is_zero()).then_some(pair)
}

pub(super) fn of_exact_sum(sum: &ExactSum, n: usize) -> DoubleDouble {
    as_pair(sum).map_or_else(|| quotient(sum, n).pair, |pair| of_sum(pair, n as f64))
}

pub(super) fn thrice_of_exact_sum(sum: &ExactSum, n: usize) -> Triple {
    as_pair(sum).map_or_else(|| quotient(sum, n), |pair| thrice(pair, n as f64))
}

fn quotient(sum: &ExactSum, n: usize) -> Triple {
    let mut mean = sum.divided_by(n as u64);
    Triple { pair: DoubleDouble { high: take(&mut mean), low: take(&mut mean) }, rest: take(&mut mean) }
}

/// Replaces each sum that is not certain to be right to a quarter of the last place of float32, or to the last place of
/// float64 if `is_double`, by the exact sum of the target's elements. `exponents`: of all elements. `sums`: of all
/// targets, computed with the rounding errors of all additions for float64 elements, and with those of the additions of
/// sums of 16 elements for others.
pub(super) fn settle_sums<E: Element>(
    layout: &Layout,
    elements: &[u8],
    exponents: Exponents,
    sums: &mut [f64],
    is_double: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    /// The error of 16 plain additions, and of adding up their sums, relative to the sum of the magnitudes.
    const PLAIN_LOSS: f64 = 32.0 * f64::EPSILON;
    const PLAIN_TERMS: i32 = (BLOCK / LANES).ilog2() as i32;
    let over = Over::Repetitions;
    let (terms, count) = (terms_in_a_row(layout, over), members(layout, over, 0).len());
    let keeps_all = E::DTYPE == DType::F64;
    let loss = if keeps_all { loss(terms) } else { PLAIN_LOSS };
    let digits = if keeps_all || is_double { DOUBLE } else { 2f64.powi(26) };
    // Every magnitude is below the power of two above the largest.
    let needed = digits * loss * count as f64 * times_power(1.0, exponents.largest - E::BIAS + 1);
    let is_certain = |sum: f64| sum.is_finite() && sum.abs() >= needed;
    let powers = (exponents.largest - exponents.smallest).max(0);
    let plain_bits = E::MANTISSA + 1 + powers + PLAIN_TERMS;
    let adds_exactly = keeps_all || plain_bits <= f64::MANTISSA_DIGITS as i32;
    // A sum that is exact in a pair may have left float64's range on the way.
    let all_are_finite = || sums.iter().all(|sum| sum.is_finite());
    if adds_exactly && is_exact::<E>(exponents, count, terms) && all_are_finite() {
        return Ok(());
    }
    for_each_stretch(sums, 1, 64, &|first, sums| {
        for (index, sum) in sums.iter_mut().enumerate().filter(|(_, sum)| !is_certain(**sum)) {
            let elements = members(layout, over, first + index).map(|at| {
                let mut x = [0.0];
                E::decode_from(elements, at.offset, &mut x);
                x[0]
            });
            let exact = exact_sum(until_cancelled(elements, checkpoint));
            checkpoint.check()?;
            let Some(exact) = exact else { continue };
            // A sum of nothing but -0.0 keeps its sign.
            if !exact.is_zero() || *sum != 0.0 {
                *sum = exact.to_f64();
            }
        }
        Ok(())
    })
}

/// The exponents of all elements, collected by all threads.
pub(super) struct SharedExponents {
    largest: AtomicI32,
    smallest: AtomicI32,
}

impl SharedExponents {
    pub(super) fn new() -> Self {
        Self { largest: 0.into(), smallest: i32::MAX.into() }
    }

    /// Adds the exponents of these elements.
    pub(super) fn take<E: Element>(&self, elements: &[u8]) {
        let len = CHUNK * E::DTYPE.size();
        self.take_stretches::<E>(elements.len().div_ceil(len), &|index| chunk(elements, len, index));
    }

    /// Adds the exponents of the elements of so many stretches.
    fn take_stretches<'e, E: Element>(&self, count: usize, stretch: &(impl Fn(usize) -> &'e [u8] + Sync)) {
        let take = |indices: Range<usize>| {
            for index in indices {
                let of_stretch = OfStretch { stretch: stretch(index), element: PhantomData::<E> };
                let Exponents { largest, smallest } = simd::run(of_stretch);
                self.largest.fetch_max(largest, Ordering::Relaxed);
                self.smallest.fetch_min(smallest, Ordering::Relaxed);
            }
            Ok(())
        };
        for_each_range(count, 4, &take).expect("nothing stops it");
    }

    /// The exponents of all elements that were added.
    pub(super) fn of_all(&self) -> Exponents {
        Exponents { largest: self.largest.load(Ordering::Relaxed), smallest: self.smallest.load(Ordering::Relaxed) }
    }
}

/// The exponents of all elements of a layout.
pub(super) fn exponents<E: Element>(layout: &Layout, input: &[u8]) -> Exponents {
    let size = E::DTYPE.size();
    // Elements of a tile are neighbours within each outermost index.
    let [outermost, ref inner @ ..] = layout.dims[..] else { unreachable!("a layout has a dimension") };
    let width = inner.iter().map(|dim| dim.len).product::<usize>();
    let exponents = SharedExponents::new();
    if width == outermost.stride {
        exponents.take::<E>(&input[..outermost.len * width * size]);
    } else {
        let stretch = |index: usize| &input[index * outermost.stride * size..][..width * size];
        exponents.take_stretches::<E>(outermost.len, &stretch);
    }
    exponents.of_all()
}

struct OfStretch<'a, E> {
    stretch: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for OfStretch<'_, E> {
    type Output = Exponents;

    #[inline(always)]
    fn run(self) -> Exponents {
        E::exponents(self.stretch)
    }
}
