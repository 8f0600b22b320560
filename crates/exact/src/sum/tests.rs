//! Exact sums against known values and against the hardware.

use proptest::prelude::*;

use super::*;

/// 2^-1074, the smallest subnormal. `powi` may give 0 instead, since its precision is not specified.
const SMALLEST: f64 = f64::from_bits(1);

fn sum(values: &[f64]) -> f64 {
    let mut sum = ExactSum::new();
    values.iter().for_each(|&x| sum.add(x));
    sum.to_f64()
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |x| x.is_finite())
}

#[test]
fn cancellation_leaves_the_small_terms() {
    assert_eq!(sum(&[1e308, 1.0, -1e308, SMALLEST]), 1.0);
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
    assert_eq!(sum(&[-1.0, SMALLEST]), -1.0);
    assert_eq!(sum(&[1e-320, -3e-320]), 1e-320 - 3e-320);
    assert_eq!(sum(&[]), 0.0);
}

#[test]
fn ties_go_to_even_unless_something_lies_below() {
    let ulp = 2f64.powi(-52);
    assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
    assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
    assert_eq!(sum(&[1.0, ulp / 2.0, SMALLEST]), 1.0 + ulp);
    assert_eq!(sum(&[-1.0, -ulp / 2.0, -SMALLEST]), -1.0 - ulp);
}

#[test]
fn bytes_are_an_integer_of_the_smallest_squares() {
    let bytes = |x: f64| {
        let mut sum = ExactSum::new();
        sum.add_square(x);
        sum.to_le_bytes()
    };
    assert_eq!(bytes(0.0), []);
    assert_eq!(bytes(SMALLEST), [1]);
    assert_eq!(bytes(3.0 * SMALLEST), [9]);
    // 2^2148 of the unit: 268 bytes of 8 bits and four bits more.
    assert_eq!(bytes(1.0), [&[0; 268][..], &[1 << 4]].concat());
    assert_eq!(bytes(f64::MAX).len(), 525, "2^2048 and 2^-2148 are 4196 bits apart");
}

#[test]
fn what_is_too_long_is_refused() {
    let most = vec![255; ExactSum::MAX_BYTES];
    let mut sum = ExactSum::from_le_bytes(&most).expect("fits");
    assert_eq!(sum.to_le_bytes(), most);
    let times = if cfg!(miri) { 20 } else { 1000 }; // Miri takes minutes for 1000
    (0..times).for_each(|_| sum.merge(&ExactSum::from_le_bytes(&most).expect("fits")));
    assert_eq!(sum.to_f64(), f64::INFINITY);
    assert_eq!(sum.sqrt(), f64::INFINITY);
    let longer = [&most[..], &[1]].concat();
    assert_eq!(ExactSum::from_le_bytes(&longer), Err(SumTooLong { given: ExactSum::MAX_BYTES + 1 }));
    assert!(ExactSum::from_le_bytes(&[&most[..], &[0; 99]].concat()).is_ok(), "zeros do not count");
}

/// Two of the longest sums need a bit more than their bytes, and a sum that is merged with itself soon fills all
/// digits.
#[test]
fn sums_beyond_all_numbers_are_infinite() {
    let mut sum = ExactSum::from_le_bytes(&[255; ExactSum::MAX_BYTES]).expect("fits");
    let times = if cfg!(miri) { 4 } else { 100 };
    for _ in 0..times {
        assert_eq!((sum.sqrt(), sum.to_f64()), (f64::INFINITY, f64::INFINITY));
        let twice = sum.clone();
        sum.merge(&twice);
    }
    let most = if cfg!(miri) { 3 } else { 9 };
    for terms in 2..=most {
        let mut sum = ExactSum::new();
        (0..terms).for_each(|_| sum.add_square(f64::MAX));
        assert_eq!(sum.sqrt(), f64::INFINITY, "{terms} squares");
    }
}

#[test]
fn merging_many_sums_carries_in_time() {
    let mut part = ExactSum::new();
    part.add(f64::from(u32::MAX));
    part.additions = ADDITIONS_BEFORE_CARRY - 1; // as if it had been added to that often
    let mut sum = ExactSum::new();
    (0..8).for_each(|_| sum.merge(&part));
    assert_eq!(sum.to_f64(), 8.0 * f64::from(u32::MAX));
    assert!(sum.additions <= ADDITIONS_BEFORE_CARRY);
}

#[test]
fn roots_are_rounded_once() {
    // 2^106 + 2^54 + 1 is the square of 2^53 + 1, which lies between 2^53 and 2^53 + 2: a tie, to even.
    let tie = [2f64.powi(106), 2f64.powi(54), 1.0];
    let root = |terms: &[f64]| {
        let mut sum = ExactSum::new();
        terms.iter().for_each(|&x| sum.add(x));
        sum.sqrt()
    };
    assert_eq!(root(&tie), 2f64.powi(53));
    assert_eq!(root(&[&tie[..], &[1e-9]].concat()), 2f64.powi(53) + 2.0);
    assert_eq!(root(&[&tie[..], &[-1e-9]].concat()), 2f64.powi(53));
    // (2^53 + 3)^2: a tie between 2^53 + 2 and 2^53 + 4, whose upper neighbour is even.
    assert_eq!(root(&[2f64.powi(106), 6.0 * 2f64.powi(53), 9.0]), 2f64.powi(53) + 4.0);
    assert_eq!(root(&[9.0, 16.0]), 5.0);
}

#[test]
fn subnormal_roots_are_rounded_once() {
    let root = |bits: &[u64]| {
        let mut sum = ExactSum::new();
        bits.iter().for_each(|&bits| sum.add_square(f64::from_bits(bits)));
        sum.sqrt().to_bits()
    };
    // The root is a hair above the middle of two subnormal numbers; a root of 53 bits would lie on it.
    assert_eq!(root(&[0x0004_0000_0000_0000, 0x0200_0000, 1]), 0x0004_0000_0000_0001);
    assert_eq!(root(&[0x0004_0000_0000_0000, 0x0200_0000]), 0x0004_0000_0000_0000);
    // 1.41, 1.73 and 2 of the smallest.
    assert_eq!([root(&[1; 1]), root(&[1; 2]), root(&[1; 3]), root(&[1; 4])], [1, 1, 2, 2]);
}

#[test]
fn roots_of_nothing_and_of_everything() {
    let root = |terms: &[f64]| {
        let mut sum = ExactSum::new();
        terms.iter().for_each(|&x| sum.add_square(x));
        sum.sqrt()
    };
    assert_eq!(root(&[]), 0.0);
    assert_eq!(root(&[f64::MAX]), f64::MAX);
    assert_eq!(root(&[f64::MAX; 2]), f64::INFINITY);
}

/// A product may have more bits than a subnormal number: it is rounded once.
#[test]
fn subnormal_products_are_rounded_once() {
    let product = |a, b| {
        let mut sum = ExactSum::new();
        sum.add_product(a, b);
        sum.to_f64()
    };
    let least = f64::from_bits(1);
    for (a, b) in [
        (0.855987463264043, 1.500240373036604e-308),
        (least, 0.5),
        (least, 0.5f64.next_up()),
        (least, 0.5f64.next_down()),
        (least, least),
        (3.0 * least, 0.5),
        (1e-200, 1e-123),
        (f64::MIN_POSITIVE, 1.0f64.next_down()),
    ] {
        assert_eq!(product(a, b), a * b, "{a:e} * {b:e}");
        assert_eq!(product(-a, b), -a * b, "{a:e} * {b:e}");
    }
}

proptest! {
    /// r = m * 2^e is the root of n to 53 bits: ((2m - 1) * 2^(e-1))^2 <= n <= ((2m + 1) * 2^(e-1))^2.
    #[test]
    fn roots_of_integers_are_nearest(n in 1u64..1 << 60) {
        let mut exact = ExactSum::new();
        exact.add((n >> 30 << 30) as f64);
        exact.add((n & ((1 << 30) - 1)) as f64);
        let root = exact.sqrt();
        let mantissa = u128::from(root.to_bits() & ((1 << 52) - 1) | 1 << 52);
        let exponent = (root.to_bits() >> 52) as i32 - 1075;
        let n = u128::from(n) << (2 - 2 * exponent);
        prop_assert!((2 * mantissa - 1).pow(2) <= n && n <= (2 * mantissa + 1).pow(2));
    }

    /// The root of x^2 is x, for numbers of all scales.
    #[test]
    fn the_root_of_a_square_is_the_number(x in finite()) {
        let mut square = ExactSum::new();
        square.add_square(x);
        prop_assert_eq!(square.sqrt(), x.abs());
        let read = ExactSum::from_le_bytes(&square.to_le_bytes());
        prop_assert_eq!(read.as_ref(), Ok(&square));
    }

    /// The sum of two numbers is that of the hardware, which rounds correctly.
    #[test]
    fn two_terms_round_as_the_hardware_does(a in finite(), b in finite()) {
        prop_assert_eq!(sum(&[a, b]), a + b);
    }

    /// A product is the rounded product plus its rounding error, if both are in range.
    #[test]
    fn products_are_added_exactly(a in finite(), b in finite()) {
        let mut sum = ExactSum::new();
        sum.add_product(a, b);
        prop_assert_eq!(sum.to_f64(), a * b);
        if (1e-250..1e250).contains(&(a * b).abs()) {
            sum.add(-(a * b));
            prop_assert_eq!(sum.to_f64(), a.mul_add(b, -(a * b)));
        }
        let mut square = ExactSum::new();
        square.add_product(a, a);
        square.add_product(b, -b);
        let mut expected = ExactSum::new();
        expected.add_square(a);
        let mut other = ExactSum::new();
        other.add_square(b);
        other.merge(&square);
        prop_assert_eq!(other, expected);
    }

    /// A sum that is multiplied by a number and divided by it stays the same.
    #[test]
    fn quotients_are_exact(values in prop::collection::vec(-1e290..1e290, 1..5), tiny in finite(), n in 1u64..1 << 53) {
        let (mut sum, mut product) = (ExactSum::new(), ExactSum::new());
        for x in values.into_iter().chain([tiny * 1e-300]) {
            sum.add(x);
            product.add_product(x, n as f64);
        }
        let (mantissa, exponent) = sum.to_scaled();
        prop_assert_eq!(mantissa * power_of_two(exponent.clamp(-1000, 1000)), sum.to_f64());
        prop_assert_eq!(product.divided_by(n), sum);
    }

    /// A quotient that is not exact rounds as that of the hardware.
    #[test]
    fn quotients_are_as_the_hardware_has_them(x in finite(), n in 1u64..1 << 53) {
        let mut sum = ExactSum::new();
        sum.add(x);
        let quotient = sum.divided_by(n);
        prop_assert!((quotient.to_f64() - x / n as f64).abs() <= 5e-324 || quotient.to_f64() == x / n as f64);
    }

    #[test]
    fn order_does_not_matter(mut values in prop::collection::vec(finite(), 0..20), by in 0usize..20) {
        let before = sum(&values);
        values.reverse();
        let turn = by % values.len().max(1);
        values.rotate_left(turn);
        prop_assert_eq!(before.to_bits(), sum(&values).to_bits());
    }
}
