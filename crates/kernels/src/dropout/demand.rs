//! The memory and work of a dropout.

use super::{Draws, Dropout};
use crate::{Demand, Error, parallel::CHUNK};

/// The bytes that each part's draws take beside their bits.
const PER_PART: usize = 64;

/// The memory and work of [`dropout`](super::dropout()) of a tensor of this shape.
///
/// # Errors
/// As [`dropout`](super::dropout()), but for [`Error::Cancelled`].
pub fn dropout_demand(spec: &Dropout, shape: &[usize], return_mask: bool) -> Result<Demand, Error> {
    Ok(demand(spec, &Draws::of(spec, "input.shape", shape)?, return_mask))
}

/// The memory and work of [`dropout_backward`](super::dropout_backward) of a gradient of this shape.
///
/// # Errors
/// As [`dropout_backward`](super::dropout_backward), but for [`Error::Cancelled`].
pub fn dropout_backward_demand(spec: &Dropout, shape: &[usize]) -> Result<Demand, Error> {
    Ok(demand(spec, &Draws::of(spec, "grad_output.shape", shape)?, false))
}

fn demand(spec: &Dropout, draws: &Draws, return_mask: bool) -> Demand {
    let bits = draws.count().div_ceil(8);
    let results = if return_mask { bits } else { 0 };
    let parts = (draws.count() * draws.elements()).div_ceil(CHUNK) * PER_PART;
    if !spec.kind.by_channel() {
        // The bits of the parts, from which the mask is put together.
        return Demand { results, scratch: results + parts, units: 0 };
    }
    let units = if return_mask || draws.elements() > 0 { draws.count() } else { 0 };
    Demand { results, scratch: units.div_ceil(8) + parts, units }
}
