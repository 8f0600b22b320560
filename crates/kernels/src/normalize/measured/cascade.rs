//! Exact sums of many terms at vector speed.
//!
//! The terms go into levels of float64, each of which takes what the one before rounds away, as in the exact norms. As long as
//! the last rounds nothing away the levels hold the exact sum, and go to an accumulator; otherwise the elements are added one
//! by one.

use std::marker::PhantomData;

use super::cells::Quantity;
use crate::{
    DType, Element,
    lanes::{BLOCK, LANES, two_sum},
    simd::{self, Kernel},
};

/// The levels of sums whose terms are float64 themselves, or exact products of two shorter numbers, and of those whose terms are
/// pairs.
const FEW: usize = 2;
const MANY: usize = 4;

/// Elements that are decoded at a time: few enough to be in the first-level cache until every quantity has been added.
const DECODED: usize = 4 * BLOCK;

/// Elements and gradients side by side, as bytes or numbers; of gradients that are not measured there are none.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a, T = u8> {
    pub(super) x: &'a [T],
    pub(super) g: &'a [T],
}

/// What one quantity adds for an element and its gradient.
trait Term {
    /// Whether it is a pair.
    const IS_PAIR: bool;

    /// A number, and for products of float64 what its rounding took; not a number where that is not exact.
    fn of(a: f64, b: f64) -> [f64; 2];
}

/// The first number itself.
struct Itself;
/// A product that fits float64.
struct Product;
/// A product of any two float64.
struct Rounded;

impl Term for Itself {
    const IS_PAIR: bool = false;

    #[inline(always)]
    fn of(a: f64, _: f64) -> [f64; 2] {
        [a, 0.0]
    }
}

impl Term for Product {
    const IS_PAIR: bool = false;

    #[inline(always)]
    fn of(a: f64, b: f64) -> [f64; 2] {
        [a * b, 0.0]
    }
}

impl Term for Rounded {
    const IS_PAIR: bool = true;

    #[inline(always)]
    fn of(a: f64, b: f64) -> [f64; 2] {
        let product = a * b;
        let exact = (a == 0.0) | (b == 0.0) | (1e-250..1e300).contains(&product.abs());
        [if exact { product } else { f64::NAN }, a.mul_add(b, -product)]
    }
}

/// The sums of one quantity in so many places at once, each of which takes every `WIDTH`-th term.
pub(super) struct Sums<const WIDTH: usize> {
    levels: [[f64; WIDTH]; MANY],
    /// 0 if nothing was; NaN if there are terms that are not finite, or not exact.
    lost: [f64; WIDTH],
}

impl<const WIDTH: usize> Sums<WIDTH> {
    pub(super) fn new() -> Self {
        Self { levels: [[0.0; WIDTH]; MANY], lost: [0.0; WIDTH] }
    }

    /// Numbers whose sum is, exactly, that of a place; `None` if they cannot be had this way.
    pub(super) fn of(&self, place: usize) -> Option<[f64; MANY]> {
        (self.lost[place] == 0.0).then(|| self.levels.map(|level| level[place]))
    }

    /// Adds one quantity of elements of this dtype, as many as there are places, or several times as many.
    fn add(&mut self, dtype: DType, quantity: Quantity, Pairs { x, g }: Pairs<'_, f64>) {
        let is_double = dtype == DType::F64;
        match quantity {
            Quantity::Elements => self.add_terms::<Itself, FEW>(x, x),
            Quantity::Gradients => self.add_terms::<Itself, FEW>(g, g),
            Quantity::Squares if is_double => self.add_terms::<Rounded, MANY>(x, x),
            Quantity::Squares => self.add_terms::<Product, FEW>(x, x),
            Quantity::Products if is_double => self.add_terms::<Rounded, MANY>(x, g),
            Quantity::Products => self.add_terms::<Product, FEW>(x, g),
        }
    }

    fn add_terms<T: Term, const LEVELS: usize>(&mut self, a: &[f64], b: &[f64]) {
        let (levels, _) = self.levels.split_first_chunk_mut::<LEVELS>().expect("there are no more levels");
        simd::run(Add { levels, lost: &mut self.lost, a, b, term: PhantomData::<T> });
    }
}

impl Sums<LANES> {
    /// The sums of all lanes in one.
    pub(super) fn total(&self) -> Option<[f64; MANY]> {
        let mut total = Sums::<1>::new();
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
        // So few stay in registers.
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
