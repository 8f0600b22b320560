//! Clipping whose exact norm is never above the threshold.

use evenkeel_kernels::{ClipMode, Clipped, Clipping, DType, Tensor, TensorRef};
use num_bigint::BigUint;
use proptest::prelude::*;

use super::{
    case::{dtypes, tensor},
    in_place::clip_both,
};

/// The magnitude of a finite number in units of 2^-1074.
fn units(x: f64) -> BigUint {
    let biased = (x.to_bits() >> 52 & 0x7FF) as u32;
    let fraction = x.to_bits() & ((1 << 52) - 1);
    if biased == 0 { fraction.into() } else { BigUint::from(fraction | 1 << 52) << (biased - 1) }
}

/// Whether the exact norm is above `bound`, by whole numbers alone.
fn is_above(elements: impl Iterator<Item = f64>, order: f64, bound: f64) -> bool {
    if bound.is_infinite() {
        return false;
    }
    let bound = units(bound);
    let mut magnitudes = elements.map(units);
    if order == 1.0 {
        magnitudes.sum::<BigUint>() > bound
    } else if order == 2.0 {
        magnitudes.map(|x| &x * &x).sum::<BigUint>() > &bound * &bound
    } else {
        magnitudes.any(|x| x > bound)
    }
}

fn elements(tensors: &[Tensor]) -> impl Iterator<Item = f64> {
    tensors.iter().flat_map(|tensor| tensor.view().to_f64())
}

/// Elements of any bits that are finite numbers, of one scale, or the smallest and the largest that the dtype has.
fn finite(dtype: DType, len: usize) -> impl Strategy<Value = Tensor> {
    let (smallest, largest) = match dtype {
        DType::F32 => (2f64.powi(-149), f64::from(f32::MAX)),
        DType::F64 => (f64::from_bits(1), f64::MAX),
        DType::F16 => (2f64.powi(-24), 65504.0),
        DType::Bf16 => (2f64.powi(-133), f64::from(f32::from_bits(0x7F7F_0000))),
    };
    let bits = any::<f64>().prop_map(move |x| if x.is_finite() { x.clamp(-largest, largest) } else { 1.0 });
    let corner = prop::sample::select(vec![0.0, -0.0, smallest, -3.0 * smallest, largest, -largest, largest / 2.0]);
    let number = || prop_oneof![6 => -1.0..1.0, 1 => bits.clone(), 1 => corner.clone()];
    let exponent = prop_oneof![3 => -20i32..20, 1 => -1074i32..1023];
    let of_one_scale = (prop::collection::vec(-1.0..1.0, len), exponent).prop_map(move |(numbers, exponent)| {
        let scale =
            |x: f64| (x * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)).clamp(-largest, largest);
        numbers.into_iter().map(scale).collect::<Vec<f64>>()
    });
    prop_oneof![prop::collection::vec(number(), len), of_one_scale]
        .prop_map(move |values| tensor(dtype, &[values.len()], &values))
}

fn lists() -> impl Strategy<Value = Vec<Tensor>> {
    let gradient = (dtypes(), 0usize..40).prop_flat_map(|(dtype, len)| finite(dtype, len));
    prop::collection::vec(gradient, 1..5)
}

fn clip(spec: &Clipping, gradients: &[Tensor]) -> (Clipped, Vec<Tensor>) {
    let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
    let clipped = clip_both(spec, &views).expect("valid");
    let tensors = clipped.data.iter().zip(gradients).map(|(data, gradient)| match data {
        Some(data) => Tensor::from_bytes(gradient.dtype(), gradient.shape().to_vec(), data.clone()).expect("as long"),
        None => gradient.clone(),
    });
    let tensors = tensors.collect();
    (clipped, tensors)
}

/// Thresholds beside the norm, which is where a rounding matters, and of any size.
fn thresholds() -> impl Strategy<Value = (f64, f64)> {
    let near =
        prop::sample::select(vec![1.0, 1.0 - f64::EPSILON, 1.0 + f64::EPSILON, 0.999, 0.5, 1.0 / 3.0, 1e-3, 1e-30]);
    let fixed = prop_oneof![
        Just(0.0),
        Just(f64::INFINITY),
        Just(1.0),
        Just(f64::from_bits(1)),
        Just(f64::MIN_POSITIVE),
        any::<f64>().prop_map(|x| if x.is_finite() { x.abs() } else { 2.0 }),
    ];
    prop_oneof![3 => near.prop_map(|part| (part, 0.0)), 1 => fixed.prop_map(|fixed| (0.0, fixed))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_exact_norm_is_never_above_the_threshold(
        gradients in lists(), (part, fixed) in thresholds(), epsilon in prop::sample::select(vec![None, Some(0.0), Some(0.1)]),
        order in prop::sample::select(vec![1.0, 2.0, f64::INFINITY]), per_tensor: bool,
    ) {
        let mode = if per_tensor { ClipMode::NormPerTensor } else { ClipMode::Norm };
        let usual = Clipping { norm_type: Some(order), ..Clipping::new(mode, 1.0) };
        let norm = clip(&usual, &gradients).0.total_norm;
        let threshold = (part * norm + fixed).max(0.0);
        let spec = Clipping { threshold, epsilon, not_above: true, ..usual };
        let (answer, clipped) = clip(&spec, &gradients);
        prop_assert_eq!(answer.total_norm.to_bits(), norm.to_bits());
        let sets: Vec<(&[Tensor], &[Tensor])> = if per_tensor {
            gradients.chunks(1).zip(clipped.chunks(1)).collect()
        } else {
            vec![(&gradients, &clipped)]
        };
        for (before, after) in sets {
            prop_assert!(!is_above(elements(after), order, threshold), "{before:?} {after:?}");
            if !is_above(elements(before), order, threshold) {
                prop_assert!(before == after, "not above, and changed");
            } else {
                // Each element is the product with the factor, rounded towards zero.
                for (before, after) in before.iter().zip(after) {
                    let factor = if per_tensor { None } else { Some(answer.scale) };
                    check_products(before, after, factor)?;
                }
            }
        }
    }
}

/// Checks that every element lies between 0 and the exact product, and that no number of the dtype lies between the
/// element and the product.
fn check_products(before: &Tensor, after: &Tensor, factor: Option<f64>) -> Result<(), TestCaseError> {
    let dtype = before.dtype();
    // If the factor is subnormal, clipping multiplies by a number with more digits than `scale` has.
    let Some(factor) = factor.filter(|&factor| factor >= f64::MIN_POSITIVE) else { return Ok(()) };
    for (index, (x, y)) in before.view().to_f64().into_iter().zip(after.view().to_f64()).enumerate() {
        prop_assert_eq!(x.is_sign_negative(), y.is_sign_negative());
        let product = units(x) * units(factor);
        prop_assert!(units(y) << 1074 <= product, "{x} * {factor} became {y}");
        let bytes = &after.data()[index * dtype.size()..(index + 1) * dtype.size()];
        let mut next = [0; 8];
        next[..bytes.len()].copy_from_slice(bytes);
        // The next number away from zero has one bit more.
        let next = (u64::from_le_bytes(next) + 1).to_le_bytes();
        let mut value = [0.0];
        evenkeel_kernels::decode(dtype, &next[..dtype.size()], &mut value);
        prop_assert!(value[0].is_infinite() || units(value[0]) << 1074 > product, "{x} * {factor} became {y}");
    }
    Ok(())
}

/// Without `not_above`, roundings take the norm of the result above the threshold.
#[test]
fn the_usual_rounding_is_above_the_threshold() {
    for dtype in DType::ALL {
        let gradients: Vec<Tensor> =
            (0..200).map(|i| tensor(dtype, &[3], &[1.0 + f64::from(i) / 256.0, 2.0, 3.0])).collect();
        let spec = Clipping { epsilon: Some(0.0), ..Clipping::new(ClipMode::NormPerTensor, 1.0) };
        let above = |spec: &Clipping| {
            let clipped = clip(spec, &gradients).1;
            clipped.iter().filter(|tensor| is_above(tensor.view().to_f64().into_iter(), 2.0, 1.0)).count()
        };
        assert!(above(&spec) > 20, "{dtype}: {}", above(&spec));
        assert_eq!(above(&Clipping { not_above: true, ..spec }), 0, "{dtype}");
    }
}

/// A threshold between the exact norm and the norm that is reported decides by the exact one.
#[test]
fn a_norm_that_rounds_to_the_threshold_is_above_it() {
    let gradients = [tensor(DType::F64, &[2], &[1.0, 1e-20])];
    let spec = Clipping { epsilon: Some(0.0), ..Clipping::new(ClipMode::Norm, 1.0) };
    let (usual, same) = clip(&spec, &gradients);
    assert_eq!((usual.total_norm, usual.scale, &same[..]), (1.0, 1.0, &gradients[..]));
    let (held, clipped) = clip(&Clipping { not_above: true, ..spec }, &gradients);
    assert_eq!((held.total_norm, held.scale), (1.0, 1.0 - f64::EPSILON));
    assert_eq!(clipped[0].view().to_f64()[0], 1.0 - f64::EPSILON);
}

/// NaN, and infinities beside a finite threshold, are as without it; an infinite threshold is never exceeded.
#[test]
fn norms_that_are_not_finite() {
    let gradients = |x: f64| [tensor(DType::F32, &[3], &[1.0, x, -2.0])];
    let not_above = |threshold| Clipping { not_above: true, ..Clipping::new(ClipMode::Norm, threshold) };
    for (x, threshold) in [(f64::NAN, 1.0), (f64::NAN, f64::INFINITY), (f64::INFINITY, 1.0), (f64::NEG_INFINITY, 0.0)] {
        let usual = Clipping { not_above: false, ..not_above(threshold) };
        let (held, usual) = (clip(&not_above(threshold), &gradients(x)), clip(&usual, &gradients(x)));
        assert_eq!(held.1[0].data(), usual.1[0].data(), "{x} {threshold}");
        assert_eq!(held.0.scale.to_bits(), usual.0.scale.to_bits(), "{x} {threshold}");
    }
    let infinite = gradients(f64::INFINITY);
    let (held, same) = clip(&not_above(f64::INFINITY), &infinite);
    assert_eq!((held.total_norm, held.scale, &same[..]), (f64::INFINITY, 1.0, &infinite[..]));
}
