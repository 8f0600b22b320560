//! Sums over the elements of a layout, along a fixed tree.
//!
//! The elements of a target, in memory order, are cut into pieces whose size depends on the layout alone; a piece is
//! added in a fixed order, and pieces are added as a balanced tree. Threads take pieces; they do not change them.

use std::ops::Range;

use super::layout::{Dim, Layout, Position};
use crate::{
    Checkpoint, Error,
    lanes::{BLOCK, DoubleDouble, LANES, Lanes, add_to, tree_sum},
    parallel::{CHUNK, for_each_chunk, for_each_stretch},
    simd::{self, Kernel},
};

/// The terms that are summed: `M` for each element.
pub(super) trait Terms<const M: usize>: Sync {
    /// For the first `EACH` kinds of terms the sum keeps the rounding error of every addition; for the others, that of
    /// every addition of a block.
    const EACH: usize = 0;

    /// Writes the terms of at most [`BLOCK`] elements of one run, the first at `at`: each kind of term to these `places`
    /// of its own array.
    fn write(&self, at: Position, terms: &mut [[f64; BLOCK]; M], places: Range<usize>);

    /// Adds the terms of [`BLOCK`] elements of one run, the first at `at`. Each lane must get the terms that
    /// [`write`](Self::write) gives; implementations replace this where a faster loop saves most of the time. `ahead`:
    /// the distance in elements to those that are needed next, for prefetching; `terms`: scratch memory with any
    /// content.
    #[inline(always)]
    fn add_block(&self, at: Position, _ahead: usize, terms: &mut [[f64; BLOCK]; M], lanes: &mut [Lanes; M]) {
        self.write(at, terms, 0..BLOCK);
        add_block::<Self, M>(lanes, terms, BLOCK);
    }
}

/// Adds the first `filled` terms of each kind.
#[inline(always)]
fn add_block<T: Terms<M> + ?Sized, const M: usize>(lanes: &mut [Lanes; M], block: &[[f64; BLOCK]; M], filled: usize) {
    for (m, (lanes, terms)) in lanes.iter_mut().zip(block).enumerate() {
        if m < T::EACH { lanes.add_each(&terms[..filled]) } else { lanes.add(&terms[..filled]) }
    }
}

/// The dimensions that are summed over, which determine the targets.
#[derive(Clone, Copy)]
pub(super) enum Over {
    /// The pooled dimensions: a target is a set that shares statistics.
    Sets,
    /// The dimensions along which weight and bias do not vary: a target is an element of the weight.
    Repetitions,
}

impl Over {
    /// Whether targets differ along the dimension.
    fn keeps(self, dim: &Dim) -> bool {
        match self {
            Self::Sets => !dim.pooled,
            Self::Repetitions => dim.affine,
        }
    }
}

/// The sums of each target, in the targets' row-major order.
pub(super) fn sums<const M: usize>(
    layout: &Layout,
    over: Over,
    terms: &impl Terms<M>,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[DoubleDouble; M]>, Error> {
    let walk = Walk::of(layout, over);
    if over.keeps(&walk.run) { walk.columns(terms, checkpoint) } else { walk.rows(terms, checkpoint) }
}

/// The most accumulators that [`sums`] holds at a time, each of `M` pairs.
pub(super) fn accumulators(layout: &Layout, over: Over) -> usize {
    let Walk { kept, summed, run, .. } = Walk::of(layout, over);
    let (targets, pieces) = if over.keeps(&run) {
        (count(&kept) * run.len, column_pieces(run.len, count(&summed)))
    } else {
        (count(&kept), row_pieces(count(&summed) * run.len))
    };
    // The accumulators of the pieces, and the sums of these.
    if pieces > 1 { targets * (pieces + 1) } else { targets }
}

/// The number of pieces of a target of so many elements.
fn row_pieces(len: usize) -> usize {
    len.div_ceil(CHUNK)
}

/// The number of pieces of so many runs of this width, if targets lie across the runs.
fn column_pieces(width: usize, runs: usize) -> usize {
    runs.div_ceil(column_piece(width))
}

/// The number of runs of such a piece.
fn column_piece(width: usize) -> usize {
    CHUNK / width.min(BLOCK)
}

/// The most terms that are added to an accumulator before accumulators are added to each other.
pub(super) fn terms_in_a_row(layout: &Layout, over: Over) -> usize {
    let run = layout.run();
    if over.keeps(&run) { CHUNK / run.len.min(BLOCK) } else { CHUNK / LANES }
}

/// The positions of all elements of a target, in order.
pub(super) fn members(layout: &Layout, over: Over, target: usize) -> impl ExactSizeIterator<Item = Position> {
    let (kept, summed): (Vec<Dim>, Vec<Dim>) = layout.dims.iter().partition(|dim| over.keeps(dim));
    let first = layout.origin().advance(&kept, target);
    (0..count(&summed)).map(move |index| first.advance(&summed, index))
}

/// The same elements until the call is cancelled, which a caller finds out by another question to the checkpoint.
pub(super) fn until_cancelled<T>(
    elements: impl Iterator<Item = T>,
    checkpoint: &dyn Checkpoint,
) -> impl Iterator<Item = T> {
    let goes_on = move |index: usize| !index.is_multiple_of(CHUNK) || checkpoint.check().is_ok();
    elements.enumerate().map_while(move |(index, element)| goes_on(index).then_some(element))
}

/// The order in which a layout's elements are visited, target by target.
struct Walk {
    origin: Position,
    /// The outer dimensions that tell targets apart.
    kept: Vec<Dim>,
    /// The outer dimensions that are summed over.
    summed: Vec<Dim>,
    /// The innermost dimension.
    run: Dim,
}

fn count(dims: &[Dim]) -> usize {
    dims.iter().map(|dim| dim.len).product()
}

impl Walk {
    fn of(layout: &Layout, over: Over) -> Self {
        let (kept, summed) = layout.outer().iter().partition(|dim| over.keeps(dim));
        Self { origin: layout.origin(), kept, summed, run: layout.run() }
    }

    /// Sums along the runs: each target has one accumulator.
    fn rows<const M: usize>(
        &self,
        terms: &impl Terms<M>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Vec<[DoubleDouble; M]>, Error> {
        let len = count(&self.summed) * self.run.len;
        let pieces = row_pieces(len);
        let mut sums = vec![[DoubleDouble::from(0.0); M]; count(&self.kept) * pieces];
        for_each_stretch(&mut sums, 1, CHUNK / len.min(CHUNK), &|first, sums| {
            for (index, sum) in (first..).zip(sums) {
                checkpoint.check()?;
                let target = self.origin.advance(&self.kept, index / pieces);
                let from = index % pieces * CHUNK;
                *sum = simd::run(RowPiece { walk: self, terms, target, from, to: len.min(from + CHUNK) });
            }
            Ok(())
        })?;
        Ok(if pieces > 1 { sums_of_rows(&sums, pieces) } else { sums })
    }

    /// Sums across the runs: each place in a run is a target with an accumulator of its own.
    fn columns<const M: usize>(
        &self,
        terms: &impl Terms<M>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Vec<[DoubleDouble; M]>, Error> {
        let (width, runs) = (self.run.len, count(&self.summed));
        let (piece, pieces) = (column_piece(width), column_pieces(width, runs));
        let mut sums = vec![[DoubleDouble::from(0.0); M]; count(&self.kept) * pieces * width];
        for_each_chunk(&mut sums, width, &|index, sums| {
            let target = self.origin.advance(&self.kept, index / pieces);
            let first = index % pieces * piece;
            for_each_chunk(sums, BLOCK, &|block, sums| {
                checkpoint.check()?;
                let target = target.along(&self.run, block * BLOCK);
                simd::run(ColumnPiece { walk: self, terms, target, from: first, to: runs.min(first + piece), sums });
                Ok(())
            })
        })?;
        if pieces > 1 { sums_of_columns(&sums, pieces, width) } else { Ok(sums) }
    }
}

/// The sums of targets that have so many pieces, which are neighbours.
fn sums_of_rows<const M: usize>(pieces_of_all: &[[DoubleDouble; M]], pieces: usize) -> Vec<[DoubleDouble; M]> {
    pieces_of_all.chunks(pieces).map(|of_target| add(pieces, &|piece| &of_target[piece])).collect()
}

/// The sums of targets that have so many pieces, each beside those of its `width` neighbours.
fn sums_of_columns<const M: usize>(
    pieces_of_all: &[[DoubleDouble; M]],
    pieces: usize,
    width: usize,
) -> Result<Vec<[DoubleDouble; M]>, Error> {
    let mut sums = vec![[DoubleDouble::from(0.0); M]; pieces_of_all.len() / pieces];
    for_each_chunk(&mut sums, width, &|index, sums| {
        let of_targets = &pieces_of_all[index * pieces * width..][..pieces * width];
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = add(pieces, &|piece| &of_targets[piece * width + column]);
        }
        Ok(())
    })?;
    Ok(sums)
}

/// Elements `from..to` of a target, counted along its runs. The lane of an element does not depend on where runs begin
/// and end.
struct RowPiece<'a, T, const M: usize> {
    walk: &'a Walk,
    terms: &'a T,
    target: Position,
    from: usize,
    to: usize,
}

impl<T: Terms<M>, const M: usize> Kernel for RowPiece<'_, T, M> {
    type Output = [DoubleDouble; M];

    #[inline(always)]
    fn run(self) -> [DoubleDouble; M] {
        let Walk { summed, run, .. } = self.walk;
        // If runs lie far apart, the processor does not prefetch the next one by itself.
        let ahead = summed.last().map_or(run.len, |dim| dim.stride);
        let mut lanes = [Lanes::new(); M];
        let mut at = self.from;
        let is_block = |at: usize| at < self.to && (run.len - at % run.len).min(self.to - at) >= BLOCK;
        if is_block(at) {
            // One array for all blocks: filling it with zeros takes a tenth of the time of a block.
            let mut terms = [[0.0; BLOCK]; M];
            while is_block(at) {
                let place = self.target.advance(summed, at / run.len).along(run, at % run.len);
                self.terms.add_block(place, ahead, &mut terms, &mut lanes);
                at += BLOCK;
            }
        }
        if at < self.to {
            self.add_rest(at, &mut lanes);
        }
        let mut sums = [DoubleDouble::from(0.0); M];
        sums.iter_mut().zip(&lanes).for_each(|(sum, lanes)| *sum = lanes.sum());
        sums
    }
}

impl<T: Terms<M>, const M: usize> RowPiece<'_, T, M> {
    /// Adds the elements from `at` on, blocks of which are made of several runs.
    #[inline(always)]
    fn add_rest(&self, mut at: usize, lanes: &mut [Lanes; M]) {
        let Walk { summed, run, .. } = self.walk;
        let mut block = [[0.0; BLOCK]; M];
        let mut filled = 0;
        while at < self.to {
            let within = at % run.len;
            let len = (run.len - within).min(self.to - at).min(BLOCK - filled);
            let place = self.target.advance(summed, at / run.len).along(run, within);
            self.terms.write(place, &mut block, filled..filled + len);
            at += len;
            filled += len;
            if filled == BLOCK || at == self.to {
                add_block::<T, M>(lanes, &block, filled);
                filled = 0;
            }
        }
    }
}

/// Runs `from..to` of neighbouring targets, the first at `target`, added run by run into `sums`.
struct ColumnPiece<'a, T, const M: usize> {
    walk: &'a Walk,
    terms: &'a T,
    target: Position,
    from: usize,
    to: usize,
    sums: &'a mut [[DoubleDouble; M]],
}

impl<T: Terms<M>, const M: usize> Kernel for ColumnPiece<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        /// So many runs are added plainly; only additions of such groups keep their rounding errors, as in [`Lanes`].
        const GROUP: usize = 16;
        let width = self.sums.len();
        let (mut sums, mut rests) = ([[0.0; BLOCK]; M], [[0.0; BLOCK]; M]);
        let (mut block, mut group) = ([[0.0; BLOCK]; M], [[0.0; BLOCK]; M]);
        for first in (self.from..self.to).step_by(GROUP) {
            group[T::EACH..].iter_mut().for_each(|sums| sums[..width].fill(0.0));
            for run in first..self.to.min(first + GROUP) {
                let place = self.target.advance(&self.walk.summed, run);
                self.terms.write(place, &mut block, 0..width);
                for m in 0..T::EACH {
                    add_columns(&mut sums[m][..width], &mut rests[m], &block[m]);
                }
                for m in T::EACH..M {
                    group[m][..width].iter_mut().zip(&block[m]).for_each(|(sum, term)| *sum += term);
                }
            }
            for m in T::EACH..M {
                add_columns(&mut sums[m][..width], &mut rests[m], &group[m]);
            }
        }
        for (column, sum) in self.sums.iter_mut().enumerate() {
            for (sum, (sums, rests)) in sum.iter_mut().zip(sums.iter().zip(&rests)) {
                *sum = DoubleDouble { high: sums[column], low: rests[column] };
            }
        }
    }
}

/// Adds a term to each column's sum, which is kept with its rounding errors.
#[inline(always)]
fn add_columns(sums: &mut [f64], rests: &mut [f64; BLOCK], terms: &[f64; BLOCK]) {
    sums.iter_mut().zip(rests).zip(terms).for_each(|((sum, rest), &term)| add_to(sum, rest, term));
}

/// The sum of pieces, each kind of term along its own balanced tree.
fn add<'a, const M: usize>(pieces: usize, piece: &impl Fn(usize) -> &'a [DoubleDouble; M]) -> [DoubleDouble; M] {
    std::array::from_fn(|m| tree_sum(pieces, &|index| piece(index)[m]))
}
