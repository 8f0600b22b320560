//! Merged statistics at the ends of float64, with elements that are not finite, and with arguments that do not fit each
//! other.

use evenkeel_kernels::{
    DType, Error, NormKind, NormParameters, Normalization, StatisticsPartial, Tensor, Uninterrupted,
    measure_statistics, normalize,
};
use proptest::prelude::*;

use super::{
    big::Big,
    bits::everywhere,
    case::{Case, only, tensor},
    extremes::any_sizes,
    in_place::{normalize_backward_in_both, normalize_in_both},
    merged::{check, part_of, with},
    statistics::{slice, takes_gradients, whole},
    ulp::{self, Exact, Limit},
};

/// A case of one set with the elements of `row`, and the axis along which it is cut.
fn case_of(kind: NormKind, dtype: DType, row: &[f64], eps: f64) -> (Case, usize) {
    let shape = match kind {
        NormKind::Batch => vec![row.len(), 1],
        NormKind::Instance => vec![1, 1, row.len()],
        NormKind::Group => vec![1, 2, row.len() / 2],
        NormKind::Layer | NormKind::Rms | NormKind::L2 => vec![1, row.len()],
    };
    let axis = shape.iter().rposition(|&len| len > 2).expect("the row is long");
    let groups = usize::from(kind == NormKind::Group);
    let grad_output: Vec<f64> = (0..row.len()).map(|i| (i as f64 * 0.7).sin() + 0.25).collect();
    let case = Case {
        spec: Normalization { eps: Some(eps), groups, momentum: Some(0.1), ..Normalization::new(kind) },
        input: tensor(dtype, &shape, row),
        grad_output: tensor(dtype, &shape, &grad_output),
        weight: None,
        bias: None,
        running: None,
    };
    (case, axis)
}

/// Sets whose squares leave float64's range, or nearly do.
#[test]
fn the_ends_of_float64_are_right() {
    let wave = |scale: f64| (0..8).map(|i| (f64::from(i) * 1.7).sin() * scale).collect::<Vec<_>>();
    let rows = [
        wave(1.7e308),
        wave(1e200),
        wave(1e150),
        wave(1e-150),
        wave(1e-200),
        wave(1e-300),
        wave(1e-310),
        wave(1e-322),
        vec![5e-324, 0.0, 0.0, 0.0, 0.0, 0.0, 5e-324, 0.0],
        vec![f64::MAX, -f64::MAX, f64::MAX, f64::MAX, 1.0, 2.0, f64::MAX, 3.0],
        vec![f64::MAX, -f64::MAX, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        vec![f64::MAX; 8],
        vec![5e-324; 8],
        vec![1e308, 1e308, 1e308, 1e308, 1e308, 1e308, 1e308, 1e308f64.next_up()],
        vec![1e-308, 1e-308, 1e-308, 1e-308, 1e-308, 1e-308, 1e-308, 1e-308f64.next_up()],
    ];
    for row in rows {
        for kind in NormKind::ALL {
            for eps in [1e-5, 1.0, 1e-320, 1e300, 0.0] {
                if eps == 0.0 && (kind.has_running_statistics() || row.iter().all(|&x| x == row[0])) {
                    continue;
                }
                let (case, axis) = case_of(kind, DType::F64, &row, eps);
                let len = case.input.shape()[axis];
                let cuts = [0, 1, 1, len / 2, len];
                check(&case, axis, &cuts).unwrap_or_else(|error| panic!("{kind:?} of {row:?}, eps {eps}: {error}"));
            }
        }
    }
}

/// Elements that are not finite give the same results as in one call.
#[test]
fn what_is_not_finite_is_as_in_one_call() {
    let rows: [[f64; 6]; 5] = [
        [1.0, f64::NAN, 2.0, 3.0, 4.0, 5.0],
        [1.0, f64::INFINITY, 2.0, 3.0, 4.0, 5.0],
        [f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY, 2.0, 3.0, 4.0],
        [f64::NEG_INFINITY, 1.0, f64::INFINITY, 2.0, 3.0, 4.0],
        [0.0; 6],
    ];
    for dtype in DType::ALL {
        for kind in NormKind::ALL {
            for row in rows {
                let (mut case, axis) = case_of(kind, dtype, &row, 1e-5);
                let alike = |merged: &Tensor, plain: &Tensor| {
                    assert_eq!(
                        format!("{:?}", merged.view().to_f64()),
                        format!("{:?}", plain.view().to_f64()),
                        "{kind:?} {dtype} {row:?}"
                    );
                };
                let forward = |case: &Case| {
                    let statistics = whole(case);
                    let none = NormParameters::default();
                    let plain = normalize_in_both(&case.spec, &none, case.input.view()).expect("valid");
                    let merged =
                        normalize_in_both(&case.spec, &with(case, &statistics), case.input.view()).expect("valid");
                    alike(&merged.output, &plain.output);
                    alike(&merged.rstd.expect("asked for"), &plain.rstd.expect("asked for"));
                    merged.mean.iter().zip(&plain.mean).for_each(|(merged, plain)| alike(merged, plain));
                    let part = part_of(case, axis, 0, 2);
                    let got = normalize_in_both(&case.spec, &with(&part, &statistics), part.input.view());
                    alike(&got.expect("valid").output, &slice(&plain.output, axis, 0, 2));
                };
                forward(&case);
                if takes_gradients(kind) {
                    let backward = |case: &Case| {
                        let statistics = whole(case);
                        let of = |parameters: NormParameters<'_>| {
                            let (input, gradient) = (case.input.view(), case.grad_output.view());
                            let got = normalize_backward_in_both(&case.spec, &parameters, input, gradient);
                            got.expect("valid").grad_input
                        };
                        let are_nan = |got: Tensor| got.view().to_f64().iter().map(|x| x.is_nan()).collect::<Vec<_>>();
                        assert_eq!(are_nan(of(with(case, &statistics))), are_nan(of(NormParameters::default())));
                    };
                    backward(&case);
                    (case.input, case.grad_output) = (case.grad_output, case.input);
                    backward(&case);
                }
            }
        }
    }
}

/// Checks the output for elements beside the statistics of other elements.
fn check_beside(dtype: DType, measured: &[f64], row: &[f64], weight: &[f64], eps: f64) -> Result<(), TestCaseError> {
    let (measured, _) = case_of(NormKind::Layer, dtype, measured, eps);
    let statistics = whole(&measured);
    let (mut case, _) = case_of(NormKind::Layer, dtype, row, eps);
    case.weight = Some(tensor(DType::F64, &[weight.len()], weight));
    let got = normalize_in_both(&case.spec, &with(&case, &statistics), case.input.view());
    let got = got.expect("valid").output;
    let exact = |tensor: &Tensor| tensor.view().to_f64().into_iter().map(Big::from).collect::<Vec<_>>();
    let (measured, row) = (exact(&measured.input), exact(&case.input));
    let n = Big::from(measured.len());
    let mean = &Big::sum(measured.iter().cloned()) / &n;
    let var = &Big::sum(measured.iter().map(|x| (x - &mean).square())) / &n;
    let root = (&var + &Big::from(case.spec.eps.expect("set"))).sqrt();
    let expected = row.iter().zip(weight).map(|(x, &weight)| Exact::from(&(&(x - &mean) / &root) * &Big::from(weight)));
    ulp::within(Limit::of(dtype), "output", &got, &expected.collect::<Vec<_>>())
}

/// The statistics are those of elements that are scaled up; the same power of two would take these elements beyond
/// float64.
#[test]
fn an_element_beyond_the_scale_of_the_statistics() {
    let check = |scale: f64, row: [f64; 5], weight: [f64; 5], eps: f64| {
        let measured = [1.0, 3.0, -2.0, 5.0, 4.0, 0.0, 0.1].map(|x| x * scale);
        check_beside(DType::F64, &measured, &row, &weight, eps).unwrap_or_else(|error| panic!("{row:?}: {error}"));
    };
    check(1e-200, [1e300, 1.0, -3e200, 1e-200, 0.0], [1.0, -2.0, 0.5, 3.0, 1e-3], 1e-5);
    check(1e-250, [1e100, 1e-249, -3e90, 1e-250, 0.0], [1e-300, 1e-200, -1e-290, 3.0, 1e-3], 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Statistics may be of other elements than those that they are given for: the formula is the same.
    #[test]
    fn elements_of_any_size_beside_any_statistics(
        is_double: bool, measured in any_sizes(7), row in any_sizes(5), weight in any_sizes(5), eps in any_sizes(1),
    ) {
        let dtype = if is_double { DType::F64 } else { DType::F32 };
        let fitting = |row: Vec<f64>| row.into_iter().map(|x| if is_double { x } else { x.clamp(-3e38, 3e38) }).collect();
        let (measured, row): (Vec<f64>, Vec<f64>) = (fitting(measured), fitting(row));
        check_beside(dtype, &measured, &row, &weight, eps[0].abs())?;
    }
}

#[test]
fn running_statistics_are_those_of_all_parts() {
    let (mut case, axis) = case_of(NormKind::Batch, DType::F32, &[1.0, 2.0, 3.0, 10.0, -4.0, 0.5], 1e-5);
    case.spec.training = Some(true);
    case.running = Some((tensor(DType::F32, &[1], &[0.5]), tensor(DType::F32, &[1], &[2.0])));
    check(&case, axis, &[0, 0, 1, 4, 6]).unwrap_or_else(|error| panic!("{error}"));
}

fn fields_of(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Invalid(violations)) => only(&violations),
        other => panic!("expected an invalid argument, got {other:?}"),
    }
}

#[test]
fn statistics_that_are_not_of_the_part_are_named() {
    let input = tensor(DType::F32, &[4, 3], &[1.0; 12]);
    let measure = |kind, shape: &[usize]| {
        let input = tensor(DType::F32, shape, &vec![1.0; shape.iter().product()]);
        measure_statistics(&Normalization::new(kind), input.view(), None, &Uninterrupted).expect("valid")
    };
    let field = |spec: &Normalization, statistics: &StatisticsPartial, running: bool| {
        let running = running.then(|| tensor(DType::F32, &[3], &[1.0; 3]));
        let running = running.as_ref().map(Tensor::view);
        let parameters = NormParameters {
            statistics: Some(statistics),
            running_mean: running,
            running_var: running,
            ..NormParameters::default()
        };
        fields_of(normalize(spec, &parameters, input.view(), false, &Uninterrupted))
    };
    let batch = Normalization::new(NormKind::Batch);
    let right = measure(NormKind::Batch, &[4, 3]);
    assert_eq!(field(&batch, &measure(NormKind::Batch, &[4, 2]), false), "statistics.shape");
    assert_eq!(field(&batch, &measure(NormKind::Batch, &[3, 3]), false), "statistics.sets[0].elements");
    assert_eq!(field(&batch, &measure(NormKind::Layer, &[3, 9]), false), "statistics.kind");
    assert_eq!(field(&batch, &right, true), "statistics", "running statistics are used");
    let evaluation = Normalization { training: Some(false), ..batch.clone() };
    assert_eq!(field(&evaluation, &right, true), "statistics");
    assert_eq!(field(&Normalization { eps: Some(0.0), ..batch.clone() }, &right, false), "eps");
    let one = tensor(DType::F32, &[1, 3], &[1.0; 3]);
    let single = measure(NormKind::Batch, &[1, 3]);
    let parameters = NormParameters { statistics: Some(&single), ..NormParameters::default() };
    let got = normalize(&batch, &parameters, one.view(), false, &Uninterrupted);
    assert_eq!(fields_of(got), "statistics.sets[0].elements");

    let backward = |spec: &Normalization, statistics: &StatisticsPartial, weight: Option<&Tensor>| {
        let weight = weight.map(Tensor::view);
        let parameters = NormParameters { statistics: Some(statistics), weight, ..NormParameters::default() };
        fields_of(normalize_backward_in_both(spec, &parameters, input.view(), input.view()))
    };
    assert_eq!(backward(&batch, &right, None), "statistics.sets[0].sum_of_gradients");
    let layer = Normalization::new(NormKind::Layer);
    assert_eq!(backward(&layer, &measure(NormKind::Layer, &[4, 3]), None), "statistics");
    let all = Normalization { axes: vec![0, 1], ..batch };
    let of_all = measure_statistics(&all, input.view(), Some(input.view()), &Uninterrupted).expect("valid");
    assert_eq!(backward(&all, &of_all, Some(&tensor(DType::F32, &[3], &[1.0; 3]))), "axes");
}

/// A part without elements returns the statistics of all parts.
#[test]
fn an_empty_part_and_parts_of_nothing() {
    let (case, axis) = case_of(NormKind::Batch, DType::F32, &[1.0, 2.0, 3.0, 6.0], 1e-5);
    let statistics = whole(&case);
    let part = part_of(&case, axis, 2, 2);
    let got = normalize_in_both(&part.spec, &with(&part, &statistics), part.input.view()).expect("valid");
    assert_eq!(got.mean.expect("asked for").view().to_f64(), [3.0]);
    assert_eq!(got.output, part.input);
    let nothing = whole(&part);
    let got = normalize_in_both(&part.spec, &with(&part, &nothing), part.input.view()).expect("valid");
    assert!(got.mean.expect("asked for").view().to_f64()[0].is_nan());
    let backward = |statistics: &StatisticsPartial| {
        let (input, gradient) = (part.input.view(), part.grad_output.view());
        normalize_backward_in_both(&part.spec, &with(&part, statistics), input, gradient).expect("valid").grad_input
    };
    assert_eq!([backward(&statistics), backward(&nothing)], [part.input.clone(), part.input.clone()]);
}

/// On any number of threads, with every instruction set.
#[test]
fn the_bits_are_the_same_everywhere() {
    for (kind, shape) in [
        (NormKind::Batch, vec![6, 40, 300]),
        (NormKind::Batch, vec![5000, 20]),
        (NormKind::Layer, vec![70, 1000]),
        (NormKind::Instance, vec![4, 30, 400]),
        (NormKind::Rms, vec![3, 40_000]),
    ] {
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let len: usize = shape.iter().product();
            let wave = |step: f64| (0..len).map(|i| (i as f64 * step).sin() + 2.0).collect::<Vec<_>>();
            let (input, grad_output) = (tensor(dtype, &shape, &wave(0.7)), tensor(dtype, &shape, &wave(1.3)));
            let spec = Normalization { eps: Some(1e-5), ..Normalization::new(kind) };
            let case = Case { spec, input, grad_output, weight: None, bias: None, running: None };
            let statistics = whole(&case);
            everywhere(&format!("{kind:?} {shape:?} {dtype}"), || {
                let parameters = with(&case, &statistics);
                let forward = normalize_in_both(&case.spec, &parameters, case.input.view()).expect("valid");
                let gradients = takes_gradients(kind).then(|| {
                    let (input, gradient) = (case.input.view(), case.grad_output.view());
                    normalize_backward_in_both(&case.spec, &parameters, input, gradient).expect("valid")
                });
                (forward, gradients)
            });
        }
    }
}

/// A set of a large tensor has the same statistics and slopes as alone, in whichever part it is computed. No set
/// extends along `axis`.
#[test]
fn sets_keep_their_own_statistics_in_large_tensors() {
    for (kind, shape, axis) in [
        (NormKind::Batch, vec![6, 40, 300], 1),
        (NormKind::Instance, vec![4, 30, 400], 0),
        (NormKind::Layer, vec![70, 1000], 0),
    ] {
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let len: usize = shape.iter().product();
            // The rows have other means and other spreads.
            let wave = |step: f64| {
                let number = |i: usize| (i as f64 * step).sin() * (1 + i / 300 % 7) as f64 + (i / 300 % 11) as f64;
                (0..len).map(number).collect::<Vec<_>>()
            };
            let (input, grad_output) = (tensor(dtype, &shape, &wave(0.7)), tensor(dtype, &shape, &wave(1.3)));
            let spec = Normalization { eps: Some(1e-5), ..Normalization::new(kind) };
            let case = Case { spec, input, grad_output, weight: None, bias: None, running: None };
            let computed = |case: &Case| {
                let statistics = whole(case);
                let parameters = with(case, &statistics);
                let output = normalize_in_both(&case.spec, &parameters, case.input.view()).expect("valid").output;
                let gradient = takes_gradients(kind).then(|| {
                    let (input, gradient) = (case.input.view(), case.grad_output.view());
                    normalize_backward_in_both(&case.spec, &parameters, input, gradient).expect("valid").grad_input
                });
                [Some(output), gradient]
            };
            let at_once = computed(&case);
            for place in 0..shape[axis] {
                let alone = computed(&part_of(&case, axis, place, place + 1));
                let expected = at_once.each_ref().map(|all| all.as_ref().map(|all| slice(all, axis, place, place + 1)));
                assert!(alone == expected, "{kind:?} {shape:?} {dtype}: {place}");
            }
        }
    }
}
