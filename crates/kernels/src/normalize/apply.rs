//! Loops over all elements of a tensor that write their results.

use std::marker::PhantomData;

use super::{
    layout::{Dim, Layout, Position},
    tiles::Tile,
};
use crate::{
    Checkpoint, Element, Error,
    in_out::InOut,
    lanes::BLOCK,
    parallel::CHUNK,
    simd::{self, Kernel},
};

/// Memory for two blocks of numbers.
///
/// A chunk has one for all of its runs. With one for each run, filling it with zeros would take a tenth of the time of
/// short runs.
pub(super) struct Scratch {
    results: [f64; BLOCK],
    second: [f64; BLOCK],
}

impl Scratch {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { results: [0.0; BLOCK], second: [0.0; BLOCK] }
    }
}

/// A function from elements to results.
pub(super) trait Map<E: Element>: Sync {
    /// Computes the results of at most [`BLOCK`] elements of one run, whose bytes are `given` and the first of which is
    /// at `at`. `second` is scratch memory of the same length as `results`, with any content.
    fn write(&self, at: Position, given: &[u8], results: &mut [f64], second: &mut [f64]);

    /// Writes the results of neighbouring elements of one run, the first at `at`, as bytes. Implementations replace it
    /// where the way through `scratch` would be most of the work.
    #[inline(always)]
    fn encode(&self, at: Position, run: &Dim, elements: InOut<'_>, scratch: &mut Scratch) {
        encode_blocks(self, at, run, elements, scratch);
    }
}

/// Writes results block by block, by way of `scratch`.
#[inline(always)]
pub(super) fn encode_blocks<E: Element>(
    map: &(impl Map<E> + ?Sized),
    mut at: Position,
    run: &Dim,
    elements: InOut<'_>,
    scratch: &mut Scratch,
) {
    let (mut first, mut others) = elements.split_at(BLOCK * E::DTYPE.size());
    while first.len() > 0 {
        let len = first.len() / E::DTYPE.size();
        let (results, second) = (&mut scratch.results[..len], &mut scratch.second[..len]);
        map.write(at, first.input(), results, second);
        E::encode(results, first.output());
        at = at.along(run, BLOCK);
        (first, others) = others.split_at(BLOCK * E::DTYPE.size());
    }
}

/// Writes the result of each element of the layout, rounded to `E`.
pub(super) fn apply<E: Element>(
    layout: &Layout,
    map: &impl Map<E>,
    elements: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    apply_from::<E>(layout, map, 0, elements, checkpoint)
}

/// As [`apply`], for the elements of a tile of `whole`.
pub(super) fn apply_to_tile<E: Element>(
    tile: &Tile,
    map: &impl Map<E>,
    whole: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    let Tile { layout, first: _, from, width, stride } = tile;
    let [from, len, stride] = [from, width, stride].map(|elements| elements * E::DTYPE.size());
    whole.for_each_chunk(stride, &|index, elements| {
        let (_, elements) = elements.split_at(from);
        let (elements, _) = elements.split_at(len);
        apply_from::<E>(layout, map, index * width, elements, checkpoint)
    })
}

/// As [`apply`], for elements from element `from` of the layout on.
pub(super) fn apply_from<E: Element>(
    layout: &Layout,
    map: &impl Map<E>,
    from: usize,
    elements: InOut<'_>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    elements.for_each_chunk(CHUNK * E::DTYPE.size(), &|index, elements| {
        checkpoint.check()?;
        simd::run(Chunk { layout, map, first: from + index * CHUNK, elements, element: PhantomData::<E> });
        Ok(())
    })
}

/// The elements from `first` on.
struct Chunk<'a, E, M> {
    layout: &'a Layout,
    map: &'a M,
    first: usize,
    elements: InOut<'a>,
    element: PhantomData<E>,
}

impl<E: Element, M: Map<E>> Kernel for Chunk<'_, E, M> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { layout, map, first: mut at, mut elements, .. } = self;
        let run = layout.run();
        let mut scratch = Scratch::new();
        while elements.len() > 0 {
            let within = at % run.len;
            let (stretch, others) = elements.split_at((run.len - within) * E::DTYPE.size());
            let len = stretch.len() / E::DTYPE.size();
            let place = layout.origin().advance(layout.outer(), at / run.len).along(&run, within);
            map.encode(place, &run, stretch, &mut scratch);
            (at, elements) = (at + len, others);
        }
    }
}
