//! Norms that merge.

use std::fmt;

use evenkeel_exact as exact;
use evenkeel_proto::v1 as pb;
use prost::Message as _;

/// The exact sum over some gradients from which their norm follows (for order infinity: their largest magnitude). Partials merge
/// without rounding: any order, any grouping and any split of the gradients over servers give the same norm, to the last bit.
///
/// Made by [`Client::measure_gradients`](crate::Client::measure_gradients). Programs pass it to each other with
/// [`encode`](Self::encode) and [`decode`](Self::decode).
#[derive(Clone, Debug, PartialEq)]
pub struct NormPartial(exact::NormPartial);

/// Two partials do not merge.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// They are of different orders.
    #[error("the norms are of different orders: {expected} and {given}")]
    Orders {
        /// The order that is merged into: 1, 2 or infinity.
        expected: f64,
        /// The order of the other.
        given: f64,
    },
    /// Together they have more than 2^59 elements.
    #[error("together the partials have more than 2^59 elements")]
    TooManyElements,
}

/// Bytes are not a [`NormPartial`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a norm partial: {0}")]
pub struct InvalidNormPartial(String);

impl NormPartial {
    /// Adds the elements of another partial of the same order.
    ///
    /// # Errors
    /// [`MergeError`]; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.0.merge(&other.0).map_err(|error| match error {
            exact::MergeError::Orders { expected, given } => {
                MergeError::Orders { expected: expected.norm_type(), given: given.norm_type() }
            }
            exact::MergeError::TooManyElements => MergeError::TooManyElements,
        })
    }

    /// The norm over all elements, rounded once, for
    /// [`ClipGradients::total_norm`](crate::ClipGradients::total_norm). NaN if there is a NaN among the elements,
    /// else infinite if there is an infinity.
    pub fn total_norm(&self) -> f64 {
        self.0.norm()
    }

    /// The order of the norm: 1, 2 or infinity.
    pub fn norm_type(&self) -> f64 {
        self.0.order().norm_type()
    }

    /// How many elements were measured, finite or not.
    pub fn elements(&self) -> u64 {
        self.0.elements()
    }

    /// How many of them are NaN.
    pub fn nan_elements(&self) -> u64 {
        self.0.nan_elements()
    }

    /// How many of them are infinite.
    pub fn infinite_elements(&self) -> u64 {
        self.0.infinite_elements()
    }

    /// The protobuf message `evenkeel.v1.NormPartial`, at most some 600 bytes, which a program in any language can read.
    pub fn encode(&self) -> Vec<u8> {
        pb::NormPartial::from(&self.0).encode_to_vec()
    }

    /// Reads the bytes that [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`InvalidNormPartial`] for other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidNormPartial> {
        let invalid = |error: &dyn fmt::Display| InvalidNormPartial(error.to_string());
        let message = pb::NormPartial::decode(bytes).map_err(|error| invalid(&error))?;
        Self::from_wire(message).map_err(|error| invalid(&format!("{}: {error}", error.field())))
    }

    pub(super) fn from_wire(message: pb::NormPartial) -> Result<Self, exact::InvalidPartial> {
        exact::NormPartial::try_from(message).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(elements: u64, sum: Vec<u8>) -> Vec<u8> {
        pb::NormPartial { norm_type: 2.0, elements, sum: sum.into(), ..Default::default() }.encode_to_vec()
    }

    /// Another program may hand over any bytes.
    #[test]
    fn partials_that_nothing_has_are_refused_and_large_ones_are_no_trouble() {
        for (elements, sum) in [(1, vec![0xFF; 532]), (u64::MAX, vec![0xFF; 532]), (0, vec![1]), (7, vec![0xFF; 533])] {
            NormPartial::decode(&encoded(elements, sum)).expect_err("no elements have these parts");
        }
        let large = encoded(1 << 58, [vec![0xFF; 531], vec![1]].concat());
        let mut norm = NormPartial::decode(&large).expect("2^58 elements may add up to this");
        norm.merge(&NormPartial::decode(&large).expect("as before")).expect("2^59 elements may be merged");
        assert_eq!(norm.total_norm(), f64::INFINITY);
        assert_eq!(NormPartial::decode(&norm.encode()), Ok(norm.clone()));
        let one = NormPartial::decode(&encoded(1, vec![1])).expect("one element");
        assert_eq!(norm.merge(&one), Err(MergeError::TooManyElements));
    }
}
