//! Accumulators for sums whose terms lie between two given powers of two.

use std::borrow::Cow;

use crate::{
    SignedSum,
    digits::{self, ADDITIONS_BEFORE_CARRY, DIGIT_BITS},
    float::decoded,
};

/// The range of the digits of an accumulator. Like [`ExactSum`](crate::ExactSum) the accumulator never rounds, but it
/// takes only the memory that terms of one dtype need, so that each of very many sets can have one. The caller keeps
/// the digits, in [`cells`](Self::cells) numbers that are 0 at first.
///
/// ```
/// use evenkeel_exact::Window;
///
/// let window = Window::new(-1074, 1024); // for every float64
/// let mut cells = vec![0; window.cells()];
/// [1e300, 1.0, -1e300].into_iter().for_each(|x| window.add(&mut cells, x));
/// assert_eq!(window.sum(&mut cells).to_f64(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The bytes, in the units of [`SignedSum`], that lie below the first digit.
    low_zero_bytes: u32,
    digits: usize,
}

impl Window {
    /// For sums of 2^60 terms or fewer, multiples of `2^lowest` whose magnitude is below `2^highest`. Both powers must
    /// be within those of products of two float64: -2148 and 2048.
    pub const fn new(lowest: i32, highest: i32) -> Self {
        let low_zero_bytes = (lowest - SignedSum::UNIT_EXPONENT) as u32 / 8;
        let bits = (highest + 60 - SignedSum::UNIT_EXPONENT) as u32 - 8 * low_zero_bytes;
        // The highest mantissa may reach into one digit more, and the last one keeps the sign.
        Self { low_zero_bytes, digits: bits.div_ceil(DIGIT_BITS) as usize + 2 }
    }

    /// The number of cells of an accumulator: its digits, and the count of additions to them.
    pub const fn cells(&self) -> usize {
        self.digits + 1
    }

    /// The most bytes of a sum.
    pub const fn sum_bytes(&self) -> usize {
        4 * self.digits
    }

    /// Adds `x`, which is finite.
    #[inline]
    pub fn add(&self, cells: &mut [i64], x: f64) {
        debug_assert!(x.is_finite(), "what is not finite is counted, not added");
        let (mantissa, power) = decoded(x);
        self.add_units(cells, mantissa.into(), power, x.is_sign_negative());
    }

    /// Adds the exact product `a * b`; both are finite.
    #[inline]
    pub fn add_product(&self, cells: &mut [i64], a: f64, b: f64) {
        debug_assert!(a.is_finite() && b.is_finite(), "what is not finite is counted, not added");
        let ((a_mantissa, a_power), (b_mantissa, b_power)) = (decoded(a), decoded(b));
        let product = u128::from(a_mantissa) * u128::from(b_mantissa);
        self.add_units(cells, product, a_power + b_power, a.is_sign_negative() != b.is_sign_negative());
    }

    /// Adds another accumulator of this window.
    pub fn merge(&self, cells: &mut [i64], others: &[i64]) {
        if cells[self.digits] + others[self.digits] >= i64::from(ADDITIONS_BEFORE_CARRY) {
            self.carry(cells);
        }
        cells.iter_mut().zip(others).for_each(|(cell, other)| *cell += other);
        cells[self.digits] += 1;
    }

    /// The sum of all terms that were added.
    pub fn sum(&self, cells: &mut [i64]) -> SignedSum {
        self.carry(cells);
        let mut digits = Cow::Borrowed(&cells[..self.digits]);
        let negative = digits.last().is_some_and(|&top| top < 0) && digits::make_positive(digits.to_mut());
        // Few digits of most sums are not 0.
        let (zeros, bytes) = digits::to_le_bytes(&digits);
        SignedSum::new(negative, self.low_zero_bytes + zeros, &bytes).expect("the sum of 2^60 products is no longer")
    }

    #[inline]
    fn add_units(&self, cells: &mut [i64], mantissa: u128, power: i32, negative: bool) {
        if mantissa == 0 {
            return; // its power may be below or above every place
        }
        let place = power - SignedSum::UNIT_EXPONENT - 8 * self.low_zero_bytes as i32;
        // Bits below the first digit are zero, since the term is a multiple of the unit.
        let (mantissa, place) = if place < 0 { (mantissa >> -place, 0) } else { (mantissa, place as u32) };
        let (low, high) = (mantissa as u64, (mantissa >> u64::BITS) as u64);
        let digits = &mut cells[..self.digits];
        digits::add(digits, low, place, negative);
        if high > 0 {
            digits::add(digits, high, place + u64::BITS, negative);
        }
        cells[self.digits] += 2;
        if cells[self.digits] >= i64::from(ADDITIONS_BEFORE_CARRY) {
            self.carry(cells);
        }
    }

    fn carry(&self, cells: &mut [i64]) {
        digits::carry(&mut cells[..self.digits]);
        cells[self.digits] = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ExactSum;

    fn finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("finite", |x| x.is_finite())
    }

    /// Every term of a float32 window fits, at both of its ends.
    #[test]
    fn a_window_has_room_at_both_ends() {
        let (elements, products) = (Window::new(-149, 128), Window::new(-298, 256));
        let (terms, doublings) = if cfg!(miri) { (8, 56) } else { (1000, 49) }; // Miri takes a minute for 1000
        for x in [f32::MAX, f32::from_bits(1), -f32::MAX, -f32::from_bits(1)].map(f64::from) {
            let (mut sum, mut squares) = (vec![0; elements.cells()], vec![0; products.cells()]);
            let mut expected = [ExactSum::new(), ExactSum::new()];
            for _ in 0..terms {
                elements.add(&mut sum, x);
                products.add_product(&mut squares, x, x);
                expected[0].add(x);
                expected[1].add_square(x);
            }
            assert_eq!(elements.sum(&mut sum).to_f64(), expected[0].to_f64());
            assert_eq!(products.sum(&mut squares).to_f64(), expected[1].to_f64());
            // As if each of 2^59 elements were so large.
            let mut doubled = sum;
            (0..doublings).for_each(|_| {
                let other = doubled.clone();
                elements.merge(&mut doubled, &other);
            });
            let merged = elements.sum(&mut doubled).to_f64();
            assert_eq!(merged, expected[0].to_f64() * 2f64.powi(doublings));
        }
    }

    #[test]
    fn a_float32_sum_travels_in_few_bytes() {
        assert!(Window::new(-149, 128).sum_bytes() + Window::new(-298, 256).sum_bytes() <= 144);
    }

    proptest! {
        #[test]
        fn it_sums_as_the_long_accumulator_does(
            pairs in prop::collection::vec((finite(), finite()), 0..40), cut in any::<prop::sample::Index>(),
        ) {
            let (elements, products) = (Window::new(-1074, 1024), Window::new(-2148, 2048));
            let measure = |pairs: &[(f64, f64)]| {
                let mut cells = [vec![0; elements.cells()], vec![0; products.cells()]];
                for &(a, b) in pairs {
                    elements.add(&mut cells[0], a);
                    products.add_product(&mut cells[1], a, b);
                }
                cells
            };
            let mut expected = [ExactSum::new(), ExactSum::new()];
            for &(a, b) in &pairs {
                expected[0].add(a);
                expected[1].add_product(a, b);
            }
            let mut whole = measure(&pairs);
            let (sum, of_products) = (elements.sum(&mut whole[0]), products.sum(&mut whole[1]));
            prop_assert_eq!(sum.to_f64(), expected[0].to_f64());
            prop_assert_eq!(of_products.to_f64(), expected[1].to_f64());
            let (first, second) = pairs.split_at(if pairs.is_empty() { 0 } else { cut.index(pairs.len()) });
            let (mut merged, mut others) = (measure(second), measure(first));
            elements.merge(&mut merged[0], &others[0]);
            products.merge(&mut merged[1], &others[1]);
            prop_assert_eq!(&elements.sum(&mut merged[0]), &sum);
            // Merged in the form in which they are sent.
            let mut merged = products.sum(&mut others[1]);
            merged.merge(&products.sum(&mut measure(second)[1]));
            prop_assert_eq!(merged, of_products);
        }
    }
}
