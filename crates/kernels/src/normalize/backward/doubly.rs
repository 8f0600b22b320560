//! The gradients of float64 elements, in twice float64's precision.
//!
//! With d = x - mean the slope is rstd^2 * mean(g * d), or of the sum: dx = rstd * (g - mean(g) - d * slope), the definition with what is
//! the same for a whole set in one number.

use super::{
    super::{
        apply::Map,
        layout::Position,
        plan::Plan,
        reduce::{Over, Terms, sums},
        scale::times_power,
        statistics::with_rest,
        values::{Each, Same, Values, by_variation},
    },
    Part,
    slopes::Slopes,
};
use crate::{
    Checkpoint, Element as _, Error,
    lanes::{BLOCK, Double},
};

/// Pairs beside the elements of a run.
#[derive(Clone, Copy)]
struct Doubles<V> {
    high: V,
    low: V,
}

impl<'a, V: Values<'a>> Doubles<V> {
    #[inline(always)]
    fn take(high: &'a [f64], low: &'a [f64], first: usize, len: usize) -> Self {
        Self { high: V::take(high, first, len), low: V::take(low, first, len) }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> Double {
        Double { high: self.high.at(index), low: self.low.at(index) }
    }
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn means<'s, S: Values<'s>>(&'s self, at: Position, len: usize) -> Doubles<S> {
        Doubles::take(&self.statistics.mean, &self.statistics.tail, at.set, len)
    }

    #[inline(always)]
    fn rstds<'s, S: Values<'s>>(&'s self, at: Position, len: usize) -> Doubles<S> {
        Doubles::take(&self.statistics.rstd, &self.statistics.rstd_tail, at.set, len)
    }

    #[inline(always)]
    fn weights<'s, A: Values<'s>>(&'s self, at: Position, len: usize) -> A {
        A::take(&self.affine.weight, at.affine, len)
    }
}

/// The elements of a part and the gradient of its outputs.
#[derive(Clone, Copy)]
struct Pairs<'a> {
    part: &'a Part<'a>,
    dy: &'a [u8],
}

/// What gradients are multiplied by where the elements of a set are scaled: the terms of the weight's gradient may be so small
/// that only their sum is a number with all its digits.
const SCALED_UP: f64 = f64::from_bits((1023 + 300) << 52);

impl Pairs<'_> {
    #[inline(always)]
    fn are_scaled(&self) -> bool {
        !self.part.statistics.scales.is_empty()
    }

    /// Writes dy and x.
    #[inline(always)]
    fn write(&self, at: Position, dy: &mut [f64], x: &mut [f64]) {
        f64::decode_from(self.dy, at.offset, dy);
        f64::decode_from(&self.part.input, at.offset, x);
    }
}

/// dy * xh and dy; then what rounding takes from the former.
struct AffineTerms<'a>(Pairs<'a>);

impl Terms<3> for AffineTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [product, dy, rest]: [&mut [f64]; 3]) {
        self.0.write(at, dy, product);
        if self.0.are_scaled() {
            dy.iter_mut().for_each(|dy| *dy *= SCALED_UP);
        }
        if self.0.part.layout.run().set_stride == 0 {
            self.multiply::<Same>(at, product, dy, rest);
        } else {
            self.multiply::<Each>(at, product, dy, rest);
        }
    }
}

impl<'a> AffineTerms<'a> {
    #[inline(always)]
    fn multiply<S: Values<'a>>(&self, at: Position, product: &mut [f64], dy: &[f64], rest: &mut [f64]) {
        let (part, set_stride) = (self.0.part, self.0.part.layout.run().set_stride);
        let (mean, rstd) = (part.means::<S>(at, dy.len()), part.rstds::<S>(at, dy.len()));
        let deviation = |x: f64, i: usize| Double::from(x).minus(mean.at(i));
        let terms = product.iter_mut().zip(rest).zip(dy).enumerate();
        if !self.0.are_scaled() {
            for (i, ((product, rest), &dy)) in terms {
                Double { high: *product, low: *rest } =
                    deviation(*product, i).times(rstd.at(i)).times(Double::from(dy));
            }
            return;
        }
        for (i, ((product, rest), &dy)) in terms {
            // Next to eps, elements that are scaled up may be so small that only the gradient makes numbers of them.
            let is_small = part.statistics.scale(at.set + i * set_stride) > 0;
            let dy = Double::from(dy);
            let (first, second) = if is_small { (dy, rstd.at(i)) } else { (rstd.at(i), dy) };
            Double { high: *product, low: *rest } = deviation(*product, i).times(first).times(second);
        }
    }
}

/// g and g * d; then what rounding takes from them.
struct SetTerms<'a>(Pairs<'a>);

impl Terms<4> for SetTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [g, product, g_rest, product_rest]: [&mut [f64]; 4]) {
        self.0.write(at, g, product);
        by_variation!(self.0.part.layout.run(), self.multiply(at, [g, product], [g_rest, product_rest]));
    }
}

impl<'a> SetTerms<'a> {
    #[inline(always)]
    fn multiply<S: Values<'a>, A: Values<'a>>(&self, at: Position, terms: [&mut [f64]; 2], rests: [&mut [f64]; 2]) {
        let ([g, product], [g_rest, product_rest]) = (terms, rests);
        let (mean, weight) = (self.0.part.means::<S>(at, g.len()), self.0.part.weights::<A>(at, g.len()));
        let (terms, rests) = (g.iter_mut().zip(product), g_rest.iter_mut().zip(product_rest));
        for (i, ((g, product), (g_rest, product_rest))) in terms.zip(rests).enumerate() {
            let d = Double::from(*product).minus(mean.at(i));
            let exact = Double::product(*g, weight.at(i));
            Double { high: *g, low: *g_rest } = exact;
            Double { high: *product, low: *product_rest } = d.times(exact);
        }
    }
}

/// The slopes of each set of a part that has its statistics.
pub(super) fn slopes(part: &Part<'_>, plan: &Plan, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Slopes, Error> {
    let n = plan.denominator.share;
    let sums = sums(&part.layout, Over::Sets, &SetTerms(Pairs { part, dy }), checkpoint)?;
    let mean = |sum: Double, rest| {
        if sum.high.is_finite() { with_rest(sum, rest).over(n).normalized() } else { Double::from(f64::NAN) }
    };
    let pairs = |pairs: &mut dyn Iterator<Item = Double>| -> [Vec<f64>; 2] {
        let (high, low) = pairs.map(|Double { high, low }| (high, low)).unzip();
        [high, low]
    };
    let mean_g = |&[g, _, rest, _]: &[Double; 4]| if plan.centred { mean(g, rest) } else { Double::from(0.0) };
    let rstds = part.rstds::<Each<'_>>(Position { offset: 0, set: 0, affine: 0 }, sums.len());
    let slope = |(set, &[_, product, _, rest]): (usize, &[Double; 4])| {
        mean(product, rest).times(rstds.at(set)).times(rstds.at(set)).normalized()
    };
    Ok(Slopes { mean_g: pairs(&mut sums.iter().map(mean_g)), slope: pairs(&mut sums.iter().enumerate().map(slope)) })
}

/// As [`Part::affine_sums`].
pub(super) fn affine_sums(part: &Part<'_>, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Vec<[f64; 2]>, Error> {
    let terms = AffineTerms(Pairs { part, dy });
    let sums = sums(&part.layout, Over::Repetitions, &terms, checkpoint)?;
    let factor = if terms.0.are_scaled() { 1.0 / SCALED_UP } else { 1.0 };
    let values = |&[product, dy, rest]: &[Double; 3]| [with_rest(product, rest).value(), dy.value()];
    Ok(sums.iter().map(values).map(|sums| sums.map(|sum| sum * factor)).collect())
}

/// dx, of dy.
pub(super) struct InputGradient<'a>(pub(super) &'a Part<'a>);

impl Map<f64> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, dy: &[u8], g: &mut [f64]) {
        let mut x = [0.0; BLOCK];
        let x = &mut x[..g.len()];
        f64::decode_from(dy, 0, g);
        f64::decode_from(&self.0.input, at.offset, x);
        let run = self.0.layout.run();
        by_variation!(run, self.combine(at, g, x));
        let statistics = &self.0.statistics;
        if !statistics.scales.is_empty() {
            // The elements were multiplied by a power of two, and so their gradients were divided by it.
            let set = |i: usize| at.set + i * run.set_stride;
            g.iter_mut().enumerate().for_each(|(i, g)| *g = times_power(*g, statistics.scale(set(i))));
        }
    }
}

impl<'a> InputGradient<'a> {
    #[inline(always)]
    fn combine<S: Values<'a>, A: Values<'a>>(&self, at: Position, g: &mut [f64], x: &[f64]) {
        let (part, len) = (self.0, g.len());
        let (rstd, weight) = (part.rstds::<S>(at, len), part.weights::<A>(at, len));
        let Some(Slopes { mean_g: [mean_g, mean_g_low], slope: [slope, slope_low] }) = &part.slopes else {
            for (i, g) in g.iter_mut().enumerate() {
                *g = Double::product(*g, weight.at(i)).times(rstd.at(i)).value();
            }
            return;
        };
        let mean = part.means::<S>(at, len);
        let mean_g = Doubles::<S>::take(mean_g, mean_g_low, at.set, len);
        let slope = Doubles::<S>::take(slope, slope_low, at.set, len);
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            let d = Double::from(x).minus(mean.at(i));
            let sum = Double::product(*g, weight.at(i)).minus(mean_g.at(i)).minus(d.times(slope.at(i)));
            *g = sum.times(rstd.at(i)).value();
        }
    }
}
