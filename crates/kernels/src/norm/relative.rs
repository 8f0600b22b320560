//! Norms of any order, by terms relative to the largest element.
//!
//! No power overflows that way and none that matters vanishes. The terms of a tensor are added exactly, and so are the
//! tensors' norms, so that order does not matter; but each power is rounded, and depends on the tensor it is in.
//!
//! Powers come from the `libm` crate: those of the machine's own library differ in their last bits from one system, and
//! one CPU, to the next.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::{
    Norms, exact_sum_of,
    largest::{Largest, larger},
};
use crate::{
    Checkpoint, Element, Error, TensorRef,
    dtype::with_element,
    lanes::{BLOCK, Lanes},
    parallel::CHUNK,
    simd::{self, Kernel},
};

/// The norms of order `p`.
pub(super) fn norms(tensors: &[TensorRef<'_>], p: f64, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    let norm = |tensor: &TensorRef<'_>| with_element!(tensor.dtype(), E => norm::<E>(tensor.data(), p, checkpoint));
    let per_tensor = tensors.par_iter().map(norm).collect::<Result<Vec<_>, _>>()?;
    let unit = per_tensor.iter().copied().fold(0.0, larger);
    let total = relative(unit, p, || Ok(exact_sum_of(per_tensor.iter().map(|norm| libm::pow(norm / unit, p)))))?;
    Ok(Norms { total, per_tensor })
}

fn norm<E: Element>(data: &[u8], p: f64, checkpoint: &dyn Checkpoint) -> Result<f64, Error> {
    let chunks = || data.par_chunks(CHUNK * E::DTYPE.size());
    let checked = |of: &(dyn Fn() -> f64 + Sync)| checkpoint.check().map(|()| of()).map_err(Error::from);
    let largest = chunks()
        .map(|data| checked(&|| simd::run(Largest { data, element: PhantomData::<E> })))
        .try_reduce(|| 0.0, |a, b| Ok(larger(a, b)))?;
    relative(largest, p, || {
        let sums =
            chunks().map(|data| checked(&|| simd::run(Powers { data, unit: largest, p, element: PhantomData::<E> })));
        Ok(exact_sum_of(sums.collect::<Result<Vec<_>, _>>()?))
    })
}

/// `unit * sum^(1/p)`, where the sum's terms are relative to `unit`, the largest value.
fn relative(unit: f64, p: f64, sum: impl FnOnce() -> Result<f64, Error>) -> Result<f64, Error> {
    if unit.is_nan() {
        Ok(f64::NAN) // and not the one that came
    } else if unit == 0.0 || unit.is_infinite() {
        Ok(unit)
    } else {
        Ok(unit * libm::pow(sum()?, 1.0 / p))
    }
}

/// The sum of `(|x| / unit)^p` over a chunk.
struct Powers<'a, E> {
    data: &'a [u8],
    unit: f64,
    p: f64,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Powers<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let size = E::DTYPE.size();
        let mut sum = Lanes::new();
        let mut values = [0.0; BLOCK];
        for bytes in self.data.chunks(BLOCK * size) {
            let values = &mut values[..bytes.len() / size];
            E::decode(bytes, values);
            values.iter_mut().for_each(|value| *value = libm::pow(value.abs() / self.unit, self.p));
            sum.add(values);
        }
        sum.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tensor, Uninterrupted};

    #[test]
    fn a_nan_is_the_canonical_one() {
        let bytes = 0xFFC0_1234_u32.to_le_bytes().to_vec();
        let odd = Tensor::from_bytes(crate::DType::F32, vec![], bytes).expect("one element");
        let norms = norms(&[odd.view()], 3.0, &Uninterrupted).expect("nothing stops it");
        assert_eq!(norms.total.to_bits(), f64::NAN.to_bits());
        assert_eq!(norms.per_tensor[0].to_bits(), f64::NAN.to_bits());
    }
}
