//! Sets whose elements lie side by side: each, or a chunk of them, is measured and written while it is in a core's cache.

mod halves;
mod moments;

use std::marker::PhantomData;

use self::moments::{Bytes, Moments, number};
use super::{
    affine::Affine,
    denominator::Denominator,
    layout::{Dim, Layout, Position, Runs},
    plan::Source,
    prepared::Prepared,
    statistics::Statistics,
    values::{Broadcast, PerElement, Values},
};
use crate::{
    Checkpoint, Element, Error,
    dtype::Coded as _,
    in_out::InOut,
    parallel::CHUNK,
    simd::{self, InstructionSet, Kernel},
};

/// The bytes of a tensor that is expected to be in the cache that cores share, with its result.
const IN_CACHE: usize = 4 << 20;

/// Whether sets of this layout, of float32 or half elements, are computed here. That depends on the arguments and the
/// layout alone, not on the elements or on how the tensor is cut, and so the bits do not, either.
pub(super) fn apply_to(prepared: &Prepared, layout: &Layout) -> bool {
    let Prepared { plan, running, .. } = prepared;
    // Running statistics may be float64, and then need a variance of twice the precision.
    let measured = plan.source == Source::Input && running.is_none();
    measured && layout.set_len() <= CHUNK && layout.sets_are_contiguous()
}

/// Writes the elements, which are those of the layout, normalized; returns their statistics.
pub(super) fn forward<E: Element>(
    prepared: &Prepared,
    layout: &Layout,
    elements: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<Statistics, Error> {
    let Prepared { plan, affine, .. } = prepared;
    let set = layout.set_len();
    let sets = CHUNK / set;
    let chunk = sets * set * E::DTYPE.size();
    let in_cache = prepared.total_len() <= IN_CACHE;
    let mut moments = vec![Moments::default(); layout.sets()];
    // A part of the usual size is two chunks, which are not worth a second thread.
    elements.for_each_chunk_beside(chunk, (&mut moments, sets), 2, &|index, elements, moments| {
        checkpoint.check()?;
        let places = &mut layout.runs_from(index * sets * (set / layout.run().len));
        let (run, denominator, centred) = (layout.run(), plan.denominator, plan.centred);
        elements.with_both(|input, output| {
            if E::IS_HALF {
                let element = PhantomData::<E>;
                simd::run(halves::Rows {
                    centred,
                    denominator,
                    run,
                    affine,
                    set,
                    places,
                    moments,
                    input,
                    output,
                    element,
                });
                return;
            }
            let ((input, _), (output, _)) = (input.as_chunks(), output.as_chunks_mut());
            if !in_cache {
                simd::run(Rows { centred, denominator, run, affine, set, places, moments, input, output });
                return;
            }
            if centred {
                simd::run(Centred { denominator, set, input, moments });
            } else {
                simd::run(Uncentred { denominator, set, input, moments });
            }
            simd::run(Write { run, affine, set, places, moments, input, output });
        });
        Ok(())
    })?;
    let list = |quantity: fn(&Moments) -> f64| moments.iter().map(quantity).collect();
    Ok(Statistics {
        mean: list(|set| set.mean),
        tail: list(|set| set.tail),
        var: list(|set| set.var),
        rstd: list(|set| set.rstd),
        ..Statistics::default()
    })
}

/// Measures neighbouring sets of float32.
struct Centred<'a> {
    denominator: Denominator,
    /// The elements of a set.
    set: usize,
    input: &'a [Bytes],
    moments: &'a mut [Moments],
}

impl Kernel for Centred<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (input, moments) in self.input.chunks_exact(self.set).zip(self.moments) {
            *moments = Moments::centred(input, self.denominator);
        }
    }
}

/// As [`Centred`], without centring.
struct Uncentred<'a> {
    denominator: Denominator,
    set: usize,
    input: &'a [Bytes],
    moments: &'a mut [Moments],
}

impl Uncentred<'_> {
    #[inline(always)]
    fn measure<const FUSED: bool>(self) {
        for (input, moments) in self.input.chunks_exact(self.set).zip(self.moments) {
            *moments = Moments::uncentred::<FUSED>(input, self.denominator);
        }
    }
}

impl Kernel for Uncentred<'_> {
    type Output = ();

    const WIDEST: InstructionSet = InstructionSet::Avx2;

    #[inline(always)]
    fn run(self) {
        self.measure::<false>();
    }

    #[inline(always)]
    fn run_fused(self) {
        self.measure::<true>();
    }
}

/// Writes neighbouring sets.
struct Write<'a, 'l> {
    run: Dim,
    affine: &'a Affine,
    /// The elements of a set.
    set: usize,
    /// The positions of the runs, from the first of these sets on.
    places: &'a mut Runs<'l>,
    moments: &'a [Moments],
    input: &'a [Bytes],
    output: &'a mut [Bytes],
}

impl Kernel for Write<'_, '_> {
    type Output = ();

    const WIDEST: InstructionSet = InstructionSet::Avx2;

    #[inline(always)]
    fn run(self) {
        let Self { run, affine, set, places, .. } = self;
        let sets = self.input.chunks_exact(set).zip(self.output.chunks_exact_mut(set));
        for ((input, output), moments) in sets.zip(self.moments) {
            write_set(run, affine, places, *moments, input, output);
        }
    }
}

/// Measures and writes one set after the other: reads and writes of memory alternate at short intervals, and stores are
/// as wide as possible. If the tensor is not in a cache, that takes half the time of [`Uncentred`] and [`Write`]; in a
/// cache it takes a third more.
struct Rows<'a, 'l> {
    centred: bool,
    denominator: Denominator,
    run: Dim,
    affine: &'a Affine,
    /// The elements of a set.
    set: usize,
    /// The positions of the runs, from the first of these sets on.
    places: &'a mut Runs<'l>,
    moments: &'a mut [Moments],
    input: &'a [Bytes],
    output: &'a mut [Bytes],
}

impl Kernel for Rows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { centred, denominator, run, affine, set, places, .. } = self;
        let sets = self.input.chunks_exact(set).zip(self.output.chunks_exact_mut(set));
        for ((input, output), moments) in sets.zip(self.moments) {
            *moments = Moments::of(centred, input, denominator);
            write_set(run, affine, places, *moments, input, output);
        }
    }
}

/// Writes a set, normalized.
#[inline(always)]
fn write_set(
    run: Dim,
    affine: &Affine,
    places: &mut Runs<'_>,
    moments: Moments,
    input: &[Bytes],
    output: &mut [Bytes],
) {
    for (input, output) in input.chunks_exact(run.len).zip(output.chunks_exact_mut(run.len)) {
        let at = places.next();
        if run.affine {
            write::<PerElement<'_>>(moments, affine, at, input, output);
        } else {
            write::<Broadcast>(moments, affine, at, input, output);
        }
    }
}

/// Writes a run of a set, whose weight and bias begin at the position, normalized.
#[inline(always)]
fn write<'a, A: Values<'a>>(moments: Moments, affine: &'a Affine, at: Position, input: &[Bytes], output: &mut [Bytes]) {
    let Moments { mean, tail, var, rstd } = moments;
    let weight = A::take(&affine.weight, at.affine, output.len());
    let bias = A::take(&affine.bias, at.affine, output.len());
    // If the variance is finite, all elements are, and no result is NaN; it is infinite only beyond the dtype.
    if !(var.is_finite() && rstd.is_finite() && affine.is_finite) {
        let f = |i, x: f64| (x - mean - tail) * rstd * weight.at(i) + bias.at(i);
        return f32::map(input.as_flattened(), output.as_flattened_mut(), f);
    }
    // Operations that change no number are left out: the bits are the same.
    let is_zero = |number: f64| number.to_bits() == 0;
    let no_affine = weight.is_everywhere(1.0) && bias.is_everywhere(-0.0);
    match (is_zero(mean) && is_zero(tail), is_zero(tail), no_affine) {
        (true, _, true) => map(input, output, |_, x| x * rstd),
        (true, _, false) => map(input, output, |i, x| x * rstd * weight.at(i) + bias.at(i)),
        (false, true, true) => map(input, output, |_, x| (x - mean) * rstd),
        (false, true, false) => map(input, output, |i, x| (x - mean) * rstd * weight.at(i) + bias.at(i)),
        (false, false, true) => map(input, output, |_, x| (x - mean - tail) * rstd),
        (false, false, false) => map(input, output, |i, x| (x - mean - tail) * rstd * weight.at(i) + bias.at(i)),
    }
}

/// Writes `f` of each index and element, rounded; `f` must not give NaN.
#[inline(always)]
fn map(input: &[Bytes], output: &mut [Bytes], f: impl Fn(usize, f64) -> f64) {
    for (i, (output, &element)) in output.iter_mut().zip(input).enumerate() {
        *output = (f(i, number(element)) as f32).to_le_bytes();
    }
}
