//! Clipping whose result is never above the threshold, not even by a rounding, as differential privacy requires.
//!
//! The exact norm is compared with the threshold, so that gradients which are not above it stay as they are. Otherwise the
//! norm is rounded up, the factor down, and each product towards zero: `|y_i| <= |x_i| * factor`, so the exact norm of `y`
//! is at most `factor` times that of `x`, which is at most the threshold.

use std::marker::PhantomData;

use super::{Change, ClipMode, Clipped, Clipping, Factor, check_finite, directed, factor_of, nonfinite, smallest};
use crate::{
    Checkpoint, DType, Element, Error, NormOrder, TensorRef,
    dtype::Number,
    in_out::InOut,
    norm::{Bounded, bounded},
    simd::Kernel,
};

/// As [`decide`](super::decide).
pub(super) fn decide(
    spec: &Clipping,
    order: NormOrder,
    gradients: &[TensorRef<'_>],
    checkpoint: &dyn Checkpoint,
) -> Result<(Clipped, Vec<Option<Change>>), Error> {
    let (total, per_tensor) = bounded(gradients, order, spec.threshold, checkpoint)?;
    let tensor_norms: Vec<f64> = per_tensor.iter().map(|norm| norm.norm).collect();
    let elements = || nonfinite::count(gradients, checkpoint);
    check_finite(spec, total.norm, &tensor_norms, || Ok(total.norm), elements)?;
    let clipped =
        Clipped { total_norm: total.norm, scale: 1.0, clipped_elements: 0, tensor_norms: Vec::new(), data: Vec::new() };
    if spec.mode == ClipMode::NormPerTensor {
        let (scales, changes): (Vec<f64>, Vec<_>) = per_tensor.iter().map(|norm| by_norm(spec, norm)).unzip();
        let scale = smallest(scales).unwrap_or(by_norm(spec, &total).0);
        return Ok((Clipped { scale, tensor_norms, ..clipped }, changes));
    }
    let (scale, change) = by_norm(spec, &total);
    Ok((Clipped { scale, ..clipped }, vec![change; gradients.len()]))
}

/// As [`by_norm`](super::by_norm).
pub(super) fn by_norm(spec: &Clipping, norm: &Bounded) -> (f64, Option<Change>) {
    let factor = factor_down(spec, norm);
    (factor.value_down(), change(factor, norm))
}

/// The factor for a norm, rounded down; 1 where the norm is not above the threshold, but 0 where that is 0.
fn factor_down(spec: &Clipping, norm: &Bounded) -> Factor {
    if !norm.is_above && spec.threshold > 0.0 {
        return Factor::NONE;
    }
    if !norm.norm.is_finite() {
        // The norm is NaN, infinite, or beyond float64: the factor is the usual one, NaN or 0.
        return factor_of(spec, norm.norm);
    }
    Factor::down(spec.threshold, norm.rounded_up, spec.epsilon())
}

fn change(factor: Factor, norm: &Bounded) -> Option<Change> {
    match Change::scale(factor, norm.norm.is_finite())? {
        Change::Scale { factor, all_finite: true } => Some(Change::ScaleTowardsZero { factor }),
        other @ (Change::Scale { .. } | Change::ScaleTowardsZero { .. } | Change::Clamp { .. }) => Some(other),
    }
}

/// Each element times a factor in [0, 1], towards zero. All are finite.
pub(super) struct Scale<'a, E> {
    pub(super) part: InOut<'a>,
    pub(super) factor: Factor,
    pub(super) element: PhantomData<E>,
}

impl<E: Element> Kernel for Scale<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { part, factor: Factor { number, power }, .. } = self;
        if power != 0 {
            let product = |x| directed::product_with_power_towards_zero(x, number, power);
            return part.map::<E, _>(|x| Number(truncated::<E>(product(x))));
        }
        part.map::<E, _>(|x| Number(truncated::<E>(directed::product_towards_zero(x, number))));
    }

    /// The fused multiplication gives the rounding error of a product exactly, unless the product is very small; in the
    /// narrow dtypes such a product becomes 0 anyway.
    #[inline(always)]
    fn run_fused(self) {
        /// The rounding errors of products above it, which lie 53 bits lower, are normal numbers.
        const SMALL: f64 = f64::from_bits(128 << 52);
        if self.factor.power != 0 {
            return self.run();
        }
        let Self { part, factor: Factor { number: factor, .. }, .. } = self;
        part.map::<E, _>(|x| {
            let product = x * factor;
            if E::DTYPE == DType::F64 && product.abs() < SMALL {
                return Number(directed::product_towards_zero(x, factor));
            }
            let rest = x.mul_add(factor, -product);
            // If the product was rounded away from zero, its error has the opposite sign.
            let is_too_far = if product > 0.0 { rest < 0.0 } else { rest > 0.0 };
            Number(truncated::<E>(f64::from_bits(product.to_bits() - u64::from(is_too_far))))
        });
    }
}

/// The nearest number of the dtype that is not further from zero; exact in float64.
#[inline(always)]
fn truncated<E: Element>(x: f64) -> f64 {
    if E::DTYPE == DType::F64 {
        return x;
    }
    // The numbers below the smallest normal one are as far apart as its last bits are.
    let smallest_normal = f64::from_bits(((1023 + 1 - E::BIAS) as u64) << 52);
    let step = smallest_normal / f64::from(1u32 << E::MANTISSA);
    let normal = f64::from_bits(x.to_bits() & !((1 << (52 - E::MANTISSA)) - 1));
    if x.abs() < smallest_normal { (x / step).trunc() * step } else { normal }
}
