//! Dropout and its gradient.

use evenkeel_kernels::{
    DType, Dropout, DropoutByParts, DropoutKind, DropoutScaling, Error, Tensor, Uninterrupted, dropout,
    dropout_backward, philox,
};
use proptest::prelude::*;

use super::{
    big::Big,
    case::{dtypes, numbers, only, tensor, wide_numbers},
    in_place::{dropout_backward_both, dropout_both},
    ulp::{Exact, Limit, rounded, ulp, within},
};

const KINDS: [DropoutKind; 4] =
    [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];

fn spec(p: f64, seed: u64, offset: u64, kind: DropoutKind) -> Dropout {
    Dropout { p, seed, offset, kind, scaling: DropoutScaling::Inverted, channel_axis: None }
}

fn forward(spec: &Dropout, input: &Tensor) -> Tensor {
    dropout_both(spec, input.view()).expect("valid").output
}

/// Shapes of rank 2 and up, some longer than a chunk, with draws that straddle chunks.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        9 => prop::collection::vec(1usize..9, 2..5),
        1 => (1usize..3, 1usize..3, 5000usize..9000).prop_map(|(n, c, l)| vec![n, c, l]),
    ]
}

/// An input and a gradient of one shape and dtype, of any scale.
fn pairs() -> impl Strategy<Value = (Tensor, Tensor)> {
    (shapes(), dtypes(), any::<bool>()).prop_flat_map(|(shape, dtype, wide)| {
        let len = shape.iter().product();
        let tensors = move || {
            let numbers = if wide { wide_numbers(dtype, len).boxed() } else { numbers(len).boxed() };
            let shape = shape.clone();
            numbers.prop_map(move |values| tensor(dtype, &shape, &values))
        };
        (tensors(), tensors())
    })
}

/// Offsets, also some near the end of the stream.
fn offsets() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..1000, any::<u64>().prop_map(|offset| offset.min(u64::MAX - 100_000)), Just(u64::MAX - 100_000)]
}

fn is_alpha(kind: DropoutKind) -> bool {
    matches!(kind, DropoutKind::Alpha | DropoutKind::FeatureAlpha)
}

fn by_channel(kind: DropoutKind) -> bool {
    matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha)
}

/// Alpha dropout's constant: SELU's lambda times alpha.
const SATURATION: f64 = 1.7580993408473766;

/// The exact constants: a kept element becomes `scale * (x + shift)`, a dropped one `fill`.
struct Constants {
    scale: Big,
    shift: Big,
    fill: Big,
}

impl Constants {
    fn of(p: f64, kind: DropoutKind, scaling: DropoutScaling) -> Self {
        let (one, p) = (Big::from(1), Big::from(p));
        let rest = &one - &p;
        if rest == Big::zero() || scaling == DropoutScaling::None {
            return Self { scale: one, shift: Big::zero(), fill: Big::zero() };
        }
        if !is_alpha(kind) {
            return Self { scale: &one / &rest, shift: Big::zero(), fill: Big::zero() };
        }
        let saturation = Big::from(SATURATION);
        let scale = &one / &(&(&(&saturation.square() * &p) + &one) * &rest).sqrt();
        let shift = &saturation * &p;
        let fill = -&(&(&scale * &saturation) * &rest);
        Self { scale, shift, fill }
    }

    fn kept(&self, x: f64, shift: &Big) -> Exact {
        (&self.scale * &(&Big::from(x) + shift)).into()
    }
}

/// The limit of a dtype, and a quarter of an ulp more, which alpha dropout may be off next to its zero.
fn limit(dtype: DType) -> Limit {
    let Limit { ulps, cancelled } = Limit::of(dtype);
    Limit { ulps: if dtype == DType::F64 { ulps } else { ulps + 0.25 }, cancelled }
}

/// The tensor with every fourth element replaced by one next to the number that alpha dropout makes 0.
fn beside_the_zero(tensor_before: &Tensor, p: f64) -> Tensor {
    let dtype = tensor_before.dtype();
    let zero = rounded(dtype, -SATURATION * p);
    let mut values = tensor_before.view().to_f64();
    for (index, value) in values.iter_mut().enumerate().filter(|(index, _)| index % 4 == 0) {
        *value = zero + [0.0, 1.0, -1.0, 2.0, -3.0][index / 4 % 5] * ulp(dtype, zero);
    }
    tensor(dtype, tensor_before.shape(), &values)
}

fn probabilities() -> impl Strategy<Value = f64> {
    let corners =
        vec![0.0, 1.0, 0.7, 1e-10, f64::from_bits(1), 1e-300, 0.99, 1.0 - 2f64.powi(-32), 1.0 - 2f64.powi(-33)];
    prop_oneof![1 => prop::sample::select(corners), 1 => 0.0..1.0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_is_its_definition(
        (input, grad) in pairs(), p in probabilities(), seed: u64, offset in 0u64..1 << 40,
        kind in prop::sample::select(KINDS.to_vec()), plain: bool, near_zero: bool,
    ) {
        let alpha = is_alpha(kind);
        let input = if near_zero { beside_the_zero(&input, p) } else { input };
        let scaling = if plain && !alpha { DropoutScaling::None } else { DropoutScaling::Inverted };
        let spec = Dropout { scaling, ..spec(p, seed, offset, kind) };
        let shape = input.shape();
        let run: usize = if by_channel(kind) { shape[2..].iter().product() } else { 1 };
        let mut words = vec![0; input.view().len() / run];
        philox::fill(seed, offset, &mut words);
        let kept: Vec<bool> = (0..input.view().len()).map(|i| f64::from(words[i / run]) >= (p * 4294967296.0).ceil()).collect();

        let got = dropout_both(&spec, input.view()).expect("valid");
        let back = dropout_backward_both(&spec, grad.view()).expect("valid");
        let constants = Constants::of(p, kind, scaling);
        let expected = |tensor: &Tensor, shift: &Big, fill: &Big| -> Vec<Exact> {
            let result = |(x, &kept): (f64, &bool)| if kept { constants.kept(x, shift) } else { fill.clone().into() };
            tensor.view().to_f64().into_iter().zip(&kept).map(result).collect()
        };
        let limit = limit(input.dtype());
        within(limit, "output", &got.output, &expected(&input, &constants.shift, &constants.fill))?;
        let zero = Big::zero();
        within(limit, "grad_input", &back, &expected(&grad, &zero, &zero))?;
        for (element, kept) in back.data().chunks(input.dtype().size()).zip(&kept) {
            prop_assert!(*kept || element.iter().all(|&byte| byte == 0), "dropped gradients are +0.0");
        }
        let mask = got.mask.expect("asked for");
        prop_assert_eq!(mask.len(), words.len().div_ceil(8));
        for draw in 0..mask.len() * 8 {
            let expected = draw < words.len() && kept[draw * run];
            prop_assert_eq!(mask[draw / 8] >> (draw % 8) & 1 == 1, expected, "draw {}", draw);
        }
        prop_assert_eq!(got.kept, kept.iter().filter(|&&kept| kept).count() as u64);
    }

    /// Parts may come in any order; together they give the count of kept elements and the mask.
    #[test]
    fn parts_make_the_whole(
        (input, _) in pairs(), order in any::<prop::sample::Index>(), p in probabilities(), seed: u64,
        offset in offsets(), kind in prop::sample::select(KINDS.to_vec()), return_mask: bool,
    ) {
        let spec = spec(p, seed, offset, kind);
        let parts = DropoutByParts::new(&spec, input.dtype(), input.shape(), &Uninterrupted).expect("valid");
        prop_assert_eq!(parts.total_len(), input.data().len());
        let mut output = vec![0xAA; parts.total_len()];
        let pieces = input.data().chunks(parts.part_len()).zip(output.chunks_mut(parts.part_len()));
        let mut pieces: Vec<_> = pieces.enumerate().collect();
        let by = order.index(pieces.len());
        pieces.rotate_left(by);
        let mut masks: Vec<_> = pieces
            .into_iter()
            .map(|(index, (input, output))| (index, parts.drop_elements(index, input, output, &Uninterrupted).expect("valid")))
            .collect();
        masks.sort_by_key(|&(index, _)| index);
        let got = parts.finish(return_mask, masks.into_iter().map(|(_, mask)| mask).collect(), output);
        prop_assert_eq!(got, dropout(&spec, input.view(), return_mask, &Uninterrupted).expect("valid"));
    }

    /// A tensor processed in slices, each with its offset, joins to the same bytes, whatever the kind; so do its gradients,
    /// and so do masks that are cut at whole bytes.
    #[test]
    fn slices_join(
        (input, grad) in pairs(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        p in probabilities(), seed: u64, offset in offsets(), kind in prop::sample::select(KINDS.to_vec()),
    ) {
        let (shape, size) = (input.shape(), input.dtype().size());
        // Elements are cut anywhere, channels between samples.
        let (rows, draws) = if by_channel(kind) { (shape[0], shape[1]) } else { (input.view().len(), 1) };
        let row = input.data().len() / rows;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).chain([0, rows]).collect();
        cuts.sort_unstable();
        let (mut outputs, mut grads, mut kept) = (Vec::new(), Vec::new(), 0);
        for cut in cuts.windows(2) {
            let spec = spec(p, seed, offset + (cut[0] * draws) as u64, kind);
            let mut shape = shape.to_vec();
            if by_channel(kind) {
                shape[0] = cut[1] - cut[0];
            } else {
                shape = vec![cut[1] - cut[0]];
            }
            let slice = |whole: &Tensor| {
                Tensor::from_bytes(whole.dtype(), shape.clone(), whole.data()[cut[0] * row..cut[1] * row].to_vec())
                    .expect("whole rows")
            };
            let got = dropout(&spec, slice(&input).view(), false, &Uninterrupted).expect("valid");
            kept += got.kept;
            outputs.extend_from_slice(got.output.data());
            grads.extend_from_slice(dropout_backward(&spec, slice(&grad).view(), &Uninterrupted).expect("valid").data());
        }
        prop_assert_eq!(row % size, 0);
        let whole = spec(p, seed, offset, kind);
        let expected = dropout(&whole, input.view(), false, &Uninterrupted).expect("valid");
        prop_assert_eq!(kept, expected.kept);
        prop_assert!(outputs == expected.output.data());
        prop_assert!(grads == dropout_backward(&whole, grad.view(), &Uninterrupted).expect("valid").data());
    }

    /// The gradients of dropped elements are +0.0, whatever they were; those of kept elements are multiplied, also if
    /// they are not finite.
    #[test]
    fn backward_zeroes_exactly_what_was_dropped(
        p in 0.01..0.99f64, seed: u64, offset in offsets(), dtype in dtypes(), kind in prop::sample::select(KINDS.to_vec()),
        bad in prop::collection::vec(prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0]), 48),
    ) {
        let spec = spec(p, seed, offset, kind);
        let grad = tensor(dtype, &[4, 3, 4], &bad);
        let mask = dropout(&spec, grad.view(), true, &Uninterrupted).expect("valid").mask.expect("asked for");
        let back = dropout_backward(&spec, grad.view(), &Uninterrupted).expect("valid").view().to_f64();
        let run = if by_channel(kind) { 4 } else { 1 };
        for (i, (got, bad)) in back.into_iter().zip(bad).enumerate() {
            let kept = mask[i / run / 8] >> (i / run % 8) & 1 == 1;
            if !kept {
                prop_assert_eq!(got.to_bits(), 0, "element {}", i);
            } else if bad.is_finite() {
                prop_assert!(got < 0.0 && got.is_finite(), "element {}: {}", i, got);
            } else {
                prop_assert!(got == bad || got.is_nan() && bad.is_nan(), "element {}: {} from {}", i, got, bad);
            }
        }
    }

}

/// A kept element has all its digits even if its two terms cancel, and so has the constant of dropped elements.
#[test]
fn alpha_is_right_where_its_terms_cancel() {
    for dtype in DType::ALL {
        for p in [0.2, 0.5, 0.5687960724210359, 0.99, 1.0 - 2f64.powi(-32), 1e-3, 1e-12] {
            let constants = Constants::of(p, DropoutKind::Alpha, DropoutScaling::Inverted);
            let input = beside_the_zero(&tensor(dtype, &[4000], &[-1.0; 4000]), p);
            let spec = spec(p, 7, 0, DropoutKind::Alpha);
            let got = dropout_both(&spec, input.view()).expect("valid");
            let mask = got.mask.expect("asked for");
            let exact: Vec<Exact> = (input.view().to_f64().into_iter().enumerate())
                .map(|(i, x)| {
                    let is_kept = mask[i / 8] >> (i % 8) & 1 == 1;
                    if is_kept { constants.kept(x, &constants.shift) } else { constants.fill.clone().into() }
                })
                .collect();
            within(limit(dtype), "output", &got.output, &exact).unwrap_or_else(|error| panic!("p = {p}: {error}"));
        }
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
fn a_probability_of_negative_zero_is_zero() {
    let input = tensor(DType::F32, &[2, 3], &[-0.0, 0.0, 1.0, -1.0, f64::NAN, f64::INFINITY]);
    for kind in KINDS {
        let of = |p| {
            let spec = spec(p, 3, 0, kind);
            (dropout_both(&spec, input.view()), dropout_backward_both(&spec, input.view()))
        };
        assert_eq!(of(-0.0), of(0.0), "{kind:?}");
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
    let field = |spec: Dropout| match dropout_both(&spec, input.view()) {
        Err(Error::Invalid(violations)) => only(&violations),
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
        let got = dropout_both(&spec(0.5, 0, u64::MAX, kind), input.view()).expect("empty is fine");
        assert_eq!((got.kept, got.mask, &got.output), (0, Some(vec![]), &input));
        let shared = tensor(DType::F64, &[2, 3, 0], &[]);
        assert_eq!(forward(&spec(0.5, 0, 0, kind), &shared), shared);
    }
}
