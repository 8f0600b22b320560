//! Dropout and its gradient.

use evenkeel_kernels::{
    DType, Dropout, DropoutKind, DropoutScaling, Error, Tensor, Uninterrupted, dropout, dropout_backward, philox,
};
use proptest::prelude::*;

use super::case::{dtypes, numbers, tensor};

const KINDS: [DropoutKind; 4] =
    [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];

fn spec(p: f64, seed: u64, offset: u64, kind: DropoutKind) -> Dropout {
    Dropout { p, seed, offset, kind, scaling: DropoutScaling::Inverted }
}

fn forward(spec: &Dropout, input: &Tensor) -> Tensor {
    dropout(spec, input.view(), true, &Uninterrupted).expect("valid").output
}

/// Shapes of rank 2 and up, some longer than a chunk, with draws that straddle chunks.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1usize..9, 2..5),
        (1usize..4, 1usize..4, 5000usize..9000).prop_map(|(n, c, l)| vec![n, c, l]),
    ]
}

fn probabilities() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), Just(0.7), Just(1e-10), 0.0..1.0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_is_its_definition(
        (input, grad, dtype, shape) in shapes().prop_flat_map(|shape| {
            let len = shape.iter().product();
            (numbers(len), numbers(len), dtypes(), Just(shape))
        }),
        p in probabilities(), seed: u64, offset in 0u64..1 << 40, kind in prop::sample::select(KINDS.to_vec()), plain: bool,
    ) {
        let alpha = matches!(kind, DropoutKind::Alpha | DropoutKind::FeatureAlpha);
        let mut spec = spec(p, seed, offset, kind);
        if plain && !alpha {
            spec.scaling = DropoutScaling::None;
        }
        let by_channel = matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha);
        let run: usize = if by_channel { shape[2..].iter().product() } else { 1 };
        let mut words = vec![0; input.len() / run];
        philox::fill(seed, offset, &mut words);
        let keep = |i: usize| f64::from(words[i / run]) >= (p * 4294967296.0).ceil();

        let saturation = 1.7580993408473766_f64;
        let a = 1.0 / ((saturation * saturation * p + 1.0) * (1.0 - p)).sqrt();
        let (scale, shift, fill) = if p == 1.0 {
            (1.0, 0.0, 0.0)
        } else if alpha {
            (a, a * saturation * p, -a * saturation + a * saturation * p)
        } else if plain {
            (1.0, 0.0, 0.0)
        } else {
            (1.0 / (1.0 - p), 0.0, 0.0)
        };
        let (x, dy) = (tensor(dtype, &shape, &input), tensor(dtype, &shape, &grad));
        let got = dropout(&spec, x.view(), true, &Uninterrupted).expect("valid");
        let back = dropout_backward(&spec, dy.view(), &Uninterrupted).expect("valid");
        let (outputs, xs) = (got.output.view().to_f64(), x.view().to_f64());
        let (grads, dys) = (back.view().to_f64(), dy.view().to_f64());
        let round = |x: f64| tensor(dtype, &[], &[x]).view().to_f64()[0];
        for i in 0..input.len() {
            if keep(i) {
                // The sums of float64 may be associated otherwise here; one float64 rounding is allowed for.
                let close = |got: f64, exact: f64| got == round(exact) || got == round(exact.next_up()) || got == round(exact.next_down());
                prop_assert!(close(outputs[i], scale * xs[i] + shift), "{i}: {} from {}", outputs[i], xs[i]);
                prop_assert!(close(grads[i], scale * dys[i]), "{i}: {} from {}", grads[i], dys[i]);
            } else {
                prop_assert!((outputs[i] - fill).abs() <= (fill.abs() * 0.004).max(1e-12), "{i}: {}", outputs[i]);
                prop_assert_eq!(grads[i].to_bits(), 0, "dropped gradients are +0.0");
            }
        }
        let mask = got.mask.expect("asked for");
        prop_assert_eq!(mask.len(), words.len().div_ceil(8));
        for draw in 0..mask.len() * 8 {
            let expected = draw < words.len() && keep(draw * run);
            prop_assert_eq!(mask[draw / 8] >> (draw % 8) & 1 == 1, expected, "draw {}", draw);
        }
        prop_assert_eq!(got.kept, (0..input.len()).filter(|&i| keep(i)).count() as u64);
    }

    /// A tensor processed in slices, each with its offset, joins to the same bytes.
    #[test]
    fn slices_join(values in numbers(40_000), cut in 0usize..40_000, seed: u64, offset in 0u64..1000) {
        let whole = tensor(DType::Bf16, &[values.len()], &values);
        let slice = |part: &[f64], offset| forward(&spec(0.3, seed, offset, DropoutKind::Element), &tensor(DType::Bf16, &[part.len()], part));
        let joined = [slice(&values[..cut], offset), slice(&values[cut..], offset + cut as u64)];
        let expected = forward(&spec(0.3, seed, offset, DropoutKind::Element), &whole);
        prop_assert_eq!(expected.data(), [joined[0].data(), joined[1].data()].concat());
    }
}

#[test]
fn what_is_dropped_is_positive_zero_whatever_it_was() {
    let input = tensor(DType::F32, &[4000], &[[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]; 1000].concat());
    for scaling in [DropoutScaling::Inverted, DropoutScaling::None] {
        let spec = Dropout { scaling, ..spec(0.5, 1, 0, DropoutKind::Element) };
        let got = dropout(&spec, input.view(), true, &Uninterrupted).expect("valid");
        let mask = got.mask.expect("asked for");
        for (i, bytes) in got.output.data().chunks(4).enumerate() {
            let kept = mask[i / 8] >> (i % 8) & 1 == 1;
            assert_eq!(bytes == [0; 4], !kept, "{i}");
        }
    }
    for kind in KINDS {
        let input = tensor(DType::F32, &[2, 2], &[f64::NAN, f64::INFINITY, -1.0, -0.0]);
        assert_eq!(forward(&spec(1.0, 1, 0, kind), &input).data(), [0; 16], "{kind:?}");
    }
}

#[test]
fn unscaled_keeps_the_bits() {
    let mut signalling = f32::NAN.to_bits();
    signalling ^= 1 << 22 | 1;
    let input = Tensor::from_bytes(DType::F32, vec![1], signalling.to_le_bytes().to_vec()).expect("one element");
    let spec = Dropout { scaling: DropoutScaling::None, ..spec(0.0, 0, 0, DropoutKind::Element) };
    assert_eq!(forward(&spec, &input), input);
}

#[test]
fn what_does_not_fit_is_named() {
    let input = tensor(DType::F32, &[8], &[1.0; 8]);
    let field = |spec: Dropout| match dropout(&spec, input.view(), false, &Uninterrupted) {
        Err(Error::Invalid { field, .. }) => field.into_owned(),
        other => panic!("expected an invalid argument, got {other:?}"),
    };
    for p in [-0.1, 1.1, f64::NAN] {
        assert_eq!(field(spec(p, 0, 0, DropoutKind::Element)), "p");
    }
    assert_eq!(field(spec(0.5, 0, u64::MAX - 6, DropoutKind::Element)), "offset");
    assert_eq!(field(spec(0.5, 0, 0, DropoutKind::Channel)), "input.shape");
    let plain = Dropout { scaling: DropoutScaling::None, ..spec(0.5, 0, 0, DropoutKind::Alpha) };
    assert_eq!(field(plain), "scaling");
    assert!(dropout(&spec(0.5, 0, u64::MAX - 7, DropoutKind::Element), input.view(), false, &Uninterrupted).is_ok());
}

#[test]
fn nothing_drops_to_nothing() {
    for kind in KINDS {
        let input = tensor(DType::F64, &[0, 3, 2], &[]);
        let got = dropout(&spec(0.5, 0, u64::MAX, kind), input.view(), true, &Uninterrupted).expect("empty is fine");
        assert_eq!((got.kept, got.mask, &got.output), (0, Some(vec![]), &input));
        let shared = tensor(DType::F64, &[2, 3, 0], &[]);
        assert_eq!(forward(&spec(0.5, 0, 0, kind), &shared), shared);
    }
}
