//! Work in chunks.
//!
//! Chunk sizes are constants: if they depended on the number of threads, partial sums would round differently on
//! another machine. Rayon decides how many chunks a thread takes.
//!
//! Nothing else in the crate calls Rayon. Its code for one loop is some 2,000 lines of LLVM code, which are compiled once for
//! each type of closure. So these functions take work as `&dyn Fn`: each is compiled once, or once for each type of items, and not
//! for each operation, dtype and kind of terms. A call through the pointer is for a chunk or a stretch, never for a single
//! element or a short row.

mod pieces;
mod places;
mod ranges;

pub(crate) use pieces::{chunk, for_each_beside, for_each_chunk, for_each_stretch};
pub(crate) use places::{Places, map, map_ranges};
pub(crate) use ranges::{fold, for_each_range};

/// The elements of one chunk: 64 KiB of float32, small beside a core's L2 cache, and some ten microseconds of work.
pub(crate) const CHUNK: usize = 1 << 14;
