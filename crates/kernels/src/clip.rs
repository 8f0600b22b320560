//! Gradient clipping.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::{
    Checkpoint, DType, Element, Error, TensorMut, TensorRef,
    dtype::{Number, with_element},
    norm::{Norms, norms},
    parallel::CHUNK,
    simd::{self, InstructionSet, Kernel},
    stretch::Stretch,
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
    /// Each tensor's new bytes, in order; `None` where they are what they were. Empty where they were replaced.
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
    let (clipped, changes) = decide(spec, gradients, checkpoint)?;
    let change = |(change, gradient): (Option<Change>, &TensorRef<'_>)| {
        let Some(change) = change else { return Ok(None) };
        let mut output = checkpoint.buffer(gradient.data().len());
        change.apply(gradient.dtype(), Stretch::Apart { input: gradient.data(), output: &mut output }, checkpoint)?;
        Ok(Some(output))
    };
    let data = changes.into_par_iter().zip(gradients).map(change).collect::<Result<_, Error>>()?;
    Ok(Clipped { data, ..clipped })
}

/// As [`clip_gradients`], to where the gradients are: `data` is empty. After [`Error::Cancelled`] they may hold anything,
/// after other errors they hold what they did.
///
/// # Errors
/// As [`clip_gradients`].
pub fn clip_gradients_in_place(
    spec: &Clipping,
    gradients: &mut [TensorMut<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<Clipped, Error> {
    let views: Vec<_> = gradients.iter().map(TensorMut::view).collect();
    let (clipped, changes) = decide(spec, &views, checkpoint)?;
    changes.into_par_iter().zip(gradients).try_for_each(|(change, gradient)| match change {
        Some(change) => change.apply(gradient.dtype(), Stretch::InPlace(gradient.data_mut()), checkpoint),
        None => Ok(()),
    })?;
    Ok(clipped)
}

/// What is to be done to each gradient, `None` where it stays as it is, and all of the answer but the new bytes.
fn decide(
    spec: &Clipping,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<(Clipped, Vec<Option<Change>>), Error> {
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
            // A norm that was reduced elsewhere says nothing of these elements.
            let change = Change::scale(scale, spec.total_norm.is_none() && total.is_finite());
            Ok((Clipped { scale, ..clipped }, vec![change; gradients.len()]))
        }
        ClipMode::NormPerTensor => {
            let scales: Vec<f64> = per_tensor.iter().map(|&norm| scale(spec.threshold, norm)).collect();
            // A NaN, which `f64::min` would hide, is the smallest: it did the most harm.
            let smallest = scales.iter().fold(1.0, |least: f64, &s| if s.is_nan() || s < least { s } else { least });
            let change = |(&scale, norm): (&f64, &f64)| Change::scale(scale, norm.is_finite());
            let changes = scales.iter().zip(&per_tensor).map(change).collect();
            Ok((Clipped { scale: smallest, tensor_norms: per_tensor, ..clipped }, changes))
        }
        ClipMode::Value => {
            let count = |gradient: &TensorRef<'_>| count_beyond(gradient, spec.threshold, checkpoint);
            let counts = gradients.par_iter().map(count).collect::<Result<Vec<_>, _>>()?;
            let clamp = Change::Clamp { threshold: spec.threshold };
            let changes = counts.iter().map(|&count| (count > 0).then_some(clamp)).collect();
            Ok((Clipped { clipped_elements: counts.iter().sum(), ..clipped }, changes))
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

/// What is done to a tensor.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Each element is multiplied by the factor, in float64, and rounded once.
    Scale {
        factor: f64,
        /// Neither the factor nor any element is NaN or infinite, so that no product is NaN.
        all_finite: bool,
    },
    /// Each element is clamped to the threshold, rounded to its dtype.
    Clamp { threshold: f64 },
}

impl Change {
    /// A factor of 1 leaves the bytes alone, also those of a NaN.
    fn scale(factor: f64, all_finite: bool) -> Option<Self> {
        (factor != 1.0).then_some(Self::Scale { factor, all_finite })
    }

    fn apply(self, dtype: DType, elements: Stretch<'_>, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        elements.par_chunks(CHUNK * dtype.size()).try_for_each(|part| {
            checkpoint.check()?;
            with_element!(dtype, E => match self {
                Self::Scale { factor, all_finite } => {
                    simd::run(Scale { part, factor, all_finite, element: PhantomData::<E> });
                }
                Self::Clamp { threshold } => simd::run(Clamp { part, threshold: E::from_f64(threshold) }),
            });
            Ok(())
        })
    }
}

/// Each element times a factor.
struct Scale<'a, E> {
    part: Stretch<'a>,
    factor: f64,
    all_finite: bool,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Scale<'_, E> {
    type Output = ();

    const WIDEST: InstructionSet = InstructionSet::Avx2;

    #[inline(always)]
    fn run(self) {
        let Self { part, factor, .. } = self;
        if self.all_finite {
            part.map::<E, _>(|x| Number(x * factor));
        } else {
            part.map::<E, _>(|x| x * factor);
        }
    }
}

/// How many elements are beyond the threshold, rounded to their dtype.
fn count_beyond(gradient: &TensorRef<'_>, threshold: f64, checkpoint: &dyn Checkpoint) -> Result<u64, Error> {
    let dtype = gradient.dtype();
    let counts = gradient.data().par_chunks(CHUNK * dtype.size()).map(|elements| {
        checkpoint.check()?;
        Ok(with_element!(dtype, E => simd::run(Count { elements, threshold: E::from_f64(threshold) })) as u64)
    });
    counts.try_reduce(|| 0, |a, b| Ok(a + b))
}

/// How many elements are beyond the threshold.
struct Count<'a, E> {
    elements: &'a [u8],
    threshold: E,
}

impl<E: Element> Kernel for Count<'_, E> {
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        E::count_beyond(self.elements, self.threshold)
    }
}

/// Clamps elements to the threshold.
struct Clamp<'a, E> {
    part: Stretch<'a>,
    threshold: E,
}

impl<E: Element> Kernel for Clamp<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        E::clamp(self.part.copied(), self.threshold);
    }
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
