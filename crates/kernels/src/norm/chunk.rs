//! Adding a chunk of a tensor to a norm.

use std::{marker::PhantomData, ops::Range};

use evenkeel_exact::{NormOrder, NormPartial};

use super::{
    cascade::{self, Term},
    largest::Largest,
    squares::{Squares, Sum},
};
use crate::{DType, Element, dtype::with_element, simd};

/// Adds the elements of `data`, exactly.
pub(super) fn add(partial: &mut NormPartial, dtype: DType, data: &[u8]) {
    with_element!(dtype, E => add_elements::<E>(partial, data));
}

/// The vector code cannot add elements that are not finite or span too many powers of two. It recognizes them, and they
/// are added one by one.
fn add_elements<E: Element>(partial: &mut NormPartial, data: &[u8]) {
    let element = PhantomData::<E>;
    match partial.order() {
        NormOrder::One => add_terms::<E>(partial, data, Term::Absolute),
        NormOrder::Two if !E::IS_DOUBLE => {
            let Sum { terms, left } = simd::run(Squares { data, element });
            let left_len: usize = left.iter().map(Range::len).sum();
            partial.add_terms(elements::<E>(data.len() - left_len), terms);
            left.into_iter().for_each(|range| add_terms::<E>(partial, &data[range], Term::Square));
        }
        NormOrder::Two => add_terms::<E>(partial, data, Term::Square),
        NormOrder::Infinity => {
            let largest = simd::run(Largest { data, element });
            if largest.is_finite() {
                partial.add_largest(elements::<E>(data.len()), largest);
            } else {
                add_each::<E>(partial, data);
            }
        }
    }
}

fn add_terms<E: Element>(partial: &mut NormPartial, data: &[u8], term: Term) {
    match cascade::terms::<E>(data, term) {
        Some(terms) => partial.add_terms(elements::<E>(data.len()), terms),
        None => add_each::<E>(partial, data),
    }
}

fn add_each<E: Element>(partial: &mut NormPartial, data: &[u8]) {
    data.chunks_exact(E::DTYPE.size()).for_each(|element| partial.add(E::from_le_bytes(element).to_f64()));
}

/// The number of elements in so many bytes.
fn elements<E: Element>(bytes: usize) -> u64 {
    (bytes / E::DTYPE.size()) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Tensor, Uninterrupted, measure_gradients};

    /// Numbers of one scale, for the fast way, or of all scales and kinds, for the slow one.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
        prop_oneof![
            prop::collection::vec(-1f64..1.0, 0..600),
            prop::collection::vec(prop_oneof![50 => any::<f64>(), 1 => special], 0..600),
        ]
    }

    proptest! {
        #[test]
        fn a_tensor_is_measured_as_its_elements_are(
            values in values(),
            dtype in prop::sample::select(DType::ALL.to_vec()),
            order in prop::sample::select(vec![NormOrder::One, NormOrder::Two, NormOrder::Infinity]),
        ) {
            let tensor = Tensor::from_f64(dtype, vec![values.len()], &values);
            let mut expected = NormPartial::new(order);
            tensor.view().to_f64().into_iter().for_each(|x| expected.add(x));
            prop_assert_eq!(measure_gradients(order, &[tensor.view()], &Uninterrupted), Ok(expected));
        }
    }
}
