//! Statistics of float32 and half elements in twice float64's precision, for a float64 gradient of their weight.
//!
//! The gradient of the input does not need them: it is rounded to fewer digits.

use super::{
    super::{
        mean::{exact_mean, exponents, is_exact},
        measure,
        plan::Source,
        reduce::{Over, terms_in_a_row},
        settle::TOGETHER,
        statistics::Statistics,
    },
    Given, Part,
};
use crate::{Checkpoint, DType, Element, Error, lanes::DoubleDouble, parallel::map};

impl<'a> Part<'a> {
    /// The whole with statistics of twice the precision, if the gradient of a weight needs them. `self`: the whole.
    pub(super) fn for_float64_weights<E: Element>(
        &'a self,
        given: Given<'_>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Option<Self>, Error> {
        if E::IS_DOUBLE || self.affine.weight_dtype != Some(DType::F64) {
            return Ok(None);
        }
        let (plan, layout, statistics) = (given.plan, &self.layout, &self.statistics);
        let (mut mean, mut tail) = (statistics.mean.clone(), statistics.tail.clone());
        let rstds: Vec<DoubleDouble> = if plan.source == Source::Running {
            let vars = statistics.var.iter();
            vars.map(|&var| plan.denominator.reciprocal_double_double(DoubleDouble::from(var), 0)).collect()
        } else {
            let terms = terms_in_a_row(layout, Over::Sets);
            if plan.centred && !is_exact::<E>(exponents::<E>(layout, &self.input), layout.set_len(), terms) {
                for first in (0..mean.len()).step_by(TOGETHER) {
                    let sets = first..mean.len().min(first + TOGETHER);
                    let exact = |index| exact_mean::<E>(layout, &self.input, first + index, checkpoint);
                    for (set, exact) in sets.clone().zip(map(sets.len(), &exact)?) {
                        if let Some(exact) = exact {
                            (mean[set], tail[set]) = (exact.high, exact.low);
                        }
                    }
                }
            }
            let vars = measure::variances::<E>(plan, layout, &self.input, [&mean, &tail], checkpoint)?;
            vars.into_iter().map(|var| plan.denominator.reciprocal_double_double(var, 0)).collect()
        };
        let (rstd, rstd_tail) = rstds.into_iter().map(|DoubleDouble { high, low }| (high, low)).unzip();
        Ok(Some(Part {
            layout: layout.clone(),
            affine: self.affine,
            input: (&*self.input).into(),
            statistics: Statistics { mean, tail, rstd, rstd_tail, ..Statistics::default() },
            // Only the presence of slopes is read.
            slopes: self.slopes.as_ref().map(|_| super::Slopes::default()),
        }))
    }
}
