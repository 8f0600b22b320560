//! Numbers near the ends of float64 whose results are far from them.

use evenkeel_kernels::{DType, NormKind, Normalization};
use proptest::prelude::*;

use super::{
    case::{Case, tensor},
    normalize::check,
};

/// A case of one kind, by channel or by row, whose eps, weight, bias and running statistics are given.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) kind: NormKind,
    pub(crate) dtype: DType,
    pub(crate) shape: &'a [usize],
    pub(crate) input: &'a [f64],
    pub(crate) grad_output: &'a [f64],
    pub(crate) eps: f64,
    pub(crate) momentum: f64,
    pub(crate) weight: Option<&'a [f64]>,
    pub(crate) bias: Option<&'a [f64]>,
    pub(crate) running: Option<(&'a [f64], &'a [f64])>,
    pub(crate) training: Option<bool>,
    pub(crate) axes: &'a [i32],
}

impl Given<'_> {
    pub(crate) fn of(kind: NormKind, shape: &[usize]) -> Given<'_> {
        Given {
            kind,
            dtype: DType::F64,
            shape,
            input: &[],
            grad_output: &[],
            eps: 1e-5,
            momentum: 0.1,
            weight: None,
            bias: None,
            running: None,
            training: None,
            axes: &[],
        }
    }

    pub(crate) fn check(&self) -> Result<(), TestCaseError> {
        let list = |values: &[f64]| tensor(DType::F64, &[values.len()], values);
        let zeros = vec![0.0; self.input.len()];
        let grad_output = if self.grad_output.is_empty() { &zeros } else { self.grad_output };
        check(&Case {
            spec: Normalization {
                eps: Some(self.eps),
                momentum: Some(self.momentum),
                training: self.training,
                axes: self.axes.to_vec(),
                ..Normalization::new(self.kind)
            },
            input: tensor(self.dtype, self.shape, self.input),
            grad_output: tensor(self.dtype, self.shape, grad_output),
            weight: self.weight.map(list),
            bias: self.bias.map(list),
            running: self.running.map(|(mean, var)| (list(mean), list(var))),
        })
    }

    pub(crate) fn is_right(&self) {
        self.check().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn running_statistics_that_only_sums_are_beyond() {
    let running = Some((&[0.0][..], &[1.0][..]));
    let trained = Given { running, training: Some(true), ..Given::of(NormKind::Batch, &[]) };
    let swing: Vec<f64> = (0..1000).map(|i| if i % 2 == 0 { 3e153 } else { -3e153 }).collect();
    Given { shape: &[1000, 1], input: &swing, ..trained }.is_right();
    let swing = [1e155, -1e155, 2e155];
    Given { shape: &[3, 1], input: &swing, momentum: 1e-10, ..trained }.is_right();
    let swing: Vec<f64> = (0..64).map(|i| if i % 2 == 0 { 1e154 } else { -1e154 }).collect();
    Given { kind: NormKind::Instance, shape: &[16, 1, 4], input: &swing, ..trained }.is_right();
    let large: Vec<f64> = (0..64).map(|i| if i % 4 == 0 { 1.4999e308 } else { 1.5e308 }).collect();
    Given { kind: NormKind::Instance, shape: &[16, 1, 4], input: &large, ..trained }.is_right();
}

#[test]
fn given_statistics_near_the_ends() {
    for (x, mean, var, eps, weight) in [
        (1e300, 0.0, 1.7e308, 1.7e308, 1.0),
        (1.7e308, -1.7e308, 1e300, 1e-5, 1.0),
        (1e300, 0.0, 1e-100, 0.0, 1e-100),
        (1.234e-300, 0.0, 1e200, 0.0, 1e200),
        (1.234_567_890_123_456_7e-305, 0.0, 1e20, 0.0, 1e10),
        (1e200, 0.0, 0.0, 1e-300, 1e-200),
        (3.0, -1e308, 1e-30, 0.0, 1e-320),
        (3.0, 0.0, 1.7e308, 1.7e308, 1e154),
    ] {
        for dtype in [DType::F64, DType::F32] {
            let (input, weight) = ([x, 1.0], [weight]);
            if dtype == DType::F32 && x > 1e38 {
                continue;
            }
            let (mean, var) = ([mean], [var]);
            let running = Some((&mean[..], &var[..]));
            let given = Given { running, training: Some(false), ..Given::of(NormKind::Batch, &[2, 1]) };
            Given { dtype, input: &input, eps, weight: Some(&weight), ..given }.is_right();
        }
    }
    let given =
        Given { running: Some((&[0.0], &[1e-300])), training: Some(false), ..Given::of(NormKind::Batch, &[2, 1]) };
    Given { input: &[1e200, 0.0], grad_output: &[1e-100, 0.0], eps: 0.0, weight: Some(&[1.0]), ..given }.is_right();
    let given = Given { running: Some((&[0.0], &[1e300])), ..given };
    Given { input: &[1.2345e-170, 0.0], grad_output: &[1e100, 0.0], eps: 0.0, weight: Some(&[1.0]), ..given }
        .is_right();
}

#[test]
fn small_elements_that_weights_make_numbers_of() {
    for kind in [NormKind::Rms, NormKind::Layer] {
        for (x, eps, weight) in [(1e-315, 1e20, 1e20), (5e-324, 1e-5, 1e4), (1e-310, 1e10, 1e10), (3e-312, 1e-5, 77.7)]
        {
            let row = Given { eps, ..Given::of(kind, &[1, 2]) };
            Given { input: &[x, -x], weight: Some(&[weight; 2]), ..row }.is_right();
        }
        for (row, eps, weight) in [
            ([1e200, 1.7e-200, 0.0], 0.0, [1.0, 1e300, 1.0]),
            ([1e100, 1.7e-205, 0.0], 0.0, [1.0, 1e30, 1.0]),
            ([1.0, 1.7e-200, 0.0], 1e308, [1.0, 1e300, 1.0]),
            ([1.0, 1.7e-170, 0.0], 1e300, [1.0, 1e30, 1.0]),
            ([1.0, 5e-324, 0.0], 1e-5, [1.0, 1e4, 3.0]),
        ] {
            Given { input: &row, eps, weight: Some(&weight), ..Given::of(kind, &[1, 3]) }.is_right();
        }
        for (row, eps) in [([1e-310, 2e-310, -5e-310], 1e10), ([1e-300, 2e-300, -5e-300], 1e20)] {
            let given = Given { eps, weight: Some(&[1.0; 3]), ..Given::of(kind, &[1, 3]) };
            Given { input: &row, grad_output: &[1e100, 0.0, 0.0], ..given }.is_right();
        }
    }
}

#[test]
fn products_beyond_float64_that_a_bias_brings_back() {
    let row = [1.0, -1.0, 1.0, -1.0, 5.0, 0.0, 0.0, 0.0];
    for kind in [NormKind::Layer, NormKind::Rms] {
        for (weight, bias) in [(1e308, -1.7e308), (-1e308, 1.7e308), (3.0, 1.7e308)] {
            let given = Given { weight: Some(&[weight; 8]), ..Given::of(kind, &[1, 8]) };
            let bias = (kind == NormKind::Layer).then_some([bias; 8]);
            Given { input: &row, bias: bias.as_ref().map(|bias| &bias[..]), ..given }.is_right();
        }
    }
}

/// Without a scale for the weights, infinities of both signs would make the whole row NaN.
#[test]
fn gradients_of_float32_beyond_float64_are_infinite() {
    for eps in [1e300, 1e-5] {
        let given = Given { eps, weight: Some(&[1e308; 3]), ..Given::of(NormKind::Layer, &[1, 3]) };
        Given { dtype: DType::F32, input: &[1.0, 2.0, 4.0], grad_output: &[10.0, 20.0, 1e-10], ..given }.is_right();
    }
    let given = Given { eps: 1.7e308, weight: Some(&[1e160; 3]), ..Given::of(NormKind::Layer, &[1, 3]) };
    Given { dtype: DType::F32, input: &[1.0, 2.0, 4.0], grad_output: &[10.0, 20.0, 1e-10], ..given }.is_right();
}

/// A number of any size that float64 has.
fn any_size() -> impl Strategy<Value = f64> {
    let sizes = prop_oneof![2 => -2i32..3, 1 => -320i32..=308];
    (1.0f64..10.0, sizes, any::<bool>()).prop_map(|(digits, decade, is_negative)| {
        let x = format!("{digits}e{decade}").parse::<f64>().expect("a number").min(f64::MAX);
        if is_negative { -x } else { x }
    })
}

pub(crate) fn any_sizes(len: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(any_size(), len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Given statistics of any size, beside float64 and float32 elements.
    #[test]
    fn everything_given_of_any_size(
        is_double: bool, input in any_sizes(12), mean in any_sizes(3), var in any_sizes(3), weight in any_sizes(3),
        bias in prop::option::of(any_sizes(3)), eps in any_size(),
    ) {
        let (dtype, eps) = (if is_double { DType::F64 } else { DType::F32 }, eps.abs());
        let input: Vec<f64> = input.into_iter().map(|x| if is_double { x } else { x.clamp(-3e38, 3e38) }).collect();
        let var: Vec<f64> = var.into_iter().map(f64::abs).collect();
        let running = Some((&mean[..], &var[..]));
        let given = Given { dtype, eps, running, training: Some(false), ..Given::of(NormKind::Batch, &[4, 3]) };
        Given { input: &input, weight: Some(&weight), bias: bias.as_deref(), ..given }.check()?;
    }

    /// Rows with their own statistics.
    #[test]
    fn rows_and_weights_of_any_size(
        is_rms: bool, input in any_sizes(12), weight in any_sizes(4), bias in prop::option::of(any_sizes(4)), eps in any_size(),
    ) {
        let (kind, eps) = (if is_rms { NormKind::Rms } else { NormKind::Layer }, eps.abs());
        let bias = bias.filter(|_| !is_rms);
        let given = Given { eps, ..Given::of(kind, &[3, 4]) };
        Given { input: &input, weight: Some(&weight), bias: bias.as_deref(), ..given }.check()?;
    }
}
