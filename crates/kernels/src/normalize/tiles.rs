//! Tensors that cannot be cut into parts are cut into tiles.
//!
//! Batch statistics of a channel need that channel of every sample, so that no part holds all of it. A tile is some channels of
//! every sample. Its elements are read for the mean, read again for the variance and written while they are in the cache. The
//! bits do not depend on the tiles, because sums go along the elements of a set.

use super::{
    layout::Layout,
    plan::{Plan, Source},
};
use crate::Element;

/// About the bytes of a tile: with its results it fits a cache that cores share. In a core's own cache, stretches at
/// distances of a power of two would compete for too few lines.
const TILE: usize = 4 << 20;
/// The least bytes of a stretch: the jump to the next one costs too much beside shorter ones.
const STRETCH: usize = 4 << 10;

/// The elements between the same two kept indices, for all indices of the outermost dimension: one stretch for each of
/// these.
pub(super) struct Tile {
    /// Elements and sets are counted from the tile's own first.
    pub(super) layout: Layout,
    /// The number of that first set in the whole.
    pub(super) first: usize,
    /// Elements before the tile's first in the whole.
    pub(super) from: usize,
    /// Elements of each stretch.
    pub(super) width: usize,
    /// Elements from one stretch to the next.
    pub(super) stride: usize,
}

/// The tiles of a tensor whose statistics are measured, in order; they share none with each other. `None` if the tensor
/// can be cut into parts, or has only one tile.
pub(super) fn tiles<'a, E: Element>(
    plan: &Plan,
    layout: &'a Layout,
) -> Option<impl Iterator<Item = Tile> + use<'a, E>> {
    // If channels are neighbours in memory, sums go across them, in pieces that depend on their number.
    let [outermost, kept, _, ..] = layout.dims[..] else { return None };
    let size = E::DTYPE.size();
    let least = STRETCH.div_ceil(kept.stride * size);
    let indices = (TILE / (outermost.len * kept.stride * size)).max(least);
    let worthwhile = plan.source == Source::Input && outermost.pooled && !kept.pooled && indices < kept.len;
    worthwhile.then(|| {
        (0..kept.len).step_by(indices).map(move |index| {
            let mut layout = layout.clone();
            layout.dims[1].len = indices.min(kept.len - index);
            layout.affine_base += index * kept.affine_stride;
            let (from, width) = (index * kept.stride, layout.dims[1].len * kept.stride);
            Tile { layout, first: index * kept.set_stride, from, width, stride: outermost.stride }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, NormKind, NormParameters, Normalization};

    fn tiles_of(kind: NormKind, shape: &[usize]) -> Option<Vec<(usize, usize, usize)>> {
        let plan = Plan::new(&Normalization::new(kind), &NormParameters::default(), DType::F32, shape).expect("valid");
        let layout = plan.layout.clone().expect("it has elements");
        let tiles = tiles::<f32>(&plan, &layout)?;
        Some(tiles.map(|tile| (tile.first, tile.from, tile.width)).collect())
    }

    #[test]
    fn a_tile_has_some_channels_of_all_samples() {
        // 16 KiB of each sample and channel, 2 MiB of each channel.
        let tiles = tiles_of(NormKind::Batch, &[128, 5, 64, 64]);
        assert_eq!(tiles.expect("10 MiB"), [(0, 0, 2 * 4096), (2, 2 * 4096, 2 * 4096), (4, 4 * 4096, 4096)]);
        // A channel that is larger than a tile is one, if its stretches are long enough.
        assert_eq!(tiles_of(NormKind::Batch, &[2, 3, 1 << 20]).expect("24 MiB").len(), 3);
        let thin = tiles_of(NormKind::Batch, &[4096, 1024, 2]).expect("32 MiB");
        assert_eq!(thin, [(0, 0, 1024), (512, 1024, 1024)]);
    }

    #[test]
    fn what_fits_or_can_be_parted_or_is_too_thin_has_none() {
        assert_eq!(tiles_of(NormKind::Batch, &[16, 64, 32, 32]), None, "4 MiB");
        assert_eq!(tiles_of(NormKind::Batch, &[100_000, 100, 2]), None, "800 bytes");
        assert_eq!(tiles_of(NormKind::Batch, &[4096, 2048]), None, "channels are neighbours");
        assert_eq!(tiles_of(NormKind::Instance, &[128, 5, 64, 64]), None);
        assert_eq!(tiles_of(NormKind::Layer, &[100_000, 100]), None);
    }
}
