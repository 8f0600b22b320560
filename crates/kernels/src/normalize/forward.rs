//! y = (x - mean) * rstd * weight + bias.

use std::marker::PhantomData;

use super::{
    affine::Affine,
    apply::{Map, apply, apply_to_slab, encode_blocks},
    layout::{Dim, Layout, Position},
    parts::NormalizationByParts,
    rows,
    scale::scale,
    slabs::slabs,
    statistics::Statistics,
    values::{Each, Same, Values, by_variation},
};
use crate::{Checkpoint, DType, Element, Error, lanes::Double, parallel::CHUNK, stretch::Stretch};

/// Sets are normalized in parts of about this many elements, which stay in a core's cache between measuring and
/// writing.
pub(super) const PART: usize = 2 * CHUNK;

/// Writes a part, the elements from element `from` on, normalized; returns its statistics.
pub(super) fn forward<E: Element>(
    normalization: &NormalizationByParts,
    from: usize,
    mut elements: Stretch<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let NormalizationByParts { plan, layout, affine, running, .. } = normalization;
    let (layout, first) = layout.stretch(from, elements.len() / E::DTYPE.size());
    if rows::apply_to::<E>(normalization, &layout) {
        return rows::forward::<E>(normalization, &layout, elements, checkpoint);
    }
    let measure = |layout: &Layout, first, input: &[u8]| {
        Statistics::of::<E>(plan, layout, first, input, running.as_ref(), checkpoint)
    };
    if let Some(slabs) = slabs::<E>(plan, &layout) {
        let slabs = slabs.map(|slab| {
            let from = slab.from * E::DTYPE.size();
            let statistics = measure(&slab.layout, slab.first, &elements.input()[from..])?;
            let normalize = Normalize::<E>::new(&statistics, affine, &layout);
            if statistics.scales.is_empty() {
                apply_to_slab::<E>(&slab, &normalize, elements.reborrow(), checkpoint)?;
            } else {
                let mut scaled = elements.input().to_vec();
                scale(&slab.layout, &mut scaled[from..], &statistics.scales);
                let elements = Stretch::Apart { input: &scaled, output: elements.reborrow().output() };
                apply_to_slab::<E>(&slab, &normalize, elements, checkpoint)?;
            }
            Ok(statistics)
        });
        return slabs.collect::<Result<_, Error>>().map(Statistics::concat);
    }
    let statistics = measure(&layout, first, elements.input())?;
    let normalize = Normalize::<E>::new(&statistics, affine, &layout);
    if statistics.scales.is_empty() {
        apply::<E>(&layout, &normalize, elements, checkpoint)?;
    } else {
        let mut scaled = elements.input().to_vec();
        scale(&layout, &mut scaled, &statistics.scales);
        let elements = Stretch::Apart { input: &scaled, output: elements.output() };
        apply::<E>(&layout, &normalize, elements, checkpoint)?;
    }
    Ok(statistics)
}

struct Normalize<'a, E> {
    statistics: &'a Statistics,
    affine: &'a Affine,
    run: Dim,
    element: PhantomData<E>,
}

impl<E: Element> Map<E> for Normalize<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, given: &[u8], results: &mut [f64]) {
        E::decode(given, results);
        if E::DTYPE == DType::F64 {
            by_variation!(self.run, self.normalize_doubly(at, results));
        } else {
            by_variation!(self.run, self.normalize(at, results));
        }
    }

    #[inline(always)]
    fn encode(&self, at: Position, run: &Dim, elements: Stretch<'_>) {
        if E::DTYPE == DType::F64 {
            encode_blocks(self, at, run, elements);
        } else {
            by_variation!(self.run, self.encode_normalized(at, elements));
        }
    }
}

impl<'a, E: Element> Normalize<'a, E> {
    fn new(statistics: &'a Statistics, affine: &'a Affine, layout: &Layout) -> Self {
        Self { statistics, affine, run: layout.run(), element: PhantomData }
    }

    #[inline(always)]
    fn normalize<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        let weight = A::take(&self.affine.weight, at.affine, x.len());
        let bias = A::take(&self.affine.bias, at.affine, x.len());
        for (i, x) in x.iter_mut().enumerate() {
            *x = (*x - mean.at(i) - tail.at(i)) * rstd.at(i) * weight.at(i) + bias.at(i);
        }
    }

    /// The same from bytes to bytes: each number stays in a register.
    #[inline(always)]
    fn encode_normalized<S: Values<'a>, A: Values<'a>>(&self, at: Position, elements: Stretch<'_>) {
        let len = elements.len() / E::DTYPE.size();
        let mean = S::take(&self.statistics.mean, at.set, len);
        let tail = S::take(&self.statistics.tail, at.set, len);
        let rstd = S::take(&self.statistics.rstd, at.set, len);
        let weight = A::take(&self.affine.weight, at.affine, len);
        let bias = A::take(&self.affine.bias, at.affine, len);
        // What changes no number is left out where the same holds for all: the bits do not depend on it.
        let no_affine = weight.is_everywhere(1.0) && bias.is_everywhere(-0.0);
        if no_affine && mean.is_everywhere(0.0) && tail.is_everywhere(0.0) {
            elements.map_beside::<E, _, _>(rstd, |x, rstd| x * rstd);
        } else if no_affine {
            elements.map_beside::<E, _, _>(((mean, tail), rstd), |x, ((mean, tail), rstd)| (x - mean - tail) * rstd);
        } else {
            let beside = (((mean, tail), rstd), (weight, bias));
            elements.map_beside::<E, _, _>(beside, |x, (((mean, tail), rstd), (weight, bias))| {
                (x - mean - tail) * rstd * weight + bias
            });
        }
    }

    /// The same in twice the precision, for float64 elements.
    #[inline(always)]
    fn normalize_doubly<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        let rstd_tail = S::take(&self.statistics.rstd_tail, at.set, x.len());
        let weight = A::take(&self.affine.weight, at.affine, x.len());
        let bias = A::take(&self.affine.bias, at.affine, x.len());
        let deviation = |x: f64, i: usize| Double::from(x).minus(Double { high: mean.at(i), low: tail.at(i) });
        let rstd = |i: usize| Double { high: rstd.at(i), low: rstd_tail.at(i) };
        let (weight, bias) = (|i: usize| Double::from(weight.at(i)), |i: usize| Double::from(bias.at(i)));
        if self.statistics.scales.is_empty() {
            for (i, x) in x.iter_mut().enumerate() {
                *x = deviation(*x, i).times(rstd(i)).times(weight(i)).plus(bias(i)).value();
            }
            return;
        }
        for (i, x) in x.iter_mut().enumerate() {
            // Next to eps, elements that are scaled up may be so small that the weight alone makes numbers of them.
            let is_small = self.statistics.scale(at.set + i * self.run.set_stride) > 0;
            let (first, second) = if is_small { (weight(i), rstd(i)) } else { (rstd(i), weight(i)) };
            *x = deviation(*x, i).times(first).times(second).plus(bias(i)).value();
        }
    }
}
