//! Data on which other implementations are known to lose digits, and data like it. Tests name the issue of the other
//! library where there is one; those of clipping, burn#5699 and fairscale#263, are in `clip.rs`.

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor, Uninterrupted, normalize};

use super::{
    big::Big,
    case::{Case, tensor},
    normalize::check,
    ulp::ulp,
};

fn noise(len: usize, map: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // The sum of twelve uniform numbers is normal enough for these tests.
    (0..len).map(|_| map((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).collect()
}

/// Layer normalization of one row and its gradients, against the exact result, within [`Limit::of`] the dtype.
///
/// [`Limit::of`]: super::ulp::Limit::of
fn layer_is_right(dtype: DType, input: &[f64], eps: f64) {
    let grad_output: Vec<f64> = (0..input.len()).map(|i| (i as f64 * 0.7).sin() + 0.25).collect();
    let case = Case {
        spec: Normalization { eps: Some(eps), momentum: Some(0.1), ..Normalization::new(NormKind::Layer) },
        input: tensor(dtype, &[input.len()], input),
        grad_output: tensor(dtype, &[input.len()], &grad_output),
        weight: None,
        bias: None,
        running: None,
    };
    check(&case).unwrap_or_else(|error| panic!("{error}"));
}

fn is_right(input: &[f64], eps: f64) {
    layer_is_right(DType::F32, input, eps);
    layer_is_right(DType::F64, input, eps);
}

#[test]
fn consecutive_numbers_far_from_zero() {
    is_right(&[40000.0, 40001.0, 40002.0, 40003.0], 1e-5); // onnxruntime#28463: NaN
}

#[test]
fn a_small_spread_around_a_hundred() {
    is_right(&noise(32_768, |x| x * 0.01 + 100.0), 1e-5); // pytorch#40302
}

#[test]
fn a_small_tensor_around_two_thousand() {
    is_right(&noise(20, |x| x + 2000.0), 1e-5); // pytorch#51102
}

#[test]
fn an_offset_of_a_million_spreads() {
    is_right(&noise(10_000, |x| x + 1e6), 1e-5);
}

/// Elements that are a few 10^-5 spreads from a mean that is a million spreads from zero and is not a float64.
#[test]
fn elements_next_to_a_distant_mean() {
    for pairs in 500..510 {
        let mut input = vec![1e6, 1e6, 1e6 + 0.0625];
        (0..pairs)
            .for_each(|pair| input.extend([1.0, -1.0].map(|sign| 1e6 + sign * (f64::from(pair % 7) - 3.0) / 2.0)));
        is_right(&input, 1e-5);
    }
}

#[test]
fn magnitudes_near_the_ends_of_float32() {
    is_right(&noise(4096, |x| x * 1e30), 1e-5); // pytorch#162489: zeros on CPU, NaN on CUDA
    is_right(&noise(4096, |x| x * 5e37), 1e-5);
    is_right(&noise(4096, |x| x * 1e-38), 0.0);
}

#[test]
fn rows_around_1449() {
    is_right(&noise(64, |x| x + 1449.0), 1e-5); // mlx#2238
    is_right(&[1448.0, 1449.0, 1450.0], 1e-5);
}

/// Sets that end before, at and after the block lengths of the loops, up to sets of several pieces.
#[test]
fn rows_of_every_kind_of_length() {
    for len in [1, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 16_383, 16_384, 16_385] {
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            layer_is_right(dtype, &noise(len, |x| x + 3.0), 1e-5);
        }
    }
}

/// The squares are those of the differences from the first element.
#[test]
fn a_first_element_far_from_the_others() {
    for distance in [0.5, 7.9, 8.1, 100.0, 1e6, 1e30, -3e38] {
        let mut input = noise(1000, |x| x);
        input[0] = distance;
        layer_is_right(DType::F32, &input, 1e-5);
        layer_is_right(DType::F32, &noise(1000, |x| x / distance + distance), 1e-5);
        layer_is_right(DType::Bf16, &input, 1e-5);
        layer_is_right(DType::Bf16, &noise(1000, |x| x / distance + distance), 1e-5);
    }
}

/// Powers of two so far apart that their sum has as many bits as float64, or a few more or less.
#[test]
fn ranges_at_the_end_of_plain_sums() {
    for len in [300, 1024] {
        for power in 17..23 {
            let small = 2f64.powi(-power) * (1.0 + 2f64.powi(-23));
            let mut input = noise(len, |x| x);
            input[len / 2] = small;
            input[len - 1] = -1.99;
            layer_is_right(DType::F32, &input, 1e-5);
        }
    }
}

#[test]
fn subnormal_rows() {
    layer_is_right(DType::F32, &noise(300, |x| x * 1e-41), 0.0);
    layer_is_right(DType::F32, &noise(300, |x| if x > 1.0 { x } else { x * 1e-42 }), 1e-5);
}

/// The mean comes from the smallest element alone, since the others cancel.
#[test]
fn a_mean_that_large_elements_leave() {
    let row = [1e38, 1e21, 1e4, -1e38, -1e21];
    for dtype in [DType::F32, DType::F64] {
        let input = tensor(dtype, &[1, 5], &row);
        let none = NormParameters::default();
        let got = normalize(&Normalization::new(NormKind::Layer), &none, input.view(), true, &Uninterrupted);
        assert_eq!(got.expect("valid").mean.expect("asked for").view().to_f64(), [2000.0], "{dtype}");
    }
    is_right(&row, 1e-5);
}

/// Large elements that cancel, along every path through the kernels: in rows and columns, in one piece and in several,
/// and in tiles.
#[test]
fn large_elements_that_cancel_in_every_layout() {
    let batch = |shape: &[usize]| (NormKind::Batch, shape.to_vec());
    let layer = |shape: &[usize]| (NormKind::Layer, shape.to_vec());
    let layouts = [
        batch(&[7, 1]),
        batch(&[7, 2]),
        batch(&[9, 300]),
        batch(&[5000, 3]),
        batch(&[20, 3, 50]),
        batch(&[2, 3, 9000]),
        layer(&[3, 7]),
        layer(&[5, 300]),
        layer(&[2, 5000]),
        layer(&[2, 17_000]),
        (NormKind::Instance, vec![2, 3, 40, 5]),
        (NormKind::Rms, vec![3, 300]),
        (NormKind::L2, vec![3, 300]),
        (NormKind::L2, vec![3, 70, 9]),
    ];
    for (kind, shape) in layouts {
        let len: usize = shape.iter().product();
        for dtype in [DType::F32, DType::F64, DType::Bf16] {
            for large in [1e37, 1e18, 3e30 * 7.0, -2e12] {
                let mut input = noise(len, |x| x + 7.0);
                // A pair in each set, wherever its elements lie: at the same distance from both ends.
                for i in 0..len / 3 {
                    let opposite = len - 1 - i;
                    let is_large = i % 3 < 2;
                    (input[i], input[opposite]) = if is_large { (large, -large) } else { (input[i], input[opposite]) };
                }
                let grad_output: Vec<f64> = (0..len).map(|i| (i as f64 * 0.7).sin() + 0.25).collect();
                let case = Case {
                    spec: Normalization { eps: Some(1e-5), momentum: Some(0.1), ..Normalization::new(kind) },
                    input: tensor(dtype, &shape, &input),
                    grad_output: tensor(dtype, &shape, &grad_output),
                    weight: None,
                    bias: None,
                    running: None,
                };
                check(&case).unwrap_or_else(|error| panic!("{kind:?} {shape:?} {dtype} {large}: {error}"));
            }
        }
    }
}

/// Float64 has too many numbers next to the mean for a check by the dtype alone, so the elements are compared with the
/// mean.
#[test]
fn one_small_element_in_columns_of_float64() {
    let input: Vec<f64> = [[1e37; 3], [-1e37; 3]].concat().into_iter().chain([7.0]).collect();
    let case = Case {
        spec: Normalization { eps: Some(1e-5), momentum: Some(0.1), ..Normalization::new(NormKind::Batch) },
        input: tensor(DType::F64, &[7, 1], &input),
        grad_output: tensor(DType::F64, &[7, 1], &[1.0, -2.0, 3.0, 0.5, 0.25, -1.0, 1.0]),
        weight: None,
        bias: None,
        running: None,
    };
    check(&case).unwrap_or_else(|error| panic!("{error}"));
    layer_is_right(DType::F64, &input, 1e-5);
}

/// Float64 sets whose squares or sums leave float64's range, beside other sets, forward and backward.
#[test]
fn magnitudes_near_the_ends_of_float64() {
    let scales = [1e308, 2e155, 1e150, 1e-145, 1e-165, 3e-310, 2e-322];
    for (kind, shape) in [
        (NormKind::Layer, vec![3, 40]),
        (NormKind::Layer, vec![9, 700]),
        (NormKind::Rms, vec![3, 40]),
        (NormKind::L2, vec![3, 40]),
        (NormKind::L2, vec![2, 40, 3]),
        (NormKind::Batch, vec![40, 3]),
        (NormKind::Batch, vec![5, 3, 700]),
        (NormKind::Group, vec![2, 4, 30]),
    ] {
        for (round, &scale) in scales.iter().enumerate() {
            for eps in [0.0, 1e-5, 1e-300] {
                if eps == 0.0 && matches!(kind, NormKind::Batch) {
                    continue;
                }
                let len: usize = shape.iter().product();
                let other = scales[(round + 3) % scales.len()];
                let numbers = noise(len, |x| x / 7.0);
                // Every third set of rows, or every third column, is of another scale; the last is of one number.
                let width = shape[shape.len() - 1];
                let input: Vec<f64> = numbers
                    .iter()
                    .enumerate()
                    .map(|(i, &x)| match (kind, i / width % 3, i % 3) {
                        (NormKind::Batch, _, 1) if shape.len() == 2 => x * other,
                        (NormKind::Layer | NormKind::Rms | NormKind::L2, 1, _) => x * other,
                        (NormKind::Layer, 2, _) if eps > 0.0 => scale,
                        _ => x * scale,
                    })
                    .collect();
                let grad_output: Vec<f64> = (0..len).map(|i| (i as f64 * 0.7).sin() + 0.25).collect();
                let weights = if kind.has_channels() { shape[1] } else { width };
                let weight: Vec<f64> = (0..weights).map(|i| 0.5 + i as f64 / 8.0).collect();
                let spec = Normalization {
                    eps: Some(eps),
                    momentum: Some(0.1),
                    groups: if kind == NormKind::Group { 2 } else { 0 },
                    ..Normalization::new(kind)
                };
                let case = Case {
                    spec,
                    input: tensor(DType::F64, &shape, &input),
                    grad_output: tensor(DType::F64, &shape, &grad_output),
                    weight: kind.has_affine().then(|| tensor(DType::F64, &[weights], &weight)),
                    bias: None,
                    running: None,
                };
                check(&case).unwrap_or_else(|error| panic!("{kind:?} {shape:?} {scale} eps {eps}: {error}"));
            }
        }
    }
}

#[test]
fn a_group_of_many_uniform_numbers() {
    // pytorch#54293: 3.8e7 numbers in [0, 1) in one group; the float32 mean and variance drift.
    const LEN: usize = 38_000_000;
    let mut state = 3u64;
    // In units of 2^-24, where sums of such numbers and of their squares are whole numbers.
    let input: Vec<u32> = (0..LEN)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as u32
        })
        .collect();
    let bytes = input.iter().flat_map(|&x| (x as f32 / (1u32 << 24) as f32).to_le_bytes()).collect();
    let tensor = Tensor::from_bytes(DType::F32, vec![1, 2, LEN / 2], bytes).expect("one number for each element");
    let spec = Normalization { groups: 1, ..Normalization::new(NormKind::Group) };
    let got = normalize(&spec, &NormParameters::default(), tensor.view(), false, &Uninterrupted).expect("valid").output;

    // y = (n x - S) / sqrt(n Q - S^2 + n^2 eps), with S the sum and Q the sum of squares.
    let n = LEN as i64;
    let sum: i64 = input.iter().map(|&x| i64::from(x)).sum();
    let squares: u128 = input.iter().map(|&x| u128::from(x) * u128::from(x)).sum();
    let big = |x: u128| &(&Big::from((x >> 64) as usize) * &Big::from(2f64.powi(64))) + &Big::from(x as u64 as usize);
    let eps = &Big::from(LEN).square() * &(&Big::from(1e-5) * &Big::from(2f64.powi(48)));
    let variance = &(&Big::from(LEN) * &big(squares)) - &Big::from(sum as usize).square();
    let root = (&variance + &eps).sqrt().to_f64();
    let worst = got.data().as_chunks().0.iter().zip(&input).fold(0.0, |worst: f64, (&got, &x)| {
        let exact = (n * i64::from(x) - sum) as f64 / root; // two roundings of float64
        worst.max((f64::from(f32::from_le_bytes(got)) - exact).abs() / ulp(DType::F32, exact.abs()))
    });
    assert!(worst <= 0.501, "the worst error is {worst} ulp");
}
