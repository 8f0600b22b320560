//! The p-norm of many tensors, independent of their order and of the number of threads.
//!
//! Each tensor is cut into fixed chunks, each chunk's terms are added in float64 in a fixed order, and the chunks' sums
//! are added exactly; so the same tensors give the same bits in any order.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::{
    Checkpoint, DType, Element, Error, TensorRef,
    dtype::with_element,
    exact::ExactSum,
    lanes::{BLOCK, Lanes},
    parallel::CHUNK,
    simd::{self, Kernel},
};

/// The order p of a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    One,
    Two,
    Infinity,
    /// Any other number above 0.
    Other(f64),
}

impl Order {
    /// `p` is above 0 and may be infinite.
    pub(crate) fn of(p: f64) -> Self {
        if p == 1.0 {
            Self::One
        } else if p == 2.0 {
            Self::Two
        } else if p == f64::INFINITY {
            Self::Infinity
        } else {
            Self::Other(p)
        }
    }
}

/// The norm over all tensors, and each tensor's own.
pub(crate) struct Norms {
    pub(crate) total: f64,
    pub(crate) per_tensor: Vec<f64>,
}

/// Measures `tensors`. A NaN anywhere makes the norm NaN, else an infinity makes it infinite; no tensors have norm 0.
pub(crate) fn norms(tensors: &[TensorRef<'_>], order: Order, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    let chunks = Chunks::of(tensors);
    match order {
        Order::Infinity => {
            let per_tensor = chunks.largest(checkpoint)?;
            Ok(Norms { total: per_tensor.iter().copied().fold(0.0, larger), per_tensor })
        }
        Order::One => chunks.direct(f64::abs, |sum| sum, checkpoint),
        Order::Two => chunks.euclidean(checkpoint),
        Order::Other(p) => chunks.scaled(p, checkpoint),
    }
}

/// All tensors, cut into chunks.
struct Chunks<'a> {
    tensors: &'a [TensorRef<'a>],
    chunks: Vec<Chunk<'a>>,
}

struct Chunk<'a> {
    tensor: usize,
    dtype: DType,
    data: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn of(tensors: &'a [TensorRef<'a>]) -> Self {
        let cut = |(tensor, view): (usize, &TensorRef<'a>)| {
            let dtype = view.dtype();
            view.data().chunks(CHUNK * dtype.size()).map(move |data| Chunk { tensor, dtype, data })
        };
        Self { tensors, chunks: tensors.iter().enumerate().flat_map(cut).collect() }
    }

    /// One number for each chunk, computed in parallel.
    fn measure(&self, checkpoint: &dyn Checkpoint, of: impl Fn(&Chunk<'_>) -> f64 + Sync) -> Result<Vec<f64>, Error> {
        let mut values = vec![0.0; self.chunks.len()];
        values.par_iter_mut().zip(&self.chunks).try_for_each(|(value, chunk)| {
            checkpoint.check()?;
            *value = of(chunk);
            Ok::<_, Error>(())
        })?;
        Ok(values)
    }

    /// One number for each tensor, from its chunks' numbers; an empty tensor has none and gets 0.
    fn per_tensor(&self, values: &[f64], mut combine: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
        let mut result = vec![0.0; self.tensors.len()];
        let mut from = 0;
        for chunks in self.chunks.chunk_by(|a, b| a.tensor == b.tensor) {
            result[chunks[0].tensor] = combine(&values[from..from + chunks.len()]);
            from += chunks.len();
        }
        result
    }

    /// Each tensor's largest absolute value, NaN if it has one.
    fn largest(&self, checkpoint: &dyn Checkpoint) -> Result<Vec<f64>, Error> {
        let values = self.measure(
            checkpoint,
            |chunk| with_element!(chunk.dtype, E => simd::run(Largest { data: chunk.data, element: PhantomData::<E> })),
        )?;
        Ok(self.per_tensor(&values, |values| values.iter().copied().fold(0.0, larger)))
    }

    /// Norms that are a function of the plain sum of terms.
    fn direct(
        &self,
        term: impl Fn(f64) -> f64 + Sync,
        norm: impl Fn(f64) -> f64,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Norms, Error> {
        let sums =
            self.measure(checkpoint, |chunk| with_element!(chunk.dtype, E => simd::run(Sum { data: chunk.data, term: &term, element: PhantomData::<E> })))?;
        Ok(Norms { total: norm(exact(&sums)), per_tensor: self.per_tensor(&sums, |sums| norm(exact(sums))) })
    }

    fn euclidean(&self, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
        let mut norms = self.direct(|x| x * x, f64::sqrt, checkpoint)?;
        // The squares of float32 and of the half types are far inside the range of float64; those of float64 data may
        // overflow, or vanish. Inside these bounds what vanished is too small to matter.
        let safe = |norm: f64| (1e-140..1e140).contains(&norm);
        let suspicious = |(norm, view): (&f64, &TensorRef<'_>)| view.dtype() == DType::F64 && !safe(*norm);
        if norms.per_tensor.iter().zip(self.tensors).any(suspicious) {
            let again = self.scaled(2.0, checkpoint)?;
            if !safe(norms.total) {
                norms.total = again.total;
            }
            for (norm, again) in norms.per_tensor.iter_mut().zip(again.per_tensor) {
                if !safe(*norm) {
                    *norm = again;
                }
            }
        }
        Ok(norms)
    }

    /// Norms whose terms are taken relative to the largest, so that no power overflows and none that matters vanishes.
    fn scaled(&self, p: f64, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
        let largest = self.largest(checkpoint)?;
        let sums = self.measure(checkpoint, |chunk| {
            let unit = largest[chunk.tensor];
            if unit == 0.0 || !unit.is_finite() {
                return unit; // the norm is the largest value itself; see `relative_norm`
            }
            let term = |x: f64| power(x.abs() / unit, p);
            with_element!(chunk.dtype, E => simd::run(Sum { data: chunk.data, term: &term, element: PhantomData::<E> }))
        })?;
        let sums = self.per_tensor(&sums, exact);
        let per_tensor: Vec<f64> = largest.iter().zip(sums).map(|(&unit, sum)| relative_norm(unit, sum, p)).collect();
        let unit = per_tensor.iter().copied().fold(0.0, larger);
        let terms: Vec<f64> = per_tensor.iter().map(|norm| power(norm / unit, p)).collect();
        Ok(Norms { total: relative_norm(unit, exact(&terms), p), per_tensor })
    }
}

/// `x^p`, with the exactly rounded product where there is one.
fn power(x: f64, p: f64) -> f64 {
    if p == 2.0 { x * x } else { x.powf(p) }
}

/// `unit * sum^(1/p)`, where the sum's terms were taken relative to `unit`.
fn relative_norm(unit: f64, sum: f64, p: f64) -> f64 {
    if unit == 0.0 || !unit.is_finite() {
        unit
    } else if p == 2.0 {
        unit * sum.sqrt()
    } else {
        unit * sum.powf(1.0 / p)
    }
}

fn exact(terms: &[f64]) -> f64 {
    let mut sum = ExactSum::new();
    terms.iter().for_each(|&term| sum.add(term));
    sum.to_f64()
}

/// The maximum, where NaN wins.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The largest absolute value, NaN if there is one.
struct Largest<'a, E> {
    data: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Largest<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut lanes = [0.0; 16];
        for elements in self.data.chunks(lanes.len() * E::DTYPE.size()) {
            let mut values = [0.0; 16];
            E::decode(elements, &mut values[..elements.len() / E::DTYPE.size()]);
            lanes.iter_mut().zip(values).for_each(|(lane, x)| *lane = larger(*lane, x.abs()));
        }
        lanes.into_iter().fold(0.0, larger)
    }
}

/// The sum of a term of each element.
struct Sum<'a, E, F> {
    data: &'a [u8],
    term: &'a F,
    element: PhantomData<E>,
}

impl<E: Element, F: Fn(f64) -> f64> Kernel for Sum<'_, E, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let size = E::DTYPE.size();
        let mut sum = Lanes::new();
        let mut values = [0.0; BLOCK];
        for bytes in self.data.chunks(BLOCK * size) {
            let values = &mut values[..bytes.len() / size];
            E::decode(bytes, values);
            values.iter_mut().for_each(|value| *value = (self.term)(*value));
            sum.add(values);
        }
        sum.total()
    }
}
