//! NaN, infinities, zeros and subnormal numbers in normalization: rows of the tables in `docs/numerics.md`, for every
//! dtype. Rows about eps of L2 are tested in `l2.rs`, those about empty tensors in `normalize.rs`, those about dropout
//! and clipping in `dropout.rs`, `clip.rs` and `clip_extremes.rs`.

use evenkeel_kernels::{DType, NormGradients, NormKind, NormParameters, Normalization, Normalized, Tensor};

use super::{
    case::tensor,
    in_place::{normalize_backward_in_both, normalize_in_both},
};

const CENTRED: [NormKind; 4] = [NormKind::Batch, NormKind::Layer, NormKind::Instance, NormKind::Group];
const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn spec(kind: NormKind) -> Normalization {
    // Batch statistics with the channels first, so that two rows are two sets for every kind.
    let channel_axis = if kind == NormKind::Batch { Some(0) } else { None };
    let axes = if kind == NormKind::L2 { vec![-1] } else { Vec::new() };
    Normalization { axes, groups: usize::from(kind == NormKind::Group), channel_axis, ..Normalization::new(kind) }
}

fn forward(spec: &Normalization, parameters: &NormParameters<'_>, input: &Tensor) -> Normalized {
    normalize_in_both(spec, parameters, input.view()).expect("valid")
}

fn backward(spec: &Normalization, parameters: &NormParameters<'_>, input: &Tensor, grad: &Tensor) -> NormGradients {
    normalize_backward_in_both(spec, parameters, input.view(), grad.view()).expect("valid")
}

/// Two rows, of shape (2, 1, n); each is a set.
fn two_rows(dtype: DType, first: &[f64], second: &[f64]) -> Tensor {
    tensor(dtype, &[2, 1, first.len()], &[first, second].concat())
}

/// Checks numbers to the bit: the sign of zeros counts, and NaN must be canonical.
#[track_caller]
fn assert_bits(what: &str, got: &Tensor, expected: &[f64]) {
    assert_eq!(got.data(), tensor(got.dtype(), got.shape(), expected).data(), "{what}: {:?}", got.view().to_f64());
}

/// As [`assert_bits`], for the first row. The other row must have the bits of the other row of `other`.
#[track_caller]
fn assert_first_row(what: &str, got: &Tensor, expected: &[f64], other: &Tensor) {
    let row = got.data().len() / 2;
    let first = Tensor::from_bytes(got.dtype(), vec![expected.len()], got.data()[..row].to_vec()).expect("a row");
    assert_bits(what, &first, expected);
    assert_eq!(got.data()[row..], other.data()[row..], "{what}: the other row");
}

#[test]
fn what_is_not_finite_spoils_its_own_set() {
    for dtype in DType::ALL {
        for kind in NormKind::ALL {
            for bad in NOT_FINITE {
                let what = format!("{kind:?} {dtype} {bad}");
                let none = NormParameters::default();
                let good = two_rows(dtype, &[1.0, 2.0, -3.0], &[1.0, 2.0, 4.0]);
                let spoilt = two_rows(dtype, &[1.0, bad, -3.0], &[1.0, 2.0, 4.0]);
                let expected = forward(&spec(kind), &none, &good);
                let got = forward(&spec(kind), &none, &spoilt);
                let is_divided = !kind.is_centred() && bad.is_infinite();
                let row = if is_divided { [0.0, f64::NAN, -0.0] } else { [f64::NAN; 3] };
                assert_first_row(&what, &got.output, &row, &expected.output);
                // The returned statistics show elements that are not finite.
                let rstd = if is_divided { 0.0 } else { f64::NAN };
                assert_first_row(&what, &got.rstd.expect("asked for"), &[rstd], &expected.rstd.expect("asked for"));
                if let (Some(got), Some(expected)) = (got.mean, expected.mean) {
                    assert_first_row(&what, &got, &[bad], &expected);
                }
                let expected = backward(&spec(kind), &none, &good, &good).grad_input;
                for (input, grad) in [(&spoilt, &good), (&good, &spoilt)] {
                    let got = backward(&spec(kind), &none, input, grad).grad_input;
                    assert_first_row(&what, &got, &[f64::NAN; 3], &expected);
                }
            }
        }
    }
}

#[test]
fn wherever_it_is_in_its_row() {
    let row: Vec<f64> = (0..300).map(|i| f64::from(i % 17) - 7.5).collect();
    for dtype in DType::ALL {
        let alone = forward(&spec(NormKind::Layer), &NormParameters::default(), &two_rows(dtype, &row, &row)).output;
        for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in [0, 15, 16, 255, 256, 298, 299] {
                let mut spoilt = row.clone();
                spoilt[place] = special;
                let input = two_rows(dtype, &spoilt, &row);
                let got = forward(&spec(NormKind::Layer), &NormParameters::default(), &input).output;
                assert_first_row(&format!("{special} at {place}, {dtype}"), &got, &[f64::NAN; 300], &alone);
            }
        }
    }
}

#[test]
fn with_running_statistics_it_spoils_itself_alone() {
    for dtype in DType::ALL {
        for bad in NOT_FINITE {
            let (mean, var) = (tensor(dtype, &[1], &[1.0]), tensor(dtype, &[1], &[4.0]));
            let weight = tensor(dtype, &[1], &[-2.0]);
            let running = NormParameters {
                running_mean: Some(mean.view()),
                running_var: Some(var.view()),
                weight: Some(weight.view()),
                ..NormParameters::default()
            };
            let spec = Normalization { eps: Some(0.0), channel_axis: Some(0), ..Normalization::new(NormKind::Batch) };
            let row = tensor(dtype, &[1, 3], &[1.0, bad, 5.0]);
            let good = tensor(dtype, &[1, 3], &[1.0, 2.0, 3.0]);
            assert_bits("output", &forward(&spec, &running, &row).output, &[-0.0, -bad, -4.0]);
            let got = backward(&spec, &running, &good, &row);
            assert_bits("grad_input", &got.grad_input, &[-1.0, -bad, -5.0]);
            let got = backward(&spec, &running, &row, &good);
            assert_bits("grad_input", &got.grad_input, &[-1.0, -2.0, -3.0]);
            assert_bits("grad_weight", &got.grad_weight.expect("asked for"), &[bad]);
            // Running statistics that are updated take the element in.
            let training = Normalization { training: Some(true), eps: None, ..spec };
            let got = forward(&training, &running, &row);
            assert_bits("running_mean", &got.running_mean.expect("updated"), &[bad]);
            assert_bits("running_var", &got.running_var.expect("updated"), &[f64::NAN]);
        }
    }
}

#[test]
fn running_variances_of_any_kind() {
    for dtype in DType::ALL {
        let spec = Normalization { channel_axis: Some(0), ..Normalization::new(NormKind::Batch) };
        let mean = tensor(dtype, &[2], &[0.0; 2]);
        let var = tensor(dtype, &[2], &[-1.0, f64::INFINITY]);
        let running = NormParameters {
            running_mean: Some(mean.view()),
            running_var: Some(var.view()),
            ..NormParameters::default()
        };
        let input = tensor(dtype, &[2, 2], &[1.0, 2.0, -1.0, f64::INFINITY]);
        assert_bits("output", &forward(&spec, &running, &input).output, &[f64::NAN, f64::NAN, -0.0, f64::NAN]);
    }
}

#[test]
fn constant_rows_become_the_bias() {
    for dtype in DType::ALL {
        for kind in CENTRED {
            for x in [0.0, 0.1, -3e4, 7e-6, 1.0 / 3.0, 12345.6] {
                // Of many lengths, on which the rounding error of the mean depends.
                for len in [2, 3, 7, 100, 1000] {
                    let what = format!("{len} times {x} in {dtype}, {kind:?}");
                    let input = two_rows(dtype, &vec![x; len], &vec![x; len]);
                    let got = forward(&spec(kind), &NormParameters::default(), &input).output;
                    assert!(got.view().to_f64().iter().all(|&y| y == 0.0), "{what}");
                    let channels = if kind == NormKind::Batch { 2 } else { 1 };
                    let places = if kind.has_channels() { channels } else { len };
                    let bias = tensor(dtype, &[places], &vec![1.5; places]);
                    let parameters = NormParameters { bias: Some(bias.view()), ..NormParameters::default() };
                    assert_bits(&what, &forward(&spec(kind), &parameters, &input).output, &vec![1.5; 2 * len]);
                    let got = backward(&spec(kind), &parameters, &input, &input);
                    assert!(got.grad_input.view().to_f64().iter().all(|dx| dx.is_finite()), "{what}");
                }
            }
        }
    }
}

#[test]
fn no_spread_and_no_eps_is_nan() {
    for dtype in DType::ALL {
        for kind in [NormKind::Layer, NormKind::Rms, NormKind::Group, NormKind::L2] {
            let spec = Normalization { eps: Some(0.0), ..spec(kind) };
            let x = if kind.is_centred() { 2.5 } else { 0.0 };
            let input = two_rows(dtype, &[x; 4], &[1.0, 2.0, 3.0, 4.0]);
            let none = NormParameters::default();
            let got = forward(&spec, &none, &input);
            assert_first_row("output", &got.output, &[f64::NAN; 4], &got.output);
            assert_eq!(got.rstd.expect("asked for").view().to_f64()[0], f64::INFINITY);
            assert!(got.output.view().to_f64()[4..].iter().all(|y| y.is_finite()));
            let got = backward(&spec, &none, &input, &two_rows(dtype, &[1.0; 4], &[1.0; 4])).grad_input;
            assert_first_row("grad_input", &got, &[f64::NAN; 4], &got);
        }
    }
}

#[test]
fn zeros_keep_their_sign() {
    for dtype in DType::ALL {
        for kind in NormKind::ALL {
            let input = two_rows(dtype, &[-0.0; 3], &[-0.0; 3]);
            let of_channels = if kind == NormKind::Batch { 2 } else { 1 };
            let places = if kind.has_channels() { of_channels } else { 3 };
            let bias = tensor(dtype, &[places], &vec![0.0; places]);
            let none = NormParameters::default();
            assert_bits(&format!("{kind:?} {dtype}"), &forward(&spec(kind), &none, &input).output, &[-0.0; 6]);
            if kind.has_affine() {
                let parameters = NormParameters { bias: Some(bias.view()), ..none };
                assert_bits(&format!("{kind:?} {dtype}"), &forward(&spec(kind), &parameters, &input).output, &[0.0; 6]);
            }
        }
        let got = forward(&spec(NormKind::Rms), &NormParameters::default(), &tensor(dtype, &[2], &[-0.0, 1.0])).output;
        let zero = got.view().to_f64()[0];
        assert!(zero == 0.0 && zero.is_sign_negative(), "{dtype}");
    }
}

#[test]
fn one_value_is_its_bias() {
    for dtype in DType::ALL {
        let (input, bias) = (tensor(dtype, &[2, 1], &[7.0, -3.0]), tensor(dtype, &[1], &[0.5]));
        let parameters = NormParameters { bias: Some(bias.view()), ..NormParameters::default() };
        assert_bits("layer", &forward(&spec(NormKind::Layer), &parameters, &input).output, &[0.5, 0.5]);
        let exact = Normalization { eps: Some(0.0), ..spec(NormKind::Rms) };
        assert_bits("rms", &forward(&exact, &NormParameters::default(), &input).output, &[1.0, -1.0]);
    }
}

#[test]
fn weights_that_are_not_finite_act_in_their_places() {
    for dtype in DType::ALL {
        let spec = Normalization { eps: Some(0.0), ..spec(NormKind::Layer) };
        let input = tensor(dtype, &[4], &[1.0, 1.0, -1.0, -1.0]);
        let weight = tensor(dtype, &[4], &[1.0, f64::INFINITY, f64::NAN, 1.0]);
        let bias = tensor(dtype, &[4], &[f64::NEG_INFINITY, 0.0, 0.0, 1.0]);
        let parameters =
            NormParameters { weight: Some(weight.view()), bias: Some(bias.view()), ..NormParameters::default() };
        let got = forward(&spec, &parameters, &input).output;
        assert_bits("output", &got, &[f64::NEG_INFINITY, f64::INFINITY, f64::NAN, 0.0]);
    }
}

#[test]
fn results_beyond_the_dtype_are_infinite() {
    for (dtype, largest) in [(DType::F16, 65504.0), (DType::Bf16, 3.3e38), (DType::F32, 3.4e38), (DType::F64, 1.7e308)]
    {
        let spec = Normalization { eps: Some(0.0), ..spec(NormKind::Layer) };
        let input = tensor(dtype, &[4], &[1.0, 0.0, 0.0, -1.0]); // the first is sqrt(2) spreads from the mean
        let weight = tensor(dtype, &[4], &[largest; 4]);
        let parameters = NormParameters { weight: Some(weight.view()), ..NormParameters::default() };
        let got = forward(&spec, &parameters, &input).output;
        assert_bits("output", &got, &[f64::INFINITY, 0.0, 0.0, f64::NEG_INFINITY]);
    }
}

/// Subnormal numbers are numbers: nothing is flushed to zero, coming in or going out.
#[test]
fn subnormal_numbers_count() {
    for (dtype, smallest) in
        [(DType::F16, 2f64.powi(-24)), (DType::Bf16, 2f64.powi(-133)), (DType::F32, 2f64.powi(-149))]
    {
        let spec = Normalization { eps: Some(0.0), ..spec(NormKind::Layer) };
        let none = NormParameters::default();
        let input = tensor(dtype, &[4], &[1.0, 1.0, 3.0, 3.0].map(|x| x * smallest));
        assert_bits("coming in", &forward(&spec, &none, &input).output, &[-1.0, -1.0, 1.0, 1.0]);
        let weight = tensor(dtype, &[4], &[smallest, 3.0 * smallest, smallest, 5.0 * smallest]);
        let parameters = NormParameters { weight: Some(weight.view()), ..none };
        let expected = [-1.0, -3.0, 1.0, 5.0].map(|x| x * smallest);
        assert_bits("going out", &forward(&spec, &parameters, &input).output, &expected);
    }
}
