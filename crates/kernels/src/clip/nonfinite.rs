//! The gradients whose elements make a norm NaN or infinite.

use rayon::prelude::*;

use crate::{Checkpoint, Element, Error, NonFinite, TensorRef, dtype::with_element, parallel::CHUNK};

/// Reads every element again, which only calls that are refused have to pay for.
pub(super) fn count(gradients: &[TensorRef<'_>], checkpoint: &dyn Checkpoint) -> Result<NonFinite, Error> {
    let counts = gradients.par_iter().map(|gradient| of_one(gradient, checkpoint)).collect::<Result<Vec<_>, _>>()?;
    let mut found = NonFinite::default();
    for (index, (nan, infinite)) in counts.into_iter().enumerate().filter(|&(_, counts)| counts != (0, 0)) {
        found.nan += nan;
        found.infinite += infinite;
        found.gradients += 1;
        if found.first.len() < NonFinite::MOST_NAMED {
            found.first.push(index);
        }
    }
    Ok(found)
}

/// How many elements are NaN, and how many are infinite.
pub(super) fn of_one(gradient: &TensorRef<'_>, checkpoint: &dyn Checkpoint) -> Result<(u64, u64), Error> {
    let dtype = gradient.dtype();
    let counts = gradient.data().par_chunks(CHUNK * dtype.size()).map(|elements| {
        checkpoint.check()?;
        Ok(with_element!(dtype, E => of_elements::<E>(elements)))
    });
    counts.try_reduce(|| (0, 0), |a, b| Ok((a.0 + b.0, a.1 + b.1)))
}

fn of_elements<E: Element>(elements: &[u8]) -> (u64, u64) {
    elements.chunks_exact(E::DTYPE.size()).fold((0, 0), |(nan, infinite), bytes| {
        let x = E::from_le_bytes(bytes).to_f64();
        (nan + u64::from(x.is_nan()), infinite + u64::from(x.is_infinite()))
    })
}
