//! Gradient clipping.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::{
    Checkpoint, Element, Error, TensorRef,
    dtype::with_element,
    norm::{Norms, norms},
    parallel::{CHUNK, for_each_chunk},
    simd::{self, Kernel},
};

/// How gradients are clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClipMode {
    /// By one norm over all elements of all tensors. `torch.nn.utils.clip_grad_norm_`.
    Norm,
    /// Every element is clamped. `torch.nn.utils.clip_grad_value_`.
    Value,
    /// As `Norm`, each tensor by its own norm.
    NormPerTensor,
}

/// A clipping; its fields mean what the fields of these names in the wire contract mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// How to clip.
    pub mode: ClipMode,
    /// The largest norm, or the largest absolute value: not NaN, not negative.
    pub threshold: f64,
    /// The order of the norm: above 0, or infinity. Default 2.
    pub norm_type: Option<f64>,
    /// Fail, and clip nothing, when a norm is not finite.
    pub error_if_nonfinite: bool,
    /// `Norm`: a norm that was reduced elsewhere.
    pub total_norm: Option<f64>,
}

/// The result of [`clip_gradients`].
#[derive(Clone, Debug, PartialEq)]
pub struct Clipped {
    /// The norm over all gradients before clipping, or the one that was given.
    pub total_norm: f64,
    /// The factor that was applied; `Value`: 1; `NormPerTensor`: the smallest.
    pub scale: f64,
    /// `Value`: how many elements were clamped.
    pub clipped_elements: u64,
    /// `NormPerTensor`: each tensor's norm before clipping.
    pub tensor_norms: Vec<f64>,
    /// Each tensor's new bytes, in order; `None` where they are what they were.
    pub data: Vec<Option<Vec<u8>>>,
}

/// Clips `gradients`, which may be of different dtypes.
///
/// # Errors
/// [`Error::Invalid`] for a `threshold`, `norm_type` or `total_norm` out of range, [`Error::NonFiniteNorm`],
/// [`Error::Cancelled`].
pub fn clip_gradients(
    spec: &Clipping,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<Clipped, Error> {
    let norm_type = validate(spec)?;
    let Norms { total, per_tensor } = match spec.total_norm {
        Some(total) => Norms { total, per_tensor: Vec::new() },
        None => norms(gradients, norm_type, checkpoint)?,
    };
    if spec.error_if_nonfinite && !total.is_finite() {
        return Err(Error::NonFiniteNorm { total_norm: total });
    }
    let clipped =
        Clipped { total_norm: total, scale: 1.0, clipped_elements: 0, tensor_norms: Vec::new(), data: Vec::new() };
    match spec.mode {
        ClipMode::Norm => {
            let scale = scale(spec.threshold, total);
            let data = scale_each(gradients, |_| scale, checkpoint)?;
            Ok(Clipped { scale, data, ..clipped })
        }
        ClipMode::NormPerTensor => {
            let scales: Vec<f64> = per_tensor.iter().map(|&norm| scale(spec.threshold, norm)).collect();
            let data = scale_each(gradients, |tensor| scales[tensor], checkpoint)?;
            // A NaN, which `f64::min` would hide, is the smallest: it did the most harm.
            let smallest = scales.iter().fold(1.0, |least: f64, &s| if s.is_nan() || s < least { s } else { least });
            Ok(Clipped { scale: smallest, tensor_norms: per_tensor, data, ..clipped })
        }
        ClipMode::Value => {
            let clamp = |gradient: &TensorRef<'_>| with_element!(gradient.dtype(), E => clamp::<E>(gradient, spec.threshold, checkpoint));
            let results = gradients.par_iter().map(clamp).collect::<Result<Vec<_>, _>>()?;
            let (counts, data): (Vec<u64>, _) = results.into_iter().unzip();
            Ok(Clipped { clipped_elements: counts.iter().sum(), data, ..clipped })
        }
    }
}

/// The order of the norm, once all arguments are in range.
fn validate(spec: &Clipping) -> Result<f64, Error> {
    if spec.threshold.is_nan() || spec.threshold < 0.0 {
        return Err(Error::invalid("threshold", format!("expected a number not below 0, got {}", spec.threshold)));
    }
    let norm_type = spec.norm_type.unwrap_or(2.0);
    if norm_type.is_nan() || norm_type <= 0.0 {
        return Err(Error::invalid("norm_type", format!("expected a number above 0 or infinity, got {norm_type}")));
    }
    if let Some(total) = spec.total_norm {
        if spec.mode != ClipMode::Norm {
            return Err(Error::invalid("total_norm", "only mode NORM clips by a norm reduced elsewhere"));
        }
        if total < 0.0 {
            return Err(Error::invalid("total_norm", format!("expected a norm not below 0, got {total}")));
        }
    }
    Ok(norm_type)
}

/// `clip_grad_norm_`'s factor. Its 1e-6, which keeps a zero norm from dividing, is not in Optax or TensorFlow.
fn scale(threshold: f64, norm: f64) -> f64 {
    let scale = threshold / (norm + 1e-6);
    if scale.is_nan() {
        f64::NAN // the canonical one: that of infinity / infinity has the sign that the CPU likes
    } else {
        scale.min(1.0)
    }
}

/// Multiplies each tensor by its factor, in float64 and rounded once; a factor of 1 leaves the bytes alone.
fn scale_each(
    gradients: &[TensorRef<'_>],
    factor: impl Fn(usize) -> f64 + Sync,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let clip = |(index, gradient): (usize, &TensorRef<'_>)| {
        let factor = factor(index);
        if factor == 1.0 {
            return Ok(None);
        }
        let chunk = CHUNK * gradient.dtype().size();
        let mut output = checkpoint.buffer(gradient.data().len());
        for_each_chunk(&mut output, chunk, checkpoint, |index, output| {
            let source = &gradient.data()[index * chunk..][..output.len()];
            with_element!(gradient.dtype(), E => simd::run(Scale { source, output, factor, element: PhantomData::<E> }));
        })?;
        Ok(Some(output))
    };
    gradients.par_iter().enumerate().map(clip).collect()
}

/// Each element times a factor.
struct Scale<'a, E> {
    source: &'a [u8],
    output: &'a mut [u8],
    factor: f64,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Scale<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        E::map(self.source, self.output, |_, x| x * self.factor);
    }
}

/// Clamps a tensor to the threshold, rounded to its dtype; with the number of elements that were outside.
fn clamp<E: Element>(
    gradient: &TensorRef<'_>,
    threshold: f64,
    checkpoint: &dyn Checkpoint,
) -> Result<(u64, Option<Vec<u8>>), Error> {
    let size = E::DTYPE.size();
    let threshold = E::from_f64(threshold).to_f64();
    let chunk = CHUNK * size;
    let outside = |element: &[u8]| E::from_le_bytes(element).to_f64().abs() > threshold;
    let count = gradient
        .data()
        .par_chunks(chunk)
        .map(|source| {
            checkpoint.check()?;
            Ok(source.chunks_exact(size).filter(|element| outside(element)).count() as u64)
        })
        .try_reduce(|| 0, |a, b| Ok::<_, Error>(a + b))?;
    if count == 0 {
        return Ok((0, None));
    }
    let mut output = checkpoint.buffer(gradient.data().len());
    output.copy_from_slice(gradient.data());
    let (mut above, mut below) = ([0; 8], [0; 8]);
    E::encode(&[threshold], &mut above[..size]);
    E::encode(&[-threshold], &mut below[..size]);
    for_each_chunk(&mut output, chunk, checkpoint, |_, output| {
        for element in output.chunks_exact_mut(size) {
            let x = E::from_le_bytes(element).to_f64();
            if x > threshold {
                element.copy_from_slice(&above[..size]);
            } else if x < -threshold {
                element.copy_from_slice(&below[..size]);
            }
        }
    })?;
    Ok((count, Some(output)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_that_is_nan_is_the_canonical_one() {
        assert_eq!(scale(f64::INFINITY, f64::INFINITY).to_bits(), f64::NAN.to_bits());
        assert_eq!(scale(1.0, -f64::NAN).to_bits(), f64::NAN.to_bits());
        assert_eq!((scale(2.0, 1.0), scale(1.0, 2.0), scale(0.0, 0.0)), (1.0, 1.0 / (2.0 + 1e-6), 0.0));
    }
}
