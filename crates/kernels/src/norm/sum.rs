//! What has to be added to know a norm of order 1, 2 or infinity, exactly.

use std::marker::PhantomData;

use super::{
    cascade::{self, Term},
    largest::{Largest, larger},
};
use crate::{DType, dtype::with_element, exact::ExactSum, simd};

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
    /// Of order infinity: the largest absolute value, NaN if there is one.
    largest: f64,
}

impl NormSum {
    /// The sum of nothing.
    pub(super) fn new(order: ExactOrder) -> Self {
        Self { order, sum: ExactSum::new(), largest: 0.0 }
    }

    /// Adds a chunk of a tensor's elements.
    pub(super) fn add(&mut self, dtype: DType, data: &[u8]) {
        with_element!(dtype, E => match self.order {
            ExactOrder::One => cascade::add::<E>(&mut self.sum, data, Term::Absolute),
            ExactOrder::Two => cascade::add::<E>(&mut self.sum, data, Term::Square),
            ExactOrder::Infinity => {
                let largest = simd::run(Largest { data, element: PhantomData::<E> });
                self.largest = larger(self.largest, largest);
            }
        });
    }

    /// Adds another sum of the same order.
    pub(super) fn merge(mut self, other: &Self) -> Self {
        debug_assert_eq!(self.order, other.order);
        self.sum.merge(&other.sum);
        self.largest = larger(self.largest, other.largest);
        self
    }

    /// The norm, rounded once.
    pub(super) fn norm(&self) -> f64 {
        match self.order {
            ExactOrder::One => self.sum.to_f64(),
            ExactOrder::Two => self.sum.sqrt(),
            ExactOrder::Infinity => self.largest,
        }
    }
}
