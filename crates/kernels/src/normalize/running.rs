//! Running averages of means and variances.

use super::{
    NormParameters,
    plan::{Channels, Plan},
    power::times_power,
    statistics::Statistics,
    wide::Wide,
};
use crate::{DType, Element, Tensor, TensorRef, lanes::DoubleDouble};

/// The running mean and variance of each channel.
pub(super) struct Running {
    mean: Vec<f64>,
    var: Vec<f64>,
    /// Whether the variance is float64.
    pub(super) is_double: bool,
}

impl Running {
    /// The running statistics that are given; both are, or neither is.
    pub(super) fn of(parameters: &NormParameters<'_>) -> Option<Self> {
        let (mean, var) = (parameters.running_mean?, parameters.running_var?);
        Some(Self { mean: mean.to_f64(), var: var.to_f64(), is_double: var.dtype() == DType::F64 })
    }

    /// The running statistics as those of `sets` sets from `first` on.
    pub(super) fn statistics<E: Element>(&self, plan: &Plan, first: usize, sets: usize) -> Statistics {
        let of_set = |values: &[f64]| (first..first + sets).map(|set| values[plan.channels.of_set(set)]).collect();
        let (mean, var): (Vec<f64>, Vec<f64>) = (of_set(&self.mean), of_set(&self.var));
        let statistics = Statistics { mean, tail: vec![0.0; sets], var, ..Statistics::default() };
        if !E::IS_DOUBLE {
            return statistics.with_rstd(plan.denominator);
        }
        let rstd = |&var: &f64| plan.denominator.reciprocal_double_double(DoubleDouble::from(var), 0);
        let (rstd, rstd_tail) = statistics.var.iter().map(rstd).map(|DoubleDouble { high, low }| (high, low)).unzip();
        Statistics { rstd, rstd_tail, ..statistics }
    }

    /// The running statistics after an update with these statistics of the input, with the unbiased variance; a channel
    /// with several sets (instance normalization) takes their average. `n`: the elements of a set.
    pub(super) fn updated(&self, plan: &Plan, n: f64, statistics: &Statistics) -> Self {
        let Channels { count, .. } = plan.channels;
        let zero = DoubleDouble::from(0.0);
        let (mut mean, mut var) = (vec![zero; count], vec![zero; count]);
        for set in 0..statistics.mean.len() {
            let channel = plan.channels.of_set(set);
            let exponent = -statistics.scale(set);
            let unscaled = |x: DoubleDouble| DoubleDouble {
                high: times_power(x.high, exponent),
                low: times_power(x.low, exponent),
            };
            let var_of_set = times_power(statistics.var[set], 2 * exponent);
            mean[channel] =
                mean[channel].plus(unscaled(DoubleDouble { high: statistics.mean[set], low: statistics.tail[set] }));
            var[channel] = var[channel].plus(DoubleDouble::product(var_of_set, n).over(n - 1.0));
        }
        let sets_per_channel = (statistics.mean.len() / count) as f64;
        let old_share = DoubleDouble::from(1.0).minus(DoubleDouble::from(plan.momentum));
        let blend = |old: &[f64], new: Vec<DoubleDouble>| {
            let blend = |(&old, new): (&f64, DoubleDouble)| {
                let new = new.over(sets_per_channel).times(DoubleDouble::from(plan.momentum));
                DoubleDouble::from(old).times(old_share).plus(new).value()
            };
            old.iter().zip(new).map(blend).collect()
        };
        let mut updated = Self { mean: blend(&self.mean, mean), var: blend(&self.var, var), ..*self };
        updated.settle(self, plan, n, statistics);
        updated
    }

    /// Replaces infinities that come from sums which leave float64's range on the way. `old`: the running statistics
    /// before the update; `n`: the elements of a set.
    fn settle(&mut self, old: &Self, plan: &Plan, n: f64, statistics: &Statistics) {
        let Channels { count, .. } = plan.channels;
        let sets_per_channel = (statistics.mean.len() / count) as f64;
        let momentum = Wide::from(plan.momentum);
        let old_share = Wide::from(1.0).minus(momentum);
        let blend = |old: f64, sum: Wide| {
            Wide::from(old).times(old_share).plus(sum.over(sets_per_channel).times(momentum)).value()
        };
        for channel in 0..count {
            if self.mean[channel].is_finite() && self.var[channel].is_finite() {
                continue;
            }
            let sets = || plan.channels.sets(channel, statistics.mean.len());
            let [old_mean, old_var] = [old.mean[channel], old.var[channel]];
            let are_finite = |set: usize| statistics.mean[set].is_finite() && statistics.var[set].is_finite();
            if !(old_mean.is_finite() && old_var.is_finite() && sets().all(are_finite)) {
                continue;
            }
            let (mut means, mut vars) = (Wide::ZERO, Wide::ZERO);
            for set in sets() {
                let exponent = -statistics.scale(set);
                means = means
                    .plus(Wide::new(DoubleDouble { high: statistics.mean[set], low: statistics.tail[set] }, exponent));
                let unbiased =
                    Wide::new(DoubleDouble::from(statistics.var[set]), 2 * exponent).times(Wide::from(n)).over(n - 1.0);
                vars = vars.plus(unbiased);
            }
            (self.mean[channel], self.var[channel]) = (blend(old_mean, means), blend(old_var, vars));
        }
    }

    /// The running statistics as tensors, in the dtypes and shapes in which they were given.
    pub(super) fn tensors(&self, given: &NormParameters<'_>) -> (Option<Tensor>, Option<Tensor>) {
        let tensor =
            |like: TensorRef<'_>, values: &[f64]| Tensor::from_f64(like.dtype(), like.shape().to_vec(), values);
        (given.running_mean.map(|like| tensor(like, &self.mean)), given.running_var.map(|like| tensor(like, &self.var)))
    }
}
