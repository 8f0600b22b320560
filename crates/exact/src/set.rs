//! The exact sums over a set of elements, and the statistics that follow from them.

use num_bigint::BigUint;

use crate::{Quotient, SignedSum, quotient::difference};

/// The counts and exact sums of the elements of a set, from which its mean and variance follow. Sets merge by adding,
/// without rounding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetStatistics {
    /// How many elements were measured, finite or not.
    pub elements: u64,
    /// How many of them are NaN.
    pub nan_elements: u64,
    /// How many of them are positive infinity.
    pub infinite_elements: u64,
    /// How many of them are negative infinity.
    pub negative_infinite_elements: u64,
    /// The sum of the finite elements; 0 where the kind of normalization does not centre.
    pub sum: SignedSum,
    /// The sum of their squares.
    pub sum_of_squares: SignedSum,
    /// The sums over the gradient of the output, if there was one beside the input.
    pub gradients: Option<GradientSums>,
}

/// The sums over the gradients of a set's outputs that the gradients of its elements need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GradientSums {
    /// How many gradients are NaN or infinite.
    pub nonfinite_gradients: u64,
    /// The sum of the finite gradients.
    pub sum: SignedSum,
    /// The sum of the products of each element and its gradient, where both are finite.
    pub sum_of_products: SignedSum,
}

impl SetStatistics {
    /// Adds the counts and sums of another set. The caller has checked the numbers of elements, and that both or
    /// neither have gradients.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.elements += other.elements;
        self.nan_elements += other.nan_elements;
        self.infinite_elements += other.infinite_elements;
        self.negative_infinite_elements += other.negative_infinite_elements;
        self.sum.merge(&other.sum);
        self.sum_of_squares.merge(&other.sum_of_squares);
        if let (Some(gradients), Some(others)) = (&mut self.gradients, &other.gradients) {
            gradients.nonfinite_gradients += others.nonfinite_gradients;
            gradients.sum.merge(&others.sum);
            gradients.sum_of_products.merge(&others.sum_of_products);
        }
    }

    /// The bytes of memory of the sums.
    pub(crate) fn sum_bytes(&self) -> usize {
        let Self { sum, sum_of_squares, gradients, .. } = self;
        let of_gradients =
            gradients.as_ref().map_or(0, |gradients| len(&gradients.sum) + len(&gradients.sum_of_products));
        len(sum) + len(sum_of_squares) + of_gradients
    }

    /// The most bytes of memory of the sums after a [`merge`](Self::merge).
    pub(crate) fn merged_bytes(&self, other: &Self) -> usize {
        let of_gradients = self.gradients.as_ref().zip(other.gradients.as_ref()).map_or(0, |(gradients, others)| {
            cell(gradients.sum.merged_len(&others.sum))
                + cell(gradients.sum_of_products.merged_len(&others.sum_of_products))
        });
        cell(self.sum.merged_len(&other.sum))
            + cell(self.sum_of_squares.merged_len(&other.sum_of_squares))
            + of_gradients
    }

    /// How many elements are NaN or infinite.
    pub fn nonfinite_elements(&self) -> u64 {
        self.nan_elements.saturating_add(self.infinite_elements).saturating_add(self.negative_infinite_elements)
    }

    /// Whether there are elements, all of them finite: only such a set has a mean and a variance.
    pub fn is_finite(&self) -> bool {
        self.elements > 0 && self.nonfinite_elements() == 0
    }

    /// The mean; `None` if there are no elements or not all are finite: [`nonfinite_mean`](Self::nonfinite_mean) gives
    /// it then.
    pub fn mean(&self) -> Option<Quotient> {
        self.is_finite().then(|| self.sum.over(self.elements))
    }

    /// The mean of a set whose elements are not all finite, as IEEE 754 adds them: an infinity if those that are not
    /// finite are infinities of one sign, otherwise NaN.
    pub fn nonfinite_mean(&self) -> f64 {
        let Self { nan_elements, infinite_elements, negative_infinite_elements, .. } = *self;
        match (nan_elements, infinite_elements, negative_infinite_elements) {
            (0, 1.., 0) => f64::INFINITY,
            (0, 0, 1..) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// The sum of the squares divided by `share`, which is not 0: the number of elements, or 1. `None` as for the mean.
    pub fn squares_over(&self, share: u64) -> Option<Quotient> {
        self.is_finite().then(|| self.sum_of_squares.over(share))
    }

    /// The biased variance, the mean of the squares of the deviations from the mean. `None` as for the mean.
    pub fn variance(&self) -> Option<Quotient> {
        self.variance_over(self.elements)
    }

    /// The unbiased variance, the sum of these squares divided by the number of elements less one; of one element, `None`.
    pub fn unbiased_variance(&self) -> Option<Quotient> {
        if self.elements < 2 { None } else { self.variance_over(self.elements - 1) }
    }

    /// The sum of the squares of the deviations, divided by `share`: (n Q - S^2) / n / share.
    fn variance_over(&self, share: u64) -> Option<Quotient> {
        self.of_deviations(&self.sum, &self.sum, &self.sum_of_squares, share)
    }

    /// The mean of the gradients; `None` if not all elements and gradients are finite, or if none were measured.
    pub fn mean_gradient(&self) -> Option<Quotient> {
        let gradients = self.finite_gradients()?;
        Some(gradients.sum.over(self.elements))
    }

    /// The mean of the products of each gradient and its element's deviation from the mean. `None` as for their mean.
    pub fn mean_gradient_times_deviation(&self) -> Option<Quotient> {
        let gradients = self.finite_gradients()?;
        self.of_deviations(&self.sum, &gradients.sum, &gradients.sum_of_products, self.elements)
    }

    fn finite_gradients(&self) -> Option<&GradientSums> {
        self.gradients.as_ref().filter(|gradients| self.is_finite() && gradients.nonfinite_gradients == 0)
    }

    /// (n P - A B) / n / share, where P is the sum of the products of two numbers of each element whose own sums are A and B.
    fn of_deviations(&self, a: &SignedSum, b: &SignedSum, products: &SignedSum, share: u64) -> Option<Quotient> {
        if !self.is_finite() {
            return None;
        }
        let [(a, of_a), (b, of_b), (products, of_products)] = [a, b, products].map(SignedSum::to_integer);
        let (numerator, exponent) = difference((products * self.elements, of_products), (a * b, of_a + of_b));
        Some(Quotient::new(numerator, BigUint::from(self.elements) * share, exponent))
    }
}

fn len(sum: &SignedSum) -> usize {
    cell(sum.magnitude().len())
}

/// The bytes that an allocator takes for a list of `len` bytes: most give multiples of 16.
fn cell(len: usize) -> usize {
    len.next_multiple_of(16)
}
