//! Loops over a part's elements, wherever its bytes are cut.
//!
//! Sums are exact, so every order of the elements and every number of threads gives the same result.

use super::{
    super::layout::Dim,
    cascade::{Pairs, Spans, Sums, add_columns, add_row, spans},
    cells::{Cells, Quantity},
    span::TERMS,
};
use crate::{
    Checkpoint, Element, Error,
    lanes::{BLOCK, LANES},
    parallel::{CHUNK, fold, for_each_chunk, for_each_stretch},
};

/// The most bytes of cells of which each thread gets its own.
const OWN_CELLS: usize = 256 << 10;
/// The elements for which a thread uses such cells.
const PIECE: usize = 4 * CHUNK;
/// Elements of a row, or rows, below which levels cost more than they save.
const FEW_IN_A_ROW: usize = 8;
const FEW_ROWS: usize = 3;
/// Rows that are added before their levels go to the accumulators.
const ROWS: usize = 256;
// Neither a lane of a row nor a column has more terms than add up without rounding.
const _: () = assert!(CHUNK / LANES <= 1 << TERMS && ROWS <= 1 << TERMS);

/// The arguments that stay the same for all elements.
#[derive(Clone, Copy)]
pub(super) struct Sweep<'a> {
    pub(super) cells: &'a Cells,
    pub(super) checkpoint: &'a dyn Checkpoint,
}

impl<'a> Pairs<'a> {
    /// Elements `from..to`.
    fn part<E: Element>(self, from: usize, to: usize) -> Self {
        let size = E::DTYPE.size();
        let part = |bytes: &'a [u8]| if bytes.is_empty() { bytes } else { &bytes[from * size..to * size] };
        Self { x: part(self.x), g: part(self.g) }
    }

    fn len<E: Element>(self) -> usize {
        self.x.len() / E::DTYPE.size()
    }

    /// An element and its gradient, which is 0 if there are none.
    fn at<E: Element>(self, index: usize) -> (f64, f64) {
        let size = E::DTYPE.size();
        let number = |bytes: &[u8]| E::from_le_bytes(&bytes[index * size..][..size]).to_f64();
        (number(self.x), if self.g.is_empty() { 0.0 } else { number(self.g) })
    }
}

impl Sweep<'_> {
    /// Adds the elements from element `from` of these dimensions on to the sets.
    pub(super) fn add<E: Element>(
        self,
        dims: &[Dim],
        sets: &mut [i64],
        from: usize,
        pairs: Pairs<'_>,
    ) -> Result<(), Error> {
        let len = pairs.len::<E>();
        if size_of_val(sets) > OWN_CELLS || len < 2 * PIECE {
            return self.go::<E>(dims, sets, from, pairs);
        }
        let count = sets.len();
        let add = |own: &mut Vec<i64>, piece: usize| {
            let (first, last) = (piece * PIECE, len.min((piece + 1) * PIECE));
            self.go::<E>(dims, own, from + first, pairs.part::<E>(first, last))
        };
        let merge = |all: &mut Vec<i64>, own: Vec<i64>| self.cells.merge(all, &own);
        let measured = fold(len.div_ceil(PIECE), &|| vec![0; count], &add, &merge)?;
        self.cells.merge(sets, &measured);
        Ok(())
    }

    /// Recurses over the dimensions, down to rows and columns.
    fn go<E: Element>(self, dims: &[Dim], sets: &mut [i64], from: usize, pairs: Pairs<'_>) -> Result<(), Error> {
        let (len, cells) = (pairs.len::<E>(), self.cells.len());
        match dims {
            [] => Ok(()),
            [run] if run.pooled => self.row::<E>(sets, pairs),
            [run] => self.columns::<E>(&mut sets[from * cells..], run.len, 1, pairs),
            [rows, run] if rows.pooled => {
                // The rest of a row, whole rows, and the beginning of a row.
                let within = from % run.len;
                let first = if within == 0 { 0 } else { (run.len - within).min(len) };
                self.columns::<E>(&mut sets[within * cells..], run.len, 1, pairs.part::<E>(0, first))?;
                let whole = (len - first) / run.len;
                let last = first + whole * run.len;
                self.columns::<E>(sets, run.len, whole, pairs.part::<E>(first, last))?;
                self.columns::<E>(sets, run.len, 1, pairs.part::<E>(last, len))
            }
            [outer, inner @ ..] => {
                let stride = outer.stride;
                let (first, end) = (from / stride, (from + len).div_ceil(stride));
                let part = |index: usize| {
                    let (begin, to) = ((index * stride).max(from), ((index + 1) * stride).min(from + len));
                    (begin - index * stride, pairs.part::<E>(begin - from, to - from))
                };
                if outer.pooled {
                    return (first..end).try_for_each(|index| {
                        let (from, pairs) = part(index);
                        self.go::<E>(inner, sets, from, pairs)
                    });
                }
                let width = outer.set_stride * cells;
                let in_chunk = (CHUNK / stride).max(1);
                for_each_stretch(&mut sets[first * width..end * width], width, in_chunk, &|before, sets| {
                    for (index, sets) in (before..).zip(sets.chunks_mut(width)) {
                        if index.is_multiple_of(in_chunk) {
                            self.checkpoint.check()?;
                        }
                        let (from, pairs) = part(first + index);
                        self.go::<E>(inner, sets, from, pairs)?;
                    }
                    Ok(())
                })
            }
        }
    }

    /// Adds elements of one set.
    fn row<E: Element>(self, set: &mut [i64], pairs: Pairs<'_>) -> Result<(), Error> {
        let len = pairs.len::<E>();
        for from in (0..len).step_by(CHUNK) {
            let piece = pairs.part::<E>(from, len.min(from + CHUNK));
            if len >= FEW_IN_A_ROW {
                self.checkpoint.check()?;
            }
            let spans = if len < FEW_IN_A_ROW { None } else { spans::<E>([piece].into_iter()) };
            let Some(spans) = spans else {
                self.any::<E>(set, piece);
                continue;
            };
            let mut sums = self.sums::<E, _>(spans);
            add_row::<E>(piece, &mut sums);
            for (quantity, sums) in sums {
                match sums.total() {
                    Some(terms) => self.cells.add_terms(set, quantity, terms),
                    None => self.each::<E>(set, quantity, piece),
                }
            }
        }
        Ok(())
    }

    /// The sums of all quantities, for elements of these spans.
    fn sums<E: Element, const WIDTH: usize>(self, spans: Spans) -> Vec<(Quantity, Sums<WIDTH>)> {
        let sums = |quantity| (quantity, Sums::of_quantity(E::DTYPE, quantity, spans));
        self.cells.quantities().map(sums).collect()
    }

    fn any<E: Element>(self, set: &mut [i64], pairs: Pairs<'_>) {
        for index in 0..pairs.len::<E>() {
            let (x, g) = pairs.at::<E>(index);
            self.cells.add_any(set, x, g);
        }
    }

    fn each<E: Element>(self, set: &mut [i64], quantity: Quantity, pairs: Pairs<'_>) {
        for index in 0..pairs.len::<E>() {
            let (x, g) = pairs.at::<E>(index);
            self.cells.add_finite(set, quantity, x, g);
        }
    }

    /// Adds rows of so many elements, each of which belongs to the set of its place. One row may be shorter.
    fn columns<E: Element>(self, sets: &mut [i64], width: usize, rows: usize, pairs: Pairs<'_>) -> Result<(), Error> {
        if pairs.x.is_empty() {
            return Ok(());
        }
        let width = width.min(pairs.len::<E>());
        let cells = self.cells.len();
        for_each_chunk(&mut sets[..width * cells], BLOCK * cells, &|tile, sets| {
            (0..rows).step_by(ROWS).try_for_each(|first| {
                self.checkpoint.check()?;
                let rows = ROWS.min(rows - first);
                let from = first * width + tile * BLOCK;
                let last = (first + rows - 1) * width + (tile * BLOCK + BLOCK).min(width);
                self.tile::<E>(sets, width, rows, pairs.part::<E>(from, last));
                Ok(())
            })
        })
    }

    /// Adds at most [`ROWS`] rows of at most [`BLOCK`] neighbouring sets. `pairs` begins with the first element of
    /// these, and each row is `stride` elements after the one before.
    fn tile<E: Element>(self, sets: &mut [i64], stride: usize, rows: usize, pairs: Pairs<'_>) {
        let cells = self.cells.len();
        let width = sets.len() / cells;
        let row = |row: usize| pairs.part::<E>(row * stride, row * stride + width);
        let spans = if rows < FEW_ROWS { None } else { spans::<E>((0..rows).map(row)) };
        let Some(spans) = spans else {
            for index in 0..rows {
                let row = row(index);
                for (column, set) in sets.chunks_exact_mut(cells).enumerate() {
                    let (x, g) = row.at::<E>(column);
                    self.cells.add_any(set, x, g);
                }
            }
            return;
        };
        let mut sums = self.sums::<E, _>(spans);
        (0..rows).for_each(|index| add_columns::<E>(row(index), &mut sums));
        for (quantity, sums) in sums {
            for (column, set) in sets.chunks_exact_mut(cells).enumerate() {
                if let Some(terms) = sums.of(column) {
                    self.cells.add_terms(set, quantity, terms);
                    continue;
                }
                for index in 0..rows {
                    let (x, g) = row(index).at::<E>(column);
                    self.cells.add_finite(set, quantity, x, g);
                }
            }
        }
    }
}
