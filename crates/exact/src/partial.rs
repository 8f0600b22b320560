//! A norm over some elements, in a form that merges.

use std::fmt;

use crate::{Brief, ExactSum, SumTooLong, sum::significant};

/// The orders of norms whose terms are exact, so that their sums can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormOrder {
    /// The sum of the absolute values.
    One,
    /// The root of the sum of the squares.
    Two,
    /// The largest absolute value.
    Infinity,
}

impl NormOrder {
    /// The order that `norm_type` names; `None` for all but 1, 2 and infinity.
    pub fn from_norm_type(norm_type: f64) -> Option<Self> {
        [Self::One, Self::Two, Self::Infinity].into_iter().find(|order| order.norm_type() == norm_type)
    }

    /// 1, 2 or infinity.
    pub fn norm_type(self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Two => 2.0,
            Self::Infinity => f64::INFINITY,
        }
    }
}

/// What has to be known of some elements to know their norm, exactly.
///
/// Partials of one order merge without rounding: it does not matter which elements were measured where, in which order,
/// or how they were grouped. Equal elements give equal partials.
#[derive(Clone, Debug, PartialEq)]
pub struct NormPartial {
    order: NormOrder,
    counts: Counts,
    /// Of order 1 the absolute values, of order 2 the squares of the finite elements.
    sum: ExactSum,
    /// Of order infinity the largest finite absolute value.
    largest: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    elements: u64,
    nan: u64,
    infinite: u64,
}

/// A [`NormPartial`] taken apart, as it travels; the fields mean what those of the wire contract's `NormPartial` mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts<S = Vec<u8>> {
    /// 1, 2 or infinity.
    pub norm_type: f64,
    /// How many elements were measured, finite or not.
    pub elements: u64,
    /// How many of them are NaN.
    pub nan_elements: u64,
    /// How many of them are infinite.
    pub infinite_elements: u64,
    /// Order infinity: the largest finite absolute value; else 0.
    pub largest: f64,
    /// Orders 1 and 2: [`ExactSum::to_le_bytes`]; else empty.
    pub sum: S,
}

/// No elements have these parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InvalidPartial {
    /// `norm_type` is not 1, 2 or infinity.
    NormType(f64),
    /// The order is not that of the partial it is merged into.
    OtherOrder {
        /// The order that is merged into.
        expected: NormOrder,
        /// The order of the other.
        given: NormOrder,
    },
    /// There are more than [`NormPartial::MAX_ELEMENTS`].
    TooManyElements,
    /// More elements are NaN or infinite than there are elements.
    Counts,
    /// `largest` is negative, infinite or NaN, or not 0 where the order is 1 or 2.
    Largest(f64),
    /// `sum` is too long.
    SumTooLong(SumTooLong),
    /// `sum` is more than the finite ones among `elements` can add up to.
    SumTooLarge,
    /// `sum` is not empty where the order is infinity.
    SumOfInfinity,
    /// `sum` is no sum of float64, which are multiples of 2^1074 units, where the order is 1.
    SumBetween,
}

impl InvalidPartial {
    /// The name of the field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NormType(_) | Self::OtherOrder { .. } => "norm_type",
            Self::TooManyElements | Self::Counts => "elements",
            Self::Largest(_) => "largest",
            Self::SumTooLong(_) | Self::SumTooLarge | Self::SumOfInfinity | Self::SumBetween => "sum",
        }
    }
}

impl fmt::Display for InvalidPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NormType(given) => {
                write!(f, "expected 1, 2 or infinity, whose sums are exact, got {}", Brief(*given))
            }
            Self::OtherOrder { expected, given } => {
                write!(f, "expected {}, got {}", expected.norm_type(), given.norm_type())
            }
            Self::TooManyElements => f.write_str("expected no more than 2^59, with those it is merged with"),
            Self::Counts => f.write_str("expected at least as many as nan_elements and infinite_elements together"),
            Self::Largest(given) => {
                write!(f, "expected a finite number, above 0 only with norm_type infinity, got {}", Brief(*given))
            }
            Self::SumTooLong(error) => error.fmt(f),
            Self::SumTooLarge => f.write_str("expected no more than the finite elements can add up to"),
            Self::SumOfInfinity => f.write_str("expected none with norm_type infinity"),
            Self::SumBetween => f.write_str("expected a multiple of 2^1074 with norm_type 1, as every float64 is"),
        }
    }
}

impl std::error::Error for InvalidPartial {}

/// Two partials do not merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// They are of different orders.
    Orders {
        /// The order that is merged into.
        expected: NormOrder,
        /// The order of the other.
        given: NormOrder,
    },
    /// Together they have more than [`NormPartial::MAX_ELEMENTS`].
    TooManyElements,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orders { expected, given } => {
                write!(f, "expected {}, got {}", expected.norm_type(), given.norm_type())
            }
            Self::TooManyElements => InvalidPartial::TooManyElements.fmt(f),
        }
    }
}

impl std::error::Error for MergeError {}

impl NormPartial {
    /// The most elements that partials from elsewhere may have together, 2^59: the sum of so many squares still has at
    /// most [`ExactSum::MAX_BYTES`].
    pub const MAX_ELEMENTS: u64 = 1 << 59;

    /// The norm of nothing, 0.
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

    /// Adds finite elements whose absolute values (order 1) or squares (order 2) have been added up by the caller, as
    /// terms that need not be one for each element.
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

    /// Adds everything that another partial has measured.
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

    /// As [`merge`](Self::merge), with a partial as it travels: that takes the time of reading its bytes, and no memory.
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
        // There are no more of these than of all.
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

    /// Whether the exact norm, before any rounding, is above `bound`, which is no NaN. A norm that is NaN is above
    /// everything.
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

    /// The exact norm, rounded up. Of a norm that is not finite, as [`norm`](Self::norm).
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

    /// Takes it apart, to send it.
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

    /// Puts together what was sent.
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

impl<S: AsRef<[u8]>> Parts<S> {
    /// All that is wrong with them, alone and, if that is known, beside the order that they are to be merged into.
    pub fn faults(&self, order: Option<NormOrder>) -> Vec<InvalidPartial> {
        let mut faults = Vec::new();
        self.look(|fault| faults.push(fault));
        if let (Some(expected), Some(given)) = (order, NormOrder::from_norm_type(self.norm_type))
            && expected != given
        {
            faults.insert(0, InvalidPartial::OtherOrder { expected, given });
        }
        faults
    }

    /// The order, the counts and the sum without zeros at its end, if they can be those of some elements.
    fn validated(&self) -> Result<(NormOrder, Counts, &[u8]), InvalidPartial> {
        let mut first = None;
        let found = self.look(|fault| {
            first.get_or_insert(fault);
        });
        match (first, found) {
            (None, Some(found)) => Ok(found),
            (Some(fault), _) => Err(fault),
            (None, None) => Err(InvalidPartial::NormType(self.norm_type)),
        }
    }

    /// As [`validated`](Self::validated); hands each fault to `tell`, whatever the others are. `None`: the order is not known.
    fn look(&self, mut tell: impl FnMut(InvalidPartial)) -> Option<(NormOrder, Counts, &[u8])> {
        let &Self { norm_type, elements, nan_elements: nan, infinite_elements: infinite, largest, ref sum } = self;
        let order = NormOrder::from_norm_type(norm_type);
        if order.is_none() {
            tell(InvalidPartial::NormType(norm_type));
        }
        let finite = nan.checked_add(infinite).and_then(|special| elements.checked_sub(special));
        if elements > NormPartial::MAX_ELEMENTS {
            tell(InvalidPartial::TooManyElements);
        } else if finite.is_none() {
            tell(InvalidPartial::Counts);
        }
        let may_have_largest = order.is_none_or(|order| order == NormOrder::Infinity) && finite != Some(0);
        if !largest.is_finite() || largest < 0.0 || largest > 0.0 && !may_have_largest {
            tell(InvalidPartial::Largest(largest));
        }
        let sum = significant(sum.as_ref());
        if sum.len() > ExactSum::MAX_BYTES {
            tell(InvalidPartial::SumTooLong(SumTooLong { given: sum.len() }));
        } else if let Some(fault) = order.and_then(|order| sum_fault(order, finite, sum)) {
            tell(fault);
        }
        Some((order?, Counts { elements, nan, infinite }, sum))
    }
}

/// What is wrong with the sum of so many finite elements, if it is known how many there are.
fn sum_fault(order: NormOrder, finite: Option<u64>, sum: &[u8]) -> Option<InvalidPartial> {
    if sum.is_empty() {
        return None;
    }
    // No term reaches 2^term_bits units, which are 2^-2148: a float64 is below 2^1024.
    let term_bits = match order {
        NormOrder::One => 2148 + 1024,
        NormOrder::Two => 2148 + 2048,
        NormOrder::Infinity => return Some(InvalidPartial::SumOfInfinity),
    };
    if order == NormOrder::One && !is_multiple_of_smallest(sum) {
        return Some(InvalidPartial::SumBetween);
    }
    let terms = whole_units(sum, term_bits);
    let is_possible = finite.is_none_or(|finite| terms.is_some_and(|terms| terms < finite));
    (!is_possible).then_some(InvalidPartial::SumTooLarge)
}

/// Whether a little-endian integer is a multiple of 2^1074: of the smallest float64 above 0, in units of its square.
fn is_multiple_of_smallest(integer: &[u8]) -> bool {
    const BYTES: usize = 1074 / 8;
    const BITS: u8 = (1 << (1074 % 8)) - 1;
    let (low, high) = integer.split_at(BYTES.min(integer.len()));
    low.iter().all(|&byte| byte == 0) && high.first().is_none_or(|byte| byte & BITS == 0)
}

/// How many times 2^bits a little-endian integer has; `None`: more than fit 60 bits.
fn whole_units(integer: &[u8], bits: usize) -> Option<u64> {
    let high = integer.get(bits / 8..).unwrap_or_default();
    let mut bytes = [0; 8];
    bytes.get_mut(..high.len())?.copy_from_slice(high);
    Some(u64::from_le_bytes(bytes) >> (bits % 8))
}

#[cfg(test)]
mod tests;
