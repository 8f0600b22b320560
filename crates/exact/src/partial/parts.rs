//! Partials in the form in which they are sent, and the checks of received ones.

use super::{Counts, InvalidPartial, NormOrder, NormPartial};
use crate::{ExactSum, SumTooLong, sum::significant};

/// The parts of a [`NormPartial`], as it is sent; each means the same as the field of its name in the wire contract's
/// `NormPartial`.
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

impl<S: AsRef<[u8]>> Parts<S> {
    /// All faults of these parts, alone and, if it is known, beside the order of the partial to merge into.
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
    pub(super) fn validated(&self) -> Result<(NormOrder, Counts, &[u8]), InvalidPartial> {
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

    /// As [`validated`](Self::validated), but passes each fault to `tell`. `None` if the order is not known.
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

/// The fault of the sum of so many finite elements, if it has one. `finite`: `None` if their number is not known.
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

/// A little-endian integer divided by 2^bits, rounded down; `None` if that does not fit 60 bits.
fn whole_units(integer: &[u8], bits: usize) -> Option<u64> {
    let high = integer.get(bits / 8..).unwrap_or_default();
    let mut bytes = [0; 8];
    bytes.get_mut(..high.len())?.copy_from_slice(high);
    Some(u64::from_le_bytes(bytes) >> (bits % 8))
}
