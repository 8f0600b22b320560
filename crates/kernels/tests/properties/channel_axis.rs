//! Dropping channels that are not on axis 1.

use evenkeel_kernels::{DType, Dropout, DropoutKind, DropoutScaling, Dropped, Error, Tensor};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

use super::{
    case::{dtypes, only, tensor, values},
    in_place::{dropout_backward_both, dropout_both},
};

fn spec(kind: DropoutKind, channel_axis: Option<i32>) -> Dropout {
    Dropout { p: 0.4, seed: 42, offset: 7, kind, scaling: DropoutScaling::Inverted, channel_axis }
}

/// The same elements with axis `from` where axis `to` was, and the axes between them moved on.
fn moved(input: &Tensor, from: usize, to: usize) -> Tensor {
    let mut axes: Vec<usize> = (0..input.shape().len()).collect();
    let axis = axes.remove(from);
    axes.insert(to, axis);
    let array: ArrayD<f64> = values(input).permuted_axes(IxDyn(&axes));
    let elements: Vec<f64> = array.iter().copied().collect();
    tensor(input.dtype(), array.shape(), &elements)
}

/// Shapes whose dimensions behind the channels are many, few or none; some longer than a chunk.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        8 => prop::collection::vec(1usize..12, 2..5),
        1 => (1usize..4, 1usize..200, 1usize..200).prop_map(|(n, l, c)| vec![n, l, c]),
        1 => (1usize..3, 1usize..4, 1usize..4, 3000usize..9000).prop_map(|(n, a, b, l)| vec![n, a, b, l]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Sample n and channel c have the same draw as with the channels on axis 1.
    #[test]
    fn the_draws_are_those_of_axis_1(
        shape in shapes(), dtype in dtypes(), axis in 1usize..4, from_end: bool,
        kind in prop::sample::select(vec![DropoutKind::Channel, DropoutKind::FeatureAlpha]),
        scaling in prop::sample::select(vec![DropoutScaling::Inverted, DropoutScaling::None]),
    ) {
        let scaling = if kind == DropoutKind::FeatureAlpha { DropoutScaling::Inverted } else { scaling };
        let rank = shape.len();
        let axis = axis.min(rank - 1);
        let len = shape.iter().product();
        let elements: Vec<f64> = (0..len).map(|i: usize| (i % 97) as f64 - 48.0).collect();
        let input = tensor(dtype, &shape, &elements);
        let channel_axis = Some(axis as i32 - if from_end { rank as i32 } else { 0 });
        let there = Dropout { scaling, ..spec(kind, channel_axis) };
        let on_axis_1 = Dropout { scaling, ..spec(kind, None) };

        let Dropped { kept, mask, output } = dropout_both(&there, input.view()).expect("valid");
        let expected = dropout_both(&on_axis_1, moved(&input, axis, 1).view()).expect("valid");
        prop_assert_eq!(kept, expected.kept);
        prop_assert_eq!(mask, expected.mask);
        prop_assert_eq!(moved(&output, axis, 1), expected.output);

        let gradient = dropout_backward_both(&there, input.view()).expect("valid");
        let expected = dropout_backward_both(&on_axis_1, moved(&input, axis, 1).view()).expect("valid");
        prop_assert_eq!(moved(&gradient, axis, 1), expected);
    }
}

#[test]
fn nothing_drops_to_nothing_on_any_axis() {
    for shape in [[2, 0, 3], [0, 2, 3], [2, 3, 0]] {
        for axis in [1, 2, -1, -2] {
            let input = tensor(DType::F32, &shape, &[]);
            let got = dropout_both(&spec(DropoutKind::Channel, Some(axis)), input.view()).expect("empty is fine");
            assert_eq!((got.kept, &got.output), (0, &input), "{shape:?} {axis}");
        }
    }
}

#[test]
fn axes_that_are_not_there_are_named() {
    let input = tensor(DType::F32, &[2, 3, 4], &[1.0; 24]);
    let field = |kind, axis| match dropout_both(&spec(kind, Some(axis)), input.view()) {
        Err(Error::Invalid(violations)) => only(&violations),
        other => panic!("expected an invalid argument, got {other:?}"),
    };
    for axis in [0, -3, 3, -4, i32::MIN, i32::MAX] {
        assert_eq!(field(DropoutKind::Channel, axis), "channel_axis", "{axis}");
        assert_eq!(field(DropoutKind::FeatureAlpha, axis), "channel_axis", "{axis}");
    }
    assert_eq!(field(DropoutKind::Element, 1), "channel_axis");
    assert_eq!(field(DropoutKind::Alpha, 1), "channel_axis");
}
