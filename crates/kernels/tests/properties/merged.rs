//! Parts that are normalized with the statistics of all of them, against the exact result of the whole.

use evenkeel_kernels::{DType, NormParameters, Normalized, StatisticsPartial, Tensor};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use proptest::prelude::*;

use super::{
    case::{Case, Numbers, cases_of},
    in_place::{normalize_backward_in_both, normalize_in_both},
    oracle::{self, Expected},
    statistics::{cut_axes, slice, takes_gradients, whole},
    ulp::{self, Exact, Limit},
};

/// The numbers of a tensor of this shape whose indices along an axis are in `from..to`.
fn of_part(whole: &[Exact], shape: &[usize], axis: usize, from: usize, to: usize) -> Vec<Exact> {
    let whole = ArrayD::from_shape_vec(IxDyn(shape), whole.to_vec()).expect("one for each element");
    whole.slice_axis(Axis(axis), Slice::from(from..to)).iter().cloned().collect()
}

/// The part of a case along an axis: weight and bias are its own.
pub(crate) fn part_of(case: &Case, axis: usize, from: usize, to: usize) -> Case {
    let channels = case.spec.channel_axis.unwrap_or(1).rem_euclid(case.input.shape().len() as i32) as usize;
    let of_affine = if case.spec.kind.has_channels() {
        (axis == channels).then_some(0)
    } else {
        oracle::pooled(&case.spec, case.input.shape()).iter().position(|&pooled| pooled == axis)
    };
    let affine = |tensor: &Option<Tensor>| {
        tensor.as_ref().map(|tensor| of_affine.map_or_else(|| tensor.clone(), |axis| slice(tensor, axis, from, to)))
    };
    Case {
        spec: case.spec.clone(),
        input: slice(&case.input, axis, from, to),
        grad_output: slice(&case.grad_output, axis, from, to),
        weight: affine(&case.weight),
        bias: affine(&case.bias),
        running: case.running.clone(),
    }
}

pub(crate) fn with<'a>(case: &'a Case, statistics: &'a StatisticsPartial) -> NormParameters<'a> {
    NormParameters { statistics: Some(statistics), ..case.parameters() }
}

/// Checks that the output of a part is right, and the statistics of all parts that it returns.
fn check_forward(
    part: &Case,
    statistics: &StatisticsPartial,
    output: &[Exact],
    expected: &Expected,
) -> Result<Tensor, TestCaseError> {
    let got = normalize_in_both(&part.spec, &with(part, statistics), part.input.view());
    let got = got.map_err(|error| TestCaseError::fail(format!("{error}")))?;
    let Normalized { axes: _, mean, rstd, running_mean, running_var, output: normalized } = got;
    let within = |what, got: &Tensor, exact: &[Exact]| ulp::within(Limit::of(got.dtype()), what, got, exact);
    within("output", &normalized, output)?;
    prop_assert_eq!(mean.is_some(), part.spec.kind.is_centred());
    if let Some(mean) = &mean {
        within("mean", mean, &expected.mean)?;
    }
    within("rstd", &rstd.expect("asked for"), &expected.rstd)?;
    prop_assert_eq!(running_mean.is_some(), expected.running.is_some());
    if let (Some(mean), Some(var), Some([means, vars])) = (&running_mean, &running_var, &expected.running) {
        within("running_mean", mean, means)?;
        let limit = Limit::of(var.dtype());
        ulp::within(Limit { ulps: limit.ulps.max(1.6), ..limit }, "running_var", var, vars)?;
    }
    Ok(normalized)
}

/// Checks that every part of a case, cut along an axis at these places, is right, and that no bit depends on the cuts.
pub(crate) fn check(case: &Case, axis: usize, cuts: &[usize]) -> Result<(), TestCaseError> {
    let Some(expected) = oracle::normalize(case) else {
        return Err(TestCaseError::reject("a set of no spread, eps 0"));
    };
    let shape = case.input.shape();
    let statistics = whole(case);
    let at_once = check_forward(case, &statistics, &expected.output, &expected)?;
    let gradients = |part: &Case| {
        normalize_backward_in_both(&part.spec, &with(part, &statistics), part.input.view(), part.grad_output.view())
            .map_err(|error| TestCaseError::fail(format!("{error}")))
    };
    let has_gradients = takes_gradients(case.spec.kind) && (case.weight.is_none() || keeps_channels(case));
    let gradients_at_once = has_gradients.then(|| gradients(case)).transpose()?;
    if let Some(got) = &gradients_at_once {
        let limit = |result: &Tensor| match (case.input.dtype(), result.dtype()) {
            (DType::F32 | DType::F16 | DType::Bf16, DType::F64) => Limit::FLOAT64,
            (_, dtype) => Limit::of(dtype),
        };
        let within = |what, got: &Tensor, exact: &[Exact]| ulp::within(limit(got), what, got, exact);
        within("grad_input", &got.grad_input, &expected.grad_input)?;
        // The whole is the only part here, so its gradients are those of the whole.
        if let (Some(got), Some(expected)) = (&got.grad_weight, &expected.grad_weight) {
            within("grad_weight", got, expected)?;
        }
        if let (Some(got), Some(expected)) = (&got.grad_bias, &expected.grad_bias) {
            within("grad_bias", got, expected)?;
        }
    }
    for ends in cuts.windows(2) {
        let (from, to) = (ends[0], ends[1]);
        let part = part_of(case, axis, from, to);
        let exact = |all: &[Exact]| of_part(all, shape, axis, from, to);
        let output = check_forward(&part, &statistics, &exact(&expected.output), &expected)?;
        prop_assert!(output == slice(&at_once, axis, from, to), "bits depend on the cut");
        if let Some(at_once) = &gradients_at_once {
            let got = gradients(&part)?;
            prop_assert!(got.grad_input == slice(&at_once.grad_input, axis, from, to), "bits depend on the cut");
        }
    }
    Ok(())
}

/// Whether each channel has sets of its own.
fn keeps_channels(case: &Case) -> bool {
    let rank = case.input.shape().len() as i32;
    let channels = case.spec.channel_axis.unwrap_or(1).rem_euclid(rank) as usize;
    !oracle::pooled(&case.spec, case.input.shape()).contains(&channels)
}

/// Cases without statistics of their own.
fn cases(numbers: Numbers) -> impl Strategy<Value = Case> {
    let finite = |tensor: &Tensor| tensor.view().to_f64().iter().all(|x| x.is_finite());
    let cases = cases_of(DType::ALL.to_vec(), numbers);
    let cases = cases.prop_filter("large elements may be infinite in a half type", move |case| {
        finite(&case.input) && finite(&case.grad_output)
    });
    cases.prop_map(|mut case| {
        case.spec.training = case.running.as_ref().map(|_| true);
        if case.spec.kind.has_running_statistics() {
            case.spec.eps = case.spec.eps.map(|eps| eps.max(1e-30));
        }
        case
    })
}

fn check_cut(case: &Case, axis: prop::sample::Index, cuts: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    let axes = cut_axes(case);
    prop_assume!(!axes.is_empty());
    let axis = axes[axis.index(axes.len())];
    let len = case.input.shape()[axis];
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).chain([0, len]).collect();
    ends.sort_unstable();
    check(case, axis, &ends)
}

fn indices() -> impl Strategy<Value = (prop::sample::Index, Vec<prop::sample::Index>)> {
    (any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn parts_are_those_of_the_whole(case in cases(Numbers::Ordinary), (axis, cuts) in indices()) {
        check_cut(&case, axis, &cuts)?;
    }

    #[test]
    fn so_they_are_at_any_scale(case in cases(Numbers::Wide), (axis, cuts) in indices()) {
        check_cut(&case, axis, &cuts)?;
    }

    #[test]
    fn so_they_are_where_large_elements_cancel(case in cases(Numbers::Cancelling), (axis, cuts) in indices()) {
        check_cut(&case, axis, &cuts)?;
    }

    #[test]
    fn so_they_are_next_to_their_mean(case in cases(Numbers::Close), (axis, cuts) in indices()) {
        check_cut(&case, axis, &cuts)?;
    }
}
