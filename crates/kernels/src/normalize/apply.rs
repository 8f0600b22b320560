//! Going over every element of a tensor to write its result.

use std::marker::PhantomData;

use super::layout::{Layout, Position};
use crate::{
    Checkpoint, Element, Error,
    lanes::BLOCK,
    parallel::{CHUNK, for_each_chunk},
    simd::{self, Kernel},
};

/// Computes the results of at most [`BLOCK`] elements of one run, the first at a position, into a slice.
pub(super) trait Map: Sync {
    fn write(&self, at: Position, results: &mut [f64]);
}

/// Writes the result of each element of the layout to `output`, rounded to `E`.
pub(super) fn apply<E: Element>(
    layout: &Layout,
    map: &impl Map,
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

impl<E: Element, M: Map> Kernel for Chunk<'_, E, M> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let size = E::DTYPE.size();
        let run = self.layout.run();
        let mut block = [0.0; BLOCK];
        let (mut at, end) = (self.first, self.first + self.output.len() / size);
        while at < end {
            let within = at % run.len;
            let len = (run.len - within).min(end - at).min(BLOCK);
            let place = self.layout.origin().advance(self.layout.outer(), at / run.len).along(&run, within);
            let results = &mut block[..len];
            self.map.write(place, results);
            let first = (at - self.first) * size;
            E::encode(results, &mut self.output[first..first + len * size]);
            at += len;
        }
    }
}
