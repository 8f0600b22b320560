//! Cutting work into chunks.
//!
//! Chunk sizes are constants: what a chunk is must not depend on the number of threads, or partial sums would round
//! differently on another machine. How many chunks one thread takes is Rayon's business.

use rayon::prelude::*;

use crate::{Checkpoint, Error};

/// The elements of one chunk: 64 KiB of float32, small beside a core's L2 cache, and some ten microseconds of work.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `work(index, chunk)` on consecutive pieces of `output`, `chunk` items each, asking `checkpoint` before each.
pub(crate) fn for_each_chunk<T: Send>(
    output: &mut [T],
    chunk: usize,
    checkpoint: &dyn Checkpoint,
    work: impl Fn(usize, &mut [T]) + Sync,
) -> Result<(), Error> {
    output.par_chunks_mut(chunk).enumerate().try_for_each(|(index, piece)| {
        checkpoint.check()?;
        work(index, piece);
        Ok(())
    })
}
