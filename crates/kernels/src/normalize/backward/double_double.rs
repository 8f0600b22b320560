//! The gradients of float64 elements, in twice float64's precision.
//!
//! With d = x - mean, dx = rstd * (g - mean(g) - d * slope). The slope, rstd^2 * mean(g * d), is one number for each
//! set; for L2 it has the sum in place of the mean.

use std::ops::Range;

use super::{
    super::{
        apply::Map,
        extremes::close_deviation,
        layout::Position,
        measure::with_rest,
        plan::Plan,
        power::power,
        reduce::{Over, Terms, sums},
        values::{Broadcast, PerElement, Values, by_variation},
    },
    Part,
    pairs::Pairs,
    slopes::Slopes,
    small,
};
use crate::{
    Checkpoint, Element, Error,
    lanes::{BLOCK, DoubleDouble},
    parallel::map_ranges,
};

/// Pairs beside the elements of a run.
#[derive(Clone, Copy)]
struct DoubleDoubles<V> {
    high: V,
    low: V,
}

impl<'a, V: Values<'a>> DoubleDoubles<V> {
    #[inline(always)]
    fn take(high: &'a [f64], low: &'a [f64], first: usize, len: usize) -> Self {
        Self { high: V::take(high, first, len), low: V::take(low, first, len) }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> DoubleDouble {
        DoubleDouble { high: self.high.at(index), low: self.low.at(index) }
    }
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn means<'s, S: Values<'s>>(&'s self, at: Position, len: usize) -> DoubleDoubles<S> {
        DoubleDoubles::take(&self.statistics.mean, &self.statistics.tail, at.set, len)
    }

    /// The remainders of the tails of the means, if one counts for its set; NaN for sets where it does not.
    #[inline(always)]
    fn rests<'s, S: Values<'s>>(&'s self, at: Position, len: usize) -> Option<S> {
        let rest = &self.statistics.close_rest;
        (!rest.is_empty()).then(|| S::take(rest, at.set, len))
    }

    #[inline(always)]
    fn rstds<'s, S: Values<'s>>(&'s self, at: Position, len: usize) -> DoubleDoubles<S> {
        DoubleDoubles::take(&self.statistics.rstd, &self.statistics.rstd_tail, at.set, len)
    }

    #[inline(always)]
    fn weights<'s, A: Values<'s>>(&'s self, at: Position, len: usize) -> A {
        A::take(&self.affine.weight, at.affine, len)
    }
}

/// An element's difference from the mean.
#[inline(always)]
fn deviation(x: f64, mean: DoubleDouble) -> DoubleDouble {
    DoubleDouble::from(x).minus(mean)
}

/// As [`deviation`], with all the digits of an element next to the mean. If `rest` is NaN, the same as [`deviation`] to
/// the bit.
#[inline(always)]
fn deviation_with(rest: f64, x: f64, mean: DoubleDouble) -> DoubleDouble {
    if rest.is_nan() { deviation(x, mean) } else { close_deviation(x, mean, rest) }
}

/// The terms of a weight's gradient are multiplied by this number until they are added up: a term may be subnormal
/// where the sum is not.
const LIFT: f64 = power(400);

/// dy * xh and dy; then the rounding error of the former.
struct AffineTerms<'a, E>(Pairs<'a, E>);

impl<E: Element> Terms<3> for AffineTerms<'_, E> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [product, dy, rest]: &mut [[f64; BLOCK]; 3], places: Range<usize>) {
        let (product, dy) = (&mut product[places.clone()], &mut dy[places.clone()]);
        let rest = &mut rest[places];
        self.0.write(at, dy, product);
        if self.0.part.layout.run().set_stride == 0 {
            self.multiply::<Broadcast>(at, product, dy, rest);
        } else {
            self.multiply::<PerElement>(at, product, dy, rest);
        }
    }
}

impl<'a, E: Element> AffineTerms<'a, E> {
    #[inline(always)]
    fn multiply<S: Values<'a>>(&self, at: Position, product: &mut [f64], dy: &[f64], rest: &mut [f64]) {
        let part = self.0.part;
        let (mean, rstd) = (part.means::<S>(at, dy.len()), part.rstds::<S>(at, dy.len()));
        for (i, ((product, rest), &dy)) in product.iter_mut().zip(rest).zip(dy).enumerate() {
            let DoubleDouble { high, low } = rstd.at(i);
            let rstd = DoubleDouble { high: high * LIFT, low: low * LIFT };
            DoubleDouble { high: *product, low: *rest } =
                deviation(*product, mean.at(i)).times(rstd).times(DoubleDouble::from(dy));
        }
    }
}

/// g and g * d; then the rounding errors of both.
struct SetTerms<'a>(Pairs<'a, f64>);

impl Terms<4> for SetTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [g, product, g_rest, product_rest]: &mut [[f64; BLOCK]; 4], places: Range<usize>) {
        let (g, product) = (&mut g[places.clone()], &mut product[places.clone()]);
        let (g_rest, product_rest) = (&mut g_rest[places.clone()], &mut product_rest[places]);
        self.0.write(at, g, product);
        by_variation!(self.0.part.layout.run(), self.multiply(at, [g, product], [g_rest, product_rest]));
    }
}

impl<'a> SetTerms<'a> {
    #[inline(always)]
    fn multiply<S: Values<'a>, A: Values<'a>>(&self, at: Position, terms: [&mut [f64]; 2], rests: [&mut [f64]; 2]) {
        let len = terms[0].len();
        let mean = self.0.part.means::<S>(at, len);
        match self.0.part.rests::<S>(at, len) {
            None => self.add::<A>(at, terms, rests, |x, i| deviation(x, mean.at(i))),
            Some(rest) => self.add::<A>(at, terms, rests, |x, i| deviation_with(rest.at(i), x, mean.at(i))),
        }
    }

    #[inline(always)]
    fn add<A: Values<'a>>(
        &self,
        at: Position,
        [g, product]: [&mut [f64]; 2],
        [g_rest, product_rest]: [&mut [f64]; 2],
        deviation: impl Fn(f64, usize) -> DoubleDouble,
    ) {
        let weight = self.0.part.weights::<A>(at, g.len());
        let (terms, rests) = (g.iter_mut().zip(product), g_rest.iter_mut().zip(product_rest));
        for (i, ((g, product), (g_rest, product_rest))) in terms.zip(rests).enumerate() {
            let d = deviation(*product, i);
            let exact = DoubleDouble::product(*g, weight.at(i));
            DoubleDouble { high: *g, low: *g_rest } = exact;
            DoubleDouble { high: *product, low: *product_rest } = d.times(exact);
        }
    }
}

/// The slopes of each set of a part that has its statistics.
pub(super) fn slopes(part: &Part<'_>, plan: &Plan, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Slopes, Error> {
    let n = plan.denominator.share;
    let sums = sums(&part.layout, Over::Sets, &SetTerms(Pairs::new(part, dy)), checkpoint)?;
    let mean = |sum: DoubleDouble, rest| {
        if sum.high.is_finite() { with_rest(sum, rest).over(n).normalized() } else { DoubleDouble::from(f64::NAN) }
    };
    let pairs = |pairs: &mut dyn Iterator<Item = DoubleDouble>| -> [Vec<f64>; 2] {
        let (high, low) = pairs.map(|DoubleDouble { high, low }| (high, low)).unzip();
        [high, low]
    };
    let mean_g =
        |&[g, _, rest, _]: &[DoubleDouble; 4]| if plan.centred { mean(g, rest) } else { DoubleDouble::from(0.0) };
    let rstds = part.rstds::<PerElement<'_>>(Position { offset: 0, set: 0, affine: 0 }, sums.len());
    let slope = |(set, &[_, product, _, rest]): (usize, &[DoubleDouble; 4])| {
        mean(product, rest).times(rstds.at(set)).times(rstds.at(set)).normalized()
    };
    let mean_g = pairs(&mut sums.iter().map(mean_g));
    let slope = pairs(&mut sums.iter().enumerate().map(slope));
    let mut small = Vec::new();
    if !plan.centred {
        let of_sets = |sets: Range<usize>| {
            let mut small = Vec::new();
            for set in sets {
                let [_, product, _, rest] = sums[set];
                let in_float64 = [mean(product, rest).high, slope[0][set]];
                let slope = small::slope(part, dy, set, n, in_float64, checkpoint)?;
                small.extend(slope.map(|slope| (set, slope)));
            }
            Ok(small)
        };
        small = map_ranges(sums.len(), 64, &of_sets)?.concat();
    }
    Ok(Slopes { mean_g, slope, may_be_small: !plan.centred, small })
}

/// As [`Part::affine_sums`], for elements of any dtype whose statistics are pairs.
pub(super) fn affine_sums<E: Element>(
    part: &Part<'_>,
    dy: &[u8],
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    let terms = AffineTerms(Pairs::<E>::new(part, dy));
    let sums = sums(&part.layout, Over::Repetitions, &terms, checkpoint)?;
    let values = |&[product, dy, rest]: &[DoubleDouble; 3]| [with_rest(product, rest).value() / LIFT, dy.value()];
    Ok(sums.iter().map(values).collect())
}

/// The function from dy to dx.
pub(super) struct InputGradient<'a>(pub(super) &'a Part<'a>);

impl Map<f64> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, dy: &[u8], g: &mut [f64], x: &mut [f64]) {
        f64::decode_from(dy, 0, g);
        f64::decode_from(&self.0.input, at.offset, x);
        let least = by_variation!(self.0.layout.run(), self.combine(at, g, x));
        if !self.0.statistics.scales.is_empty() {
            self.0.scale_back(at, dy, g, x);
        }
        if least >> 63 == 1 {
            self.0.settle_small(at, dy, g, x);
        }
    }
}

impl<'a> InputGradient<'a> {
    #[inline(always)]
    fn combine<S: Values<'a>, A: Values<'a>>(&self, at: Position, g: &mut [f64], x: &[f64]) -> u64 {
        let (part, len) = (self.0, g.len());
        let (rstd, weight) = (part.rstds::<S>(at, len), part.weights::<A>(at, len));
        let Some(Slopes { mean_g: [mean_g, mean_g_low], slope: [slope, slope_low], may_be_small, .. }) = &part.slopes
        else {
            for (i, g) in g.iter_mut().enumerate() {
                *g = DoubleDouble::product(*g, weight.at(i)).times(rstd.at(i)).value();
            }
            return 0;
        };
        let slopes = [
            DoubleDoubles::<S>::take(mean_g, mean_g_low, at.set, len),
            DoubleDoubles::<S>::take(slope, slope_low, at.set, len),
        ];
        let mean = part.means::<S>(at, len);
        match part.rests::<S>(at, len) {
            None if *may_be_small => combine::<S, A, true>(g, x, weight, rstd, slopes, |x, i| deviation(x, mean.at(i))),
            None => combine::<S, A, false>(g, x, weight, rstd, slopes, |x, i| deviation(x, mean.at(i))),
            Some(rest) => {
                combine::<S, A, false>(g, x, weight, rstd, slopes, |x, i| deviation_with(rest.at(i), x, mean.at(i)))
            }
        }
    }
}

/// Replaces dy by dx. `slopes`: the mean of g, and the factor of each deviation. If terms `MAY_BE_SMALL`, the highest
/// bit of the result tells whether a gradient is below [`LEAST_GRADIENT`](small::LEAST_GRADIENT).
#[inline(always)]
fn combine<'a, S: Values<'a>, A: Values<'a>, const MAY_BE_SMALL: bool>(
    g: &mut [f64],
    x: &[f64],
    weight: A,
    rstd: DoubleDoubles<S>,
    [mean_g, slope]: [DoubleDoubles<S>; 2],
    deviation: impl Fn(f64, usize) -> DoubleDouble,
) -> u64 {
    const MAGNITUDE: u64 = u64::MAX >> 1;
    let mut least = 0;
    for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
        let d = deviation(x, i);
        let sum = DoubleDouble::product(*g, weight.at(i)).minus(mean_g.at(i)).minus(d.times(slope.at(i)));
        *g = sum.times(rstd.at(i)).value();
        if MAY_BE_SMALL {
            least |= (g.to_bits() & MAGNITUDE).wrapping_sub(small::LEAST_GRADIENT.to_bits());
        }
    }
    least
}
