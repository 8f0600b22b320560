//! The largest absolute value.

use std::marker::PhantomData;

use crate::{Element, simd::Kernel};

/// The maximum; NaN if one of the two is NaN.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The largest absolute value of a chunk; NaN if an element is NaN.
pub(super) struct Largest<'a, E> {
    pub(super) data: &'a [u8],
    pub(super) element: PhantomData<E>,
}

impl<E: Element> Kernel for Largest<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        E::largest(self.data).to_f64()
    }
}
