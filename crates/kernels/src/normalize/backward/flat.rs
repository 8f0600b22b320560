//! Sets that are divided by eps because their norm is smaller: their gradient has no slope, since no element changes eps.

use evenkeel_exact::ExactSum;

use super::{
    super::{
        power::times_power,
        reduce::{Over, members, until_cancelled},
    },
    Part,
    slopes::Slopes,
};
use crate::{Checkpoint, Element, Error, parallel::for_each_stretch};

/// Sets the slopes of these sets of a part to 0. `least`: the least divisor, eps; `input`: the elements of the part,
/// not scaled.
///
/// The gradient jumps where a norm equals `least`, so a norm that may be on either side is compared exactly. A norm of
/// exactly `least` keeps its slope, as with PyTorch's `clamp_min`.
pub(super) fn flatten<E: Element>(
    least: f64,
    part: &Part<'_>,
    input: &[u8],
    slopes: &mut Slopes,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    if least == 0.0 {
        return Ok(());
    }
    let Slopes { slope: [slope, rest], small, .. } = slopes;
    for_each_stretch(slope, 1, 64, &|first, slopes| {
        for (index, slope) in slopes.iter_mut().enumerate() {
            if is_flat::<E>(least, part, input, first + index, checkpoint)? {
                *slope = 0.0;
            }
        }
        Ok(())
    })?;
    rest.iter_mut().zip(slope).filter(|(_, slope)| **slope == 0.0).for_each(|(rest, _)| *rest = 0.0);
    let mut are_flat = Vec::with_capacity(small.len());
    for &(set, _) in &*small {
        are_flat.push(is_flat::<E>(least, part, input, set, checkpoint)?);
    }
    let mut are_flat = are_flat.into_iter();
    small.retain(|_| are_flat.next() == Some(false));
    Ok(())
}

/// Whether a set is divided by `least`.
fn is_flat<E: Element>(
    least: f64,
    part: &Part<'_>,
    input: &[u8],
    set: usize,
    checkpoint: &dyn Checkpoint,
) -> Result<bool, Error> {
    /// A generous bound on the relative error of the root of the sum of the squares.
    const ERROR: f64 = 1.0 / (1u64 << 40) as f64;
    let norm = part.statistics.var[set].sqrt();
    let scaled_least = times_power(least, part.statistics.scale(set));
    if norm.is_finite() && (norm - scaled_least).abs() <= ERROR * scaled_least {
        let is_below = is_below::<E>(least, part, input, set, checkpoint);
        checkpoint.check()?;
        return Ok(is_below);
    }
    Ok(norm < scaled_least)
}

/// Whether the norm of a set of finite elements is below `least`.
fn is_below<E: Element>(least: f64, part: &Part<'_>, input: &[u8], set: usize, checkpoint: &dyn Checkpoint) -> bool {
    let mut difference = ExactSum::new();
    for at in until_cancelled(members(&part.layout, Over::Sets, set), checkpoint) {
        let mut x = [0.0];
        E::decode_from(input, at.offset, &mut x);
        difference.add_square(x[0]);
    }
    difference.add_product(least, -least);
    difference.to_scaled().0 < 0.0
}
