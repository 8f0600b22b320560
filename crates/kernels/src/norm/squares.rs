//! The exact sum of a chunk's squares, where they span few powers of two.

use std::{marker::PhantomData, ops::Range};

use crate::{
    Element,
    dtype::Exponents,
    lanes::{BLOCK, LANES},
    parallel::CHUNK,
    simd::{self, Kernel},
};

/// The elements whose exponents are found before they are added: few enough to stay in the first-level cache.
const STRETCH: usize = CHUNK / 4;

/// Twice as many lanes as elsewhere: with fewer, LLVM shuffles them as single numbers, which takes four times as long.
const WIDE: usize = 2 * LANES;

/// The most terms in a lane, as a power of two.
const TERMS: i32 = (CHUNK / WIDE).ilog2() as i32;

/// Squares that span few powers of two, as those of most gradients do, without the second level's cost. Not for float64.
///
/// A lane's sum begins with a power of two above all that will be added, and so stays within one binade: its last bit
/// always has the same weight. The rounding error of an addition is at most half of that, and a multiple of the unit
/// that all squares are multiples of; the sum of the errors is exact as long as it fits 53 bits of that unit.
pub(super) struct Squares<'a, E> {
    /// At most a chunk of elements, as bytes.
    pub(super) data: &'a [u8],
    pub(super) element: PhantomData<E>,
}

/// The sum of some squares.
pub(super) struct Sum {
    /// Numbers whose exact sum it is. They are few, since adding one to a long accumulator takes as long as some dozen
    /// squares.
    pub(super) terms: [f64; 4],
    /// The bytes of the elements that are not in the sum: too large beside the others, too small, or not finite.
    pub(super) left: Vec<Range<usize>>,
}

impl<E: Element> Kernel for Squares<'_, E> {
    type Output = Sum;

    /// Squares are exact in float64, so that both ways to add one give the same bits.
    #[inline(always)]
    fn run(self) -> Sum {
        self.sum(|x, y| x * x + y)
    }

    #[inline(always)]
    fn run_fused(self) -> Sum {
        self.sum(|x, y| x.mul_add(x, y))
    }
}

impl<E: Element> Squares<'_, E> {
    /// `plus_square(x, y)` is x² + y.
    #[inline(always)]
    fn sum(self, plus_square: impl Fn(f64, f64) -> f64 + Copy) -> Sum {
        debug_assert!(self.data.len() <= CHUNK * E::DTYPE.size(), "more would not fit the lanes");
        let (mut lanes, mut left) = (Lanes::new(), Vec::new());
        let stretch = STRETCH * E::DTYPE.size();
        for (index, data) in self.data.chunks(stretch).enumerate() {
            if lanes.make_room::<E>(E::exponents(data)) {
                lanes.add::<E>(data, stretch, plus_square);
            } else {
                left.push(index * stretch..index * stretch + data.len());
            }
        }
        Sum { terms: lanes.terms::<E>(), left }
    }
}

struct Lanes {
    /// The power of two that each sum began with.
    start: f64,
    sums: [f64; WIDE],
    rests: [f64; WIDE],
    /// The exponents of the elements that were added.
    range: Option<Exponents>,
}

impl Lanes {
    fn new() -> Self {
        Self { start: 0.0, sums: [0.0; WIDE], rests: [0.0; WIDE], range: None }
    }

    /// Makes room for squares of elements of this range. Returns false, and does nothing, if the range would be too
    /// wide.
    fn make_room<E: Element>(&mut self, range: Exponents) -> bool {
        let before = self.range.unwrap_or(range);
        let largest = range.largest.max(before.largest);
        let smallest = range.smallest.min(before.smallest);
        let not_finite = 2 * E::BIAS + 1;
        // |x| < 2^(e + 1), so that a lane's sum is below 2^(2e + 2 + TERMS), and rounds away no more than 2^(2e + 2 - 53
        // + TERMS) each time; units are 2^(2 (smallest - MANTISSA)).
        let rests = 2 * (largest - smallest) + 2 + 2 * TERMS + 2 * E::MANTISSA - 53;
        if largest == not_finite || rests > 53 {
            return false;
        }
        if self.range.is_none() || largest > before.largest {
            self.begin_with(power_of_two(begin::<E>(largest)));
        }
        self.range = Some(Exponents { largest, smallest });
        true
    }

    /// Begins the sums with a larger number. The sums so far are exact; the errors of adding them to it go to `rests`,
    /// too.
    fn begin_with(&mut self, start: f64) {
        for (sum, rest) in self.sums.iter_mut().zip(&mut self.rests) {
            let so_far = *sum - self.start;
            *sum = start + so_far;
            *rest += so_far - (*sum - start);
        }
        self.start = start;
    }

    /// Adds squares that there is room for. `ahead`: the distance in bytes to the elements that are needed next, which
    /// are prefetched meanwhile.
    #[inline(always)]
    fn add<E: Element>(&mut self, data: &[u8], ahead: usize, plus_square: impl Fn(f64, f64) -> f64) {
        let (mut sums, mut rests) = (self.sums, self.rests);
        let mut add = |values: &[f64; WIDE]| {
            for (lane, &x) in values.iter().enumerate() {
                let sum = plus_square(x, sums[lane]);
                rests[lane] += plus_square(x, sums[lane] - sum);
                sums[lane] = sum;
            }
        };
        let step = if E::DECODES_SLOWLY { BLOCK } else { WIDE };
        let whole = data.chunks_exact(step * E::DTYPE.size());
        let rest = whole.remainder();
        let mut block = [0.0; BLOCK];
        for bytes in whole {
            simd::prefetch(bytes, ahead);
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
        (self.sums, self.rests) = (sums, rests);
    }

    /// The sum, as [`Sum`] has it.
    fn terms<E: Element>(&self) -> [f64; 4] {
        let Some(Exponents { largest, smallest }) = self.range else { return [0.0; 4] };
        // All sums are in the binade of `start`, so the difference of the bits is their distance in units of the last
        // bit.
        let sums = self.sums.iter().map(|sum| (sum.to_bits() - self.start.to_bits()) as i64).sum();
        let rest_unit = power_of_two(2 * (smallest - E::BIAS - E::MANTISSA));
        let per_unit = 1.0 / rest_unit;
        let rests = self.rests.iter().map(|rest| (rest * per_unit) as i64).sum();
        let [sums, more_sums] = halves(sums, power_of_two(begin::<E>(largest) - 52));
        let [rests, more_rests] = halves(rests, rest_unit);
        [sums, more_sums, rests, more_rests]
    }
}

/// The power of two that a sum begins with.
fn begin<E: Element>(largest: i32) -> i32 {
    2 * (largest - E::BIAS) + 2 + TERMS
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// `count * unit` as a sum of two float64.
fn halves(count: i64, unit: f64) -> [f64; 2] {
    const HALF: i64 = 1 << 32;
    [(count / HALF * HALF) as f64 * unit, (count % HALF) as f64 * unit]
}

#[cfg(test)]
mod tests {
    use evenkeel_exact::ExactSum;
    use proptest::prelude::*;

    use super::*;

    fn exact(terms: impl IntoIterator<Item = f64>) -> ExactSum {
        let mut sum = ExactSum::new();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }

    /// The sum of `values` and the bytes that are left out of it.
    fn squares(values: &[f32]) -> (ExactSum, Vec<Range<usize>>) {
        let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let Sum { terms, left } = simd::run(Squares { data: &data, element: PhantomData::<f32> });
        (exact(terms), left)
    }

    fn one_by_one(values: &[f32]) -> ExactSum {
        exact(values.iter().map(|&x| f64::from(x) * f64::from(x)))
    }

    /// A full chunk of elements with all bits set, as far apart as is allowed, and one power of two further.
    #[test]
    fn squares_of_a_few_powers_of_two_are_exact() {
        for powers in 0..=21 {
            let small = (-powers as f32).exp2() * 1.999_999_5;
            let element = |i: usize| if i.is_multiple_of(3) { 1.999_999_9f32 } else { small };
            let values: Vec<f32> = (0..CHUNK).map(element).collect();
            let (sum, left) = squares(&values);
            if powers <= 20 {
                assert_eq!((sum, left), (one_by_one(&values), vec![]), "{powers}");
            } else {
                assert_eq!((sum, left.len()), (ExactSum::new(), CHUNK / STRETCH), "{powers}");
            }
        }
    }

    /// Each stretch is of another scale: the sums begin again, and elements that do not fit are left out.
    #[test]
    fn stretches_of_other_scales_are_summed_or_left() {
        for scales in
            [[0, 6, 3, 9], [9, 6, 3, 0], [0, 12, 0, 18], [0, 24, 0, 23], [30, 0, 30, 12], [-140, -130, 120, 120]]
        {
            let element = |i: usize| (scales[i / STRETCH] as f32).exp2() * (1.0 + i as f32 / (2 * CHUNK) as f32);
            let values: Vec<f32> = (0..CHUNK - 5).map(element).collect();
            let (sum, left) = squares(&values);
            let mut taken = values.clone();
            left.iter().for_each(|range| taken[range.start / 4..range.end / 4].fill(0.0));
            assert_eq!(sum, one_by_one(&taken), "{scales:?}");
            let are_close = scales.iter().all(|scale: &i32| scale.abs_diff(scales[0]) < 19);
            assert_eq!(left.is_empty(), are_close, "{scales:?}: {left:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_not_left_is_summed_exactly(
            values in prop_oneof![
                prop::collection::vec(-1f32..1.0, 0..2 * STRETCH),
                prop::collection::vec(prop_oneof![99 => -1f32..1.0, 1 => any::<f32>()], 0..3 * STRETCH),
            ],
        ) {
            let (sum, left) = squares(&values);
            let mut taken = values.clone();
            left.iter().for_each(|range| taken[range.start / 4..range.end / 4].fill(0.0));
            prop_assert_eq!(sum, one_by_one(&taken));
        }
    }
}
