//! Gradients with statistics over all parts of a tensor, of which the input is one.
//!
//! Each set has one weight w, so mean(g) is w times the mean of dy, and mean(g * d) is w times the mean of dy * d, over
//! all parts.

use std::ops::Range;

use evenkeel_exact::{Quotient, SetStatistics};

use super::{
    super::{
        affine::Affine,
        measured::{Merged, SETS_IN_A_ROW, StatisticsPartial},
        plan::Plan,
        statistics::Statistics,
    },
    slopes::Slopes,
};
use crate::{Checkpoint, DType, Error, lanes::DoubleDouble, parallel::map_ranges};

/// Statistics and slopes of all sets.
pub(in super::super) struct MergedGradients {
    statistics: Merged,
    slopes: Slopes,
}

impl MergedGradients {
    /// For elements of this dtype, from statistics that were measured with gradients and that the plan has accepted.
    pub(in super::super) fn new(
        partial: &StatisticsPartial,
        plan: &Plan,
        affine: &Affine,
        dtype: DType,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let statistics = Merged::new(partial, plan, dtype, checkpoint)?;
        // Without a weight, `affine` has a single number.
        let weight = |set: usize| {
            if affine.weight.len() == 1 { affine.weight[0] } else { affine.weight[plan.channels.of_set(set)] }
        };
        let of_set = |set: usize, measured: &SetStatistics| {
            let all = statistics.all();
            let scale = all.scale(set);
            let rstd = DoubleDouble { high: all.rstd[set], low: all.rstd_tail.get(set).copied().unwrap_or(0.0) };
            let weight = DoubleDouble::from(weight(set));
            let mean = pair(measured.mean_gradient(), 0).times(weight);
            // If elements are multiplied by a power of two, so are their deviations from the mean.
            let slope = pair(measured.mean_gradient_times_deviation(), scale).times(rstd).times(weight);
            if dtype == DType::F64 { [mean, slope.times(rstd)] } else { [mean, slope] }.map(finite)
        };
        let mut sets: Vec<[DoubleDouble; 2]> = Vec::with_capacity(partial.sets().len());
        for some in partial.sets().chunks(SETS_IN_A_ROW) {
            checkpoint.check()?;
            let first = sets.len();
            let of_range = |range: Range<usize>| {
                let of_index = |index: usize| of_set(first + index, &some[index]);
                Ok(range.map(of_index).collect::<Vec<_>>())
            };
            sets.extend(map_ranges(some.len(), 16, &of_range)?.into_iter().flatten());
        }
        let list = |quantity: usize| -> [Vec<f64>; 2] {
            let pairs = sets.iter().map(|set| set[quantity]);
            if dtype == DType::F64 {
                let (high, low) = pairs.map(|DoubleDouble { high, low }| (high, low)).unzip();
                [high, low]
            } else {
                [pairs.map(DoubleDouble::value).collect(), Vec::new()]
            }
        };
        // Only kinds without a mean have terms that may be small; these kinds have one.
        let slopes = Slopes { mean_g: list(0), slope: list(1), ..Slopes::default() };
        Ok(Self { statistics, slopes })
    }

    /// The statistics and slopes of `sets` sets from `first` on.
    pub(super) fn of_sets(&self, first: usize, sets: usize) -> (Statistics, Slopes) {
        (self.statistics.of_sets(first, sets), self.slopes.stretch(first, sets))
    }
}

/// A quotient times `2^scale`; NaN if there is none.
fn pair(quotient: Option<Quotient>, scale: i32) -> DoubleDouble {
    let [high, low] = quotient.map_or([f64::NAN; 2], |quotient| quotient.rounded(scale));
    DoubleDouble { high, low }
}

/// The number, or NaN if it is not finite, which makes the gradients of the whole set NaN.
fn finite(number: DoubleDouble) -> DoubleDouble {
    if number.high.is_finite() { number.normalized() } else { DoubleDouble::from(f64::NAN) }
}
