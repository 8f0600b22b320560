//! What has to be added to know a norm of order 1, 2 or infinity, exactly.

use std::marker::PhantomData;

use super::{
    cascade,
    largest::{Largest, larger},
};
use crate::{
    DType, Element,
    dtype::with_element,
    exact::ExactSum,
    simd::{self, Kernel},
};

/// The orders whose sums merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExactOrder {
    One,
    Two,
    Infinity,
}

/// A norm's sum over some elements. Sums of one order merge without rounding, so that it does not matter which elements
/// were added where, or when.
#[derive(Clone, Debug)]
pub(super) struct NormSum {
    order: ExactOrder,
    /// The absolute values or, of order 2, the squares.
    sum: ExactSum,
    /// Of order 2: what would leave the range of float64 if it were squared.
    extremes: Option<Box<Extremes>>,
    /// Of order infinity: the largest absolute value, NaN if there is one.
    largest: f64,
}

/// The squares of float64 numbers above 2^480 or below 2^-480 may overflow or vanish; they are squared after scaling
/// with 2^-600 or 2^600 and summed apart. Blue, "A portable Fortran program to find the Euclidean norm of a vector",
/// 1978, with bounds that leave room for long sums. No other dtype has such numbers.
#[derive(Clone, Debug)]
struct Extremes {
    big: ExactSum,
    small: ExactSum,
}

const BIG: f64 = f64::from_bits((1023 + 480) << 52);
const SMALL: f64 = f64::from_bits((1023 - 480) << 52);
const SCALE: f64 = f64::from_bits((1023 + 600) << 52);

impl NormSum {
    /// The sum of nothing.
    pub(super) fn new(order: ExactOrder) -> Self {
        Self { order, sum: ExactSum::new(), extremes: None, largest: 0.0 }
    }

    /// Adds a chunk of a tensor's elements.
    pub(super) fn add(&mut self, dtype: DType, data: &[u8]) {
        with_element!(dtype, E => match self.order {
            ExactOrder::One => cascade::add::<E>(&mut self.sum, data, &f64::abs),
            ExactOrder::Two => self.add_squares::<E>(data),
            ExactOrder::Infinity => {
                let largest = simd::run(Largest { data, element: PhantomData::<E> });
                self.largest = larger(self.largest, largest);
            }
        });
    }

    fn add_squares<E: Element>(&mut self, data: &[u8]) {
        if E::DTYPE != DType::F64 || simd::run(AreMedium { data, element: PhantomData::<E> }) {
            return cascade::add::<E>(&mut self.sum, data, &|x| x * x);
        }
        let extremes =
            self.extremes.get_or_insert_with(|| Box::new(Extremes { big: ExactSum::new(), small: ExactSum::new() }));
        for element in data.chunks_exact(E::DTYPE.size()) {
            let x = E::from_le_bytes(element).to_f64().abs();
            if x > BIG {
                extremes.big.add((x / SCALE) * (x / SCALE));
            } else if x < SMALL {
                extremes.small.add((x * SCALE) * (x * SCALE));
            } else {
                self.sum.add(x * x); // also NaN
            }
        }
    }

    /// Adds another sum of the same order.
    pub(super) fn merge(mut self, other: Self) -> Self {
        debug_assert_eq!(self.order, other.order);
        self.sum.merge(&other.sum);
        self.largest = larger(self.largest, other.largest);
        self.extremes = match (self.extremes, other.extremes) {
            (Some(mut ours), Some(theirs)) => {
                ours.big.merge(&theirs.big);
                ours.small.merge(&theirs.small);
                Some(ours)
            }
            (ours, theirs) => ours.or(theirs),
        };
        self
    }

    /// The norm. Order 1: the sum, rounded once. Order 2: its root, rounded once unless there are extremes.
    pub(super) fn norm(&self) -> f64 {
        match (self.order, &self.extremes) {
            (ExactOrder::One, _) => self.sum.to_f64(),
            (ExactOrder::Infinity, _) => self.largest,
            (ExactOrder::Two, None) => self.sum.sqrt(),
            (ExactOrder::Two, Some(extremes)) => extremes.norm_with(self.sum.to_f64()),
        }
    }
}

impl Extremes {
    /// The norm, given the sum of the squares of all other numbers.
    fn norm_with(&self, medium: f64) -> f64 {
        let (big, small) = (self.big.to_f64(), self.small.to_f64());
        if big != 0.0 {
            // Small numbers add nothing to big ones; medium ones may, if there are many.
            (big + medium / SCALE / SCALE).sqrt() * SCALE
        } else if medium == 0.0 {
            small.sqrt() / SCALE
        } else {
            (medium + small / SCALE / SCALE).sqrt()
        }
    }
}

/// Whether all elements are zero or may be squared without leaving the range of float64.
struct AreMedium<'a, E> {
    data: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for AreMedium<'_, E> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let outside = |element: &[u8]| {
            let x = E::from_le_bytes(element).to_f64().abs();
            usize::from(x > BIG) + usize::from(x < SMALL && x > 0.0)
        };
        // Counted to the end: a loop that may end early is not vectorized.
        self.data.chunks_exact(E::DTYPE.size()).map(outside).sum::<usize>() == 0
    }
}
