//! Gradients of weights that are added a second time, term by term, in numbers of any size.
//!
//! This is done if a sum left float64's range on the way, or if float64 elements lie so close to their mean that the
//! error of its tail may be most of a sum whose terms cancel, or if the `xh` of float64 elements are so far below
//! float64's range that a large dy does not bring back their digits.

use super::{
    super::{
        layout::Position,
        mean::SharedExponents,
        power::{power, times_power},
        reduce::{Over, members, until_cancelled},
        wide::Wide,
    },
    Part,
};
use crate::{Checkpoint, Element, Error, lanes::DoubleDouble, parallel::for_each_stretch};

/// A sum is right if it is at least so many times the sum of the magnitudes `tail * rstd * dy`: the error of the tails
/// is 2^-53 of that.
const TAILS: f64 = 4.0;

/// A sum is right if it is at least its number of terms times the largest magnitude of dy times this power of two: each
/// xh, times 2^400, has an error of up to 2^-1072 where it is subnormal, and the sum is to be right to 2^-61. If every
/// dy is below 2^336, that is 0.
const LOST: i32 = -1072 - 400 + 61;

impl Part<'_> {
    /// Replaces each sum of dy * xh that may not be right. `exponents`: of dy, if there is a bias, or if the elements are
    /// float64 and have a mean of their own; otherwise they are taken if a sum needs them.
    pub(super) fn settle_weights<E: Element>(
        &self,
        dy: &[u8],
        exponents: &SharedExponents,
        sums: &mut [[f64; 2]],
        checkpoint: &dyn Checkpoint,
    ) -> Result<(), Error> {
        let is_double = E::IS_DOUBLE;
        if !is_double && self.slopes.is_some() {
            return Ok(()); // float32 and half numbers are in range, and their means have more digits than they need
        }
        /// A smaller sum may need the exponents.
        const SMALL: f64 = power(-300);
        let has_none = exponents.of_all().largest == 0;
        if is_double && has_none && sums.iter().any(|[sum, _]| sum.abs() < SMALL) {
            exponents.take::<E>(dy);
        }
        let terms = members(&self.layout, Over::Repetitions, 0).len() as f64;
        let most = self.largest_tail() * terms;
        let largest = exponents.of_all().largest - E::BIAS + 1;
        // At least twice the bound of each target, so that no target is missed because of a rounding.
        let bound = 2.0 * TAILS * times_power(most, largest.clamp(-1100, 1100));
        let bound = bound.max(times_power(1.0, largest.min(1024) + LOST) * terms);
        let is_doubtful = |sum: f64| !sum.is_finite() || sum.abs() < bound;
        for_each_stretch(sums, 1, 64, &|first, sums| {
            for (index, [sum, _]) in sums.iter_mut().enumerate().filter(|(_, [sum, _])| is_doubtful(*sum)) {
                *sum = self.weight_again::<E>(dy, first + index, *sum, checkpoint);
                checkpoint.check()?;
            }
            Ok(())
        })
    }

    /// The largest magnitude of `tail * rstd`; 0 where means have no tails.
    fn largest_tail(&self) -> f64 {
        let (tail, rstd) = (&self.statistics.tail, &self.statistics.rstd);
        tail.iter().zip(rstd).fold(0.0, |most: f64, (tail, rstd)| most.max((tail * rstd).abs()))
    }

    /// `sum`, or the right sum if `sum` may be wrong. This depends on the target's own elements alone.
    fn weight_again<E: Element>(&self, dy: &[u8], target: usize, sum: f64, checkpoint: &dyn Checkpoint) -> f64 {
        let (mut exact, mut tails, mut terms, mut largest) = (Wide::ZERO, 0.0, 0.0, 0.0_f64);
        let mut infinite = None;
        for Position { offset, set, .. } in
            until_cancelled(members(&self.layout, Over::Repetitions, target), checkpoint)
        {
            let (mut x, mut dy_of_x) = ([0.0], [0.0]);
            E::decode_from(&self.input, offset, &mut x);
            E::decode_from(dy, offset, &mut dy_of_x);
            let ([x], [dy]) = (x, dy_of_x);
            let statistics = &self.statistics;
            let mean = DoubleDouble { high: statistics.mean[set], low: statistics.tail[set] };
            let number = |list: &[f64]| list.get(set).copied().filter(|x| x.is_finite()).unwrap_or(0.0);
            let rstd = DoubleDouble { high: statistics.rstd[set], low: number(&statistics.rstd_tail) };
            if !(x.is_finite() && dy.is_finite() && mean.high.is_finite() && rstd.high.is_finite()) {
                let term = (x - mean.high - mean.low) * rstd.high * dy;
                if term.is_nan() {
                    return f64::NAN;
                }
                infinite = Some(infinite.unwrap_or(0.0) + term);
                continue;
            }
            tails += (mean.low * rstd.high * dy).abs();
            (terms, largest) = (terms + 1.0, largest.max(dy.abs()));
            let deviation = Wide::from(x).minus(Wide::new(mean, 0)).minus(Wide::from(number(&statistics.rest)));
            exact = exact.plus(deviation.times(Wide::new(rstd, 0)).times(Wide::from(dy)));
        }
        match infinite {
            Some(infinite) => infinite,
            None if !sum.is_finite() || sum.abs() < (TAILS * tails).max(times_power(largest, LOST) * terms) => {
                exact.value()
            }
            None => sum,
        }
    }
}
