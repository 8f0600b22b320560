//! The exact sum of a chunk's absolute values or squares, at vector speed.

use std::marker::PhantomData;

use crate::{
    DType, Element,
    exact::ExactSum,
    lanes::{BLOCK, two_sum},
    simd::{self, Kernel},
};

const LANES: usize = 16;

/// What is added of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Absolute,
    Square,
}

/// Adds a term of each element of `data` to `sum`, exactly.
///
/// The terms go into levels of float64 lanes, each of which takes what the one before rounds away. As long as the last
/// rounds nothing away, the levels hold the exact sum: two hold 106 bits from the largest partial sum to the lowest bit
/// of the smallest term, which is enough for squares of float32 numbers that differ by up to some 2^20. A chunk with a
/// wider range, or with an infinity or a NaN, is added again term by term.
pub(super) fn add<E: Element>(sum: &mut ExactSum, data: &[u8], term: Term) {
    let element = PhantomData::<E>;
    let exact = match term {
        Term::Absolute => simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x.abs()], element }).add_to(sum),
        // The square of any other dtype fits float64.
        Term::Square if E::DTYPE != DType::F64 => {
            simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x * x], element }).add_to(sum)
        }
        Term::Square => simd::run(Cascade::<_, _, 4> { data, term: &square_and_rest, element }).add_to(sum),
    };
    if exact {
        return;
    }
    for element in data.chunks_exact(E::DTYPE.size()) {
        let x = E::from_le_bytes(element).to_f64();
        match term {
            Term::Absolute => sum.add(x.abs()),
            Term::Square => sum.add_square(x),
        }
    }
}

/// The square of a float64 number, rounded, and what the rounding took; NaN where that would leave the range.
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
    /// 0 if nothing was; NaN if there are terms that are not finite.
    lost: f64,
}

impl<const LEVELS: usize> Cascaded<LEVELS> {
    /// Adds the levels to `sum` if they are exact, and says whether they are.
    fn add_to(self, sum: &mut ExactSum) -> bool {
        let exact = self.lost == 0.0;
        if exact {
            self.levels.into_iter().flatten().for_each(|partial| sum.add(partial));
        }
        exact
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Both ways to add are exact, for numbers of one scale and of all scales.
        #[test]
        fn chunks_are_added_exactly(
            values in prop_oneof![
                prop::collection::vec(-1f64..1.0, 0..600),
                prop::collection::vec(any::<f64>(), 0..600),
            ],
            narrow: bool,
        ) {
            let values: Vec<f64> = values.into_iter().map(|x| if narrow { f64::from(x as f32) } else { x }).collect();
            let (mut squares, mut absolutes) = (ExactSum::new(), ExactSum::new());
            if narrow {
                let data: Vec<u8> = values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
                add::<f32>(&mut squares, &data, Term::Square);
                add::<f32>(&mut absolutes, &data, Term::Absolute);
            } else {
                let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                add::<f64>(&mut squares, &data, Term::Square);
                add::<f64>(&mut absolutes, &data, Term::Absolute);
            }
            let (mut one_by_one, mut absolute) = (ExactSum::new(), 0.0);
            values.iter().for_each(|&x| one_by_one.add_square(x));
            values.iter().for_each(|&x| absolute += x.abs());
            prop_assert!(squares.sqrt() == one_by_one.sqrt() || squares.sqrt().is_nan() && one_by_one.sqrt().is_nan());
            let near = (absolutes.to_f64() - absolute).abs() <= 1e-12 * absolute;
            prop_assert!(near || absolutes.to_f64() == absolute || absolute.is_nan() && absolutes.to_f64().is_nan());
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
