//! Work in chunks.
//!
//! Chunk sizes are constants: if they depended on the number of threads, partial sums would round differently on
//! another machine. Rayon decides how many chunks a thread takes.

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
