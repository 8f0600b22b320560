//! y = (x - mean) * rstd * weight + bias.

use std::marker::PhantomData;

use super::{
    affine::Affine,
    apply::{Map, apply, apply_to_slab, encode_blocks},
    extremes::{self, One, close_deviation},
    layout::{Dim, Layout, Position},
    parts::NormalizationByParts,
    plan::Source,
    rows,
    scale::{scale, times_power},
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
    let NormalizationByParts { plan, layout, affine, running, merged, .. } = normalization;
    let (layout, first) = layout.stretch(from, elements.len() / E::DTYPE.size());
    if rows::apply_to::<E>(normalization, &layout) {
        return rows::forward::<E>(normalization, &layout, elements, checkpoint);
    }
    let measure = |layout: &Layout, first, input: &[u8]| match merged {
        Some(merged) => Ok(merged.of_sets(first, layout.sets())),
        None => Statistics::of::<E>(plan, layout, first, input, running.as_ref(), checkpoint),
    };
    if let Some(slabs) = slabs::<E>(plan, &layout) {
        let slabs = slabs.map(|slab| {
            let from = slab.from * E::DTYPE.size();
            let statistics = measure(&slab.layout, slab.first, &elements.input()[from..])?;
            let normalize = Normalize::<E>::new(&statistics, affine, &layout, plan.source);
            if !normalize.takes_scaled() {
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
    let normalize = Normalize::<E>::new(&statistics, affine, &layout, plan.source);
    if !normalize.takes_scaled() {
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
    source: Source,
    /// A power of two by which everything of float64 is multiplied on the way: what a weight makes a number of is one before
    /// that, too.
    lift: f64,
    /// Whether some elements may have to be computed in another way than most.
    has_extremes: bool,
    element: PhantomData<E>,
}

impl<E: Element> Map<E> for Normalize<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, given: &[u8], results: &mut [f64]) {
        E::decode(given, results);
        if self.has_extremes {
            by_variation!(self.run, self.normalize_each(at, results));
        } else if E::DTYPE == DType::F64 {
            // Beside given statistics an element may be of any size.
            if !by_variation!(self.run, self.normalize_float64(at, results)) {
                E::decode(given, results);
                by_variation!(self.run, self.normalize_each(at, results));
            }
        } else {
            by_variation!(self.run, self.normalize(at, results));
        }
    }

    #[inline(always)]
    fn encode(&self, at: Position, run: &Dim, elements: Stretch<'_>) {
        if E::DTYPE == DType::F64 || self.has_extremes {
            encode_blocks(self, at, run, elements);
        } else {
            by_variation!(self.run, self.encode_normalized(at, elements));
        }
    }
}

impl<'a, E: Element> Normalize<'a, E> {
    fn new(statistics: &'a Statistics, affine: &'a Affine, layout: &Layout, source: Source) -> Self {
        let [weight, bias] = affine.most;
        let (given, is_double) = (source != Source::Input, E::DTYPE == DType::F64);
        let lift = if is_double && weight > extremes::UNLIFTED { extremes::LIFT } else { 1.0 };
        let Statistics { mean, tail, rstd, .. } = statistics;
        let is_extreme = |set: usize| {
            given && extremes::is_statistic(mean[set], rstd[set])
                || is_double && extremes::may_cancel(tail[set], rstd[set], weight, affine.least_bias)
        };
        // A scaled element may be beyond float64 where it is none of those that the statistics are of.
        let has_extremes = given && !statistics.scales.is_empty()
            || (is_double || given) && (extremes::is_affine(weight, bias, lift) || (0..mean.len()).any(is_extreme));
        Self { statistics, affine, run: layout.run(), source, lift, has_extremes, element: PhantomData }
    }

    /// Whether the elements it takes are to be scaled as the statistics say.
    fn takes_scaled(&self) -> bool {
        !self.statistics.scales.is_empty() && !self.has_extremes
    }

    /// Each element as it has to be computed itself, whatever those beside it are.
    fn normalize_each<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        let rest = &self.statistics.rest;
        let rest = (!rest.is_empty()).then(|| S::take(rest, at.set, x.len()));
        let rstd_tail = (E::DTYPE == DType::F64).then(|| S::take(&self.statistics.rstd_tail, at.set, x.len()));
        let weight = A::take(&self.affine.weight, at.affine, x.len());
        let bias = A::take(&self.affine.bias, at.affine, x.len());
        for (i, x) in x.iter_mut().enumerate() {
            let one = One {
                mean: Double { high: mean.at(i), low: tail.at(i) },
                rest: rest.map_or(0.0, |rest| rest.at(i)),
                rstd: Double { high: rstd.at(i), low: rstd_tail.map_or(0.0, |tail| tail.at(i)) },
                weight: weight.at(i),
                bias: bias.at(i),
            };
            let exponent = self.statistics.scale(at.set + i * self.run.set_stride);
            let given = self.source != Source::Input;
            let is_extreme = given && extremes::is_statistic(one.mean.high, one.rstd.high)
                || extremes::is_affine(one.weight, one.bias, self.lift);
            *x = match E::DTYPE {
                _ if is_extreme => one.widely(*x, exponent),
                DType::F64 => {
                    let scaled = times_power(*x, exponent);
                    let y = if extremes::may_cancel(one.mean.low, one.rstd.high, one.weight, one.bias) {
                        one.of_deviation(close_deviation(scaled, one.mean, one.rest), self.lift)
                    } else {
                        one.of_deviation(Double::from(scaled).minus(one.mean), self.lift)
                    };
                    if given && !y.low.is_finite() { one.widely(*x, exponent) } else { y.value() / self.lift }
                }
                DType::F32 | DType::F16 | DType::Bf16 => one.plainly(*x),
            };
        }
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

    /// The same in twice the precision, for float64 elements. Whether no number on the way was beyond float64; that is looked
    /// at if statistics are `GIVEN`.
    #[inline(always)]
    fn normalize_doubly<S: Values<'a>, A: Values<'a>, const LIFTED: bool, const GIVEN: bool>(
        &self,
        at: Position,
        x: &mut [f64],
    ) -> bool {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        let rstd_tail = S::take(&self.statistics.rstd_tail, at.set, x.len());
        let weight = A::take(&self.affine.weight, at.affine, x.len());
        let bias = A::take(&self.affine.bias, at.affine, x.len());
        let mut is_finite = true;
        for (i, x) in x.iter_mut().enumerate() {
            let one = One {
                mean: Double { high: mean.at(i), low: tail.at(i) },
                rest: 0.0,
                rstd: Double { high: rstd.at(i), low: rstd_tail.at(i) },
                weight: weight.at(i),
                bias: bias.at(i),
            };
            let lift = if LIFTED { extremes::LIFT } else { 1.0 };
            let y = one.of_deviation(Double::from(*x).minus(one.mean), lift);
            if GIVEN {
                is_finite &= y.low.is_finite();
            }
            *x = y.value() / lift;
        }
        is_finite
    }

    /// As [`normalize_doubly`](Self::normalize_doubly), for the elements of these statistics and weights.
    #[inline(always)]
    fn normalize_float64<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) -> bool {
        match (self.lift > 1.0, self.source) {
            (false, Source::Input) => self.normalize_doubly::<S, A, false, false>(at, x),
            (false, Source::Running | Source::Merged) => self.normalize_doubly::<S, A, false, true>(at, x),
            (true, Source::Input) => self.normalize_doubly::<S, A, true, false>(at, x),
            (true, Source::Running | Source::Merged) => self.normalize_doubly::<S, A, true, true>(at, x),
        }
    }
}
