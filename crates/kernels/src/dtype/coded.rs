//! Elements as little-endian bytes, many at a time.

use super::Element;

/// Conversions between the bytes of many elements and numbers.
pub trait Coded: Sized {
    /// The narrower of float32 and float64 that holds every element.
    type Wide: Copy + Default + Into<f64>;

    /// Decodes little-endian bytes; `values` has one place for each element.
    fn widen(bytes: &[u8], values: &mut [Self::Wide]);

    /// As [`widen`](Self::widen), to float64.
    fn decode(bytes: &[u8], values: &mut [f64]);

    /// Rounds `values` and encodes them as little-endian bytes.
    fn encode(values: &[f64], bytes: &mut [u8]);

    /// Writes `f` of each element of `input` and its item of `beside`, rounded, to `output`. May call `f` more than
    /// once for an element.
    fn map_beside<B: Beside, R: Real>(input: &[u8], output: &mut [u8], beside: B, f: impl Fn(f64, B::Item) -> R);

    /// As [`map_beside`](Self::map_beside), but replaces the elements.
    fn map_in_place<B: Beside, R: Real>(data: &mut [u8], beside: B, f: impl Fn(f64, B::Item) -> R);

    /// As [`map_beside`](Self::map_beside) with `exact`, but uses the float32 estimate `near` where that suffices to
    /// round correctly. An estimate must be less than [`NEAR`] units in float32's last place from the number; if one of
    /// the two is 0, both are, with the same sign.
    #[inline(always)]
    fn map_near<N: Beside, B: Beside>(
        input: &[u8],
        output: &mut [u8],
        _: N,
        _: impl Fn(f32, N::Item) -> f32,
        beside: B,
        exact: impl Fn(f64, B::Item) -> f64,
    ) {
        Self::map_beside(input, output, beside, exact);
    }

    /// As [`map_beside`](Self::map_beside), with the index of each element beside it.
    #[inline(always)]
    fn map<R: Real>(input: &[u8], output: &mut [u8], f: impl Fn(usize, f64) -> R) {
        Self::map_beside(input, output, Indices(0), |x, index| f(index, x));
    }
}

/// The largest error of an estimate, in units of float32's last place.
pub(crate) const NEAR: u32 = 8;

/// A number that is rounded to an element.
pub trait Real: Copy {
    /// Whether the number may be NaN. If so, every NaN is replaced by the canonical one, which takes time.
    const MAY_BE_NAN: bool;

    /// The number before it is rounded.
    fn value(self) -> f64;
}

impl Real for f64 {
    const MAY_BE_NAN: bool = true;

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }
}

/// A number that is not NaN.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

impl Real for Number {
    const MAY_BE_NAN: bool = false;

    #[inline(always)]
    fn value(self) -> f64 {
        self.0
    }
}

/// No item for an element.
impl Beside for () {
    type Item = ();

    #[inline(always)]
    fn part(self, _: usize, _: usize) -> Self {}

    #[inline(always)]
    fn at(&self, _: usize) -> Self::Item {}
}

/// An item beside each of some neighbouring elements, such as a weight or a bit of a mask.
///
/// The items are an argument of their own, and not a list that the closure indexes, because elements are processed in
/// pieces: LLVM omits bounds checks only if the list is cut to the length of the piece.
pub trait Beside: Copy {
    /// The type of an item.
    type Item;

    /// The items of `len` elements from element `first` on.
    fn part(self, first: usize, len: usize) -> Self;

    /// The item of element `index`.
    fn at(&self, index: usize) -> Self::Item;
}

/// Consecutive numbers from this one on.
#[derive(Clone, Copy)]
struct Indices(usize);

impl Beside for Indices {
    type Item = usize;

    #[inline(always)]
    fn part(self, first: usize, _: usize) -> Self {
        Self(self.0 + first)
    }

    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        self.0 + index
    }
}

impl<T: Copy> Beside for &[T] {
    type Item = T;

    #[inline(always)]
    fn part(self, first: usize, len: usize) -> Self {
        &self[first..first + len]
    }

    #[inline(always)]
    fn at(&self, index: usize) -> T {
        self[index]
    }
}

impl<A: Beside, B: Beside> Beside for (A, B) {
    type Item = (A::Item, B::Item);

    #[inline(always)]
    fn part(self, first: usize, len: usize) -> Self {
        (self.0.part(first, len), self.1.part(first, len))
    }

    #[inline(always)]
    fn at(&self, index: usize) -> Self::Item {
        (self.0.at(index), self.1.at(index))
    }
}

/// An element type to which one instruction rounds, and a few more where NaN is possible.
trait Rounded {
    fn rounded<R: Real>(real: R) -> Self;
}

/// Converts elements one by one: from bytes to bytes each number stays in a register.
macro_rules! coded_one_by_one {
    ($type:ty) => {
        impl Coded for $type {
            type Wide = Self;

            #[inline(always)]
            fn widen(bytes: &[u8], values: &mut [Self]) {
                let (elements, rest) = bytes.as_chunks();
                debug_assert!(rest.is_empty() && elements.len() == values.len());
                for (value, &element) in values.iter_mut().zip(elements) {
                    *value = Self::from_le_bytes(element);
                }
            }

            #[inline(always)]
            fn decode(bytes: &[u8], values: &mut [f64]) {
                let (elements, rest) = bytes.as_chunks();
                debug_assert!(rest.is_empty() && elements.len() == values.len());
                for (value, &element) in values.iter_mut().zip(elements) {
                    *value = f64::from(Self::from_le_bytes(element));
                }
            }

            #[inline(always)]
            fn encode(values: &[f64], bytes: &mut [u8]) {
                let (elements, rest) = bytes.as_chunks_mut();
                debug_assert!(rest.is_empty() && elements.len() == values.len());
                for (element, &value) in elements.iter_mut().zip(values) {
                    *element = Self::to_le_bytes(Self::from_f64(value));
                }
            }

            #[inline(always)]
            fn map_beside<B: Beside, R: Real>(
                input: &[u8],
                output: &mut [u8],
                beside: B,
                f: impl Fn(f64, B::Item) -> R,
            ) {
                let (input, _) = input.as_chunks();
                let (output, _) = output.as_chunks_mut();
                let len = output.len();
                let (input, beside) = (&input[..len], beside.part(0, len));
                for i in 0..len {
                    let x = f64::from(Self::from_le_bytes(input[i]));
                    output[i] = Self::to_le_bytes(<Self as Rounded>::rounded(f(x, beside.at(i))));
                }
            }

            #[inline(always)]
            fn map_in_place<B: Beside, R: Real>(data: &mut [u8], beside: B, f: impl Fn(f64, B::Item) -> R) {
                let (elements, _) = data.as_chunks_mut();
                let beside = beside.part(0, elements.len());
                for (i, element) in elements.iter_mut().enumerate() {
                    let x = f64::from(Self::from_le_bytes(*element));
                    *element = Self::to_le_bytes(<Self as Rounded>::rounded(f(x, beside.at(i))));
                }
            }
        }

        impl Rounded for $type {
            #[inline(always)]
            fn rounded<R: Real>(real: R) -> Self {
                if R::MAY_BE_NAN { Self::from_f64(real.value()) } else { real.value() as Self }
            }
        }
    };
}

coded_one_by_one!(f32);
coded_one_by_one!(f64);
