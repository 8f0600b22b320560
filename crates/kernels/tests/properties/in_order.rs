//! Dropout of tensors whose elements come in order, in parts of any length: the bytes of the whole.

use evenkeel_kernels::{
    DType, Dropout, DropoutInOrder, DropoutKind, DropoutScaling, MaskWriter, Tensor, Uninterrupted, dropout,
    dropout_backward,
};
use proptest::prelude::*;

use super::case::{dtypes, tensor};

fn kinds() -> impl Strategy<Value = DropoutKind> {
    prop::sample::select(vec![
        DropoutKind::Element,
        DropoutKind::Channel,
        DropoutKind::Alpha,
        DropoutKind::FeatureAlpha,
    ])
}

/// Samples, channels and runs that are few, many or none; some longer than a chunk.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        6 => prop::collection::vec(1usize..12, 2..5),
        1 => prop::collection::vec(0usize..3, 2..5),
        1 => (1usize..4, 1usize..200, 1usize..200).prop_map(|(n, l, c)| vec![n, l, c]),
        1 => (1usize..3, 1usize..4, 1usize..4, 3000usize..9000).prop_map(|(n, a, b, l)| vec![n, a, b, l]),
        1 => (1usize..3, 2usize..4, 9000usize..20_000).prop_map(|(n, l, c)| vec![n, l, c]),
    ]
}

/// Applies it part by part: each part has so many units as the next of `parts`. Returns the output, the mask and how many were kept.
fn in_order(operation: &DropoutInOrder, input: &Tensor, parts: &[usize]) -> (Vec<u8>, Vec<u8>, u64) {
    let (mut from, mut mask, mut bits) = (0, MaskWriter::default(), Vec::new());
    let mut output = vec![0; input.data().len()];
    for units in parts.iter().cycle() {
        if from == output.len() {
            break;
        }
        let end = output.len().min(from + units * operation.unit_len());
        let part = operation.drop_elements(from, &input.data()[from..end], &mut output[from..end], &Uninterrupted);
        mask.add(part.expect("nobody stops it"));
        bits.extend(mask.take());
        from = end;
    }
    mask.add(operation.draws_without_elements(&Uninterrupted).expect("nobody stops it"));
    let kept = operation.kept(&mask);
    bits.extend(mask.finish());
    (output, bits, kept)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn parts_have_the_bytes_of_the_whole(
        shape in shapes(), dtype in dtypes(), kind in kinds(), axis in 1i32..4, offset in 0u64..40,
        p in prop::sample::select(vec![0.0, 0.3, 1.0]),
        parts in prop::collection::vec(prop_oneof![1usize..9, 900usize..3000], 1..6),
    ) {
        let by_channel = matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha);
        let channel_axis = by_channel.then(|| axis.min(shape.len() as i32 - 1));
        let spec = Dropout { p, seed: 42, offset, kind, scaling: DropoutScaling::Inverted, channel_axis };
        let len = shape.iter().product();
        let elements: Vec<f64> = (0..len).map(|i: usize| (i % 97) as f64 - 48.0).collect();
        let input = tensor(dtype, &shape, &elements);

        let whole = dropout(&spec, input.view(), true, &Uninterrupted).expect("valid");
        let forward = DropoutInOrder::forward(&spec, dtype, &shape).expect("valid");
        let (output, mask, kept) = in_order(&forward, &input, &parts);
        prop_assert!(output == whole.output.data());
        prop_assert_eq!((mask, kept), (whole.mask.expect("it was asked for"), whole.kept));

        let whole = dropout_backward(&spec, input.view(), &Uninterrupted).expect("valid");
        let backward = DropoutInOrder::backward(&spec, dtype, &shape).expect("valid");
        prop_assert!(in_order(&backward, &input, &parts).0 == whole.data());
    }
}

/// Of a tensor of 2^40 elements a part is as cheap as of any, whichever axis has the channels.
#[test]
fn a_part_takes_no_more_than_itself() {
    for (shape, axis) in [([1 << 20, 1 << 10, 1 << 10], 1), ([4, 2, 1 << 37], 2), ([1 << 37, 4, 2], 2)] {
        let kind = DropoutKind::Channel;
        let spec =
            Dropout { p: 0.5, seed: 1, offset: 0, kind, scaling: DropoutScaling::None, channel_axis: Some(axis) };
        let operation = DropoutInOrder::forward(&spec, DType::F32, &shape).expect("valid");
        let len = 4 << 10;
        let (input, mut output) = (vec![0xFF; len], vec![0; len]);
        for from in [0, operation.total_len() / 2 - len / 2, operation.total_len() - len] {
            let mask = operation.drop_elements(from, &input, &mut output, &Uninterrupted).expect("nobody stops it");
            let mut counted = MaskWriter::default();
            counted.add(mask);
            assert!(counted.finish().len() <= len / 4 / 8, "no more draws than elements");
        }
    }
}
