//! Statistics that are measured in parts, against whole numbers and against themselves in other parts.

use std::collections::BTreeMap;

use evenkeel_kernels::{
    DType, Error, NormKind, Normalization, SetStatistics, SignedSum, StatisticsMeter, StatisticsPartial, Tensor,
    Uninterrupted, measure_statistics,
};
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use super::{
    bits::everywhere,
    case::{Case, Numbers, cases_of, only, tensor, values},
    oracle,
};

/// Whether gradients are measured beside the input of a case.
pub(crate) fn takes_gradients(kind: NormKind) -> bool {
    matches!(kind, NormKind::Batch | NormKind::Instance)
}

/// A sum in its units.
fn units(sum: &SignedSum) -> BigInt {
    let sign = if sum.is_negative() { Sign::Minus } else { Sign::Plus };
    BigInt::from_bytes_le(sign, sum.magnitude()) << (8 * sum.low_zero_bytes())
}

/// A finite number as `mantissa * 2^shift` in units of 2^-1074.
fn mantissa_and_shift(x: f64) -> (i128, u32) {
    let biased = (x.to_bits() >> 52 & 0x7FF) as u32;
    let fraction = (x.to_bits() & ((1 << 52) - 1)) as i128;
    let mantissa = if biased == 0 { fraction } else { fraction | 1 << 52 };
    (if x.is_sign_negative() { -mantissa } else { mantissa }, biased.max(1) - 1)
}

/// The sum of some numbers, or of some products, each as [`mantissa_and_shift`] has it: those of one shift are added first.
fn exact(terms: impl Iterator<Item = (i128, u32)>) -> BigInt {
    let mut of_shift: BTreeMap<u32, i128> = BTreeMap::new();
    for (mantissa, shift) in terms {
        *of_shift.entry(shift).or_default() += mantissa; // 106 bits, and 2^18 of them at most
    }
    of_shift.into_iter().map(|(shift, sum)| BigInt::from(sum) << shift).sum()
}

fn product(a: f64, b: f64) -> (i128, u32) {
    let ((a, a_shift), (b, b_shift)) = (mantissa_and_shift(a), mantissa_and_shift(b));
    (a * b, a_shift + b_shift)
}

/// Checks a set against sums over its elements and their gradients.
fn check_set(set: &SetStatistics, kind: NormKind, pairs: &[(f64, f64)]) -> Result<(), TestCaseError> {
    let count = |is: fn(f64, f64) -> bool| pairs.iter().filter(|&&(x, g)| is(x, g)).count() as u64;
    prop_assert_eq!(set.elements, pairs.len() as u64);
    prop_assert_eq!(set.nan_elements, count(|x, _| x.is_nan()));
    prop_assert_eq!(set.infinite_elements, count(|x, _| x == f64::INFINITY));
    prop_assert_eq!(set.negative_infinite_elements, count(|x, _| x == f64::NEG_INFINITY));
    let unit = BigInt::from(1) << 1074u32;
    let finite = || pairs.iter().filter(|(x, _)| x.is_finite());
    let sum = exact(finite().map(|&(x, _)| mantissa_and_shift(x)));
    prop_assert_eq!(units(&set.sum), if kind.is_centred() { sum * &unit } else { BigInt::ZERO });
    prop_assert_eq!(units(&set.sum_of_squares), exact(finite().map(|&(x, _)| product(x, x))));
    prop_assert_eq!(set.gradients.is_some(), takes_gradients(kind));
    let Some(gradients) = &set.gradients else { return Ok(()) };
    prop_assert_eq!(gradients.nonfinite_gradients, count(|_, g| !g.is_finite()));
    let of_gradients = pairs.iter().filter(|(_, g)| g.is_finite()).map(|&(_, g)| mantissa_and_shift(g));
    prop_assert_eq!(units(&gradients.sum), exact(of_gradients) * unit);
    let products = finite().filter(|(_, g)| g.is_finite()).map(|&(x, g)| product(x, g));
    prop_assert_eq!(units(&gradients.sum_of_products), exact(products));
    Ok(())
}

/// The statistics of a case, measured at once.
pub(crate) fn whole(case: &Case) -> StatisticsPartial {
    let Case { spec, input, grad_output, .. } = case;
    let gradient = takes_gradients(spec.kind).then(|| grad_output.view());
    measure_statistics(spec, input.view(), gradient, &Uninterrupted).expect("the case is valid")
}

/// Checks the statistics of a case against sums over its elements.
fn check(case: &Case) -> Result<(), TestCaseError> {
    let Case { spec, input, grad_output, .. } = case;
    let (x, g) = (values(input), values(grad_output));
    let members = oracle::members(spec, input.shape());
    let got = whole(case);
    prop_assert_eq!(got.sets().len(), members.len());
    for (set, members) in got.sets().iter().zip(members) {
        let pairs: Vec<(f64, f64)> = members.iter().map(|index| (x[index], g[index])).collect();
        check_set(set, spec.kind, &pairs)?;
    }
    let (kind, shape, sets) = got.clone().into_parts();
    prop_assert_eq!(StatisticsPartial::new(kind, shape, sets), Ok(got), "what is measured is valid");
    Ok(())
}

/// The elements of a tensor whose indices along an axis are in `from..to`.
pub(crate) fn slice(whole: &Tensor, axis: usize, from: usize, to: usize) -> Tensor {
    let (size, shape) = (whole.dtype().size(), whole.shape());
    let inner = shape[axis + 1..].iter().product::<usize>() * size;
    let mut data = Vec::new();
    if !whole.data().is_empty() {
        for outer in whole.data().chunks(inner * shape[axis]) {
            data.extend(&outer[from * inner..to * inner]);
        }
    }
    let mut shape = shape.to_vec();
    shape[axis] = to - from;
    Tensor::from_bytes(whole.dtype(), shape, data).expect("it fills the shape")
}

/// Parts of a tensor along an axis, cut at these places.
pub(crate) fn parts(whole: &Tensor, axis: usize, cuts: &[prop::sample::Index]) -> Vec<Tensor> {
    let len = whole.shape()[axis];
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).chain([0, len]).collect();
    ends.sort_unstable();
    ends.windows(2).map(|ends| slice(whole, axis, ends[0], ends[1])).collect()
}

/// The statistics of a part, measured in pieces of so many elements.
fn in_pieces(spec: &Normalization, input: &Tensor, grad_output: Option<&Tensor>, piece: usize) -> StatisticsPartial {
    let meter = StatisticsMeter::new(spec, input.dtype(), input.shape(), grad_output.is_some());
    let mut meter = meter.expect("valid");
    let piece = piece * input.dtype().size();
    for (index, input) in input.data().chunks(piece).enumerate() {
        let gradient = grad_output.map_or(&[][..], |gradient| &gradient.data()[index * piece..][..input.len()]);
        meter.add(input, gradient, &Uninterrupted).expect("there is room");
    }
    meter.finish(&Uninterrupted).expect("all have come")
}

/// Cases of every kind of number; in some of them elements and gradients are not finite.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let drawn = vec![Numbers::Ordinary, Numbers::Wide, Numbers::Cancelling, Numbers::Close];
    let cases = prop::sample::select(drawn).prop_flat_map(|numbers| cases_of(DType::ALL.to_vec(), numbers));
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, -0.0]);
    let specials = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), special), 1..6),
    ];
    (cases, specials).prop_map(|(mut case, specials)| {
        for (place, is_gradient, x) in specials {
            let changed = if is_gradient { &mut case.grad_output } else { &mut case.input };
            let mut values = changed.view().to_f64();
            let place = place.index(values.len());
            values[place] = x;
            *changed = tensor(changed.dtype(), changed.shape(), &values);
        }
        case
    })
}

/// The axes along which a case may be cut into parts.
pub(crate) fn cut_axes(case: &Case) -> Vec<usize> {
    oracle::pooled(&case.spec, case.input.shape())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_measured_is_the_exact_sums(case in cases()) {
        check(&case)?;
    }

    /// Any parts, in any order, each in pieces of any length, some of them without elements.
    #[test]
    fn neither_parts_nor_pieces_matter(
        case in cases(), axis in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        piece in prop_oneof![1usize..20, 20usize..3000], backwards: bool,
    ) {
        let axes = cut_axes(&case);
        prop_assume!(!axes.is_empty()); // a group of channels that is all that is pooled
        let axis = axes[axis.index(axes.len())];
        let gradients = parts(&case.grad_output, axis, &cuts);
        let measure = |(input, gradient): (Tensor, Tensor)| {
            let gradient = takes_gradients(case.spec.kind).then_some(&gradient);
            in_pieces(&case.spec, &input, gradient, piece)
        };
        let mut partials: Vec<_> = parts(&case.input, axis, &cuts).into_iter().zip(gradients).map(measure).collect();
        if backwards {
            partials.reverse();
        }
        let merged = partials.into_iter().reduce(|mut merged, partial| {
            merged.merge(&partial).expect("all are alike");
            merged
        });
        prop_assert_eq!(merged.expect("there is a part"), whole(&case));
    }
}

/// Tensors of every layout that are measured in many pieces, along every path: in rows and in columns, with and without
/// accumulators for each thread, of one scale and of many.
#[test]
fn large_tensors_are_the_sums_of_their_elements() {
    for (kind, shape, axes) in [
        (NormKind::Layer, vec![2, 70_000], vec![]),
        (NormKind::Layer, vec![20_000, 3], vec![0]),
        (NormKind::Layer, vec![10_000, 5], vec![]),
        (NormKind::Batch, vec![2, 3, 22_000], vec![]),
        (NormKind::Batch, vec![70_000, 2], vec![]),
        (NormKind::Batch, vec![30, 2000], vec![]),
        (NormKind::Batch, vec![4, 1500, 9], vec![]),
        (NormKind::Instance, vec![2, 150, 300], vec![]),
        (NormKind::Instance, vec![2, 300, 150], vec![1]),
        (NormKind::Group, vec![2, 8, 3000], vec![]),
        (NormKind::Rms, vec![140_000], vec![]),
        (NormKind::L2, vec![3, 100, 150], vec![]),
    ] {
        for (dtype, spread) in
            [(DType::F32, 0.0), (DType::F32, 0.6), (DType::F64, 0.05), (DType::F64, 0.6), (DType::Bf16, 0.1)]
        {
            let len: usize = shape.iter().product();
            let wave = |step: f64| {
                let number = |i: usize| (i as f64 * step).sin() * (spread * f64::from(i as u32 % 97) - 20.0).exp2();
                (0..len).map(number).collect::<Vec<_>>()
            };
            let groups = if kind == NormKind::Group { 2 } else { 0 };
            let case = Case {
                spec: Normalization { axes: axes.clone(), groups, ..Normalization::new(kind) },
                input: tensor(dtype, &shape, &wave(0.7)),
                grad_output: tensor(dtype, &shape, &wave(1.3)),
                weight: None,
                bias: None,
                running: None,
            };
            check(&case).unwrap_or_else(|error| panic!("{kind:?} {shape:?} {dtype}: {error}"));
            if spread == 0.6 {
                everywhere(&format!("{kind:?} {shape:?} {dtype}"), || whole(&case));
            }
        }
    }
}

/// Elements that are not finite are counted in tensors that several threads measure, each with counts of its own.
#[test]
fn what_is_not_finite_is_counted_in_large_tensors() {
    let special = |i: usize, step: usize| match i % step {
        5 => f64::NAN,
        7 => f64::INFINITY,
        8 | 9 => f64::NEG_INFINITY,
        _ => (i % 19) as f64 - 7.5,
    };
    for shape in [vec![1, 1, 150_000], vec![70_000, 2, 1]] {
        let numbers = |step| (0..shape.iter().product()).map(|i| special(i, step)).collect::<Vec<_>>();
        let case = Case {
            spec: Normalization::new(NormKind::Batch),
            input: tensor(DType::F32, &shape, &numbers(9973)),
            grad_output: tensor(DType::F32, &shape, &numbers(7001)),
            weight: None,
            bias: None,
            running: None,
        };
        check(&case).unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    }
}

/// Numbers at the ends of each dtype's range, whose products are at the ends of the range of products.
#[test]
fn the_ends_of_every_range_are_measured() {
    for dtype in DType::ALL {
        let (most, least) = match dtype {
            DType::F32 => (f64::from(f32::MAX), f64::from(f32::from_bits(1))),
            DType::F64 => (f64::MAX, 5e-324),
            DType::F16 => (65504.0, 2f64.powi(-24)),
            DType::Bf16 => (3.389e38, 2f64.powi(-133)),
        };
        let row = [most, least, most, -most, 0.0, -0.0, least, 3.0 * least, -most, most, most, least, 1.0, -1.5];
        for copies in [1, 40, 3000] {
            let values = row.repeat(copies);
            for shape in [vec![1, 1, values.len()], vec![values.len(), 1, 1], vec![values.len() / 2, 2, 1]] {
                let reversed: Vec<f64> = values.iter().rev().copied().collect();
                let case = Case {
                    spec: Normalization::new(NormKind::Batch),
                    input: tensor(dtype, &shape, &values),
                    grad_output: tensor(dtype, &shape, &reversed),
                    weight: None,
                    bias: None,
                    running: None,
                };
                check(&case).unwrap_or_else(|error| panic!("{dtype} {shape:?}: {error}"));
            }
        }
    }
}

#[test]
fn nothing_has_sets_of_nothing() {
    for shape in [&[0, 3, 2][..], &[2, 3, 0], &[2, 0, 4]] {
        for kind in NormKind::ALL {
            let spec = Normalization { groups: usize::from(kind == NormKind::Group), ..Normalization::new(kind) };
            let input = tensor(DType::F16, shape, &[]);
            let gradient = takes_gradients(kind).then(|| input.view());
            let got = measure_statistics(&spec, input.view(), gradient, &Uninterrupted).expect("empty is fine");
            assert!(got.sets().iter().all(|set| set.elements == 0 && set.sum.is_zero()), "{kind:?}");
            assert_eq!(got.sets().len(), got.shape().iter().product::<usize>());
        }
    }
}

fn field_of(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Invalid(violations)) => only(&violations),
        other => panic!("expected an invalid argument, got {other:?}"),
    }
}

#[test]
fn what_does_not_come_right_is_named() {
    let meter = |has_gradients| {
        StatisticsMeter::new(&Normalization::new(NormKind::Batch), DType::F32, &[2, 3], has_gradients).expect("valid")
    };
    let add =
        |input: usize, gradient: usize| meter(gradient > 0).add(&vec![0; input], &vec![0; gradient], &Uninterrupted);
    assert_eq!(field_of(add(28, 0)), "input.data");
    assert_eq!(field_of(add(6, 0)), "input.data");
    assert_eq!(field_of(add(8, 4)), "grad_output.data");
    assert_eq!(field_of(meter(true).add(&[0; 8], &[], &Uninterrupted)), "grad_output.data");
    assert_eq!(field_of(meter(false).finish(&Uninterrupted).map(|_| ())), "input.data");
    let mut full = meter(false);
    full.add(&[0; 24], &[], &Uninterrupted).expect("it fits");
    assert_eq!(field_of(full.add(&[0; 4], &[], &Uninterrupted)), "input.data");
    let layer = StatisticsMeter::new(&Normalization::new(NormKind::Layer), DType::F32, &[2, 3], true);
    assert_eq!(field_of(layer.map(|_| ())), "grad_output");
    let groups = StatisticsMeter::new(&Normalization::new(NormKind::Group), DType::F32, &[2, 3], false);
    assert_eq!(field_of(groups.map(|_| ())), "groups");
}

/// A part may have one value of each channel: others may have more.
#[test]
fn a_part_of_one_value_is_measured() {
    let input = tensor(DType::F32, &[1, 2], &[3.0, -4.0]);
    let got = measure_statistics(&Normalization::new(NormKind::Batch), input.view(), None, &Uninterrupted);
    let squares: Vec<f64> = got.expect("valid").sets().iter().map(|set| set.sum_of_squares.to_f64()).collect();
    assert_eq!(squares, [9.0, 16.0]);
}
