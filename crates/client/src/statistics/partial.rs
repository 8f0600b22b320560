//! Statistics that merge.

use std::fmt;

use evenkeel_exact as exact;
use evenkeel_proto::{self as proto, v1 as pb};
use prost::Message as _;

use super::Due;
use crate::{Error, NormKind};

/// The exact sums over the sets of a tensor (the elements that are pooled together) from which mean and variance follow. Partials
/// merge without rounding: any cut of the tensor into parts and any order give the same statistics, to the last bit.
///
/// Made by [`Client::measure_statistics`](crate::Client::measure_statistics). Programs pass it to each other with
/// [`encode`](Self::encode) and [`decode`](Self::decode).
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsPartial(exact::StatisticsPartial<NormKind>);

/// Two partials do not merge: they are of different kinds, or of sets of different shapes; gradients were measured for one of
/// them alone; or together they have more than 2^59 elements in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.field(), .0)]
pub struct StatisticsMergeError(exact::StatisticsMismatch);

/// Bytes are not a [`StatisticsPartial`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not statistics: {0}")]
pub struct InvalidStatisticsPartial(String);

/// The error of a message: a field, and the reason.
struct Fault {
    field: String,
    reason: String,
}

impl StatisticsPartial {
    /// Adds the sets of another partial of the same kind and shape to those of this one.
    ///
    /// # Errors
    /// [`StatisticsMergeError`]; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), StatisticsMergeError> {
        self.0.merge(&other.0).map_err(StatisticsMergeError)
    }

    /// The normalization that the sets are pooled by.
    pub fn kind(&self) -> NormKind {
        *self.0.kind()
    }

    /// The shape of the sets: the input's without the pooled axes; for [`NormKind::Group`] with the number of groups in the
    /// place of the channels.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// How many elements each set has, in all parts.
    pub fn elements(&self) -> u64 {
        self.0.elements()
    }

    /// Whether gradients were measured beside the elements; also if there are no sets.
    pub fn has_gradients(&self) -> bool {
        self.0.has_gradients()
    }

    /// The protobuf message `evenkeel.v1.StatisticsPartial`, which a program in any language can read: for each set some 110
    /// bytes for float32 elements, up to 800 for float64, and twice that with gradients.
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Reads the bytes that [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`InvalidStatisticsPartial`] for other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidStatisticsPartial> {
        let invalid = |error: &dyn fmt::Display| InvalidStatisticsPartial(error.to_string());
        let message = pb::StatisticsPartial::decode(bytes).map_err(|error| invalid(&error))?;
        Self::from_wire(message).map_err(|Fault { field, reason }| invalid(&format!("{field}: {reason}")))
    }

    pub(crate) fn to_wire(&self) -> pb::StatisticsPartial {
        proto::encode_statistics(self.kind().to_wire(), &self.0)
    }

    /// The statistics in an answer, which must be about what is due, if that is known.
    pub(crate) fn from_answer(answer: pb::StatisticsPartial, due: Option<&Due>) -> Result<Self, Error> {
        due.map_or(Ok(()), |due| due.check(&answer))?;
        Self::from_wire(answer).map_err(|Fault { field, reason }| Error::protocol(field, reason))
    }

    fn from_wire(message: pb::StatisticsPartial) -> Result<Self, Fault> {
        let pb::StatisticsPartial { kind, shape, sets } = message;
        let fault = |field: &str, reason: String| Fault { field: field.to_owned(), reason };
        let kind = NormKind::from_wire(kind).ok_or_else(|| fault("kind", format!("{kind} is no kind")))?;
        let shape: Result<Vec<usize>, _> = shape.into_iter().map(usize::try_from).collect();
        let shape = shape.map_err(|_| fault("shape", "has a dimension that is none".to_owned()))?;
        let mut first = None;
        let decoded: Vec<_> = (0..)
            .zip(sets)
            .map(|(index, set): (usize, _)| {
                proto::decode_set(set, |field, reason| {
                    first.get_or_insert_with(|| Fault { field: format!("sets[{index}].{field}"), reason });
                })
            })
            .collect();
        first.map_or(Ok(()), Err)?;
        exact::StatisticsPartial::new(kind, shape, decoded)
            .map(Self)
            .map_err(|error| Fault { field: error.field(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut pb::StatisticsPartial)) -> Vec<u8> {
        let sum = |byte| Some(pb::ExactSum { magnitude: vec![byte].into(), low_zero_bytes: 268, negative: false });
        // 16 elements of some size: 2^2144 units are 1/16.
        let set = pb::SetStatistics { elements: 16, sum_of_squares: sum(1), ..Default::default() };
        let mut message =
            pb::StatisticsPartial { kind: pb::NormKind::Layer.into(), shape: vec![1, 2], sets: vec![set; 2] };
        change(&mut message);
        message.encode_to_vec()
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut partial = StatisticsPartial::decode(&message(|_| ())).expect("it is right");
        assert_eq!((partial.kind(), partial.shape(), partial.elements()), (NormKind::Layer, &[1, 2][..], 16));
        assert_eq!(partial.encode(), message(|_| ()));
        assert!(!partial.has_gradients());
        partial.merge(&partial.clone()).expect("they are alike");
        assert_eq!(partial.elements(), 32);
        let other =
            StatisticsPartial::decode(&message(|message| message.kind = pb::NormKind::Rms.into())).expect("fine");
        assert!(partial.merge(&other).expect_err("another kind").to_string().starts_with("kind: "));
    }

    /// Another program may hand over any bytes.
    #[test]
    fn what_no_elements_have_is_refused_by_name() {
        let refused = |field: &str, change: fn(&mut pb::StatisticsPartial)| {
            let error = StatisticsPartial::decode(&message(change)).expect_err(field).to_string();
            assert!(error.starts_with(&format!("not statistics: {field}: ")), "{error}");
        };
        refused("kind", |message| message.kind = 0);
        refused("shape", |message| message.shape[0] = -1);
        refused("sets", |message| message.shape[0] = 2);
        refused("sets[1].elements", |message| message.sets[1].nan_elements = 17);
        refused("sets[1].sum_of_products", |message| message.sets[1].sum_of_products = Some(pb::ExactSum::default()));
        refused("sets[1].nonfinite_gradients", |message| message.sets[1].nonfinite_gradients = 1);
        refused("sets[0].sum.magnitude", |message| {
            message.sets[0].sum = Some(pb::ExactSum { magnitude: vec![1; 533].into(), ..Default::default() });
        });
        assert!(StatisticsPartial::decode(&[0xFF]).is_err());
    }
}
