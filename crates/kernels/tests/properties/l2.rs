//! Properties of L2 normalization alone: its norm is compared with eps.

use evenkeel_kernels::{DType, Error, NormKind, NormParameters, Normalization, Tensor};
use proptest::prelude::*;

use super::{
    big::Big,
    case::{Case, Numbers, cases_of, only, tensor, wide_numbers},
    in_place::{normalize_backward_in_both, normalize_in_both},
    normalize::check,
};

fn case_of(dtype: DType, input: &[f64], grad_output: &[f64], eps: f64) -> Case {
    let shape = [1, input.len()];
    Case {
        spec: Normalization { eps: Some(eps), momentum: Some(0.1), ..Normalization::new(NormKind::L2) },
        input: tensor(dtype, &shape, input),
        grad_output: tensor(dtype, &shape, grad_output),
        weight: None,
        bias: None,
        running: None,
    }
}

fn wave(len: usize) -> Vec<f64> {
    (0..len).map(|i| (i as f64 * 0.7).sin() + 0.25).collect()
}

/// Output and gradient of one row.
fn both(dtype: DType, input: &[f64], grad_output: &[f64], eps: f64) -> [Vec<f64>; 2] {
    let Case { spec, input, grad_output, .. } = case_of(dtype, input, grad_output, eps);
    let none = NormParameters::default();
    let forward = normalize_in_both(&spec, &none, input.view()).expect("valid");
    let backward = normalize_backward_in_both(&spec, &none, input.view(), grad_output.view()).expect("valid");
    [forward.output.view().to_f64(), backward.grad_input.view().to_f64()]
}

/// Results of `torch.nn.functional.normalize` and its autograd, in float64.
#[test]
fn what_pytorch_answers() {
    let [output, gradient] = both(DType::F64, &[3.0, 4.0], &[1.0, 2.0], 1e-12);
    assert_eq!(output, [0.6, 0.8]);
    assert!((gradient[0] + 0.064).abs() < 1e-17 && (gradient[1] - 0.048).abs() < 1e-17, "{gradient:?}");
    assert_eq!(both(DType::F64, &[3.0, 4.0], &[1.0, 2.0], 10.0), [[0.3, 0.4], [0.1, 0.2]]);
    assert_eq!(both(DType::F64, &[0.0, -0.0], &[1.0, 2.0], 0.5), [[0.0, -0.0], [2.0, 4.0]]);
}

/// `clamp_min` passes the gradient of a norm that equals eps; with an eps one ulp larger the gradient is another.
#[test]
fn the_gradient_jumps_past_a_norm_of_eps() {
    for dtype in DType::ALL {
        let of = |eps| both(dtype, &[3.0, 4.0], &[3.0, 4.0], eps)[1].clone();
        // `grad_output` is along the input, so the gradient is 0 unless elements are divided by eps.
        assert!(of(5.0)[0].abs() < 1e-15, "{dtype}");
        assert!(of(5f64.next_down())[0].abs() < 1e-15, "{dtype}");
        assert!(of(5f64.next_up())[0] > 0.59, "{dtype}");
    }
}

/// The exact norm decides, in rows of any kind, in columns, and where the elements are scaled.
#[test]
fn norms_next_to_eps_are_compared_exactly() {
    for (dtype, scales) in [
        (DType::F32, [1.0, 1e30, 1e-30]),
        (DType::F64, [1.0, 1e200, 1e-250]),
        (DType::F16, [1.0, 100.0, 0.01]),
        (DType::Bf16, [1.0, 1e30, 1e-30]),
    ] {
        for scale in scales {
            for len in [2, 17, 300, 17_000] {
                let row: Vec<f64> = wave(len).into_iter().map(|x| x * scale).collect();
                let row = tensor(dtype, &[len], &row).view().to_f64();
                let norm = Big::sum(row.iter().map(|&x| Big::from(x).square())).sqrt().to_f64();
                for eps in [norm.next_down(), norm, norm.next_up()] {
                    let case = case_of(dtype, &row, &wave(len), eps);
                    check(&case).unwrap_or_else(|error| panic!("{len} of {dtype} around {scale}, eps {eps}: {error}"));
                    let mut columns = case.clone();
                    let twice = |values: &[f64]| values.iter().flat_map(|&x| [x, x / 2.0]).collect::<Vec<f64>>();
                    columns.input = tensor(dtype, &[1, len, 2], &twice(&row));
                    columns.grad_output = tensor(dtype, &[1, len, 2], &twice(&wave(len)));
                    check(&columns).unwrap_or_else(|error| panic!("{len} of {dtype}, columns, eps {eps}: {error}"));
                }
            }
        }
    }
}

/// An eps from the smallest number to the largest, beside zeros and elements of any size.
#[test]
fn an_eps_of_any_size() {
    for dtype in DType::ALL {
        for eps in [5e-324, 1e-310, 1e-160, 1e-12, 1.0, 1e160, 1e308, f64::MAX] {
            let zeros = case_of(dtype, &[0.0, -0.0, 0.0], &[0.0, -1.0, 0.0], eps);
            check(&zeros).unwrap_or_else(|error| panic!("zeros in {dtype}, eps {eps}: {error}"));
            let [output, _] = both(dtype, &[0.0, -0.0], &[0.0, 0.0], eps);
            assert!(output[0].to_bits() == 0 && output[1].to_bits() == (-0.0f64).to_bits(), "{dtype} eps {eps}");
            let scales: &[f64] = match dtype {
                DType::F64 => &[1.0, 1e-320, 1e-308, 1e-200, 1e200, 1e307],
                DType::F32 | DType::Bf16 => &[1.0, 1e-40, 1e38],
                DType::F16 => &[1.0, 1e-7, 6e4],
            };
            for scale in scales {
                for len in [3, 40] {
                    let row: Vec<f64> = wave(len).into_iter().map(|x| x / 2.0 * scale).collect();
                    let case = case_of(dtype, &row, &wave(len), eps);
                    check(&case).unwrap_or_else(|error| panic!("{dtype} around {scale}, eps {eps}: {error}"));
                }
            }
        }
    }
}

/// In sets that are divided by eps, gradients that are not finite affect only their own elements, as in autograd.
#[test]
fn below_eps_a_gradient_is_by_itself() {
    for dtype in DType::ALL {
        let grad = [f64::INFINITY, 1.0, f64::NAN, -2.0];
        let [_, gradient] = both(dtype, &[0.5, 0.25, -0.5, 0.0], &grad, 2.0);
        assert_eq!(format!("{gradient:?}"), "[inf, 0.5, NaN, -1.0]", "{dtype}");
    }
}

#[test]
fn zeros_without_eps_are_nan() {
    for dtype in DType::ALL {
        let results = both(dtype, &[0.0, -0.0], &[1.0, 0.0], 0.0);
        assert!(results.iter().flatten().all(|x| x.is_nan()), "{dtype} {results:?}");
    }
}

#[test]
fn infinite_elements_are_nan_and_the_others_zero() {
    for dtype in DType::ALL {
        let [output, gradient] = both(dtype, &[f64::INFINITY, 1.0, -1.0], &[1.0; 3], 1e-12);
        assert_eq!(format!("{output:?}"), "[NaN, 0.0, -0.0]", "{dtype}");
        assert!(gradient.iter().all(|x| x.is_nan()), "{dtype} {gradient:?}");
    }
}

#[test]
fn it_has_no_parameters() {
    let input = tensor(DType::F32, &[2, 4], &[1.0; 8]);
    let four = tensor(DType::F32, &[4], &[1.0; 4]);
    let refused =
        |spec: &Normalization, parameters: NormParameters<'_>| match normalize_in_both(spec, &parameters, input.view())
        {
            Err(Error::Invalid(violations)) => only(&violations),
            other => panic!("it is not refused: {other:?}"),
        };
    let (spec, none, some) = (Normalization::new(NormKind::L2), NormParameters::default(), Some(four.view()));
    assert_eq!(refused(&spec, NormParameters { weight: some, ..none }), "weight");
    assert_eq!(refused(&spec, NormParameters { bias: some, ..none }), "bias");
    assert_eq!(refused(&spec, NormParameters { running_mean: some, ..none }), "running_mean");
    assert_eq!(refused(&Normalization { groups: 2, ..spec.clone() }, none), "groups");
    assert_eq!(refused(&Normalization { channel_axis: Some(1), ..spec.clone() }, none), "channel_axis");
    assert_eq!(refused(&Normalization { eps: Some(-1e-12), ..spec }, none), "eps");
}

#[test]
fn axis_one_is_pooled_and_the_only_one_of_a_vector() {
    for (shape, axes) in [(&[4][..], [0]), (&[3, 4], [1]), (&[2, 4, 3], [1]), (&[2, 4, 3, 5], [1])] {
        let input: Tensor = tensor(DType::F32, shape, &wave(shape.iter().product()));
        let got = normalize_in_both(&Normalization::new(NormKind::L2), &NormParameters::default(), input.view());
        let got = got.expect("valid");
        assert_eq!((got.axes, got.mean), (axes.to_vec(), None));
    }
}

/// Cases of all kinds, with the kind replaced by L2.
fn cases(numbers: Numbers) -> impl Strategy<Value = Case> {
    cases_of(DType::ALL.to_vec(), numbers).prop_map(|mut case| {
        let axes = super::oracle::pooled(&case.spec, case.input.shape()).into_iter().map(|axis| axis as i32).collect();
        case.spec = Normalization { axes, eps: case.spec.eps, momentum: Some(0.1), ..Normalization::new(NormKind::L2) };
        Case { weight: None, bias: None, running: None, ..case }
    })
}

/// Cases whose eps is next to the norm of a set.
fn near_a_norm() -> impl Strategy<Value = Case> {
    let dtypes = prop::sample::select(DType::ALL.to_vec());
    (dtypes, 1usize..40, 1usize..4, -2i32..3).prop_flat_map(|(dtype, len, columns, steps)| {
        let count = len * columns;
        (wide_numbers(dtype, count), wide_numbers(dtype, count)).prop_map(move |(input, grad)| {
            let shape = [1, len, columns];
            let (input, grad_output) = (tensor(dtype, &shape, &input), tensor(dtype, &shape, &grad));
            let first = input.view().to_f64().into_iter().step_by(columns);
            let norm = Big::sum(first.map(|x| Big::from(x).square())).sqrt().to_f64();
            let eps = (0..steps.abs()).fold(norm, |eps, _| if steps < 0 { eps.next_down() } else { eps.next_up() });
            let mut case = case_of(dtype, &[0.0], &[0.0], eps.max(0.0));
            (case.input, case.grad_output) = (input, grad_output);
            case
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn it_is_its_definition(case in prop_oneof![cases(Numbers::Ordinary), cases(Numbers::Wide), near_a_norm()]) {
        check(&case)?;
    }

    #[test]
    fn large_elements_that_cancel_take_nothing_of_the_others(
        case in cases(Numbers::Cancelling).prop_filter("large elements may be infinite in a half type", |case| {
            [&case.input, &case.grad_output].iter().all(|it| it.view().to_f64().iter().all(|x| x.is_finite()))
        }),
    ) {
        check(&case)?;
    }
}
