//! The elements of a part beside the gradient of its outputs.

use std::marker::PhantomData;

use super::{super::layout::Position, Part};
use crate::Element;

/// The elements of a part and the gradient of its outputs.
pub(super) struct Pairs<'a, E> {
    pub(super) part: &'a Part<'a>,
    dy: &'a [u8],
    element: PhantomData<E>,
}

impl<'a, E: Element> Pairs<'a, E> {
    /// `dy`: the gradient, as bytes.
    pub(super) fn new(part: &'a Part<'a>, dy: &'a [u8]) -> Self {
        Self { part, dy, element: PhantomData }
    }

    /// Writes dy and x.
    #[inline(always)]
    pub(super) fn write(&self, at: Position, dy: &mut [f64], x: &mut [f64]) {
        E::decode_from(self.dy, at.offset, dy);
        E::decode_from(&self.part.input, at.offset, x);
    }
}
