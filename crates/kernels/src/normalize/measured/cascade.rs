//! Exact sums of many terms at vector speed.
//!
//! If the terms span few powers of two, each is split into numbers that add up without rounding. Others go into levels
//! of float64, each of which adds up the rounding errors of the one before, as in the exact norms. As long as the last
//! level makes no rounding error, the levels hold the exact sum. Either result is added to a long accumulator; if both
//! methods fail, the elements are added to it one by one.

use std::marker::PhantomData;

use super::{
    cells::Quantity,
    span::{MOST, Span},
    split::Split,
    term::{InRange, Itself, Product, Rounded, Term},
};
use crate::{
    DType, Element,
    dtype::Exponents,
    lanes::{BLOCK, LANES, two_sum},
    simd::{self, Kernel},
};

/// The levels of sums whose terms are float64 themselves, or exact products of two shorter numbers, and of those whose terms are
/// pairs.
const FEW: usize = 2;
const MANY: usize = MOST;

/// Elements that are decoded at a time: few enough to be in the first-level cache until every quantity has been added.
const DECODED: usize = 4 * BLOCK;

/// Elements and gradients side by side, as bytes or numbers; `g` is empty if gradients are not measured.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a, T = u8> {
    pub(super) x: &'a [T],
    pub(super) g: &'a [T],
}

/// The spans of elements and gradients; `g` has no meaning if gradients are not measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    pub(super) x: Span,
    pub(super) g: Span,
}

impl Spans {
    fn of(self, quantity: Quantity) -> Span {
        match quantity {
            Quantity::Elements => self.x,
            Quantity::Squares => self.x.times(self.x),
            Quantity::Gradients => self.g,
            Quantity::Products => self.x.times(self.g),
        }
    }
}

/// The method that adds terms without rounding.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Terms are added as they are.
    Plain,
    /// Each term is split in two numbers, or in [`MANY`], by these anchors.
    Split([f64; MANY]),
    /// Each level adds up the rounding errors of the one before.
    Levels,
}

/// The sums of one quantity in `WIDTH` places, each of which takes every `WIDTH`-th term.
pub(super) struct Sums<const WIDTH: usize> {
    levels: [[f64; WIDTH]; MANY],
    /// 0 if the levels hold the exact sum; NaN if there are terms that are not finite, or not exact.
    lost: [f64; WIDTH],
    way: Way,
}

impl<const WIDTH: usize> Sums<WIDTH> {
    fn new(way: Way) -> Self {
        Self { levels: [[0.0; WIDTH]; MANY], lost: [0.0; WIDTH], way }
    }

    /// For one quantity of elements of this dtype and these spans.
    pub(super) fn of_quantity(dtype: DType, quantity: Quantity, spans: Spans) -> Self {
        let span = spans.of(quantity);
        let is_pair = dtype == DType::F64 && matches!(quantity, Quantity::Squares | Quantity::Products);
        let split = |levels| span.anchors(levels, is_pair).map(Way::Split);
        let way = if is_pair { split(MANY) } else { span.anchors(1, false).map(|_| Way::Plain).or_else(|| split(FEW)) };
        Self::new(way.unwrap_or(Way::Levels))
    }

    /// Numbers whose exact sum is that of a place; `None` if the levels do not hold it.
    pub(super) fn of(&self, place: usize) -> Option<[f64; MANY]> {
        (self.lost[place] == 0.0).then(|| self.levels.map(|level| level[place]))
    }

    /// Adds one quantity of elements of this dtype, as many as there are places, or several times as many.
    fn add(&mut self, dtype: DType, quantity: Quantity, Pairs { x, g }: Pairs<'_, f64>) {
        let is_double = dtype == DType::F64;
        match quantity {
            Quantity::Elements => self.add_single::<Itself>(x, x),
            Quantity::Gradients => self.add_single::<Itself>(g, g),
            Quantity::Squares if is_double => self.add_pairs(x, x),
            Quantity::Squares => self.add_single::<Product>(x, x),
            Quantity::Products if is_double => self.add_pairs(x, g),
            Quantity::Products => self.add_single::<Product>(x, g),
        }
    }

    /// Adds terms that are single numbers.
    fn add_single<T: Term>(&mut self, a: &[f64], b: &[f64]) {
        match self.way {
            Way::Plain => self.split_terms::<T, 1>([0.0; MANY], a, b),
            Way::Split(anchors) => self.split_terms::<T, FEW>(anchors, a, b),
            Way::Levels => self.add_terms::<T, FEW>(a, b),
        }
    }

    /// Adds products of float64.
    fn add_pairs(&mut self, a: &[f64], b: &[f64]) {
        match self.way {
            Way::Split(anchors) => self.split_terms::<InRange, MANY>(anchors, a, b),
            Way::Plain | Way::Levels => self.add_terms::<Rounded, MANY>(a, b),
        }
    }

    fn split_terms<T: Term, const LEVELS: usize>(&mut self, anchors: [f64; MANY], a: &[f64], b: &[f64]) {
        let (levels, _) = self.levels.split_first_chunk_mut::<LEVELS>().expect("there are no more levels");
        simd::run(Split { levels, anchors, a, b, term: PhantomData::<T> });
    }

    fn add_terms<T: Term, const LEVELS: usize>(&mut self, a: &[f64], b: &[f64]) {
        let (levels, _) = self.levels.split_first_chunk_mut::<LEVELS>().expect("there are no more levels");
        simd::run(Add { levels, lost: &mut self.lost, a, b, term: PhantomData::<T> });
    }
}

impl Sums<LANES> {
    /// The sums of all lanes in one.
    pub(super) fn total(&self) -> Option<[f64; MANY]> {
        let mut total = Sums::<1>::new(Way::Levels);
        for (level, lanes) in self.levels.iter().enumerate() {
            for &lane in lanes {
                let mut term = lane;
                for [sum] in &mut total.levels[level..] {
                    (*sum, term) = two_sum(*sum, term);
                }
                total.lost[0] += term.abs();
            }
        }
        total.lost[0] += self.lost.iter().sum::<f64>();
        total.of(0)
    }
}

/// Adds terms to levels, each to its place.
struct Add<'a, T, const WIDTH: usize, const LEVELS: usize> {
    levels: &'a mut [[f64; WIDTH]; LEVELS],
    lost: &'a mut [f64; WIDTH],
    a: &'a [f64],
    b: &'a [f64],
    term: PhantomData<T>,
}

impl<T: Term, const WIDTH: usize, const LEVELS: usize> Kernel for Add<'_, T, WIDTH, LEVELS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        if WIDTH > LANES {
            return add::<T, WIDTH, LEVELS>(self.levels, self.lost, self.a, self.b);
        }
        // So few sums stay in registers.
        let (mut levels, mut lost) = (*self.levels, *self.lost);
        add::<T, WIDTH, LEVELS>(&mut levels, &mut lost, self.a, self.b);
        (*self.levels, *self.lost) = (levels, lost);
    }
}

#[inline(always)]
fn add<T: Term, const WIDTH: usize, const LEVELS: usize>(
    levels: &mut [[f64; WIDTH]; LEVELS],
    lost: &mut [f64; WIDTH],
    a: &[f64],
    b: &[f64],
) {
    let (a, b) = (a.as_chunks::<WIDTH>().0, b.as_chunks::<WIDTH>().0);
    for (a, b) in a.iter().zip(b) {
        for place in 0..WIDTH {
            let [mut term, mut rest] = T::of(a[place], b[place]);
            for level in &mut *levels {
                (level[place], term) = two_sum(level[place], term);
            }
            lost[place] += term.abs();
            if T::IS_PAIR {
                for level in &mut levels[1..] {
                    (level[place], rest) = two_sum(level[place], rest);
                }
                lost[place] += rest.abs();
            }
        }
    }
}

/// Finds the exponents of elements.
struct Range<'a, E> {
    bytes: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Range<'_, E> {
    type Output = Exponents;

    #[inline(always)]
    fn run(self) -> Exponents {
        E::exponents(self.bytes)
    }
}

/// The spans of rows of elements and gradients; `None` if not all are finite.
pub(super) fn spans<'a, E: Element>(rows: impl Iterator<Item = Pairs<'a>>) -> Option<Spans> {
    let mut ranges = [const { Exponents { largest: 0, smallest: i32::MAX } }; 2];
    for Pairs { x, g } in rows {
        for (range, bytes) in ranges.iter_mut().zip([x, g]) {
            let of_row = simd::run(Range { bytes, element: PhantomData::<E> });
            range.largest = range.largest.max(of_row.largest);
            range.smallest = range.smallest.min(of_row.smallest);
        }
    }
    let [x, g] = ranges.map(Span::of::<E>);
    Some(Spans { x: x?, g: g? })
}

/// Elements as numbers.
struct Decode<'a, E> {
    bytes: &'a [u8],
    numbers: &'a mut [f64],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Decode<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        E::decode(self.bytes, self.numbers);
    }
}

fn decode<E: Element>(bytes: &[u8], numbers: &mut [f64]) {
    simd::run(Decode { bytes, numbers, element: PhantomData::<E> });
}

/// Adds quantities of a stretch of elements of one set.
pub(super) fn add_row<E: Element>(pairs: Pairs<'_>, quantities: &mut [(Quantity, Sums<LANES>)]) {
    let size = E::DTYPE.size();
    let (mut x, mut g) = ([0.0; DECODED], [0.0; DECODED]);
    for from in (0..pairs.x.len()).step_by(DECODED * size) {
        let to = pairs.x.len().min(from + DECODED * size);
        let (count, filled) = ((to - from) / size, ((to - from) / size).next_multiple_of(LANES));
        decode::<E>(&pairs.x[from..to], &mut x[..count]);
        x[count..filled].fill(0.0); // zeros change no sum
        if !pairs.g.is_empty() {
            decode::<E>(&pairs.g[from..to], &mut g[..count]);
            g[count..filled].fill(0.0);
        }
        for (quantity, sums) in &mut *quantities {
            sums.add(E::DTYPE, *quantity, Pairs { x: &x[..filled], g: &g[..filled] });
        }
    }
}

/// Adds quantities of a row of at most [`BLOCK`] elements, each of which belongs to the set of its place.
pub(super) fn add_columns<E: Element>(pairs: Pairs<'_>, quantities: &mut [(Quantity, Sums<BLOCK>)]) {
    let count = pairs.x.len() / E::DTYPE.size();
    let (mut x, mut g) = ([0.0; BLOCK], [0.0; BLOCK]);
    decode::<E>(pairs.x, &mut x[..count]);
    if !pairs.g.is_empty() {
        decode::<E>(pairs.g, &mut g[..count]);
    }
    for (quantity, sums) in quantities {
        sums.add(E::DTYPE, *quantity, Pairs { x: &x, g: &g });
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_exact::ExactSum;

    use super::{super::span::TERMS, *};
    use crate::half::Bf16;

    const QUANTITIES: [Quantity; 4] = [Quantity::Elements, Quantity::Squares, Quantity::Gradients, Quantity::Products];

    /// As many terms as a lane may have, with all bits set; the largest ones come first, or last.
    fn elements<E: Element>(powers: i32, first: bool) -> Vec<f64> {
        let largest = 2.0 - (-f64::from(E::MANTISSA)).exp2();
        let smallest = largest * (-f64::from(powers)).exp2();
        let count = LANES << TERMS;
        (0..count).map(|i| if (i < 4 * LANES) == first { largest } else { smallest }).collect()
    }

    /// Which quantities are split if elements span so many powers of two. Each sum that is found must be exact.
    fn split_exactly<E: Element>(powers: i32) -> [bool; 4] {
        let encoded = |values: &[f64]| {
            let mut bytes = vec![0; values.len() * E::DTYPE.size()];
            E::encode(values, &mut bytes);
            bytes
        };
        let mut are_split = [true; 4];
        for first in [true, false] {
            let x = elements::<E>(powers, first);
            let g: Vec<f64> = x.iter().enumerate().map(|(i, x)| if i % 3 == 0 { -x } else { *x }).collect();
            let (x_bytes, g_bytes) = (encoded(&x), encoded(&g));
            let pairs = Pairs { x: &x_bytes[..], g: &g_bytes[..] };
            let spans = spans::<E>([pairs].into_iter()).expect("all are finite");
            for (quantity, is_split) in QUANTITIES.into_iter().zip(&mut are_split) {
                let sums = Sums::of_quantity(E::DTYPE, quantity, spans);
                *is_split &= !matches!(sums.way, Way::Levels);
                let mut sums = [(quantity, sums)];
                add_row::<E>(pairs, &mut sums);
                let (mut expected, mut sum) = (ExactSum::new(), ExactSum::new());
                for (&x, &g) in x.iter().zip(&g) {
                    match quantity {
                        Quantity::Elements => expected.add(x),
                        Quantity::Squares => expected.add_product(x, x),
                        Quantity::Gradients => expected.add(g),
                        Quantity::Products => expected.add_product(x, g),
                    }
                }
                let Some(terms) = sums[0].1.total() else {
                    assert!(!*is_split, "{} {quantity:?} of {powers} powers of two", E::DTYPE);
                    continue;
                };
                terms.into_iter().for_each(|term| sum.add(term));
                assert_eq!(sum, expected, "{} {quantity:?} of {powers} powers of two", E::DTYPE);
            }
        }
        are_split
    }

    fn check<E: Element>(split: [i32; 4], powers: impl IntoIterator<Item = i32>) {
        for powers in powers {
            assert_eq!(split_exactly::<E>(powers), split.map(|most| powers <= most), "{} {powers}", E::DTYPE);
        }
    }

    /// Split sums are exact, and terms are split up to the expected number of powers of two and not beyond.
    #[test]
    fn sums_of_few_powers_of_two_are_exact() {
        check::<f32>([63, 19, 63, 19], [0, 1, 10, 18, 19, 20, 21, 40, 62, 63, 64, 65]);
        check::<f64>([34, 32, 34, 32], [0, 1, 10, 31, 32, 33, 34, 35, 36, 60]);
        check::<Bf16>([79, 35, 79, 35], [0, 5, 34, 35, 36, 78, 79, 80]);
    }
}
