//! Scaling of float64 sets whose squares would leave float64's range.
//!
//! The result of a set stays the same if its elements are multiplied by a power of two and eps by the square of that power (for
//! L2, whose eps is the least norm, by the power itself). So a set whose elements are very large or very small is measured and
//! normalized as a scaled copy. The mean of the copy is divided by the power; its `1 / sqrt(var + eps)` and the gradient of its
//! elements are multiplied by it.

use super::{
    layout::Layout,
    mean::exponents,
    plan::Plan,
    power::{exponent, power, times_power},
    reduce::{Over, members, until_cancelled},
    statistics::Statistics,
};
use crate::{Checkpoint, Element as _, Error, dtype::Exponents};

/// The exponents between which the largest element of a set may lie: neither squares nor their rounding errors leave
/// float64's range.
const LEAST: i32 = -400;
const MOST: i32 = 480;
/// The largest exponent of a scaled eps.
const MOST_EPS: i32 = 900;
/// The squares of a variance below this power of two may have lost digits.
const SMALL_SQUARES: i32 = 2 * LEAST;
/// The tail of a mean below this power of two may have lost digits.
const SMALL: i32 = -700;

/// Times this power of two, a subnormal mean has a tail with all its digits.
const MEAN: i32 = 200;

/// No set has more than 2^SUM elements.
const SUM: i32 = 64;

/// The exponent of the power of two by which each set is multiplied; empty if none is. `statistics`: those of the elements as
/// they are, which may be beyond float64.
pub(super) fn exponents_of(
    plan: &Plan,
    layout: &Layout,
    input: &[u8],
    statistics: &Statistics,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<i32>, Error> {
    let denominator = plan.denominator;
    let is_in_range = |set: usize| {
        let (mean, var) = (statistics.mean[set], statistics.var[set]);
        let has_digits = !plan.centred || mean.abs() >= power(SMALL) || var >= power(SMALL_SQUARES);
        mean.is_finite() && has_digits && (power(SMALL_SQUARES)..=power(MOST_EPS)).contains(&denominator.square(var))
    };
    let outside: Vec<usize> = (0..statistics.var.len()).filter(|&set| !is_in_range(set)).collect();
    if outside.is_empty() {
        return Ok(Vec::new());
    }
    // If all elements are in range, no set is scaled and sets need not be read one by one: those outside are sets of
    // zeros or of one number.
    let Exponents { largest, smallest } = exponents::<f64>(layout, input);
    let least_is_in_range = denominator.least == 0.0 || (LEAST..=MOST).contains(&exponent(denominator.least));
    if largest - f64::BIAS <= MOST && smallest - f64::BIAS >= LEAST && least_is_in_range {
        return Ok(Vec::new());
    }
    let mut scales = vec![0; statistics.var.len()];
    for set in outside {
        let elements = || {
            until_cancelled(members(layout, Over::Sets, set), checkpoint).map(|at| {
                let mut x = [0.0];
                f64::decode_from(input, at.offset, &mut x);
                x[0]
            })
        };
        // `f64::max` skips NaN, which stays NaN in every scale.
        let largest = elements().map(f64::abs).fold(0.0, f64::max);
        // In a set of one number only the sum may be too large. Its variance is 0, and eps has to stay in range, too.
        let first = elements().next();
        let is_constant = elements().all(|x| Some(x) == first);
        checkpoint.check()?;
        // The denominator has to stay in range with the elements.
        let exponent = exponent_of(denominator.added, largest.max(denominator.least));
        scales[set] = if is_constant && plan.centred { exponent.max(-SUM) } else { exponent };
    }
    Ok(if scales.iter().all(|&scale| scale == 0) { Vec::new() } else { scales })
}

/// The exponent for a set with this largest magnitude.
pub(super) fn exponent_of(eps: f64, largest: f64) -> i32 {
    if largest == 0.0 || !largest.is_finite() {
        return 0;
    }
    let of_largest = exponent(largest);
    if of_largest > MOST {
        return MOST - of_largest;
    }
    if of_largest >= LEAST {
        return 0;
    }
    // If the variance is far below eps, a larger scale would take eps beyond float64, or its reciprocal root below.
    let most = if eps > 0.0 { ((MOST_EPS - exponent(eps)) / 2).max(MEAN) } else { i32::MAX };
    (-of_largest).min(most)
}

/// Multiplies the elements of each set by its power of two.
pub(super) fn scale(
    layout: &Layout,
    data: &mut [u8],
    exponents: &[i32],
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    for (set, &exponent) in exponents.iter().enumerate().filter(|&(_, &exponent)| exponent != 0) {
        for at in until_cancelled(members(layout, Over::Sets, set), checkpoint) {
            let element = &mut data[at.offset * size_of::<f64>()..][..size_of::<f64>()];
            let mut x = [0.0];
            f64::decode_from(element, 0, &mut x);
            let scaled = times_power(x[0], exponent);
            element.copy_from_slice(&scaled.to_le_bytes());
        }
        checkpoint.check()?;
    }
    Ok(())
}
