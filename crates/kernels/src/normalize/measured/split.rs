//! Sums of terms that span few powers of two: each is split into numbers that add up without rounding.

use std::marker::PhantomData;

use super::{span::MOST, term::Term};
use crate::{lanes::LANES, simd::Kernel};

/// Adds terms to sums, each to its place, split so that nothing is rounded.
pub(super) struct Split<'a, T, const WIDTH: usize, const LEVELS: usize> {
    pub(super) levels: &'a mut [[f64; WIDTH]; LEVELS],
    pub(super) anchors: [f64; MOST],
    pub(super) a: &'a [f64],
    pub(super) b: &'a [f64],
    pub(super) term: PhantomData<T>,
}

impl<T: Term, const WIDTH: usize, const LEVELS: usize> Kernel for Split<'_, T, WIDTH, LEVELS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        if WIDTH > LANES {
            return split::<T, WIDTH, LEVELS>(self.levels, self.anchors, self.a, self.b);
        }
        // So few sums stay in registers.
        let mut levels = *self.levels;
        split::<T, WIDTH, LEVELS>(&mut levels, self.anchors, self.a, self.b);
        *self.levels = levels;
    }
}

#[inline(always)]
fn split<T: Term, const WIDTH: usize, const LEVELS: usize>(
    levels: &mut [[f64; WIDTH]; LEVELS],
    anchors: [f64; MOST],
    a: &[f64],
    b: &[f64],
) {
    let (a, b) = (a.as_chunks::<WIDTH>().0, b.as_chunks::<WIDTH>().0);
    for (a, b) in a.iter().zip(b) {
        for place in 0..WIDTH {
            let [mut term, mut rest] = T::of(a[place], b[place]);
            for (level, anchor) in levels[..LEVELS - 1].iter_mut().zip(anchors) {
                let high = (term + anchor) - anchor;
                level[place] += high;
                term -= high;
            }
            if T::IS_PAIR {
                for (level, anchor) in levels[..LEVELS - 1].iter_mut().zip(anchors).skip(1) {
                    let high = (rest + anchor) - anchor;
                    level[place] += high;
                    rest -= high;
                }
                levels[LEVELS - 1][place] += rest;
            }
            levels[LEVELS - 1][place] += term;
        }
    }
}
