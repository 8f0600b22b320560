//! Data on which other implementations are known to lose their digits. Each test names the thread that tells of it.

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor, Uninterrupted, normalize};

use super::case::tensor;

fn run(spec: &Normalization, input: &Tensor) -> Vec<f64> {
    normalize(spec, &NormParameters::default(), input.view(), false, &Uninterrupted)
        .expect("valid")
        .output
        .view()
        .to_f64()
}

/// The worst error of normalized `input` as one set, in units of the last place of float32.
fn worst_ulp(input: &[f32], got: &[f64], eps: f64) -> f64 {
    // Float32 data minus its first element is exact in float64 wherever the two are close, and sums of such
    // differences lose nothing that matters: a reference to twice the precision for data far from zero.
    let n = input.len() as f64;
    let shift = f64::from(input[0]);
    let deviations: Vec<f64> = input.iter().map(|&x| f64::from(x) - shift).collect();
    let mean = compensated(deviations.iter().copied()) / n;
    let var = compensated(deviations.iter().map(|d| (d - mean) * (d - mean))) / n;
    let rstd = 1.0 / (var + eps).sqrt();
    let ulp = |x: f64| f64::from(x.abs().max(1e-37) as f32).to_bits();
    let spacing =
        |x: f64| f64::from((f64::from_bits(ulp(x)) as f32).next_up()) - f64::from(f64::from_bits(ulp(x)) as f32);
    deviations.iter().zip(got).fold(0.0, |worst: f64, (d, got)| {
        let exact = (d - mean) * rstd;
        worst.max((got - exact).abs() / spacing(exact))
    })
}

/// Neumaier's sum.
fn compensated(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for x in values {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    sum + lost
}

fn noise(len: usize, map: impl Fn(f64) -> f64) -> Vec<f32> {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // The sum of twelve uniform numbers is normal enough for these tests.
    (0..len).map(|_| map((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32).collect()
}

fn layer_is_right(input: &[f32], eps: f64) {
    let spec = Normalization { eps: Some(eps), ..Normalization::new(NormKind::Layer) };
    let values: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
    let got = run(&spec, &tensor(DType::F32, &[input.len()], &values));
    let worst = worst_ulp(input, &got, eps);
    assert!(worst <= 0.51, "the worst error is {worst} ulp");
}

#[test]
fn consecutive_numbers_far_from_zero() {
    layer_is_right(&[40000.0, 40001.0, 40002.0, 40003.0], 1e-5); // onnxruntime#28463: NaN
}

#[test]
fn a_small_spread_around_a_hundred() {
    layer_is_right(&noise(32_768, |x| x * 0.01 + 100.0), 1e-5); // pytorch#40302
}

#[test]
fn a_small_tensor_around_two_thousand() {
    layer_is_right(&noise(20, |x| x + 2000.0), 1e-5); // pytorch#51102
}

#[test]
fn an_offset_of_a_million_spreads() {
    layer_is_right(&noise(10_000, |x| x + 1e6), 1e-5);
}

#[test]
fn magnitudes_near_the_ends_of_float32() {
    layer_is_right(&noise(4096, |x| x * 1e30), 1e-5); // pytorch#162489: zeros on CPU, NaN on CUDA
    layer_is_right(&noise(4096, |x| x * 5e37), 1e-5);
    layer_is_right(&noise(4096, |x| x * 1e-38), 0.0);
}

#[test]
fn rows_around_1449() {
    layer_is_right(&noise(64, |x| x + 1449.0), 1e-5); // mlx#2238
    layer_is_right(&[1448.0, 1449.0, 1450.0], 1e-5);
}

#[test]
fn a_group_of_many_uniform_numbers() {
    // pytorch#54293: 3.8e7 numbers in [0, 1) in one group; the float32 mean and variance drift.
    let mut state = 3u64;
    let input: Vec<f32> = (0..38_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 24) as f32
        })
        .collect();
    let bytes = input.iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensor = Tensor::from_bytes(DType::F32, vec![1, 2, 19_000_000], bytes).expect("one number for each element");
    let spec = Normalization { groups: 1, ..Normalization::new(NormKind::Group) };
    let worst = worst_ulp(&input, &run(&spec, &tensor), 1e-5);
    assert!(worst <= 0.51, "the worst error is {worst} ulp");
}

#[test]
fn constant_rows_become_zero() {
    for x in [0.0, 0.1, -3e38, 1e-45] {
        let got = run(&Normalization::new(NormKind::Layer), &tensor(DType::F32, &[1000], &[x; 1000]));
        assert!(got.iter().all(|&y| y == 0.0), "{x}: {}", got[0]);
    }
}

#[test]
fn a_nan_or_an_infinity_makes_its_own_row_nan() {
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let input = tensor(DType::F32, &[2, 3], &[1.0, x, 2.0, 1.0, 2.0, 3.0]);
        let got = run(&Normalization::new(NormKind::Layer), &input);
        assert!(got[..3].iter().all(|y| y.is_nan()) && got[3..].iter().all(|y| y.is_finite()));
    }
}

/// Statistics do not hide what their set holds.
#[test]
fn statistics_of_what_is_not_finite_are_not_finite() {
    for (x, mean) in [(f64::NAN, f64::NAN), (f64::INFINITY, f64::INFINITY), (f64::NEG_INFINITY, f64::NEG_INFINITY)] {
        let input = tensor(DType::F32, &[4], &[1.0, x, 2.0, 3.0]);
        let spec = Normalization::new(NormKind::Layer);
        let got = normalize(&spec, &NormParameters::default(), input.view(), true, &Uninterrupted).expect("valid");
        let value = |tensor: Option<Tensor>| tensor.expect("asked for").view().to_f64()[0];
        let got_mean = value(got.mean);
        assert!(got_mean == mean || got_mean.is_nan() && mean.is_nan(), "{x}: {got_mean}");
        assert!(value(got.rstd).is_nan(), "{x}");
    }
}

#[test]
fn the_sign_of_zero_survives_rms() {
    let got = run(&Normalization::new(NormKind::Rms), &tensor(DType::F32, &[2], &[-0.0, 1.0]));
    assert!(got[0] == 0.0 && got[0].is_sign_negative());
}
