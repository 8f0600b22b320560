//! The exact sum of a chunk, at vector speed.

use std::marker::PhantomData;

use crate::{
    Element,
    exact::ExactSum,
    lanes::{BLOCK, two_sum},
    simd::{self, Kernel},
};

const LANES: usize = 16;

/// Adds a term of each element of `data` to `sum`, exactly.
///
/// The terms go into two levels of float64 lanes: the second takes what the first rounds away. As long as the second
/// rounds nothing away, the two levels hold the exact sum. They do for 106 bits from the largest partial sum to the
/// lowest bit of the smallest term, that is for squares of float32 numbers that differ by up to some 2^20; a chunk with
/// a wider range, or with an infinity or a NaN, is added again term by term.
pub(super) fn add<E: Element>(sum: &mut ExactSum, data: &[u8], term: &(impl Fn(f64) -> f64 + Sync)) {
    let Cascaded { first, second, lost } = simd::run(Cascade { data, term, element: PhantomData::<E> });
    if lost == 0.0 {
        first.into_iter().chain(second).for_each(|partial| sum.add(partial));
    } else {
        for element in data.chunks_exact(E::DTYPE.size()) {
            sum.add(term(E::from_le_bytes(element).to_f64()));
        }
    }
}

struct Cascade<'a, E, F> {
    data: &'a [u8],
    term: &'a F,
    element: PhantomData<E>,
}

struct Cascaded {
    first: [f64; LANES],
    second: [f64; LANES],
    /// 0 if nothing was; NaN if there are terms that are not finite.
    lost: f64,
}

impl<E: Element, F: Fn(f64) -> f64> Kernel for Cascade<'_, E, F> {
    type Output = Cascaded;

    #[inline(always)]
    fn run(self) -> Cascaded {
        let size = E::DTYPE.size();
        let (mut first, mut second, mut lost) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for bytes in self.data.chunks(BLOCK * size) {
            let mut values = [0.0; BLOCK];
            let count = bytes.len() / size;
            E::decode(bytes, &mut values[..count]);
            values[..count].iter_mut().for_each(|value| *value = (self.term)(*value));
            // Beyond `count` there are zeros, which change no sum.
            for terms in values[..count.next_multiple_of(LANES)].as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    let (sum, rest) = two_sum(first[lane], terms[lane]);
                    let (sum_of_rests, rest) = two_sum(second[lane], rest);
                    (first[lane], second[lane]) = (sum, sum_of_rests);
                    lost[lane] += rest.abs();
                }
            }
        }
        Cascaded { first, second, lost: lost.into_iter().sum() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    proptest! {
        /// Both ways to add are exact, for numbers of one scale and of all scales.
        #[test]
        fn chunks_are_added_exactly(
            values in prop_oneof![
                prop::collection::vec(-1f32..1.0, 0..600),
                prop::collection::vec(any::<f32>(), 0..600),
            ],
        ) {
            let mut sum = ExactSum::new();
            add::<f32>(&mut sum, &bytes(&values), &|x| x * x);
            let mut expected = ExactSum::new();
            values.iter().for_each(|&x| expected.add(f64::from(x) * f64::from(x)));
            prop_assert!(sum.to_f64() == expected.to_f64() || sum.to_f64().is_nan() && expected.to_f64().is_nan());
            prop_assert!(sum.sqrt() == expected.sqrt() || sum.sqrt().is_nan());
        }
    }

    #[test]
    fn a_wide_range_is_noticed() {
        let values = [1e10f32, 1e-30, -1e10, 1e-38];
        let cascaded = simd::run(Cascade { data: &bytes(&values), term: &|x| x, element: PhantomData::<f32> });
        assert_eq!(cascaded.lost, 0.0, "one element in a lane loses nothing");
        let spread: Vec<f32> = values.iter().flat_map(|&x| [x; 16]).collect();
        let cascaded = simd::run(Cascade { data: &bytes(&spread), term: &|x| x * x, element: PhantomData::<f32> });
        assert!(cascaded.lost > 0.0);
    }
}
