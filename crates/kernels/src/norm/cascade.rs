//! The exact sum of a chunk's absolute values or squares, at vector speed.

use std::marker::PhantomData;

use crate::{
    DType, Element,
    dtype::Exponents,
    lanes::{BLOCK, LANES, two_sum},
    parallel::CHUNK,
    simd::{self, InstructionSet, Kernel},
};

/// What is added of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Absolute,
    Square,
}

/// Numbers whose sum is, exactly, that of a term of each element of `data`; `None` if they cannot be had this way.
///
/// The terms go into levels of float64 lanes, each of which takes what the one before rounds away. As long as the last
/// rounds nothing away, the levels hold the exact sum: two hold 106 bits from the largest partial sum to the lowest bit
/// of the smallest term, which is enough for squares of float32 numbers that differ by up to some 2^20. A wider range, an
/// infinity or a NaN is too much.
pub(super) fn terms<E: Element>(data: &[u8], term: Term) -> Option<Vec<f64>> {
    let element = PhantomData::<E>;
    match term {
        Term::Absolute => simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x.abs()], element }).exact(),
        // The square of any other dtype fits float64.
        Term::Square if E::DTYPE != DType::F64 => {
            if let Some(terms) = simd::run(Squares { data, element }) {
                return Some(terms);
            }
            simd::run(Cascade::<_, _, 2> { data, term: &|x: f64| [x * x], element }).exact()
        }
        Term::Square => simd::run(Cascade::<_, _, 4> { data, term: &square_and_rest, element }).exact(),
    }
}

/// The square of a float64 number, rounded, and what the rounding took; NaN where that would leave the range.
#[inline(always)]
fn square_and_rest(x: f64) -> [f64; 2] {
    let square = x * x;
    let exact = x == 0.0 || (1e-250..1e300).contains(&square);
    [if exact { square } else { f64::NAN }, x.mul_add(x, -square)]
}

/// Squares that span few powers of two, as those of most gradients do, without the second level's cost.
///
/// A lane's sum begins with a power of two above all it will come to, and so stays within one binade: its last bit is
/// always worth the same. What an addition rounds away is half of that at most, and a multiple of the unit that all
/// squares are multiples of; its sum is exact as long as it fits 53 bits of that unit.
struct Squares<'a, E> {
    data: &'a [u8],
    element: PhantomData<E>,
}

/// Twice as many lanes as elsewhere: LLVM shuffles fewer as if they were single numbers, at four times the cost.
const WIDE: usize = 2 * LANES;

impl<E: Element> Kernel for Squares<'_, E> {
    type Output = Option<Vec<f64>>;

    #[inline(always)]
    fn run(self) -> Option<Vec<f64>> {
        /// The most terms in a lane, as a power of two.
        const TERMS: i32 = (CHUNK / WIDE).ilog2() as i32;
        debug_assert!(self.data.len() <= CHUNK * E::DTYPE.size(), "more would not fit the lanes");
        let Exponents { largest, smallest } = E::exponents(self.data);
        let not_finite = 2 * E::BIAS + 1;
        // |x| < 2^(e + 1), so that a lane's sum is below 2^(2e + 2 + TERMS), and rounds away no more than 2^(2e + 2 - 53
        // + TERMS) each time; units are 2^(2 (smallest - MANTISSA)).
        let rests = 2 * (largest - smallest) + 2 + 2 * TERMS + 2 * E::MANTISSA - 53;
        if largest == not_finite || rests > 53 {
            return None;
        }
        let start = f64::from_bits(((1023 + 2 * (largest - E::BIAS) + 2 + TERMS) as u64) << 52);
        // Squares are exact in float64, so that both ways to add one give the same bits; the fused one is a call where it
        // is not an instruction.
        if simd::chosen() == InstructionSet::Baseline {
            Some(self.sum(start, |x, y| x * x + y))
        } else {
            Some(self.sum(start, |x, y| x.mul_add(x, y)))
        }
    }
}

impl<E: Element> Squares<'_, E> {
    /// `plus_square(x, y)` is x² + y.
    #[inline(always)]
    fn sum(self, start: f64, plus_square: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let (mut sums, mut rests) = ([start; WIDE], [0.0; WIDE]);
        let mut add = |values: &[f64; WIDE]| {
            for (lane, &x) in values.iter().enumerate() {
                let sum = plus_square(x, sums[lane]);
                rests[lane] += plus_square(x, sums[lane] - sum);
                sums[lane] = sum;
            }
        };
        let step = if E::DECODES_SLOWLY { BLOCK } else { WIDE };
        let whole = self.data.chunks_exact(step * E::DTYPE.size());
        let rest = whole.remainder();
        let mut block = [0.0; BLOCK];
        for bytes in whole {
            if E::DECODES_SLOWLY {
                E::decode(bytes, &mut block);
                block.as_chunks::<WIDE>().0.iter().for_each(&mut add);
            } else {
                let mut values = [0.0; WIDE];
                E::decode(bytes, &mut values);
                add(&values);
            }
        }
        let count = rest.len() / E::DTYPE.size();
        E::decode(rest, &mut block[..count]);
        block[count..].fill(0.0); // zeros change no sum
        block.as_chunks::<WIDE>().0.iter().for_each(&mut add);
        sums.into_iter().map(|sum| sum - start).chain(rests).collect()
    }
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
        /// Numbers of one scale are summed exactly; of all scales, exactly or not at all.
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

        /// The square of a float64 number does not fit one.
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

    /// As many elements as a chunk has, all bits of which count, as far apart as is allowed and one power of two more.
    #[test]
    fn squares_of_a_few_powers_of_two_are_exact() {
        let squares = |powers: i32| {
            let element =
                |i: usize| if i.is_multiple_of(3) { 1.999_999_9f32 } else { (-powers as f32).exp2() * 1.999_999_5 };
            let values: Vec<f32> = (0..CHUNK).map(element).collect();
            let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            let exact = sum(values.iter().map(|&x| f64::from(x) * f64::from(x)));
            (simd::run(Squares { data: &data, element: PhantomData::<f32> }).map(sum), exact)
        };
        for powers in 0..=20 {
            let (squares, exact) = squares(powers);
            assert_eq!(squares, Some(exact), "{powers}");
        }
        assert_eq!(squares(21).0, None);
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
