//! Sums of many float64 terms, in a fixed order that vector units can follow, with the rounding errors of the
//! additions.

use crate::{Element, dtype::Exponents};

/// Terms are computed in blocks of this many, which stay in the first-level cache between computing and adding.
pub(crate) const BLOCK: usize = 256;

/// Independent accumulators: enough to hide the latency of additions, few enough to stay in registers.
pub(crate) const LANES: usize = 16;

const _: () = assert!(BLOCK.is_multiple_of(LANES), "a full block fills every lane");

/// Numbers that one loop writes and the next reads, aligned so that no vector crosses two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Scratch<T, const N: usize>(pub(crate) [T; N]);

impl<T: Copy + Default, const N: usize> Scratch<T, N> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self([T::default(); N])
    }
}

/// A running sum: term `i` goes to lane `i % 16`, and at the end the lanes are added in pairs. The order of the
/// additions determines the result's bits; it is the same for every vector width that the compiler chooses.
///
/// Within a block terms are added plainly; from block to block the rounding error of each addition is kept (Neumaier's
/// sum, lane by lane). So the error is less than that of 17 additions, whatever the length.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    sums: [f64; LANES],
    rests: [f64; LANES],
}

impl Lanes {
    pub(crate) fn new() -> Self {
        Self { sums: [0.0; LANES], rests: [0.0; LANES] }
    }

    /// Adds a block of terms. Every call but the last takes [`BLOCK`] of them.
    #[inline(always)]
    pub(crate) fn add(&mut self, terms: &[f64]) {
        let mut block = [0.0; LANES];
        let (whole, rest) = terms.as_chunks::<LANES>();
        for terms in whole {
            for (lane, term) in block.iter_mut().zip(terms) {
                *lane += term;
            }
        }
        for (lane, term) in block.iter_mut().zip(rest) {
            *lane += term;
        }
        self.fold(block);
    }

    /// Adds to each lane the plain sum of its terms of a block.
    #[inline(always)]
    pub(crate) fn fold(&mut self, block: [f64; LANES]) {
        for (lane, term) in block.into_iter().enumerate() {
            add_to(&mut self.sums[lane], &mut self.rests[lane], term);
        }
    }

    /// As [`fold`](Self::fold), without the rounding errors of the additions: for sums that are known to be exact, or
    /// are not used if they are not.
    #[inline(always)]
    pub(crate) fn add_plainly(&mut self, block: [f64; LANES]) {
        self.sums.iter_mut().zip(block).for_each(|(lane, term)| *lane += term);
    }

    /// Adds a block of terms, keeping the rounding error of every addition.
    #[inline(always)]
    pub(crate) fn add_each(&mut self, terms: &[f64]) {
        let (whole, rest) = terms.as_chunks::<LANES>();
        for terms in whole {
            for (lane, &term) in terms.iter().enumerate() {
                add_to(&mut self.sums[lane], &mut self.rests[lane], term);
            }
        }
        for (lane, &term) in rest.iter().enumerate() {
            add_to(&mut self.sums[lane], &mut self.rests[lane], term);
        }
    }

    /// As [`add`](Self::add), for `term` of each element of a whole block.
    #[inline(always)]
    pub(crate) fn add_terms<E: Element>(&mut self, elements: &[u8], term: impl Fn(f64) -> f64) {
        if E::DECODES_SLOWLY {
            let mut values = [0.0; BLOCK];
            E::decode(elements, &mut values);
            values.iter_mut().for_each(|x| *x = term(*x));
            return self.add(&values);
        }
        let mut block = [0.0; LANES];
        for bytes in elements.chunks_exact(LANES * E::DTYPE.size()) {
            let mut values = [0.0; LANES];
            E::decode(bytes, &mut values);
            for (lane, x) in values.into_iter().enumerate() {
                block[lane] += term(x);
            }
        }
        self.fold(block);
    }

    /// As [`add_each`](Self::add_each), for a whole block of elements. Where plain additions are exact it makes those:
    /// the sum is the same, at a third of the cost.
    #[inline(always)]
    pub(crate) fn add_elements<E: Element>(&mut self, elements: &[u8]) {
        if sums_are_exact::<E>(elements) {
            return self.add_terms::<E>(elements, |x| x);
        }
        let mut values = [0.0; BLOCK];
        E::decode(elements, &mut values);
        self.add_each(&values);
    }

    /// The total, rounded at each addition of two lanes: fewer steps than [`sum`](Self::sum) takes, and the same number
    /// where these additions are exact.
    ///
    /// Not inlined, as [`sum`](Self::sum) is not.
    #[inline(never)]
    pub(crate) fn plain_total(&self) -> f64 {
        // The rest of an infinite sum is NaN, and is left out.
        let total = |lane: usize| self.sums[lane] + if self.rests[lane].is_finite() { self.rests[lane] } else { 0.0 };
        let mut totals: [f64; LANES] = std::array::from_fn(total);
        let mut half = LANES / 2;
        while half > 0 {
            let (low, high) = totals.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
            half /= 2;
        }
        totals[0]
    }

    /// The total with its rounding error: lanes are added in pairs, and so are their sums.
    ///
    /// Not inlined: with its accesses to single lanes in the same function, LLVM would keep each lane in a scalar
    /// register in the loops that add.
    #[inline(never)]
    pub(crate) fn sum(mut self) -> DoubleDouble {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                let (other, other_rest) = (self.sums[lane + half], self.rests[lane + half]);
                add_to(&mut self.sums[lane], &mut self.rests[lane], other);
                self.rests[lane] += other_rest;
            }
            half /= 2;
        }
        DoubleDouble { high: self.sums[0], low: self.rests[0] }
    }
}

/// Whether a lane can add these [`BLOCK`] elements without rounding. All of them are multiples of one unit, the last bit of
/// the smallest, so that their sums are exact if they fit 53 bits of that unit. The answer may be no for sums that are exact.
#[inline(always)]
fn sums_are_exact<E: Element>(elements: &[u8]) -> bool {
    const TERMS: i32 = (BLOCK / LANES).ilog2() as i32;
    let reach = f64::MANTISSA_DIGITS as i32 - 1 - E::MANTISSA - TERMS;
    let Exponents { largest, smallest } = E::exponents(elements);
    largest <= smallest + reach
}

/// The rounded sum of two numbers and its rounding error, which is exact. Knuth, The Art of Computer Programming 2,
/// 4.2.2.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// Adds `term` to a sum that is kept with the sum of its rounding errors.
#[inline(always)]
pub(crate) fn add_to(sum: &mut f64, rest: &mut f64, term: f64) {
    let (rounded, lost) = two_sum(*sum, term);
    *sum = rounded;
    *rest += lost;
}

/// The sum of `count` terms along a balanced tree, whose error grows with the logarithm of their number.
pub(crate) fn tree_sum(count: usize, term: &impl Fn(usize) -> DoubleDouble) -> DoubleDouble {
    fn range(from: usize, to: usize, term: &impl Fn(usize) -> DoubleDouble) -> DoubleDouble {
        match to - from {
            0 => DoubleDouble::from(0.0),
            1 => term(from),
            count => range(from, from + count / 2, term).plus(range(from + count / 2, to, term)),
        }
    }
    range(0, count, term)
}

/// A number of about twice float64's precision, as a sum of two. Sums and products are those of Dekker and Knuth, right
/// to some 2^-102 of their terms. Where they leave float64's range, `low` is NaN and has no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DoubleDouble {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl From<f64> for DoubleDouble {
    #[inline(always)]
    fn from(x: f64) -> Self {
        Self { high: x, low: 0.0 }
    }
}

impl DoubleDouble {
    /// `a * b`. The fused multiplication gives the same bits everywhere; a machine that has none computes it slowly.
    #[inline(always)]
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        let (high, lost) = two_sum(self.high, other.high);
        Self { high, low: lost + (self.low + other.low) }
    }

    #[inline(always)]
    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> Self {
        let Self { high, low } = Self::product(self.high, other.high);
        Self { high, low: low + (self.high * other.low + self.low * other.high) }
    }

    #[inline(always)]
    pub(crate) fn over(self, n: f64) -> Self {
        let high = self.high / n;
        Self { high, low: (n.mul_add(-high, self.high) + self.low) / n }
    }

    #[inline(always)]
    pub(crate) fn negated(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }

    /// `1 / sqrt(self)`, of a number above 0: a step of Newton from float64's doubles its digits.
    pub(crate) fn root_reciprocal(self) -> Self {
        let high = 1.0 / self.high.sqrt();
        let rest = Self::from(1.0).minus(self.times(Self::product(high, high))).value();
        Self { high, low: high * rest / 2.0 }.normalized()
    }

    /// The same number, with `high` the nearest float64.
    #[inline(always)]
    pub(crate) fn normalized(self) -> Self {
        let (high, low) = two_sum(self.high, self.low);
        Self { high, low }
    }

    /// The number, rounded to float64. A zero keeps its sign, and a number beyond float64's range stays infinite.
    #[inline(always)]
    pub(crate) fn value(self) -> f64 {
        if self.low.abs() > 0.0 && self.low.is_finite() { self.high + self.low } else { self.high }
    }
}
