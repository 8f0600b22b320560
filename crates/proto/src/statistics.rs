//! Converts statistics that merge to messages and back.

use bytes::Bytes;
use evenkeel_exact::{GradientSums, SetStatistics, SignedSum, StatisticsPartial};

use crate::v1 as pb;

impl From<&SignedSum> for pb::ExactSum {
    fn from(sum: &SignedSum) -> Self {
        let magnitude = Bytes::copy_from_slice(sum.magnitude());
        Self { negative: sum.is_negative(), low_zero_bytes: sum.low_zero_bytes(), magnitude }
    }
}

impl From<&SetStatistics> for pb::SetStatistics {
    fn from(set: &SetStatistics) -> Self {
        let SetStatistics {
            elements,
            nan_elements,
            infinite_elements,
            negative_infinite_elements,
            sum,
            sum_of_squares,
            gradients,
        } = set;
        let unless_zero = |sum: &SignedSum| (!sum.is_zero()).then(|| sum.into());
        let gradients = gradients.as_ref();
        Self {
            elements: *elements,
            nan_elements: *nan_elements,
            infinite_elements: *infinite_elements,
            negative_infinite_elements: *negative_infinite_elements,
            nonfinite_gradients: gradients.map_or(0, |gradients| gradients.nonfinite_gradients),
            sum: unless_zero(sum),
            sum_of_squares: unless_zero(sum_of_squares),
            sum_of_gradients: gradients.map(|gradients| (&gradients.sum).into()),
            sum_of_products: gradients.map(|gradients| (&gradients.sum_of_products).into()),
        }
    }
}

/// The statistics in a message. Calls `tell` with each field that cannot be read and the reason; a sum that cannot be read is 0.
pub fn decode_set(set: pb::SetStatistics, mut tell: impl FnMut(&'static str, String)) -> SetStatistics {
    let pb::SetStatistics {
        elements,
        nan_elements,
        infinite_elements,
        negative_infinite_elements,
        nonfinite_gradients,
        sum,
        sum_of_squares,
        sum_of_gradients,
        sum_of_products,
    } = set;
    let mut decode = |field, sum: Option<pb::ExactSum>| {
        let pb::ExactSum { negative, low_zero_bytes, magnitude } = sum.unwrap_or_default();
        SignedSum::new(negative, low_zero_bytes, &magnitude).unwrap_or_else(|error| {
            tell(field, error.to_string());
            SignedSum::default()
        })
    };
    let are_measured = sum_of_gradients.is_some();
    let has_products = sum_of_products.is_some();
    let (sum, sum_of_squares) = (decode("sum.magnitude", sum), decode("sum_of_squares.magnitude", sum_of_squares));
    let of_gradients = decode("sum_of_gradients.magnitude", sum_of_gradients);
    let sum_of_products = decode("sum_of_products.magnitude", sum_of_products);
    if !are_measured && has_products {
        tell("sum_of_products", "expected none without sum_of_gradients".into());
    }
    if !are_measured && nonfinite_gradients != 0 {
        tell("nonfinite_gradients", "expected 0 without sum_of_gradients".into());
    }
    let gradients = are_measured.then_some(GradientSums { nonfinite_gradients, sum: of_gradients, sum_of_products });
    SetStatistics {
        elements,
        nan_elements,
        infinite_elements,
        negative_infinite_elements,
        sum,
        sum_of_squares,
        gradients,
    }
}

/// The message of a partial for this kind of normalization.
pub fn encode_statistics<K: PartialEq>(kind: pb::NormKind, partial: &StatisticsPartial<K>) -> pb::StatisticsPartial {
    let shape = partial.shape().iter().map(|&len| i64::try_from(len).expect("dimensions fit isize")).collect();
    pb::StatisticsPartial { kind: kind.into(), shape, sets: partial.sets().iter().map(Into::into).collect() }
}
