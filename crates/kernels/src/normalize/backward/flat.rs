//! Sets that are divided by eps because their norm is smaller: their gradient has no slope, since no element changes eps.

use evenkeel_exact::ExactSum;
use rayon::prelude::*;

use super::{
    super::{
        power::times_power,
        reduce::{Over, members},
    },
    Part,
    slopes::Slopes,
};
use crate::{Checkpoint, Element, Error};

/// Takes the slope from each of these sets of a part. `least`: what the norm of a set is at least; `input`: the elements of the
/// part, not scaled.
///
/// Where a norm comes to `least`, the gradient jumps. So a norm that is not told from it is compared exactly; one that is
/// `least` has its slope, as the gradient of PyTorch's `clamp_min` has it.
pub(super) fn flatten<E: Element>(
    least: f64,
    part: &Part<'_>,
    input: &[u8],
    slopes: &mut Slopes,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    /// A generous bound on the relative error of the root of the sum of the squares.
    const ERROR: f64 = 1.0 / (1u64 << 40) as f64;
    if least == 0.0 {
        return Ok(());
    }
    let [slope, rest] = &mut slopes.slope;
    slope.par_iter_mut().enumerate().with_min_len(64).try_for_each(|(set, slope)| {
        let norm = part.statistics.var[set].sqrt();
        let scaled_least = times_power(least, part.statistics.scale(set));
        let is_close = norm.is_finite() && (norm - scaled_least).abs() <= ERROR * scaled_least;
        let is_flat = if is_close {
            checkpoint.check()?;
            is_below::<E>(least, part, input, set)
        } else {
            norm < scaled_least
        };
        if is_flat {
            *slope = 0.0;
        }
        Ok::<_, Error>(())
    })?;
    rest.iter_mut().zip(slope).filter(|(_, slope)| **slope == 0.0).for_each(|(rest, _)| *rest = 0.0);
    Ok(())
}

/// Whether the norm of a set of finite elements is below `least`.
fn is_below<E: Element>(least: f64, part: &Part<'_>, input: &[u8], set: usize) -> bool {
    let mut difference = ExactSum::new();
    for at in members(&part.layout, Over::Sets, set) {
        let mut x = [0.0];
        E::decode_from(input, at.offset, &mut x);
        difference.add_square(x[0]);
    }
    difference.add_product(least, -least);
    difference.to_scaled().0 < 0.0
}
