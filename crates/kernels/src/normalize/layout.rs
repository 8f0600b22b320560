//! The places of the elements of sets in memory.

/// One dimension, or several neighbours that behave alike, of a row-major tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dim {
    pub(super) len: usize,
    /// Elements between neighbours in memory.
    pub(super) stride: usize,
    /// Whether elements along it share their statistics.
    pub(super) pooled: bool,
    /// The distance of neighbours in the row-major list of sets; 0 if pooled.
    pub(super) set_stride: usize,
    /// Whether weight and bias vary along it.
    pub(super) affine: bool,
    /// The distance of neighbours in weight and bias; 0 if they do not vary.
    pub(super) affine_stride: usize,
}

/// The dimensions, outermost first; at least one.
///
/// Dimensions of length 1 are left out, and neighbours that agree in `pooled` and `affine` are one dimension: few
/// dimensions remain, and the last one, a *run*, is as long as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) dims: Vec<Dim>,
    /// Where this layout's first element is in weight and bias; above 0 for a part of a tensor.
    pub(super) affine_base: usize,
}

/// A position, as sums of strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: usize,
    pub(super) set: usize,
    pub(super) affine: usize,
}

impl Position {
    /// The place of the `index`-th element, row-major, over `dims`, counted from here.
    pub(super) fn advance(mut self, dims: &[Dim], mut index: usize) -> Self {
        for dim in dims.iter().rev() {
            self = self.along(dim, index % dim.len);
            index /= dim.len;
        }
        self
    }

    /// `steps` further along one dimension.
    pub(super) fn along(self, dim: &Dim, steps: usize) -> Self {
        Self {
            offset: self.offset + steps * dim.stride,
            set: self.set + steps * dim.set_stride,
            affine: self.affine + steps * dim.affine_stride,
        }
    }

    /// `steps` back along one dimension.
    fn back(self, dim: &Dim, steps: usize) -> Self {
        Self {
            offset: self.offset - steps * dim.stride,
            set: self.set - steps * dim.set_stride,
            affine: self.affine - steps * dim.affine_stride,
        }
    }
}

impl Layout {
    /// From `(len, pooled, affine)` of each dimension, outermost first. No length is 0.
    pub(super) fn new(dims: impl DoubleEndedIterator<Item = (usize, bool, bool)>) -> Self {
        let (mut stride, mut sets, mut affines) = (1, 1, 1);
        let mut merged: Vec<Dim> = Vec::new(); // innermost first
        for (len, pooled, affine) in dims.rev().filter(|&(len, ..)| len > 1) {
            match merged.last_mut().filter(|inner| inner.pooled == pooled && inner.affine == affine) {
                Some(inner) => inner.len *= len,
                None => merged.push(Dim {
                    len,
                    stride,
                    pooled,
                    set_stride: if pooled { 0 } else { sets },
                    affine,
                    affine_stride: if affine { affines } else { 0 },
                }),
            }
            stride *= len;
            sets *= if pooled { 1 } else { len };
            affines *= if affine { len } else { 1 };
        }
        if merged.is_empty() {
            merged.push(Dim { len: 1, stride: 1, pooled: true, set_stride: 0, affine: false, affine_stride: 0 });
        }
        merged.reverse();
        Self { dims: merged, affine_base: 0 }
    }

    /// The innermost dimension.
    pub(super) fn run(&self) -> Dim {
        self.dims[self.dims.len() - 1]
    }

    /// All dimensions but the innermost.
    pub(super) fn outer(&self) -> &[Dim] {
        &self.dims[..self.dims.len() - 1]
    }

    /// The number of sets.
    pub(super) fn sets(&self) -> usize {
        self.dims.iter().filter(|dim| !dim.pooled).map(|dim| dim.len).product()
    }

    /// The number of elements of each set.
    pub(super) fn set_len(&self) -> usize {
        self.dims.iter().filter(|dim| dim.pooled).map(|dim| dim.len).product()
    }

    /// Whether the elements of each set are neighbours in memory: the dimensions that tell sets apart are the outer ones.
    pub(super) fn sets_are_contiguous(&self) -> bool {
        self.run().pooled && self.dims.is_sorted_by_key(|dim| dim.pooled)
    }

    /// The number of places of weight and bias; 1 if they do not vary.
    pub(super) fn affine_len(&self) -> usize {
        self.dims.iter().filter(|dim| dim.affine).map(|dim| dim.len).product()
    }

    /// The positions of the runs, in order, from run `first` on.
    pub(super) fn runs_from(&self, first: usize) -> Runs<'_> {
        let outer = self.outer();
        let mut indices = vec![0; outer.len()];
        let mut index = first;
        for (place, dim) in indices.iter_mut().zip(outer).rev() {
            (*place, index) = (index % dim.len, index / dim.len);
        }
        Runs { outer, indices, next: self.origin().advance(outer, first) }
    }

    /// The position of this layout's first element.
    pub(super) fn origin(&self) -> Position {
        Position { offset: 0, set: 0, affine: self.affine_base }
    }

    /// Parts of about `elements` elements that share no statistics with each other; one, if the tensor cannot be
    /// parted.
    pub(super) fn parts(&self, elements: usize) -> Parts<'_> {
        let outermost = self.dims[0];
        let indices =
            if outermost.pooled { outermost.len } else { (elements / outermost.stride).clamp(1, outermost.len) };
        Parts { whole: self, indices }
    }
}

/// Positions of runs, one after the other, without a division for each.
pub(super) struct Runs<'a> {
    outer: &'a [Dim],
    indices: Vec<usize>,
    next: Position,
}

impl Runs<'_> {
    /// The position of the next run; after the last one, of the first.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Position {
        let position = self.next;
        for (index, dim) in self.indices.iter_mut().zip(self.outer).rev() {
            *index += 1;
            if *index < dim.len {
                self.next = self.next.along(dim, 1);
                break;
            }
            self.next = self.next.back(dim, dim.len - 1);
            *index = 0;
        }
        position
    }
}

/// A layout cut along its outermost dimension. Statistics and results of a part are made while it is in the cache.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    whole: &'a Layout,
    /// The outermost indices in a part; fewer in the last.
    indices: usize,
}

impl Parts<'_> {
    /// The elements of each part but the last.
    pub(super) fn len(&self) -> usize {
        self.indices * self.whole.dims[0].stride
    }

    /// The layout of part `index`, which has `len` elements, and the number of its first set in the whole.
    pub(super) fn part(&self, index: usize, len: usize) -> (Layout, usize) {
        self.whole.stretch(index * self.len(), len)
    }
}

impl Layout {
    /// The elements of the smallest part: all, if the tensor cannot be parted.
    pub(super) fn unit(&self) -> usize {
        self.parts(1).len()
    }

    /// The layout of `len` elements from element `from` on, whole [units](Self::unit), with elements and sets counted from
    /// its own first, and the number of that first set in the whole.
    pub(super) fn stretch(&self, from: usize, len: usize) -> (Layout, usize) {
        let outermost = self.dims[0];
        let first = from / outermost.stride;
        let mut part = self.clone();
        part.dims[0].len = len / outermost.stride;
        part.affine_base += first * outermost.affine_stride;
        (part, first * outermost.set_stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(layout: &Layout) -> Vec<(usize, bool)> {
        layout.dims.iter().map(|dim| (dim.len, dim.pooled)).collect()
    }

    #[test]
    fn neighbours_that_behave_alike_are_one_dimension() {
        // Instance norm of (2, 3, 4, 5) without and with a weight.
        let plain = Layout::new([(2, false, false), (3, false, false), (4, true, false), (5, true, false)].into_iter());
        assert_eq!(lens(&plain), [(6, false), (20, true)]);
        let affine = Layout::new([(2, false, false), (3, false, true), (4, true, false), (5, true, false)].into_iter());
        assert_eq!(lens(&affine), [(2, false), (3, false), (20, true)]);
        assert_eq!((affine.sets(), affine.set_len()), (6, 20));
    }

    #[test]
    fn a_single_element_is_one_set() {
        let layout = Layout::new([(1, false, true), (1, true, false)].into_iter());
        assert_eq!((layout.sets(), layout.set_len()), (1, 1));
    }

    #[test]
    fn positions_follow_memory_order() {
        let layout = Layout::new([(2, true, false), (3, false, true), (4, true, false)].into_iter());
        let dims = [layout.outer(), &[layout.run()]].concat();
        let places: Vec<Position> = (0..24).map(|index| layout.origin().advance(&dims, index)).collect();
        assert!(places.iter().enumerate().all(|(index, place)| place.offset == index));
        assert!(
            places.iter().enumerate().all(|(index, place)| place.set == index / 4 % 3 && place.affine == place.set)
        );
        for first in 0..6 {
            let mut runs = layout.runs_from(first);
            (first..6).for_each(|run| assert_eq!(runs.next(), places[run * 4]));
        }
    }
}
