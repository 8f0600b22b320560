//! The terms of the sums over elements and gradients.

/// The term of one quantity for an element and its gradient.
pub(super) trait Term {
    /// Whether a term is a pair.
    const IS_PAIR: bool;

    /// The term, and for products of float64 its rounding error; NaN if that may not be exact.
    fn of(a: f64, b: f64) -> [f64; 2];
}

/// The first number itself.
pub(super) struct Itself;
/// A product that fits float64.
pub(super) struct Product;
/// A product of any two float64.
pub(super) struct Rounded;

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

/// A product of any two float64 whose span shows that the rounding error is exact.
pub(super) struct InRange;

impl Term for InRange {
    const IS_PAIR: bool = true;

    #[inline(always)]
    fn of(a: f64, b: f64) -> [f64; 2] {
        let product = a * b;
        [product, a.mul_add(b, -product)]
    }
}
