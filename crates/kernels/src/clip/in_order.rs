//! Clipping of gradients whose elements come in order, in parts of any length.

use super::{
    Change, ClipMode, Clipped, Clipping, DEFAULT_NORM_TYPE, by_norm, check_finite, clip_gradients, count_beyond,
    factor_of, nonfinite, not_above, smallest,
};
use crate::{
    Checkpoint, DType, Error, NonFinite, NormOrder, NormPartial, TensorMut, TensorRef, in_out::InOut,
    measure_gradients, norm::Bounded, parallel::CHUNK,
};

/// What a clipping must have seen before it can give an element back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipNeeds {
    /// The element.
    Element,
    /// All of its gradient.
    Gradient,
    /// All gradients.
    Everything,
}

impl Clipping {
    /// What it must have seen before it can give an element back.
    pub fn needs(&self) -> ClipNeeds {
        // Norms of other orders do not merge.
        let order = NormOrder::from_norm_type(self.norm_type.unwrap_or(DEFAULT_NORM_TYPE));
        match self.mode {
            ClipMode::Norm if self.total_norm.is_some() => ClipNeeds::Element,
            ClipMode::Value if order.is_some() => ClipNeeds::Element,
            ClipMode::NormPerTensor if order.is_some() => ClipNeeds::Gradient,
            ClipMode::Norm | ClipMode::Value | ClipMode::NormPerTensor => ClipNeeds::Everything,
        }
    }
}

/// A clipping of gradients that come one after the other, each in order. [`clip_gradients`] gives the same bytes and numbers.
///
/// ```
/// use evenkeel_kernels::{
///     ClipInOrder, ClipMode, ClipTotals, Clipping, Tensor, Uninterrupted, clip_gradients,
/// };
///
/// let x = Tensor::from_array(&ndarray::Array::from_shape_fn(1000, |i| (i % 7) as f32));
/// let spec = Clipping::new(ClipMode::Value, 4.5);
/// let clipping = ClipInOrder::new(&spec)?;
/// let (mut output, mut totals) = (vec![0; x.data().len()], ClipTotals::new(&clipping));
/// totals.begin();
/// for (input, output) in x.data().chunks(20).zip(output.chunks_mut(20)) {
///     totals.add(clipping.clip(x.dtype(), input, output, &Uninterrupted)?);
/// }
/// let whole = clip_gradients(&spec, &[x.view()], &Uninterrupted)?;
/// assert_eq!(Some(output), whole.data[0]);
/// assert_eq!(clipping.finish(totals)?.clipped_elements, whole.clipped_elements);
/// # Ok::<(), evenkeel_kernels::Error>(())
/// ```
#[derive(Debug)]
pub struct ClipInOrder {
    spec: Clipping,
    /// `Value`, `NormPerTensor`: that of the norm that is reported.
    order: NormOrder,
    /// What is done to each element where that needs no other.
    change: Option<Change>,
}

/// What was found in a part, or in a gradient.
#[derive(Debug)]
pub struct ClippedPart {
    beyond: u64,
    norm: Option<Box<NormPartial>>,
    /// How many elements are NaN, and how many are infinite; counted where they may be refused.
    nonfinite: (u64, u64),
    /// `NormPerTensor`: the gradient's norm and factor.
    of_gradient: Option<(f64, f64)>,
}

/// What was found in all parts so far.
#[derive(Debug)]
pub struct ClipTotals {
    beyond: u64,
    norm: Box<NormPartial>,
    tensor_norms: Vec<f64>,
    scale: Option<f64>,
    nonfinite: NonFinite,
    /// How many gradients have begun, and whether the last has elements that are NaN or infinite.
    gradients: usize,
    is_nonfinite: bool,
}

impl ClipInOrder {
    /// Of gradients that are not known yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`clip_gradients`].
    pub fn new(spec: &Clipping) -> Result<Self, Error> {
        spec.check().into_result()?;
        let spec = spec.without_negative_zeros();
        let order = NormOrder::from_norm_type(spec.norm_type.unwrap_or(DEFAULT_NORM_TYPE)).unwrap_or(NormOrder::Two);
        let change = match (spec.mode, spec.total_norm) {
            // A norm that was reduced elsewhere says nothing of these elements.
            (ClipMode::Norm, Some(total)) => Change::scale(factor_of(&spec, total), false),
            (ClipMode::Value, _) => Some(Change::Clamp { threshold: spec.threshold }),
            (ClipMode::Norm | ClipMode::NormPerTensor, _) => None,
        };
        Ok(Self { spec, order, change })
    }

    /// The bytes of parts that are worth a call.
    pub fn part_len(dtype: DType) -> usize {
        CHUNK * dtype.size()
    }

    /// Writes a part, whose bytes are `input`, clipped, to `output`, where that [needs](Clipping::needs) no other element.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn clip(
        &self,
        dtype: DType,
        input: &[u8],
        output: &mut [u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<ClippedPart, Error> {
        let shape = [input.len() / dtype.size()];
        let view = TensorRef::new(dtype, &shape, input).expect("parts are cut between elements");
        let reports_norm = self.spec.mode == ClipMode::Value;
        let norm = reports_norm.then(|| measure_gradients(self.order, &[view], checkpoint)).transpose()?;
        let beyond = if reports_norm { count_beyond(&view, self.spec.threshold, checkpoint)? } else { 0 };
        match self.change.filter(|_| !reports_norm || beyond > 0) {
            Some(change) => change.apply(dtype, InOut::Apart { input, output }, checkpoint)?,
            None => output.copy_from_slice(input),
        }
        let nonfinite = self.count_nonfinite(&view, checkpoint)?;
        Ok(ClippedPart { beyond, norm: norm.map(Box::new), nonfinite, of_gradient: None })
    }

    /// Clips a gradient by its own norm, to where it is.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn clip_gradient(
        &self,
        gradient: &mut TensorMut<'_>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<ClippedPart, Error> {
        let norm = measure_gradients(self.order, &[gradient.view()], checkpoint)?;
        let nonfinite = self.count_nonfinite(&gradient.view(), checkpoint)?;
        let (scale, change) = if self.spec.not_above {
            not_above::by_norm(&self.spec, &Bounded::of(&norm, self.spec.threshold))
        } else {
            by_norm(&self.spec, norm.norm())
        };
        if let Some(change) = change {
            change.apply(gradient.dtype(), InOut::InPlace(gradient.data_mut()), checkpoint)?;
        }
        let of_gradient = Some((norm.norm(), scale));
        Ok(ClippedPart { beyond: 0, norm: Some(Box::new(norm)), nonfinite, of_gradient })
    }

    fn count_nonfinite(&self, view: &TensorRef<'_>, checkpoint: &dyn Checkpoint) -> Result<(u64, u64), Error> {
        if self.spec.error_if_nonfinite { nonfinite::of_one(view, checkpoint) } else { Ok((0, 0)) }
    }

    /// The result without bytes, once all parts were added.
    ///
    /// # Errors
    /// [`Error::NonFiniteNorm`], as [`clip_gradients`]; what was written is not to be used then.
    pub fn finish(&self, totals: ClipTotals) -> Result<Clipped, Error> {
        let ClipTotals { beyond, norm, tensor_norms, scale, nonfinite, .. } = totals;
        let total_norm = self.spec.total_norm.unwrap_or_else(|| norm.norm());
        let of_elements = match (nonfinite.nan, nonfinite.infinite) {
            (0, 0) => 0.0,
            (0, _) => f64::INFINITY,
            (_, _) => f64::NAN,
        };
        check_finite(&self.spec, total_norm, &tensor_norms, || Ok(of_elements), || Ok(nonfinite))?;
        let scale = match (self.spec.mode, scale) {
            (ClipMode::Norm, _) => factor_of(&self.spec, total_norm).value(),
            (ClipMode::Value, _) => 1.0,
            (ClipMode::NormPerTensor, Some(scale)) => scale,
            (ClipMode::NormPerTensor, None) => {
                clip_gradients(&self.spec, &[], &crate::Uninterrupted).map(|clipped| clipped.scale)?
            }
        };
        Ok(Clipped { total_norm, scale, clipped_elements: beyond, tensor_norms, data: Vec::new() })
    }
}

impl ClipTotals {
    /// Of no gradients.
    pub fn new(clipping: &ClipInOrder) -> Self {
        Self {
            beyond: 0,
            norm: Box::new(NormPartial::new(clipping.order)),
            tensor_norms: Vec::new(),
            scale: None,
            nonfinite: NonFinite::default(),
            gradients: 0,
            is_nonfinite: false,
        }
    }

    /// The next gradient begins.
    pub fn begin(&mut self) {
        self.gradients += 1;
        self.is_nonfinite = false;
    }

    /// The next part of the gradient that began last, or all of it.
    pub fn add(&mut self, part: ClippedPart) {
        let ClippedPart { beyond, norm, nonfinite: (nan, infinite), of_gradient } = part;
        self.beyond += beyond;
        if let Some(norm) = norm {
            self.norm.merge(&norm).expect("all are of the clipping's order");
        }
        if let Some((norm, scale)) = of_gradient {
            self.tensor_norms.push(norm);
            self.scale = smallest(self.scale.into_iter().chain([scale]));
        }
        self.nonfinite.nan += nan;
        self.nonfinite.infinite += infinite;
        if (nan, infinite) != (0, 0) && !self.is_nonfinite {
            self.is_nonfinite = true;
            self.nonfinite.gradients += 1;
            if self.nonfinite.first.len() < NonFinite::MOST_NAMED {
                self.nonfinite.first.push(self.gradients - 1);
            }
        }
    }
}
