//! The largest absolute value.

use std::marker::PhantomData;

use crate::{Element, simd::Kernel};

/// The maximum, where NaN wins.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The largest absolute value of a chunk, NaN if there is one.
pub(super) struct Largest<'a, E> {
    pub(super) data: &'a [u8],
    pub(super) element: PhantomData<E>,
}

impl<E: Element> Kernel for Largest<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut lanes = [0.0; 16];
        for elements in self.data.chunks(lanes.len() * E::DTYPE.size()) {
            let mut values = [0.0; 16];
            E::decode(elements, &mut values[..elements.len() / E::DTYPE.size()]);
            lanes.iter_mut().zip(values).for_each(|(lane, x)| *lane = larger(*lane, x.abs()));
        }
        lanes.into_iter().fold(0.0, larger)
    }
}
