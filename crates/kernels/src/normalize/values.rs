//! Numbers beside the elements of a run: the same for all of them, or one for each.

use crate::dtype::Beside;

/// A number for each of some neighbouring elements of a run.
pub(super) trait Values<'a>: Beside<Item = f64> {
    /// The numbers of `len` elements, the first of which has `table[first]`.
    fn take(table: &'a [f64], first: usize, len: usize) -> Self;

    /// Whether all elements are known to have this number, and this sign if it is 0.
    fn is_everywhere(&self, number: f64) -> bool;
}

/// All elements have the same number.
#[derive(Clone, Copy)]
pub(super) struct Broadcast(f64);

impl<'a> Values<'a> for Broadcast {
    #[inline(always)]
    fn take(table: &'a [f64], first: usize, _: usize) -> Self {
        Self(table[first])
    }

    #[inline(always)]
    fn is_everywhere(&self, number: f64) -> bool {
        self.0.to_bits() == number.to_bits()
    }
}

impl Beside for Broadcast {
    type Item = f64;

    #[inline(always)]
    fn part(self, _: usize, _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn at(&self, _: usize) -> f64 {
        self.0
    }
}

/// Each element has its own number, in order.
#[derive(Clone, Copy)]
pub(super) struct PerElement<'a>(&'a [f64]);

impl<'a> Values<'a> for PerElement<'a> {
    #[inline(always)]
    fn take(table: &'a [f64], first: usize, len: usize) -> Self {
        Self(&table[first..first + len])
    }

    #[inline(always)]
    fn is_everywhere(&self, _: f64) -> bool {
        false
    }
}

impl Beside for PerElement<'_> {
    type Item = f64;

    #[inline(always)]
    fn part(self, first: usize, len: usize) -> Self {
        Self(self.0.part(first, len))
    }

    #[inline(always)]
    fn at(&self, index: usize) -> f64 {
        self.0[index]
    }
}

/// Calls a function that is generic over how set values and how affine values vary along `$run`, so that each of the
/// four inner loops is compiled for one combination.
macro_rules! by_variation {
    ($run:expr, $self:ident.$function:ident($($argument:expr),*)) => {
        match ($run.set_stride == 0, $run.affine_stride == 0) {
            (true, true) => $self.$function::<Broadcast, Broadcast>($($argument),*),
            (true, false) => $self.$function::<Broadcast, PerElement>($($argument),*),
            (false, true) => $self.$function::<PerElement, Broadcast>($($argument),*),
            (false, false) => $self.$function::<PerElement, PerElement>($($argument),*),
        }
    };
}
pub(super) use by_variation;
