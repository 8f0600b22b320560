//! Going over every element of a tensor to write its result.

use std::marker::PhantomData;

use super::layout::{Dim, Layout, Position};
use crate::{
    Checkpoint, Element, Error,
    lanes::BLOCK,
    parallel::{CHUNK, for_each_chunk},
    simd::{self, Kernel},
};

/// The results of elements.
pub(super) trait Map<E: Element>: Sync {
    /// Computes those of at most [`BLOCK`] elements of one run, the first at `at`, into a slice.
    fn write(&self, at: Position, results: &mut [f64]);

    /// Writes those of a stretch of one run, the first at `at`, as bytes. A way that does not go through memory is worth
    /// having where it is most of the work.
    #[inline(always)]
    fn encode(&self, at: Position, run: &Dim, output: &mut [u8]) {
        encode_blocks(self, at, run, output);
    }
}

/// Writes results block by block, by way of memory.
#[inline(always)]
pub(super) fn encode_blocks<E: Element>(map: &(impl Map<E> + ?Sized), at: Position, run: &Dim, output: &mut [u8]) {
    let mut block = [0.0; BLOCK];
    for (index, output) in output.chunks_mut(BLOCK * E::DTYPE.size()).enumerate() {
        let results = &mut block[..output.len() / E::DTYPE.size()];
        map.write(at.along(run, index * BLOCK), results);
        E::encode(results, output);
    }
}

/// Writes the result of each element of the layout to `output`, rounded to `E`.
pub(super) fn apply<E: Element>(
    layout: &Layout,
    map: &impl Map<E>,
    output: &mut [u8],
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    for_each_chunk(output, CHUNK * E::DTYPE.size(), checkpoint, |index, output| {
        simd::run(Chunk { layout, map, first: index * CHUNK, output, element: PhantomData::<E> });
    })
}

/// The elements from `first` on, as many as `output` has room for.
struct Chunk<'a, E, M> {
    layout: &'a Layout,
    map: &'a M,
    first: usize,
    output: &'a mut [u8],
    element: PhantomData<E>,
}

impl<E: Element, M: Map<E>> Kernel for Chunk<'_, E, M> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let size = E::DTYPE.size();
        let run = self.layout.run();
        let (mut at, end) = (self.first, self.first + self.output.len() / size);
        while at < end {
            let within = at % run.len;
            let len = (run.len - within).min(end - at);
            let place = self.layout.origin().advance(self.layout.outer(), at / run.len).along(&run, within);
            let first = (at - self.first) * size;
            self.map.encode(place, &run, &mut self.output[first..first + len * size]);
            at += len;
        }
    }
}
