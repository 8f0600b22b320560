//! y = (x - mean) * rstd * weight + bias.

use std::marker::PhantomData;

use super::{
    affine::Affine,
    apply::{Map, Scratch, apply, apply_from, apply_to_tile, encode_blocks},
    extremes::{self, LIFT, One, close_deviation},
    layout::{Dim, Layout, Position},
    measure,
    plan::Source,
    power::times_power,
    prepared::Prepared,
    rows,
    scale::scale,
    statistics::Statistics,
    tiles::tiles,
    values::{Broadcast, PerElement, Values, by_variation},
};
use crate::{Checkpoint, Element, Error, in_out::InOut, lanes::DoubleDouble, parallel::CHUNK};

/// Sets are normalized in parts of about this many elements, which stay in a core's cache between measuring and
/// writing.
pub(super) const PART: usize = 2 * CHUNK;

/// Writes a part, the elements from element `from` on, normalized; returns its statistics.
pub(super) fn forward<E: Element>(
    prepared: &Prepared,
    from: usize,
    mut elements: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let Prepared { plan, layout, affine, running, merged, .. } = prepared;
    let (layout, first) = layout.stretch(from, elements.len() / E::DTYPE.size());
    if !E::IS_DOUBLE && rows::apply_to(prepared, &layout) {
        return rows::forward::<E>(prepared, &layout, elements, checkpoint);
    }
    let measure_part = |layout: &Layout, first, input: &[u8]| match merged {
        Some(merged) => Ok(merged.of_sets(first, layout.sets())),
        None => measure::statistics::<E>(plan, layout, first, input, running.as_ref(), checkpoint),
    };
    if let Some(tiles) = tiles::<E>(plan, &layout) {
        let tiles = tiles.map(|tile| {
            let from = tile.from * E::DTYPE.size();
            let statistics = measure_part(&tile.layout, tile.first, &elements.input()[from..])?;
            let normalize = Normalize::<E>::new(&statistics, affine, &layout, plan.source);
            if !normalize.takes_scaled() {
                apply_to_tile::<E>(&tile, &normalize, elements.reborrow(), checkpoint)?;
            } else {
                let mut scaled = elements.input().to_vec();
                scale(&tile.layout, &mut scaled[from..], &statistics.scales, checkpoint)?;
                let elements = InOut::Apart { input: &scaled, output: elements.reborrow().output() };
                apply_to_tile::<E>(&tile, &normalize, elements, checkpoint)?;
            }
            Ok(statistics)
        });
        return tiles.collect::<Result<_, Error>>().map(Statistics::concat);
    }
    let statistics = measure_part(&layout, first, elements.input())?;
    let normalize = Normalize::<E>::new(&statistics, affine, &layout, plan.source);
    if !normalize.takes_scaled() {
        apply::<E>(&layout, &normalize, elements, checkpoint)?;
    } else {
        let mut scaled = elements.input().to_vec();
        scale(&layout, &mut scaled, &statistics.scales, checkpoint)?;
        let elements = InOut::Apart { input: &scaled, output: elements.output() };
        apply::<E>(&layout, &normalize, elements, checkpoint)?;
    }
    Ok(statistics)
}

/// Statistics that are known before the elements: each element is normalized by itself.
pub(super) struct Known {
    /// The normalization with a channel for a set, and the running statistics of each channel. `None`: the statistics are the
    /// merged ones.
    of_channels: Option<(Prepared, Statistics)>,
    has_extremes: bool,
}

/// The statistics that are known before the elements, if they are. `of_channels` makes the same normalization with a channel for a
/// set: by running statistics an element depends on its channel alone, and there may be as many sets as elements.
pub(super) fn known<E: Element>(
    prepared: &Prepared,
    of_channels: impl FnOnce() -> Result<Prepared, Error>,
) -> Result<Option<Known>, Error> {
    let plan = &prepared.plan;
    if plan.layout.is_none() || plan.source == Source::Input {
        return Ok(None);
    }
    let of_channels = match &prepared.running {
        Some(running) if plan.source == Source::Running => {
            let of_channels = of_channels()?;
            let statistics = running.statistics::<E>(&of_channels.plan, 0, of_channels.layout.sets());
            Some((of_channels, statistics))
        }
        _ => None,
    };
    let mut known = Known { of_channels, has_extremes: false };
    let (Prepared { affine, layout, .. }, statistics) = known.by(prepared);
    known.has_extremes = Normalize::<E>::new(statistics, affine, layout, plan.source).has_extremes;
    Ok(Some(known))
}

impl Known {
    fn by<'a>(&'a self, prepared: &'a Prepared) -> (&'a Prepared, &'a Statistics) {
        let merged = || (prepared, prepared.merged.as_ref().expect("statistics are running or merged ones").all());
        self.of_channels.as_ref().map_or_else(merged, |(prepared, statistics)| (prepared, statistics))
    }
}

/// Writes the elements from element `from` on, normalized by what is known.
pub(super) fn forward_known<E: Element>(
    prepared: &Prepared,
    known: &Known,
    from: usize,
    elements: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    let (Prepared { plan, layout, affine, .. }, statistics) = known.by(prepared);
    let (run, source, has_extremes) = (layout.run(), plan.source, known.has_extremes);
    let normalize = Normalize::<E> { statistics, affine, run, source, has_extremes, element: PhantomData };
    apply_from::<E>(layout, &normalize, from, elements, checkpoint)
}

struct Normalize<'a, E> {
    statistics: &'a Statistics,
    affine: &'a Affine,
    run: Dim,
    source: Source,
    /// Whether some elements may need another computation than most.
    has_extremes: bool,
    element: PhantomData<E>,
}

impl<E: Element> Map<E> for Normalize<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, given: &[u8], results: &mut [f64], _: &mut [f64]) {
        E::decode(given, results);
        if self.has_extremes {
            by_variation!(self.run, self.normalize_each(at, results));
        } else if E::IS_DOUBLE {
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
    fn encode(&self, at: Position, run: &Dim, elements: InOut<'_>, scratch: &mut Scratch) {
        if E::IS_DOUBLE {
            encode_blocks(self, at, run, elements, scratch);
        } else if self.has_extremes {
            // With scratch of its own: `scratch` is unused then for these dtypes, and the compiler leaves out clearing
            // it.
            encode_blocks(self, at, run, elements, &mut Scratch::new());
        } else {
            by_variation!(self.run, self.encode_normalized(at, elements));
        }
    }
}

impl<'a, E: Element> Normalize<'a, E> {
    fn new(statistics: &'a Statistics, affine: &'a Affine, layout: &Layout, source: Source) -> Self {
        let [weight, bias] = affine.most;
        let (given, is_double) = (source != Source::Input, E::IS_DOUBLE);
        let Statistics { mean, tail, rstd, .. } = statistics;
        let is_extreme = |set: usize| {
            given && extremes::is_statistic(mean[set], rstd[set])
                || is_double && extremes::may_cancel(tail[set], rstd[set], weight, affine.least_bias)
        };
        // Statistics may be given of other elements; scaled as those were, the elements here may be beyond float64.
        let has_extremes = given && !statistics.scales.is_empty()
            || (is_double || given)
                && (extremes::is_affine(weight, bias, is_double) || (0..mean.len()).any(is_extreme));
        Self { statistics, affine, run: layout.run(), source, has_extremes, element: PhantomData }
    }

    /// Whether the elements must be scaled, as the statistics say, before this takes them.
    fn takes_scaled(&self) -> bool {
        !self.statistics.scales.is_empty() && !self.has_extremes
    }

    /// Normalizes each element in the way that it needs itself, whatever its neighbours need.
    fn normalize_each<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) {
        let mean = S::take(&self.statistics.mean, at.set, x.len());
        let tail = S::take(&self.statistics.tail, at.set, x.len());
        let rstd = S::take(&self.statistics.rstd, at.set, x.len());
        let rest = &self.statistics.rest;
        let rest = (!rest.is_empty()).then(|| S::take(rest, at.set, x.len()));
        let rstd_tail = E::IS_DOUBLE.then(|| S::take(&self.statistics.rstd_tail, at.set, x.len()));
        let weight = A::take(&self.affine.weight, at.affine, x.len());
        let bias = A::take(&self.affine.bias, at.affine, x.len());
        for (i, x) in x.iter_mut().enumerate() {
            let one = One {
                mean: DoubleDouble { high: mean.at(i), low: tail.at(i) },
                rest: rest.map_or(0.0, |rest| rest.at(i)),
                rstd: DoubleDouble { high: rstd.at(i), low: rstd_tail.map_or(0.0, |tail| tail.at(i)) },
                weight: weight.at(i),
                bias: bias.at(i),
            };
            let exponent = self.statistics.scale(at.set + i * self.run.set_stride);
            let given = self.source != Source::Input;
            let is_extreme = given && extremes::is_statistic(one.mean.high, one.rstd.high)
                || extremes::is_affine(one.weight, one.bias, E::IS_DOUBLE);
            *x = if is_extreme {
                one.widely(*x, exponent)
            } else if E::IS_DOUBLE {
                let scaled = times_power(*x, exponent);
                let y = if extremes::may_cancel(one.mean.low, one.rstd.high, one.weight, one.bias) {
                    one.of_deviation(close_deviation(scaled, one.mean, one.rest))
                } else {
                    one.of_deviation(DoubleDouble::from(scaled).minus(one.mean))
                };
                if given && !y.low.is_finite() { one.widely(*x, exponent) } else { y.value() / LIFT }
            } else {
                one.plainly(*x)
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
    fn encode_normalized<S: Values<'a>, A: Values<'a>>(&self, at: Position, elements: InOut<'_>) {
        let len = elements.len() / E::DTYPE.size();
        let mean = S::take(&self.statistics.mean, at.set, len);
        let tail = S::take(&self.statistics.tail, at.set, len);
        let rstd = S::take(&self.statistics.rstd, at.set, len);
        let weight = A::take(&self.affine.weight, at.affine, len);
        let bias = A::take(&self.affine.bias, at.affine, len);
        // Operations that change no number are left out if that holds for all elements: the bits are the same.
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

    /// The same in twice the precision, for float64 elements. Returns whether no number on the way overflowed, which is
    /// checked only if statistics are `GIVEN`.
    #[inline(always)]
    fn normalize_double_double<S: Values<'a>, A: Values<'a>, const GIVEN: bool>(
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
        /// The bits of a magnitude.
        const MAGNITUDE: u64 = u64::MAX >> 1;
        /// Added to the bits of a magnitude, it sets the highest bit for infinities and NaN alone.
        const TO_THE_TOP: u64 = (u64::MAX << 63) - f64::INFINITY.to_bits();
        // The flag has 64 bits, as the elements have, so vectors need no packing for it.
        let mut beyond = 0;
        for (i, x) in x.iter_mut().enumerate() {
            let one = One {
                mean: DoubleDouble { high: mean.at(i), low: tail.at(i) },
                rest: 0.0,
                rstd: DoubleDouble { high: rstd.at(i), low: rstd_tail.at(i) },
                weight: weight.at(i),
                bias: bias.at(i),
            };
            let y = one.of_deviation(DoubleDouble::from(*x).minus(one.mean));
            if GIVEN {
                beyond |= (y.low.to_bits() & MAGNITUDE) + TO_THE_TOP;
            }
            *x = y.value() / LIFT;
        }
        beyond >> 63 == 0
    }

    /// As [`normalize_double_double`](Self::normalize_double_double), for the elements of these statistics and weights.
    #[inline(always)]
    fn normalize_float64<S: Values<'a>, A: Values<'a>>(&self, at: Position, x: &mut [f64]) -> bool {
        match self.source {
            Source::Input => self.normalize_double_double::<S, A, false>(at, x),
            Source::Running | Source::Merged => self.normalize_double_double::<S, A, true>(at, x),
        }
    }
}
