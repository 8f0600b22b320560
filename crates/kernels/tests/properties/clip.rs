//! ClipGradients.

use evenkeel_kernels::{ClipMode, Clipped, Clipping, DType, Error, NonFinite, Tensor, TensorRef};
use proptest::prelude::*;

use super::{
    big::Big,
    case::{dtypes, only, tensor, tensors, wide_numbers},
    in_place::clip_both,
    ulp::{Exact, Limit, rounded, within},
};

pub(super) fn clipping(mode: ClipMode, threshold: f64) -> Clipping {
    Clipping::new(mode, threshold)
}

pub(super) fn clip(spec: &Clipping, gradients: &[Tensor]) -> Clipped {
    let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
    clip_both(spec, &views).expect("valid")
}

/// The bytes of each tensor after clipping.
fn bytes(clipped: &Clipped, gradients: &[Tensor]) -> Vec<Vec<u8>> {
    let of = |(data, gradient): (&Option<Vec<u8>>, &Tensor)| data.clone().unwrap_or_else(|| gradient.data().to_vec());
    clipped.data.iter().zip(gradients).map(of).collect()
}

/// The gradients after clipping.
pub(super) fn clipped(spec: &Clipping, gradients: &[Tensor]) -> Vec<Tensor> {
    let clipped = bytes(&clip(spec, gradients), gradients).into_iter().zip(gradients);
    clipped
        .map(|(data, like)| Tensor::from_bytes(like.dtype(), like.shape().to_vec(), data).expect("the same length"))
        .collect()
}

/// The exact norm of order 1, 2 or infinity over all elements.
pub(super) fn exact_norm<'a>(gradients: impl IntoIterator<Item = &'a Tensor>, p: f64) -> Big {
    let elements = gradients.into_iter().flat_map(|gradient| gradient.view().to_f64());
    let magnitudes = elements.map(|x| Big::from(x.abs()));
    if p == 1.0 {
        Big::sum(magnitudes)
    } else if p == 2.0 {
        Big::sum(magnitudes.map(|x| x.square())).sqrt()
    } else {
        magnitudes.max().unwrap_or_else(Big::zero)
    }
}

/// Gradients of any dtype and scale.
pub(super) fn wide_lists() -> impl Strategy<Value = Vec<Tensor>> {
    let gradient = (dtypes(), 0usize..40).prop_flat_map(|(dtype, len)| {
        wide_numbers(dtype, len).prop_map(move |values| tensor(dtype, &[values.len()], &values))
    });
    prop::collection::vec(gradient, 1..5)
}

pub(super) fn exact_orders() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![1.0, 2.0, f64::INFINITY])
}

/// The most that the norm of clipped gradients can be: `threshold * (1 + u)`, where u is half a unit of the last place
/// of 1 in the coarsest dtype, and what rounding to the smallest subnormal number adds to each element.
///
/// A clipped element is `x * scale * (1 + e)`, `|e| <= u`, or within half the smallest subnormal of it; and
/// `norm * scale <= threshold` but for some roundings of float64.
pub(super) fn most_after_clipping(gradients: &[Tensor], threshold: f64, p: f64) -> Big {
    // The unit, and the smallest subnormal number.
    let units = gradients.iter().map(|gradient| match gradient.dtype() {
        DType::F64 => (2f64.powi(-53), f64::from_bits(1)),
        DType::F32 => (2f64.powi(-24), 2f64.powi(-149)),
        DType::F16 => (2f64.powi(-11), 2f64.powi(-24)),
        DType::Bf16 => (2f64.powi(-8), 2f64.powi(-133)),
    });
    let (unit, smallest) =
        units.fold((0.0, 0.0), |(u, s), (unit, smallest)| (f64::max(u, unit), f64::max(s, smallest)));
    let elements = gradients.iter().map(|gradient| gradient.view().len()).sum::<usize>() as f64;
    // The norm of one half for each element.
    let halves = if p == f64::INFINITY { 0.5 } else { 0.5 * elements.powf(1.0 / p) };
    let product = |a: f64, b: f64| &Big::from(a) * &Big::from(b);
    let most = &product(threshold, 1.0 + unit) + &product(smallest, halves);
    &most * &Big::from(1.0 + 2f64.powi(-49))
}

fn gradient_lists() -> impl Strategy<Value = Vec<Tensor>> {
    let shape = prop::collection::vec(0usize..30, 0..3);
    prop::collection::vec(shape.prop_flat_map(tensors), 0..8)
}

fn norm(values: impl Iterator<Item = f64>, p: f64) -> f64 {
    if p == f64::INFINITY {
        values.fold(0.0, |most, x| x.abs().max(most))
    } else {
        values.map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p)
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

fn round(like: &Tensor, x: f64) -> f64 {
    rounded(like.dtype(), x)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn norms_and_scales_are_their_definition(
        gradients in gradient_lists(), threshold in 0.0..40.0,
        p in prop::sample::select(vec![0.5, 1.0, 1.5, 2.0, 3.0, 100.0, f64::INFINITY]), per_tensor: bool,
    ) {
        let mode = if per_tensor { ClipMode::NormPerTensor } else { ClipMode::Norm };
        let got = clip(&Clipping { norm_type: Some(p), ..clipping(mode, threshold) }, &gradients);
        let all = gradients.iter().flat_map(|gradient| gradient.view().to_f64());
        // A p-norm of large order, computed without scaling, overflows; the largest value is accurate enough instead.
        let expected = norm(all, if p == 100.0 { f64::INFINITY } else { p });
        let is_norm = if p == 100.0 {
            (expected..=expected * 1.1).contains(&got.total_norm)
        } else {
            near(got.total_norm, expected)
        };
        prop_assert!(is_norm, "got {:e}, expected {expected:e}", got.total_norm);
        let factor = |norm: f64| (threshold / (norm + 1e-6)).min(1.0);
        prop_assert_eq!(got.tensor_norms.len(), if per_tensor { gradients.len() } else { 0 });
        let mut smallest = 1.0;
        for (index, gradient) in gradients.iter().enumerate() {
            let scale = if per_tensor { factor(got.tensor_norms[index]) } else { factor(got.total_norm) };
            smallest = f64::min(smallest, scale);
            let expected: Vec<f64> = gradient.view().to_f64().iter().map(|x| round(gradient, x * scale)).collect();
            let expected = tensor(gradient.dtype(), gradient.shape(), &expected);
            prop_assert_eq!(&bytes(&got, &gradients)[index], expected.data());
            prop_assert_eq!(got.data[index].is_none(), scale == 1.0);
        }
        prop_assert_eq!(got.scale, if per_tensor { smallest } else { factor(got.total_norm) });
        prop_assert_eq!(got.clipped_elements, 0);
    }

    #[test]
    fn the_norm_does_not_depend_on_the_order(gradients in gradient_lists(), p in prop::sample::select(vec![1.0, 2.0, 3.0])) {
        let spec = Clipping { norm_type: Some(p), ..clipping(ClipMode::Norm, 1.0) };
        let mut reversed = gradients.clone();
        reversed.reverse();
        prop_assert_eq!(clip(&spec, &gradients).total_norm.to_bits(), clip(&spec, &reversed).total_norm.to_bits());
    }

    #[test]
    fn values_are_clamped(gradients in gradient_lists(), threshold in 0.0..5.0) {
        let got = clip(&clipping(ClipMode::Value, threshold), &gradients);
        let mut outside = 0;
        for (gradient, data) in gradients.iter().zip(bytes(&got, &gradients)) {
            let limit = round(gradient, threshold);
            let values = gradient.view().to_f64();
            outside += values.iter().filter(|x| x.abs() > limit).count() as u64;
            let clamped: Vec<f64> = values.iter().map(|x| x.clamp(-limit, limit)).collect();
            let expected = tensor(gradient.dtype(), gradient.shape(), &clamped);
            prop_assert_eq!(&data, expected.data());
        }
        prop_assert_eq!(got.clipped_elements, outside);
        prop_assert_eq!(got.scale, 1.0);
    }

    /// Norms of order 1, 2 and infinity are correctly rounded. Elements are right to half a unit in the last place,
    /// those of float64 to four.
    #[test]
    fn norms_and_elements_are_exact(gradients in wide_lists(), ratio in 1e-4..1.5f64, p in exact_orders()) {
        let norm = exact_norm(&gradients, p);
        let threshold = norm.to_f64() * ratio;
        let got = clip(&Clipping { norm_type: Some(p), ..clipping(ClipMode::Norm, threshold) }, &gradients);
        prop_assert_eq!(got.total_norm.to_bits(), norm.to_f64().to_bits());
        let one = Big::from(1);
        let scale = &Big::from(threshold) / &(&norm + &Big::from(1e-6));
        let scale = if scale > one { one } else { scale };
        for (gradient, data) in gradients.iter().zip(bytes(&got, &gradients)) {
            let got = Tensor::from_bytes(gradient.dtype(), gradient.shape().to_vec(), data).expect("the same length");
            let exact: Vec<Exact> = gradient.view().to_f64().iter().map(|&x| (&Big::from(x) * &scale).into()).collect();
            let limit = match gradient.dtype() {
                DType::F64 => Limit::FLOAT64,
                dtype @ (DType::F32 | DType::F16 | DType::Bf16) => Limit::of(dtype),
            };
            within(limit, "gradient", &got, &exact)?;
        }
    }

    /// No norm is left above the threshold but for the rounding to the dtype, and clipping again does not change that.
    #[test]
    fn the_threshold_holds(gradients in wide_lists(), ratio in 1e-4..1.5f64, p in exact_orders(), per_tensor: bool) {
        let norms = gradients.iter().map(|gradient| exact_norm([gradient], p).to_f64());
        let threshold = ratio * norms.fold(0.0, f64::max);
        let mode = if per_tensor { ClipMode::NormPerTensor } else { ClipMode::Norm };
        let spec = Clipping { norm_type: Some(p), ..clipping(mode, threshold) };
        let once = clipped(&spec, &gradients);
        let twice = clipped(&spec, &once);
        for gradients in [once, twice] {
            let groups = if per_tensor { gradients.iter().map(std::slice::from_ref).collect() } else { vec![&gradients[..]] };
            for group in groups {
                let (norm, most) = (exact_norm(group, p), most_after_clipping(group, threshold, p));
                prop_assert!(norm <= most, "{:e} of at most {:e}", norm.to_f64(), most.to_f64());
            }
        }
    }

    /// Clipping by norm twice is not the same as once: the first leaves a norm next to the threshold, and to that
    /// PyTorch's formula adds 1e-6. The second factor is at least that of the largest norm that can be left, and
    /// nothing changes if the norm plus 1e-6 does not exceed the threshold.
    #[test]
    fn clipping_by_norm_again_changes_little(gradients in wide_lists(), ratio in 1e-4..1.5f64, p in exact_orders()) {
        let threshold = ratio * exact_norm(&gradients, p).to_f64();
        let spec = Clipping { norm_type: Some(p), ..clipping(ClipMode::Norm, threshold) };
        let once = clipped(&spec, &gradients);
        let again = clip(&spec, &once);
        let least = threshold / (most_after_clipping(&once, threshold, p).to_f64() + 1e-6);
        prop_assert!(again.scale >= least * (1.0 - 2f64.powi(-51)) || threshold == 0.0, "{} is below {least}", again.scale);
        if again.total_norm + 1e-6 <= threshold {
            prop_assert!(again.data.iter().all(Option::is_none));
        }
    }

    /// Clipping by value twice is exactly the same as once.
    #[test]
    fn clipping_by_value_is_idempotent(gradients in gradient_lists(), threshold in 0.0..5.0) {
        let spec = clipping(ClipMode::Value, threshold);
        let again = clip(&spec, &clipped(&spec, &gradients));
        prop_assert!(again.data.iter().all(Option::is_none));
        prop_assert_eq!(again.clipped_elements, 0);
    }
}

#[test]
fn known_failures_of_others_come_out_right() {
    // burn#5699: the square of 300 overflows in float16, and the gradient becomes 0.
    let gradient = [tensor(DType::F16, &[1], &[300.0])];
    let got = clip(&clipping(ClipMode::Norm, 1.0), &gradient);
    assert_eq!(got.total_norm, 300.0);
    assert_eq!(bytes(&got, &gradient)[0], tensor(DType::F16, &[1], &[1.0]).data());
    // fairscale#263: a norm of 5000 in float16 becomes infinite.
    let gradient = [tensor(DType::F16, &[25], &[1000.0; 25])];
    assert_eq!(clip(&clipping(ClipMode::Norm, 1.0), &gradient).total_norm, 5000.0);
}

#[test]
fn float64_norms_neither_overflow_nor_vanish() {
    for x in [1e200, 1e-200, 5e-324, 1e308] {
        let got = clip(
            &clipping(ClipMode::NormPerTensor, 1.0),
            &[tensor(DType::F64, &[4], &[x / 2.0; 4]), tensor(DType::F64, &[1], &[1.0])],
        );
        assert!(near(got.tensor_norms[0], x / 2.0 * 2.0), "{x:e}: {:e}", got.tensor_norms[0]);
    }
}

#[test]
fn norms_that_are_not_finite() {
    let gradients = |x: f64| [tensor(DType::F32, &[3], &[1.0, x, -2.0])];
    let spec = clipping(ClipMode::Norm, 1.0);
    let nan = gradients(f64::NAN);
    let got = clip(&spec, &nan);
    assert!(got.total_norm.is_nan() && got.scale.is_nan());
    assert_eq!(bytes(&got, &nan)[0], [f32::NAN.to_le_bytes(); 3].concat());
    let infinite = gradients(f64::NEG_INFINITY);
    let got = clip(&spec, &infinite);
    assert_eq!((got.total_norm, got.scale), (f64::INFINITY, 0.0));
    assert_eq!(bytes(&got, &infinite)[0], [0f32, f32::NAN, -0.0].map(f32::to_le_bytes).concat());
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        for p in [1.0, 2.0, 3.0, f64::INFINITY] {
            for x in [f64::NAN, f64::INFINITY] {
                let spec = Clipping { error_if_nonfinite: true, norm_type: Some(p), ..clipping(mode, 1.0) };
                let error = clip_both(&spec, &[gradients(x)[0].view()]);
                let Err(Error::NonFiniteNorm { total_norm, elements }) = error else {
                    panic!("{mode:?} {p}: {error:?}")
                };
                assert!(!total_norm.is_finite(), "{mode:?} {p}");
                let (nan, infinite) = (u64::from(x.is_nan()), u64::from(x.is_infinite()));
                assert_eq!(*elements, NonFinite { nan, infinite, gradients: 1, first: vec![0] }, "{mode:?} {p}");
            }
        }
    }
}

#[test]
fn values_that_are_not_finite() {
    let input = [tensor(DType::F32, &[4], &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])];
    let got = clip(&clipping(ClipMode::Value, 2.0), &input);
    assert_eq!(got.clipped_elements, 2);
    assert_eq!(bytes(&got, &input)[0], [f32::NAN, 2.0, -2.0, -0.0].map(f32::to_le_bytes).concat());
}

#[test]
fn a_norm_from_elsewhere_takes_the_place_of_ours() {
    let gradients = [tensor(DType::F32, &[2], &[3.0, 4.0])];
    let got = clip(&Clipping { total_norm: Some(10.0), ..clipping(ClipMode::Norm, 5.0) }, &gradients);
    assert_eq!((got.total_norm, got.scale), (10.0, 5.0 / (10.0 + 1e-6)));
    let got = clip(&Clipping { total_norm: Some(0.0), ..clipping(ClipMode::Norm, 5.0) }, &gradients);
    assert_eq!((got.scale, got.data), (1.0, vec![None]));
}

#[test]
fn what_does_not_fit_is_named() {
    let field = |spec: Clipping| match clip_both(&spec, &[]) {
        Err(Error::Invalid(violations)) => only(&violations),
        other => panic!("expected an invalid argument, got {other:?}"),
    };
    let norm = clipping(ClipMode::Norm, 1.0);
    assert_eq!(field(clipping(ClipMode::Norm, -1.0)), "threshold");
    assert_eq!(field(clipping(ClipMode::Value, f64::NAN)), "threshold");
    for p in [0.0, -2.0, f64::NAN] {
        assert_eq!(field(Clipping { norm_type: Some(p), ..norm }), "norm_type");
    }
    assert_eq!(field(Clipping { total_norm: Some(-1.0), ..norm }), "total_norm");
    assert_eq!(field(Clipping { total_norm: Some(1.0), ..clipping(ClipMode::Value, 1.0) }), "total_norm");
    for epsilon in [-1e-6, f64::NAN, f64::INFINITY] {
        assert_eq!(field(Clipping { epsilon: Some(epsilon), ..norm }), "epsilon");
    }
    assert_eq!(field(Clipping { epsilon: Some(0.0), ..clipping(ClipMode::Value, 1.0) }), "epsilon");
    let not_above = Clipping { not_above: true, ..norm };
    assert_eq!(field(Clipping { mode: ClipMode::Value, ..not_above }), "not_above");
    assert_eq!(field(Clipping { norm_type: Some(3.0), ..not_above }), "not_above");
    assert_eq!(field(Clipping { total_norm: Some(1.0), ..not_above }), "not_above");
}

#[test]
fn all_that_does_not_fit_is_named() {
    let spec = Clipping {
        norm_type: Some(-1.0),
        total_norm: Some(-2.0),
        epsilon: Some(f64::NAN),
        not_above: true,
        ..clipping(ClipMode::Value, f64::NAN)
    };
    let Err(Error::Invalid(violations)) = clip_both(&spec, &[]) else { panic!("it must be refused") };
    let fields: Vec<&str> = violations.iter().map(|violation| &*violation.field).collect();
    assert_eq!(
        fields,
        ["threshold", "norm_type", "total_norm", "total_norm", "epsilon", "epsilon", "not_above", "not_above"]
    );
}

/// All gradients with such elements are counted, and the first 16 are named.
#[test]
fn what_is_not_finite_is_counted_and_named() {
    let spec = Clipping { error_if_nonfinite: true, ..clipping(ClipMode::Norm, 1.0) };
    let gradient = |index: usize| match index {
        index if index % 2 == 0 => tensor(DType::F16, &[2], &[1.0, 2.0]),
        index if index % 3 == 0 => tensor(DType::F32, &[4], &[f64::NAN, 1.0, f64::INFINITY, f64::NAN]),
        _ => tensor(DType::F64, &[2], &[f64::NEG_INFINITY, 0.0]),
    };
    let gradients: Vec<Tensor> = (0..60).map(gradient).collect();
    let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
    let Err(Error::NonFiniteNorm { total_norm, elements }) = clip_both(&spec, &views) else { panic!("it must fail") };
    assert!(total_norm.is_nan());
    let first = (1..60).step_by(2).take(16).collect();
    assert_eq!(*elements, NonFinite { nan: 20, infinite: 30, gradients: 30, first });

    // The norm of these is beyond float64, though each is finite.
    let large = [tensor(DType::F64, &[2], &[f64::MAX, f64::MAX])];
    let Err(Error::NonFiniteNorm { total_norm, elements }) = clip_both(&spec, &[large[0].view()]) else {
        panic!("it must fail")
    };
    assert_eq!((total_norm, *elements), (f64::INFINITY, NonFinite::default()));
}
