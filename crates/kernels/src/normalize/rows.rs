//! Sets whose elements lie side by side: each is measured and written in one go, while it is in the first-level cache.

mod halves;
mod moments;

use std::marker::PhantomData;

use rayon::prelude::*;

use self::moments::Moments;
use super::{
    affine::Affine,
    layout::{Layout, Position},
    parts::NormalizationByParts,
    plan::{Plan, Source},
    statistics::Statistics,
    values::{Each, Same, Values},
};
use crate::{
    Checkpoint, DType, Element, Error,
    parallel::CHUNK,
    simd::{self, Kernel},
};

/// Whether sets of this layout are taken this way. It is the layout that says so, not what the tensor holds or how it is
/// cut.
pub(super) fn apply_to<E: Element>(normalization: &NormalizationByParts, layout: &Layout) -> bool {
    let NormalizationByParts { plan, running, .. } = normalization;
    // Running statistics may be float64, which takes a variance of twice the precision.
    let measured = plan.source == Source::Input && running.is_none();
    E::DTYPE != DType::F64 && measured && layout.set_len() <= CHUNK && layout.sets_are_contiguous()
}

/// Writes the elements `input`, which are those of the layout, normalized, to `output`; returns their statistics.
pub(super) fn forward<E: Element>(
    normalization: &NormalizationByParts,
    layout: &Layout,
    input: &[u8],
    output: &mut [u8],
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let NormalizationByParts { plan, affine, .. } = normalization;
    let set = layout.set_len() * E::DTYPE.size();
    let sets = CHUNK / layout.set_len();
    let mut moments = vec![Moments::default(); layout.sets()];
    let chunks = moments.par_chunks_mut(sets).zip(output.par_chunks_mut(sets * set));
    // A part of the usual size is two chunks, which are not worth a second thread.
    chunks.zip(input.par_chunks(sets * set)).with_min_len(2).enumerate().try_for_each(
        |(index, ((moments, output), input))| {
            checkpoint.check()?;
            let element = PhantomData::<E>;
            simd::run(Rows { plan, layout, affine, first: index * sets, moments, input, output, element });
            Ok::<_, Error>(())
        },
    )?;
    let list = |quantity: fn(&Moments) -> f64| moments.iter().map(quantity).collect();
    Ok(Statistics {
        mean: list(|set| set.mean),
        tail: list(|set| set.tail),
        var: list(|set| set.var),
        rstd: list(|set| set.rstd),
        ..Statistics::default()
    })
}

/// Neighbouring sets, the first of which is set `first` of the layout.
struct Rows<'a, E> {
    plan: &'a Plan,
    layout: &'a Layout,
    affine: &'a Affine,
    first: usize,
    moments: &'a mut [Moments],
    input: &'a [u8],
    output: &'a mut [u8],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Rows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let size = E::DTYPE.size();
        let (run, set) = (self.layout.run(), self.layout.set_len());
        let runs = set / run.len;
        let affine = self.affine;
        let sets = self.input.chunks_exact(set * size).zip(self.output.chunks_exact_mut(set * size));
        for (index, ((input, output), moments)) in sets.zip(self.moments).enumerate() {
            *moments = if E::DTYPE == DType::F32 {
                Moments::of(self.plan, input)
            } else {
                halves::moments::<E>(self.plan, input)
            };
            let first = (self.first + index) * runs;
            let stretches = input.chunks_exact(run.len * size).zip(output.chunks_exact_mut(run.len * size));
            for (index, (input, output)) in stretches.enumerate() {
                let at = self.layout.origin().advance(self.layout.outer(), first + index);
                if run.affine {
                    write::<E, Each<'_>>(*moments, affine, at, input, output);
                } else {
                    write::<E, Same>(*moments, affine, at, input, output);
                }
            }
        }
    }
}

/// Writes a run of a set, whose weight and bias begin at the position, normalized.
#[inline(always)]
fn write<'a, E: Element, A: Values<'a>>(
    moments: Moments,
    affine: &'a Affine,
    at: Position,
    input: &[u8],
    output: &mut [u8],
) {
    let Moments { mean, tail, rstd, .. } = moments;
    let len = output.len() / E::DTYPE.size();
    let weight = A::take(&affine.weight, at.affine, len);
    let bias = A::take(&affine.bias, at.affine, len);
    // What changes no number is left out: the bits do not depend on it.
    let no_affine = weight.is_everywhere(1.0) && bias.is_everywhere(-0.0);
    let is_zero = |number: f64| number.to_bits() == 0;
    if no_affine && is_zero(mean) && is_zero(tail) {
        E::map(input, output, |_, x| x * rstd);
    } else if no_affine && is_zero(tail) {
        E::map(input, output, |_, x| (x - mean) * rstd);
    } else if no_affine {
        E::map(input, output, |_, x| (x - mean - tail) * rstd);
    } else {
        E::map_beside(input, output, (weight, bias), |x, (weight, bias)| (x - mean - tail) * rstd * weight + bias);
    }
}
