//! The exact sum of a chunk's absolute values or squares, at vector speed.

use std::marker::PhantomData;

use crate::{
    Element,
    lanes::{BLOCK, LANES, two_sum},
    simd::{self, Kernel},
};

/// The term that each element contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Absolute,
    Square,
}

/// Numbers whose exact sum is that of the terms of all elements of `data`; `None` if this method cannot find them.
///
/// The terms go into levels of float64 lanes, each of which adds up the rounding errors of the one before. As long as
/// the last level makes no rounding error, the levels hold the exact sum: two hold 106 bits from the largest partial
/// sum to the lowest bit of the smallest term, which is enough for squares of float32 numbers that differ by up to some
/// 2^20. A wider range, an infinity or a NaN gives `None`.
pub(super) fn terms<E: Element>(data: &[u8], term: Term) -> Option<Vec<f64>> {
    let element = PhantomData::<E>;
    match term {
        Term::Absolute => simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x.abs()], element }).exact(),
        Term::Square if E::IS_DOUBLE => simd::run(Cascade::<_, _, 4> { data, term: &square_and_rest, element }).exact(),
        // Squares of the other dtypes fit float64.
        Term::Square => simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x * x], element }).exact(),
    }
}

/// The rounded square of a float64 number and its rounding error; NaN where the error may leave the range of float64.
#[inline(always)]
fn square_and_rest(x: f64) -> [f64; 2] {
    let square = x * x;
    let exact = x == 0.0 || (1e-250..1e300).contains(&square);
    [if exact { square } else { f64::NAN }, x.mul_add(x, -square)]
}

struct Cascade<'a, E, F, const LEVELS: usize> {
    data: &'a [u8],
    term: &'a F,
    element: PhantomData<E>,
}

struct Cascaded<const LEVELS: usize> {
    levels: [[f64; LANES]; LEVELS],
    /// 0 if the levels hold the exact sum; NaN if there are terms that are not finite.
    lost: f64,
}

impl<const LEVELS: usize> Cascaded<LEVELS> {
    fn exact(self) -> Option<Vec<f64>> {
        (self.lost == 0.0).then(|| self.levels.into_iter().flatten().collect())
    }
}

impl<E, F, const N: usize, const LEVELS: usize> Kernel for Cascade<'_, E, F, LEVELS>
where
    E: Element,
    F: Fn(f64) -> [f64; N],
{
    type Output = Cascaded<LEVELS>;

    #[inline(always)]
    fn run(self) -> Cascaded<LEVELS> {
        let size = E::DTYPE.size();
        let (mut levels, mut lost) = ([[0.0; LANES]; LEVELS], [0.0; LANES]);
        for bytes in self.data.chunks(BLOCK * size) {
            let mut values = [0.0; BLOCK];
            let count = bytes.len() / size;
            E::decode(bytes, &mut values[..count]);
            // Beyond `count` there are zeros, which change no sum.
            for values in values[..count.next_multiple_of(LANES)].as_chunks::<LANES>().0 {
                for (lane, terms) in values.map(self.term).into_iter().enumerate() {
                    for mut term in terms {
                        for level in &mut levels {
                            (level[lane], term) = two_sum(level[lane], term);
                        }
                        lost[lane] += term.abs();
                    }
                }
            }
        }
        Cascaded { levels, lost: lost.into_iter().sum() }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_exact::ExactSum;
    use proptest::prelude::*;

    use super::*;

    fn sum(terms: impl IntoIterator<Item = f64>) -> ExactSum {
        let mut sum = ExactSum::new();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }

    proptest! {
        /// Numbers of one scale are summed exactly; numbers of all scales, exactly or not at all.
        #[test]
        fn what_is_summed_is_exact(
            (values, one_scale) in prop_oneof![
                (prop::collection::vec(-1f32..1.0, 0..600), Just(true)),
                (prop::collection::vec(any::<f32>(), 0..600), Just(false)),
            ],
            wide: bool,
        ) {
            let finite = values.iter().all(|x| x.is_finite());
            let (squares, absolutes) = if wide {
                let data: Vec<u8> = values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
                (terms::<f64>(&data, Term::Square), terms::<f64>(&data, Term::Absolute))
            } else {
                let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                (terms::<f32>(&data, Term::Square), terms::<f32>(&data, Term::Absolute))
            };
            prop_assert!(!one_scale || squares.is_some() && absolutes.is_some());
            prop_assert!(finite || squares.is_none() && absolutes.is_none());
            if let Some(squares) = squares {
                prop_assert_eq!(sum(squares), sum(values.iter().map(|&x| f64::from(x) * f64::from(x))));
            }
            if let Some(absolutes) = absolutes {
                prop_assert_eq!(sum(absolutes), sum(values.iter().map(|&x| f64::from(x.abs()))));
            }
        }

        /// The square of a float64 number does not fit float64.
        #[test]
        fn squares_of_float64_keep_what_rounding_takes(values in prop::collection::vec(-1f64..1.0, 0..600)) {
            let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            let mut one_by_one = ExactSum::new();
            values.iter().for_each(|&x| one_by_one.add_square(x));
            if let Some(terms) = terms::<f64>(&data, Term::Square) {
                prop_assert_eq!(sum(terms), one_by_one);
            }
        }
    }

    #[test]
    fn a_wide_range_is_noticed() {
        let values = [1e10f32, 1e-30, -1e10, 1e-38];
        let lost = |values: &[f32]| {
            let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            simd::run(Cascade::<_, _, 2> { data: &data, term: &|x: f64| [x * x], element: PhantomData::<f32> }).lost
        };
        assert_eq!(lost(&values), 0.0, "one element in a lane loses nothing");
        let spread: Vec<f32> = values.iter().flat_map(|&x| [x; LANES]).collect();
        assert!(lost(&spread) > 0.0);
    }
}
