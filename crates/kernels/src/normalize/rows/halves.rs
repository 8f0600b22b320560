//! Sets of half numbers: each is measured and then written while it is in the first-level cache.

mod measure;
mod near;

use std::marker::PhantomData;

use self::{measure::measure, near::Near};
use super::{
    super::{
        affine::Affine,
        denominator::Denominator,
        layout::{Dim, Position, Runs},
        values::{Broadcast, PerElement, Values},
    },
    moments::Moments,
};
use crate::{Element, simd::Kernel};

/// Neighbouring sets.
pub(super) struct Rows<'a, 'l, E> {
    pub(super) centred: bool,
    pub(super) denominator: Denominator,
    pub(super) run: Dim,
    pub(super) affine: &'a Affine,
    /// The elements of a set.
    pub(super) set: usize,
    /// The positions of the runs, from the first of these sets on.
    pub(super) places: &'a mut Runs<'l>,
    pub(super) moments: &'a mut [Moments],
    pub(super) input: &'a [u8],
    pub(super) output: &'a mut [u8],
    pub(super) element: PhantomData<E>,
}

impl<E: Element> Kernel for Rows<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { centred, denominator, run, affine, set, places, .. } = self;
        let size = E::DTYPE.size();
        let sets = self.input.chunks_exact(set * size).zip(self.output.chunks_exact_mut(set * size));
        for ((input, output), moments) in sets.zip(self.moments) {
            *moments = measure::<E>(centred, denominator, input);
            let stretches = input.chunks_exact(run.len * size).zip(output.chunks_exact_mut(run.len * size));
            for (input, output) in stretches {
                let at = places.next();
                if run.affine {
                    write::<E, PerElement<'_>>(run, *moments, affine, at, input, output);
                } else {
                    write::<E, Broadcast>(run, *moments, affine, at, input, output);
                }
            }
        }
    }
}

/// Writes a run of a set, whose weight and bias begin at the position, normalized.
#[inline(always)]
fn write<'a, E: Element, A: Values<'a>>(
    run: Dim,
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
    // Operations that change no number are left out: the bits are the same.
    let no_affine = weight.is_everywhere(1.0) && bias.is_everywhere(-0.0);
    let plain = |x: f64| (x - mean - tail) * rstd;
    let weighted = |x: f64, (weight, bias): (f64, f64)| plain(x) * weight + bias;
    match (Near::of(moments), &affine.near) {
        (Some(near), _) if no_affine => {
            E::map_near(input, output, (), |x, ()| near.of_one(x, near.rstd), (), |x, ()| plain(x));
        }
        (Some(near), Some(near_weight)) if run.affine => {
            let near_weight = &near_weight[at.affine..at.affine + len];
            let near = |x, weight| near.of_one(x, near.rstd * weight);
            E::map_near(input, output, near_weight, near, (weight, bias), weighted);
        }
        (Some(near), Some(near_weight)) => {
            let factor = near.rstd * near_weight[at.affine];
            E::map_near(input, output, (), |x, ()| near.of_one(x, factor), (weight, bias), weighted);
        }
        _ if no_affine => E::map(input, output, |_, x| plain(x)),
        _ => E::map_beside(input, output, (weight, bias), weighted),
    }
}

#[cfg(test)]
mod tests;
