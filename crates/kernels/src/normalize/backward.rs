//! The gradients of a normalization.
//!
//! With g = dy * weight, xh = (x - mean) * rstd and means over a set: dx = rstd * (g - mean(g) - xh * mean(g * xh));
//! without centring the term mean(g) is missing, and with running statistics, which are constants, both are. For L2 the
//! last mean is a sum, and is missing where the norm is below eps. dweight = sum(dy * xh) and dbias = sum(dy), over all
//! elements that share a weight.

mod again;
mod double_double;
mod exact_weights;
mod f64_accum;
mod flat;
mod merged;
mod pairs;
mod scaled_back;
mod slopes;
mod small;

use std::borrow::Cow;

pub(super) use self::merged::MergedGradients;
use self::slopes::Slopes;
use super::{
    affine::Affine,
    apply::{apply, apply_to_tile},
    demand::LargeParts,
    forward::PART,
    layout::{Layout, Parts},
    mean::{SharedExponents, settle_sums},
    measure,
    plan::{Plan, Source},
    running::Running,
    scale::scale,
    statistics::Statistics,
    tiles::{Tile, tiles},
};
use crate::{
    Checkpoint, DType, Element, Error,
    in_out::InOut,
    parallel::{chunk, map},
};

/// The arguments of a backward pass, beside `grad_output`.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layout: &'a Layout,
    pub(super) affine: &'a Affine,
    pub(super) running: Option<&'a Running>,
    pub(super) merged: Option<&'a MergedGradients>,
    /// The elements, as bytes.
    pub(super) input: &'a [u8],
}

/// Computes the gradients. `gradient` holds that of the output and receives that of the input. Returns the gradients of
/// weight and bias, a pair for each affine place, if `wants_affine`; otherwise nothing.
pub(super) fn backward<E: Element>(
    given: Given<'_>,
    mut gradient: InOut<'_>,
    wants_affine: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    if wants_affine {
        // The gradients of weight and bias are sums over all parts, so they are computed before any `grad_output` is
        // replaced.
        let dy = gradient.input();
        let exponents = SharedExponents::new();
        let whole = Part::whole(given, measure_all::<E>(given, dy, &exponents, checkpoint)?, checkpoint)?;
        let sums = whole.affine_sums::<E>(given, dy, &exponents, checkpoint)?;
        whole.write::<E>(gradient, checkpoint)?;
        return Ok(sums);
    }
    // Each part is written while it is in the cache.
    if let Some(mut tiles) = tiles::<E>(given.plan, given.layout) {
        tiles.try_for_each(|tile| {
            Part::of_tile::<E>(given, &tile, gradient.input(), checkpoint)?.write_tile::<E>(
                &tile,
                gradient.reborrow(),
                checkpoint,
            )
        })?;
    } else {
        let parts = given.layout.parts(PART);
        let (len, at_once) = (parts.len() * E::DTYPE.size(), given.parts_at_once(E::DTYPE));
        let (mut first, mut rest) = (0, gradient);
        while rest.len() > 0 {
            let (some, others) = rest.split_at(len.saturating_mul(at_once));
            some.for_each_chunk(len, &|index, dy| {
                Part::of_part::<E>(given, parts, first + index, dy.input(), checkpoint)?.write::<E>(dy, checkpoint)
            })?;
            (first, rest) = (first.saturating_add(at_once), others);
        }
    }
    Ok(Vec::new())
}

/// The statistics and slopes of all parts, in order. The exponents of dy are collected while a part of dy is in the cache, if
/// there is a bias or if float64 elements have a mean of their own. The scaled copy of a part is dropped once the part is measured:
/// the copies of all tiles together may be many times as large as the tensor.
fn measure_all<E: Element>(
    given: Given<'_>,
    dy: &[u8],
    exponents: &SharedExponents,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<(Statistics, Option<Slopes>)>, Error> {
    let Given { plan, affine, .. } = given;
    let has_means = plan.centred && plan.source != Source::Running;
    let takes_exponents = affine.bias_dtype.is_some() || E::IS_DOUBLE && has_means;
    if let Some(tiles) = tiles::<E>(given.plan, given.layout) {
        if takes_exponents {
            exponents.take::<E>(dy);
        }
        return tiles.map(|tile| Ok(Part::of_tile::<E>(given, &tile, dy, checkpoint)?.into_measured())).collect();
    }
    let parts = given.layout.parts(PART);
    let (len, at_once) = (parts.len() * E::DTYPE.size(), given.parts_at_once(E::DTYPE));
    let measure = |index: usize| {
        let dy = chunk(dy, len, index);
        let part = Part::of_part::<E>(given, parts, index, dy, checkpoint)?;
        if takes_exponents {
            exponents.take::<E>(dy);
        }
        Ok(part.into_measured())
    };
    let (mut all, count) = (Vec::new(), dy.len().div_ceil(len));
    while all.len() < count {
        let first = all.len();
        all.extend(map(at_once.min(count - first), &|index| measure(first + index))?);
    }
    Ok(all)
}

impl Given<'_> {
    /// How many parts may be computed at once, for the memory that they take.
    fn parts_at_once(&self, dtype: DType) -> usize {
        LargeParts::backward(self.plan, self.layout, dtype).at_once()
    }
}

/// The elements of a layout, scaled as the statistics say.
fn scaled<'a>(
    layout: &Layout,
    input: &'a [u8],
    statistics: &Statistics,
    checkpoint: &dyn Checkpoint,
) -> Result<Cow<'a, [u8]>, Error> {
    let mut input = Cow::Borrowed(input);
    if !statistics.scales.is_empty() {
        scale(layout, input.to_mut(), &statistics.scales, checkpoint)?;
    }
    Ok(input)
}

/// Whole sets with their statistics and slopes: some of a tensor, or all.
struct Part<'a> {
    layout: Layout,
    affine: &'a Affine,
    /// The elements, scaled as the statistics say.
    input: Cow<'a, [u8]>,
    statistics: Statistics,
    /// How the statistics depend on each element; `None` for running statistics, which do not.
    slopes: Option<Slopes>,
}

impl<'a> Part<'a> {
    /// Measures part `index`. `dy`: the gradient of its outputs, as bytes.
    fn of_part<E: Element>(
        given: Given<'a>,
        parts: Parts<'_>,
        index: usize,
        dy: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let (layout, first) = parts.part(index, dy.len() / E::DTYPE.size());
        let input = &given.input[index * parts.len() * E::DTYPE.size()..][..dy.len()];
        Self::measure::<E>(given, layout, first, input, dy, checkpoint)
    }

    /// Measures a tile of the whole. `dy`: the gradient of the whole's outputs, as bytes.
    fn of_tile<E: Element>(
        given: Given<'a>,
        tile: &Tile,
        dy: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let from = tile.from * E::DTYPE.size();
        Self::measure::<E>(given, tile.layout.clone(), tile.first, &given.input[from..], &dy[from..], checkpoint)
    }

    /// `first`: the number of its first set in the whole; `dy`: the gradient of its outputs, as bytes.
    fn measure<E: Element>(
        given: Given<'a>,
        layout: Layout,
        first: usize,
        input: &'a [u8],
        dy: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let Given { plan, affine, running, merged, .. } = given;
        if let Some(merged) = merged {
            let (statistics, slopes) = merged.of_sets(first, layout.sets());
            let elements = scaled(&layout, input, &statistics, checkpoint)?;
            return Ok(Self { layout, affine, input: elements, statistics, slopes: Some(slopes) });
        }
        let statistics = measure::statistics::<E>(plan, &layout, first, input, running, checkpoint)?;
        let elements = scaled(&layout, input, &statistics, checkpoint)?;
        let mut part = Self { layout, affine, input: elements, statistics, slopes: None };
        let mut slopes = match plan.source {
            Source::Running => return Ok(part),
            Source::Input | Source::Merged if E::IS_DOUBLE => double_double::slopes(&part, plan, dy, checkpoint)?,
            Source::Input | Source::Merged => f64_accum::slopes::<E>(&part, plan, dy, checkpoint)?,
        };
        flat::flatten::<E>(plan.denominator.least, &part, input, &mut slopes, checkpoint)?;
        part.slopes = Some(slopes);
        Ok(part)
    }

    fn into_measured(self) -> (Statistics, Option<Slopes>) {
        (self.statistics, self.slopes)
    }

    /// The whole tensor, from the statistics and slopes of all of its parts in order.
    fn whole(
        given: Given<'a>,
        parts: Vec<(Statistics, Option<Slopes>)>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let Given { layout, affine, input, .. } = given;
        let (statistics, slopes): (_, Vec<Option<Slopes>>) = parts.into_iter().unzip();
        let statistics = Statistics::concat(statistics);
        Ok(Self {
            layout: layout.clone(),
            affine,
            input: scaled(layout, input, &statistics, checkpoint)?,
            statistics,
            slopes: slopes.into_iter().collect::<Option<_>>().map(Slopes::concat),
        })
    }

    /// dweight and dbias of each affine place. `exponents`: of dy, if there is a bias.
    fn affine_sums<E: Element>(
        &self,
        given: Given<'_>,
        dy: &[u8],
        exponents: &SharedExponents,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Vec<[f64; 2]>, Error> {
        let for_weights = self.for_float64_weights::<E>(given, checkpoint)?;
        let part = for_weights.as_ref().unwrap_or(self);
        let mut sums = if E::IS_DOUBLE || for_weights.is_some() {
            double_double::affine_sums::<E>(part, dy, checkpoint)?
        } else {
            f64_accum::affine_sums::<E>(part, dy, checkpoint)?
        };
        part.settle_weights::<E>(dy, exponents, &mut sums, checkpoint)?;
        if let Some(dtype) = self.affine.bias_dtype {
            let mut of_bias: Vec<f64> = sums.iter().map(|&[_, bias]| bias).collect();
            settle_sums::<E>(&self.layout, dy, exponents.of_all(), &mut of_bias, dtype == DType::F64, checkpoint)?;
            sums.iter_mut().zip(of_bias).for_each(|([_, bias], settled)| *bias = settled);
        }
        Ok(sums)
    }

    /// Writes dx.
    fn write<E: Element>(&self, dy: InOut<'_>, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        if E::IS_DOUBLE {
            apply::<f64>(&self.layout, &double_double::InputGradient(self), dy, checkpoint)
        } else {
            apply::<E>(&self.layout, &f64_accum::InputGradient(self), dy, checkpoint)
        }
    }

    /// As [`write`](Self::write), for a tile; `dy` is that of the whole.
    fn write_tile<E: Element>(&self, tile: &Tile, dy: InOut<'_>, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        if E::IS_DOUBLE {
            apply_to_tile::<f64>(tile, &double_double::InputGradient(self), dy, checkpoint)
        } else {
            apply_to_tile::<E>(tile, &f64_accum::InputGradient(self), dy, checkpoint)
        }
    }
}
