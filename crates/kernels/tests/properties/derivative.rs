//! The gradients against finite differences of the forward pass.
//!
//! `tests/golden` compares them with PyTorch's autograd, and `normalize.rs` with the formula for them. This file
//! compares them with differences of outputs, which needs neither.

use evenkeel_kernels::{DType, NormGradients, Tensor, Uninterrupted, normalize};
use proptest::prelude::*;

use super::{
    case::{Case, Numbers, cases_of, tensor},
    in_place::normalize_backward_in_both,
};

/// The sum of `grad_output * (y(case with plus) - y(case with minus))`, divided by the difference of the changed element.
fn slope(case: &Case, replace: &dyn Fn(&mut Case, Tensor), whole: &Tensor, element: usize, step: f64) -> f64 {
    let shifted = |step: f64| {
        let mut values = whole.view().to_f64();
        values[element] += step;
        let mut case = case.clone();
        replace(&mut case, tensor(DType::F64, whole.shape(), &values));
        let output = normalize(&case.spec, &case.parameters(), case.input.view(), false, &Uninterrupted);
        (values[element], output.expect("valid").output.view().to_f64())
    };
    let ((high, above), (low, below)) = (shifted(step), shifted(-step));
    let dy = case.grad_output.view().to_f64();
    above.iter().zip(&below).zip(dy).map(|((above, below), dy)| dy * (above - below)).sum::<f64>() / (high - low)
}

/// Compares every element of one gradient.
///
/// Central differences are off by `step^2 / 6` times the third derivative, and by the rounding of y divided by the step.
/// Per unit of rstd, the derivatives of y are numbers of some tens at the most; with steps of 2^-15 / rstd both come to
/// less than 1e-7 of `size`.
fn check(
    what: &str,
    got: &Tensor,
    case: &Case,
    replace: &dyn Fn(&mut Case, Tensor),
    whole: &Tensor,
    step: f64,
    size: f64,
) -> Result<(), TestCaseError> {
    for (element, got) in got.view().to_f64().into_iter().enumerate() {
        let expected = slope(case, replace, whole, element, step);
        prop_assert!(
            (got - expected).abs() <= 1e-7 * size,
            "{what}[{element}]: got {got:e}, differences say {expected:e}, of {size:e}"
        );
    }
    Ok(())
}

/// Every tensor as float64, and few enough of them.
fn small_cases() -> impl Strategy<Value = Case> {
    let small = |case: &Case| case.input.view().len() <= 60;
    cases_of(vec![DType::F64], Numbers::Ordinary).prop_filter("few elements", small).prop_map(|mut case| {
        let widened = |tensor_: &Tensor| tensor(DType::F64, tensor_.shape(), &tensor_.view().to_f64());
        case.weight = case.weight.as_ref().map(widened);
        case.bias = case.bias.as_ref().map(widened);
        case.spec.eps = case.spec.eps.map(|eps| eps.max(1e-5));
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn gradients_are_slopes(case in small_cases()) {
        let forward = normalize(&case.spec, &case.parameters(), case.input.view(), true, &Uninterrupted).expect("valid");
        let NormGradients { grad_weight, grad_bias, grad_input } =
            normalize_backward_in_both(&case.spec, &case.parameters(), case.input.view(), case.grad_output.view())
                .expect("valid");
        let sum = |tensor: &Tensor| tensor.view().to_f64().iter().map(|x| x.abs()).sum::<f64>();
        let largest = |tensor: &Tensor| tensor.view().to_f64().iter().fold(1.0, |most: f64, x| x.abs().max(most));
        let rstd = largest(&forward.rstd.expect("asked for"));
        let dy = sum(&case.grad_output);
        // The largest output bounds the sizes; with running statistics it may be far from 1.
        let y = largest(&forward.output);
        let size = dy * rstd * y * case.weight.as_ref().map_or(1.0, largest);
        check("grad_input", &grad_input, &case, &|case, input| case.input = input, &case.input, 2f64.powi(-15) / rstd, size)?;
        // y is linear in weight and bias: any step will do.
        if let (Some(got), Some(weight)) = (grad_weight, &case.weight) {
            check("grad_weight", &got, &case, &|case, weight| case.weight = Some(weight), weight, 1.0, dy * y * rstd)?;
        }
        if let (Some(got), Some(bias)) = (grad_bias, &case.bias) {
            check("grad_bias", &got, &case, &|case, bias| case.bias = Some(bias), bias, 1.0, dy * y)?;
        }
    }
}
