//! The gradients of a normalization.
//!
//! With g = dy * weight, xh = (x - mean) * rstd and means over a set: dx = rstd * (g - mean(g) - xh * mean(g * xh));
//! without centring the middle term is missing, and with running statistics, which are constants, both are.
//! dweight = sum(dy * xh) and dbias = sum(dy), over all elements that share a weight.

mod doubly;

use std::marker::PhantomData;

use rayon::prelude::*;

use super::{
    affine::Affine,
    apply::{Map, apply},
    forward::PART,
    layout::{Dim, Layout, Position},
    plan::{Plan, Source},
    reduce::{Over, Terms, sums},
    statistics::{Running, Statistics, with_rest},
    values::{Each, Same, Values},
};
use crate::{
    Checkpoint, DType, Element, Error,
    lanes::{BLOCK, Double},
    stretch::Stretch,
};

/// Input and gradient, of one shape and dtype.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) input: &'a [u8],
    pub(super) grad_output: &'a [u8],
}

/// The statistics and the bytes of the input's gradient.
pub(super) fn grad_input<E: Element>(
    plan: &Plan,
    layout: &Layout,
    affine: &Affine,
    running: Option<&Running>,
    pair: Pair<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(Statistics, Vec<u8>), Error> {
    let mut output = checkpoint.buffer(pair.input.len());
    let parts = layout.parts(PART);
    let bytes = parts.len() * E::DTYPE.size();
    let parts = output.par_chunks_mut(bytes).enumerate().map(|(index, output)| {
        let (layout, first) = parts.part(index, output.len() / E::DTYPE.size());
        let place = index * bytes..index * bytes + output.len();
        let pair = Pair { input: &pair.input[place.clone()], grad_output: &pair.grad_output[place] };
        let results = Stretch::Apart { input: pair.grad_output, output };
        let statistics = Statistics::of::<E>(plan, &layout, first, pair.input, running, checkpoint)?;
        if E::DTYPE == DType::F64 {
            let elements = doubly::Elements { pair, statistics: &statistics, affine, run: layout.run() };
            let slopes = doubly::Slopes::of(plan, &layout, elements, checkpoint)?;
            apply::<f64>(&layout, &doubly::InputGradient { elements, slopes }, results, checkpoint)?;
            return Ok(statistics);
        }
        let elements = Elements { pair, statistics: &statistics, affine, run: layout.run(), element: PhantomData::<E> };
        let means = Means::of(plan, &layout, &elements, checkpoint)?;
        apply::<E>(&layout, &InputGradient { elements, means }, results, checkpoint)?;
        Ok(statistics)
    });
    let parts = parts.collect::<Result<Vec<_>, Error>>()?;
    Ok((Statistics::concat(parts), output))
}

/// The gradients of weight and bias, one of each for each affine place.
pub(super) fn grad_affine<E: Element>(
    layout: &Layout,
    affine: &Affine,
    statistics: &Statistics,
    pair: Pair<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    if E::DTYPE == DType::F64 {
        let terms = doubly::AffineTerms(doubly::Elements { pair, statistics, affine, run: layout.run() });
        let sums = sums(layout, Over::Repetitions, &terms, checkpoint)?;
        return Ok(sums.iter().map(|&[product, dy, rest]| [with_rest(product, rest).value(), dy.value()]).collect());
    }
    let elements = Elements { pair, statistics, affine, run: layout.run(), element: PhantomData::<E> };
    let sums = sums(layout, Over::Repetitions, &AffineTerms(elements), checkpoint)?;
    Ok(sums.iter().map(|sums| sums.map(Double::value)).collect())
}

/// What the gradients of each element are made of.
#[derive(Clone, Copy)]
struct Elements<'a, E> {
    pair: Pair<'a>,
    statistics: &'a Statistics,
    affine: &'a Affine,
    run: Dim,
    element: PhantomData<E>,
}

impl<'a, E: Element> Elements<'a, E> {
    /// Writes dy and xh.
    #[inline(always)]
    fn write(&self, at: Position, dy: &mut [f64], xh: &mut [f64]) {
        E::decode_from(self.pair.grad_output, at.offset, dy);
        E::decode_from(self.pair.input, at.offset, xh);
        if self.run.set_stride == 0 { self.standardize::<Same>(at, xh) } else { self.standardize::<Each>(at, xh) }
    }

    #[inline(always)]
    fn standardize<S: Values<'a>>(&self, at: Position, x: &mut [f64]) {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        for (i, x) in x.iter_mut().enumerate() {
            *x = (*x - mean.at(i) - tail.at(i)) * rstd.at(i);
        }
    }

    /// Multiplies dy by the weight.
    #[inline(always)]
    fn weigh(&self, at: Position, dy: &mut [f64]) {
        if self.run.affine_stride == 0 {
            let weight = self.affine.weight[at.affine];
            dy.iter_mut().for_each(|dy| *dy *= weight);
        } else {
            dy.iter_mut().zip(&self.affine.weight[at.affine..]).for_each(|(dy, weight)| *dy *= weight);
        }
    }
}

/// dy * xh and dy.
struct AffineTerms<'a, E>(Elements<'a, E>);

impl<E: Element> Terms<2> for AffineTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [product, dy]: [&mut [f64]; 2]) {
        self.0.write(at, dy, product);
        product.iter_mut().zip(&*dy).for_each(|(product, dy)| *product *= dy);
    }
}

/// g and g * xh.
struct SetTerms<'a, E>(Elements<'a, E>);

impl<E: Element> Terms<2> for SetTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [g, product]: [&mut [f64]; 2]) {
        self.0.write(at, g, product);
        self.0.weigh(at, g);
        product.iter_mut().zip(&*g).for_each(|(product, g)| *product *= g);
    }
}

/// How the statistics themselves depend on each input: the means of g and g * xh over each set.
enum Means {
    /// Not at all: they are running statistics.
    Constant,
    OfSets {
        g: Vec<f64>,
        product: Vec<f64>,
    },
}

impl Means {
    fn of<E: Element>(
        plan: &Plan,
        layout: &Layout,
        elements: &Elements<'_, E>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        match plan.source {
            Source::Running => Ok(Self::Constant),
            Source::Input => {
                let n = layout.set_len() as f64;
                let sums = sums(layout, Over::Sets, &SetTerms(*elements), checkpoint)?;
                let g = sums.iter().map(|[g, _]| if plan.centred { mean(g.value(), n) } else { 0.0 }).collect();
                Ok(Self::OfSets { g, product: sums.iter().map(|[_, product]| mean(product.value(), n)).collect() })
            }
        }
    }
}

/// Of a sum of n terms. What is not finite has no slope anywhere in its set: infinities of both signs would come and go
/// with the signs of the elements.
fn mean(sum: f64, n: f64) -> f64 {
    if sum.is_finite() { sum / n } else { f64::NAN }
}

struct InputGradient<'a, E> {
    elements: Elements<'a, E>,
    means: Means,
}

impl<E: Element> Map<E> for InputGradient<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, _: &[u8], g: &mut [f64]) {
        let mut xh = [0.0; BLOCK];
        let xh = &mut xh[..g.len()];
        self.elements.write(at, g, xh);
        self.elements.weigh(at, g);
        if self.elements.run.set_stride == 0 {
            self.combine::<Same>(at, g, xh)
        } else {
            self.combine::<Each>(at, g, xh)
        }
    }
}

impl<'a, E> InputGradient<'a, E> {
    #[inline(always)]
    fn combine<'m, S: Values<'m>>(&'m self, at: Position, g: &mut [f64], xh: &[f64]) {
        let rstd = S::take(&self.elements.statistics.rstd, at.set, g.len());
        match &self.means {
            Means::Constant => g.iter_mut().enumerate().for_each(|(i, g)| *g *= rstd.at(i)),
            Means::OfSets { g: mean_g, product } => {
                let mean_g = S::take(mean_g, at.set, g.len());
                let product = S::take(product, at.set, g.len());
                for (i, (g, xh)) in g.iter_mut().zip(xh).enumerate() {
                    *g = rstd.at(i) * (*g - mean_g.at(i) - xh * product.at(i));
                }
            }
        }
    }
}
