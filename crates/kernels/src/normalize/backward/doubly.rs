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

impl Elements<'_> {
    /// Writes dy and x.
    #[inline(always)]
    fn write(&self, at: Position, dy: &mut [f64], x: &mut [f64]) {
        f64::decode_from(self.pair.grad_output, at.offset, dy);
        f64::decode_from(self.pair.input, at.offset, x);
    }

    /// The set of element `index` of a stretch.
    #[inline(always)]
    fn set(&self, at: Position, index: usize) -> usize {
        at.set + index * self.run.set_stride
    }

    #[inline(always)]
    fn d(&self, set: usize, x: f64) -> Double {
        Double::from(x).minus(Double { high: self.statistics.mean[set], low: self.statistics.tail[set] })
    }

    #[inline(always)]
    fn rstd(&self, set: usize) -> Double {
        Double { high: self.statistics.rstd[set], low: self.statistics.rstd_tail[set] }
    }

    #[inline(always)]
    fn g(&self, at: Position, index: usize, dy: f64) -> Double {
        Double::product(dy, self.affine.weight[at.affine + index * self.run.affine_stride])
    }
}

/// dy * xh and dy; then what rounding takes from the former.
pub(super) struct AffineTerms<'a>(pub(super) Elements<'a>);

impl Terms<3> for AffineTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [product, dy, rest]: [&mut [f64]; 3]) {
        let elements = &self.0;
        elements.write(at, dy, product);
        for i in 0..dy.len() {
            let set = elements.set(at, i);
            let exact = elements.d(set, product[i]).times(elements.rstd(set)).times(Double::from(dy[i]));
            (product[i], rest[i]) = (exact.high, exact.low);
        }
    }
}

/// g and g * d; then what rounding takes from them.
struct SetTerms<'a>(Elements<'a>);

impl Terms<4> for SetTerms<'_> {
    const EACH: usize = 2;

    #[inline(always)]
    fn write(&self, at: Position, [g, product, g_rest, product_rest]: [&mut [f64]; 4]) {
        let elements = &self.0;
        elements.write(at, g, product);
        for i in 0..g.len() {
            let exact = elements.g(at, i, g[i]);
            let exact_product = elements.d(elements.set(at, i), product[i]).times(exact);
            (g[i], g_rest[i]) = (exact.high, exact.low);
            (product[i], product_rest[i]) = (exact_product.high, exact_product.low);
        }
    }
}

/// How the statistics themselves depend on each input: the mean of g and the slope of each set; zeros for running
/// statistics, which do not.
pub(super) struct Slopes {
    mean_g: Vec<Double>,
    slope: Vec<Double>,
}

impl Slopes {
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
        let mean_g = |&[g, _, rest, _]: &[Double; 4]| if plan.centred { mean(g, rest) } else { Double::from(0.0) };
        let slope = |(set, &[_, product, _, rest]): (usize, &[Double; 4])| {
            let rstd = elements.rstd(set);
            mean(product, rest).times(rstd).times(rstd).normalized()
        };
        Ok(Some(Self {
            mean_g: sums.iter().map(mean_g).collect(),
            slope: sums.iter().enumerate().map(slope).collect(),
        }))
    }
}

pub(super) struct InputGradient<'a> {
    pub(super) elements: Elements<'a>,
    /// How the statistics depend on each input, if they do.
    pub(super) slopes: Option<Slopes>,
}

impl Map for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, g: &mut [f64]) {
        let mut x = [0.0; BLOCK];
        let x = &mut x[..g.len()];
        let elements = &self.elements;
        elements.write(at, g, x);
        for (i, (g, &x)) in g.iter_mut().zip(&*x).enumerate() {
            let set = elements.set(at, i);
            let mut sum = elements.g(at, i, *g);
            if let Some(Slopes { mean_g, slope }) = &self.slopes {
                sum = sum.minus(mean_g[set]).minus(elements.d(set, x).times(slope[set]));
            }
            *g = sum.times(elements.rstd(set)).value();
        }
    }
}
