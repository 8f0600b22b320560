//! The accumulators of each set while it is measured.

use evenkeel_exact::{GradientSums, SetStatistics, SignedSum, Window};

use crate::{DType, Element, dtype::with_element};

/// A sum that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Elements,
    Squares,
    Gradients,
    Products,
}

/// The indices of the counts of elements that are not finite, which come before the sums.
const NAN: usize = 0;
const INFINITE: usize = 1;
const NEGATIVE_INFINITE: usize = 2;
const NONFINITE_GRADIENTS: usize = 3;
const COUNTS: usize = 4;

/// Which cells of a set hold which sum. A set is a slice of [`len`](Self::len) cells, all 0 at first.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    sums: Vec<(Quantity, Window, usize)>,
    len: usize,
}

impl Cells {
    /// For sets of elements of this dtype. `centred`: whether the elements themselves are summed.
    pub(super) fn new(dtype: DType, centred: bool, has_gradients: bool) -> Self {
        let [elements, products] = with_element!(dtype, E => windows::<E>());
        let mut cells = Self { sums: Vec::new(), len: COUNTS };
        let wanted = [
            (Quantity::Elements, elements, centred || has_gradients),
            (Quantity::Squares, products, true),
            (Quantity::Gradients, elements, has_gradients),
            (Quantity::Products, products, has_gradients),
        ];
        for (quantity, window, _) in wanted.into_iter().filter(|&(.., is_wanted)| is_wanted) {
            cells.sums.push((quantity, window, cells.len));
            cells.len += window.cells();
        }
        cells
    }

    /// The number of cells of a set.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The most bytes that the sums of a set have.
    pub(super) fn sum_bytes(&self) -> usize {
        self.sums.iter().map(|(_, window, _)| window.sum_bytes()).sum()
    }

    /// The sums that are measured.
    pub(super) fn quantities(&self) -> impl Iterator<Item = Quantity> {
        self.sums.iter().map(|&(quantity, ..)| quantity)
    }

    /// The cells of a sum that is measured.
    fn of<'a>(&self, set: &'a mut [i64], quantity: Quantity) -> (Window, &'a mut [i64]) {
        let found = self.sums.iter().find(|(measured, ..)| *measured == quantity);
        let &(_, window, from) = found.expect("the callers ask for what is measured");
        (window, &mut set[from..][..window.cells()])
    }

    /// Adds terms that were added up by the caller, exactly.
    pub(super) fn add_terms(&self, set: &mut [i64], quantity: Quantity, terms: impl IntoIterator<Item = f64>) {
        let (window, cells) = self.of(set, quantity);
        terms.into_iter().for_each(|term| window.add(cells, term));
    }

    /// Adds one quantity of an element and its gradient, both finite. Without a gradient, `g` is not used.
    #[inline]
    pub(super) fn add_finite(&self, set: &mut [i64], quantity: Quantity, x: f64, g: f64) {
        let (window, cells) = self.of(set, quantity);
        match quantity {
            Quantity::Elements => window.add(cells, x),
            Quantity::Squares => window.add_product(cells, x, x),
            Quantity::Gradients => window.add(cells, g),
            Quantity::Products => window.add_product(cells, x, g),
        }
    }

    /// Adds an element and its gradient, which need not be finite. Without a gradient, `g` is 0.
    #[inline]
    pub(super) fn add_any(&self, set: &mut [i64], x: f64, g: f64) {
        if !g.is_finite() {
            set[NONFINITE_GRADIENTS] += 1;
        }
        if x.is_nan() {
            set[NAN] += 1;
        } else if x.is_infinite() {
            set[if x > 0.0 { INFINITE } else { NEGATIVE_INFINITE }] += 1;
        }
        for &(quantity, window, from) in &self.sums {
            let cells = &mut set[from..][..window.cells()];
            match quantity {
                Quantity::Elements if x.is_finite() => window.add(cells, x),
                Quantity::Squares if x.is_finite() => window.add_product(cells, x, x),
                Quantity::Gradients if g.is_finite() => window.add(cells, g),
                Quantity::Products if x.is_finite() && g.is_finite() => window.add_product(cells, x, g),
                Quantity::Elements | Quantity::Squares | Quantity::Gradients | Quantity::Products => (),
            }
        }
    }

    /// Adds the cells of other sets to those of as many sets.
    pub(super) fn merge(&self, sets: &mut [i64], others: &[i64]) {
        for (set, other) in sets.chunks_exact_mut(self.len).zip(others.chunks_exact(self.len)) {
            set[..COUNTS].iter_mut().zip(other).for_each(|(count, other)| *count += other);
            for &(_, window, from) in &self.sums {
                window.merge(&mut set[from..][..window.cells()], &other[from..][..window.cells()]);
            }
        }
    }

    /// The statistics of a set that has so many elements.
    pub(super) fn statistics(&self, set: &mut [i64], elements: usize) -> SetStatistics {
        let count = |index: usize| set[index] as u64;
        let mut statistics = SetStatistics {
            elements: elements as u64,
            nan_elements: count(NAN),
            infinite_elements: count(INFINITE),
            negative_infinite_elements: count(NEGATIVE_INFINITE),
            ..SetStatistics::default()
        };
        let mut gradients = GradientSums { nonfinite_gradients: count(NONFINITE_GRADIENTS), ..GradientSums::default() };
        let mut has_gradients = false;
        for &(quantity, window, from) in &self.sums {
            let sum: SignedSum = window.sum(&mut set[from..][..window.cells()]);
            match quantity {
                Quantity::Elements => statistics.sum = sum,
                Quantity::Squares => statistics.sum_of_squares = sum,
                Quantity::Gradients => (gradients.sum, has_gradients) = (sum, true),
                Quantity::Products => gradients.sum_of_products = sum,
            }
        }
        statistics.gradients = has_gradients.then_some(gradients);
        statistics
    }
}

/// The windows of elements and of products of two.
fn windows<E: Element>() -> [Window; 2] {
    let (smallest, beyond) = (1 - E::BIAS - E::MANTISSA, E::BIAS + 1);
    [Window::new(smallest, beyond), Window::new(2 * smallest, 2 * beyond)]
}
