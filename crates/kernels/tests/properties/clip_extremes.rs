//! ClipGradients with norms, thresholds, options and orders at the ends of their ranges.

use evenkeel_kernels::{ClipMode, Clipped, Clipping, DType, Error, Tensor, TensorRef};
use proptest::prelude::*;

use super::{
    big::Big,
    case::tensor,
    clip::{clip, clipped, clipping, exact_norm, exact_orders, most_after_clipping, wide_lists},
    in_place::clip_both,
    ulp::{Exact, Limit, ulp, within},
};

/// Whether the exact norm of order 1, 2 or infinity is above a number. It compares squares, since a root would be
/// rounded.
fn exceeds(gradients: &[Tensor], p: f64, bound: f64) -> bool {
    let bound = Big::from(bound);
    if p != 2.0 {
        return exact_norm(gradients, p) > bound;
    }
    let elements = gradients.iter().flat_map(|gradient| gradient.view().to_f64());
    Big::sum(elements.map(|x| Big::from(x).square())) > bound.square()
}

/// A finite float64 of any size, the smallest and the largest more often than others.
fn any_size() -> impl Strategy<Value = f64> {
    let number =
        (-1.0..1.0f64, -1074i32..1024).prop_map(|(x, power)| x * 2f64.powi(power / 2) * 2f64.powi(power - power / 2));
    let near_the_ends =
        prop::sample::select(vec![f64::from_bits(1), 1e-320, f64::MIN_POSITIVE, 1e-300, 1e300, 1.7e308, f64::MAX]);
    prop_oneof![2 => number, 1 => near_the_ends]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The orders are p = n / 2^k, whose powers are square roots of integer powers. The relative error of a norm `N` is
    /// `(sum - N^p) / (p N^p)`.
    #[test]
    fn norms_of_other_orders_are_nearly_correctly_rounded(
        gradients in wide_lists(), far in prop::collection::vec(any_size(), 0..3), n in 1usize..9, k in 0u32..11, per_tensor: bool,
    ) {
        let p = n as f64 / f64::from(1u32 << k);
        prop_assume!(p != 1.0 && p != 2.0);
        let far = tensor(DType::F64, &[far.len()], &far);
        let gradients: Vec<Tensor> = gradients.into_iter().chain([far]).collect();
        let mode = if per_tensor { ClipMode::NormPerTensor } else { ClipMode::Norm };
        let got = clip(&Clipping { norm_type: Some(p), ..clipping(mode, 1.0) }, &gradients);
        let power = |x: &Big| {
            let root = (0..k).fold(x.clone(), |root, _| root.sqrt());
            (1..n).fold(root.clone(), |power, _| &power * &root)
        };
        let error = |norm: f64, tensors: &[Tensor]| {
            let elements = tensors.iter().flat_map(|tensor| tensor.view().to_f64()).filter(|&x| x != 0.0);
            let sum = Big::sum(elements.map(|x| power(&Big::from(x.abs()))));
            if norm.is_infinite() {
                return if sum > power(&Big::from(f64::MAX)) { 0.0 } else { f64::INFINITY };
            }
            let own = power(&Big::from(norm));
            if own == Big::zero() {
                return if sum == Big::zero() { 0.0 } else { f64::INFINITY };
            }
            // The quotient first: less than the smallest number is no multiple of it.
            (&(&sum - &own) / &own).to_f64().abs() / p * (norm / ulp(DType::F64, norm))
        };
        prop_assert!(error(got.total_norm, &gradients) <= 0.6, "{p}: {} is off by {}", got.total_norm, error(got.total_norm, &gradients));
        for (norm, gradient) in got.tensor_norms.into_iter().zip(&gradients) {
            let gradient = std::slice::from_ref(gradient);
            prop_assert!(error(norm, gradient) <= 0.6, "{p}: {norm} is off by {}", error(norm, gradient));
        }
    }

    /// Also where the factor is below all normal numbers, or the norm with `epsilon` above all.
    #[test]
    fn elements_are_exact_whatever_the_factor_is(
        values in prop::collection::vec(any_size(), 1..9), threshold in any_size(), sent in any_size(),
        epsilon in prop_oneof![2 => Just(0.0), 1 => any_size()], p in exact_orders(), way in 0..4u8,
    ) {
        let (threshold, sent, epsilon) = (threshold.abs(), sent.abs(), epsilon.abs());
        let gradients = [tensor(DType::F64, &[values.len()], &values)];
        let is_sent = way == 0;
        let norm = if is_sent { Big::from(sent) } else { exact_norm(&gradients, p) };
        let spec = Clipping {
            norm_type: Some(p),
            total_norm: is_sent.then_some(sent),
            epsilon: Some(epsilon),
            not_above: way == 1,
            ..clipping(if way == 2 { ClipMode::NormPerTensor } else { ClipMode::Norm }, threshold)
        };
        // The factor is that of the norm rounded to float64: for a subnormal norm the rounding error may be large
        // beside it.
        let nearest = norm.to_f64();
        if nearest.is_infinite() {
            return Ok(());
        }
        let used = if way == 1 && exceeds(&gradients, p, nearest) { nearest.next_up() } else { nearest };
        if used.is_infinite() {
            return Ok(());
        }
        let got = clip(&spec, &gradients);
        prop_assert!(is_sent || got.total_norm == nearest, "{:e} for {nearest:e}", got.total_norm);
        let divisor = &Big::from(used) + &Big::from(epsilon);
        let is_changed = if way == 1 { exceeds(&gradients, p, threshold) } else { divisor > Big::from(threshold) };
        let scale = if threshold == 0.0 {
            Big::zero()
        } else if is_changed {
            &Big::from(threshold) / &divisor
        } else {
            Big::from(1)
        };
        let exact: Vec<Exact> = values.iter().map(|&x| (&Big::from(x) * &scale).into()).collect();
        let after = clipped(&spec, &gradients);
        // Roundings that all go one way are twice as long.
        let limit = Limit { ulps: if way == 1 { 8.0 } else { 4.0 }, cancelled: 0.0 };
        within(limit, "gradient", &after[0], &exact)?;
        within(limit, "scale", &tensor(DType::F64, &[], &[got.scale]), &[scale.into()])?;
        let left = exact_norm(&after, p);
        if way == 1 {
            prop_assert!(!exceeds(&after, p, threshold), "not above");
        } else if !is_sent {
            let most = most_after_clipping(&gradients, threshold, p);
            prop_assert!(left <= most, "{:e} of at most {:e}", left.to_f64(), most.to_f64());
        }
    }
}

/// Two elements that would become halves of the smallest number may both be rounded up; the norm still stays within the
/// bound.
#[test]
fn rounding_to_subnormal_numbers_is_within_what_is_promised() {
    let gradients = [tensor(DType::F64, &[2], &[1e300, 1e300])];
    let threshold = f64::from_bits(1);
    for mode in [ClipMode::Norm, ClipMode::NormPerTensor] {
        let spec = Clipping { norm_type: Some(1.0), epsilon: Some(0.0), ..clipping(mode, threshold) };
        let left = exact_norm(&clipped(&spec, &gradients), 1.0);
        assert!(left <= most_after_clipping(&gradients, threshold, 1.0), "{mode:?}: {:e}", left.to_f64());
    }
}

#[test]
fn factors_that_are_no_normal_numbers_scale_exactly() {
    let of = |x: f64, spec: Clipping| clipped(&spec, &[tensor(DType::F64, &[1], &[x])])[0].view().to_f64()[0];
    let zero = Clipping { epsilon: Some(0.0), ..clipping(ClipMode::Norm, 1e-15) };
    for spec in [zero, Clipping { total_norm: Some(1e300), ..zero }, clipping(ClipMode::NormPerTensor, 1e-15)] {
        let got = of(1e300, spec);
        assert!((got - 1e-15).abs() <= 4.0 * ulp(DType::F64, 1e-15), "{spec:?}: {got:e}");
    }
    let beyond = Clipping { epsilon: Some(1.7e308), ..clipping(ClipMode::Norm, 1e308) };
    for (x, spec, right) in [(1e300, zero, 1e-15), (1.7e308, beyond, 5e307)] {
        let (got, held) = (of(x, spec), of(x, Clipping { not_above: true, ..spec }));
        assert!((got - right).abs() <= 4.0 * ulp(DType::F64, right), "{got:e}");
        assert!(held <= right && right - held <= 4.0 * ulp(DType::F64, right), "{held:e}");
    }
}

/// The expected norms were computed by mpmath, with 400 bits.
#[test]
fn known_norms_of_other_orders() {
    let known: [(&[f64], f64, f64); 9] = [
        (&[3.3, 1.7, 2.9], 0.1, 150237.73728138543),
        (&[3.3, 1.7, 2.9], 0.01, 1.3064455782058258e48),
        (&[3.3, 1.7, 2.9], 0.002, 9.214040334670748e238),
        (&[1e300, 1e-300], 0.01, 1.0001000049501618e300),
        (&[1e-300, 3e-300, 2e-310], 0.0025, 6.87734063488779e-113),
        (&[5e-324, 5e-324, 5e-324], 0.001, 6.531897732746359e153),
        (&[3.3, 1.7, 2.9], 1.7, 5.143638491202257),
        (&[3.3, 1.7, 2.9], 1e6, 3.3),
        // 3182822178065100.5959 of the smallest numbers, whose nearest float64 is between two of them.
        (&[3.17891115970965e-310, 3.6316e-319], 0.0625, 1.572523095003577e-308),
    ];
    for (values, p, expected) in known {
        let threshold = expected / 3.0;
        let spec = Clipping { norm_type: Some(p), epsilon: Some(0.0), ..clipping(ClipMode::Norm, threshold) };
        let together = [tensor(DType::F64, &[values.len()], values)];
        assert_eq!(clip(&spec, &together).total_norm, expected, "{values:?} {p}");
        let apart: Vec<Tensor> = values.iter().map(|&x| tensor(DType::F64, &[1], &[x])).collect();
        assert_eq!(clip(&spec, &apart).total_norm, expected, "{values:?} {p}");
        let scaled = clipped(&spec, &together)[0].view().to_f64();
        let factor = &Big::from(threshold) / &Big::from(expected);
        for (x, got) in values.iter().zip(scaled) {
            let error = Exact::from(&Big::from(*x) * &factor).error(DType::F64, got, 0.0);
            assert!(error <= 4.0, "{values:?} {p}: {error}");
        }
    }
    let beyond = f64::INFINITY;
    for (x, p, twice) in [
        (3.0, 5e-324, beyond),
        (5e-324, 1e-300, beyond),
        (f64::MAX, 1e-10, beyond),
        (1.0, 1e308, 1.0),
        (2e-310, 0.3, 2.015873679831793e-309),
    ] {
        let norm = |values: &[f64]| {
            let gradients = [tensor(DType::F64, &[values.len()], values)];
            clip(&Clipping { norm_type: Some(p), ..clipping(ClipMode::Norm, 1.0) }, &gradients).total_norm
        };
        assert_eq!(norm(&[0.0, x, -0.0]), x, "one element is its norm: {x:e} {p:e}");
        assert_eq!(norm(&[x, -x]), twice, "{x:e} {p:e}");
    }
}

/// The factor for no elements is that of a norm of 0, in both modes and with or without tensors; a threshold of 0 gives
/// 0.
#[test]
fn the_factor_of_nothing_is_that_of_a_norm_of_0() {
    for mode in [ClipMode::Norm, ClipMode::NormPerTensor] {
        for gradients in [vec![], vec![tensor(DType::F32, &[0], &[])], vec![tensor(DType::F64, &[2], &[0.0, -0.0])]] {
            for epsilon in [None, Some(0.0), Some(4.0)] {
                let scale = |threshold, not_above| {
                    clip(&Clipping { epsilon, not_above, ..clipping(mode, threshold) }, &gradients).scale
                };
                let expected = f64::min(1.0, 1.0 / epsilon.unwrap_or(1e-6));
                assert_eq!(
                    (scale(1.0, false), scale(1.0, true)),
                    (expected, 1.0),
                    "{mode:?} {gradients:?} {epsilon:?}"
                );
                assert_eq!((scale(0.0, false), scale(0.0, true)), (0.0, 0.0), "{mode:?} {gradients:?} {epsilon:?}");
            }
        }
    }
}

/// `error_if_nonfinite` refuses norms that gradients are clipped by, and gradients with elements that are not finite.
#[test]
fn an_error_is_for_norms_that_clip_and_for_elements() {
    let strict = |mode| Clipping { error_if_nonfinite: true, ..clipping(mode, 1.0) };
    let large = [tensor(DType::F64, &[1], &[1.7e308]), tensor(DType::F64, &[1], &[-1.7e308])];
    for not_above in [false, true] {
        let spec = Clipping { not_above, epsilon: Some(0.0), ..strict(ClipMode::NormPerTensor) };
        let got = clip(&spec, &large);
        assert_eq!((got.total_norm, got.tensor_norms), (f64::INFINITY, vec![1.7e308; 2]));
        let views: Vec<TensorRef<'_>> = large.iter().map(Tensor::view).collect();
        let together = clip_both(&Clipping { mode: ClipMode::Norm, ..spec }, &views);
        assert!(matches!(together, Err(Error::NonFiniteNorm { .. })), "{together:?}");
    }
    let sent = Clipping { total_norm: Some(2.0), ..strict(ClipMode::Norm) };
    for (x, norm) in [(f64::NAN, "NaN"), (f64::NEG_INFINITY, "inf")] {
        let error = clip_both(&sent, &[tensor(DType::F16, &[2], &[1.0, x]).view()]);
        let Err(Error::NonFiniteNorm { total_norm, elements }) = error else { panic!("{x}: {error:?}") };
        assert_eq!((total_norm.to_string().as_str(), elements.first.as_slice()), (norm, &[0][..]));
    }
    assert_eq!(clip(&sent, &[tensor(DType::F16, &[1], &[1.0])]).total_norm, 2.0);
    let infinite = clip_both(&Clipping { total_norm: Some(f64::INFINITY), ..sent }, &[]);
    assert!(matches!(infinite, Err(Error::NonFiniteNorm { total_norm: f64::INFINITY, .. })), "{infinite:?}");
}

/// An option of -0.0 counts as 0, for each option and beside all others.
#[test]
fn negative_zero_is_zero() {
    let gradients = [tensor(DType::F32, &[4], &[3.0, -4.0, 0.0, -0.0]), tensor(DType::F64, &[2], &[0.0, 0.0])];
    let zeros = [None, Some(0.0), Some(-0.0)];
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        for (threshold, epsilon, total_norm) in [1.0, 0.0, -0.0].into_iter().flat_map(|threshold| {
            zeros.into_iter().flat_map(move |epsilon| zeros.into_iter().map(move |total| (threshold, epsilon, total)))
        }) {
            for not_above in [false, true] {
                let spec = Clipping { epsilon, total_norm, not_above, ..clipping(mode, threshold) };
                if !spec.check().is_empty() {
                    continue;
                }
                let positive = |option: Option<f64>| option.map(f64::abs);
                let (epsilon, total_norm) = (positive(epsilon), positive(total_norm));
                let expected = clip(&Clipping { threshold: threshold.abs(), epsilon, total_norm, ..spec }, &gradients);
                let got = clip(&spec, &gradients);
                assert_eq!(got, expected, "{spec:?}");
                let bits = |clipped: &Clipped| [clipped.total_norm.to_bits(), clipped.scale.to_bits()];
                assert_eq!(bits(&got), bits(&expected), "{spec:?}");
                assert!((0.0..=1.0).contains(&got.scale), "{spec:?}: {}", got.scale);
            }
        }
    }
}
