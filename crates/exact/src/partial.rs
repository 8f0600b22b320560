//! A norm over some elements, in a form that merges.

mod error;
mod order;
mod parts;

use crate::ExactSum;

pub use error::{InvalidPartial, MergeError};
pub use order::NormOrder;
pub use parts::Parts;

/// The exact sum or maximum of some elements, from which their norm follows.
///
/// Partials of one order merge without rounding: it does not matter which elements were measured where, in which order,
/// or how they were grouped. Equal elements give equal partials.
#[derive(Clone, Debug, PartialEq)]
pub struct NormPartial {
    order: NormOrder,
    counts: Counts,
    /// The sum over the finite elements: of absolute values for order 1, of squares for order 2.
    sum: ExactSum,
    /// The largest finite absolute value, for order infinity.
    largest: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    elements: u64,
    nan: u64,
    infinite: u64,
}

impl NormPartial {
    /// The most elements that partials from elsewhere may have together, 2^59: the sum of so many squares still has at
    /// most [`ExactSum::MAX_BYTES`].
    pub const MAX_ELEMENTS: u64 = 1 << 59;

    /// The partial of no elements; its norm is 0.
    pub fn new(order: NormOrder) -> Self {
        Self { order, counts: Counts::default(), sum: ExactSum::new(), largest: 0.0 }
    }

    /// Adds an element.
    pub fn add(&mut self, x: f64) {
        self.counts.elements = self.counts.elements.saturating_add(1);
        if x.is_nan() {
            self.counts.nan += 1;
        } else if x.is_infinite() {
            self.counts.infinite += 1;
        } else {
            match self.order {
                NormOrder::One => self.sum.add(x.abs()),
                NormOrder::Two => self.sum.add_square(x),
                NormOrder::Infinity => self.largest = self.largest.max(x.abs()),
            }
        }
    }

    /// Adds finite elements. `terms` add up to their absolute values (order 1) or squares (order 2), and need not be
    /// one for each element.
    pub fn add_terms(&mut self, elements: u64, terms: impl IntoIterator<Item = f64>) {
        debug_assert_ne!(self.order, NormOrder::Infinity, "it has no sum");
        self.counts.elements = self.counts.elements.saturating_add(elements);
        terms.into_iter().for_each(|term| self.sum.add(term));
    }

    /// Adds finite elements of which the largest absolute value is known (order infinity).
    pub fn add_largest(&mut self, elements: u64, largest: f64) {
        debug_assert_eq!(self.order, NormOrder::Infinity, "the others have no largest");
        self.counts.elements = self.counts.elements.saturating_add(elements);
        self.largest = self.largest.max(largest);
    }

    /// Adds the elements of another partial.
    ///
    /// # Errors
    /// [`MergeError`]; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.count(other.order, other.counts)?;
        match self.order {
            NormOrder::One | NormOrder::Two => self.sum.merge(&other.sum),
            NormOrder::Infinity => self.largest = self.largest.max(other.largest),
        }
        Ok(())
    }

    /// As [`merge`](Self::merge), for a partial in the form in which it is sent: it takes the time to read the bytes,
    /// and no memory.
    ///
    /// # Errors
    /// [`InvalidPartial`] if no elements have these parts, if they are of another order, or if they are too many together
    /// with those that were merged before. Nothing is added then.
    pub fn merge_parts(&mut self, parts: &Parts<impl AsRef<[u8]>>) -> Result<(), InvalidPartial> {
        let (order, counts, sum) = parts.validated()?;
        self.count(order, counts).map_err(|error| match error {
            MergeError::Orders { .. } => InvalidPartial::OtherOrder { expected: self.order, given: order },
            MergeError::TooManyElements => InvalidPartial::TooManyElements,
        })?;
        self.sum.add_le_bytes(sum).map_err(InvalidPartial::SumTooLong)?;
        self.largest = self.largest.max(parts.largest.abs());
        Ok(())
    }

    /// Counts the elements of another partial.
    fn count(&mut self, order: NormOrder, counts: Counts) -> Result<(), MergeError> {
        if self.order != order {
            return Err(MergeError::Orders { expected: self.order, given: order });
        }
        let elements = self.counts.elements.saturating_add(counts.elements);
        if elements > Self::MAX_ELEMENTS {
            return Err(MergeError::TooManyElements);
        }
        // The counts are not above `elements`, so they do not overflow.
        let (nan, infinite) = (self.counts.nan + counts.nan, self.counts.infinite + counts.infinite);
        self.counts = Counts { elements, nan, infinite };
        Ok(())
    }

    /// The norm, rounded once to nearest even. A NaN among the elements makes it NaN, else an infinity makes it
    /// infinite.
    pub fn norm(&self) -> f64 {
        if self.counts.nan > 0 {
            return f64::NAN;
        }
        if self.counts.infinite > 0 {
            return f64::INFINITY;
        }
        match self.order {
            NormOrder::One => self.sum.to_f64(),
            NormOrder::Two => self.sum.sqrt(),
            NormOrder::Infinity => self.largest,
        }
    }

    /// Whether the exact norm, before any rounding, is above `bound`, which must not be NaN. A NaN norm is above every
    /// bound.
    ///
    /// ```
    /// use evenkeel_exact::{NormOrder, NormPartial};
    ///
    /// let mut partial = NormPartial::new(NormOrder::Two);
    /// [1.0, 1e-20].into_iter().for_each(|x| partial.add(x));
    /// assert_eq!(partial.norm(), 1.0, "rounded");
    /// assert!(partial.is_above(1.0) && !partial.is_above(1.0_f64.next_up()));
    /// ```
    pub fn is_above(&self, bound: f64) -> bool {
        if self.counts.nan > 0 || self.counts.infinite > 0 {
            return self.counts.nan > 0 || bound < f64::INFINITY;
        }
        if bound == f64::INFINITY {
            return false;
        }
        if bound < 0.0 {
            return true;
        }
        match self.order {
            NormOrder::One => self.sum.is_above(bound),
            NormOrder::Two => self.sum.is_above_square(bound),
            NormOrder::Infinity => self.largest > bound,
        }
    }

    /// The exact norm, rounded up. If the norm is not finite, the same as [`norm`](Self::norm).
    pub fn norm_rounded_up(&self) -> f64 {
        let nearest = self.norm();
        if nearest.is_finite() && self.is_above(nearest) { nearest.next_up() } else { nearest }
    }

    /// The order.
    pub fn order(&self) -> NormOrder {
        self.order
    }

    /// How many elements were measured, finite or not.
    pub fn elements(&self) -> u64 {
        self.counts.elements
    }

    /// How many of them are NaN.
    pub fn nan_elements(&self) -> u64 {
        self.counts.nan
    }

    /// How many of them are infinite.
    pub fn infinite_elements(&self) -> u64 {
        self.counts.infinite
    }

    /// The parts of the partial, to be sent.
    pub fn to_parts(&self) -> Parts {
        let Counts { elements, nan, infinite } = self.counts;
        Parts {
            norm_type: self.order.norm_type(),
            elements,
            nan_elements: nan,
            infinite_elements: infinite,
            largest: self.largest,
            sum: self.sum.to_le_bytes(),
        }
    }

    /// The partial with these parts.
    ///
    /// # Errors
    /// [`InvalidPartial`] if no elements have these parts.
    pub fn from_parts(parts: &Parts<impl AsRef<[u8]>>) -> Result<Self, InvalidPartial> {
        let (order, ..) = parts.validated()?;
        let mut partial = Self::new(order);
        partial.merge_parts(parts)?;
        Ok(partial)
    }
}

#[cfg(test)]
mod tests;
