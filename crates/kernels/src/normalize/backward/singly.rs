//! The gradients of float32 and half elements, in float64.
//!
//! The slope is mean(g * xh), or the sum: dx = rstd * (g - mean(g) - xh * slope).

use std::marker::PhantomData;

use super::{
    super::{
        apply::Map,
        layout::Position,
        plan::Plan,
        reduce::{Over, Terms, sums},
        scale::times_power,
        values::{Each, Same, Values},
    },
    Part,
    slopes::Slopes,
};
use crate::{
    Checkpoint, Element, Error,
    lanes::{BLOCK, Double},
};

impl<'a> Part<'a> {
    /// Writes the xh of elements from `at` on.
    #[inline(always)]
    fn write_standardized<E: Element>(&self, at: Position, xh: &mut [f64]) {
        E::decode_from(&self.input, at.offset, xh);
        if self.layout.run().set_stride == 0 {
            self.standardize::<Same>(at, xh);
        } else {
            self.standardize::<Each<'_>>(at, xh);
        }
    }

    #[inline(always)]
    fn standardize<'s, S: Values<'s>>(&'s self, at: Position, x: &mut [f64]) {
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
        if self.layout.run().affine_stride == 0 {
            let weight = self.affine.weight[at.affine];
            dy.iter_mut().for_each(|dy| *dy *= weight);
        } else {
            dy.iter_mut().zip(&self.affine.weight[at.affine..]).for_each(|(dy, weight)| *dy *= weight);
        }
    }
}

/// The elements of a part and the gradient of its outputs.
struct Pairs<'a, E> {
    part: &'a Part<'a>,
    dy: &'a [u8],
    element: PhantomData<E>,
}

/// dy * xh and dy.
struct AffineTerms<'a, E>(Pairs<'a, E>);

impl<E: Element> Terms<2> for AffineTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [product, dy]: [&mut [f64]; 2]) {
        E::decode_from(self.0.dy, at.offset, dy);
        self.0.part.write_standardized::<E>(at, product);
        product.iter_mut().zip(&*dy).for_each(|(product, dy)| *product *= dy);
    }
}

/// As [`Part::affine_sums`].
pub(super) fn affine_sums<E: Element>(
    part: &Part<'_>,
    dy: &[u8],
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    let terms = AffineTerms(Pairs { part, dy, element: PhantomData::<E> });
    let sums = sums(&part.layout, Over::Repetitions, &terms, checkpoint)?;
    Ok(sums.iter().map(|sums| sums.map(Double::value)).collect())
}

/// g and g * xh.
struct SetTerms<'a, E>(Pairs<'a, E>);

impl<E: Element> Terms<2> for SetTerms<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [g, product]: [&mut [f64]; 2]) {
        E::decode_from(self.0.dy, at.offset, g);
        self.0.part.weigh(at, g);
        self.0.part.write_standardized::<E>(at, product);
        product.iter_mut().zip(&*g).for_each(|(product, g)| *product *= g);
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
    let terms = SetTerms(Pairs { part, dy, element: PhantomData::<E> });
    let sums = sums(&part.layout, Over::Sets, &terms, checkpoint)?;
    let mean_g = sums.iter().map(|[g, _]| if plan.centred { mean(g.value(), n) } else { 0.0 }).collect();
    let slope = sums.iter().map(|[_, product]| mean(product.value(), n)).collect();
    Ok(Slopes { mean_g: [mean_g, Vec::new()], slope: [slope, Vec::new()] })
}

/// A sum, divided by n. What is not finite has no slope anywhere in its set: infinities of both signs would come and go
/// with the signs of the elements.
fn mean(sum: f64, n: f64) -> f64 {
    if sum.is_finite() { sum / n } else { f64::NAN }
}

/// What the weight was divided by. Not inlined: it is next to never called, and would take room in a loop that always is.
#[cold]
#[inline(never)]
fn multiply_by_power(g: &mut [f64], exponent: i32) {
    g.iter_mut().for_each(|g| *g = times_power(*g, exponent));
}

/// dx, of dy.
pub(super) struct InputGradient<'a>(pub(super) &'a Part<'a>);

impl<E: Element> Map<E> for InputGradient<'_> {
    #[inline(always)]
    fn write(&self, at: Position, dy: &[u8], g: &mut [f64]) {
        let mut xh = [0.0; BLOCK];
        let xh = &mut xh[..g.len()];
        E::decode(dy, g);
        self.0.weigh(at, g);
        self.0.write_standardized::<E>(at, xh);
        if self.0.layout.run().set_stride == 0 {
            self.combine::<Same>(at, g, xh);
        } else {
            self.combine::<Each<'_>>(at, g, xh);
        }
        if self.0.affine.weight_exponent != 0 {
            multiply_by_power(g, self.0.affine.weight_exponent);
        }
    }
}

impl<'a> InputGradient<'a> {
    #[inline(always)]
    fn combine<S: Values<'a>>(&self, at: Position, g: &mut [f64], xh: &[f64]) {
        let rstd = S::take(&self.0.statistics.rstd, at.set, g.len());
        let Some(Slopes { mean_g: [mean_g, _], slope: [slope, _] }) = &self.0.slopes else {
            g.iter_mut().enumerate().for_each(|(i, g)| *g *= rstd.at(i));
            return;
        };
        let mean_g = S::take(mean_g, at.set, g.len());
        let slope = S::take(slope, at.set, g.len());
        for (i, (g, xh)) in g.iter_mut().zip(xh).enumerate() {
            *g = rstd.at(i) * (*g - mean_g.at(i) - xh * slope.at(i));
        }
    }
}
