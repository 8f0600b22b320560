//! Adding many float64 terms in a fixed order that vector units like, without losing what each addition rounds away.

/// Terms are computed in blocks of this many, which stay in the first-level cache between computing and adding.
pub(crate) const BLOCK: usize = 256;

/// Independent accumulators: enough to hide the latency of additions, few enough to stay in registers.
const LANES: usize = 16;

const _: () = assert!(BLOCK.is_multiple_of(LANES), "a full block fills every lane");

/// A running sum: term `i` goes to lane `i % 16`, and the lanes are added in order. What is added in which order is part
/// of the result's bits; it is the same whatever vector width the compiler chooses.
///
/// Within a block terms are simply added; from block to block what an addition rounds away is kept (Neumaier's sum,
/// lane by lane). So the error is that of 16 additions, whatever the length.
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
        for (lane, term) in block.into_iter().enumerate() {
            add_to(&mut self.sums[lane], &mut self.rests[lane], term);
        }
    }

    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        let (mut sum, mut rest) = (self.sums[0], self.rests[0]);
        for lane in 1..LANES {
            add_to(&mut sum, &mut rest, self.sums[lane]);
            rest += self.rests[lane];
        }
        compensated(sum, rest)
    }
}

/// The sum of two numbers, rounded, and what the rounding took. Knuth, The Art of Computer Programming 2, 4.2.2.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// Adds `term` to a sum that is kept with what its roundings took.
#[inline(always)]
pub(crate) fn add_to(sum: &mut f64, rest: &mut f64, term: f64) {
    let (rounded, lost) = two_sum(*sum, term);
    *sum = rounded;
    *rest += lost;
}

/// A sum together with what its roundings took. An infinite sum has taken NaN, which is not the sum's.
#[inline(always)]
pub(crate) fn compensated(sum: f64, rest: f64) -> f64 {
    if sum.is_finite() { sum + rest } else { sum }
}

/// The sum of `count` terms along a balanced tree, whose error grows with the logarithm of their number.
pub(crate) fn tree_sum(count: usize, term: &impl Fn(usize) -> f64) -> f64 {
    fn range(from: usize, to: usize, term: &impl Fn(usize) -> f64) -> f64 {
        match to - from {
            0 => 0.0,
            1 => term(from),
            count => range(from, from + count / 2, term) + range(from + count / 2, to, term),
        }
    }
    range(0, count, term)
}
