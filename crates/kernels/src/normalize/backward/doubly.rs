//! The gradients of float64 elements, in twice float64's precision.
//!
//! With d = x - mean the slope is rstd^2 * mean(g * d): dx = rstd * (g - mean(g) - d * slope), the definition with what is
//! the same for a whole set in one number.

use super::{
    super::{
        apply::Map,
        layout::Position,
        reduce::{Over, Terms, sums},
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

impl Pairs<'_> {
    /// Writes dy and x.
    #[inline(always)]
    fn write(&self, at: Position, dy: &mut [f64], x: &mut [f64]) {
        f64::decode_from(self.dy, at.offset, dy);
        f64::decode_from(self.part.input, at.offset, x);
    }
}

/// dy * xh and dy; then what rounding takes from the former.
struct AffineTerms<'a>(Pairs<'a>);

impl Terms<3> for AffineTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [product, dy, rest]: [&mut [f64]; 3]) {
        self.0.write(at, dy, product);
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
        let (mean, rstd) = (self.0.part.means::<S>(at, dy.len()), self.0.part.rstds::<S>(at, dy.len()));
        for (i, ((product, rest), &dy)) in product.iter_mut().zip(rest).zip(dy).enumerate() {
            let d = Double::from(*product).minus(mean.at(i));
            Double { high: *product, low: *rest } = d.times(rstd.at(i)).times(Double::from(dy));
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
pub(super) fn slopes(part: &Part<'_>, centred: bool, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Slopes, Error> {
    let n = part.layout.set_len() as f64;
    let sums = sums(&part.layout, Over::Sets, &SetTerms(Pairs { part, dy }), checkpoint)?;
    let mean = |sum: Double, rest| {
        if sum.high.is_finite() { with_rest(sum, rest).over(n).normalized() } else { Double::from(f64::NAN) }
    };
    let pairs = |pairs: &mut dyn Iterator<Item = Double>| -> [Vec<f64>; 2] {
        let (high, low) = pairs.map(|Double { high, low }| (high, low)).unzip();
        [high, low]
    };
    let mean_g = |&[g, _, rest, _]: &[Double; 4]| if centred { mean(g, rest) } else { Double::from(0.0) };
    let rstds = part.rstds::<Each<'_>>(Position { offset: 0, set: 0, affine: 0 }, sums.len());
    let slope = |(set, &[_, product, _, rest]): (usize, &[Double; 4])| {
        mean(product, rest).times(rstds.at(set)).times(rstds.at(set)).normalized()
    };
    Ok(Slopes { mean_g: pairs(&mut sums.iter().map(mean_g)), slope: pairs(&mut sums.iter().enumerate().map(slope)) })
}

/// As [`Part::affine_sums`].
pub(super) fn affine_sums(part: &Part<'_>, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Vec<[f64; 2]>, Error> {
    let sums = sums(&part.layout, Over::Repetitions, &AffineTerms(Pairs { part, dy }), checkpoint)?;
    Ok(sums.iter().map(|&[product, dy, rest]| [with_rest(product, rest).value(), dy.value()]).collect())
}

/// dx, of dy.
pub(super) struct InputGradient<'a>(pub(super) &'a Part<'a>);

impl Map<f64> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, dy: &[u8], g: &mut [f64]) {
        let mut x = [0.0; BLOCK];
        let x = &mut x[..g.len()];
        f64::decode_from(dy, 0, g);
        f64::decode_from(self.0.input, at.offset, x);
        by_variation!(self.0.layout.run(), self.combine(at, g, x));
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
