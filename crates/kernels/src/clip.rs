//! Gradient clipping.

mod directed;
mod factor;
mod in_order;
mod nonfinite;
mod not_above;

use std::marker::PhantomData;

use evenkeel_exact::Brief;

use self::factor::Factor;
pub use self::in_order::{ClipInOrder, ClipNeeds, ClipTotals, ClippedPart};
use crate::{
    Checkpoint, DType, Demand, Element, Error, NonFinite, NormOrder, TensorMut, TensorRef, Violations,
    dtype::{Number, with_element},
    in_out::InOut,
    norm::{Norms, norms},
    parallel::{CHUNK, chunk, fold, for_each_chunk, map},
    simd::{self, InstructionSet, Kernel},
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

/// The options of a clipping; each means the same as the field of its name in the wire contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// How to clip.
    pub mode: ClipMode,
    /// The largest norm, or the largest absolute value: not NaN, not negative.
    pub threshold: f64,
    /// The order of the norm: above 0, or infinity. Default 2.
    pub norm_type: Option<f64>,
    /// Whether to fail, and clip nothing, if a norm is not finite.
    pub error_if_nonfinite: bool,
    /// `Norm`: a norm that was reduced elsewhere, to clip by instead of that of the gradients.
    pub total_norm: Option<f64>,
    /// `Norm`, `NormPerTensor`: the number that is added to the norm: finite, not negative. Default 1e-6.
    pub epsilon: Option<f64>,
    /// `Norm`, `NormPerTensor` of order 1, 2 or infinity, without `total_norm`: round so that the exact norm of the
    /// result is never above the threshold.
    pub not_above: bool,
}

impl Clipping {
    /// Every option at its default.
    pub fn new(mode: ClipMode, threshold: f64) -> Self {
        Self {
            mode,
            threshold,
            norm_type: None,
            error_if_nonfinite: false,
            total_norm: None,
            epsilon: None,
            not_above: false,
        }
    }

    /// The same with 0 for each option that is -0.0, which would turn the signs of products and quotients.
    fn without_negative_zeros(&self) -> Self {
        let positive = |option: Option<f64>| option.map(|x| x + 0.0);
        Self {
            threshold: self.threshold + 0.0,
            total_norm: positive(self.total_norm),
            epsilon: positive(self.epsilon),
            ..*self
        }
    }

    fn epsilon(&self) -> f64 {
        self.epsilon.unwrap_or(DEFAULT_EPSILON)
    }

    /// The violations among the options; none if they are valid.
    pub fn check(&self) -> Violations {
        let &Self { mode, threshold, norm_type, error_if_nonfinite: _, total_norm, epsilon, not_above } = self;
        let mut found = Violations::new();
        if threshold.is_nan() || threshold < 0.0 {
            found.add("threshold", format!("expected a number not below 0, got {}", Brief(threshold)));
        }
        let norm_type = norm_type.unwrap_or(DEFAULT_NORM_TYPE);
        if norm_type.is_nan() || norm_type <= 0.0 {
            found.add("norm_type", format!("expected a number above 0 or infinity, got {}", Brief(norm_type)));
        }
        if let Some(total) = total_norm {
            if mode != ClipMode::Norm {
                found.add("total_norm", "only mode NORM clips by a norm reduced elsewhere");
            }
            if total < 0.0 {
                found.add("total_norm", format!("expected a norm not below 0, got {}", Brief(total)));
            }
        }
        if let Some(epsilon) = epsilon {
            if mode == ClipMode::Value {
                found.add("epsilon", "mode VALUE divides by no norm");
            }
            if !epsilon.is_finite() || epsilon < 0.0 {
                found.add("epsilon", format!("expected a finite number not below 0, got {}", Brief(epsilon)));
            }
        }
        if not_above {
            if mode == ClipMode::Value {
                found.add("not_above", "mode VALUE has no norm to hold");
            }
            if norm_type > 0.0 && NormOrder::from_norm_type(norm_type).is_none() {
                let reason =
                    format!("needs a norm_type of 1, 2 or infinity, whose norms are exact, got {}", Brief(norm_type));
                found.add("not_above", reason);
            }
            if total_norm.is_some() {
                found.add("not_above", "total_norm was rounded elsewhere; only the norm of the gradients can be held");
            }
        }
        found
    }
}

/// The order of the norm if `norm_type` is not given.
const DEFAULT_NORM_TYPE: f64 = 2.0;

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
    /// Each tensor's new bytes, in order; `None` for a tensor that does not change. Empty after
    /// [`clip_gradients_in_place`].
    pub data: Vec<Option<Vec<u8>>>,
}

/// The memory and the units of work that [`clip_gradients`] needs for this number of tensors.
pub fn clip_demand(spec: &Clipping, tensors: usize) -> Demand {
    // The views, norm, factor, count and change of a tensor, and the `Vec` of its new bytes.
    const PER_TENSOR: usize = 256;
    let results = if spec.mode == ClipMode::NormPerTensor { tensors * size_of::<f64>() } else { 0 };
    Demand { results, scratch: tensors * PER_TENSOR, units: tensors }
}

/// Clips `gradients`, which may be of different dtypes.
///
/// # Errors
/// [`Error::Invalid`] for options out of range or that do not fit each other, [`Error::NonFiniteNorm`],
/// [`Error::Cancelled`].
pub fn clip_gradients(
    spec: &Clipping,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<Clipped, Error> {
    let (clipped, changes) = decide(spec, gradients, checkpoint)?;
    let change = |index: usize| {
        let (Some(change), gradient) = (changes[index], &gradients[index]) else { return Ok(None) };
        let mut output = checkpoint.buffer(gradient.data().len());
        change.apply(gradient.dtype(), InOut::Apart { input: gradient.data(), output: &mut output }, checkpoint)?;
        Ok(Some(output))
    };
    Ok(Clipped { data: map(gradients.len(), &change)?, ..clipped })
}

/// As [`clip_gradients`], but replaces the gradients; `data` is empty. After [`Error::Cancelled`] the gradients may
/// hold anything, after other errors they are unchanged.
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
    for_each_chunk(gradients, 1, &|index, gradients| {
        let Some(change) = changes[index] else { return Ok(()) };
        gradients
            .iter_mut()
            .try_for_each(|gradient| change.apply(gradient.dtype(), InOut::InPlace(gradient.data_mut()), checkpoint))
    })?;
    Ok(clipped)
}

/// The result without the new bytes, and the change of each gradient; `None` for one that stays as it is.
fn decide(
    spec: &Clipping,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<(Clipped, Vec<Option<Change>>), Error> {
    spec.check().into_result()?;
    let spec = &spec.without_negative_zeros();
    let norm_type = spec.norm_type.unwrap_or(DEFAULT_NORM_TYPE);
    if let Some(order) = NormOrder::from_norm_type(norm_type).filter(|_| spec.not_above) {
        return not_above::decide(spec, order, gradients, checkpoint);
    }
    let Norms { total, per_tensor } = match spec.total_norm {
        Some(total) => Norms { total, per_tensor: Vec::new() },
        None => norms(gradients, norm_type, checkpoint)?,
    };
    let of_elements = || norms(gradients, f64::INFINITY, checkpoint).map(|norms| norms.total);
    check_finite(spec, total, &per_tensor, of_elements, || nonfinite::count(gradients, checkpoint))?;
    let clipped =
        Clipped { total_norm: total, scale: 1.0, clipped_elements: 0, tensor_norms: Vec::new(), data: Vec::new() };
    match spec.mode {
        ClipMode::Norm => {
            let factor = factor_of(spec, total);
            // A norm that was reduced elsewhere does not show that these elements are finite.
            let change = Change::scale(factor, spec.total_norm.is_none() && total.is_finite());
            Ok((Clipped { scale: factor.value(), ..clipped }, vec![change; gradients.len()]))
        }
        ClipMode::NormPerTensor => {
            let (scales, changes): (Vec<f64>, Vec<_>) = per_tensor.iter().map(|&norm| by_norm(spec, norm)).unzip();
            let scale = smallest(scales).unwrap_or(by_norm(spec, total).0);
            Ok((Clipped { scale, tensor_norms: per_tensor, ..clipped }, changes))
        }
        ClipMode::Value => {
            let count = |index: usize| count_beyond(&gradients[index], spec.threshold, checkpoint);
            let counts = map(gradients.len(), &count)?;
            let clamp = Change::Clamp { threshold: spec.threshold };
            let changes = counts.iter().map(|&count| (count > 0).then_some(clamp)).collect();
            Ok((Clipped { clipped_elements: counts.iter().sum(), ..clipped }, changes))
        }
    }
}

/// Refuses a norm that is not finite, if `error_if_nonfinite` is set: each norm that gradients are clipped by; for
/// `Value`, the norm that is reported. A finite norm that was reduced elsewhere does not show that these elements are
/// finite, so `of_elements`, a norm of them, is looked at as well. `elements`: those that are refused.
fn check_finite(
    spec: &Clipping,
    total_norm: f64,
    per_tensor: &[f64],
    of_elements: impl FnOnce() -> Result<f64, Error>,
    elements: impl FnOnce() -> Result<NonFinite, Error>,
) -> Result<(), Error> {
    if !spec.error_if_nonfinite {
        return Ok(());
    }
    let total_norm = match spec.mode {
        ClipMode::NormPerTensor if per_tensor.iter().all(|norm| norm.is_finite()) => return Ok(()),
        ClipMode::Norm if spec.total_norm.is_some_and(f64::is_finite) => of_elements()?,
        ClipMode::Norm | ClipMode::Value | ClipMode::NormPerTensor => total_norm,
    };
    if total_norm.is_finite() {
        return Ok(());
    }
    Err(Error::NonFiniteNorm { total_norm, elements: Box::new(elements()?) })
}

/// The smallest factor, if there is one. A NaN, which `f64::min` would hide, counts as the smallest.
fn smallest(scales: impl IntoIterator<Item = f64>) -> Option<f64> {
    scales.into_iter().reduce(|least, s| if s.is_nan() || s < least { s } else { least })
}

/// The `epsilon` of PyTorch's `clip_grad_norm_`, which avoids a division by a norm of 0. Optax and TensorFlow add
/// nothing.
const DEFAULT_EPSILON: f64 = 1e-6;

/// The factor for a norm.
fn factor_of(spec: &Clipping, norm: f64) -> Factor {
    Factor::nearest(spec.threshold, norm, spec.epsilon())
}

/// The factor for the norm of a tensor, and what it changes.
fn by_norm(spec: &Clipping, norm: f64) -> (f64, Option<Change>) {
    let factor = factor_of(spec, norm);
    (factor.value(), Change::scale(factor, norm.is_finite()))
}

/// The change of a tensor.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Each element is multiplied by the factor, in float64, and rounded once.
    Scale {
        factor: Factor,
        /// Neither the factor nor any element is NaN or infinite, so that no product is NaN.
        all_finite: bool,
    },
    /// Each element is multiplied by the factor, and the exact product is rounded towards zero. Both are finite.
    ScaleTowardsZero { factor: Factor },
    /// Each element is clamped to the threshold, rounded to its dtype.
    Clamp { threshold: f64 },
}

impl Change {
    /// `None` for a factor of 1: the bytes stay, also those of a NaN.
    fn scale(factor: Factor, all_finite: bool) -> Option<Self> {
        (factor != Factor::NONE).then_some(Self::Scale { factor, all_finite })
    }

    fn apply(self, dtype: DType, elements: InOut<'_>, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        elements.for_each_chunk(CHUNK * dtype.size(), &|_, part| {
            checkpoint.check()?;
            with_element!(dtype, E => match self {
                Self::Scale { factor, all_finite } => {
                    simd::run(Scale { part, factor, all_finite, element: PhantomData::<E> });
                }
                Self::ScaleTowardsZero { factor } => {
                    simd::run(not_above::Scale { part, factor, element: PhantomData::<E> });
                }
                Self::Clamp { threshold } => simd::run(Clamp { part, threshold: E::from_f64(threshold) }),
            });
            Ok(())
        })
    }
}

/// Each element times a factor.
struct Scale<'a, E> {
    part: InOut<'a>,
    factor: Factor,
    all_finite: bool,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Scale<'_, E> {
    type Output = ();

    const WIDEST: InstructionSet = InstructionSet::Avx2;

    #[inline(always)]
    fn run(self) {
        let Self { part, factor, .. } = self;
        if factor.power != 0 {
            let [first, second, third] = factor.steps();
            return part.map::<E, _>(|x| x * first * second * third);
        }
        let factor = factor.number;
        if self.all_finite {
            part.map::<E, _>(|x| Number(x * factor));
        } else {
            part.map::<E, _>(|x| x * factor);
        }
    }
}

/// How many elements are beyond the threshold, rounded to their dtype.
fn count_beyond(gradient: &TensorRef<'_>, threshold: f64, checkpoint: &dyn Checkpoint) -> Result<u64, Error> {
    let (data, dtype) = (gradient.data(), gradient.dtype());
    let len = CHUNK * dtype.size();
    let add = |count: &mut u64, index| {
        checkpoint.check()?;
        let elements = chunk(data, len, index);
        *count += with_element!(dtype, E => simd::run(Count { elements, threshold: E::from_f64(threshold) })) as u64;
        Ok(())
    };
    fold(data.len().div_ceil(len), &|| 0, &add, &|a, b| *a += b)
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
    part: InOut<'a>,
    threshold: E,
}

impl<E: Element> Kernel for Clamp<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        E::clamp(self.part.copied(), self.threshold);
    }
}
