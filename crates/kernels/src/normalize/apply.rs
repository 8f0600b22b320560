//! Going over every element of a tensor to write its result.

use super::layout::{Layout, Position};
use crate::{
    Checkpoint, Element, Error,
    lanes::BLOCK,
    parallel::{CHUNK, for_each_chunk},
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
    let size = E::DTYPE.size();
    let run = layout.run();
    for_each_chunk(output, CHUNK * size, checkpoint, |index, output| {
        let mut block = [0.0; BLOCK];
        let (mut at, end) = (index * CHUNK, index * CHUNK + output.len() / size);
        while at < end {
            let within = at % run.len;
            let len = (run.len - within).min(end - at).min(BLOCK);
            let place = layout.origin().advance(layout.outer(), at / run.len).along(&run, within);
            let results = &mut block[..len];
            map.write(place, results);
            let first = (at - index * CHUNK) * size;
            E::encode(results, &mut output[first..first + len * size]);
            at += len;
        }
    })
}
