//! The statistics of sets.

use super::{denominator::Denominator, plan::Plan, power::times_power};
use crate::{DType, Tensor, lanes::DoubleDouble};

/// The statistics of each set, as one list for each quantity.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    /// The mean, rounded to float64.
    pub(super) mean: Vec<f64>,
    /// The remainder of the mean: `mean + tail` is the mean to about twice the precision, so that an element close to
    /// the mean of numbers far from zero keeps all its digits in `(x - mean) - tail`.
    pub(super) tail: Vec<f64>,
    /// The remainder of the tail, for float64 elements; empty if means have no tails.
    pub(super) rest: Vec<f64>,
    /// `rest` for each set whose elements are so close to its mean that the remainder counts for gradients; NaN for
    /// other sets, and empty if there is no such set.
    pub(super) close_rest: Vec<f64>,
    /// The biased variance; without centring, the mean square, or for L2 the sum of the squares.
    pub(super) var: Vec<f64>,
    /// The reciprocal of the [`Denominator`].
    pub(super) rstd: Vec<f64>,
    /// The remainder of `rstd`, for float64 elements; empty for others.
    pub(super) rstd_tail: Vec<f64>,
    /// The exponents of the powers of two by which the elements of each set were multiplied before they were measured;
    /// empty if none were.
    pub(super) scales: Vec<i32>,
}

impl Statistics {
    pub(super) fn with_rstd(mut self, denominator: Denominator) -> Self {
        self.rstd = self.var.iter().map(|&var| denominator.reciprocal(var)).collect();
        self
    }

    /// The statistics of `sets` sets from `first` on.
    pub(super) fn stretch(&self, first: usize, sets: usize) -> Self {
        fn of<T: Clone>(list: &[T], first: usize, sets: usize) -> Vec<T> {
            if list.is_empty() { Vec::new() } else { list[first..first + sets].to_vec() }
        }
        let list = |list: &[f64]| of(list, first, sets);
        Self {
            mean: list(&self.mean),
            tail: list(&self.tail),
            rest: list(&self.rest),
            close_rest: list(&self.close_rest),
            var: list(&self.var),
            rstd: list(&self.rstd),
            rstd_tail: list(&self.rstd_tail),
            scales: of(&self.scales, first, sets),
        }
    }

    /// The whole mean of a set, in the scale of the input.
    fn mean_of(&self, set: usize) -> f64 {
        times_power(DoubleDouble { high: self.mean[set], low: self.tail[set] }.value(), -self.scale(set))
    }

    /// The exponent of the power of two by which the elements of a set are multiplied.
    pub(super) fn scale(&self, set: usize) -> i32 {
        self.scales.get(set).copied().unwrap_or(0)
    }

    /// Statistics of parts, in order, as those of the whole.
    pub(super) fn concat(parts: Vec<Self>) -> Self {
        let sets = parts.iter().map(|part| part.mean.len()).sum();
        let mut whole = Self::default();
        parts.into_iter().for_each(|part| whole.append(part, sets));
        whole
    }

    /// Adds the statistics of the next part; the whole has `sets` sets. Each list is reserved once for all sets. Lists of each part
    /// would take several times as much, since a part may have a single set.
    pub(super) fn append(&mut self, part: Self, sets: usize) {
        if self.mean.is_empty() && part.mean.len() == sets {
            *self = part;
            return;
        }
        fn list<T: Copy>(list: &mut Vec<T>, part: &[T], sets: usize) {
            if list.is_empty() && !part.is_empty() {
                list.reserve_exact(sets);
            }
            list.extend_from_slice(part);
        }
        /// Extends a list that stays empty while no set has a value. `none` fills the places of sets without one.
        fn sparse<T: Copy>(list: &mut Vec<T>, part: &[T], none: T, (before, after, sets): (usize, usize, usize)) {
            if list.is_empty() && part.is_empty() {
                return;
            }
            list.reserve_exact(sets - list.len());
            list.resize(before, none);
            list.extend_from_slice(part);
            list.resize(after, none);
        }
        let before = self.mean.len();
        let place = (before, before + part.mean.len(), sets);
        list(&mut self.mean, &part.mean, sets);
        list(&mut self.tail, &part.tail, sets);
        list(&mut self.rest, &part.rest, sets);
        sparse(&mut self.close_rest, &part.close_rest, f64::NAN, place);
        list(&mut self.var, &part.var, sets);
        list(&mut self.rstd, &part.rstd, sets);
        list(&mut self.rstd_tail, &part.rstd_tail, sets);
        sparse(&mut self.scales, &part.scales, 0, place);
    }

    /// The mean and the reciprocal of the denominator, as tensors; no mean without centring.
    pub(super) fn tensors(&self, plan: &Plan, input: DType) -> (Option<Tensor>, Option<Tensor>) {
        let tensor = |values: &[f64]| Tensor::from_f64(returned_dtype(input), plan.statistics_shape.clone(), values);
        let mean = plan.centred.then(|| {
            let means: Vec<f64> = (0..self.mean.len()).map(|set| self.mean_of(set)).collect();
            tensor(&means)
        });
        let rstds: Vec<f64> = (0..self.rstd.len()).map(|set| times_power(self.rstd[set], self.scale(set))).collect();
        (mean, Some(tensor(&rstds)))
    }

    /// The statistics of sets without elements: NaN. They are written as bytes at once, since a tensor that takes no
    /// memory may have very many such sets.
    pub(super) fn undefined(plan: &Plan, input: DType) -> (Option<Tensor>, Option<Tensor>) {
        let dtype = returned_dtype(input);
        let mut nan = vec![0; dtype.size()];
        crate::encode(dtype, &[f64::NAN], &mut nan);
        let sets = plan.statistics_shape.iter().product();
        let tensor = || Tensor::from_parts(dtype, plan.statistics_shape.clone(), nan.repeat(sets));
        (plan.centred.then(tensor), Some(tensor()))
    }
}

/// The dtype in which statistics of such input are returned.
fn returned_dtype(input: DType) -> DType {
    if input == DType::F64 { DType::F64 } else { DType::F32 }
}
