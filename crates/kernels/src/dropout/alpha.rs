//! Alpha dropout: kept elements become `scale * (x + shift)`, dropped ones `-scale * SATURATION * (1 - p)`.
//!
//! The sum may cancel, and its result must keep all digits then. So `shift`, which is `SATURATION * p`, is an exact pair of
//! numbers.

use crate::{
    DType, Element,
    dtype::with_element,
    lanes::{DoubleDouble, two_sum},
};

/// SELU's lambda times alpha: the limit of its output on the negative side, negated.
const SATURATION: f64 = 1.758_099_340_847_376_6;

/// The constants of a probability below 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alpha {
    shift: DoubleDouble,
    scale: DoubleDouble,
    fill: f64,
}

impl Alpha {
    pub(super) fn new(p: f64) -> Self {
        let p = p + 0.0; // -0.0 is 0
        let shift = DoubleDouble::product(SATURATION, p);
        let rest = DoubleDouble::from(1.0).minus(DoubleDouble::from(p));
        let variance = shift.times(DoubleDouble::from(SATURATION)).plus(DoubleDouble::from(1.0)).times(rest);
        let scale = variance.root_reciprocal();
        let fill = -scale.times(DoubleDouble::from(SATURATION)).times(rest).value();
        Self { shift, scale, fill }
    }

    /// The factor that keeps the variance, which is that of gradients. Klambauer et al., "Self-normalizing neural networks",
    /// 2017.
    pub(super) fn scale(&self) -> f64 {
        self.scale.high
    }

    /// The value of dropped elements.
    pub(super) fn fill(&self) -> f64 {
        self.fill
    }

    /// `scale * shift`, which is added to `scale * x`, if two roundings suffice: no element is so near to `-shift` that
    /// they exceed a quarter of an ulp of the difference. That is so for the half types with nearly all probabilities.
    pub(super) fn scaled_shift(&self, dtype: DType) -> Option<f64> {
        /// A bound, relative to the shift, on the roundings of the scale, of both terms and of their sum together.
        const LOST: f64 = 0.5 / (1u64 << 49) as f64;
        let DoubleDouble { high, .. } = self.shift;
        with_element!(dtype, E => {
            let nearest = (E::from_f64(-high).to_f64() + high).abs();
            let suffices = E::DTYPE != DType::F64 && high * LOST <= nearest * 0.5f64.powi(E::MANTISSA + 3);
            suffices.then(|| self.shift.times(self.scale).value())
        })
    }

    /// The value of a kept element.
    #[inline(always)]
    pub(super) fn kept<E: Element>(&self, x: f64) -> f64 {
        let Self { shift, scale, fill: _ } = self;
        if E::DTYPE != DType::F64 {
            // The first sum is exact where it cancels, and the rounding error of the second is small beside the
            // difference.
            return (x + shift.high + shift.low) * scale.high;
        }
        let (sum, lost) = two_sum(x, shift.high);
        let low = lost + shift.low;
        let high = sum + low;
        let DoubleDouble { high, low } = DoubleDouble { high, low: (sum - high) + low }.times(*scale);
        // `low` is NaN if `x` is infinite or the product beyond float64: then the plain product is the result.
        if low.is_finite() { high + low } else { sum * scale.high }
    }
}
