//! The gradients of float64 elements, in twice float64's precision.
//!
//! dx = rstd * (g - mean(g) - d * slope), where d = x - mean and slope = rstd^2 * mean(g * d): the definition with what is
//! the same for a whole set in one number.

use super::{
    super::{
        affine::Affine,
        apply::Map,
        layout::{Dim, Layout, Position},
        plan::{Plan, Source},
        reduce::{Over, Terms, sums},
        statistics::{Statistics, with_rest},
        values::{Each, Same, Values, by_variation},
    },
    Pair,
};
use crate::{
    Checkpoint, Element as _, Error,
    lanes::{BLOCK, Double},
};

/// What the gradients of each element are made of.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    pub(super) pair: Pair<'a>,
    pub(super) statistics: &'a Statistics,
    pub(super) affine: &'a Affine,
    pub(super) run: Dim,
}

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

impl<'a> Elements<'a> {
    /// Writes dy and x.
    #[inline(always)]
    fn write(&self, at: Position, dy: &mut [f64], x: &mut [f64]) {
        f64::decode_from(self.pair.grad_output, at.offset, dy);
        f64::decode_from(self.pair.input, at.offset, x);
    }

    #[inline(always)]
    fn means<S: Values<'a>>(&self, at: Position, len: usize) -> Doubles<S> {
        Doubles::take(&self.statistics.mean, &self.statistics.tail, at.set, len)
    }

    #[inline(always)]
    fn rstds<S: Values<'a>>(&self, at: Position, len: usize) -> Doubles<S> {
        Doubles::take(&self.statistics.rstd, &self.statistics.rstd_tail, at.set, len)
    }

    #[inline(always)]
    fn weights<A: Values<'a>>(&self, at: Position, len: usize) -> A {
        A::take(&self.affine.weight, at.affine, len)
    }
}

/// dy * xh and dy; then what rounding takes from the former.
pub(super) struct AffineTerms<'a>(pub(super) Elements<'a>);

impl Terms<3> for AffineTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [product, dy, rest]: [&mut [f64]; 3]) {
        self.0.write(at, dy, product);
        if self.0.run.set_stride == 0 {
            self.multiply::<Same>(at, product, dy, rest);
        } else {
            self.multiply::<Each>(at, product, dy, rest);
        }
    }
}

impl<'a> AffineTerms<'a> {
    #[inline(always)]
    fn multiply<S: Values<'a>>(&self, at: Position, product: &mut [f64], dy: &[f64], rest: &mut [f64]) {
        let (mean, rstd) = (self.0.means::<S>(at, dy.len()), self.0.rstds::<S>(at, dy.len()));
        for (i, ((product, rest), &dy)) in product.iter_mut().zip(rest).zip(dy).enumerate() {
            let d = Double::from(*product).minus(mean.at(i));
            Double { high: *product, low: *rest } = d.times(rstd.at(i)).times(Double::from(dy));
        }
    }
}

/// g and g * d; then what rounding takes from them.
struct SetTerms<'a>(Elements<'a>);

impl Terms<4> for SetTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [g, product, g_rest, product_rest]: [&mut [f64]; 4]) {
        self.0.write(at, g, product);
        by_variation!(self.0.run, self.multiply(at, [g, product], [g_rest, product_rest]));
    }
}

impl<'a> SetTerms<'a> {
    #[inline(always)]
    fn multiply<S: Values<'a>, A: Values<'a>>(&self, at: Position, terms: [&mut [f64]; 2], rests: [&mut [f64]; 2]) {
        let ([g, product], [g_rest, product_rest]) = (terms, rests);
        let (mean, weight) = (self.0.means::<S>(at, g.len()), self.0.weights::<A>(at, g.len()));
        let (terms, rests) = (g.iter_mut().zip(product), g_rest.iter_mut().zip(product_rest));
        for (i, ((g, product), (g_rest, product_rest))) in terms.zip(rests).enumerate() {
            let d = Double::from(*product).minus(mean.at(i));
            let exact = Double::product(*g, weight.at(i));
            Double { high: *g, low: *g_rest } = exact;
            Double { high: *product, low: *product_rest } = d.times(exact);
        }
    }
}

/// How the statistics themselves depend on each input: the mean of g and the slope of each set, as pairs.
pub(super) struct Slopes {
    mean_g: [Vec<f64>; 2],
    slope: [Vec<f64>; 2],
}

impl Slopes {
    /// `None` for running statistics, which do not depend on the input.
    pub(super) fn of(
        plan: &Plan,
        layout: &Layout,
        elements: Elements<'_>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Option<Self>, Error> {
        if plan.source == Source::Running {
            return Ok(None);
        }
        let n = layout.set_len() as f64;
        let sums = sums(layout, Over::Sets, &SetTerms(elements), checkpoint)?;
        let mean = |sum: Double, rest| {
            if sum.high.is_finite() { with_rest(sum, rest).over(n).normalized() } else { Double::from(f64::NAN) }
        };
        let pairs = |pairs: &mut dyn Iterator<Item = Double>| -> [Vec<f64>; 2] {
            let (high, low) = pairs.map(|Double { high, low }| (high, low)).unzip();
            [high, low]
        };
        let mean_g = |&[g, _, rest, _]: &[Double; 4]| if plan.centred { mean(g, rest) } else { Double::from(0.0) };
        let rstds = elements.rstds::<Each<'_>>(Position { offset: 0, set: 0, affine: 0 }, sums.len());
        let slope = |(set, &[_, product, _, rest]): (usize, &[Double; 4])| {
            mean(product, rest).times(rstds.at(set)).times(rstds.at(set)).normalized()
        };
        let (mean_g, slope) = (pairs(&mut sums.iter().map(mean_g)), pairs(&mut sums.iter().enumerate().map(slope)));
        Ok(Some(Self { mean_g, slope }))
    }
}

pub(super) struct InputGradient<'a> {
    pub(super) elements: Elements<'a>,
    /// How the statistics depend on each input, if they do.
    pub(super) slopes: Option<Slopes>,
}

impl Map<f64> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, _: &[u8], g: &mut [f64]) {
        let mut x = [0.0; BLOCK];
        let x = &mut x[..g.len()];
        self.elements.write(at, g, x);
        by_variation!(self.elements.run, self.combine(at, g, x));
    }
}

impl InputGradient<'_> {
    #[inline(always)]
    fn combine<'m, S: Values<'m>, A: Values<'m>>(&'m self, at: Position, g: &mut [f64], x: &[f64]) {
        let len = g.len();
        let (rstd, weight) = (self.elements.rstds::<S>(at, len), self.elements.weights::<A>(at, len));
        let Some(Slopes { mean_g: [mean_g, mean_g_low], slope: [slope, slope_low] }) = &self.slopes else {
            for (i, g) in g.iter_mut().enumerate() {
                *g = Double::product(*g, weight.at(i)).times(rstd.at(i)).value();
            }
            return;
        };
        let mean = self.elements.means::<S>(at, len);
        let mean_g = Doubles::<S>::take(mean_g, mean_g_low, at.set, len);
        let slope = Doubles::<S>::take(slope, slope_low, at.set, len);
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            let d = Double::from(x).minus(mean.at(i));
            let sum = Double::product(*g, weight.at(i)).minus(mean_g.at(i)).minus(d.times(slope.at(i)));
            *g = sum.times(rstd.at(i)).value();
        }
    }
}
