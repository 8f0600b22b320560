//! Sets beside an eps that is so large that all their `xh` are tiny.

use std::ops::RangeInclusive;

use evenkeel_kernels::{DType, NormKind, Normalization};
use proptest::prelude::*;

use super::{
    case::{Case, tensor},
    extremes::Given,
    merged,
    normalize::check,
};

/// Numbers of these decades, of either sign, and zeros.
fn numbers(len: usize, decades: RangeInclusive<i32>) -> impl Strategy<Value = Vec<f64>> {
    let (least, most) = (*decades.start(), *decades.end());
    let number = prop_oneof![
        8 => (1.0f64..10.0, 0i32..3, any::<bool>()).prop_map(|(digits, decade, is_negative)| {
            (if is_negative { -digits } else { digits }, decade)
        }),
        1 => Just((0.0, 0)),
    ];
    (prop::collection::vec(number, len), decades, any::<bool>(), prop::collection::vec(least..=most, len)).prop_map(
        |(numbers, decade, is_wide, decades)| {
            let of = |((digits, above), own): ((f64, i32), i32)| {
                format!("{digits}e{}", if is_wide { own } else { decade + above }).parse::<f64>().expect("a number")
            };
            numbers.into_iter().zip(decades).map(of).collect()
        },
    )
}

/// Two sets of a kind or more, with gradients and weights as large and as small as is promised, and the axis by which
/// parts of it may be cut.
fn cases() -> impl Strategy<Value = (Case, usize)> {
    let layouts = vec![
        (NormKind::Layer, vec![3, 4], 4, 1),
        (NormKind::Rms, vec![3, 4], 4, 1),
        (NormKind::L2, vec![3, 4], 0, 1),
        (NormKind::Batch, vec![4, 3], 3, 0),
        (NormKind::Batch, vec![2, 3, 2], 3, 0),
        (NormKind::Instance, vec![2, 2, 3], 2, 2),
        (NormKind::Group, vec![2, 4, 3], 4, 2),
    ];
    let layout = prop::sample::select(layouts);
    let is_double = prop::bool::weighted(0.8);
    (layout, is_double, -330i32..=-20).prop_flat_map(|((kind, shape, weights, axis), is_double, least)| {
        let len = shape.iter().product();
        let of = |decades: RangeInclusive<i32>| numbers(len, decades);
        // All elements tiny, or some of them.
        let input = prop_oneof![2 => of(-330..=-280), 1 => of(least..=-20)];
        let gradients = if is_double { -129..=146 } else { -43..=35 };
        let gradients = prop_oneof![of(gradients), of(-2..=2), of(-2..=2).prop_map(|list| vec![list[0]; list.len()])];
        let eps = (1.0f64..10.0, prop_oneof![2 => 150i32..=307, 1 => -10i32..=307]);
        let weight = prop::option::of(prop::collection::vec(0.1f64..9.0, weights));
        (input, gradients, eps, weight, any::<[bool; 2]>()).prop_map(
            move |(input, gradients, (digits, decade), weight, [running, trained])| {
                let dtype = if is_double { DType::F64 } else { DType::F32 };
                let running = running && kind.has_running_statistics();
                let (channels, groups) = (shape[1], if kind == NormKind::Group { 2 } else { 0 });
                let given = |x: f64| tensor(DType::F64, &[channels], &vec![x; channels]);
                let spec = Normalization {
                    eps: Some(digits * 10f64.powi(decade)),
                    momentum: Some(0.1),
                    groups,
                    training: running.then_some(trained),
                    ..Normalization::new(kind)
                };
                let case = Case {
                    spec,
                    input: tensor(dtype, &shape, &input),
                    grad_output: tensor(dtype, &shape, &gradients),
                    weight: weight.filter(|_| weights > 0).map(|list| tensor(DType::F64, &[weights], &list)),
                    bias: None,
                    running: running.then(|| (given(0.0), given(1e-300))),
                };
                (case, axis)
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn tiny_sets_beside_a_large_eps((case, axis) in cases()) {
        check(&case)?;
        if case.spec.training != Some(false) {
            let len = case.input.shape()[axis];
            merged::check(&case, axis, &[0, 1, len])?;
        }
    }
}

/// The gradients of scaled elements are below float64 until they are scaled back.
#[test]
fn gradients_of_subnormal_sets() {
    for (eps, size) in
        [(1e300, 1e-100), (1e300, 1e-107), (1e300, 1e-120), (1e290, 1e-107), (1e280, 1e-120), (1e250, 1e-129)]
    {
        for unit in [1e-310, 1e-200, 5e-324] {
            let (row, gradients) = ([1.0, 2.0, -3.0].map(|x| x * unit), [1.3, -0.7, 0.2].map(|g| g * size));
            for kind in [NormKind::Layer, NormKind::Rms, NormKind::L2] {
                Given { input: &row, grad_output: &gradients, eps, ..Given::of(kind, &[1, 3]) }.is_right();
            }
            for (kind, shape) in [(NormKind::Batch, &[3, 1][..]), (NormKind::Instance, &[1, 1, 3])] {
                Given { input: &row, grad_output: &gradients, eps, ..Given::of(kind, shape) }.is_right();
            }
        }
    }
}

/// Each `xh` is far below float64, and `grad_output` makes a number of it.
#[test]
fn gradients_of_weights_of_subnormal_elements() {
    let running = Some((&[0.0, 0.0, 0.0][..], &[1e300, 1e290, 1e280][..]));
    for (row, eps) in
        [([3.5e-310, 1e-310, -2e-308], 1e300), ([1.0, 3.5e-310, -2e-308], 1e300), ([1.0, 3.5e-310, -2e-308], 1e280)]
    {
        let gradients = [1e140, 1e149, 3e148];
        for kind in [NormKind::Layer, NormKind::Rms] {
            let given = Given { input: &row, grad_output: &gradients, eps, ..Given::of(kind, &[1, 3]) };
            Given { weight: Some(&[1.0; 3]), ..given }.is_right();
        }
        let given = Given { input: &row, grad_output: &gradients, eps, ..Given::of(NormKind::Batch, &[1, 3]) };
        Given { weight: Some(&[1.0; 3]), running, training: Some(false), ..given }.is_right();
    }
}
