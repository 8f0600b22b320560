//! The p-norm of many tensors: the same bits whatever their order, their grouping and the number of threads.

mod cascade;
mod largest;
mod relative;
mod sum;

use rayon::prelude::*;

use self::sum::{ExactOrder, NormSum};
use crate::{Checkpoint, Error, TensorRef, exact::ExactSum, parallel::CHUNK};

/// The norm over all tensors, and each tensor's own.
pub(crate) struct Norms {
    pub(crate) total: f64,
    pub(crate) per_tensor: Vec<f64>,
}

/// The norms of order `p`, which is above 0 and may be infinite. A NaN anywhere makes a norm NaN, else an infinity makes
/// it infinite; no elements have norm 0.
///
/// Orders 1, 2 and infinity are what exact arithmetic on the elements would give, rounded once.
pub(crate) fn norms(tensors: &[TensorRef<'_>], p: f64, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    if p == 1.0 {
        exact(tensors, ExactOrder::One, checkpoint)
    } else if p == 2.0 {
        exact(tensors, ExactOrder::Two, checkpoint)
    } else if p == f64::INFINITY {
        exact(tensors, ExactOrder::Infinity, checkpoint)
    } else {
        relative::norms(tensors, p, checkpoint)
    }
}

fn exact(tensors: &[TensorRef<'_>], order: ExactOrder, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    let mut per_tensor = vec![0.0; tensors.len()];
    // Sums merge exactly, so Rayon may group tensors and chunks as it likes.
    let total = per_tensor
        .par_iter_mut()
        .zip(tensors)
        .map(|(norm, tensor)| {
            let sum = measure(tensor, order, checkpoint)?;
            *norm = sum.norm();
            Ok::<_, Error>(sum)
        })
        .try_reduce(|| NormSum::new(order), |a, b| Ok(a.merge(&b)))?;
    Ok(Norms { total: total.norm(), per_tensor })
}

fn measure(tensor: &TensorRef<'_>, order: ExactOrder, checkpoint: &dyn Checkpoint) -> Result<NormSum, Error> {
    tensor
        .data()
        .par_chunks(CHUNK * tensor.dtype().size())
        .try_fold(
            || NormSum::new(order),
            |mut sum, chunk| {
                checkpoint.check()?;
                sum.add(tensor.dtype(), chunk);
                Ok::<_, Error>(sum)
            },
        )
        .try_reduce(|| NormSum::new(order), |a, b| Ok(a.merge(&b)))
}

fn exact_sum_of(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = ExactSum::new();
    terms.into_iter().for_each(|term| sum.add(term));
    sum.to_f64()
}
