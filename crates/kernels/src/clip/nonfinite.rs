//! The gradients whose elements make a norm NaN or infinite.

use crate::{
    Checkpoint, Element, Error, NonFinite, TensorRef,
    dtype::with_element,
    parallel::{CHUNK, chunk, fold, map},
};

/// Reads every element again, which only calls that are refused have to pay for.
pub(super) fn count(gradients: &[TensorRef<'_>], checkpoint: &dyn Checkpoint) -> Result<NonFinite, Error> {
    let counts = map(gradients.len(), &|index| of_one(&gradients[index], checkpoint))?;
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
    let (data, dtype) = (gradient.data(), gradient.dtype());
    let len = CHUNK * dtype.size();
    let plus = |a: &mut (u64, u64), b: (u64, u64)| *a = (a.0 + b.0, a.1 + b.1);
    let add = |counts: &mut (u64, u64), index| {
        checkpoint.check()?;
        plus(counts, with_element!(dtype, E => of_elements::<E>(chunk(data, len, index))));
        Ok(())
    };
    fold(data.len().div_ceil(len), &|| (0, 0), &add, &plus)
}

fn of_elements<E: Element>(elements: &[u8]) -> (u64, u64) {
    elements.chunks_exact(E::DTYPE.size()).fold((0, 0), |(nan, infinite), bytes| {
        let x = E::from_le_bytes(bytes).to_f64();
        (nan + u64::from(x.is_nan()), infinite + u64::from(x.is_infinite()))
    })
}
