//! MeasureGradients.

use bytes::Bytes;
use evenkeel_exact::{InvalidPartial, NormOrder, NormPartial, Parts};
use evenkeel_kernels::{Checkpoint, TensorRef, Violations};
use evenkeel_proto::v1 as pb;

use super::{Tensor, clip::decode_gradients, decoded};
use crate::error::Error;

/// The number of partials that are merged between two checkpoints: some ten microseconds.
const PARTIALS_IN_A_ROW: usize = 256;

/// A decoded `MeasureGradientsRequest`, one message of a call. Its partials keep the form of the message, since each
/// takes over a kilobyte as a [`NormPartial`].
#[derive(Debug)]
pub(crate) struct MeasureGradients {
    pub(crate) order: NormOrder,
    /// Whether this message names the order.
    pub(crate) says_order: bool,
    partials: Vec<Parts<Bytes>>,
    gradients: Vec<Tensor>,
}

impl MeasureGradients {
    /// Decodes a message. `order`: the order of the messages before, which this one must not change. `limit`: the
    /// largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found in the order and the gradients, and then also those of the
    /// partials.
    pub(crate) fn decode(
        request: pb::MeasureGradientsRequest,
        order: Option<NormOrder>,
        limit: usize,
    ) -> Result<Self, Error> {
        let pb::MeasureGradientsRequest { norm_type, partials, gradients } = request;
        let mut found = Violations::new();
        let said = norm_type.and_then(|norm_type| decode_order(norm_type, &mut found));
        if let (Some(before), Some(said)) = (order, said)
            && before != said
        {
            found.add("norm_type", format!("is {} after messages of {}", said.norm_type(), before.norm_type()));
        }
        let is_known = order.is_some() || said.is_some() || norm_type.is_none();
        let order = order.or(said).unwrap_or(NormOrder::Two);
        let partials: Vec<Parts<Bytes>> = partials.into_iter().map(Parts::from).collect();
        let gradients = decode_gradients(gradients, limit, &mut found);
        if !found.is_empty() {
            let order = is_known.then_some(order);
            partials.iter().enumerate().for_each(|(index, partial)| add_faults(index, partial, order, &mut found));
        }
        decoded(Some(Self { order, says_order: said.is_some(), partials, gradients }), found)
    }

    /// The gradients as the kernels take them.
    pub(crate) fn views(&self) -> Vec<TensorRef<'_>> {
        self.gradients.iter().map(Tensor::view).collect()
    }

    /// Whether the message has neither gradients nor partials.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts() == 0
    }

    /// The number of gradients and partials together.
    pub(crate) fn parts(&self) -> usize {
        self.partials.len() + self.gradients.len()
    }

    /// Adds the partials to `total`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all partials that no elements have, that are of another order, or with which there are
    /// too many elements; [`Error::Cancelled`]. `total` must not be used then.
    pub(crate) fn merge_partials(&self, total: &mut NormPartial, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let mut found = Violations::new();
        for (index, partial) in self.partials.iter().enumerate() {
            if index % PARTIALS_IN_A_ROW == 0 {
                checkpoint.check()?;
            }
            if let Err(error) = total.merge_parts(partial) {
                // If there are too many elements only together with those before, this partial has no other fault.
                if error == InvalidPartial::TooManyElements && partial.elements <= NormPartial::MAX_ELEMENTS {
                    add_fault(index, &error, &mut found);
                } else {
                    add_faults(index, partial, Some(self.order), &mut found);
                }
            }
        }
        Ok(found.into_result()?)
    }
}

/// Adds all faults of a partial that is to be merged into one of this order, if the order is known.
fn add_faults(index: usize, partial: &Parts<Bytes>, order: Option<NormOrder>, found: &mut Violations) {
    partial.faults(order).iter().for_each(|fault| add_fault(index, fault, found));
}

fn add_fault(index: usize, fault: &InvalidPartial, found: &mut Violations) {
    found.add_with(|| (format!("partials[{index}].{}", fault.field()), fault.to_string()));
}

fn decode_order(norm_type: f64, found: &mut Violations) -> Option<NormOrder> {
    let order = NormOrder::from_norm_type(norm_type);
    if order.is_none() {
        found.add("norm_type", InvalidPartial::NormType(norm_type).to_string());
    }
    order
}

/// The answer of a call with this result.
pub(crate) fn encode_norm(partial: &NormPartial) -> pb::MeasureGradientsResponse {
    pb::MeasureGradientsResponse { partial: Some(partial.into()), total_norm: partial.norm() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use evenkeel_kernels::{Cancelled, Uninterrupted};

    use super::*;

    fn decode(partials: usize, gradients: usize) -> MeasureGradients {
        let partial = pb::NormPartial { norm_type: 2.0, ..Default::default() };
        let gradient = pb::Tensor { dtype: pb::DataType::Float32.into(), shape: vec![0], ..Default::default() };
        let request = pb::MeasureGradientsRequest {
            norm_type: None,
            partials: vec![partial; partials],
            gradients: vec![gradient; gradients],
        };
        MeasureGradients::decode(request, None, usize::MAX).expect("it is right")
    }

    #[test]
    fn gradients_and_partials_are_parts() {
        for (partials, gradients) in [(0, 0), (0, 1), (1, 0), (2, 3)] {
            let message = decode(partials, gradients);
            assert_eq!(message.parts(), partials + gradients);
            assert_eq!(message.is_empty(), partials + gradients == 0);
            assert_eq!(message.views().len(), gradients);
        }
    }

    fn fields_of(refused: Error) -> Vec<String> {
        let Error::Invalid(found) = refused else { panic!("{refused:?}") };
        found.iter().map(|violation| violation.field.to_string()).collect()
    }

    /// The request has a partial of order 1, beside a gradient without a dtype. The order of the partial is wrong only
    /// where another order is known.
    #[test]
    fn partials_are_held_to_the_order_if_it_is_known() {
        let [order, gradient, partial] = ["norm_type", "gradients[0].dtype", "partials[0].norm_type"];
        for (norm_type, before, expected) in [
            (None, None, &[gradient, partial][..]),
            (Some(2.0), None, &[gradient, partial]),
            (None, Some(NormOrder::Two), &[gradient, partial]),
            (Some(2.0), Some(NormOrder::Two), &[gradient, partial]),
            (Some(3.0), Some(NormOrder::Two), &[order, gradient, partial]),
            (Some(1.0), Some(NormOrder::Two), &[order, gradient, partial]),
            (Some(3.0), None, &[order, gradient]),
            (Some(1.0), None, &[gradient]),
        ] {
            let request = pb::MeasureGradientsRequest {
                norm_type,
                partials: vec![pb::NormPartial { norm_type: 1.0, ..Default::default() }],
                gradients: vec![pb::Tensor { shape: vec![0], ..Default::default() }],
            };
            let refused = MeasureGradients::decode(request, before, usize::MAX).expect_err("the gradient is wrong");
            assert_eq!(fields_of(refused), expected, "{norm_type:?} after {before:?}");
        }
    }

    #[test]
    fn all_that_keeps_a_partial_from_being_merged_is_named() {
        const MOST: u64 = NormPartial::MAX_ELEMENTS;
        let partial = |elements, largest| pb::NormPartial { norm_type: 2.0, elements, largest, ..Default::default() };
        let [elements, largest] = ["partials[1].elements", "partials[1].largest"];
        for (first, second, expected) in [
            (partial(MOST, 0.0), partial(1, 0.0), &[elements][..]),
            (partial(1, 0.0), partial(MOST + 1, 0.0), &[elements]),
            (partial(1, 0.0), partial(MOST + 1, 1.0), &[elements, largest]),
            (partial(1, 0.0), pb::NormPartial { nan_elements: 2, ..partial(1, 1.0) }, &[elements, largest]),
        ] {
            let request = pb::MeasureGradientsRequest { partials: vec![first, second], ..Default::default() };
            let message = MeasureGradients::decode(request, None, usize::MAX).expect("they are looked at later");
            let mut total = NormPartial::new(NormOrder::Two);
            let refused = message.merge_partials(&mut total, &Uninterrupted).expect_err("one is wrong");
            assert_eq!(fields_of(refused), expected);
        }
    }

    #[derive(Default)]
    struct Asked {
        times: AtomicUsize,
        last: usize,
    }

    impl Checkpoint for Asked {
        fn check(&self) -> Result<(), Cancelled> {
            if self.times.fetch_add(1, Ordering::Relaxed) < self.last { Ok(()) } else { Err(Cancelled) }
        }
    }

    #[test]
    fn a_long_list_of_partials_can_be_cancelled_on_its_way() {
        let message = decode(2 * PARTIALS_IN_A_ROW + 1, 0);
        for last in 0..4 {
            let asked = Asked { last, ..Default::default() };
            let merged = message.merge_partials(&mut NormPartial::new(NormOrder::Two), &asked);
            assert_eq!(merged, if last < 3 { Err(Error::Cancelled) } else { Ok(()) }, "{last}");
            assert_eq!(asked.times.into_inner(), 3.min(last + 1), "{last}");
        }
    }
}
