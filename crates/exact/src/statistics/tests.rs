//! Statistics that merge, against fractions of whole numbers.

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

use super::*;
use crate::{GradientSums, Quotient, Window, float::decoded};

const ELEMENTS: Window = Window::new(-1074, 1024);
const PRODUCTS: Window = Window::new(-2148, 2048);

fn sum(terms: impl Iterator<Item = f64>) -> SignedSum {
    let mut cells = vec![0; ELEMENTS.cells()];
    terms.for_each(|x| ELEMENTS.add(&mut cells, x));
    ELEMENTS.sum(&mut cells)
}

fn products(pairs: impl Iterator<Item = (f64, f64)>) -> SignedSum {
    let mut cells = vec![0; PRODUCTS.cells()];
    pairs.for_each(|(a, b)| PRODUCTS.add_product(&mut cells, a, b));
    PRODUCTS.sum(&mut cells)
}

/// The statistics of elements and their gradients, which need not be finite.
fn set(pairs: &[(f64, f64)]) -> SetStatistics {
    let count = |is: fn(f64) -> bool| pairs.iter().filter(|&&(x, _)| is(x)).count() as u64;
    let finite = || pairs.iter().copied().filter(|(x, _)| x.is_finite());
    let gradients = || pairs.iter().map(|&(_, g)| g).filter(|g| g.is_finite());
    SetStatistics {
        elements: pairs.len() as u64,
        nan_elements: count(f64::is_nan),
        infinite_elements: count(|x| x == f64::INFINITY),
        negative_infinite_elements: count(|x| x == f64::NEG_INFINITY),
        sum: sum(finite().map(|(x, _)| x)),
        sum_of_squares: products(finite().map(|(x, _)| (x, x))),
        gradients: Some(GradientSums {
            nonfinite_gradients: pairs.iter().filter(|(_, g)| !g.is_finite()).count() as u64,
            sum: sum(gradients()),
            sum_of_products: products(finite().filter(|(_, g)| g.is_finite())),
        }),
    }
}

fn partial(pairs: &[(f64, f64)]) -> StatisticsPartial<u8> {
    StatisticsPartial::new(1, vec![], vec![set(pairs)]).expect("they are of these elements")
}

/// Numbers of any size and kind, some of one scale, some that cancel.
fn numbers() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, 5e-324]);
    let number = || {
        let special = special.clone();
        prop_oneof![4 => -10.0..10.0, 2 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 1 => special]
    };
    prop_oneof![
        prop::collection::vec((number(), number()), 0..12),
        prop::collection::vec((-1e3..1e3f64, -1e-3..1e-3f64), 0..12),
    ]
}

/// The number in units of 2^-1074.
fn units(x: f64) -> BigInt {
    let (mantissa, power) = decoded(x);
    let magnitude = BigInt::from(mantissa) << (power + 1074);
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

fn rounded(numerator: BigInt, denominator: u64, exponent: i64) -> [f64; 3] {
    Quotient::new(numerator, denominator.into(), exponent).rounded(0)
}

proptest! {
    #[test]
    fn neither_order_nor_grouping_matters(pairs in numbers(), places in prop::collection::vec(0usize..4, 12)) {
        let part = |which: usize| {
            let of_part = pairs.iter().zip(&places).filter(|&(_, &place)| place == which);
            partial(&of_part.map(|(&pair, _)| pair).collect::<Vec<_>>())
        };
        let merged = |order: [usize; 4]| {
            let mut merged = part(order[0]);
            order[1..].iter().for_each(|&which| merged.merge(&part(which)).expect("all are alike"));
            merged
        };
        let whole = partial(&pairs);
        prop_assert_eq!(&merged([0, 1, 2, 3]), &whole);
        prop_assert_eq!(&merged([3, 1, 0, 2]), &whole);
        let (mut pair, mut others) = (part(2), part(1));
        pair.merge(&part(0)).expect("all are alike");
        others.merge(&part(3)).expect("all are alike");
        pair.merge(&others).expect("all are alike");
        prop_assert_eq!(&pair, &whole);
    }

    /// The statistics against their definitions: n times a deviation is a whole number of units.
    #[test]
    fn they_are_their_definitions(pairs in numbers()) {
        let set = set(&pairs);
        let n = pairs.len() as u64;
        if n == 0 || pairs.iter().any(|(x, _)| !x.is_finite()) {
            prop_assert!(set.mean().is_none() && set.variance().is_none() && set.mean_gradient().is_none());
            return Ok(());
        }
        let total: BigInt = pairs.iter().map(|&(x, _)| units(x)).sum();
        prop_assert_eq!(set.mean().expect("finite").rounded(0), rounded(total.clone(), n, -1074));
        let deviation = |x: f64| units(x) * n - &total;
        let squares: BigInt = pairs.iter().map(|&(x, _)| deviation(x).pow(2)).sum();
        let variance = set.variance().expect("finite");
        let expected = Quotient::new(squares.clone(), BigUint::from(n).pow(3), -2148);
        for scale in [0, 1000, -1000] {
            prop_assert_eq!(variance.rounded::<2>(scale), expected.rounded::<2>(scale));
        }
        if n > 1 {
            let expected = Quotient::new(squares, BigUint::from(n).pow(2) * (n - 1), -2148).rounded::<2>(0);
            prop_assert_eq!(set.unbiased_variance().expect("two").rounded(0), expected);
        }
        if pairs.iter().any(|(_, g)| !g.is_finite()) {
            prop_assert!(set.mean_gradient().is_none() && set.mean_gradient_times_deviation().is_none());
            return Ok(());
        }
        let gradients = pairs.iter().map(|&(_, g)| units(g)).sum();
        prop_assert_eq!(set.mean_gradient().expect("finite").rounded(0), rounded(gradients, n, -1074));
        let products: BigInt = pairs.iter().map(|&(x, g)| deviation(x) * units(g)).sum();
        let expected = Quotient::new(products, BigUint::from(n).pow(2), -2148).rounded::<2>(0);
        prop_assert_eq!(set.mean_gradient_times_deviation().expect("finite").rounded(0), expected);
    }
}

#[test]
fn a_mean_that_is_not_finite_has_the_sign_of_its_elements() {
    let (plus, minus) = (f64::INFINITY, f64::NEG_INFINITY);
    let mean = |values: &[f64]| set(&values.iter().map(|&x| (x, 1.0)).collect::<Vec<_>>()).nonfinite_mean();
    assert_eq!(mean(&[1.0, plus, plus]), plus);
    assert_eq!(mean(&[1.0, minus]), minus);
    assert!(mean(&[plus, minus]).is_nan() && mean(&[plus, f64::NAN]).is_nan() && mean(&[]).is_nan());
}

/// The faults of statistics whose last set was changed.
fn told(change: impl Fn(&mut SetStatistics)) -> Vec<String> {
    let mut sets = vec![set(&[(3.0, 1.0), (-1.0, 2.0), (f64::NAN, f64::INFINITY)]); 4];
    change(&mut sets[3]);
    let mut told = Vec::new();
    StatisticsPartial::<u8>::faults(&[2, 2], &sets, |fault| told.push(format!("{}: {fault}", fault.field())));
    told
}

fn integer(negative: bool, low: u32, magnitude: &[u8]) -> SignedSum {
    SignedSum::new(negative, low, magnitude).expect("short enough")
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes a minute for it, and checks the partials of the other tests in the same way")]
fn parts_that_no_elements_have_are_refused_by_name() {
    assert_eq!(told(|_| ()), [""; 0]);
    let one = |field: &str, change: &dyn Fn(&mut SetStatistics)| {
        let told = told(change);
        assert!(told.len() == 1 && told[0].starts_with(&format!("sets[3].{field}: ")), "{field}: {told:?}");
    };
    fn gradients(set: &mut SetStatistics) -> &mut GradientSums {
        set.gradients.as_mut().expect("they were measured")
    }
    one("elements", &|set| set.nan_elements = 4);
    one("elements", &|set| set.nan_elements = u64::MAX);
    one("elements", &|set| set.infinite_elements = 3);
    one("nonfinite_gradients", &|set| gradients(set).nonfinite_gradients = 4);
    // 2^1024 twice, and half of the smallest number.
    one("sum", &|set| set.sum = integer(false, (2148 + 1024) / 8, &[1 << 5]));
    one("sum", &|set| set.sum = integer(true, 0, &[1]));
    one("sum_of_squares", &|set| set.sum_of_squares = integer(true, 0, &[1]));
    one("sum_of_squares", &|set| set.sum_of_squares = integer(false, 524, &[1 << 5]));
    one("sum_of_gradients", &|set| gradients(set).sum = integer(true, 396, &[1 << 5]));
    one("sum_of_gradients", &|set| gradients(set).sum = integer(false, 0, &[1]));
    one("sum_of_gradients", &|set| set.gradients = None);
    one("sum_of_products", &|set| gradients(set).sum_of_products = integer(true, 524, &[1 << 5]));
    // 3 and -1 have the sum 2, and so their squares at least the sum 2.
    one("sum_of_squares", &|set| set.sum_of_squares = products([(1.0, 2.0 - 2f64.powi(-50))].into_iter()));
    assert_eq!(told(|set| set.sum_of_squares = products([(1.0, 2.0)].into_iter())), [""; 0]);
    let zeros = |set: &mut SetStatistics| (set.sum, set.sum_of_squares) = Default::default();
    one("sum_of_products", &zeros);
    assert_eq!(told(|set| set.elements = 1 << 60).len(), 2);
    assert_eq!(
        told(|set| (set.elements, set.nan_elements) = (4, 2)),
        ["sets[3].elements: expected the 3 of the first set, got 4"]
    );
}

#[test]
fn the_shape_says_how_many_sets_there_are() {
    let new = |shape: &[usize], sets| StatisticsPartial::new((), shape.to_vec(), vec![SetStatistics::default(); sets]);
    assert!(new(&[], 1).is_ok() && new(&[2, 3], 6).is_ok() && new(&[usize::MAX, 2, 0], 0).is_err());
    assert!(new(&[0, 5], 0).is_ok());
    let error = new(&[2, 3], 5).expect_err("one is missing");
    assert_eq!((error.field(), error.to_string()), ("sets".into(), "expected the 6 sets of the shape, got 5".into()));
    assert_eq!(new(&[usize::MAX, 2], 2), Err(InvalidStatistics::Sets { expected: None, given: 2 }));
}

#[test]
fn what_differs_does_not_merge() {
    let of = |kind, shape: &[usize], elements| {
        let set = SetStatistics { elements, ..SetStatistics::default() };
        StatisticsPartial::new(kind, shape.to_vec(), vec![set]).expect("zeros")
    };
    let one = of(1, &[1], 5);
    let mismatch = |other| {
        let mut merged = one.clone();
        let error = merged.merge(&other).expect_err("they differ");
        assert_eq!(merged, one, "nothing is added");
        error
    };
    assert_eq!(mismatch(of(2, &[1], 5)), StatisticsMismatch::Kinds);
    assert_eq!(mismatch(of(1, &[1, 1], 5)), StatisticsMismatch::Shapes);
    assert_eq!(mismatch(of(1, &[1], 1 << 59)), StatisticsMismatch::TooManyElements);
    let with_gradients = SetStatistics { gradients: Some(GradientSums::default()), ..one.sets()[0].clone() };
    let with_gradients = StatisticsPartial::new(1, vec![1], vec![with_gradients]).expect("zeros");
    assert_eq!(mismatch(with_gradients), StatisticsMismatch::Gradients);
    let mut most = one.clone();
    most.merge(&of(1, &[1], (1 << 59) - 5)).expect("2^59 are allowed");
    assert_eq!(most.elements(), 1 << 59);
}
