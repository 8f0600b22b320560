//! Merged statistics in the form of those that are measured from an input.

use std::ops::Range;

use evenkeel_exact::SetStatistics;

use super::{
    super::{
        denominator::Denominator, kind::NormKind, mean::Triple, measure::CLOSE, plan::Plan, power::times_power,
        scale::exponent_of, statistics::Statistics,
    },
    StatisticsPartial,
    meter::SETS_IN_A_ROW,
};
use crate::{Checkpoint, DType, Error, lanes::DoubleDouble, parallel::map_ranges};

/// The statistics of all sets.
pub(in super::super) struct Merged {
    statistics: Statistics,
    /// How many elements each set has, in all parts.
    pub(in super::super) elements: u64,
}

/// The statistics of a set.
#[derive(Default)]
struct Set {
    mean: Triple,
    var: f64,
    rstd: DoubleDouble,
    scale: i32,
}

impl Merged {
    /// For elements of this dtype, from statistics that the plan has accepted. Each number is an exact fraction,
    /// rounded once.
    pub(in super::super) fn new(
        partial: &StatisticsPartial,
        plan: &Plan,
        dtype: DType,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let elements = partial.elements();
        let of_set = |set: &SetStatistics| of_set(set, *partial.kind(), plan.denominator, dtype);
        let mut sets = Vec::with_capacity(partial.sets().len());
        for some in partial.sets().chunks(SETS_IN_A_ROW) {
            checkpoint.check()?;
            let of_range = |range: Range<usize>| Ok(some[range].iter().map(of_set).collect::<Vec<_>>());
            sets.extend(map_ranges(some.len(), 16, &of_range)?.into_iter().flatten());
        }
        let list = |quantity: fn(&Set) -> f64| sets.iter().map(quantity).collect::<Vec<f64>>();
        let mut statistics = Statistics {
            mean: list(|set| set.mean.pair.high),
            tail: list(|set| set.mean.pair.low),
            var: list(|set| set.var),
            ..Statistics::default()
        };
        if dtype != DType::F64 {
            return Ok(Self { statistics: statistics.with_rstd(plan.denominator), elements });
        }
        (statistics.rstd, statistics.rstd_tail) = (list(|set| set.rstd.high), list(|set| set.rstd.low));
        if plan.centred {
            statistics.rest = list(|set| set.mean.rest);
        }
        let root = (elements as f64).sqrt();
        let is_close = |set: &Set| set.mean.pair.low.abs() * root > CLOSE * set.var.sqrt();
        if sets.iter().any(is_close) {
            let rest = |set: &Set| if is_close(set) { set.mean.rest } else { f64::NAN };
            statistics.close_rest = sets.iter().map(rest).collect();
        }
        if sets.iter().any(|set| set.scale != 0) {
            statistics.scales = sets.iter().map(|set| set.scale).collect();
        }
        Ok(Self { statistics, elements })
    }

    /// The statistics of `sets` sets from `first` on.
    pub(in super::super) fn of_sets(&self, first: usize, sets: usize) -> Statistics {
        self.statistics.stretch(first, sets)
    }

    /// The statistics of all sets.
    pub(in super::super) fn all(&self) -> &Statistics {
        &self.statistics
    }
}

fn of_set(set: &SetStatistics, kind: NormKind, denominator: Denominator, dtype: DType) -> Set {
    let centred = kind.is_centred();
    let share = if kind.divides_by_norm() { 1 } else { set.elements };
    let squares = if centred { set.variance() } else { set.squares_over(share) };
    let Some(squares) = squares else { return of_nonfinite_set(set, centred, denominator) };
    let mean = set.mean().filter(|_| centred);
    if dtype != DType::F64 {
        let [high, low] = mean.map_or([0.0; 2], |mean| mean.rounded(0));
        let [var] = squares.rounded(0);
        return Set { mean: Triple { pair: DoubleDouble { high, low }, rest: 0.0 }, var, ..Set::default() };
    }
    // A set without a spread needs no scale: its elements equal the mean.
    let scale = if centred && squares.is_zero() { 0 } else { scale(set, denominator) };
    let [high, low, rest] = mean.map_or([0.0; 3], |mean| mean.rounded(scale));
    let [var, var_low] = squares.rounded(2 * scale);
    let rstd = denominator.reciprocal_double_double(DoubleDouble { high: var, low: var_low }, scale);
    Set { mean: Triple { pair: DoubleDouble { high, low }, rest }, var, rstd, scale }
}

/// The statistics of a set whose elements are not all finite: NaN and infinities as in sums by IEEE 754.
fn of_nonfinite_set(set: &SetStatistics, centred: bool, denominator: Denominator) -> Set {
    let is_infinite = !centred && set.elements > 0 && set.nan_elements == 0;
    let (mean, var) =
        (if centred { set.nonfinite_mean() } else { 0.0 }, if is_infinite { f64::INFINITY } else { f64::NAN });
    let rstd = DoubleDouble::from(denominator.reciprocal(var));
    Set { mean: Triple { pair: DoubleDouble::from(mean), rest: 0.0 }, var, rstd, scale: 0 }
}

/// The exponent of the power of two by which elements are multiplied, as for statistics that are measured from an
/// input. The norm, from the exact sum of the squares, takes the place of the largest magnitude, which is not above it.
fn scale(set: &SetStatistics, denominator: Denominator) -> i32 {
    let squares = set.sum_of_squares.over(1);
    let norm = if squares.is_zero() { 0.0 } else { times_power(1.0, (squares.exponent() / 2).min(1023)) };
    exponent_of(denominator.added, norm.max(denominator.least))
}
