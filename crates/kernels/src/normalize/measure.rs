//! Measuring the mean and the variance of sets.

use std::{marker::PhantomData, ops::Range};

use super::{
    layout::{Layout, Position},
    mean::{self, Triple},
    plan::{Plan, Source},
    reduce::{Over, Terms, sums},
    running::Running,
    scale,
    settle::settle,
    statistics::Statistics,
};
use crate::{
    Checkpoint, Element, Error,
    lanes::{BLOCK, DoubleDouble, Lanes, two_sum},
    simd,
};

/// If a mean's tail is above this part of its standard error, `sqrt(var / n)`, the remainder of the tail counts for
/// gradients.
pub(super) const CLOSE: f64 = 1.0 / (1 << 14) as f64;

/// The statistics of the `layout`'s sets, the first of which is set `first` of the whole tensor.
pub(super) fn statistics<E: Element>(
    plan: &Plan,
    layout: &Layout,
    first: usize,
    input: &[u8],
    running: Option<&Running>,
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    match (plan.source, running) {
        (Source::Running, Some(running)) => Ok(running.statistics::<E>(plan, first, layout.sets())),
        (Source::Running, None) | (Source::Input | Source::Merged, _) if E::IS_DOUBLE => {
            let mut statistics = measure_double_double(plan, layout, input, &[], checkpoint)?;
            let scales = scale::exponents_of(plan, layout, input, &statistics, checkpoint)?;
            if !scales.is_empty() {
                let mut copy = input.to_vec();
                scale::scale(layout, &mut copy, &scales, checkpoint)?;
                statistics = measure_double_double(plan, layout, &copy, &scales, checkpoint)?;
                statistics.scales = scales;
            }
            Ok(statistics)
        }
        (Source::Running, None) | (Source::Input | Source::Merged, _) => {
            let is_double = running.is_some_and(|running| running.is_double);
            measure::<E>(plan, layout, input, is_double, checkpoint)
        }
    }
}

/// `is_double`: whether the variance is to have float64's digits.
fn measure<E: Element>(
    plan: &Plan,
    layout: &Layout,
    input: &[u8],
    is_double: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let n = plan.denominator.share;
    let element = PhantomData::<E>;
    if !plan.centred {
        let squares = sums(layout, Over::Sets, &Squares { input, element }, checkpoint)?;
        let var = squares.iter().map(|[sum]| sum.value() / n).collect();
        let zeros = vec![0.0; squares.len()];
        return Ok(
            Statistics { mean: zeros.clone(), tail: zeros, var, ..Statistics::default() }.with_rstd(plan.denominator)
        );
    }
    let totals = sums(layout, Over::Sets, &Plain { input, element }, checkpoint)?;
    let mut means: Vec<DoubleDouble> = totals.into_iter().map(|[sum]| mean::of_sum(sum, n)).collect();
    let centre: Vec<f64> = means.iter().map(|mean| mean.high).collect();
    // The deviations are from the mean without its tail, so each is too large by the tail.
    let not_below_0 = |var: f64| if var < 0.0 { 0.0 } else { var }; // `f64::max` would make 0 of NaN
    let centred = Centred { input, mean: &centre, along_run: layout.run().set_stride, element };
    let var: Vec<f64> = if is_double {
        let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
        let biased = |(&[sum, rest], mean): (&[DoubleDouble; 2], &DoubleDouble)| {
            not_below_0(with_rest(sum, rest).over(n).minus(DoubleDouble::product(mean.low, mean.low)).value())
        };
        squares.iter().zip(&means).map(biased).collect()
    } else {
        let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
        let biased = |([squares], mean): (&[DoubleDouble; 1], &DoubleDouble)| {
            not_below_0(squares.value() / n - mean.low * mean.low)
        };
        squares.iter().zip(&means).map(biased).collect()
    };
    settle::<E>(layout, input, &mut means, &centre, &mut [], &var, checkpoint)?;
    let (mean, tail) = means.into_iter().map(|DoubleDouble { high, low }| (high, low)).unzip();
    Ok(Statistics { mean, tail, var, ..Statistics::default() }.with_rstd(plan.denominator))
}

/// Measures float64 sets, in twice the precision: statistics that are computed in float64 alone are some ten roundings
/// off, while results need all digits of float64.
///
/// `scales`: as in the result.
fn measure_double_double(
    plan: &Plan,
    layout: &Layout,
    input: &[u8],
    scales: &[i32],
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let n = plan.denominator.share;
    let sets = layout.sets();
    let (mut means, mut rests) = (vec![DoubleDouble::from(0.0); sets], vec![0.0; sets]);
    if plan.centred {
        let totals = sums(layout, Over::Sets, &Plain { input, element: PhantomData::<f64> }, checkpoint)?;
        for (set, [sum]) in totals.into_iter().enumerate() {
            Triple { pair: means[set], rest: rests[set] } = mean::thrice(sum, n);
        }
    }
    let centre: Vec<f64> = means.iter().map(|mean| mean.high).collect();
    let element = PhantomData::<f64>;
    let centred = Centred { input, mean: &centre, along_run: layout.run().set_stride, element };
    let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
    let (mut var, mut rstd, mut rstd_tail) = (vec![0.0; sets], vec![0.0; sets], vec![0.0; sets]);
    for (set, [sum, rest]) in squares.into_iter().enumerate() {
        // The deviations are from the mean without its tail, so each is too large by the tail. If all elements are
        // within a few units of the last place, the tail is most of a deviation.
        let tail = DoubleDouble { high: means[set].low, low: rests[set] };
        let mut squares = with_rest(sum, rest).over(n).minus(tail.times(tail));
        if squares.high < 0.0 {
            squares = DoubleDouble::from(0.0);
        }
        let exponent = scales.get(set).copied().unwrap_or(0);
        let DoubleDouble { high, low } = plan.denominator.reciprocal_double_double(squares, exponent);
        (var[set], rstd[set], rstd_tail[set]) = (squares.value(), high, low);
    }
    if plan.centred {
        settle::<f64>(layout, input, &mut means, &centre, &mut rests, &var, checkpoint)?;
    }
    // A pair has an error of up to 2^-53 of its tail. That is enough for outputs; gradients, whose terms may cancel,
    // have to be right to 2^-62 of `grad_output`.
    let is_close = |set: usize| means[set].low.abs() * n.sqrt() > CLOSE * var[set].sqrt();
    let close_rest = if (0..sets).any(is_close) {
        (0..sets).map(|set| if is_close(set) { rests[set] } else { f64::NAN }).collect()
    } else {
        Vec::new()
    };
    if !plan.centred {
        rests = Vec::new();
    }
    let (mean, tail) = means.into_iter().map(|DoubleDouble { high, low }| (high, low)).unzip();
    Ok(Statistics { mean, tail, rest: rests, close_rest, var, rstd, rstd_tail, scales: Vec::new() })
}

/// The variances of float32 or half sets, or the mean squares or sums of squares instead, in twice float64's precision.
/// `means`: the means and their tails.
pub(super) fn variances<E: Element>(
    plan: &Plan,
    layout: &Layout,
    input: &[u8],
    [mean, tail]: [&[f64]; 2],
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<DoubleDouble>, Error> {
    let along_run = layout.run().set_stride;
    let centred = Centred { input, mean, along_run, element: PhantomData::<E> };
    let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
    let var = |([sum, rest], &tail): ([DoubleDouble; 2], &f64)| {
        let var = with_rest(sum, rest).over(plan.denominator.share).minus(DoubleDouble::product(tail, tail));
        if var.high < 0.0 { DoubleDouble::from(0.0) } else { var }
    };
    Ok(squares.into_iter().zip(tail).map(var).collect())
}

/// A sum plus the sum of the rounding errors of its terms. The errors of an infinite sum are NaN, and left out.
pub(super) fn with_rest(sum: DoubleDouble, rest: DoubleDouble) -> DoubleDouble {
    if sum.high.is_finite() { sum.plus(rest).normalized() } else { DoubleDouble::from(sum.high) }
}

/// The elements themselves.
struct Plain<'a, E> {
    input: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Plain<'_, E> {
    /// The sum keeps every rounding error, so that an element next to the mean keeps its digits however large the
    /// others are.
    const EACH: usize = 1;

    #[inline(always)]
    fn write(&self, at: Position, [x]: &mut [[f64; BLOCK]; 1], places: Range<usize>) {
        E::decode_from(self.input, at.offset, &mut x[places]);
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, _: &mut [[f64; BLOCK]; 1], [lanes]: &mut [Lanes; 1]) {
        lanes.add_elements::<E>(block_of::<E>(self.input, at, ahead));
    }
}

/// The bytes of a whole block of elements. The block `ahead` elements further is prefetched.
#[inline(always)]
fn block_of<E: Element>(input: &[u8], at: Position, ahead: usize) -> &[u8] {
    let size = E::DTYPE.size();
    let block = &input[at.offset * size..][..BLOCK * size];
    simd::prefetch(block, ahead * size);
    block
}

/// The squares of the elements.
struct Squares<'a, E> {
    input: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Squares<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [squares]: &mut [[f64; BLOCK]; 1], places: Range<usize>) {
        let squares = &mut squares[places];
        E::decode_from(self.input, at.offset, squares);
        squares.iter_mut().for_each(|x| *x *= *x);
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, _: &mut [[f64; BLOCK]; 1], [lanes]: &mut [Lanes; 1]) {
        lanes.add_terms::<E>(block_of::<E>(self.input, at, ahead), |x| x * x);
    }
}

/// Squares of the deviations from the mean without its tail: each rounded, or with its rounding error.
struct Centred<'a, E> {
    input: &'a [u8],
    mean: &'a [f64],
    /// The distance of neighbours of a run in `mean`: 0 or 1.
    along_run: usize,
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Centred<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [x]: &mut [[f64; BLOCK]; 1], places: Range<usize>) {
        let x = &mut x[places];
        E::decode_from(self.input, at.offset, x);
        if self.along_run == 0 {
            let mean = self.mean[at.set];
            x.iter_mut().for_each(|x| *x = (*x - mean) * (*x - mean));
        } else {
            x.iter_mut().zip(&self.mean[at.set..]).for_each(|(x, mean)| *x = (*x - mean) * (*x - mean));
        }
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, _: &mut [[f64; BLOCK]; 1], [lanes]: &mut [Lanes; 1]) {
        // Sums along a run are those of one set.
        let mean = self.mean[at.set];
        lanes.add_terms::<E>(block_of::<E>(self.input, at, ahead), |x| (x - mean) * (x - mean));
    }
}

impl<E: Element> Terms<2> for Centred<'_, E> {
    const EACH: usize = 1;

    #[inline(always)]
    fn write(&self, at: Position, [squares, rests]: &mut [[f64; BLOCK]; 2], places: Range<usize>) {
        let (squares, rests) = (&mut squares[places.clone()], &mut rests[places]);
        E::decode_from(self.input, at.offset, squares);
        let square = |(x, rest): (&mut f64, &mut f64), mean: f64| {
            let (high, low) = two_sum(*x, -mean);
            let deviation = DoubleDouble { high, low };
            DoubleDouble { high: *x, low: *rest } = deviation.times(deviation);
        };
        let terms = squares.iter_mut().zip(rests);
        if self.along_run == 0 {
            let mean = self.mean[at.set];
            terms.for_each(|term| square(term, mean));
        } else {
            terms.zip(&self.mean[at.set..]).for_each(|(term, &mean)| square(term, mean));
        }
    }
}
