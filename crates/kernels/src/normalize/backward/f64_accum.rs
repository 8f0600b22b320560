//! The gradients of float32 and half elements, in float64.
//!
//! dx = rstd * (g - mean(g) - xh * slope), where the slope is mean(g * xh); for L2 it is the sum.

use std::ops::Range;

use super::{
    super::{
        apply::Map,
        layout::Position,
        plan::Plan,
        power::times_power,
        reduce::{Over, Terms, sums},
        statistics::Statistics,
        values::{Broadcast, PerElement, Values, by_variation},
    },
    Part,
    pairs::Pairs,
    slopes::Slopes,
};
use crate::{
    Checkpoint, Element, Error,
    lanes::{BLOCK, DoubleDouble},
};

/// The statistics from which xh is computed, for neighbouring elements of a run.
#[derive(Clone, Copy)]
struct Standard<S> {
    mean: S,
    tail: S,
    rstd: S,
}

impl<'a, S: Values<'a>> Standard<S> {
    #[inline(always)]
    fn take(part: &'a Part<'_>, at: Position, len: usize) -> Self {
        let take = |list: &'a [f64]| S::take(list, at.set, len);
        let Statistics { mean, tail, rstd, .. } = &part.statistics;
        Self { mean: take(mean), tail: take(tail), rstd: take(rstd) }
    }

    /// The xh of element `i`.
    #[inline(always)]
    fn of(&self, i: usize, x: f64) -> f64 {
        (x - self.mean.at(i) - self.tail.at(i)) * self.rstd.at(i)
    }
}

/// dy * xh and dy.
struct AffineTerms<'a, E>(Pairs<'a, E>);

impl<E: Element> Terms<2> for AffineTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [product, dy]: &mut [[f64; BLOCK]; 2], places: Range<usize>) {
        let (product, dy) = (&mut product[places.clone()], &mut dy[places]);
        self.0.write(at, dy, product);
        if self.0.part.layout.run().set_stride == 0 {
            self.multiply::<Broadcast>(at, product, dy);
        } else {
            self.multiply::<PerElement<'_>>(at, product, dy);
        }
    }
}

impl<'a, E: Element> AffineTerms<'a, E> {
    #[inline(always)]
    fn multiply<S: Values<'a>>(&self, at: Position, product: &mut [f64], dy: &[f64]) {
        let standard = Standard::<S>::take(self.0.part, at, dy.len());
        for (i, (product, &dy)) in product.iter_mut().zip(dy).enumerate() {
            *product = standard.of(i, *product) * dy;
        }
    }
}

/// As [`Part::affine_sums`].
pub(super) fn affine_sums<E: Element>(
    part: &Part<'_>,
    dy: &[u8],
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    let terms = AffineTerms(Pairs::<E>::new(part, dy));
    let sums = sums(&part.layout, Over::Repetitions, &terms, checkpoint)?;
    Ok(sums.iter().map(|sums| sums.map(DoubleDouble::value)).collect())
}

/// g and g * xh.
struct SetTerms<'a, E>(Pairs<'a, E>);

impl<E: Element> Terms<2> for SetTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [g, product]: &mut [[f64; BLOCK]; 2], places: Range<usize>) {
        let (g, product) = (&mut g[places.clone()], &mut product[places]);
        self.0.write(at, g, product);
        by_variation!(self.0.part.layout.run(), self.multiply(at, g, product));
    }
}

impl<'a, E: Element> SetTerms<'a, E> {
    #[inline(always)]
    fn multiply<S: Values<'a>, A: Values<'a>>(&self, at: Position, g: &mut [f64], product: &mut [f64]) {
        let part = self.0.part;
        let standard = Standard::<S>::take(part, at, g.len());
        let weight = A::take(&part.affine.weight, at.affine, g.len());
        for (i, (g, product)) in g.iter_mut().zip(product).enumerate() {
            *g *= weight.at(i);
            *product = standard.of(i, *product) * *g;
        }
    }
}

/// The slopes of each set of a part that has its statistics.
pub(super) fn slopes<E: Element>(
    part: &Part<'_>,
    plan: &Plan,
    dy: &[u8],
    checkpoint: &dyn Checkpoint,
) -> Result<Slopes, Error> {
    let n = plan.denominator.share;
    let terms = SetTerms(Pairs::<E>::new(part, dy));
    let sums = sums(&part.layout, Over::Sets, &terms, checkpoint)?;
    let mean_g = sums.iter().map(|[g, _]| if plan.centred { mean(g.value(), n) } else { 0.0 }).collect();
    let slope = sums.iter().map(|[_, product]| mean(product.value(), n)).collect();
    Ok(Slopes { mean_g: [mean_g, Vec::new()], slope: [slope, Vec::new()], ..Slopes::default() })
}

/// A sum, divided by n. A sum that is not finite gives NaN, which makes the gradients of the whole set NaN; an infinite
/// slope would make them infinite or NaN depending on the signs of the elements.
fn mean(sum: f64, n: f64) -> f64 {
    if sum.is_finite() { sum / n } else { f64::NAN }
}

/// Multiplies each gradient by the power of two that its weight was divided by; the exponents are every `stride`-th of
/// the list. Not inlined: it is hardly ever called, and would make a loop larger that always runs.
#[cold]
#[inline(never)]
fn multiply_by_powers(g: &mut [f64], exponents: &[i32], stride: usize) {
    g.iter_mut().enumerate().for_each(|(i, g)| *g = times_power(*g, exponents[i * stride]));
}

/// The function from dy to dx.
pub(super) struct InputGradient<'a>(pub(super) &'a Part<'a>);

impl<E: Element> Map<E> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, dy: &[u8], g: &mut [f64], x: &mut [f64]) {
        E::decode(dy, g);
        if self.0.slopes.is_some() {
            E::decode_from(&self.0.input, at.offset, x);
        }
        by_variation!(self.0.layout.run(), self.combine(at, g, x));
        let exponents = &self.0.affine.weight_exponents;
        if !exponents.is_empty() {
            multiply_by_powers(g, &exponents[at.affine..], self.0.layout.run().affine_stride);
        }
    }
}

impl<'a> InputGradient<'a> {
    /// `x`: the elements; not read if there are no slopes.
    #[inline(always)]
    fn combine<S: Values<'a>, A: Values<'a>>(&self, at: Position, g: &mut [f64], x: &[f64]) {
        let (part, len) = (self.0, g.len());
        let weight = A::take(&part.affine.weight, at.affine, len);
        let standard = Standard::<S>::take(part, at, len);
        let Some(Slopes { mean_g: [mean_g, _], slope: [slope, _], .. }) = &part.slopes else {
            g.iter_mut().enumerate().for_each(|(i, g)| *g = *g * weight.at(i) * standard.rstd.at(i));
            return;
        };
        let (mean_g, slope) = (S::take(mean_g, at.set, len), S::take(slope, at.set, len));
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            let xh = standard.of(i, x);
            *g = standard.rstd.at(i) * (*g * weight.at(i) - mean_g.at(i) - xh * slope.at(i));
        }
    }
}
