//! Invariants of normalization, and how its results follow changes of the input.

use evenkeel_kernels::{
    DType, NormGradients, NormKind, NormParameters, Normalization, Normalized, Tensor, Uninterrupted, normalize,
};
use proptest::prelude::*;

use super::{
    case::{Case, Numbers, cases_of, dtypes, tensor},
    in_place::normalize_backward_in_both,
    ulp::ulp,
};

fn run(case: &Case) -> (Normalized, NormGradients) {
    let parameters = case.parameters();
    let (input, grad_output) = (case.input.view(), case.grad_output.view());
    let forward = normalize(&case.spec, &parameters, input, true, &Uninterrupted).expect("valid");
    let backward = normalize_backward_in_both(&case.spec, &parameters, input, grad_output).expect("valid");
    (forward, backward)
}

/// The tensor with `map` applied to each element; the results must be numbers of the dtype.
fn mapped(whole: &Tensor, map: impl Fn(f64) -> f64) -> Tensor {
    let values: Vec<f64> = whole.view().to_f64().into_iter().map(map).collect();
    tensor(whole.dtype(), whole.shape(), &values)
}

/// Cases without running statistics, with an eps of 0 where that is allowed.
fn scalable() -> impl Strategy<Value = Case> {
    cases_of(vec![DType::F32, DType::F64, DType::Bf16], Numbers::Ordinary)
        .prop_filter("own statistics", |case| case.running.is_none() || case.spec.training == Some(true))
        .prop_map(|mut case| {
            if !case.spec.kind.has_running_statistics() {
                case.spec.eps = Some(0.0);
            }
            case
        })
}

/// Rows of whole numbers, a power of two of them, whose sums and mean are exact.
fn whole_numbers() -> impl Strategy<Value = (Case, f64)> {
    let kinds = prop::sample::select(vec![NormKind::Layer, NormKind::Instance, NormKind::Group, NormKind::Batch]);
    let dtypes = prop::sample::select(vec![DType::F32, DType::F64]);
    (kinds, dtypes, 1usize..4, 0u32..9, 1.0..1e6f64).prop_flat_map(|(kind, dtype, rows, power, shift)| {
        let shape = if kind == NormKind::Batch { vec![2, rows, 1 << power] } else { vec![rows, 1, 2 << power] };
        let len: usize = shape.iter().product();
        let spec = Normalization { groups: usize::from(kind == NormKind::Group), ..Normalization::new(kind) };
        let numbers = move || prop::collection::vec(-1000i32..1000, len);
        (numbers(), numbers()).prop_map(move |(input, grad_output)| {
            let tensor = |values: Vec<i32>| {
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                tensor(dtype, &shape, &values)
            };
            let (input, grad_output) = (tensor(input), tensor(grad_output));
            (Case { spec: spec.clone(), input, grad_output, weight: None, bias: None, running: None }, shift.round())
        })
    })
}

/// A tensor of `rows` slices of its first axis, in another order.
fn permuted(whole: &Tensor, order: &[usize]) -> Tensor {
    let row = whole.data().len() / order.len();
    let data = order.iter().flat_map(|&from| whole.data()[from * row..(from + 1) * row].to_vec()).collect();
    Tensor::from_bytes(whole.dtype(), whole.shape().to_vec(), data).expect("the same rows")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A weight of ones and a bias of negative zeros give the same bits as no weight and no bias, for all numbers.
    #[test]
    fn parameters_that_change_nothing_change_no_bit(
        kind in prop::sample::select(vec![NormKind::Layer, NormKind::Rms]), dtype in dtypes(),
        values in prop::collection::vec(
            prop_oneof![
                30 => -2.0..2.0f64,
                10 => prop::sample::select(vec![0.0, -0.0]),
                1 => prop::sample::select(vec![f64::NAN, f64::INFINITY]),
            ],
            1..90,
        ),
    ) {
        let (len, spec) = (values.len(), Normalization::new(kind));
        let input = tensor(dtype, &[len], &values);
        let [weight, bias] = [1.0, -0.0].map(|number| tensor(DType::F32, &[len], &vec![number; len]));
        let given = NormParameters { weight: Some(weight.view()), bias: Some(bias.view()), ..Default::default() };
        let output = |parameters| {
            normalize(&spec, &parameters, input.view(), false, &Uninterrupted).map(|normalized| normalized.output)
        };
        prop_assert_eq!(output(given), output(NormParameters::default()));
    }

    /// Without eps, an input of twice the size has the same normalization, and gradients of half the size: powers of two
    /// change no digit.
    #[test]
    fn a_power_of_two_changes_nothing(case in scalable(), power in -30i32..40) {
        prop_assume!(case.spec.eps == Some(0.0));
        let factor = 2f64.powi(power);
        let scaled = Case { input: mapped(&case.input, |x| x * factor), ..case.clone() };
        let ((forward, backward), (scaled_forward, scaled_backward)) = (run(&case), run(&scaled));
        prop_assert_eq!(&scaled_forward.output, &forward.output);
        prop_assert_eq!(scaled_forward.mean, forward.mean.map(|mean| mapped(&mean, |x| x * factor)));
        prop_assert_eq!(scaled_forward.rstd, forward.rstd.map(|rstd| mapped(&rstd, |x| x / factor)));
        prop_assert_eq!(scaled_backward.grad_input, mapped(&backward.grad_input, |x| x / factor));
        prop_assert_eq!(scaled_backward.grad_weight, backward.grad_weight);
        prop_assert_eq!(scaled_backward.grad_bias, backward.grad_bias);
    }

    /// With eps, the same holds if eps is scaled, too.
    #[test]
    fn eps_is_in_units_of_the_variance(case in scalable(), power in -15i32..20) {
        let factor = 2f64.powi(power);
        let mut scaled = Case { input: mapped(&case.input, |x| x * factor), ..case.clone() };
        scaled.spec.eps = scaled.spec.eps.map(|eps| eps * factor * factor);
        let ((forward, backward), (scaled_forward, scaled_backward)) = (run(&case), run(&scaled));
        prop_assert_eq!(scaled_forward.output, forward.output);
        prop_assert_eq!(scaled_backward.grad_weight, backward.grad_weight);
    }

    /// A shift that is exact in the dtype, where sums and means are exact, too: the deviations are the same numbers.
    #[test]
    fn an_exact_shift_changes_nothing((case, shift) in whole_numbers()) {
        let shifted = Case { input: mapped(&case.input, |x| x + shift), ..case.clone() };
        let ((forward, backward), (shifted_forward, shifted_backward)) = (run(&case), run(&shifted));
        prop_assert_eq!(shifted_forward.output, forward.output);
        prop_assert_eq!(shifted_forward.rstd, forward.rstd);
        prop_assert_eq!(shifted_backward, backward);
    }

    /// If the mean is rounded, both results are still within half an ulp of the same exact number, or of 2^-16.
    #[test]
    fn a_shift_changes_no_more_than_rounding_does(
        values in prop::collection::vec(-1000i32..1000, 2..700), shift in -1_000_000i32..1_000_000,
        dtype in prop::sample::select(vec![DType::F32, DType::F64]),
    ) {
        let output = |shift: i32| {
            let values: Vec<f64> = values.iter().map(|&x| f64::from(x + shift)).collect();
            let input = tensor(dtype, &[values.len()], &values);
            normalize(&Normalization::new(NormKind::Layer), &Default::default(), input.view(), false, &Uninterrupted)
                .expect("valid").output.view().to_f64()
        };
        for (a, b) in output(0).into_iter().zip(output(shift)) {
            let unit = ulp(dtype, a.abs().max(2f64.powi(-16)));
            prop_assert!((a - b).abs() <= 1.02 * unit, "{a:e} becomes {b:e}");
        }
    }

    /// Sets in another order have their results in that order.
    #[test]
    fn permuted_rows_have_permuted_results(
        kind in prop::sample::select(vec![NormKind::Layer, NormKind::Rms, NormKind::Instance, NormKind::Group, NormKind::L2]),
        dtype in dtypes(), order in Just((0..7).collect::<Vec<usize>>()).prop_shuffle(),
        (input, grad) in (super::case::numbers(7 * 4 * 19), super::case::numbers(7 * 4 * 19)),
    ) {
        let spec = Normalization { groups: if kind == NormKind::Group { 2 } else { 0 }, ..Normalization::new(kind) };
        let (input, grad_output) = (tensor(dtype, &[7, 4, 19], &input), tensor(dtype, &[7, 4, 19], &grad));
        let case = Case { spec, input, grad_output, weight: None, bias: None, running: None };
        let moved = Case { input: permuted(&case.input, &order), grad_output: permuted(&case.grad_output, &order), ..case.clone() };
        let ((forward, backward), (moved_forward, moved_backward)) = (run(&case), run(&moved));
        prop_assert_eq!(moved_forward.output, permuted(&forward.output, &order));
        prop_assert_eq!(moved_forward.mean, forward.mean.map(|mean| permuted(&mean, &order)));
        prop_assert_eq!(moved_forward.rstd, forward.rstd.map(|rstd| permuted(&rstd, &order)));
        prop_assert_eq!(moved_backward.grad_input, permuted(&backward.grad_input, &order));
    }

    /// Channels in another order, with their weights, have their results in that order: the channels of images, and the
    /// columns of a table.
    #[test]
    fn permuted_channels_have_permuted_results(
        dtype in dtypes(), order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(), table: bool,
        (input, grad) in (super::case::numbers(6 * 40), super::case::numbers(6 * 40)), weight in super::case::tensors(vec![6]),
    ) {
        // With the channels first, a channel is a slice of the first axis; a table is the transpose.
        let arranged = |rows: Tensor| {
            if !table {
                return rows;
            }
            let columns = rows.view().to_f64();
            let values: Vec<f64> = (0..240).map(|i| columns[i % 6 * 40 + i / 6]).collect();
            tensor(dtype, &[40, 6], &values)
        };
        let shape: &[usize] = if table { &[6, 40] } else { &[6, 5, 8] };
        let (input, grad_output) = (tensor(dtype, shape, &input), tensor(dtype, shape, &grad));
        let spec = Normalization { channel_axis: Some(i32::from(table)), ..Normalization::new(NormKind::Batch) };
        let case = |order: &[usize]| Case {
            spec: spec.clone(),
            input: arranged(permuted(&input, order)),
            grad_output: arranged(permuted(&grad_output, order)),
            weight: Some(permuted(&weight, order)),
            bias: Some(permuted(&weight, order)),
            running: None,
        };
        let ((forward, backward), (moved_forward, moved_backward)) = (run(&case(&[0, 1, 2, 3, 4, 5])), run(&case(&order)));
        let in_order = |result: &Tensor| {
            let values = result.view().to_f64();
            let at = |i: usize| values[if table { i / 6 * 6 + order[i % 6] } else { order[i / 40] * 40 + i % 40 }];
            let values: Vec<f64> = (0..240).map(at).collect();
            tensor(dtype, result.shape(), &values)
        };
        prop_assert_eq!(moved_forward.output, in_order(&forward.output));
        prop_assert_eq!(moved_backward.grad_input, in_order(&backward.grad_input));
        for (moved, whole) in [(moved_backward.grad_weight, backward.grad_weight), (moved_backward.grad_bias, backward.grad_bias)] {
            prop_assert_eq!(moved, whole.map(|whole| permuted(&whole, &order)));
        }
    }
}
