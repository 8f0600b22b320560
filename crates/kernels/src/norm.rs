//! The p-norm of many tensors: the same bits whatever their order, their grouping and the number of threads.

mod cascade;
mod chunk;
mod largest;
mod powers;
mod relative;
mod squares;

use evenkeel_exact::{NormOrder, NormPartial};

use crate::{
    Checkpoint, Error, TensorRef,
    parallel::{self, CHUNK, Places, fold},
};

/// The norm over all tensors, and each tensor's own.
pub(crate) struct Norms {
    pub(crate) total: f64,
    pub(crate) per_tensor: Vec<f64>,
}

/// The norms of order `p`, which is above 0 and may be infinite. A NaN anywhere makes a norm NaN, else an infinity makes
/// it infinite; no elements have norm 0.
///
/// Norms of order 1, 2 and infinity are the exact ones, rounded once; others are within 0.6 ulp of the exact ones.
pub(crate) fn norms(tensors: &[TensorRef<'_>], p: f64, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    match NormOrder::from_norm_type(p) {
        Some(order) => {
            let (total, per_tensor) = exact(tensors, order, checkpoint, NormPartial::norm)?;
            Ok(Norms { total, per_tensor })
        }
        None => relative::norms(tensors, p, checkpoint),
    }
}

/// A norm, with the facts about its exact value that [`Clipping::not_above`](crate::Clipping::not_above) needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bounded {
    pub(crate) norm: f64,
    pub(crate) rounded_up: f64,
    /// Whether the exact norm is above the threshold.
    pub(crate) is_above: bool,
}

/// As [`norms`], each compared with a threshold: the norm over all tensors, and each tensor's own.
pub(crate) fn bounded(
    tensors: &[TensorRef<'_>],
    order: NormOrder,
    threshold: f64,
    checkpoint: &dyn Checkpoint,
) -> Result<(Bounded, Vec<Bounded>), Error> {
    exact(tensors, order, checkpoint, |partial| Bounded::of(partial, threshold))
}

impl Bounded {
    /// The norm that was measured, compared with the threshold.
    pub(crate) fn of(partial: &NormPartial, threshold: f64) -> Self {
        let (norm, rounded_up, is_above) = (partial.norm(), partial.norm_rounded_up(), partial.is_above(threshold));
        Self { norm, rounded_up, is_above }
    }
}

/// The norm over all tensors in a form that merges with that of others, exactly.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn measure_gradients(
    order: NormOrder,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<NormPartial, Error> {
    let add = |all: &mut NormPartial, index: usize| {
        merge(all, &*measure(&gradients[index], order, checkpoint)?);
        Ok(())
    };
    total(gradients.len(), order, &add).map(|partial| *partial)
}

/// `read` of the partial over all tensors, and of each tensor's own. Partials are too large to be kept.
fn exact<T: Send + Sync>(
    tensors: &[TensorRef<'_>],
    order: NormOrder,
    checkpoint: &dyn Checkpoint,
    read: impl Fn(&NormPartial) -> T + Sync,
) -> Result<(T, Vec<T>), Error> {
    let per_tensor = Places::new(tensors.len());
    let add = |all: &mut NormPartial, index: usize| {
        let partial = measure(&tensors[index], order, checkpoint)?;
        per_tensor.put(index, read(&partial));
        merge(all, &partial);
        Ok(())
    };
    let total = total(tensors.len(), order, &add)?;
    Ok((read(&total), per_tensor.into_results()))
}

/// The partial of one tensor.
fn measure(tensor: &TensorRef<'_>, order: NormOrder, checkpoint: &dyn Checkpoint) -> Result<Box<NormPartial>, Error> {
    let (data, len) = (tensor.data(), CHUNK * tensor.dtype().size());
    let add = |partial: &mut NormPartial, index: usize| {
        checkpoint.check()?;
        chunk::add(partial, tensor.dtype(), parallel::chunk(data, len, index));
        Ok(())
    };
    total(data.len().div_ceil(len), order, &add)
}

/// The partial that `add` adds each index below `count` to. Partials merge exactly, so Rayon may group tensors and chunks in any
/// way. They are boxed since they have more than a kilobyte, which Rayon would copy from chunk to chunk.
fn total(
    count: usize,
    order: NormOrder,
    add: &(dyn Fn(&mut NormPartial, usize) -> Result<(), Error> + Sync),
) -> Result<Box<NormPartial>, Error> {
    let empty = || Box::new(NormPartial::new(order));
    fold(count, &empty, &|partial, index| add(partial, index), &|a, b| merge(a, &b))
}

fn merge(a: &mut NormPartial, b: &NormPartial) {
    a.merge(b).expect("both are of the order that was asked for");
}
