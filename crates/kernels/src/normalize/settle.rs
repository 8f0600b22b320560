//! Means that a pair of float64 may not hold, added again exactly.

use std::ops::Range;

use super::{
    layout::{Layout, Position},
    mean::{
        DOUBLE, Triple, exact_sum, exponents, is_certain, is_exact, loss, of_exact_sum, of_sum, thrice,
        thrice_of_exact_sum,
    },
    reduce::{Over, Terms, members, sums, terms_in_a_row, until_cancelled},
};
use crate::{
    Checkpoint, DType, Element, Error,
    lanes::{BLOCK, DoubleDouble, two_sum},
    parallel::map,
};

/// The sets that are looked at together: the lists of exact means are short beside those of all sets.
pub(super) const TOGETHER: usize = 1 << 13;

/// Replaces each mean that is not certain by the exact one. `centre`: the means without their tails. `rests`: what a pair lacks of each mean, for float64 alone. `vars`: the
/// variances, which may be too large by the square of the error of the mean.
pub(super) fn settle<E: Element>(
    layout: &Layout,
    input: &[u8],
    means: &mut [DoubleDouble],
    centre: &[f64],
    rests: &mut [f64],
    vars: &[f64],
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    let terms = terms_in_a_row(layout, Over::Sets);
    let is_certain = |set: usize, mean: DoubleDouble| is_certain::<E>(mean, vars[set], terms);
    // Float64 numbers are too close to each other to decide this without reading the elements.
    let may_be_certain = E::DTYPE != DType::F64 && (0..means.len()).all(|set| is_certain(set, means[set]));
    if may_be_certain || is_exact::<E>(exponents::<E>(layout, input), layout.set_len(), terms) {
        return Ok(());
    }
    let doubts = if E::DTYPE == DType::F64 { Some(Doubts::of(layout, input, centre, vars, checkpoint)?) } else { None };
    let is_doubtful =
        |set: usize, mean| doubts.as_ref().map_or_else(|| !is_certain(set, mean), |doubts| doubts.has(set));
    for first in (0..means.len()).step_by(TOGETHER) {
        let sets = first..means.len().min(first + TOGETHER);
        let doubtful: Vec<usize> = sets.filter(|&set| is_doubtful(set, means[set])).collect();
        let exact = map(doubtful.len(), &|index| settled::<E>(layout, input, doubtful[index], checkpoint))?;
        for (set, exact) in doubtful.into_iter().zip(exact) {
            let Some(Triple { pair, rest }) = exact else { continue };
            means[set] = pair;
            if let Some(rest_of_set) = rests.get_mut(set) {
                *rest_of_set = rest;
            }
        }
    }
    Ok(())
}

/// The exact mean of a set; `None` if not all of its elements are finite.
fn settled<E: Element>(
    layout: &Layout,
    input: &[u8],
    set: usize,
    checkpoint: &dyn Checkpoint,
) -> Result<Option<Triple>, Error> {
    let elements = || {
        members(layout, Over::Sets, set).map(|Position { offset, .. }| {
            let mut x = [0.0];
            E::decode_from(input, offset, &mut x);
            x[0]
        })
    };
    let n = layout.set_len();
    let is_double = E::DTYPE == DType::F64;
    let of_pair =
        |pair| if is_double { thrice(pair, n as f64) } else { Triple { pair: of_sum(pair, n as f64), rest: 0.0 } };
    if let Some(pair) = sum_in_a_pair(until_cancelled(elements(), checkpoint)) {
        checkpoint.check()?;
        return Ok(Some(of_pair(pair)));
    }
    let sum = exact_sum(until_cancelled(elements(), checkpoint));
    checkpoint.check()?;
    let mean =
        |sum| if is_double { thrice_of_exact_sum(&sum, n) } else { Triple { pair: of_exact_sum(&sum, n), rest: 0.0 } };
    Ok(sum.map(mean))
}

/// The exact sum of elements if a pair holds it, and all sums before it: a small part of the time that an exact one takes for a set
/// of few elements.
fn sum_in_a_pair(elements: impl Iterator<Item = f64>) -> Option<DoubleDouble> {
    let mut sum = DoubleDouble::from(0.0);
    for x in elements {
        let (high, rest) = two_sum(sum.high, x);
        let (low, lost) = two_sum(sum.low, rest);
        // An infinite or NaN sum loses NaN.
        if lost != 0.0 {
            return None;
        }
        sum = DoubleDouble { high, low };
    }
    (sum.high.is_finite() && sum.low.is_finite()).then(|| sum.normalized())
}

/// Which means of float64 sets are not certain.
struct Doubts<'a> {
    means: &'a [f64],
    vars: &'a [f64],
    /// The distance from its mean below which an element of a set has too few digits.
    reach: Vec<f64>,
    /// How many elements of each set are nearer.
    near: Vec<[DoubleDouble; 1]>,
    /// The root of the number of elements of a set.
    root: f64,
}

impl<'a> Doubts<'a> {
    fn of(
        layout: &Layout,
        input: &[u8],
        means: &'a [f64],
        vars: &'a [f64],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let terms = terms_in_a_row(layout, Over::Sets);
        let error = |(mean, var): (&f64, &f64)| loss(terms) * (var + mean * mean).sqrt();
        let reach: Vec<f64> = means.iter().zip(vars).map(|set| DOUBLE * error(set)).collect();
        let close = Close { input, mean: means, reach: &reach, along_run: layout.run().set_stride };
        let near = sums(layout, Over::Sets, &close, checkpoint)?;
        Ok(Self { means, vars, reach, near, root: (layout.set_len() as f64).sqrt() })
    }

    fn has(&self, set: usize) -> bool {
        /// The largest error of a mean relative to its standard error, `sqrt(var / n)`: gradients have this error relative
        /// to `grad_output`.
        const SHIFT: f64 = 1.0 / (1u128 << 64) as f64;
        let Self { means, vars, reach, near, root } = self;
        let [near] = near[set];
        let shifts = reach[set] / DOUBLE * root > SHIFT * vars[set].sqrt();
        // A sum of finite elements may be beyond float64.
        near.value() > 0.0 || means[set].abs() < reach[set] || !reach[set].is_finite() || shifts
    }
}

/// Terms that are 1 for each element so near to the mean that their difference may be wrong, and 0 for others.
struct Close<'a> {
    input: &'a [u8],
    mean: &'a [f64],
    reach: &'a [f64],
    /// The distance of neighbours of a run in `mean` and `reach`: 0 or 1.
    along_run: usize,
}

impl Terms<1> for Close<'_> {
    #[inline(always)]
    fn write(&self, at: Position, [x]: &mut [[f64; BLOCK]; 1], places: Range<usize>) {
        let x = &mut x[places];
        f64::decode_from(self.input, at.offset, x);
        let one_if = |is_close: bool| f64::from(u8::from(is_close));
        if self.along_run == 0 {
            let (mean, reach) = (self.mean[at.set], self.reach[at.set]);
            x.iter_mut().for_each(|x| *x = one_if((*x - mean).abs() < reach));
        } else {
            let beside = self.mean[at.set..].iter().zip(&self.reach[at.set..]);
            x.iter_mut().zip(beside).for_each(|(x, (mean, reach))| *x = one_if((*x - mean).abs() < *reach));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_holds_what_it_can() {
        let pair = |high, low| Some(DoubleDouble { high, low });
        assert_eq!(sum_in_a_pair([1e30, 1.0, -1e30].into_iter()), pair(1.0, 0.0));
        assert_eq!(sum_in_a_pair([1e30, 1.0].into_iter()), pair(1e30, 1.0));
        assert_eq!(sum_in_a_pair([-0.0, -0.0].into_iter()).map(|sum| sum.high.to_bits()), Some(0));
        for lost in [[1e30, 1.0, 1e-30, -1e30], [1e308, 1e308, -1e308, 0.0], [f64::NAN, 1.0, 1.0, 1.0]] {
            assert_eq!(sum_in_a_pair(lost.into_iter()), None, "{lost:?}");
        }
    }

    proptest! {
        /// The pair is that of the exact sum.
        #[test]
        fn a_pair_is_the_exact_sum(elements in prop::collection::vec(
            (-1.0..1.0f64, -60..60i32).prop_map(|(x, power)| x * 2f64.powi(power)), 0..6,
        )) {
            let exact = exact_sum(elements.iter().copied()).expect("all are finite");
            if let Some(pair) = sum_in_a_pair(elements.into_iter()) {
                prop_assert_eq!(of_sum(pair, 1.0), of_exact_sum(&exact, 1));
                let mut rest = exact;
                rest.add(-pair.high);
                rest.add(-pair.low);
                prop_assert!(rest.is_zero());
            }
        }
    }
}
