//! Partial norms: merging, checks and limits.

use proptest::prelude::*;

use super::*;

const ORDERS: [NormOrder; 3] = [NormOrder::One, NormOrder::Two, NormOrder::Infinity];

fn measure(order: NormOrder, values: &[f64]) -> NormPartial {
    let mut partial = NormPartial::new(order);
    values.iter().for_each(|&x| partial.add(x));
    partial
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324]);
    prop::collection::vec(prop_oneof![20 => any::<f64>(), 1 => special], 0..40)
}

proptest! {
    /// Elements that are measured in parts, sent, and merged in any order have the partial of all elements measured
    /// together.
    #[test]
    fn parts_make_the_whole(
        values in values(), order in prop::sample::select(ORDERS.to_vec()),
        cuts in prop::collection::vec(0usize..40, 0..5), turn in 0usize..5, backwards: bool,
    ) {
        let whole = measure(order, &values);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(values.len())).chain([0, values.len()]).collect();
        cuts.sort_unstable();
        let mut pieces: Vec<NormPartial> = cuts.windows(2).map(|cut| measure(order, &values[cut[0]..cut[1]])).collect();
        let by = turn % pieces.len();
        pieces.rotate_left(by);
        if backwards {
            pieces.reverse();
        }
        let mut merged = NormPartial::new(order);
        for piece in &pieces {
            let received = NormPartial::from_parts(&piece.to_parts()).expect("what is sent is valid");
            merged.merge(&received).expect("one order");
        }
        prop_assert_eq!(&merged, &whole);
        prop_assert_eq!(merged.norm().to_bits(), whole.norm().to_bits());
        prop_assert_eq!(merged.to_parts(), whole.to_parts());
    }
}

#[test]
fn what_is_not_finite_is_counted_and_seen_in_the_norm() {
    for order in ORDERS {
        let mut partial = measure(order, &[1.0, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!((partial.norm(), partial.infinite_elements(), partial.elements()), (f64::INFINITY, 2, 3));
        partial.add(f64::NAN);
        assert!(partial.norm().is_nan());
        assert_eq!((partial.nan_elements(), partial.elements()), (1, 4));
    }
}

#[test]
fn orders_do_not_mix() {
    let mut partial = measure(NormOrder::One, &[1.0]);
    let mismatch = MergeError::Orders { expected: NormOrder::One, given: NormOrder::Infinity };
    assert_eq!(partial.merge(&measure(NormOrder::Infinity, &[2.0])), Err(mismatch));
    assert_eq!(partial.norm(), 1.0);
    assert_eq!(mismatch.to_string(), "expected 1, got inf");
    assert_eq!(NormOrder::from_norm_type(f64::NAN), None);
}

#[test]
fn parts_that_nothing_has_are_refused() {
    let two = measure(NormOrder::Two, &[1.0, f64::NAN]).to_parts();
    let infinity = measure(NormOrder::Infinity, &[1.0]).to_parts();
    let refused = |parts: Parts| NormPartial::from_parts(&parts).map_err(|error| error.field()).expect_err("invalid");
    assert_eq!(refused(Parts { norm_type: 3.0, ..two.clone() }), "norm_type");
    assert_eq!(refused(Parts { norm_type: f64::NAN, ..two.clone() }), "norm_type");
    assert_eq!(refused(Parts { elements: 0, ..two.clone() }), "elements");
    assert_eq!(refused(Parts { infinite_elements: u64::MAX, ..two.clone() }), "elements");
    assert_eq!(refused(Parts { largest: 1.0, ..two.clone() }), "largest");
    assert_eq!(refused(Parts { largest: -1.0, ..infinity.clone() }), "largest");
    assert_eq!(refused(Parts { largest: f64::INFINITY, ..infinity.clone() }), "largest");
    assert_eq!(refused(Parts { sum: vec![1; 600], ..two.clone() }), "sum");
    assert_eq!(refused(Parts { sum: vec![1], ..infinity }), "sum");
}

/// In order 1 such sums would be rounded twice. In order 2 every sum has a root.
#[test]
fn sums_that_are_no_sums_of_numbers_are_refused_in_order_1() {
    let parts = |order, sum: Vec<u8>| Parts { elements: 5, sum, ..NormPartial::new(order).to_parts() };
    let unit = |bit: usize| {
        let mut sum = vec![0; bit / 8 + 1];
        sum[bit / 8] = 1 << (bit % 8);
        sum
    };
    let norm = |order, sum| NormPartial::from_parts(&parts(order, sum)).map(|partial| partial.norm());
    for bit in [0, 1, 1000, 1071, 1072, 1073] {
        assert_eq!(norm(NormOrder::One, unit(bit)), Err(InvalidPartial::SumBetween), "{bit}");
        assert!(norm(NormOrder::Two, unit(bit)).is_ok_and(|norm| norm > 0.0), "{bit}");
    }
    assert_eq!(norm(NormOrder::One, unit(1074)), Ok(f64::from_bits(1)));
    assert_eq!(norm(NormOrder::Two, vec![2]), Ok(f64::from_bits(1)), "the root of 2 is nearer to 1 than to 2");
    assert_eq!(norm(NormOrder::Two, [unit(2148), vec![0; 9]].concat()), Ok(1.0), "zeros at the end do not matter");
}

#[test]
fn all_faults_of_parts_are_told() {
    let parts =
        Parts { norm_type: 1.0, elements: 1, nan_elements: 2, infinite_elements: 0, largest: -1.0, sum: vec![1; 600] };
    let fields =
        |parts: &Parts, order| -> Vec<&str> { parts.faults(order).iter().map(InvalidPartial::field).collect() };
    assert_eq!(fields(&parts, None), ["elements", "largest", "sum"]);
    assert_eq!(fields(&parts, Some(NormOrder::Two)), ["norm_type", "elements", "largest", "sum"]);
    let unknown = Parts { norm_type: 3.0, largest: 1.0, ..parts };
    assert_eq!(fields(&unknown, Some(NormOrder::Two)), ["norm_type", "elements", "sum"]);
    assert_eq!(fields(&NormPartial::new(NormOrder::One).to_parts(), Some(NormOrder::One)), [""; 0]);
}

/// Received counts may have any value: they are refused if they could overflow, alone or together.
#[test]
fn counts_from_elsewhere_do_not_overflow() {
    for order in ORDERS {
        let nothing = NormPartial::new(order).to_parts();
        for elements in [NormPartial::MAX_ELEMENTS + 1, u64::MAX - 1, u64::MAX] {
            let parts = Parts { elements, nan_elements: elements, ..nothing.clone() };
            assert_eq!(NormPartial::from_parts(&parts), Err(InvalidPartial::TooManyElements));
        }
        let most = Parts { elements: NormPartial::MAX_ELEMENTS, nan_elements: 1, ..nothing };
        let mut merged = NormPartial::from_parts(&most).expect("valid");
        let before = merged.clone();
        assert_eq!(merged.merge(&measure(order, &[1.0])), Err(MergeError::TooManyElements));
        assert_eq!(merged.merge_parts(&most), Err(InvalidPartial::TooManyElements));
        assert_eq!(merged, before, "nothing was added");
    }
}

/// The largest sum that each count of elements can have is accepted, and the merged sum can be sent; a sum of one term
/// more is refused.
#[test]
fn sums_are_bounded_by_the_elements_they_are_of() {
    for (order, low) in [(NormOrder::One, 396), (NormOrder::Two, 524)] {
        let parts = |elements: u64, high: u64| {
            let mut sum = [&vec![0xFF; low][..], &(high << 4 | 0xF).to_le_bytes()].concat();
            if order == NormOrder::One {
                sum[..=1074 / 8].fill(0);
            }
            Parts { elements, sum, ..NormPartial::new(order).to_parts() }
        };
        for elements in [1, 2, 1000, (1 << 58) - 1, 1 << 58] {
            let most = NormPartial::from_parts(&parts(elements, elements - 1)).expect("elements may add up to this");
            let mut twice = most.clone();
            twice.merge(&most).expect("these are not too many");
            assert!(twice.norm() > most.norm() || most.norm() == f64::INFINITY);
            let sent = twice.to_parts();
            assert!(sent.sum.len() <= ExactSum::MAX_BYTES);
            assert_eq!(NormPartial::from_parts(&sent), Ok(twice), "{order:?} {elements}");
            let too_large = parts(elements, elements);
            assert_eq!(NormPartial::from_parts(&too_large), Err(InvalidPartial::SumTooLarge));
        }
        let none = Parts { elements: 3, nan_elements: 2, infinite_elements: 1, ..parts(0, 0) };
        assert_eq!(NormPartial::from_parts(&none), Err(InvalidPartial::SumTooLarge), "no element is finite");
        let all = Parts { sum: vec![0xFF; ExactSum::MAX_BYTES], ..parts(1, 0) };
        assert_eq!(NormPartial::from_parts(&all).map_err(|error| error.field()), Err("sum"));
    }
    let largest = Parts { largest: 1.0, ..NormPartial::new(NormOrder::Infinity).to_parts() };
    assert_eq!(NormPartial::from_parts(&largest), Err(InvalidPartial::Largest(1.0)), "of no elements");
}

proptest! {
    /// Parts of any content are refused, or give a partial that can be merged, read and sent.
    #[test]
    fn any_parts_are_refused_or_a_partial(
        order in prop::sample::select(ORDERS.to_vec()),
        many in prop::collection::vec(any_parts(), 1..5),
    ) {
        let mut total = NormPartial::new(order);
        for mut parts in many {
            parts.norm_type = order.norm_type();
            let alone = NormPartial::from_parts(&parts);
            let before = total.clone();
            let merged = total.merge_parts(&parts);
            prop_assert!(merged.is_err() || alone.is_ok());
            if merged.is_err() {
                prop_assert_eq!(&total, &before);
            }
            if let Ok(alone) = alone {
                let mut whole = before;
                prop_assert_eq!(whole.merge(&alone).is_ok(), merged.is_ok());
                prop_assert_eq!(&whole, &total);
            }
            prop_assert!(total.norm().is_nan() || total.norm() >= 0.0);
            let sent = NormPartial::from_parts(&total.to_parts());
            prop_assert_eq!(sent.as_ref(), Ok(&total));
        }
    }
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let count = || prop_oneof![0u64..5, Just(1 << 58), Just(1 << 59), any::<u64>()];
    let sum = prop_oneof![prop::collection::vec(any::<u8>(), 0..600), (0usize..540).prop_map(|len| vec![0xFF; len]),];
    let largest = prop_oneof![3 => Just(0.0), 1 => any::<f64>()];
    (count(), prop_oneof![3 => Just(0), 1 => count()], prop_oneof![3 => Just(0), 1 => count()], largest, sum).prop_map(
        |(elements, nan_elements, infinite_elements, largest, sum)| Parts {
            norm_type: 2.0,
            elements,
            nan_elements,
            infinite_elements,
            largest,
            sum,
        },
    )
}
