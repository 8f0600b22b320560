//! Statistics of sets of elements in a form that merges.

mod fault;

use std::ops::Range;

use num_bigint::Sign;

pub use self::fault::{InvalidStatistics, SetFault, StatisticsMismatch};
use crate::{SetStatistics, SignedSum, quotient::difference};

/// The statistics of the sets of a part of a tensor, or of several parts together.
///
/// Parts merge without rounding: it does not matter which elements were measured where, in which order, or how they
/// were grouped. Equal elements give equal partials. `K` is the type of the kind of normalization.
///
/// ```
/// use evenkeel_exact::{SetStatistics, StatisticsPartial, Window};
///
/// let (elements, squares) = (Window::new(-1074, 1024), Window::new(-2148, 2048));
/// let measure = |values: &[f64]| {
///     let (mut sum, mut sum_of_squares) = (vec![0; elements.cells()], vec![0; squares.cells()]);
///     for &x in values {
///         elements.add(&mut sum, x);
///         squares.add_product(&mut sum_of_squares, x, x);
///     }
///     let set = SetStatistics {
///         elements: values.len() as u64,
///         sum: elements.sum(&mut sum),
///         sum_of_squares: squares.sum(&mut sum_of_squares),
///         ..SetStatistics::default()
///     };
///     StatisticsPartial::new("layer", vec![1], vec![set]).expect("these are of some elements")
/// };
/// let mut there = measure(&[1e300, 1.0]);
/// there.merge(&measure(&[-1e300, 2.0]))?;
/// assert_eq!(there, measure(&[1e300, 1.0, -1e300, 2.0]));
/// assert_eq!(there.sets()[0].mean().expect("all are finite").rounded(0), [0.75]);
/// # Ok::<(), evenkeel_exact::StatisticsMismatch>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsPartial<K> {
    kind: K,
    shape: Vec<usize>,
    sets: Vec<SetStatistics>,
}

/// [`StatisticsPartial::MAX_ELEMENTS`], for code that is not generic.
const MAX_ELEMENTS: u64 = 1 << 59;

impl<K: PartialEq> StatisticsPartial<K> {
    /// The most elements of a set, as [`NormPartial::MAX_ELEMENTS`](crate::NormPartial::MAX_ELEMENTS).
    pub const MAX_ELEMENTS: u64 = MAX_ELEMENTS;

    /// The statistics of sets of this shape, in row-major order.
    ///
    /// # Errors
    /// The first of its [faults](Self::faults).
    pub fn new(kind: K, shape: Vec<usize>, sets: Vec<SetStatistics>) -> Result<Self, InvalidStatistics> {
        let mut first = None;
        Self::faults(&shape, &sets, |fault| {
            first.get_or_insert(fault);
        });
        first.map_or(Ok(Self { kind, shape, sets }), Err)
    }

    /// As [`new`](Self::new), for sets that were measured here: they are checked only with debug assertions.
    pub fn measured(kind: K, shape: Vec<usize>, sets: Vec<SetStatistics>) -> Self {
        if cfg!(debug_assertions) {
            Self::faults(&shape, &sets, |fault| panic!("{}: {fault}", fault.field()));
        }
        Self::unchecked(kind, shape, sets)
    }

    /// As [`new`](Self::new), without checks, for so many sets that checks take long: the caller looks for
    /// [`faults`](Self::faults) before it computes with the statistics.
    pub fn unchecked(kind: K, shape: Vec<usize>, sets: Vec<SetStatistics>) -> Self {
        Self { kind, shape, sets }
    }

    /// Passes all faults of statistics to `tell`: the reasons why no elements have them.
    pub fn faults(shape: &[usize], sets: &[SetStatistics], mut tell: impl FnMut(InvalidStatistics)) {
        if let Some(fault) = Self::shape_fault(shape, sets.len()) {
            tell(fault);
        }
        Self::faults_of(sets, 0..sets.len(), tell);
    }

    /// The fault of the number of sets, if it does not fit the shape.
    pub fn shape_fault(shape: &[usize], given: usize) -> Option<InvalidStatistics> {
        let expected = shape.iter().try_fold(1usize, |sets, &len| sets.checked_mul(len));
        (expected != Some(given)).then_some(InvalidStatistics::Sets { expected, given })
    }

    /// Passes the faults of some of the sets to `tell`, of each alone and beside the first set. It takes some
    /// microseconds for each set.
    ///
    /// # Panics
    /// If the range goes beyond the sets.
    pub fn faults_of(sets: &[SetStatistics], range: Range<usize>, mut tell: impl FnMut(InvalidStatistics)) {
        let Some(first) = sets.first() else { return };
        for index in range {
            let set = &sets[index];
            let mut tell = |fault| tell(InvalidStatistics::Set { index, fault });
            if set.elements != first.elements {
                tell(SetFault::OtherElements { expected: first.elements, given: set.elements });
            }
            if set.gradients.is_some() != first.gradients.is_some() {
                tell(SetFault::GradientsOfSome { expected: first.gradients.is_some() });
            }
            set_faults(set, tell);
        }
    }

    /// The kind of normalization.
    pub fn kind(&self) -> &K {
        &self.kind
    }

    /// The shape of the sets: that of the input without the pooled axes, with the number of groups in the place of the channels
    /// where they are grouped.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The sets, in row-major order.
    pub fn sets(&self) -> &[SetStatistics] {
        &self.sets
    }

    /// How many elements each set has; 0 if there are no sets.
    pub fn elements(&self) -> u64 {
        self.sets.first().map_or(0, |set| set.elements)
    }

    /// Whether gradients were measured beside the elements; true if there are no sets.
    pub fn has_gradients(&self) -> bool {
        self.sets.first().is_none_or(|set| set.gradients.is_some())
    }

    /// Adds the statistics of another partial.
    ///
    /// # Errors
    /// [`StatisticsMismatch`]; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), StatisticsMismatch> {
        self.mismatch(other).map_or(Ok(()), Err)?;
        self.merge_sets(other, 0..self.sets.len());
        Ok(())
    }

    /// The reason why another partial cannot be merged, if there is one.
    pub fn mismatch(&self, other: &Self) -> Option<StatisticsMismatch> {
        if self.kind != other.kind {
            Some(StatisticsMismatch::Kinds)
        } else if self.shape != other.shape {
            Some(StatisticsMismatch::Shapes)
        } else if self.has_gradients() != other.has_gradients() {
            Some(StatisticsMismatch::Gradients)
        } else if self.elements().saturating_add(other.elements()) > Self::MAX_ELEMENTS {
            Some(StatisticsMismatch::TooManyElements)
        } else {
            None
        }
    }

    /// Adds the statistics of some sets of another partial, with which there is no [mismatch](Self::mismatch). It takes
    /// some hundred nanoseconds for each set. All sets must be merged before the partial is used.
    ///
    /// # Panics
    /// If the range goes beyond the sets.
    pub fn merge_sets(&mut self, other: &Self, range: Range<usize>) {
        self.sets[range.clone()].iter_mut().zip(&other.sets[range]).for_each(|(set, other)| set.merge(other));
    }

    /// The bytes of memory of the sets.
    pub fn bytes(&self) -> usize {
        self.sets.iter().map(|set| size_of::<SetStatistics>() + set.sum_bytes()).sum()
    }

    /// The most bytes of memory of the sets after a [`merge`](Self::merge): the sum of a large and a small number may
    /// be longer than both.
    pub fn merged_bytes(&self, other: &Self) -> usize {
        let sets = self.sets.iter().zip(&other.sets);
        sets.map(|(set, other)| size_of::<SetStatistics>() + set.merged_bytes(other)).sum()
    }

    /// The parts of the statistics, to be sent.
    pub fn into_parts(self) -> (K, Vec<usize>, Vec<SetStatistics>) {
        (self.kind, self.shape, self.sets)
    }
}

/// Passes the faults of a single set to `tell`.
fn set_faults(set: &SetStatistics, mut tell: impl FnMut(SetFault)) {
    // No float64 reaches 2^1024; the unit is 2^-2148.
    const ELEMENT: u32 = 2148 + 1024;
    const PRODUCT: u32 = 2148 + 2048;
    let SetStatistics { elements, sum, sum_of_squares, gradients, .. } = set;
    if *elements > MAX_ELEMENTS {
        return tell(SetFault::TooManyElements);
    }
    let Some(finite) = elements.checked_sub(set.nonfinite_elements()) else { return tell(SetFault::Counts) };
    let is_sum = sum.is_below(finite, ELEMENT);
    if !is_sum {
        tell(SetFault::SumTooLarge);
    } else if !sum.is_of_float64() {
        tell(SetFault::SumBetween);
    }
    if sum_of_squares.is_negative() {
        tell(SetFault::SquaresNegative);
    } else if !sum_of_squares.is_below(finite, PRODUCT) {
        tell(SetFault::SquaresTooLarge);
    } else if is_sum && !has_room(finite, sum, sum_of_squares) {
        tell(SetFault::SquaresTooSmall);
    }
    let Some(gradients) = gradients else { return };
    let Some(finite_gradients) = elements.checked_sub(gradients.nonfinite_gradients) else {
        return tell(SetFault::NonfiniteGradients);
    };
    if !gradients.sum.is_below(finite_gradients, ELEMENT) {
        tell(SetFault::GradientsTooLarge);
    } else if !gradients.sum.is_of_float64() {
        tell(SetFault::GradientsBetween);
    }
    if !gradients.sum_of_products.is_below(finite.min(finite_gradients), PRODUCT) {
        tell(SetFault::ProductsTooLarge);
    } else if sum_of_squares.is_zero() && !gradients.sum_of_products.is_zero() {
        tell(SetFault::ProductsOfZeros);
    }
}

/// Whether `n` numbers with this sum can have this sum of squares: the square of the sum is at most n times the sum of
/// squares (Cauchy and Schwarz).
fn has_room(n: u64, sum: &SignedSum, squares: &SignedSum) -> bool {
    if sum.is_zero() {
        return true;
    }
    let ((sum, of_sum), (squares, of_squares)) = (sum.to_integer(), squares.to_integer());
    let (room, _) = difference((squares * n, of_squares), (sum.pow(2), 2 * of_sum));
    room.sign() != Sign::Minus
}

#[cfg(test)]
mod tests;
