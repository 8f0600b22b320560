//! Normalize and its gradients.

use evenkeel_kernels::{DType, Error, NormKind, NormParameters, Normalization, Tensor, Uninterrupted, normalize};
use proptest::prelude::*;

use super::{
    case::{Case, Numbers, cases, cases_of, only, tensor},
    in_place::{normalize_backward_in_both, normalize_in_both},
    oracle,
    ulp::{self, Exact, Limit},
};

/// Checks all results of a case, forward and backward.
pub(crate) fn check(case: &Case) -> Result<(), TestCaseError> {
    let Some(expected) = oracle::normalize(case) else {
        return Err(TestCaseError::reject("a set of no spread, eps 0"));
    };
    let got = normalize_in_both(&case.spec, &case.parameters(), case.input.view())
        .map_err(|error| TestCaseError::fail(format!("{error}")))?;
    let input = case.input.dtype();
    // Weights may be float64 where the input is not; their gradients are float64 then.
    let limit = |result: &Tensor| match (input, result.dtype()) {
        (DType::F32 | DType::F16 | DType::Bf16, DType::F64) => Limit::FLOAT64,
        (_, dtype) => Limit::of(dtype),
    };
    let within = |what, got: &Tensor, exact: &[Exact]| ulp::within(limit(got), what, got, exact);
    within("output", &got.output, &expected.output)?;
    prop_assert_eq!(got.mean.is_none(), !case.spec.kind.is_centred());
    if let Some(mean) = &got.mean {
        within("mean", mean, &expected.mean)?;
    }
    within("rstd", &got.rstd.expect("asked for"), &expected.rstd)?;
    prop_assert_eq!(got.running_mean.is_some(), expected.running.is_some());
    if let (Some(mean), Some(var), Some([means, vars])) = (&got.running_mean, &got.running_var, &expected.running) {
        ulp::within(Limit::of(mean.dtype()), "running_mean", mean, means)?;
        // The variance is rounded before it is averaged.
        let limit = Limit::of(var.dtype());
        ulp::within(Limit { ulps: limit.ulps.max(1.6), ..limit }, "running_var", var, vars)?;
    }

    let got = normalize_backward_in_both(&case.spec, &case.parameters(), case.input.view(), case.grad_output.view())
        .map_err(|error| TestCaseError::fail(format!("{error}")))?;
    within("grad_input", &got.grad_input, &expected.grad_input)?;
    prop_assert_eq!(got.grad_weight.is_some(), expected.grad_weight.is_some());
    prop_assert_eq!(got.grad_bias.is_some(), expected.grad_bias.is_some());
    if let (Some(got), Some(expected)) = (&got.grad_weight, &expected.grad_weight) {
        within("grad_weight", got, expected)?;
    }
    if let (Some(got), Some(expected)) = (&got.grad_bias, &expected.grad_bias) {
        within("grad_bias", got, expected)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_is_its_definition(case in cases()) {
        check(&case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    /// Sums that nearly cancel, in rows and in columns.
    #[test]
    fn large_elements_that_cancel_take_nothing_of_the_others(
        case in cases_of(vec![DType::F32, DType::F64, DType::F64, DType::Bf16, DType::F16], Numbers::Cancelling)
    ) {
        check(&case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    /// Sets whose elements are next to their mean, all of them.
    #[test]
    fn nearly_constant_sets_have_all_their_digits(
        case in cases_of(vec![DType::F64, DType::F64, DType::F64, DType::F32, DType::F16], Numbers::Close)
    ) {
        check(&case)?;
    }
}

/// Sets of more than one piece, both along and across the runs, against the same oracle.
#[test]
fn large_sets_are_added_piece_by_piece() {
    for (kind, shape, axes) in [
        (NormKind::Layer, vec![3, 40_000], vec![]),
        (NormKind::Layer, vec![40_000, 3], vec![0]),
        (NormKind::Batch, vec![2, 3, 25_000], vec![]),
        (NormKind::Batch, vec![50_000, 2], vec![]),
        (NormKind::Instance, vec![1, 300, 130], vec![2, 1]),
        (NormKind::Rms, vec![90, 700], vec![0]),
        (NormKind::L2, vec![3, 40_000], vec![]),
        (NormKind::L2, vec![2, 25_000, 2], vec![]),
    ] {
        let len: usize = shape.iter().product();
        let wave = |step: f64| (0..len).map(|i| (i as f64 * step).sin() + 2.0).collect::<Vec<_>>();
        let mut spec = Normalization { axes, eps: Some(1e-5), momentum: Some(0.1), ..Normalization::new(kind) };
        spec.training = (kind == NormKind::Batch).then_some(true);
        let channels = shape[1];
        let running = (kind == NormKind::Batch).then(|| {
            (
                tensor(DType::F32, &[channels], &vec![0.0; channels]),
                tensor(DType::F32, &[channels], &vec![1.0; channels]),
            )
        });
        let case = Case {
            spec,
            input: tensor(DType::F32, &shape, &wave(0.7)),
            grad_output: tensor(DType::F32, &shape, &wave(1.3)),
            weight: None,
            bias: None,
            running,
        };
        check(&case).unwrap_or_else(|error| panic!("{kind:?} {shape:?}: {error}"));
    }
}

fn field_of(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Invalid(violations)) => only(&violations),
        other => panic!("expected an invalid argument, got {other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let input = tensor(DType::F32, &[2, 4, 3], &[1.0; 24]);
    let field = |change: &dyn Fn(&mut Normalization)| {
        let mut spec = Normalization::new(NormKind::Group);
        spec.groups = 2;
        change(&mut spec);
        field_of(normalize(&spec, &NormParameters::default(), input.view(), false, &Uninterrupted))
    };
    assert_eq!(field(&|spec| spec.groups = 0), "groups");
    assert_eq!(field(&|spec| spec.groups = 3), "groups");
    assert_eq!(field(&|spec| spec.groups = 8), "groups");
    assert_eq!(field(&|spec| spec.axes = vec![2, 3]), "axes[1]");
    assert_eq!(field(&|spec| spec.axes = vec![-1, 2]), "axes[1]");
    assert_eq!(field(&|spec| spec.axes = vec![i32::MIN]), "axes[0]");
    assert_eq!(field(&|spec| spec.channel_axis = Some(3)), "channel_axis");
    assert_eq!(field(&|spec| spec.eps = Some(f64::NAN)), "eps");
    assert_eq!(field(&|spec| spec.eps = Some(-1.0)), "eps");
    assert_eq!(field(&|spec| spec.momentum = Some(1.5)), "momentum");
    assert_eq!(field(&|spec| spec.kind = NormKind::Layer), "groups");
    let layer = |spec: &mut Normalization| (spec.kind, spec.groups) = (NormKind::Layer, 0);
    assert_eq!(field(&|spec| (layer(spec), spec.channel_axis = Some(1)).1), "channel_axis");
    let batch = |spec: &mut Normalization| (spec.kind, spec.groups) = (NormKind::Batch, 0);
    assert_eq!(field(&|spec| (batch(spec), spec.eps = Some(0.0)).1), "eps");

    let four = tensor(DType::F32, &[4], &[1.0; 4]);
    let three = tensor(DType::F32, &[3], &[1.0; 3]);
    let scalar = tensor(DType::F32, &[], &[1.0]);
    let with = |spec: &Normalization, parameters, input: &Tensor| {
        field_of(normalize(spec, &parameters, input.view(), false, &Uninterrupted))
    };
    let batch = Normalization::new(NormKind::Batch);
    let none = NormParameters::default();
    assert_eq!(with(&batch, NormParameters { weight: Some(three.view()), ..none }, &input), "weight.shape");
    assert_eq!(with(&batch, NormParameters { bias: Some(three.view()), ..none }, &input), "bias.shape");
    assert_eq!(with(&batch, NormParameters { running_mean: Some(four.view()), ..none }, &input), "running_var");
    assert_eq!(with(&batch, NormParameters { running_var: Some(four.view()), ..none }, &input), "running_mean");
    let running = NormParameters { running_mean: Some(three.view()), running_var: Some(four.view()), ..none };
    assert_eq!(with(&batch, running, &input), "running_mean.shape");
    let running = NormParameters { running_mean: Some(four.view()), running_var: Some(four.view()), ..none };
    let rms = Normalization::new(NormKind::Rms);
    let fields = |spec: &Normalization, parameters, input: &Tensor| match normalize(
        spec,
        &parameters,
        input.view(),
        false,
        &Uninterrupted,
    ) {
        Err(Error::Invalid(violations)) => {
            violations.iter().map(|violation| violation.field.to_string()).collect::<Vec<_>>()
        }
        other => panic!("expected an invalid argument, got {other:?}"),
    };
    assert_eq!(fields(&rms, running, &input), ["running_mean", "running_var"]);
    let group = Normalization { groups: 2, ..Normalization::new(NormKind::Group) };
    assert_eq!(fields(&group, running, &input), ["running_mean", "running_var"], "axes were not sent");
    let evaluation = Normalization { training: Some(false), ..batch.clone() };
    assert_eq!(fields(&evaluation, none, &input), ["running_mean", "running_var"]);
    assert_eq!(with(&Normalization { axes: vec![0, 1], ..batch.clone() }, running, &input), "axes");
    assert_eq!(with(&Normalization::new(NormKind::Layer), none, &scalar), "input.shape");
    assert_eq!(with(&Normalization::new(NormKind::Instance), none, &four), "input.shape");
    let single = tensor(DType::F32, &[1, 4], &[1.0; 4]);
    assert_eq!(with(&batch, none, &single), "input.shape");
    assert_eq!(with(&batch, none, &four), "input.shape", "channel_axis was not sent");
    assert_eq!(with(&Normalization { groups: 1, ..group.clone() }, none, &four), "input.shape");
    let wrong_eps = Normalization { eps: Some(-1.0), ..batch.clone() };
    assert_eq!(fields(&wrong_eps, none, &single), ["eps", "input.shape"]);

    let layer = Normalization::new(NormKind::Layer);
    let backward = |grad: &Tensor| field_of(normalize_backward_in_both(&layer, &none, input.view(), grad.view()));
    assert_eq!(backward(&four), "grad_output.shape");
    assert_eq!(backward(&tensor(DType::F64, &[2, 4, 3], &[1.0; 24])), "grad_output.dtype");
}

#[test]
fn nothing_is_normalized_to_nothing() {
    for shape in [&[0, 3][..], &[3, 0], &[2, 0, 4, 4], &[0, 0, 1]] {
        for kind in NormKind::ALL {
            if kind == NormKind::Instance && shape.len() < 3 {
                continue;
            }
            let spec = Normalization { groups: usize::from(kind == NormKind::Group), ..Normalization::new(kind) };
            let input = tensor(DType::F16, shape, &[]);
            let none = NormParameters::default();
            let got = normalize_in_both(&spec, &none, input.view()).expect("empty is fine");
            assert_eq!(got.output, input, "{kind:?}");
            assert!(got.rstd.is_some_and(|rstd| rstd.view().to_f64().iter().all(|x| x.is_nan())));
            let got = normalize_backward_in_both(&spec, &none, input.view(), input.view()).expect("empty is fine");
            assert_eq!(got.grad_input, input);
        }
    }
}

#[test]
fn an_empty_batch_leaves_the_running_statistics_alone() {
    let (input, mean) = (tensor(DType::F32, &[0, 2], &[]), tensor(DType::F32, &[2], &[1.0, 2.0]));
    let spec = Normalization { training: Some(true), ..Normalization::new(NormKind::Batch) };
    let weight = tensor(DType::F32, &[2], &[1.0, 1.0]);
    let parameters = NormParameters {
        weight: Some(weight.view()),
        running_mean: Some(mean.view()),
        running_var: Some(mean.view()),
        ..NormParameters::default()
    };
    let got = normalize(&spec, &parameters, input.view(), false, &Uninterrupted).expect("empty is fine");
    assert_eq!((got.running_mean, got.running_var), (Some(mean.clone()), Some(mean.clone())));
    let got = normalize_backward_in_both(&spec, &parameters, input.view(), input.view()).expect("empty is fine");
    assert_eq!(got.grad_weight.expect("a weight was given").view().to_f64(), [0.0, 0.0]);
}
