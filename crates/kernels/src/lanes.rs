//! Adding many float64 terms in a fixed order that vector units like.

/// Terms are computed in blocks of this many, which stay in the first-level cache between computing and adding.
pub(crate) const BLOCK: usize = 256;

/// Independent accumulators: enough to hide the latency of additions, few enough to stay in registers.
const LANES: usize = 16;

/// A running sum: term `i` goes to lane `i % 16`, and the lanes are added as a tree. The order is part of the result's
/// bits; it is the same whatever the vector width the compiler chooses.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([f64; LANES]);

impl Lanes {
    pub(crate) fn new() -> Self {
        Self([0.0; LANES])
    }

    /// Adds terms. Every call but the last takes a multiple of 16 of them.
    #[inline(always)]
    pub(crate) fn add(&mut self, terms: &[f64]) {
        let (whole, rest) = terms.as_chunks::<LANES>();
        for terms in whole {
            for (lane, term) in self.0.iter_mut().zip(terms) {
                *lane += term;
            }
        }
        for (lane, term) in self.0.iter_mut().zip(rest) {
            *lane += term;
        }
    }

    pub(crate) fn total(mut self) -> f64 {
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                self.0[i] += self.0[i + width];
            }
            width /= 2;
        }
        self.0[0]
    }
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
