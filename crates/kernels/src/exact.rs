//! Sums of float64 that do not round until they are read.

/// The weight of the lowest digit's lowest bit is 2^-1074, the smallest subnormal.
const DIGIT_BITS: u32 = 32;

/// 2098 bits reach from 2^-1074 to 2^1024; two more digits hold the carries of 2^31 additions and the sign.
const DIGITS: usize = 68;

/// How often a digit can be added to before its carry must move on.
const ADDITIONS_BEFORE_CARRY: u32 = 1 << 30;

/// An exact accumulator: adds any number of float64 values without rounding, so that neither order nor grouping
/// matters. Kulisch's long accumulator, with digits of 32 bits in 64-bit places.
#[derive(Clone, Debug)]
pub(crate) struct ExactSum {
    digits: [i64; DIGITS],
    additions: u32,
    /// The sum of the infinities and NaNs among the values; 0 if there were none.
    special: f64,
}

impl ExactSum {
    pub(crate) fn new() -> Self {
        Self { digits: [0; DIGITS], additions: 0, special: 0.0 }
    }

    pub(crate) fn add(&mut self, x: f64) {
        if !x.is_finite() {
            self.special += x;
            return;
        }
        let bits = x.to_bits();
        let exponent = (bits >> 52 & 0x7FF) as u32;
        let fraction = bits & ((1 << 52) - 1);
        // A subnormal has the exponent of the smallest normal number, without the hidden bit.
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let wide = u128::from(mantissa) << (shift % DIGIT_BITS);
        let first = (shift / DIGIT_BITS) as usize;
        for (place, digit) in self.digits[first..first + 3].iter_mut().enumerate() {
            let part = i64::from((wide >> (DIGIT_BITS * place as u32)) as u32);
            *digit += if x.is_sign_negative() { -part } else { part };
        }
        self.additions += 1;
        if self.additions == ADDITIONS_BEFORE_CARRY {
            self.carry();
        }
    }

    /// Adds another sum.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.additions + other.additions >= ADDITIONS_BEFORE_CARRY {
            self.carry();
        }
        self.digits.iter_mut().zip(&other.digits).for_each(|(digit, other)| *digit += other);
        self.additions += other.additions + 1;
        self.special += other.special;
    }

    /// Brings every digit but the highest, which keeps the sign, into [0, 2^32).
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let sum = *digit + carry;
            carry = sum >> DIGIT_BITS;
            *digit = sum & i64::from(u32::MAX);
        }
        self.digits[DIGITS - 1] += carry;
        self.additions = 0;
    }

    /// The sum, rounded to nearest, ties to even.
    pub(crate) fn to_f64(&self) -> f64 {
        if self.special != 0.0 {
            return self.special; // NaN is unequal to 0, too
        }
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.digits[DIGITS - 1] < 0;
        if negative {
            sum.digits.iter_mut().for_each(|digit| *digit = -*digit);
            sum.carry();
        }
        let magnitude = sum.magnitude();
        if negative { -magnitude } else { magnitude }
    }

    /// The square root of a sum that is not negative, rounded to nearest, ties to even.
    pub(crate) fn sqrt(&self) -> f64 {
        let root = self.to_f64().sqrt();
        if root == 0.0 || !root.is_finite() {
            return root;
        }
        // The root of the rounded sum is at most one step off. Which of the two neighbours is nearer, the exact sum
        // tells: it lies above or below the square of the point between them.
        let (below, above) = (root.next_down(), root.next_up());
        if self.is_below_middle(below, root) {
            below
        } else if self.is_below_middle(root, above) {
            root
        } else {
            above
        }
    }

    /// Whether the square root is nearer to `low` than to `high`, its upper neighbour; between the two, if `low` is even.
    fn is_below_middle(&self, low: f64, high: f64) -> bool {
        let step = high - low;
        let square = low * low;
        let rest = low.mul_add(low, -square); // fused, so `square + rest` is the square exactly
        let mut difference = self.clone();
        for term in [square, rest, low * step, step * step / 4.0] {
            difference.add(-term);
        }
        let difference = difference.to_f64();
        difference < 0.0 || difference == 0.0 && low.to_bits() & 1 == 0
    }

    /// The value of carried, non-negative digits.
    fn magnitude(&self) -> f64 {
        let Some(highest) = self.digits.iter().rposition(|&digit| digit != 0) else { return 0.0 };
        // Three digits hold at least the 65 highest bits, enough for 53 and the bit that decides the rounding.
        let lowest = highest.saturating_sub(2);
        let window = self.digits[lowest..=highest].iter().rev().fold(0u128, |bits, &d| bits << DIGIT_BITS | d as u128);
        let below = self.digits[..lowest].iter().any(|&digit| digit != 0);
        let top = lowest as u64 * u64::from(DIGIT_BITS) + u64::from(window.ilog2());
        if top <= 52 {
            return f64::from_bits(window as u64); // an exact multiple of 2^-1074 that needs no rounding
        }
        let drop = window.ilog2() - 52; // above 0: a narrower window would have had no digits below it
        let kept = (window >> drop) as u64;
        let rest = window & ((1 << drop) - 1);
        let half = 1 << (drop - 1);
        let up = rest > half || rest == half && (below || kept & 1 == 1);
        // The hidden bit adds one to the exponent; so does a carry out of the mantissa.
        let bits = ((top - 52) << 52) + kept + u64::from(up);
        if bits >= f64::INFINITY.to_bits() { f64::INFINITY } else { f64::from_bits(bits) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::new();
        values.iter().for_each(|&x| sum.add(x));
        sum.to_f64()
    }

    #[test]
    fn cancellation_leaves_the_small_terms() {
        assert_eq!(sum(&[1e308, 1.0, -1e308, 2f64.powi(-1074)]), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[-1.0, 2f64.powi(-1074)]), -1.0);
        assert_eq!(sum(&[1e-320, -3e-320]), 1e-320 - 3e-320);
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn ties_go_to_even_unless_something_lies_below() {
        let ulp = 2f64.powi(-52);
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, 2f64.powi(-1074)]), 1.0 + ulp);
        assert_eq!(sum(&[-1.0, -ulp / 2.0, -2f64.powi(-1074)]), -1.0 - ulp);
    }

    #[test]
    fn infinities_and_nan_come_through() {
        assert_eq!(sum(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).is_nan());
        assert!(sum(&[f64::NAN, 1.0]).is_nan());
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
        assert_eq!(root(&[]), 0.0);
        assert_eq!(root(&[f64::INFINITY]), f64::INFINITY);
    }

    proptest! {
        /// The root is at least as near as its neighbours: (r - h)^2 <= sum <= (r + h)^2, h half a step.
        #[test]
        fn no_neighbour_of_a_root_is_nearer(values in prop::collection::vec(1e-100..1e100f64, 1..6)) {
            let mut exact = ExactSum::new();
            values.iter().for_each(|&x| exact.add(x));
            let root = exact.sqrt();
            prop_assert!(!exact.is_below_middle(root.next_down(), root) || root.to_bits() & 1 == 0);
            prop_assert!(exact.is_below_middle(root, root.next_up()));
        }

        /// The sum of two numbers is what the hardware, which rounds correctly, says it is.
        #[test]
        fn two_terms_round_as_the_hardware_does(a in any::<f64>(), b in any::<f64>()) {
            let (ours, theirs) = (sum(&[a, b]), a + b);
            prop_assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{ours:e} {theirs:e}");
        }

        #[test]
        fn order_does_not_matter(mut values in prop::collection::vec(any::<f64>(), 0..20), by in 0usize..20) {
            let before = sum(&values);
            values.reverse();
            let turn = by % values.len().max(1);
            values.rotate_left(turn);
            prop_assert_eq!(before.to_bits(), sum(&values).to_bits());
        }
    }
}
