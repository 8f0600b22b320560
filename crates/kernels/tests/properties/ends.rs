//! Float64 sums, slopes and roots that leave the range of float64, or its normal numbers, on the way.

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor};

use super::{
    case::tensor,
    extremes::Given,
    in_place::{normalize_backward_in_both, normalize_in_both},
};

/// If `grad_output` is 0, the gradient of an element is a single product.
#[test]
fn gradients_whose_only_term_is_below_float64_on_the_way() {
    let layouts = |kind| {
        let row = (vec![1, 3], vec![]);
        if kind == NormKind::L2 { vec![row, (vec![3, 1], vec![0])] } else { vec![row] }
    };
    for kind in [NormKind::Rms, NormKind::L2] {
        for (input, grad_output, eps) in [
            ([1e-308, 3e-308, 0.0], [0.0, 1.0, 0.0], 1e-300),
            ([1e-308, 3e-308, 0.0], [0.0, 1.0, 0.0], 5e-324),
            ([1.5276e-319, 7.284_26e-319, 1.1e-308], [0.0, 0.0, 0.4], 5e-324),
            ([1e-60, 1e-200, 1e-200], [0.0, 0.0, 1e-60], 1e-300),
            ([3.3e-98, 1.49e-199, -2.2e-295], [0.0, 0.0, 3e-103], 1e-300),
            ([-4.66e-49, 6.55e-151, 0.0], [0.0, 9.7e-115, 0.0], 0.0),
            ([3e-164, 2e-160, 0.0], [0.0, 1.0, 0.0], 1e-300),
            ([1e-160, 2e-160, 0.0], [0.0, 1.0, 0.0], 2.2e-16),
            ([1e100, 1e-200, 1e-200], [0.0, 0.0, 1e120], 0.0),
            // Too small until it is scaled back.
            ([8.926e-229, 8.525e-240, 0.0], [-3.397e14, 0.0, 0.0], 2.7e-246),
            ([5.3e-258, -1e-229, 8.7e-251], [0.0, -3.6e13, 1.5e27], 3.1e-259),
        ] {
            for (shape, axes) in layouts(kind) {
                assert!(axes.is_empty() || kind == NormKind::L2);
                let given = Given { input: &input, grad_output: &grad_output, eps, ..Given::of(kind, &shape) };
                Given { axes: &axes, ..given }.is_right();
            }
        }
    }
}

/// Sets whose slopes are too small for float64 beside sets with other slopes: each set has its own.
#[test]
fn a_small_slope_belongs_to_its_own_set() {
    let input = [1e-308, 3e-308, 1.0, 2.0, 1e-308, 3e-308, 0.5, 0.25];
    let grad_output = [0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 1.0];
    for kind in [NormKind::Rms, NormKind::L2] {
        let given = Given { input: &input, grad_output: &grad_output, eps: 1e-300, ..Given::of(kind, &[4, 2]) };
        given.is_right();
    }
    let columns: Vec<f64> = (0..8).map(|i| input[i % 4 * 2 + i / 4]).collect();
    let of_columns: Vec<f64> = (0..8).map(|i| grad_output[i % 4 * 2 + i / 4]).collect();
    let given = Given { input: &columns, grad_output: &of_columns, eps: 1e-300, ..Given::of(NormKind::L2, &[2, 4]) };
    Given { axes: &[0], ..given }.is_right();
}

#[test]
fn sums_of_grad_output_that_only_parts_of_are_beyond_float64() {
    // The exact sums, computed in an order without rounding.
    for (grad_output, exact) in [
        (vec![1e308, 1e308, -1e308, -1e308], 0.0),
        (vec![1e308, 1e308, -1e308, -1.5e308], 1e308 - 1.5e308),
        (vec![-1e308, 1.7e308, -1.7e308], -1e308),
        (vec![-1e308, 9e307, -1.7e308, 1.7e308], 9e307 - 1e308),
        (vec![1.7e308, 1.7e308, 1.7e308, -1.7e308, -1.7e308, -1.7e308, 5.0, 7.0], 12.0),
    ] {
        let len = grad_output.len();
        for kind in [NormKind::Layer, NormKind::Batch, NormKind::Instance, NormKind::Group] {
            for dtype in [DType::F64, DType::F32] {
                let by_channel = kind.has_channels();
                let repeats = if by_channel { 1 } else { 2 };
                let is_sets = matches!(kind, NormKind::Layer | NormKind::Batch);
                let shape = if is_sets { vec![len, repeats] } else { vec![1, 1, len] };
                let repeat = |list: &[f64]| list.iter().flat_map(|&x| vec![x; repeats]).collect::<Vec<f64>>();
                let input: Vec<f64> = (0..len * repeats).map(|i| (i % 3) as f64).collect();
                let input = tensor(DType::F64, &shape, &input);
                let gradient = tensor(DType::F64, &shape, &repeat(&grad_output));
                let bias = tensor(dtype, &[if by_channel { 1 } else { 2 }], &vec![0.0; if by_channel { 1 } else { 2 }]);
                let groups = usize::from(kind == NormKind::Group);
                let spec = Normalization { groups, ..Normalization::new(kind) };
                let parameters = NormParameters { bias: Some(bias.view()), ..Default::default() };
                let got = normalize_backward_in_both(&spec, &parameters, input.view(), gradient.view());
                let got = got.expect("valid").grad_bias.expect("there is a bias");
                let expected = tensor(dtype, bias.shape(), &vec![exact; bias.view().len()]);
                assert_eq!(got.data(), expected.data(), "{kind:?} {dtype} {grad_output:?}: {:?}", got.view().to_f64());
            }
        }
    }
}

#[test]
fn a_bias_cancels_what_a_subnormal_running_variance_makes() {
    let input = [1.450_511_767_762_901_6, 1.598_176_596_180_985_3, 0.086_463_575_636_314_21];
    for kind in [NormKind::Batch, NormKind::Instance] {
        let shape: &[usize] = if kind == NormKind::Batch { &[3, 1] } else { &[1, 1, 3] };
        for (var, mean) in [(6.411_214_23e-310, -0.224_261_18), (2e-308, 0.3), (5e-324, 0.1), (3e-308, 0.3)] {
            let (mean, var) = ([mean], [var]);
            let given = Given { eps: 0.0, training: Some(false), ..Given::of(kind, shape) };
            let given = Given { input: &input, running: Some((&mean, &var)), ..given };
            let bias = [-(input[0] - mean[0]) / f64::sqrt(var[0])];
            Given { bias: Some(&bias), ..given }.is_right();
            Given { weight: Some(&[1.0]), grad_output: &[1.0, 0.5, 0.25], ..given }.is_right();
        }
    }
}

/// A float64 weight beside elements of fewer bits.
#[test]
fn float64_gradients_of_weights_beside_narrower_elements() {
    for (dtype, input, grad_output) in [
        (
            DType::F32,
            [0.763_680_219_650_268_6, 0.794_649_183_750_152_6, -0.789_036_571_979_522_7],
            0.692_970_812_320_709_2,
        ),
        (DType::Bf16, [-2.09375, -1.25, 0.451_171_875], 0.93359375),
        (
            DType::F32,
            [1.725_137_948_989_868_2, -0.302_164_316_177_368_16, 0.709_278_583_526_611_3],
            0.383_439_630_270_004_3,
        ),
    ] {
        for place in 0..3 {
            let mut gradient = [0.0; 3];
            gradient[place] = grad_output;
            let given =
                Given { dtype, input: &input, grad_output: &gradient, ..Given::of(NormKind::Instance, &[1, 1, 3]) };
            Given { weight: Some(&[1.0]), ..given }.is_right();
            Given { kind: NormKind::Batch, shape: &[3, 1], weight: Some(&[1.0]), ..given }.is_right();
            let running = Some((&[0.1][..], &[0.7][..]));
            Given {
                kind: NormKind::Batch,
                shape: &[3, 1],
                weight: Some(&[1.0]),
                running,
                training: Some(false),
                ..given
            }
            .is_right();
            for kind in [NormKind::Layer, NormKind::Rms] {
                Given { kind, shape: &[1, 3], weight: Some(&[1.0; 3]), ..given }.is_right();
            }
        }
    }
    // The large elements cancel, and a pair of float64 cannot hold the sum on the way.
    let input = [1e30, 1.0, 1e-20, -1e30];
    let given = Given {
        dtype: DType::F32,
        input: &input,
        grad_output: &[0.0, 1.0, 0.0, 0.0],
        ..Given::of(NormKind::Instance, &[1, 1, 4])
    };
    Given { weight: Some(&[1.0]), eps: 1e-5, ..given }.is_right();
}

#[test]
fn subnormal_sets_beside_a_large_eps_and_a_large_weight() {
    for kind in [NormKind::Layer, NormKind::Rms] {
        for eps in [1.7e308, 1e300, 1e250, 1e180] {
            for weight in [1e298, 1e306, 1e200] {
                let input = [3.5e-310, 0.0, 3e-322];
                Given { input: &input, eps, weight: Some(&[weight; 3]), ..Given::of(kind, &[1, 3]) }.is_right();
            }
        }
    }
}

/// The first row of a normalization of one row, with `weight` everywhere.
fn row(kind: NormKind, eps: f64, input: &[f64], weight: f64) -> Tensor {
    let spec =
        Normalization { eps: Some(eps), groups: usize::from(kind == NormKind::Group), ..Normalization::new(kind) };
    let len = input.len();
    // For groups, the elements are channels.
    let weight = tensor(DType::F64, &[len], &vec![weight; len]);
    let parameters = NormParameters { weight: Some(weight.view()), ..Default::default() };
    normalize_in_both(&spec, &parameters, tensor(DType::F64, &[1, len], input).view()).expect("valid").output
}

#[test]
fn a_constant_row_without_eps_is_nan_beside_any_weight() {
    for x in [3.0, 1e100, 1e155, 1e200, -1.7e308, 1e-200, 1e-310] {
        for weight in [1.0, 1e95, -1e300] {
            for kind in [NormKind::Layer, NormKind::Group] {
                let got = row(kind, 0.0, &[x; 3], weight).view().to_f64();
                assert!(got.iter().all(|y| y.is_nan()), "{kind:?} {x:e} {weight:e}: {got:?}");
            }
        }
    }
}

#[test]
fn a_zero_has_the_same_sign_beside_any_weight() {
    for weight in [1.0, 1e80, 1e107, 1e300] {
        for (weight, side) in [(weight, 1.0), (-weight, -1.0)] {
            for x in [2.0, 1e-200, 1e150] {
                let got = row(NormKind::Rms, 1e-5, &[-x, f64::INFINITY, x], weight).view().to_f64();
                let signs = [got[0], got[2]].map(|y| (y, y.is_sign_negative()));
                assert_eq!(signs, [(0.0, side > 0.0), (0.0, side < 0.0)], "{x:e} {weight:e}");
            }
            let got = row(NormKind::Rms, 1e-5, &[-0.0, 1.0], weight).view().to_f64();
            assert_eq!((got[0], got[0].is_sign_negative()), (0.0, side > 0.0), "{weight:e}");
        }
    }
}
